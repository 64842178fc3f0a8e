//! What happened, as labelled lines through the charts.

use crate::report::html::labels::{Flag, Placed, flags};
use crate::report::html::scale::Scale;
use crate::report::html::svg::{Size, area, line, shortened, text};
use crate::report::{Mark, MarkSource};

const ROW: f64 = 16.0;

/// Marks with their places.
pub(super) struct Layout {
    marks: Vec<Placing>,
    /// The height of the rows of labels.
    pub height: f64,
}

struct Placing {
    x: f64,
    label: String,
    width: f64,
    class: &'static str,
    /// `None` where there was no room for the label.
    placed: Option<Placed>,
}

/// Gives each of `marks` that lies on the axis its line and, where there is room, its label. On a
/// phone the label is only the mark's number, counted from 1.
pub(super) fn layout(marks: &[Mark], (x, span): (Scale, (f64, f64)), size: Size) -> Layout {
    let (rows_max, chars_max) = if size.is_narrow { (3, 4) } else { (6, 34) };
    let on_axis = |(_, mark): &(usize, &Mark)| (span.0..=span.1).contains(&mark.at_s);
    let (numbers, marks): (Vec<_>, Vec<_>) = marks.iter().enumerate().filter(on_axis).unzip();
    let labels: Vec<String> = numbers
        .into_iter()
        .zip(&marks)
        .map(|(index, mark)| {
            let number = index + 1;
            if size.is_narrow {
                number.to_string()
            } else {
                shortened(&format!("{number} {}", mark.text), chars_max)
            }
        })
        .collect();
    let wanted: Vec<Flag> = marks
        .iter()
        .zip(&labels)
        .map(|(mark, label)| Flag {
            x: x.at(mark.at_s),
            width: width(label, mark.source),
            rank: rank(mark.source),
        })
        .collect();
    let placed = flags(&wanted, rows_max, size.width);
    let rows = placed.iter().flatten().map(|placed| placed.row + 1).max().unwrap_or(0);
    let marks = marks.iter().zip(labels).zip(placed).map(|((mark, label), placed)| Placing {
        width: width(&label, mark.source),
        x: x.at(mark.at_s),
        label,
        class: class(mark.source),
        placed,
    });
    Layout { marks: marks.collect(), height: rows as f64 * ROW }
}

/// About how wide a label is.
fn width(label: &str, source: MarkSource) -> f64 {
    let letter = if source == MarkSource::Hook { 6.8 } else { 6.0 };
    letter * label.chars().count() as f64 + 10.0
}

/// How it is drawn.
pub(in crate::report::html) fn class(source: MarkSource) -> &'static str {
    match source {
        MarkSource::Hook => "hook",
        MarkSource::Endpoint => "endpoint",
        MarkSource::Profile => "profile",
    }
}

/// Whose labels matter more: what was done, then what the endpoint says, then the plan.
fn rank(source: MarkSource) -> u8 {
    match source {
        MarkSource::Hook => 0,
        MarkSource::Endpoint => 1,
        MarkSource::Profile => 2,
    }
}

impl Layout {
    /// The lines, from their labels down to `bottom`.
    pub(super) fn lines(&self, bottom: f64) -> String {
        let lines = self.marks.iter().map(|mark| {
            let top = mark.placed.map_or(self.height, |placed| placed.row as f64 * ROW + 2.0);
            let faint = if mark.placed.is_some() { "" } else { " faint" };
            let class = format!("mark {}{faint}", mark.class);
            line((mark.x, top), (mark.x, bottom - 14.0), &class)
        });
        lines.collect()
    }

    /// The labels, each on a ground of its own that hides lines behind it.
    pub(super) fn labels(&self) -> String {
        let labels = self.marks.iter().filter_map(|mark| {
            let placed = mark.placed?;
            let top = placed.row as f64 * ROW;
            let (x, side) =
                if placed.is_left { (mark.x - 4.0, " end") } else { (mark.x + 4.0, "") };
            let (from, to) = if placed.is_left {
                (mark.x - mark.width + 6.0, mark.x - 1.0)
            } else {
                (mark.x + 1.0, mark.x + mark.width - 6.0)
            };
            let class = format!("flag {}{side}", mark.class);
            let ground = area((from, top + 1.0), (to, top + ROW - 1.0), "ground");
            Some(ground + &text(x, top + 12.0, &class, &mark.label))
        });
        labels.collect()
    }
}
