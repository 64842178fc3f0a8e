//! A table that leaves out columns where it has no room for them.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

/// A column: its cells, and how dear it is.
pub struct Column {
    pub heading: &'static str,
    /// The lowest is left out last.
    pub rank: u8,
    pub is_right: bool,
    pub cells: Vec<(String, Style)>,
}

const GAP: usize = 2;

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|(text, _)| Span::raw(text.as_str()).width());
        cells.chain([self.heading.len()]).max().unwrap_or_default()
    }

    fn cell(&self, row: usize, width: usize) -> Span<'static> {
        let (text, style) = self.cells.get(row).cloned().unwrap_or_default();
        Span::styled(pad(&text, width, self.is_right), style)
    }
}

fn pad(text: &str, width: usize, is_right: bool) -> String {
    let blanks = " ".repeat(width.saturating_sub(Span::raw(text).width()));
    if is_right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}

/// The headings, and the rows of `columns` from `from` on, at most `rows`.
pub fn lines(
    mut columns: Vec<Column>,
    width: u16,
    (from, rows): (usize, usize),
) -> Vec<Line<'static>> {
    let needed = |columns: &[Column]| -> usize {
        columns.iter().map(|column| column.width() + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while columns.len() > 1 && needed(&columns) > usize::from(width) {
        let dearest = columns.iter().enumerate().max_by_key(|(_, column)| column.rank);
        let place = dearest.map_or(0, |(place, _)| place);
        columns.remove(place);
    }
    let widths: Vec<_> = columns.iter().map(Column::width).collect();
    let row = |cell: &dyn Fn(&Column, usize) -> Span<'static>| {
        let mut spans = Vec::new();
        for (column, width) in columns.iter().zip(&widths) {
            if !spans.is_empty() {
                spans.push(Span::raw(" ".repeat(GAP)));
            }
            spans.push(cell(column, *width));
        }
        Line::from(spans)
    };
    let underlined = Style::new().add_modifier(Modifier::UNDERLINED);
    let heading = |column: &Column, width| {
        Span::styled(pad(column.heading, width, column.is_right), underlined)
    };
    let all = columns.first().map_or(0, |column| column.cells.len());
    let mut lines = vec![row(&heading)];
    for number in (from..all).take(rows) {
        lines.push(row(&|column, width| column.cell(number, width)));
    }
    lines
}
