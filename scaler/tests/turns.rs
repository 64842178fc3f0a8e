//! Scalers that lead in turn, in the middle of what they have begun; on a real etcd.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Fleet, Node};
use memtide_control::Capacity;
use memtide_etcd::{Access, Config, Endpoint};
use memtide_limits::{Limits, Range};
use memtide_manager::Operation;
use memtide_planner::Policy;
use memtide_scaler::{
    EtcdSettings, OperateError, Order, Provisioned, Provisioner, Scaler, ScalerConfig, Scaling,
    Supply,
};
use memtide_testkit::{Etcd, PATIENCE, wait_until};
use memtide_topology::Zone;
use tokio::sync::watch;

const GIB: u64 = 1 << 30;

/// Whom both scalers order nodes of.
#[derive(Clone, Debug, Default)]
struct Desk {
    orders: Arc<Mutex<Vec<Order>>>,
    hangs: Arc<AtomicBool>,
}

impl Provisioner for Desk {
    fn name(&self) -> &'static str {
        "desk"
    }

    fn supplies(&self) -> Vec<Supply> {
        let capacity = Capacity { memory: 4 * GIB, ..Capacity::default() };
        let (zone, ready_in) = (Zone::new("a").unwrap(), Duration::from_secs(1));
        let (kind, memory_min) = ("large".to_owned(), 64 << 20);
        let (names, there) = (Vec::new(), Vec::new());
        vec![Supply { kind, zone, capacity, memory_min, nodes: 8, ready_in, names, there }]
    }

    fn outlives_scaler(&self) -> bool {
        true
    }

    fn start(&self, order: Order) -> Provisioned {
        self.orders.lock().unwrap().push(order);
        let hangs = self.hangs.load(Ordering::Relaxed);
        Box::pin(async move { if hangs { std::future::pending().await } else { Ok(()) } })
    }

    fn resize(&self, _: String, _: u64) -> Provisioned {
        Box::pin(async { Ok(()) })
    }

    fn end(&self, _: String) -> Provisioned {
        Box::pin(async { Ok(()) })
    }
}

fn start(etcd: &Etcd, desk: &Desk, mut config: ScalerConfig) -> Scaler {
    let data_storage = Range { min: 4 * GIB, max: 0 };
    config.limits = watch::channel(Limits { data_storage, ..Limits::default() }).1;
    let policy = Policy { confirm: Duration::ZERO, nodes_max: 8, ..Policy::default() };
    let provisioner = Some(Arc::new(desk.clone()) as _);
    config.scaling = Some(Scaling { policy, provisioner, spares_per_zone: 0 });
    let endpoint = |port| Endpoint { is_tls: false, host: "127.0.0.1".to_owned(), port };
    let endpoints = etcd.ports().into_iter().map(endpoint).collect();
    let settings = EtcdSettings {
        etcd: Config { endpoints, access: Access::default() },
        prefix: "/memtide".to_owned(),
        host: "127.0.0.1".to_owned(),
        admin: "127.0.0.1:1".to_owned(),
    };
    Scaler::start_shared(config, settings).unwrap()
}

fn wait_leads(scaler: &Scaler) {
    wait_until("it leads", PATIENCE, || scaler.handle().standby().is_none().then_some(()));
}

#[test]
fn what_a_leader_has_ordered_when_it_is_deposed_is_ordered_by_the_next_one_and_nothing_else_is() {
    let (etcd, fleet, desk) = (Etcd::start(1), Fleet::new(), Desk::default());
    desk.hangs.store(true, Ordering::Relaxed);
    let mut config = fleet.config();
    config.listener = TcpListener::bind("127.0.0.1:0").unwrap();
    config.data_dir = fleet.data_dir().with_extension("first");
    let first = start(&etcd, &desk, config);
    wait_leads(&first);
    let ordered = || desk.orders.lock().unwrap().first().cloned();
    let order = wait_until("a node to be ordered", PATIENCE, ordered);
    let second = start(&etcd, &desk, fleet.config());
    wait_until("it to hear who leads", PATIENCE, || {
        let why = second.handle().standby()?;
        why.contains(&first.address().to_string()).then_some(())
    });
    // Both live; it is etcd that says so.
    desk.hangs.store(false, Ordering::Relaxed);
    let before = desk.orders.lock().unwrap().len();
    let me = first.address().to_string();
    // Where the first one is the quicker one it leads on, and loses it again.
    wait_until("the second to lead", PATIENCE, || {
        if second.handle().standby().is_none() {
            return Some(());
        }
        let leader = etcd.ctl(&["get", "/memtide/default/leader", "--write-out", "fields"]);
        let lease = leader.lines().find_map(|line| line.strip_prefix("\"Lease\" : "));
        if let Some(lease) = lease.filter(|_| leader.contains(&me)) {
            let lease = lease.parse::<i64>().unwrap();
            // It may have ended since.
            let _ = etcd.try_ctl(&["lease", "revoke", &format!("{lease:x}")]);
        }
        None
    });
    wait_until("the other to stand by", PATIENCE, || first.handle().standby());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(first.handle().operate(Operation::SetReplicas(1)));
    assert!(matches!(refused, Err(OperateError::Behind(_))), "{refused:?}");
    let mut nodes = BTreeMap::new();
    wait_until("nodes with as much memory", PATIENCE, || {
        for order in desk.orders.lock().unwrap().iter() {
            let join = || Node::instance(&fleet, "a", (&order.instance, order.is_spare));
            nodes.entry(order.instance.clone()).or_insert_with(join);
        }
        let topology = Arc::clone(&second.handle().topologies().borrow());
        let memory: u64 = topology.nodes().values().map(|info| info.memory_max).sum();
        (memory >= 4 * GIB / 100 * 99).then_some(())
    });
    let orders = desk.orders.lock().unwrap().clone();
    let again = orders[before..].iter().find(|it| it.instance == order.instance);
    assert!(again.is_some(), "{orders:?}");
    let names: BTreeSet<_> = orders.iter().map(|order| &order.instance).collect();
    let topology = Arc::clone(&second.handle().topologies().borrow());
    assert_eq!(topology.nodes().len(), names.len(), "{orders:?}");
}
