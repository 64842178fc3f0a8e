//! All slots of a fleet from one node to the other, and back.

use std::path::Path;
use std::time::Instant;

use memtide_testkit::{Fleet, FleetNode};
use serde::Serialize;

use super::Arguments;
use super::load::{self, Seen};
use super::pauses::{Pauses, Told};
use crate::tell;

/// All 16,384 slots, from one node to another.
#[derive(Debug, Serialize)]
pub struct Move {
    /// What was in them, in words.
    pub what: String,
    /// From the order until no slot was held but where it belongs.
    pub seconds: f64,
    /// Bytes of items that were read for it.
    pub bytes: u64,
    /// How long slots had nobody who served them.
    pub pauses: Told,
    /// The load before it, meanwhile, and after it; nothing of empty slots.
    pub load: Option<Loaded>,
}

/// What a load saw of a move.
#[derive(Debug, Serialize)]
pub struct Loaded {
    /// Just before, on the fleet as it was.
    pub before: Seen,
    /// From when the move was ordered until it was done.
    pub during: Seen,
    /// Just after.
    pub after: Seen,
}

impl Move {
    /// Megabytes a second.
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory are below 2^52")]
    pub fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }
}

/// Moves all slots forth and back, first empty and then full.
///
/// # Errors
/// None so far.
///
/// # Panics
/// Where the fleet does not do it.
pub fn measure(memtide: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Move>> {
    // Each of the two has room for everything, and for what an item costs beside its bytes.
    let memory = format!("{}m", 4 * arguments.mib + 256);
    let fleet = Fleet::start_sized(memtide, (2, "a,b", 0), &["--memory", &memory]);
    let nodes = fleet.nodes();
    let [one, other] = nodes.as_slice() else { anyhow::bail!("two nodes were started") };
    tell("moving the empty half of the slots to one node, all to the other, and back");
    move_all(&fleet, one);
    let mut moves = Vec::new();
    for to in [other, one] {
        let moved = move_all(&fleet, to);
        moves.push(Move { what: "empty".to_owned(), load: None, ..moved });
    }
    tell(&format!("storing {} MiB", arguments.mib));
    load::fill(&fleet, arguments);
    for to in [other, one] {
        tell(&format!("moving {} MiB under load", arguments.mib));
        let before = load::alone(&fleet, arguments);
        let (moved, during) = load::during(&fleet, arguments, || move_all(&fleet, to));
        let after = load::alone(&fleet, arguments);
        let what = format!("{} MiB in items of 1 KiB", arguments.mib);
        moves.push(Move { what, load: Some(Loaded { before, during, after }), ..moved });
    }
    Ok(moves)
}

fn move_all(fleet: &Fleet, to: &FleetNode) -> Move {
    let (pauses, copied) = (Pauses::of(fleet), copied_bytes(fleet));
    let began = Instant::now();
    fleet.cache(&["slots", "move", "0-16383", "--to", &to.node]);
    fleet.wait_all_on(to);
    let seconds = began.elapsed().as_secs_f64();
    let pauses = Pauses::of(fleet).since(&pauses);
    let bytes = copied_bytes(fleet) - copied;
    tell(&format!("{seconds:.2} s, {} MB", bytes / 1_000_000));
    Move { what: String::new(), seconds, bytes, pauses, load: None }
}

/// Bytes of items that nodes have read so far to copy them.
pub fn copied_bytes(fleet: &Fleet) -> u64 {
    let metrics = fleet.node_metrics();
    let copied = metrics.values().filter_map(|it| it.sum("memtide_node_copied_bytes_total"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of memory are below 2^52"
    )]
    let bytes = copied.sum::<f64>() as u64;
    bytes
}
