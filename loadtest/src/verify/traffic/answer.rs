//! What the replies mean, and whether they are replies to what was asked.

use super::super::history::{Action, OddReply, Oddity, Outcome, Verb};
use super::super::value;
use super::{Pending, VerifyTraffic};
use crate::drive::{Nanos, Progress};
use crate::measure::{self, CommandKind};
use crate::reply::{Event, MetaCode};

/// What the flags of a meta reply told.
#[derive(Clone, Copy, Default)]
struct Told {
    cas: u64,
    client_flags: Option<u32>,
}

impl VerifyTraffic {
    /// Takes an event of a reply in.
    pub(super) fn answer(&mut self, place: usize, event: &Event<'_>, now: Nanos) -> Progress {
        let pending = self.out[place];
        let progress = match (event, pending.command) {
            (Event::Error(line), _) => Some(self.refused(&pending, line, now)),
            (Event::Meta { .. }, command) if is_meta(command) => self.meta(&pending, event, now),
            (Event::Value { .. }, command) if pending.action.is_read() && !is_meta(command) => {
                self.value(place, event, now)
            }
            (Event::End, _) if pending.action.is_read() && !is_meta(pending.command) => {
                Some(self.end(place, now))
            }
            _ if is_meta(pending.command) || pending.action.is_read() => None,
            (event, _) => {
                outcome(&pending.action, event).map(|outcome| self.whole(&pending, outcome, now))
            }
        };
        progress.unwrap_or_else(|| {
            self.odd_reply(&pending, event, now);
            Progress::OutOfStep
        })
    }

    /// An item of a classic retrieval. `None` where it was not asked for, or not there.
    fn value(&mut self, place: usize, event: &Event<'_>, now: Nanos) -> Option<Progress> {
        let Event::Value { key: name, client_flags, cas, data } = *event else { return None };
        let told = Told { cas: cas.unwrap_or(0), client_flags: Some(client_flags) };
        let mut pending = self.out[place];
        let is_named = |key: &u32| self.keys[*key as usize].name.as_bytes() == name;
        let skipped = pending.left().iter().position(is_named)?;
        for _ in 0..skipped {
            self.record(&pending, pending.left()[0], Outcome::NotFound, now);
            pending.passed += 1;
        }
        let key = pending.left()[0];
        let outcome = self.read(key, told, data);
        self.record(&pending, key, outcome, now);
        pending.passed += 1;
        pending.hits += 1;
        self.out[place] = pending;
        Some(Progress::More)
    }

    fn end(&mut self, place: usize, now: Nanos) -> Progress {
        let pending = self.out[place];
        for &key in pending.left() {
            self.record(&pending, key, Outcome::NotFound, now);
        }
        let keys = u32::try_from(pending.count).expect("a multiget has few keys");
        let outcome = match pending.hits {
            0 => measure::Outcome::Miss,
            hits if hits == keys => measure::Outcome::Hit,
            _ => measure::Outcome::PartialHit,
        };
        Progress::Done { outcome, hits: pending.hits, misses: keys - pending.hits }
    }

    /// The reply of a meta command. `None` where it is not one to it.
    fn meta(&mut self, pending: &Pending, event: &Event<'_>, now: Nanos) -> Option<Progress> {
        let Event::Meta { code, flags, data } = *event else { return None };
        let key = pending.keys[0];
        // memcached's older replies to a miss have no flags.
        let must_have_all = matches!(code, MetaCode::Hd | MetaCode::Va);
        let told = self.told(pending, flags, must_have_all)?;
        let adds =
            matches!(pending.action, Action::Store { verb: Verb::Append | Verb::Prepend, .. });
        let outcome = match (code, pending.command) {
            (MetaCode::Va, CommandKind::Mg) if pending.action.is_read() => {
                self.read(key, told, data)
            }
            (MetaCode::Va, CommandKind::Ma) => match value::read_number(data) {
                Ok(number) => self.number(key, number, told.cas),
                Err(oddity) => Outcome::Odd(oddity),
            },
            (MetaCode::Hd, CommandKind::Mg) if !pending.action.is_read() => Outcome::Done,
            (MetaCode::Hd, CommandKind::Md) => Outcome::Done,
            (MetaCode::Hd, CommandKind::Ms) => {
                let cas = if adds { 0 } else { told.cas };
                self.note_unique(key, cas);
                Outcome::Stored { cas }
            }
            (MetaCode::En, CommandKind::Mg) => Outcome::NotFound,
            // Additions to what is not there are not stored, in classic commands too.
            (MetaCode::Ns, CommandKind::Ms) => Outcome::NotStored,
            (MetaCode::Ex, CommandKind::Ms | CommandKind::Md) => Outcome::Exists,
            (MetaCode::Nf, CommandKind::Ms | CommandKind::Md | CommandKind::Ma) => {
                Outcome::NotFound
            }
            _ => return None,
        };
        Some(self.whole(pending, outcome, now))
    }

    /// Reads the flags of a meta reply. `None` where they are another request's.
    fn told(&self, pending: &Pending, flags: &[u8], must_have_all: bool) -> Option<Told> {
        let mut told = Told::default();
        let (mut has_key, mut has_opaque) = (false, false);
        for flag in flags.split(|&byte| byte == b' ') {
            let Some((name, text)) = flag.split_first() else { continue };
            match name {
                b'k' => {
                    has_key = self.keys[pending.keys[0] as usize].name.as_bytes() == text;
                    if !has_key {
                        return None;
                    }
                }
                b'O' => {
                    has_opaque = hex(text) == Some(pending.opaque);
                    if !has_opaque {
                        return None;
                    }
                }
                b'c' => told.cas = value::read_number(text).ok()?,
                b'f' => told.client_flags = value::read_number(text).ok()?.try_into().ok(),
                _ => {}
            }
        }
        (!must_have_all || has_key && has_opaque).then_some(told)
    }

    /// The value of an item.
    fn read(&mut self, key: u32, told: Told, data: &[u8]) -> Outcome {
        if Self::is_counter(key) {
            let number = match value::read_number(data) {
                Ok(number) => number,
                Err(oddity) => return Outcome::Odd(self.oddity(key, oddity, data)),
            };
            let flags = value::client_flags(value::counter_token(number));
            if told.client_flags.is_some_and(|told| told != flags) {
                return Outcome::Odd(Oddity::Corrupt);
            }
            return self.number(key, number, told.cas);
        }
        let mut tokens = std::mem::take(&mut self.tokens);
        let read = value::read_value(data, self.settings.seed, key, &mut tokens);
        let outcome = match read {
            Err(oddity) => Outcome::Odd(oddity),
            // Additions leave the client flags alone: they are those of one of the tokens.
            Ok(())
                if told.client_flags.is_some_and(|told| {
                    !tokens.iter().any(|&token| value::client_flags(token) == told)
                }) =>
            {
                Outcome::Odd(Oddity::Corrupt)
            }
            Ok(()) => {
                self.note_unique(key, told.cas);
                let additions = u32::try_from(tokens.len()).unwrap_or(u32::MAX) - 1;
                self.keys[key as usize].additions = additions;
                Outcome::Hit { value: self.history.seen(&tokens), cas: told.cas }
            }
        };
        self.tokens = tokens;
        outcome
    }

    /// What is under a counter but no number may be another key's value.
    fn oddity(&mut self, key: u32, oddity: Oddity, data: &[u8]) -> Oddity {
        let mut tokens = std::mem::take(&mut self.tokens);
        let read = value::read_value(data, self.settings.seed, key, &mut tokens);
        self.tokens = tokens;
        read.err().unwrap_or(oddity)
    }

    fn number(&mut self, key: u32, number: u64, cas: u64) -> Outcome {
        self.note_unique(key, cas);
        let state = &mut self.keys[key as usize];
        let base = value::counter_token(number);
        if state.base != base {
            state.base = base;
            state.counts = 0;
        }
        Outcome::Number { number, cas }
    }

    fn note_unique(&mut self, key: u32, cas: u64) {
        let uniques = &mut self.keys[key as usize].uniques;
        if cas != 0 && uniques[0] != cas {
            *uniques = [cas, uniques[0]];
        }
    }

    /// A reply that is one event.
    fn whole(&mut self, pending: &Pending, outcome: Outcome, now: Nanos) -> Progress {
        let key = pending.keys[0];
        if let Outcome::Number { number, cas } = outcome {
            self.number(key, number, cas);
        }
        self.record(pending, key, outcome, now);
        let is_read = pending.action.is_read();
        let told = match outcome {
            Outcome::Hit { .. } | Outcome::Odd(_) => measure::Outcome::Hit,
            Outcome::Number { .. } if is_read => measure::Outcome::Hit,
            Outcome::Number { .. } => measure::Outcome::Number,
            Outcome::NotFound if is_read => measure::Outcome::Miss,
            Outcome::NotFound => measure::Outcome::NotFound,
            Outcome::Stored { .. } => measure::Outcome::Stored,
            Outcome::NotStored => measure::Outcome::NotStored,
            Outcome::Exists => measure::Outcome::Exists,
            Outcome::Done if matches!(pending.action, Action::Delete { .. }) => {
                measure::Outcome::Deleted
            }
            Outcome::Done => measure::Outcome::Touched,
            Outcome::NoReply | Outcome::Refused => measure::Outcome::Error,
        };
        let hits = u32::from(told == measure::Outcome::Hit);
        let misses = u32::from(told == measure::Outcome::Miss);
        Progress::Done { outcome: told, hits, misses }
    }

    /// An error line: of some it is known that nothing was stored, of others nothing is.
    fn refused(&mut self, pending: &Pending, line: &[u8], now: Nanos) -> Progress {
        let has = |words: &[u8]| line.windows(words.len()).any(|part| part == words);
        let is_refusal = !line.starts_with(b"SERVER_ERROR")
            || has(b"throttled")
            || has(b"out of memory")
            || has(b"too large");
        // A reply for which there was no memory may have been to a touch that was done.
        let is_touch = matches!(pending.action, Action::GetAndTouch { .. } | Action::Touch { .. });
        if pending.action != Action::Get {
            for &key in pending.left() {
                if is_refusal && !is_touch {
                    self.record(pending, key, Outcome::Refused, now);
                } else {
                    self.record(pending, key, Outcome::NoReply, super::NO_REPLY);
                }
            }
        }
        Progress::Done { outcome: measure::Outcome::Error, hits: pending.hits, misses: 0 }
    }

    fn odd_reply(&mut self, pending: &Pending, event: &Event<'_>, now: Nanos) {
        let shown: String = format!("{event:?}").chars().take(100).collect();
        let what = format!("{} was answered with {shown}", pending.command.name());
        self.history.push_odd_reply(OddReply { key: pending.keys[0], at: now, what });
    }
}

/// What a line means to a classic command that is no retrieval; `None` where it means nothing.
fn outcome(action: &Action, event: &Event<'_>) -> Option<Outcome> {
    Some(match (action, event) {
        (Action::Store { .. } | Action::Cas { .. }, Event::Stored) => Outcome::Stored { cas: 0 },
        (Action::Store { .. }, Event::NotStored) => Outcome::NotStored,
        (Action::Cas { .. }, Event::Exists) => Outcome::Exists,
        (Action::Count { .. }, Event::Number(number)) => {
            Outcome::Number { number: *number, cas: 0 }
        }
        (Action::Delete { .. }, Event::Deleted) | (Action::Touch { .. }, Event::Touched) => {
            Outcome::Done
        }
        (
            Action::Cas { .. }
            | Action::Count { .. }
            | Action::Delete { .. }
            | Action::Touch { .. },
            Event::NotFound,
        ) => Outcome::NotFound,
        _ => return None,
    })
}

/// Whether a command is a meta command.
pub(super) fn is_meta(command: CommandKind) -> bool {
    matches!(command, CommandKind::Mg | CommandKind::Ms | CommandKind::Md | CommandKind::Ma)
}

fn hex(text: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}
