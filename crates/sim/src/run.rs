//! A run from its seed to its end, and what must hold then.

use memtide_engine_core::replication::{Canary, OUTCOME_BYTES_MAX};
use memtide_loadtest::verify::{History, Operation, Outcome as Answered, Verdict, check};
use memtide_testkit::Rng;

use crate::heap::{MS, Nanos, SECOND};
use crate::plan::{CALM, Plan, Profile, RECOVERY_MAX, SILENCE_NOTICED_MAX};
use crate::trace::Recording;
use crate::world::World;

/// The last digits of seeds in whose runs pairs of nodes are cut from each other, and nothing else: one of
/// them with the scripted manager, one with the real one, and half of these with whole nodes.
const CUT_SEEDS: [u64; 2] = [7, 8];

/// One seed of so many has nodes that are short of memory, with the real manager and whole nodes; and every
/// other one of whole nodes has large items.
const PRESSED_SEEDS: (u64, u64) = (100, 4);

/// How a seed is run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What of the trace is kept.
    pub recording: Recording,
    /// A bug on purpose.
    pub canary: Option<Canary>,
    /// Who changes the topology.
    pub manager: ManagerKind,
    /// What the nodes are.
    pub nodes: NodeKind,
}

/// What the nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Real ones for every fourth seed, models for the others.
    BySeed,
    /// All of a node but its sockets: store, journal, commands and frames.
    Real,
    /// The replication core with a model of the store.
    Model,
}

/// Who changes the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerKind {
    /// The real one for even seeds, the scripted one for odd ones.
    BySeed,
    /// `memtide-manager`, with a storage and control streams that fail.
    Real,
    /// One that does at random what a manager may do.
    Scripted,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recording: Recording::Off,
            canary: None,
            manager: ManagerKind::BySeed,
            nodes: NodeKind::BySeed,
        }
    }
}

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What must not be, if anything.
    pub violation: Option<String>,
    /// Of all that happened.
    pub trace_hash: u64,
    /// The trace, as far as it was kept.
    pub trace: Vec<String>,
    /// Operations of clients.
    pub operations: usize,
    /// Of these, those that failed.
    pub failed: usize,
    /// Slots that began anew after all of their holders had died.
    pub lost: u32,
    /// Keys of which too much was possible to tell, which are not known to be right.
    pub undecided: u64,
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    let mut rng = Rng::new(seed);
    let mut plan = Plan::of(&mut rng);
    if CUT_SEEDS.contains(&(seed % 10)) {
        plan = plan.of_cuts();
    }
    plan.settings.canary = options.canary;
    plan.is_scripted = match options.manager {
        ManagerKind::BySeed => !seed.is_multiple_of(2),
        ManagerKind::Real => false,
        ManagerKind::Scripted => true,
    };
    plan.has_hosts = match options.nodes {
        NodeKind::BySeed => seed.is_multiple_of(4),
        NodeKind::Real => true,
        NodeKind::Model => false,
    };
    if plan.has_hosts && seed % PRESSED_SEEDS.0 == PRESSED_SEEDS.1 {
        plan = plan.of_small_memory();
    } else if plan.has_hosts && seed.is_multiple_of(8) {
        plan = plan.of_large_items();
    }
    let mut world = World::new(plan.clone(), rng, options.recording);
    world.trace.line(0, || format!("seed {seed}: {plan:?}"));
    let mut undecided = 0;
    let violation = live(&mut world).or_else(|| judge(&mut world, seed, &mut undecided));
    if let Some(what) = &violation {
        world.trace.line(world.heap.now(), || what.clone());
    }
    Outcome {
        violation,
        trace_hash: world.trace.hash(),
        operations: world.workload.history.len(),
        failed: world.workload.failed.len(),
        lost: world.stored.lost.values().sum(),
        undecided,
        trace: world.trace.into_lines(),
    }
}

/// From the first event to the last one.
fn live(world: &mut World) -> Option<String> {
    let faults_until = world.plan.faults_until;
    until(world, faults_until).or_else(|| recover(world))
}

fn until(world: &mut World, time: Nanos) -> Option<String> {
    while world.heap.now() < time {
        if !world.step() {
            return world.checks.violation().cloned();
        }
    }
    None
}

/// I8: after the faults all copies are restored within a bound, and then nothing fails.
fn recover(world: &mut World) -> Option<String> {
    world.end_all_faults();
    let bound = world.heap.now() + RECOVERY_MAX;
    while !world.stored.is_restored() || !is_served(world) {
        if world.heap.now() >= bound {
            let slots = &world.stored.slots;
            let topology = crate::describe::topology(&world.stored.topology, slots);
            return Some(format!(
                "I8: not restored {} s after the faults: {topology}",
                RECOVERY_MAX / SECOND
            ));
        }
        let next = world.heap.now() + 100 * MS;
        if let Some(violation) = until(world, next) {
            return Some(violation);
        }
    }
    // A link that a fault has broken may be found out only now, and what was asked over it with it.
    let calm_from = world.heap.now().max(world.plan.faults_until + SILENCE_NOTICED_MAX);
    let violation = until(world, calm_from).or_else(|| until(world, calm_from + CALM));
    world.is_closing = true;
    let violation = violation.or_else(|| until(world, calm_from + 2 * CALM));
    violation.or_else(|| calm(world, calm_from))
}

/// Whether every slot's primary serves.
fn is_served(world: &World) -> bool {
    world.stored.slots.iter().all(|slot| {
        let primary = world.stored.topology.slot(*slot).primary;
        let node = primary.and_then(|primary| world.nodes.get(&primary));
        node.is_some_and(|node| node.replication().is_serving(*slot))
    })
}

/// When all has been well for a while, everything was answered, and copies are equal.
fn calm(world: &World, calm_from: Nanos) -> Option<String> {
    if let Some(asked) = world.workload.oldest() {
        return Some(format!(
            "I8: a request of {asked} ns was not answered by {calm_from} and later"
        ));
    }
    if world.workload.failed.iter().any(|asked| *asked >= calm_from) {
        return Some("I8: a request failed when all was well".to_owned());
    }
    for slot in &world.stored.slots {
        let config = world.stored.topology.slot(*slot);
        if world.checks.is_left_out(*slot) {
            continue;
        }
        let content = |node| world.nodes.get(&node).map(|node| node.content(*slot));
        let primary = config.primary.and_then(content);
        if let Some(other) = config.in_sync().find(|node| content(*node) != primary) {
            return Some(format!("I4: {other} differs from its primary in {slot:?} in the end"));
        }
    }
    None
}

/// What the clients saw, in all.
fn judge(world: &mut World, seed: u64, undecided: &mut u64) -> Option<String> {
    if let Some(violation) = world.workload.close() {
        return Some(violation);
    }
    let is_all_up = matches!(world.plan.profile, Profile::Planned | Profile::Cut);
    let may_fail = if world.plan.unit > OUTCOME_BYTES_MAX { world.workload.overtaken() } else { 0 };
    if is_all_up && world.workload.failed.len() > may_fail {
        return Some("a request failed though all processes were up".to_owned());
    }
    if is_all_up && !world.stored.lost.is_empty() {
        return Some("a slot was given up though all processes were up".to_owned());
    }
    let (slowest, asked) = world.workload.slowest;
    let wait_max = world.plan.wait_max();
    if world.plan.profile == Profile::Cut && slowest > wait_max {
        return Some(format!("a request of {asked} ns took {slowest} ns, over {wait_max} ns"));
    }
    let history = &world.workload.history;
    let verdict = check(std::slice::from_ref(history), seed, 1);
    *undecided = verdict.undecided_keys;
    if let Some(violation) = told(&verdict) {
        return Some(violation);
    }
    if verdict.misses.evictions_needed == 0 { None } else { misses(world, seed) }
}

fn told(verdict: &Verdict) -> Option<String> {
    let example = verdict.examples.first()?;
    let excerpt = example.excerpt.join("\n  ");
    let (kind, key, what) = (&example.kind, &example.key, &example.what);
    Some(format!("I2, I3: {kind}, key {key}: {what}\n  {excerpt}"))
}

/// I2: no item goes that was not deleted, expired, evicted or given up.
fn misses(world: &World, seed: u64) -> Option<String> {
    let history = &world.workload.history;
    let keys = history.operations().iter().map(|operation| operation.key).max().unwrap_or(0);
    for key in 0..=keys {
        let needed = check(&[of_key(history, key)], seed, 1).misses.evictions_needed;
        let slot = world.workload.slot(key);
        let lost = world.stored.lost.get(&slot).copied().unwrap_or(0);
        if world.checks.is_left_out(slot) {
            continue;
        }
        let evicted = world.checks.evicted.get(&key).copied().unwrap_or(0);
        let known = u64::from(lost + evicted);
        if needed > known {
            let operations = of_key(history, key);
            let mut lines: Vec<String> = Vec::new();
            let mut all = operations.operations().to_vec();
            all.sort_by_key(|operation| operation.completed);
            for Operation { invoked, completed, action, outcome, worker, .. } in all {
                lines.push(format!(
                    "  {invoked}-{completed} worker {worker}: {action:?} -> {outcome:?}"
                ));
            }
            return Some(format!(
                "I2: key {key} of {slot:?} went {needed} times, {known} of them with a reason\n{}",
                lines.join("\n")
            ));
        }
    }
    None
}

fn of_key(history: &History, key: u32) -> History {
    let mut of_key = History::default();
    for operation in history.operations().iter().filter(|operation| operation.key == key) {
        let outcome = match operation.outcome {
            Answered::Hit { value, cas } => {
                Answered::Hit { value: of_key.seen(history.tokens(&value)), cas }
            }
            other => other,
        };
        of_key.push(Operation { outcome, ..*operation });
    }
    of_key
}
