use std::collections::BTreeSet;
use std::fmt::{self, Display, Write as _};

use super::base::Rows;

/// How far a row may be from its base, in hundredths of it.
const BOUND_PERCENT: u64 = 3;

/// How often each row does what it is named for: `memtide_gates::REPEATS`.
const REPEATS: f64 = 100.0;

/// A row that is not as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// More than the bound above its base.
    Slower { row: String, base: u64, now: u64 },
    /// More than the bound below its base.
    Faster { row: String, base: u64, now: u64 },
    /// Recorded, and there is no such row.
    Missing { row: String },
    /// There, and not recorded.
    Unknown { row: String },
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slower { row, base, now } => {
                let change = percent(*base, *now);
                write!(f, "{row} is {change} slower: {base} instructions were recorded, now {now}")
            }
            Self::Faster { row, base, now } => {
                let change = percent(*base, *now);
                write!(
                    f,
                    "{row} is {change} faster: {base} instructions were recorded, now {now}. \
                     Record it, so that it stays so"
                )
            }
            Self::Missing { row } => write!(f, "{row} is recorded, and no bench has it"),
            Self::Unknown { row } => write!(f, "{row} is not recorded"),
        }
    }
}

/// What is to be said of these counts, by row.
pub fn findings(base: &Rows, now: &Rows) -> Vec<Finding> {
    names(base, now).into_iter().filter_map(|row| judge(row, base, now)).collect()
}

fn judge(row: &str, base: &Rows, now: &Rows) -> Option<Finding> {
    let (base, now) = (base.get(row).copied(), now.get(row).copied());
    let row = row.to_owned();
    match (base, now) {
        (Some(base), Some(now)) if base.abs_diff(now) * 100 <= base * BOUND_PERCENT => None,
        (Some(base), Some(now)) if now > base => Some(Finding::Slower { row, base, now }),
        (Some(base), Some(now)) => Some(Finding::Faster { row, base, now }),
        (Some(_), None) => Some(Finding::Missing { row }),
        (None, _) => Some(Finding::Unknown { row }),
    }
}

/// All rows in Markdown, by what is done once.
pub fn table(base: &Rows, now: &Rows) -> String {
    let mut table = String::from("| row | recorded | now | change |\n|---|--:|--:|--:|\n");
    for row in names(base, now) {
        let (base, now) = (base.get(row).copied(), now.get(row).copied());
        let once = |count: Option<u64>| count.map_or("-".to_owned(), once);
        let change = match (base, now) {
            (Some(base), Some(now)) if base == now => "0".to_owned(),
            (Some(base), Some(now)) => {
                let sign = if now > base { '+' } else { '-' };
                format!("{sign}{}", percent(base, now))
            }
            _ => "-".to_owned(),
        };
        let (base, now) = (once(base), once(now));
        writeln!(table, "| {row} | {base} | {now} | {change} |").expect("a string takes all");
    }
    table
}

fn names<'a>(base: &'a Rows, now: &'a Rows) -> BTreeSet<&'a String> {
    base.keys().chain(now.keys()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn once(count: u64) -> String {
    format!("{:.0}", count as f64 / REPEATS)
}

/// How far apart they are.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn percent(base: u64, now: u64) -> String {
    format!("{:.1}%", 100.0 * base.abs_diff(now) as f64 / base as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn rows<const N: usize>(rows: [(&str, u64); N]) -> Rows {
        rows.into_iter().map(|(row, count)| (row.to_owned(), count)).collect()
    }

    fn check(base: &Rows, now: &Rows, expected: &Expect) {
        let said: Vec<_> = findings(base, now).iter().map(ToString::to_string).collect();
        expected.assert_eq(&said.join("\n"));
    }

    #[test]
    fn within_three_percent_nothing_is_said() {
        let base = rows([("parse.get", 10_000)]);
        for now in [9_700, 9_800, 10_000, 10_200, 10_300] {
            check(&base, &rows([("parse.get", now)]), &expect![""]);
        }
    }

    #[test]
    fn a_slower_row_is_named_with_how_much() {
        let (base, now) = (
            rows([("parse.get", 10_000), ("parse.set", 500)]),
            rows([("parse.get", 10_400), ("parse.set", 500)]),
        );
        let said = expect!["parse.get is 4.0% slower: 10000 instructions were recorded, now 10400"];
        check(&base, &now, &said);
        check(
            &rows([("a", 10_000)]),
            &rows([("a", 10_301)]),
            &expect![[r#"
            a is 3.0% slower: 10000 instructions were recorded, now 10301"#]],
        );
    }

    #[test]
    fn a_faster_row_is_to_be_recorded() {
        let (base, now) = (rows([("parse.get", 10_000)]), rows([("parse.get", 9_600)]));
        check(
            &base,
            &now,
            &expect![[r#"
            parse.get is 4.0% faster: 10000 instructions were recorded, now 9600. Record it, so that it stays so"#]],
        );
    }

    #[test]
    fn rows_come_and_go_only_by_recording() {
        let (base, now) = (rows([("a", 1), ("b", 1)]), rows([("b", 1), ("c", 1)]));
        check(
            &base,
            &now,
            &expect![[r#"
            a is recorded, and no bench has it
            c is not recorded"#]],
        );
        let expected = "b is recorded, and no bench has it";
        assert_eq!(findings(&rows([("b", 1)]), &Rows::new())[0].to_string(), expected);
    }

    #[test]
    fn the_table_has_every_row_once_by_operation() {
        let (base, now) = (
            rows([("a", 10_000), ("b", 20_000), ("c", 100)]),
            rows([("a", 10_550), ("b", 20_000), ("d", 300)]),
        );
        expect![[r#"
            | row | recorded | now | change |
            |---|--:|--:|--:|
            | a | 100 | 106 | +5.5% |
            | b | 200 | 200 | 0 |
            | c | 1 | - | - |
            | d | - | 3 | - |
        "#]]
        .assert_eq(&table(&base, &now));
    }
}
