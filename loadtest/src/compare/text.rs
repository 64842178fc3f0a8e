use std::fmt::Write as _;

use super::{Comparison, EndpointRow, Metric, Spread};
use crate::report::{Ended, format};

/// The comparison as a table for people, its notes below it; ends with a line feed.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    out.push_str(&heading(comparison));
    for (index, row) in comparison.endpoints.iter().enumerate() {
        let it = &row.endpoint;
        let letter = column_name(index);
        let _ = writeln!(
            out,
            "  {letter}  {} ({}, {}, version {})",
            it.name, it.address, it.transport, it.server_version
        );
    }
    out.push('\n');
    out.push_str(&aligned(&lines(&comparison.endpoints)));
    if comparison.endpoints.len() > 1 {
        out.push_str(
            "\nMedians over the rounds (least..most). x: the median of the rounds' ratios to A.\n",
        );
    }
    for note in &comparison.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

fn heading(comparison: &Comparison) -> String {
    let (whole, endpoints) = (comparison.rounds_whole, comparison.endpoints.len());
    let how = match &comparison.ended {
        Ended::Completed | Ended::TraceEnded => String::new(),
        Ended::Interrupted => format!(", interrupted (of {})", comparison.rounds_planned),
        Ended::Failed(why) => format!(", ended early (of {}): {why}", comparison.rounds_planned),
    };
    let endpoints = format::counted(endpoints, "endpoint");
    let plural = if whole == 1 { "round" } else { "rounds" };
    format!("compared {endpoints} in {whole} interleaved {plural}{how}\n")
}

/// A, B, ..., which are shorter than names and say which is the first.
fn column_name(index: usize) -> char {
    u8::try_from(index).ok().filter(|index| *index < 26).map_or('?', |index| (b'A' + index).into())
}

/// The table's cells, line by line; those of a line are as many as of any other.
fn lines(endpoints: &[EndpointRow]) -> Vec<Vec<String>> {
    let mut lines = vec![vec![String::new()]];
    lines[0].extend((0..endpoints.len()).map(|index| column_name(index).to_string()));
    for metric in Metric::ALL {
        if endpoints.iter().any(|row| row.figures.contains_key(&metric)) {
            let cells = endpoints.iter().map(|row| cell(row, metric));
            lines.push([metric.name().to_owned()].into_iter().chain(cells).collect());
        }
    }
    for (name, count) in COUNTS {
        let cells = endpoints.iter().map(|row| format::count(count(row)));
        lines.push([name.to_owned()].into_iter().chain(cells).collect());
    }
    lines
}

/// A name and where its count is.
type Count = (&'static str, fn(&EndpointRow) -> u64);

/// What went wrong, in all runs together.
const COUNTS: [Count; 3] = [
    ("error replies, all runs", |row| row.errors),
    ("requests without reply, all runs", |row| row.lost),
    ("broken connections, all runs", |row| row.troubles),
];

fn cell(row: &EndpointRow, metric: Metric) -> String {
    let Some(spread) = row.figures.get(&metric) else { return format::NONE.to_owned() };
    let Spread { median, min, max, runs } = *spread;
    let mut cell = metric.told(median);
    let (least, most) = (metric.told(min), metric.told(max));
    if runs > 1 && least != most {
        let _ = write!(cell, " ({least}..{most})");
    }
    if let Some(ratio) = row.ratios.get(&metric) {
        let value = ratio.of_rounds.map_or(ratio.of_medians, |of_rounds| of_rounds.median);
        let _ = write!(cell, " {}", format::ratio(value));
    }
    if runs < row.runs {
        let _ = write!(cell, " [{runs} of {} runs]", row.runs);
    }
    cell
}

/// Columns by their widest cell: names to the left, figures to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let text = cells.collect::<Vec<_>>().join("  ");
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}
