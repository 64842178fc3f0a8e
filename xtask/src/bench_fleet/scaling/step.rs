use std::path::Path;

use memtide_testkit::{Fleet, Loading};
use serde::Serialize;

use super::super::pauses::{Pauses, Told};
use super::super::{Arguments, Seen, load, movement};
use super::curve::Curve;
use super::watch::{Sample, Watch, now_ms, seconds};
use super::{NODE_MIB_MIN, NODES, start, wait_small};
use crate::tell;

/// Keys of a request of the work that comes; each costs an ECPU, and little besides.
const MULTIGET: u64 = 16;
/// Thousandths of what there is of ECPUs that the step asks for: two and a half times what is to be in use.
const STEP_PERMILLE: u64 = 1_050;
/// The same where they are promised: a promise is no load, of which there is to be room left.
const PROMISE_PERMILLE: u64 = 1_400;
/// Slow enough that storing is no load that calls for nodes, and that memory is ahead of the data.
const SLOW: [&str; 2] = ["--connections", "1"];
/// Fills at most until one evicts nothing: the fleet begins with little memory.
const FILLS_MAX: u32 = 5;

/// What a step is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A minimum of ECPUs a second is set, and lifted.
    Promise,
    /// Other clients come that ask for as much, and go.
    Work,
}

/// Twice as much, and back.
#[derive(Debug, Serialize)]
pub struct Step {
    /// Of what.
    pub kind: Kind,
    /// ECPUs a second that were asked for.
    pub ecpu: u64,
    /// Items that the first fill evicted, before memory was there.
    pub evicted_by_first_fill: u64,
    /// As it was.
    pub nodes_before: usize,
    /// As it became.
    pub nodes: usize,
    /// From the step until there were twice as many nodes, and all slots where they belong.
    pub doubled_s: f64,
    /// Bytes of items that were read for it.
    pub moved_bytes: u64,
    /// How long slots had nobody who served them meanwhile.
    pub pauses: Told,
    /// From when it was taken back until the fleet was as before.
    pub back_s: f64,
    /// Items that were evicted from the step on.
    pub evicted: u64,
    /// Errors that other clients got.
    pub errors_of_others: u64,
    /// Just before, on the fleet as it was.
    pub before: Seen,
    /// From the step until there was twice as much.
    pub during: Seen,
    /// Just after.
    pub after: Seen,
    /// From when it was taken back until the fleet was as before.
    pub back: Seen,
}

impl Kind {
    /// As it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promise => "promise",
            Self::Work => "work",
        }
    }

    /// As it is told.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Promise => "a promise of ECPUs",
            Self::Work => "other clients",
        }
    }
}

/// What was asked for, for as long as it is.
struct Asked<'f> {
    fleet: &'f Fleet,
    others: Option<Loading>,
    at_ms: u64,
}

impl<'f> Asked<'f> {
    fn begin(fleet: &'f Fleet, kind: Kind, ecpu: u64) -> Self {
        let others = match kind {
            Kind::Promise => {
                let ecpu = ecpu.to_string();
                fleet.cache(&["limits", "set", "--ecpu-per-second-min", &ecpu]);
                None
            }
            Kind::Work => {
                let rate = (ecpu / MULTIGET).to_string();
                let multiget = MULTIGET.to_string();
                // Keys of another length are others.
                let words = ["--keys", "10k", "--key-size", "24", "--value-size", "100", "--fill"];
                let load = ["--mix", "get=100", "--warmup", "0", "--connections", "8", "--rate"];
                let words = words.into_iter().chain(load).chain([&*rate, "--multiget", &multiget]);
                Some(load::start(fleet, words.map(str::to_owned).collect()))
            }
        };
        Self { fleet, others, at_ms: now_ms() }
    }

    /// When it began to end, and the errors that others got.
    fn end(self) -> (u64, u64) {
        let at_ms = now_ms();
        let errors = match self.others {
            Some(others) => load::seen(&others.finish()).errors,
            None => {
                self.fleet.cache(&["limits", "set", "--ecpu-per-second-min", "0"]);
                0
            }
        };
        (at_ms, errors)
    }
}

/// Fills a fleet, and has it follow a step.
///
/// # Panics
/// Where the fleet does not do it.
pub fn measure(memtide: &Path, arguments: &Arguments, kind: Kind) -> (Step, Curve) {
    let most = u32::try_from(NODES.1).expect("it is 8");
    // Two nodes have room for four times the data: half of it must be enough when some has been moved and dropped.
    let fleet = start(memtide, most * (2 * arguments.mib).max(NODE_MIB_MIN), 0, "30s");
    let watch = Watch::start(&fleet);
    tell(&format!("{}: storing {} MiB", kind.what(), arguments.mib));
    let evicted_by_first_fill = fill(&fleet, arguments, &watch);
    let start = wait_small(&watch);
    drop(watch);
    let (ecpu, watch) = (asked(kind, &start), Watch::start(&fleet));
    let mut curve = Curve::default();
    let before = curve.alone(&fleet, arguments);
    tell(&format!("{}: {ecpu} ECPUs a second", kind.what()));
    let (pauses, copied) = (Pauses::of(&fleet), movement::copied_bytes(&fleet));
    let ((begun, doubled), during) = curve.during(&fleet, arguments, || {
        let begun = Asked::begin(&fleet, kind, ecpu);
        let doubled = watch
            .wait("there is twice as much", |it| it.nodes >= 2 * start.nodes && it.is_settled());
        (begun, doubled)
    });
    let begun_ms = begun.at_ms;
    let pauses = Pauses::of(&fleet).since(&pauses);
    let moved_bytes = movement::copied_bytes(&fleet) - copied;
    let after = curve.alone(&fleet, arguments);
    let (((ended_ms, errors_of_others), small), back) = curve.during(&fleet, arguments, || {
        let ended = begun.end();
        (ended, wait_small(&watch))
    });
    curve.mark(begun_ms, format!("{}: {ecpu} ECPUs a second", kind.what()));
    curve.mark(doubled.at_ms, "twice as much, data moved");
    curve.mark(ended_ms, "no more");
    curve.mark(small.at_ms, "as before");
    let title = format!("{}, {} MiB, without replicas", kind.what(), arguments.mib);
    curve.finish(&title, watch.finish());
    let step = Step {
        kind,
        ecpu,
        evicted_by_first_fill,
        nodes_before: start.nodes,
        nodes: doubled.nodes,
        doubled_s: seconds(begun_ms, doubled.at_ms),
        moved_bytes,
        pauses,
        back_s: seconds(ended_ms, small.at_ms),
        evicted: small.evicted.saturating_sub(start.evicted),
        errors_of_others,
        before,
        during,
        after,
        back,
    };
    tell(&format!("{:.1} s, and back in {:.1} s", step.doubled_s, step.back_s));
    (step, curve)
}

/// Fills until nothing is evicted; gives what the first fill evicted.
fn fill(fleet: &Fleet, arguments: &Arguments, watch: &Watch) -> u64 {
    let mut first = None;
    for _ in 0..FILLS_MAX {
        let before = watch.now().evicted;
        load::fill_with(fleet, arguments, &SLOW);
        let after_ms = now_ms();
        let evicted = watch.wait("the fill is told", |it| it.at_ms > after_ms + 1_500).evicted;
        first.get_or_insert(evicted - before);
        if evicted == before {
            break;
        }
    }
    first.unwrap_or_default()
}

fn asked(kind: Kind, start: &Sample) -> u64 {
    let permille = match kind {
        Kind::Promise => PROMISE_PERMILLE,
        Kind::Work => STEP_PERMILLE,
    };
    start.ecpu.1 * permille / 1_000
}
