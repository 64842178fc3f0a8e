//! A scaler and node processes that this process started.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use memtide_scaler::{Scaler, ScalerHandle};
use memtide_service::admin::RoleRoutes;
use memtide_topology::NodeId;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::supervisor::Running;

/// What this process sees of them; [`Supervising`] has the processes.
pub struct Fleet {
    pub scaler: Scaler,
    pub running: Running,
}

/// The task that owns the node processes, if there are any.
#[derive(Default)]
pub struct Supervising(Option<JoinHandle<()>>);

impl Supervising {
    /// This task has them.
    pub const fn by(task: JoinHandle<()>) -> Self {
        Self(Some(task))
    }

    /// Ends the processes, before anybody that they would miss.
    pub async fn end(self) {
        if let Some(task) = self.0 {
            task.abort();
            // It was, or it panicked and that was logged.
            let _ = task.await;
        }
    }
}

/// What `/v1/processes` is answered from.
#[derive(Clone)]
struct Seen {
    scaler: ScalerHandle,
    address: String,
    running: Running,
}

impl Fleet {
    /// The scaler's routes, and `/v1/processes`.
    pub fn routes(&self) -> RoleRoutes {
        let seen = Seen {
            scaler: self.scaler.handle(),
            address: self.scaler.address().to_string(),
            running: self.running.clone(),
        };
        let router = Router::new().route("/v1/processes", get(processes)).with_state(seen);
        self.scaler.routes().merge(RoleRoutes::new(router, &["/v1/processes"]))
    }

    /// Items and their bytes, each counted once: of what a node holds, the part of its slots that
    /// it is the primary of; exact where its slots are alike.
    pub fn stored(&self) -> (u64, u64) {
        let status = self.scaler.handle().status();
        let mut held: BTreeMap<NodeId, Held> = BTreeMap::new();
        for (_, config) in status.topology.slots() {
            for holder in config.holders() {
                held.entry(holder).or_default().slots += 1;
            }
            if let Some(primary) = config.primary {
                held.entry(primary).or_default().primary += 1;
            }
        }
        let mut stored = (0, 0);
        for node in &status.nodes {
            let (Some(usage), Some(held)) = (node.usage, held.get(&node.view.node)) else {
                continue;
            };
            stored.0 += held.part(usage.items);
            stored.1 += held.part(usage.data_bytes);
        }
        stored
    }
}

/// How many slots a node holds, and of how many it is the primary.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    slots: u64,
    primary: u64,
}

impl Held {
    fn part(self, whole: u64) -> u64 {
        let part = u128::from(whole) * u128::from(self.primary) / u128::from(self.slots.max(1));
        u64::try_from(part).unwrap_or(whole)
    }
}

/// The node processes, and where the scaler takes further nodes.
async fn processes(State(seen): State<Seen>) -> Json<Value> {
    let status = seen.scaler.status();
    let node_of = |token: u64| {
        let node = status.nodes.iter().find(|node| node.parent_token == Some(token));
        node.map(|node| node.view.node.to_string())
    };
    let processes: Vec<_> = seen
        .running
        .all()
        .into_iter()
        .map(|process| {
            let node = node_of(process.token);
            json!({ "pid": process.pid, "zone": process.zone.name(), "node": node })
        })
        .collect();
    Json(json!({ "scaler": seen.address, "processes": processes }))
}
