//! The black-box tables: cases in text, each of which runs against both servers.

use crate::Side;
use crate::pattern::{Piece, parse};

/// A file of cases.
///
/// ```text
/// # a comment
/// == name of the case
/// deviation: words of docs/protocol.md           (only above cases in which the servers differ)
/// since: words of its list of what is newer than Debian's memcached
/// > sent, with \r\n added                         >> sent as it is
/// < expected, with \r\n added                     << expected as it is
/// m< memcached alone                              t< memtide alone; so for >, >> and << too
/// >? sent again and again until the reply is the expected one
/// ! the server closes                             m! or t! one of them
/// ```
///
/// Every case ends with `mn` and its `MN`, sent by the runner, unless the server has closed: so no
/// case can leave a connection out of step, or a reply unexpected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// For messages.
    pub file: String,
    /// In the order of the file.
    pub cases: Vec<Case>,
}

/// One case: a connection of its own, and items of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it stands.
    pub line: usize,
    /// How the two servers differ.
    pub difference: Difference,
    exchanges: Vec<(Audience, Exchange)>,
}

/// Whether memtide and Debian's memcached 1.6.18 answer alike, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// They do.
    Same,
    /// memtide differs on purpose; these words stand in docs/protocol.md.
    Deviation(String),
    /// memtide follows a newer memcached; these words stand in docs/protocol.md.
    Since(String),
}

/// Something sent, and what comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    pub(crate) line: usize,
    pub(crate) send: Vec<Piece>,
    pub(crate) expect: Vec<Piece>,
    pub(crate) is_polled: bool,
    pub(crate) closes: bool,
}

/// Which servers an exchange or a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Both,
    One(Side),
}

impl Audience {
    fn includes(self, side: Side) -> bool {
        self == Self::Both || self == Self::One(side)
    }
}

impl Table {
    /// Reads a file.
    ///
    /// # Panics
    /// Where a line is not understood, or a case says that the servers differ and shows it nowhere,
    /// or the other way round.
    #[must_use]
    pub fn parse(file: &str, text: &str) -> Self {
        let mut cases: Vec<Case> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let fail = |problem: &str| -> ! { panic!("{file}:{number}: {problem}: {line}") };
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix("== ") {
                let name = name.trim().to_owned();
                let difference = Difference::Same;
                cases.push(Case { name, line: number, difference, exchanges: Vec::new() });
                continue;
            }
            let Some(case) = cases.last_mut() else { fail("no case yet") };
            if let Err(problem) = case.read_line(number, line) {
                fail(&problem);
            }
        }
        for case in &cases {
            let differs = case.exchanges.iter().any(|(audience, _)| *audience != Audience::Both);
            assert_eq!(
                differs,
                case.difference != Difference::Same,
                "{file}:{}: a case has m or t lines where it has `since` or `deviation`",
                case.line
            );
        }
        Self { file: file.to_owned(), cases }
    }
}

impl Case {
    /// The exchanges with this server. Lines that follow each other in one direction are one.
    #[must_use]
    pub fn exchanges(&self, side: Side) -> Vec<Exchange> {
        let mut merged: Vec<Exchange> = Vec::new();
        for (_, part) in self.exchanges.iter().filter(|(audience, _)| audience.includes(side)) {
            match merged.last_mut() {
                Some(last) if part.send.is_empty() || (last.is_only_sent() && !part.is_polled) => {
                    last.send.extend(part.send.iter().cloned());
                    last.expect.extend(part.expect.iter().cloned());
                    last.closes |= part.closes;
                }
                _ => merged.push(part.clone()),
            }
        }
        merged
    }

    fn read_line(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(words) = line.strip_prefix("deviation: ") {
            self.difference = Difference::Deviation(words.trim().to_owned());
            return Ok(());
        }
        if let Some(what) = line.strip_prefix("since: ") {
            self.difference = Difference::Since(what.trim().to_owned());
            return Ok(());
        }
        let (audience, rest) = match line.as_bytes()[0] {
            b'm' => (Audience::One(Side::Memcached), &line[1..]),
            b't' => (Audience::One(Side::Memtide), &line[1..]),
            _ => (Audience::Both, line),
        };
        let mut exchange = Exchange { line: number, ..Exchange::default() };
        let (sign, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let with_end = |text: &str| parse(&format!("{text}\\r\\n"));
        match sign {
            ">" => exchange.send = with_end(text)?,
            ">>" => exchange.send = parse(text)?,
            ">?" => {
                exchange.send = with_end(text)?;
                exchange.is_polled = true;
            }
            "<" => exchange.expect = with_end(text)?,
            "<<" => exchange.expect = parse(text)?,
            "!" => exchange.closes = true,
            _ => return Err("unknown line".to_owned()),
        }
        self.exchanges.push((audience, exchange));
        Ok(())
    }
}

impl Exchange {
    fn is_only_sent(&self) -> bool {
        self.expect.is_empty() && !self.closes && !self.is_polled
    }

    /// Whether what is sent depends on an earlier reply.
    pub(crate) fn depends_on_replies(&self) -> bool {
        self.send.iter().any(|piece| matches!(piece, Piece::Bound(..) | Piece::Number { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
# comment
== one
> get a
> get b
< END
< END
> mn
< MN

== two
since: x
> md a x
m< CLIENT_ERROR invalid flag
t< NF
m!
";

    #[test]
    fn reads_cases_for_each_side() {
        let table = Table::parse("t", TABLE);
        let names: Vec<_> = table.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        let one = table.cases[0].exchanges(Side::Memtide);
        let sent: Vec<_> = one.iter().map(|exchange| exchange.send.clone()).collect();
        let literal = |text: &str| Piece::Literal(text.as_bytes().to_vec());
        assert_eq!(sent[0], [literal("get a\r\n"), literal("get b\r\n")]);
        assert_eq!(sent[1], [literal("mn\r\n")]);
        let two = table.cases[1].exchanges(Side::Memcached);
        assert_eq!(two[0].expect, [literal("CLIENT_ERROR invalid flag\r\n")]);
        assert!(two[0].closes);
        let two = table.cases[1].exchanges(Side::Memtide);
        assert_eq!(two[0].expect, [literal("NF\r\n")]);
        assert!(!two[0].closes);
        assert_eq!(table.cases[1].difference, Difference::Since("x".to_owned()));
    }

    #[test]
    #[should_panic(expected = "m or t lines")]
    fn refuses_a_difference_without_a_reason() {
        drop(Table::parse("t", "== one\n> get a\nm< END\nt< ERROR\n"));
    }

    #[test]
    #[should_panic(expected = "t:2: unknown line")]
    fn refuses_unknown_lines() {
        drop(Table::parse("t", "== one\n? get a\n"));
    }
}
