//! Somebody else stores topologies of the same cache.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::Fleet;
use memtide_scaler::{LocalStore, StoreFuture, Stored, TopologyStore};
use memtide_topology::{Change, Epoch, Topology, Update};
use tokio::sync::watch;

/// Where another scaler is always the quicker one, for as long as it wants.
#[derive(Debug)]
struct Contested {
    store: LocalStore,
    is_contested: AtomicBool,
    /// What the other one stores, once.
    change: Mutex<Option<Change>>,
}

impl TopologyStore for Contested {
    fn load(&self) -> StoreFuture<'_, Option<Arc<Topology>>> {
        self.store.load()
    }

    fn compare_and_set(
        &self,
        parent: Option<Epoch>,
        next: Arc<Topology>,
    ) -> StoreFuture<'_, Stored> {
        Box::pin(async move {
            let is_contested = self.is_contested.swap(false, Ordering::Relaxed);
            let change = if is_contested { self.change.lock().unwrap().take() } else { None };
            if let Some(change) = change
                && let Some(stored) = self.store.load().await?
            {
                let update = Update { parent: stored.epoch(), changes: vec![change] };
                let theirs = Arc::new(stored.apply(&update).unwrap());
                self.store.compare_and_set(Some(stored.epoch()), theirs).await?;
            }
            self.store.compare_and_set(parent, next).await
        })
    }

    fn watch(&self) -> watch::Receiver<Option<Arc<Topology>>> {
        self.store.watch()
    }
}

#[test]
fn an_operator_hears_of_success_only_once_it_is_stored_whoever_else_stores() {
    let fleet = Fleet::new();
    let config = fleet.config();
    let store = Arc::new(Contested {
        store: LocalStore::open(&config.data_dir).unwrap(),
        is_contested: AtomicBool::new(false),
        change: Mutex::new(Some(Change::SetReplicas { replicas: 3 })),
    });
    let rig = fleet.try_start_on(config, Arc::clone(&store) as _).unwrap();
    let node = fleet.node("a");
    rig.until_settled(&[node.id()]);
    store.is_contested.store(true, Ordering::Relaxed);
    let (status, body) = rig.put("/v1/replicas", r#"{"replicas":1}"#);
    assert_eq!(status, 200, "{body}");
    assert_eq!(rig.topology().replicas_wanted(), 1, "it is what was asked for");
    assert!(store.change.lock().unwrap().is_none(), "the other one has stored meanwhile");
}

#[test]
fn an_operator_who_was_overtaken_is_told_so() {
    let fleet = Fleet::new();
    let mut config = fleet.config();
    // It stays for as long as nobody takes it out.
    config.settings.linger = memtide_testkit::PATIENCE * 2;
    let store = Arc::new(Contested {
        store: LocalStore::open(&config.data_dir).unwrap(),
        is_contested: AtomicBool::new(false),
        change: Mutex::new(None),
    });
    let rig = fleet.try_start_on(config, Arc::clone(&store) as _).unwrap();
    let nodes = [fleet.node("a"), fleet.node("b")];
    let ids = [nodes[0].id(), nodes[1].id()];
    rig.until_settled(&ids);
    rig.post(&format!("/v1/nodes/{}/drain", ids[1]), "");
    rig.until("it to hold nothing", |topology| {
        topology.slots().all(|(_, config)| !config.is_held_by(ids[1]))
    });
    // Somebody else takes it out, just when it is to stay.
    *store.change.lock().unwrap() = Some(Change::RemoveNode { node: ids[1] });
    store.is_contested.store(true, Ordering::Relaxed);
    let (status, body) = rig.post(&format!("/v1/nodes/{}/undrain", ids[1]), "");
    assert_eq!(status, 409, "{body}");
    assert!(body.starts_with("the topology was changed at the same time"), "{body}");
}
