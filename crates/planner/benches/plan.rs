//! What one plan of 1,000 nodes and 16,384 slots takes: `cargo bench -p memtide-planner`.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use memtide_limits::Limits;
use memtide_planner::{Amounts, Observation, Offer, Past, Policy, Seen, SlotLoad, plan};
use memtide_topology::{
    CacheId, CopyConfig, Epoch, HashSeed, NodeId, NodeInfo, SlotConfig, SlotId, Topology,
    TopologyParts, Zone,
};

const NODES: u64 = 1_000;
const RUNS: u32 = 30;
const NODE: Amounts = Amounts { memory: 8 << 30, ecpu: 28_000, cpu: 1_000, network: 1 << 30 };

fn main() {
    let quiet = observation(15_400_000, None);
    // A planner that knows the load for so long looks for nodes to give back, each second.
    let mut known = Past::default();
    for second in 0..130 {
        known = plan(&at(&quiet, second), &Policy::default(), known).1;
    }
    let idle = at(&observation(2_000_000, None), 130);
    let mut calm = Past::default();
    for second in 0..130 {
        calm = plan(&at(&idle, second), &Policy::default(), calm).1;
    }
    let policy = Policy { nodes_max: 4_000, ..Policy::default() };
    report("nothing to do", &at(&quiet, 130), &policy, &known);
    report("250 nodes are given back", &at(&idle, 130), &policy, &calm);
    report("1,200 nodes are added", &at(&observation(36_000_000, None), 130), &policy, &known);
    report(
        "slots are hot, first seen",
        &at(&observation(14_000_000, Some(20)), 130),
        &policy,
        &known,
    );
}

fn report(name: &str, seen: &Observation, policy: &Policy, past: &Past) {
    let mut times = Vec::new();
    let mut steps = 0;
    for _ in 0..RUNS {
        let past = past.clone();
        let began = Instant::now();
        let (plan, _) = black_box(plan(black_box(seen), policy, past));
        times.push(began.elapsed());
        steps = plan.steps.len();
    }
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{name:<28} median {median:>10.2?}  slowest {most:>10.2?}  {steps} steps");
}

fn at(seen: &Observation, second: u64) -> Observation {
    Observation { at: Duration::from_secs(second), ..seen.clone() }
}

/// Three zones, one replica, 200 GiB, and so many ECPUs per second; each so many slots is five times as hot.
fn observation(ecpu: u64, hot_every: Option<u16>) -> Observation {
    let zone = |number: u64| Zone::new(&format!("zone-{}", number % 3)).unwrap();
    let info = |number: u64| NodeInfo {
        address: format!("node-{number}:1"),
        zone: zone(number),
        memory_max: 1 << 30,
        is_draining: false,
    };
    let nodes: BTreeMap<NodeId, NodeInfo> =
        (1..=NODES).map(|number| (NodeId::new(number), info(number))).collect();
    let epoch = Epoch::new(NODES + 1);
    let config = |slot: SlotId| {
        let primary = u64::from(slot.number()) % NODES;
        let copy = NodeId::new((primary + 1) % NODES + 1);
        let copies = vec![CopyConfig { node: copy, since: epoch, is_in_sync: true }];
        let primary = Some(NodeId::new(primary + 1));
        Arc::new(SlotConfig { epoch, born: epoch, primary, copies })
    };
    let parts = TopologyParts {
        epoch,
        cache: CacheId::default(),
        seed: HashSeed::new(1, 2),
        replicas_wanted: 1,
        nodes,
        slots: SlotId::all().map(config).collect(),
    };
    let topology = Arc::new(Topology::from_parts(parts).unwrap());
    let slots = SlotId::all().map(|slot| {
        let is_hot = hot_every.is_some_and(|every| slot.number() % every == 0);
        SlotLoad { bytes: (200 << 30) / 16_384, ecpu: ecpu / 16_384 * if is_hot { 5 } else { 1 } }
    });
    let slots: Vec<SlotLoad> = slots.collect();
    let each = ecpu / NODES;
    let load = Amounts {
        memory: 420 << 20,
        ecpu: each.min(NODE.ecpu),
        cpu: (each * NODE.cpu / NODE.ecpu).min(NODE.cpu),
        network: each * 1_100,
    };
    let seen = Seen { is_up: true, may_leave: true, load, capacity: NODE, ..Seen::default() };
    let offers = (0..3_u32).map(|id| Offer {
        id,
        zone: zone(u64::from(id)),
        capacity: NODE,
        memory_min: 64 << 20,
        nodes: 2_000,
        ready_in: Duration::from_secs(1),
    });
    Observation {
        at: Duration::ZERO,
        topology,
        nodes: (1..=NODES).map(|number| (NodeId::new(number), seen)).collect(),
        slots,
        limits: Limits::default(),
        offers: offers.collect(),
        ecpu_wanted: Some(ecpu),
        memory_growth: 0,
        slots_remaining: 0,
        under_way: Vec::new(),
        failed: Vec::new(),
    }
}
