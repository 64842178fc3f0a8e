//! What is asked: a mix in which operations on a key meet, and all commands occur.

use std::io::Write as _;

use memtide_protocol::{Arithmetic, Delete, Direction, Exptime, Store, StoreVerb, Touch, request};
use rand::RngExt;

use super::super::history::{Action, COUNT_UNIT, COUNTER_BASE_SHIFT, COUNTER_START, Token, Verb};
use super::super::value;
use super::answer::is_meta;
use super::{CONCURRENT_ON_KEY_MAX, KeyState, MULTIGET_MAX, Pending, VerifyTraffic};
use crate::drive::{Lane, Nanos};
use crate::measure::CommandKind;

/// Additions to a value before it is stored anew.
const ADDITIONS_MAX: u32 = 12;
/// Counts that all threads together make on one store: each takes at most 128 units up or 3 down,
/// and so neither the decrements reach a unit nor the increments the next store.
const COUNTS_MAX: u32 = 20_000;
/// Stores that a thread makes to a counter: 16 bits, behind the 8 of the thread.
const BASES_MAX: u64 = (1 << 16) - 1;
/// The longest time to live, in seconds.
const TTL_MAX: u32 = 3;

impl VerifyTraffic {
    /// Writes a request.
    pub(super) fn ask(&mut self, lane: Lane, now: Nanos, out: &mut Vec<u8>) -> Pending {
        let mut keys = [0; MULTIGET_MAX];
        keys[0] = self.key();
        let key = keys[0];
        let action =
            if Self::is_counter(key) { self.counter_action(key) } else { self.text_action(key) };
        let command = command(&action, self.chance(35), self.chance(40));
        let is_meta = is_meta(command);
        let mut count = 1;
        if !is_meta && action.is_read() && self.chance(20) {
            let wanted = self.rng.random_range(2..=MULTIGET_MAX);
            for _ in 1..wanted {
                let another = self.key();
                if !keys[..count].contains(&another) {
                    keys[count] = another;
                    count += 1;
                }
            }
        }
        self.opaque = self.opaque.wrapping_add(1);
        let pending = Pending {
            lane,
            invoked: now,
            command,
            action,
            keys,
            count,
            passed: 0,
            hits: 0,
            opaque: self.opaque,
            is_out: true,
        };
        if is_meta {
            self.write_meta(&pending, out)
        } else {
            self.write_classic(&pending, out)
        }
        pending
    }

    /// Half of the requests are for a sixteenth of the keys.
    fn key(&mut self) -> u32 {
        let keys = self.settings.keys;
        let most = (CONCURRENT_ON_KEY_MAX / self.settings.threads.max(1)).max(1);
        for _ in 0..8 {
            let among = if self.chance(50) { keys.div_ceil(16) } else { keys };
            let key = self.rng.random_range(0..among);
            if self.keys[key as usize].concurrent < most {
                return key;
            }
        }
        let from = self.rng.random_range(0..keys);
        let mut others = (from..keys).chain(0..from);
        others.find(|&key| self.keys[key as usize].concurrent < most).unwrap_or(from)
    }

    fn text_action(&mut self, key: u32) -> Action {
        let ttl = self.ttl();
        match self.rng.random_range(0..100) {
            0..38 => Action::Get,
            38..42 => Action::GetAndTouch { ttl },
            42..46 => Action::Touch { ttl },
            46..53 => self.delete(key),
            53..65 => self.cas(key, ttl),
            65..75 if self.keys[key as usize].additions < ADDITIONS_MAX => {
                self.keys[key as usize].additions += 1;
                let verb = if self.chance(65) { Verb::Append } else { Verb::Prepend };
                Action::Store { verb, token: self.token(), ttl: 0 }
            }
            65..82 => self.store(Verb::Set, key, ttl),
            82..91 => self.store(Verb::Add, key, ttl),
            _ => self.store(Verb::Replace, key, ttl),
        }
    }

    fn counter_action(&mut self, key: u32) -> Action {
        let ttl = self.ttl();
        let state = &mut self.keys[key as usize];
        let is_full = state.counts * self.settings.threads >= COUNTS_MAX;
        match self.rng.random_range(0..100) {
            0..25 => Action::Get,
            25..28 => Action::GetAndTouch { ttl },
            28..31 => Action::Touch { ttl },
            31..80 if !is_full => {
                state.counts += 1;
                let is_up = self.rng.random_range(0..3) > 0;
                let delta = if is_up {
                    self.rng.random_range(64..128) * COUNT_UNIT
                } else {
                    self.rng.random_range(1..=3)
                };
                Action::Count { is_up, delta }
            }
            _ if state.bases >= BASES_MAX => Action::Get,
            80..84 => self.delete(key),
            84..90 => self.cas(key, ttl),
            90..94 => self.store(Verb::Add, key, ttl),
            94..96 => self.store(Verb::Replace, key, ttl),
            _ => self.store(Verb::Set, key, ttl),
        }
    }

    fn store(&mut self, verb: Verb, key: u32, ttl: u32) -> Action {
        Action::Store { verb, token: self.base(key), ttl }
    }

    /// With a CAS unique that was told; without one, what may tell one.
    fn cas(&mut self, key: u32, ttl: u32) -> Action {
        match self.unique(key) {
            0 => Action::Get,
            cas => Action::Cas { token: self.base(key), ttl, cas },
        }
    }

    fn delete(&mut self, key: u32) -> Action {
        Action::Delete { cas: if self.chance(25) { self.unique(key) } else { 0 } }
    }

    fn unique(&mut self, key: u32) -> u64 {
        let is_older = self.chance(20);
        self.keys[key as usize].uniques[usize::from(is_older)]
    }

    fn ttl(&mut self) -> u32 {
        if self.chance(10) { self.rng.random_range(1..=TTL_MAX) } else { 0 }
    }

    /// A token to be stored, of the key's kind.
    fn base(&mut self, key: u32) -> Token {
        let state = &mut self.keys[key as usize];
        state.additions = 0;
        if !Self::is_counter(key) {
            return self.token();
        }
        state.bases += 1;
        let base = u64::from(self.settings.thread & 0xff) << 16 | state.bases;
        (base << COUNTER_BASE_SHIFT) + COUNTER_START
    }

    fn token(&mut self) -> Token {
        self.written += 1;
        u64::from(self.settings.thread) << 48 | self.written
    }

    /// Makes the value of a token in [`Self::value`].
    fn make_value(&mut self, key: u32, token: Token, is_addition: bool) {
        self.value.clear();
        if Self::is_counter(key) {
            write!(self.value, "{token}").expect("memory takes what is written");
            return;
        }
        let (least, most) = self.settings.value_bytes;
        let bytes = match is_addition {
            true => value::SEGMENT_BYTES_MIN,
            false => self.rng.random_range(least..=most.max(least)) as usize,
        };
        value::write_segment(&mut self.value, self.settings.seed, key, token, bytes);
    }

    fn write_classic(&mut self, pending: &Pending, out: &mut Vec<u8>) {
        let key = pending.keys[0];
        if let Action::Store { token, .. } | Action::Cas { token, .. } = pending.action {
            let is_addition = matches!(pending.command, CommandKind::Append | CommandKind::Prepend);
            self.make_value(key, token, is_addition);
        }
        let name = self.keys[key as usize].name.as_bytes();
        let noreply = false;
        match pending.action {
            Action::Get | Action::GetAndTouch { .. } => {
                let names = pending.keys[..pending.count].iter();
                let names = names.map(|&key| self.keys[key as usize].name.as_bytes());
                let touch = match pending.action {
                    Action::GetAndTouch { ttl } => Some(exptime(ttl)),
                    _ => None,
                };
                // `gats` where `gat` is asked for: the CAS unique is of use.
                let with_cas = pending.command != CommandKind::Get;
                request::retrieve(out, names, with_cas, touch);
            }
            Action::Store { verb, token, ttl } => {
                let verb = match verb {
                    Verb::Set => StoreVerb::Set,
                    Verb::Add => StoreVerb::Add,
                    Verb::Replace => StoreVerb::Replace,
                    Verb::Append => StoreVerb::Append,
                    Verb::Prepend => StoreVerb::Prepend,
                };
                let client_flags = value::client_flags(token);
                let (exptime, value) = (exptime(ttl), &self.value[..]);
                let store = Store { verb, key: name, client_flags, exptime, value, noreply };
                request::store(out, &store);
            }
            Action::Cas { token, ttl, cas } => {
                let client_flags = value::client_flags(token);
                let (exptime, value) = (exptime(ttl), &self.value[..]);
                let verb = StoreVerb::Cas(cas);
                let store = Store { verb, key: name, client_flags, exptime, value, noreply };
                request::store(out, &store);
            }
            Action::Count { is_up, delta } => {
                let direction = if is_up { Direction::Increment } else { Direction::Decrement };
                request::arithmetic(out, &Arithmetic { direction, key: name, delta, noreply });
            }
            Action::Delete { .. } => request::delete(out, &Delete { key: name, noreply }),
            Action::Touch { ttl } => {
                request::touch(out, &Touch { key: name, exptime: exptime(ttl), noreply });
            }
        }
    }

    fn write_meta(&mut self, pending: &Pending, out: &mut Vec<u8>) {
        let key = pending.keys[0];
        let opaque = pending.opaque;
        let mut flags = [0_u8; 128];
        let mut rest = &mut flags[..];
        let mut add = |text: std::fmt::Arguments<'_>| {
            rest.write_fmt(text).expect("the longest flags fit");
        };
        add(format_args!("k O{opaque:08x}"));
        match pending.action {
            Action::Get => add(format_args!(" v c f")),
            Action::GetAndTouch { ttl } => add(format_args!(" v c f T{ttl}")),
            Action::Touch { ttl } => add(format_args!(" T{ttl}")),
            Action::Store { verb, token, ttl } => {
                let mode = match verb {
                    Verb::Set => 'S',
                    Verb::Add => 'E',
                    Verb::Replace => 'R',
                    Verb::Append => 'A',
                    Verb::Prepend => 'P',
                };
                add(format_args!(" c M{mode} F{} T{ttl}", value::client_flags(token)));
            }
            Action::Cas { token, ttl, cas } => {
                add(format_args!(" c C{cas} F{} T{ttl}", value::client_flags(token)));
            }
            Action::Count { is_up, delta } => {
                add(format_args!(" v c M{} D{delta}", if is_up { 'I' } else { 'D' }));
            }
            Action::Delete { cas: 0 } => {}
            Action::Delete { cas } => add(format_args!(" C{cas}")),
        }
        let left = rest.len();
        if let Action::Store { token, .. } | Action::Cas { token, .. } = pending.action {
            let is_addition =
                matches!(pending.action, Action::Store { verb: Verb::Append | Verb::Prepend, .. });
            self.make_value(key, token, is_addition);
        }
        let flags = &flags[..flags.len() - left];
        let KeyState { name, .. } = &self.keys[key as usize];
        let name = name.as_bytes();
        match pending.command {
            CommandKind::Ms => request::meta_set(out, name, flags, &self.value),
            CommandKind::Md => request::meta_delete(out, name, flags),
            CommandKind::Ma => request::meta_arithmetic(out, name, flags),
            _ => request::meta_get(out, name, flags),
        }
    }
}

/// Under which name an action goes out.
fn command(action: &Action, is_meta: bool, wants_cas: bool) -> CommandKind {
    match *action {
        Action::Delete { cas: 1.. } => CommandKind::Md,
        Action::Get | Action::GetAndTouch { .. } | Action::Touch { .. } if is_meta => {
            CommandKind::Mg
        }
        Action::Store { .. } | Action::Cas { .. } if is_meta => CommandKind::Ms,
        Action::Delete { .. } if is_meta => CommandKind::Md,
        Action::Count { .. } if is_meta => CommandKind::Ma,
        Action::Get if wants_cas => CommandKind::Gets,
        Action::Get => CommandKind::Get,
        Action::GetAndTouch { .. } => CommandKind::Gat,
        Action::Touch { .. } => CommandKind::Touch,
        Action::Store { verb, .. } => match verb {
            Verb::Set => CommandKind::Set,
            Verb::Add => CommandKind::Add,
            Verb::Replace => CommandKind::Replace,
            Verb::Append => CommandKind::Append,
            Verb::Prepend => CommandKind::Prepend,
        },
        Action::Cas { .. } => CommandKind::Cas,
        Action::Count { is_up: true, .. } => CommandKind::Incr,
        Action::Count { is_up: false, .. } => CommandKind::Decr,
        Action::Delete { .. } => CommandKind::Delete,
    }
}

fn exptime(ttl: u32) -> Exptime {
    Exptime::from_wire(i64::from(ttl))
}
