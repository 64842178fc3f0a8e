//! What a proxy has counted that its scaler may not have written down.
//!
//! ```text
//!  cores -- counts --> Owed -- this process, and those before it --> control stream --> scaler
//!                       | ^------ "those are written" ------------------------------------/
//!                       v
//!                  a line of the log: what the next process here owes
//! ```
//! So nothing is lost that was counted while the scaler was away, whoever is killed meanwhile: but what
//! this process counted since its last line. Nothing is counted twice: each process has an id and says
//! totals, and whatever the scaler has forgotten it knows that it may have (`memtide_records::usage`).

use std::path::Path;

use memtide_control::Counted;
use memtide_control::limits::COUNTED_PER_BEAT_MAX;
use memtide_records::usage::{Counts, SourceId};
use memtide_records::{BYTES_MAX_MIN, Log, LogError, Policy};

use super::keeping::Turn;
use super::now_secs;
use crate::failure::Failure;

const NAME: &str = "owed";
const POLICY: Policy = Policy { bytes_max: BYTES_MAX_MIN, segments: 2 };

/// What each process counted, this one's first.
type Line = Vec<(SourceId, Counts)>;

/// See the module.
#[derive(Debug)]
pub struct Owed {
    log: Log<Line>,
    /// When this process began.
    began_ms: u64,
    /// Of the processes before this one, the newest first.
    earlier: Line,
    /// What the log's last line has.
    written: Line,
    is_failing: bool,
}

impl Owed {
    /// Goes on with what the last process in this directory owed; what of that could not be read is for
    /// the log.
    ///
    /// # Errors
    /// What the system says of the files.
    pub fn open(directory: &Path) -> Result<(Self, Vec<String>), Failure> {
        let (log, scan) = Log::<Line>::open(directory, NAME, POLICY).map_err(|error| {
            Failure::Environment(format!("--data-dir: usage cannot be kept: {error}"))
        })?;
        let faults: Vec<_> = scan.faults.iter().map(ToString::to_string).collect();
        let last = scan.entries.into_iter().last();
        let mut earlier = last.map(|line| line.record).unwrap_or_default();
        // The oldest give way, and a process that has counted nothing owes nothing.
        earlier.retain(|(_, counts)| *counts != Counts::default());
        earlier.truncate(COUNTED_PER_BEAT_MAX - 1);
        let (began_ms, written) = (now_ms(), Line::new());
        Ok((Self { log, began_ms, earlier, written, is_failing: false }, faults))
    }

    /// What is to be told where this process has counted so much, and these are written down. Writes it.
    pub fn turn(&mut self, turn: Turn, counted: Counted, written: &[u64]) -> Vec<Counted> {
        self.earlier.retain(|(source, _)| !written.contains(&source.number));
        let counted = Counted { began_ms: self.began_ms, ..counted };
        let mine = (source_of(&counted), counts_of(&counted));
        let line: Line = std::iter::once(mine).chain(self.earlier.iter().copied()).collect();
        let mut told = self.write(&line);
        if matches!(turn, Turn::Sync | Turn::Last) {
            told = told.and_then(|()| self.log.sync());
        }
        self.tell(told);
        let earlier = self.earlier.iter().map(|(source, counts)| counted_of(*source, *counts));
        std::iter::once(counted).chain(earlier).collect()
    }

    fn write(&mut self, line: &Line) -> Result<(), LogError> {
        if *line == self.written {
            return Ok(());
        }
        self.log.append(now_ms(), line)?;
        self.written.clone_from(line);
        Ok(())
    }

    /// Once, until it works again.
    fn tell(&mut self, done: Result<(), LogError>) {
        let was_failing = std::mem::replace(&mut self.is_failing, done.is_err());
        match done {
            Err(error) if !was_failing => {
                tracing::error!(%error, "what was used cannot be written down, trying again");
            }
            Ok(()) if was_failing => tracing::info!("what is used can be written down again"),
            _ => {}
        }
    }
}

fn now_ms() -> u64 {
    now_secs().saturating_mul(1_000)
}

/// As records have it.
pub const fn source_of(it: &Counted) -> SourceId {
    SourceId { number: it.process, began_ms: it.began_ms }
}

/// As records have them.
pub const fn counts_of(it: &Counted) -> Counts {
    Counts {
        ecpu_units: it.ecpu_units,
        commands: it.commands,
        throttled_commands: it.throttled_commands,
        bytes_in: it.bytes_in,
        bytes_out: it.bytes_out,
    }
}

/// As control streams have them.
pub const fn counted_of(source: SourceId, it: Counts) -> Counted {
    Counted {
        process: source.number,
        began_ms: source.began_ms,
        ecpu_units: it.ecpu_units,
        commands: it.commands,
        throttled_commands: it.throttled_commands,
        delayed_commands: 0,
        bytes_in: it.bytes_in,
        bytes_out: it.bytes_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(process: u64, commands: u64) -> Counted {
        Counted { process, commands, ..Counted::default() }
    }

    /// What is told, but for when it began.
    fn told(owed: &mut Owed, turn: Turn, counted: Counted, written: &[u64]) -> Vec<Counted> {
        let told = owed.turn(turn, counted, written);
        assert!(told.iter().all(|it| it.began_ms > 0));
        told.into_iter().map(|it| Counted { began_ms: 0, ..it }).collect()
    }

    /// By that the scaler tells it from one that it has forgotten.
    #[test]
    fn a_process_began_when_it_did_whoever_tells_of_it() {
        let home = tempfile::tempdir().unwrap();
        let mut owed = Owed::open(home.path()).unwrap().0;
        owed.began_ms = 1_000;
        owed.turn(Turn::Flush, counted(1, 5), &[]);
        drop(owed);
        let mut owed = Owed::open(home.path()).unwrap().0;
        owed.began_ms = 2_000;
        let told = owed.turn(Turn::Flush, counted(2, 5), &[]);
        let began: Vec<_> = told.iter().map(|it| (it.process, it.began_ms)).collect();
        assert_eq!(began, [(2, 2_000), (1, 1_000)]);
    }

    #[test]
    fn what_processes_before_it_counted_is_told_until_it_is_written() {
        let home = tempfile::tempdir().unwrap();
        let open = || Owed::open(home.path()).unwrap().0;
        let mut owed = open();
        assert_eq!(told(&mut owed, Turn::Flush, counted(1, 5), &[]), [counted(1, 5)]);
        told(&mut owed, Turn::Flush, counted(1, 8), &[]);
        drop(owed);
        let mut owed = open();
        let all = [counted(2, 1), counted(1, 8)];
        assert_eq!(told(&mut owed, Turn::Flush, counted(2, 1), &[7]), all);
        drop(owed);
        let mut owed = open();
        let all = [counted(3, 0), counted(2, 1), counted(1, 8)];
        assert_eq!(told(&mut owed, Turn::Flush, counted(3, 0), &[]), all);
        assert_eq!(told(&mut owed, Turn::Flush, counted(3, 0), &[1, 3]), all[..2]);
        drop(owed);
        let last = told(&mut open(), Turn::Flush, counted(4, 1), &[]);
        assert_eq!(last, [counted(4, 1), counted(2, 1)], "the third has counted nothing");
    }

    #[test]
    fn there_are_never_too_many() {
        let home = tempfile::tempdir().unwrap();
        for process in 1..=100 {
            let (mut owed, faults) = Owed::open(home.path()).unwrap();
            assert!(faults.is_empty());
            let all = told(&mut owed, Turn::Last, counted(process, process), &[]);
            let expected = usize::try_from(process).unwrap().min(COUNTED_PER_BEAT_MAX);
            assert_eq!((all.len(), all[0].process), (expected, process));
        }
    }
}
