use std::sync::Arc;

use rand::Rng;

use super::load::Writer;
use super::random::{RunRng, rng};
use super::settings::LoadSettings;
use crate::drive::{Asked, Lane, Nanos, Progress, Traffic};
use crate::measure::{CommandKind, Outcome};
use crate::reply::Event;

/// Stores every key once, and each counter where the mix has some; then it ends.
///
/// A store that is lost with its connection is not tried again: the driver counts it, and it is told.
#[derive(Debug)]
pub struct Fill {
    settings: Arc<LoadSettings>,
    /// The next store, and the end: keys from 0, then the counters.
    next: u64,
    end: u64,
    rng: RunRng,
    writer: Writer,
}

/// What is remembered of a store: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillRequest;

impl Fill {
    /// The share of thread `thread` (from 0) of `threads`.
    ///
    /// # Panics
    /// When there is no such thread.
    #[must_use]
    pub fn new(settings: Arc<LoadSettings>, thread: u32, threads: u32, seed: u64) -> Self {
        assert!(thread < threads, "thread {thread} of {threads}");
        let stores = Self::stores(&settings);
        let share = |thread: u32| {
            let before = u128::from(stores) * u128::from(thread) / u128::from(threads);
            u64::try_from(before).expect("at most all stores")
        };
        Self {
            next: share(thread),
            end: share(thread + 1),
            rng: rng(seed, FILL_STREAM | u64::from(thread)),
            writer: Writer::new(Arc::clone(&settings)),
            settings,
        }
    }

    /// Stores of all threads together.
    #[must_use]
    pub fn stores(settings: &LoadSettings) -> u64 {
        if settings.mix.has_counters() { settings.keys.saturating_mul(2) } else { settings.keys }
    }

    /// Stores of this thread that are still to be written.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.end - self.next
    }
}

/// Keeps the random numbers of a fill apart from those of the run after it.
const FILL_STREAM: u64 = 2 << 32;

impl Traffic for Fill {
    type Request = FillRequest;

    fn next(&mut self, _lane: Lane, _now: Nanos, out: &mut Vec<u8>) -> Option<Asked<FillRequest>> {
        if self.next == self.end {
            return None;
        }
        let settings = &*self.settings;
        let exptime = settings.exptime(self.rng.next_u64());
        if self.next < settings.keys {
            self.writer.one_key(CommandKind::Set, self.next, exptime, out);
        } else {
            self.writer.set_counter(self.next - settings.keys, exptime, out);
        }
        self.next += 1;
        Some(Asked { command: CommandKind::Set, request: FillRequest })
    }

    fn heard(
        &mut self,
        _lane: Lane,
        _request: &mut FillRequest,
        event: &Event<'_>,
        _now: Nanos,
    ) -> Progress {
        let outcome = match event {
            Event::Stored => Outcome::Stored,
            Event::NotStored => Outcome::NotStored,
            Event::Error(_) => Outcome::Error,
            _ => return Progress::OutOfStep,
        };
        Progress::Done { outcome, hits: 0, misses: 0 }
    }

    fn lost(&mut self, _lane: Lane, _request: FillRequest) {}
}

#[cfg(test)]
mod tests {
    use memtide_protocol::{Command, Limits, Step, parse};

    use super::*;
    use crate::arguments::WorkArguments;

    /// The keys that all threads of a fill store.
    fn stored(work: &WorkArguments, threads: u32) -> Vec<String> {
        let settings = Arc::new(LoadSettings::resolve(work).expect("settings"));
        let mut keys = Vec::new();
        for thread in 0..threads {
            let mut fill = Fill::new(Arc::clone(&settings), thread, threads, 1);
            let mut out = Vec::new();
            while fill.next(0, 0, &mut out).is_some() {
                let Step::Command { command: Command::Store(store), consumed } =
                    parse(&out, &Limits::default())
                else {
                    panic!("no store: {out:?}")
                };
                assert_eq!(consumed, out.len());
                keys.push(String::from_utf8(store.key.to_vec()).expect("ASCII"));
                out.clear();
            }
            assert_eq!(fill.left(), 0);
        }
        keys
    }

    #[test]
    fn the_threads_store_every_key_once() {
        let keys = Some("1001".to_owned());
        let work = WorkArguments { keys, ..WorkArguments::default() };
        for threads in [1, 3, 8] {
            let mut keys = stored(&work, threads);
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), 1001, "{threads} threads");
            assert_eq!(keys[0x1f], "key-01f---------");
        }
    }

    #[test]
    fn counters_are_stored_where_the_mix_counts() {
        let (keys, mix) = (Some("10".to_owned()), Some("get=1,incr=1".to_owned()));
        let keys = stored(&WorkArguments { keys, mix, ..WorkArguments::default() }, 4);
        assert_eq!(keys.iter().filter(|key| key.starts_with("key-")).count(), 10);
        assert_eq!(keys.iter().filter(|key| key.starts_with("num-")).count(), 10);
    }

    #[test]
    fn any_other_reply_than_a_stores_is_out_of_step() {
        let settings = LoadSettings::resolve(&WorkArguments::default()).expect("settings");
        let mut fill = Fill::new(Arc::new(settings), 0, 1, 1);
        let mut heard = |event| fill.heard(0, &mut FillRequest, &event, 0);
        let done = |outcome| Progress::Done { outcome, hits: 0, misses: 0 };
        assert_eq!(heard(Event::Stored), done(Outcome::Stored));
        assert_eq!(heard(Event::Error(b"SERVER_ERROR x")), done(Outcome::Error));
        assert_eq!(heard(Event::End), Progress::OutOfStep);
    }
}
