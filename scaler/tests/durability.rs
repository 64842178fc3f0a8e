//! A scaler that is killed, or cannot write.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::fs;
use std::time::Duration;

use common::{Fleet, note};
use memtide_scaler::{ScalerError, StoreError};
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{CacheId, Epoch};

/// Scalers that end after ever more commits, while nodes get slots, move them and make replicas: nobody is
/// told of two topologies with one epoch, and the work gets done.
#[test]
fn no_epoch_is_used_twice_however_often_the_scaler_is_killed() {
    let fleet = Fleet::new();
    let nodes = [fleet.node("a"), fleet.node("b"), fleet.node("c")];
    for commits in 1..=12 {
        let rig = fleet.start_with(|config| {
            config.replicas = Some(commits % 3);
            // One that was added and never told is not waited for.
            config.settings.silence_max = Duration::from_millis(750);
        });
        let from = rig.topology().epoch().number();
        note(&fleet.seen, &rig.topology());
        let enough = Epoch::new(from + u64::from(commits));
        let killed_at = rig.until("some commits, or nothing left to do", |topology| {
            topology.epoch() >= enough || common::is_complete(topology)
        });
        note(&fleet.seen, &killed_at);
    }
    let rig = fleet.start_with(|config| config.replicas = Some(1));
    let ids: Vec<_> = nodes.iter().map(common::Node::id).collect();
    rig.until_settled(&ids);
    // Some were added, and the scaler was killed before they were told so: those are gone.
    rig.until("nobody else to be there", |topology| topology.nodes().len() == nodes.len());
    for node in &nodes {
        assert!(node.ids().iter().all(|id| *id == node.id()), "{:?}", node.ids());
    }
}

/// As with limits.
#[test]
fn replicas_that_were_set_stay_until_the_configuration_says_something_else() {
    let fleet = Fleet::new();
    let node = fleet.node("a");
    let start = |replicas| fleet.start_with(|config| config.replicas = replicas);
    let followed = || {
        let file = fleet.data_dir().join("replicas");
        wait_until("it to be written down", PATIENCE, || fs::read_to_string(&file).ok())
    };
    let rig = start(Some(1));
    rig.until_settled(&[node.id()]);
    assert_eq!(followed(), "1\n");
    let (status, body) = rig.put("/v1/replicas", r#"{"replicas":2}"#);
    assert_eq!(status, 200, "{body}");
    drop(rig);
    for (configured, wanted) in [(Some(1), 2), (None, 2), (Some(0), 0), (Some(1), 1)] {
        let rig = start(configured);
        rig.until(&format!("{configured:?} to be followed"), |it| it.replicas_wanted() == wanted);
        if let Some(configured) = configured {
            assert_eq!(followed(), format!("{configured}\n"));
        }
        assert_eq!(rig.topology().replicas_wanted(), wanted);
    }
}

#[test]
fn nobody_hears_of_what_is_not_stored() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let a = fleet.node("a");
    let settled = rig.until_settled(&[a.id()]);
    wait_until("the node to hear", PATIENCE, || (a.epoch() == settled.epoch()).then_some(()));
    // A directory cannot be written as a file, whoever tries.
    let obstacle = fleet.data_dir().join("topology.new");
    fs::create_dir(&obstacle).unwrap();
    let asked = std::thread::spawn({
        let address = rig.address;
        move || common::http(address, "PUT", "/v1/replicas", r#"{"replicas":2}"#)
    });
    wait_until("the failure to be told", PATIENCE, || rig.has_event("store_failed").then_some(()));
    let (status, body) = wait_until("it not to be ready", PATIENCE, || {
        Some(rig.get("/readyz")).filter(|(status, _)| *status == 503)
    });
    assert!(body.starts_with("the topology cannot be stored: failed to write "), "{status} {body}");
    assert_eq!((rig.topology().epoch(), a.epoch()), (settled.epoch(), settled.epoch()));
    fs::remove_dir(&obstacle).unwrap();
    let (status, body) = asked.join().unwrap();
    assert!([200, 202].contains(&status), "{status} {body}");
    rig.until("the replicas to be stored", |topology| topology.replicas_wanted() == 2);
    assert!(rig.has_event("store_recovered"));
    wait_until("it to be ready", PATIENCE, || (rig.get("/readyz").0 == 200).then_some(()));
}

#[test]
fn a_directory_that_is_not_its_own_is_refused() {
    let fleet = Fleet::new();
    let rig = fleet.start();
    let mut config = fleet_config_elsewhere(&fleet);
    let held = fleet.try_start(config).map(|_| ());
    assert!(matches!(held, Err(ScalerError::Store(StoreError::Held { .. }))), "{held:?}");
    drop(rig);
    config = fleet.config();
    config.cache = CacheId::new("other").unwrap();
    let other = fleet.try_start(config).map(|_| ());
    assert!(matches!(other, Err(ScalerError::OtherCache { .. })), "{other:?}");
    fs::write(fleet.data_dir().join("topology"), "torn").unwrap();
    let error = fleet.try_start(fleet.config()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("is no topology of memtide"), "{error}");
}

/// With the port of the one that runs, it would fail sooner.
fn fleet_config_elsewhere(fleet: &Fleet) -> memtide_scaler::ScalerConfig {
    let other = Fleet::new();
    memtide_scaler::ScalerConfig { data_dir: fleet.data_dir(), ..other.config() }
}
