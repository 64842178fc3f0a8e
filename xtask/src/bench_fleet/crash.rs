//! Node processes that are killed and stopped under `loadtest --verify`.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use memtide_testkit::{Fleet, FleetNode, PATIENCE, Signal, Verifying, wait_until};
use serde::Serialize;

use super::load::{self, Seen};
use crate::tell;

/// What is promised: a second and the lease.
pub const REPLY_WITHIN_MS: u64 = 2_000;

/// As in the fault tests, at a higher rate.
const LOAD: [&str; 10] = [
    "--keys",
    "300",
    "--connections",
    "8",
    "--pipeline",
    "4",
    "--rate",
    "2k",
    "--reply-within",
    "2s",
];

/// What was done to a node, and what clients saw of it.
#[derive(Debug, Serialize)]
pub struct Crash {
    /// What was done, in words.
    pub what: String,
    /// The longest that any request waited for its reply.
    pub longest_reply_ms: u64,
    /// Violations of consistency, late replies among them, and keys that could not be decided.
    pub violations: u64,
    /// From the fault, or from its end, until every slot had all its copies again, where they belong.
    pub restored_s: f64,
    /// What the load saw over all of it.
    pub load: Seen,
}

/// A node is killed, then another, then one is stopped for 10 s.
///
/// # Panics
/// Where the fleet does not come back.
pub fn measure(memtide: &Path) -> Vec<Crash> {
    let fleet = Fleet::start(memtide, 3, "a,b,c", 1);
    let mut crashes = Vec::new();
    for what in ["SIGKILL of a node process", "the same of another"] {
        let victim = fleet.nodes().remove(0);
        crashes.push(under_load(&fleet, what, || {
            fleet.signal(&victim, Signal::KILL);
            let began = Instant::now();
            wait_replaced(&fleet, &victim);
            began.elapsed()
        }));
    }
    let victim = fleet.nodes().remove(0);
    crashes.push(under_load(&fleet, "SIGSTOP of a node process for 10 s", || {
        fleet.signal(&victim, Signal::STOP);
        thread::sleep(Duration::from_secs(10));
        fleet.signal(&victim, Signal::CONT);
        let began = Instant::now();
        fleet.wait_settled(3);
        began.elapsed()
    }));
    crashes
}

fn wait_replaced(fleet: &Fleet, lost: &FleetNode) {
    wait_until("the process is replaced", PATIENCE, || {
        let nodes = fleet.nodes();
        let is_new = nodes.iter().all(|node| node.node != lost.node && node.pid != lost.pid);
        (nodes.len() == 3 && is_new).then_some(())
    });
    fleet.wait_settled(3);
}

fn under_load(fleet: &Fleet, what: &str, fault: impl FnOnce() -> Duration) -> Crash {
    tell(what);
    let load = Verifying::start(fleet.program(), fleet.memtide(), LOAD);
    load.wait_answered(2_000);
    let restored = fault();
    load.wait_answered(2_000);
    let verdict = load.finish();
    let violations = verdict.json["verdict"]["violation_counts"].as_array();
    let violations = violations.into_iter().flatten().filter_map(|it| it["count"].as_u64());
    let longest_us = load::number(&verdict.json, "/verdict/longest_reply_us");
    Crash {
        what: what.to_owned(),
        longest_reply_ms: longest_us / 1_000,
        violations: violations.sum::<u64>()
            + load::number(&verdict.json, "/verdict/undecided_keys"),
        restored_s: restored.as_secs_f64(),
        load: load::seen(&verdict),
    }
}
