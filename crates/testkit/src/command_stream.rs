//! Seeded random commands over a few keys: mostly sound ones, some malformed.
//!
//! Only what memcached 1.6.18 answers always alike, and the newest 1.6 too; the tables have the
//! rest. So no `flush_all`: now and then memcached lets an item survive it that was used within the
//! same second.

use std::collections::BTreeMap;

use crate::Rng;

/// Few keys, so that commands meet each other's items. The last one is `foo` in base64.
const KEYS: [&str; 6] = ["a", "b", "key:3", "num", "foo", "Zm9v"];
const BASE64_KEY: &str = "Zm9v";

/// Exptimes whose remaining life no test run gets near to a [`RECACHES`] token.
const EXPTIMES: [&str; 7] = ["0", "0", "100", "1000", "2592000", "-1", "2592001"];
const RECACHES: [&str; 4] = ["0", "50", "500", "100000"];

/// Numbers for arithmetic, and what is none. None in 2^63 .. 2^64: memcached 1.6.18 refuses those now
/// and then, since it looks for a minus sign beyond their end.
const VALUES: [&str; 10] =
    ["0", "1", "9", "10", "99", "461168601842738", "18446744073709551616", "", "x1", "007"];
const DELTAS: [&str; 6] = ["0", "1", "5", "10", "91", "1000000"];

/// A CAS unique that no item gets.
const NO_CAS: u64 = 9_000_000_000_000_000_000;

/// Above every CAS unique that a test sees, when added to one.
const FUTURE: i64 = 1 << 40;

/// One or a few commands that belong together, and what a test must know of them.
#[derive(Clone, Debug)]
pub struct Unit {
    parts: Vec<Part>,
    /// The key that a meta reply is about.
    pub key: &'static str,
    /// How many keys the command names, at least 1: what is metered.
    pub items: u64,
    /// It is more than one command to a server, because its data block is not as long as it says.
    pub breaks_framing: bool,
    /// It counts. While a reply with the item waits to be written, memcached makes a new item
    /// instead of one that keeps its length, so nothing may be pipelined before it.
    pub counts: bool,
    /// It leaves lines of no byte or one, which newer memcached calls by another name.
    pub has_short_lines: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Vec<u8>),
    /// The CAS unique that was last seen for a key, with this added.
    Cas(&'static str, i64),
}

impl Unit {
    /// The bytes for a server, given the CAS uniques that it has named.
    #[must_use]
    pub fn render(&self, seen: &BTreeMap<String, u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text),
                Part::Cas(key, delta) => {
                    let cas =
                        seen.get(*key).map_or(NO_CAS, |cas| cas.saturating_add_signed(*delta));
                    bytes.extend(cas.to_string().bytes());
                }
            }
        }
        bytes
    }
}

/// An endless stream of [`Unit`]s.
#[derive(Clone, Debug)]
pub struct CommandStream {
    rng: Rng,
    parts: Vec<Part>,
}

impl CommandStream {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), parts: Vec::new() }
    }

    /// The generator behind the stream, for the test's own choices.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The next commands.
    pub fn next_unit(&mut self) -> Unit {
        let mut items = 1;
        let mut breaks_framing = false;
        // A classic command never names the base64 key's text, so that `k` means one item.
        let key = *self.rng.pick(&KEYS[..KEYS.len() - 1]);
        let meta_key = *self.rng.pick(&KEYS);
        let mut named = key;
        let kind = self.rng.below(100);
        match kind {
            0..15 => items = self.retrieve(),
            15..35 => self.store(key),
            35..42 => self.arithmetic(key),
            42..46 => self.line(&["delete ", key]),
            46..50 => self.touch(key),
            50..65 => named = self.meta_get(meta_key),
            65..80 => named = self.meta_set(meta_key),
            80..85 => named = self.meta_delete(meta_key),
            85..92 => named = self.meta_arithmetic(meta_key),
            92..95 => breaks_framing = self.misframed(key),
            _ => self.malformed(key),
        }
        let parts = std::mem::take(&mut self.parts);
        // The two names of one item.
        let key = if named == BASE64_KEY { "foo" } else { named };
        let counts = matches!(kind, 35..42 | 85..92);
        let has_short_lines = breaks_framing || parts_are_empty_line(&parts);
        Unit { parts, key, items, breaks_framing, counts, has_short_lines }
    }

    fn text(&mut self, text: &str) {
        self.parts.push(Part::Text(text.as_bytes().to_vec()));
    }

    /// A line of these words, ended as most clients do, or by a bare line feed.
    fn line(&mut self, words: &[&str]) {
        for word in words {
            self.text(word);
        }
        let end = if self.rng.percent(3) { "\n" } else { "\r\n" };
        self.text(end);
    }

    fn data(&mut self, value: &str) {
        self.text(value);
        self.text("\r\n");
    }

    fn value(&mut self) -> String {
        match self.rng.below(100) {
            0..50 => (*self.rng.pick(&VALUES)).to_owned(),
            50..90 => {
                let len = self.rng.below(40);
                let mut value: String = (0..len)
                    .map(|_| *self.rng.pick(&['x', 'y', '\r', '\n', ' ', '\0', '5']))
                    .collect();
                // In a value of blanks memcached reads a number from what lies behind it.
                if value.trim().is_empty() {
                    value.push('x');
                }
                value
            }
            90..99 => "z".repeat(self.rng.below(20_000)),
            // The largest items, and some that are too large.
            _ => "z".repeat(1_048_300 + self.rng.below(400)),
        }
    }

    fn noreply(&mut self) -> &'static str {
        if self.rng.percent(15) { " noreply" } else { "" }
    }

    fn retrieve(&mut self) -> u64 {
        let verb = *self.rng.pick(&["get", "gets", "gat 100", "gats 0", "gat -1"]);
        self.text(verb);
        let count = 1 + self.rng.below(6);
        for _ in 0..count {
            let key = *self.rng.pick(&KEYS[..KEYS.len() - 1]);
            self.text(" ");
            self.text(key);
        }
        self.line(&[]);
        u64::try_from(count).expect("a few")
    }

    fn store(&mut self, key: &'static str) {
        let verb =
            *self.rng.pick(&["set", "set", "set", "add", "replace", "append", "prepend", "cas"]);
        let value = self.value();
        let flags = *self.rng.pick(&["0", "7", "4294967295"]);
        let exptime = *self.rng.pick(&EXPTIMES);
        let len = value.len().to_string();
        for word in [verb, " ", key, " ", flags, " ", exptime, " ", &len] {
            self.text(word);
        }
        if verb == "cas" {
            self.text(" ");
            let delta = *self.rng.pick(&[0, 0, 0, -1, FUTURE]);
            self.parts.push(Part::Cas(key, delta));
        }
        let noreply = self.noreply();
        self.line(&[noreply]);
        self.data(&value);
    }

    fn arithmetic(&mut self, key: &'static str) {
        let verb = *self.rng.pick(&["incr ", "decr "]);
        let delta = *self.rng.pick(&DELTAS);
        let noreply = self.noreply();
        self.line(&[verb, key, " ", delta, noreply]);
    }

    fn touch(&mut self, key: &'static str) {
        let exptime = *self.rng.pick(&EXPTIMES);
        let noreply = self.noreply();
        self.line(&["touch ", key, " ", exptime, noreply]);
    }

    /// Some of these flags in any order; `C` gets a CAS unique.
    fn flags(&mut self, key: &'static str, choices: &[&str]) {
        let mut left = choices.to_vec();
        // memcached repeats `foo` in the form that it was stored under, and answers a `t` before an
        // `N` with a new item's state before it: deviations, for the tables.
        let is_foo = key == BASE64_KEY || key == "foo";
        let dropped = if self.rng.percent(50) { "t" } else { "N" };
        left.retain(|&flag| flag != dropped && !(is_foo && flag == "k"));
        let most = left.len().min(6);
        if key == BASE64_KEY {
            self.text(" b");
        }
        for _ in 0..self.rng.below(most + 1) {
            let flag = left.swap_remove(self.rng.below(left.len()));
            self.text(" ");
            self.text(flag);
            match flag {
                "T" | "N" => {
                    // memcached wraps the seconds left of an item that `T` has just expired.
                    let choices = if dropped == "t" { &EXPTIMES[..] } else { &EXPTIMES[..5] };
                    let exptime = *self.rng.pick(choices);
                    self.text(exptime);
                }
                "R" => {
                    let left = *self.rng.pick(&RECACHES);
                    self.text(left);
                }
                "D" | "J" => {
                    let number = *self.rng.pick(&DELTAS);
                    self.text(number);
                }
                "C" => {
                    let item = if key == BASE64_KEY { "foo" } else { key };
                    let delta = *self.rng.pick(&[0, 0, 0, -1, FUTURE]);
                    self.parts.push(Part::Cas(item, delta));
                }
                _ => {}
            }
        }
    }

    fn meta_get(&mut self, key: &'static str) -> &'static str {
        self.text("mg ");
        self.text(key);
        let choices =
            ["v", "c", "f", "h", "k", "l", "Oopaque", "q", "s", "t", "u", "T", "N", "R", "Pp", "L"];
        self.flags(key, &choices);
        self.line(&[]);
        key
    }

    fn meta_set(&mut self, key: &'static str) -> &'static str {
        let value = self.value();
        let len = value.len().to_string();
        for word in ["ms ", key, " ", &len] {
            self.text(word);
        }
        let mode = *self.rng.pick(&["MS", "ME", "MA", "MP", "MR", "q"]);
        self.flags(key, &["c", "k", "O1", "Ll", "F7", "I", "T", "C", mode, "Pp"]);
        self.line(&[]);
        self.data(&value);
        key
    }

    fn meta_delete(&mut self, key: &'static str) -> &'static str {
        self.text("md ");
        self.text(key);
        self.flags(key, &["k", "O22", "I", "T", "C", "v", "Pp"]);
        self.line(&[]);
        key
    }

    fn meta_arithmetic(&mut self, key: &'static str) -> &'static str {
        self.text("ma ");
        self.text(key);
        let mode = *self.rng.pick(&["MI", "M+", "MD", "M-"]);
        // No `T`: memcached loses it where the number gets longer.
        self.flags(key, &["c", "k", "O333", "t", "v", "N", "J", "D", "C", mode]);
        self.line(&[]);
        key
    }

    fn malformed(&mut self, key: &'static str) {
        let long = "k".repeat(251);
        let line = match self.rng.below(16) {
            0 => String::new(),
            1 => "nosuch command".to_owned(),
            2 => format!("incr {key} x"),
            3 => format!("touch {key} x"),
            4 => format!("gat x {key}"),
            5 => format!("mg {key} v v"),
            6 => format!("mg {key} q Z"),
            7 => format!("mg {key} T"),
            8 => format!("mg {key} u O{}", "o".repeat(32)),
            9 => "mg Zm9 b".to_owned(),
            10 => format!("ma {key} Mx"),
            11 => format!("ms {key} x"),
            12 => {
                self.line(&["ms ", key, " 1 Z"]);
                return self.data("x");
            }
            13 => format!("delete {long}"),
            14 => format!("mg {long} v"),
            _ => format!("set {key} 0 0 -1"),
        };
        self.line(&[&line]);
    }

    /// A data block that is longer or shorter than it says. What follows makes up for the missing.
    fn misframed(&mut self, key: &'static str) -> bool {
        let said = self.rng.below(8);
        let sent = 1 + self.rng.below(8);
        let meta = self.rng.percent(50);
        let (said_text, block) = (said.to_string(), "d".repeat(sent));
        if meta {
            self.line(&["ms ", key, " ", &said_text, " q"]);
        } else {
            self.line(&["set ", key, " 0 0 ", &said_text]);
        }
        self.data(&block);
        self.text(&"\r\n".repeat(said.saturating_sub(sent).div_ceil(2)));
        said != sent
    }
}

fn parts_are_empty_line(parts: &[Part]) -> bool {
    parts
        .iter()
        .all(|part| matches!(part, Part::Text(text) if matches!(&text[..], b"" | b"\n" | b"\r\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_stream() {
        let draw = |seed| {
            let mut stream = CommandStream::new(seed);
            let seen = BTreeMap::new();
            (0..50).flat_map(|_| stream.next_unit().render(&seen)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn cas_uniques_are_those_that_the_server_named() {
        let cas = |delta| Unit {
            parts: vec![Part::Text(b"C".to_vec()), Part::Cas("a", delta)],
            key: "a",
            items: 1,
            breaks_framing: false,
            counts: false,
            has_short_lines: false,
        };
        let seen = BTreeMap::from([("a".to_owned(), 41)]);
        assert_eq!(cas(0).render(&seen), b"C41");
        assert_eq!(cas(-1).render(&seen), b"C40");
        assert_eq!(cas(0).render(&BTreeMap::new()), format!("C{NO_CAS}").into_bytes());
    }
}
