use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::super::{Arguments, Seen, load};
use super::watch::{Watch, now_ms};
use super::{NODE_MIB_MIN, NODES, start};
use crate::tell;

/// So long nothing is decided before the fleet counts as one that has come to rest: twice the time after
/// which it gives back.
const REST: Duration = Duration::from_secs(60);

/// A load that stays.
#[derive(Debug, Serialize)]
pub struct Steady {
    /// So long.
    pub seconds: u32,
    /// What was decided in it.
    pub decisions: u64,
    /// What it saw.
    pub load: Seen,
}

/// Fills a fleet, waits until it rests under a load, and counts what it decides then.
///
/// # Panics
/// Where it does not come to rest.
pub fn measure(memtide: &Path, arguments: &Arguments) -> Steady {
    let quarter = Arguments { mib: (arguments.mib / 4).max(1), ..arguments.clone() };
    let least = u32::try_from(NODES.1).expect("it is 8") * NODE_MIB_MIN / 2;
    let fleet = start(memtide, (4 * arguments.mib).max(least), 1, "30s");
    load::fill(&fleet, &quarter);
    let seconds = arguments.steady;
    tell(&format!("a load that stays, for {seconds} s from when the fleet rests"));
    let watch = Watch::start(&fleet);
    let (decisions, load) = load::during(&fleet, &quarter, || {
        let rested = rest(&watch);
        thread::sleep(Duration::from_secs(u64::from(seconds)));
        watch.now().decision - rested
    });
    Steady { seconds, decisions, load }
}

/// Waits until nothing was decided for long, and gives the number of the newest decision.
fn rest(watch: &Watch) -> u64 {
    loop {
        let since = watch.wait("nothing is under way", |it| it.is_settled());
        let until = now_ms() + u64::try_from(REST.as_millis()).expect("a minute");
        let next = watch.wait("it rests", |it| it.decision != since.decision || it.at_ms > until);
        if next.decision == since.decision {
            return since.decision;
        }
    }
}
