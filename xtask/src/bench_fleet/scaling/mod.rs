//! How fast a fleet follows the load by itself, both ways, and what clients see of it.
//!
//! - [`step`]: 1 GiB on two nodes, and twice the work asked for or promised, then no more.
//! - [`data`]: data that comes as fast as it is taken, with a copy of each slot, and expires.
//! - [`steady`]: a load that stays.
//! - [`watch`]: what the fleet is, five times a second; [`curve`]: that as an image.
//! - [`table`]: the results as Markdown.

mod curve;
mod data;
mod steady;
mod step;
mod table;
mod watch;

use std::path::Path;

use memtide_testkit::Fleet;
use serde::Serialize;

pub use self::table::{failures, write};
use self::watch::{Sample, Watch};

use super::Arguments;

/// What is promised of a step: so long at most until there is twice as much, with the data moved.
pub const DOUBLED_WITHIN_S: f64 = 30.0;
/// Most hits that may be missing while the fleet changes, of all.
pub const HIT_RATIO_DIP_MAX: f64 = 0.001;

/// Nodes at the start, and at most.
const NODES: (usize, usize) = (2, 8);
const ZONES: &str = "a,b";
/// What a node must have at least that can be given half of anything.
const NODE_MIB_MIN: u32 = 128;

/// All that was measured; a step that was not asked for is not there.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    steps: Vec<step::Step>,
    data: Option<data::Data>,
    steady: Option<steady::Steady>,
}

/// Measures what was asked for, and writes the curves.
///
/// # Errors
/// A name that is none, or a curve that cannot be written.
///
/// # Panics
/// Where a fleet does not do it.
pub fn measure(memtide: &Path, arguments: &Arguments) -> anyhow::Result<Results> {
    const STEPS: [&str; 4] = ["promise", "work", "data", "steady"];
    if let Some(name) = arguments.steps.iter().find(|name| !STEPS.contains(&name.as_str())) {
        anyhow::bail!("--steps {name}: no such step; there are {}", STEPS.join(", "));
    }
    let is_wanted =
        |step: &str| arguments.steps.is_empty() || arguments.steps.iter().any(|it| it == step);
    let mut results = Results::default();
    for kind in [step::Kind::Promise, step::Kind::Work] {
        if is_wanted(kind.name()) {
            let (step, curve) = step::measure(memtide, arguments, kind);
            curve::write(arguments.curves.as_deref(), kind.name(), &curve)?;
            results.steps.push(step);
        }
    }
    if is_wanted("data") {
        let (data, curve) = data::measure(memtide, arguments);
        curve::write(arguments.curves.as_deref(), "data", &curve)?;
        results.data = Some(data);
    }
    if is_wanted("steady") && arguments.steady > 0 {
        results.steady = Some(steady::measure(memtide, arguments));
    }
    Ok(results)
}

/// A fleet that may have so many mebibytes, with so many replicas, and gives nodes back after a while.
fn start(memtide: &Path, mib: u32, replicas: u8, scale_in_after: &str) -> Fleet {
    let memory = format!("{mib}m");
    let arguments = ["--memory", &memory, "--scale-in-after", scale_in_after];
    Fleet::start_scaling(memtide, NODES, (ZONES, replicas), &arguments)
}

/// Waits until there are as many nodes as at the start, with nothing under way.
fn wait_small(watch: &Watch) -> Sample {
    watch.wait("there are as many nodes as at the start", |it| {
        it.nodes == NODES.0 && it.is_settled()
    })
}
