//! The fleet follows what is in it, by itself.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Fleet, Node, Rig};
use memtide_control::Capacity;
use memtide_limits::{Limits, Range};
use memtide_planner::Policy;
use memtide_scaler::{Order, ProvisionError, Provisioned, Provisioner, Scaling, Supply};
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::Zone;
use tokio::sync::watch;

const MIB: u64 = 1 << 20;

/// Orders, and whether nobody answers.
#[derive(Debug, Default)]
struct Desk {
    orders: Mutex<Vec<Order>>,
    ended: Mutex<Vec<String>>,
    hangs: AtomicBool,
}

/// Starts nothing, but says what it was told to.
#[derive(Clone, Debug, Default)]
struct Hired(Arc<Desk>);

impl Provisioner for Hired {
    fn name(&self) -> &'static str {
        "hired"
    }

    fn supplies(&self) -> Vec<Supply> {
        let capacity = Capacity { memory: 4 << 30, ..Capacity::default() };
        let (zone, ready_in) = (Zone::new("a").unwrap(), Duration::from_secs(1));
        vec![Supply {
            kind: "large".to_owned(),
            zone,
            capacity,
            memory_min: 64 * MIB,
            nodes: 8,
            ready_in,
            names: Vec::new(),
            there: Vec::new(),
        }]
    }

    fn outlives_scaler(&self) -> bool {
        true
    }

    fn start(&self, order: Order) -> Provisioned {
        self.0.orders.lock().unwrap().push(order);
        let hangs = self.0.hangs.load(Ordering::Relaxed);
        Box::pin(async move { if hangs { std::future::pending().await } else { Ok(()) } })
    }

    fn resize(&self, _: String, _: u64) -> Provisioned {
        Box::pin(async { Ok(()) })
    }

    fn end(&self, instance: String) -> Provisioned {
        self.0.ended.lock().unwrap().push(instance);
        let is_away = self.0.hangs.load(Ordering::Relaxed);
        let away = || ProvisionError("nobody is at the desk".to_owned());
        Box::pin(async move { if is_away { Err(away()) } else { Ok(()) } })
    }
}

/// Quick, with one node at least and eight at most.
fn scaling(provisioner: Option<Hired>) -> Scaling {
    let policy = Policy {
        confirm: Duration::ZERO,
        in_after: Duration::from_secs(2),
        in_after_max: Duration::from_secs(4),
        cool_down: Duration::from_secs(1),
        nodes_max: 8,
        ..Policy::default()
    };
    let provisioner = provisioner.map(|it| Arc::new(it) as _);
    Scaling { policy, provisioner, spares_per_zone: 0 }
}

fn limits(data_min: u64) -> Limits {
    let data_storage = Range { min: data_min, max: 0 };
    Limits { data_storage, ..Limits::default() }
}

fn start(fleet: &Fleet, provisioner: Option<Hired>, limits: watch::Receiver<Limits>) -> Rig {
    fleet.start_with(|config| {
        config.scaling = Some(scaling(provisioner));
        config.limits = limits;
    })
}

fn memory(rig: &Rig) -> u64 {
    rig.topology().nodes().values().map(|info| info.memory_max).sum()
}

/// As much, but for what is not worth a step.
fn has(rig: &Rig, bytes: u64) -> bool {
    memory(rig) >= bytes / 100 * 99
}

fn until_nodes(rig: &Rig, nodes: usize) {
    let so_many = |topology: &memtide_topology::Topology| topology.nodes().len() == nodes;
    rig.until(&format!("{nodes} nodes"), so_many);
}

/// Starts a node for each order that has none.
fn serve(fleet: &Fleet, hired: &Hired, nodes: &mut BTreeMap<String, Node>) {
    for order in hired.0.orders.lock().unwrap().iter() {
        let start = || Node::instance(fleet, "a", (&order.instance, order.is_spare));
        nodes.entry(order.instance.clone()).or_insert_with(start);
    }
}

#[test]
fn a_minimum_brings_memory_and_spares_before_the_data_and_gives_them_back() {
    let fleet = Fleet::new();
    let (owner, limits_now) = watch::channel(Limits::default());
    let rig = start(&fleet, None, limits_now);
    let first = Node::instance(&fleet, "a", ("by-hand", false));
    let _spares = ["x", "y"].map(|name| Node::instance(&fleet, "a", (name, true)));
    rig.until_settled(&[first.id()]);
    wait_until("both spares to wait", PATIENCE, || {
        (rig.json("/v1/scaling")["spares"] == 2).then_some(())
    });
    let (_, metrics) = rig.get("/metrics");
    let mut programs = metrics.lines().filter(|line| line.starts_with("memtide_fleet_programs{"));
    let of_spares = programs.find(|line| line.contains(r#"role="spare""#));
    assert!(of_spares.is_some_and(|line| line.ends_with(" 2")), "{metrics}");
    // In place first.
    owner.send_replace(limits(1 << 30));
    wait_until("memory for it", PATIENCE, || has(&rig, 1 << 30).then_some(()));
    assert_eq!(rig.topology().nodes().len(), 1);
    // Then spares.
    owner.send_replace(limits(10 << 30));
    until_nodes(&rig, 3);
    wait_until("memory for it", PATIENCE, || has(&rig, 10 << 30).then_some(()));
    let explained = wait_until("both spares to be taken", PATIENCE, || {
        Some(rig.json("/v1/scaling")).filter(|it| it["spares"] == 0)
    });
    let last = explained["decisions"][0]["summary"].as_str().unwrap();
    assert!(last.contains("a limit's minimum promises more memory than there is"), "{last}");
    assert!(rig.has_event("scaling_decided"));
    // Only what the scaler took is its to give back.
    owner.send_replace(limits(0));
    until_nodes(&rig, 1);
    assert_eq!(rig.topology().nodes().keys().copied().collect::<Vec<_>>(), [first.id()]);
    wait_until("memory to be given back", PATIENCE, || (memory(&rig) <= 128 * MIB).then_some(()));
}

#[test]
fn a_scaler_that_was_killed_goes_on_with_what_it_had_ordered() {
    let fleet = Fleet::new();
    let hired = Hired::default();
    let (_owner, limits_now) = watch::channel(limits(4 << 30));
    let rig = start(&fleet, Some(hired.clone()), limits_now.clone());
    let ordered = || hired.0.orders.lock().unwrap().first().cloned();
    let first = wait_until("a node to be ordered", PATIENCE, ordered);
    drop(rig);
    let rig = start(&fleet, Some(hired.clone()), limits_now);
    let mut nodes = BTreeMap::new();
    serve(&fleet, &hired, &mut nodes);
    wait_until("memory for it", PATIENCE, || {
        serve(&fleet, &hired, &mut nodes);
        has(&rig, 4 << 30).then_some(())
    });
    let topology = rig.topology();
    rig.until_settled(&topology.nodes().keys().copied().collect::<Vec<_>>());
    // The same again, under the same name, and no other in its place.
    let orders = hired.0.orders.lock().unwrap().clone();
    assert!(orders.contains(&first), "{orders:?}");
    assert_eq!(nodes.len(), topology.nodes().len(), "{orders:?}");
}

#[test]
fn a_provisioner_that_hangs_holds_up_no_failover() {
    let fleet = Fleet::new();
    let hired = Hired::default();
    let (owner, limits_now) = watch::channel(Limits::default());
    let rig = fleet.start_with(|config| {
        config.scaling = Some(scaling(Some(hired.clone())));
        config.limits = limits_now;
        config.replicas = Some(1);
        config.settings.nodes_min = 2;
        config.settings.gone_grace = Duration::from_millis(50);
    });
    let (kept, lost) = (fleet.node("a"), fleet.node("a"));
    let ids = [kept.id(), lost.id()];
    rig.until_settled(&ids);
    hired.0.hangs.store(true, Ordering::Relaxed);
    owner.send_replace(limits(64 << 30));
    let ordered = || (!hired.0.orders.lock().unwrap().is_empty()).then_some(());
    wait_until("a node to be ordered", PATIENCE, ordered);
    drop(lost);
    rig.until("slots to fail over", |topology| {
        topology.slots().all(|(_, config)| config.primary == Some(ids[0]))
    });
    let under_way = rig.json("/v1/scaling")["under_way"].clone();
    assert!(!under_way.as_array().unwrap().is_empty(), "{under_way}");
}
