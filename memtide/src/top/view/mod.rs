//! The screen as lines, and how many of each part there is room for. Pure.

mod fleet;
mod summary;
mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::keys::Controls;
use super::screen::Screen;
use super::text;

/// Troubles that are shown; of more their number.
const TROUBLES_MAX: usize = 4;
/// Events that are shown where there is room for all.
const EVENTS_MAX: usize = 20;

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Canvas {
    /// Without them nothing is lost but beauty.
    pub has_colours: bool,
    pub width: u16,
}

impl Canvas {
    fn colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn warn(self) -> Style {
        self.colour(Color::Yellow)
    }

    fn good(self) -> Style {
        self.colour(Color::Green)
    }

    fn faint(self) -> Style {
        self.colour(Color::DarkGray)
    }
}

/// Draws what there is room for.
pub fn draw(screen: &Screen, controls: &mut Controls, has_colours: bool, buffer: &mut Buffer) {
    let area = buffer.area;
    let canvas = Canvas { has_colours, width: area.width };
    let height = usize::from(area.height);
    let lines = if controls.is_help {
        help(canvas)
    } else {
        let mut lines = fit(screen, controls, canvas, height.saturating_sub(1));
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), Line::default());
        // Of a single row the title is more than the keys.
        if height == 1 {
            lines = summary::title(screen, controls, canvas);
        } else {
            lines.push(footer(controls, canvas));
        }
        lines
    };
    print(&lines, area, buffer);
}

/// All of it as text, a line each, without the blanks at their ends.
pub fn plain(screen: &Screen, controls: &mut Controls, width: u16) -> String {
    let canvas = Canvas { has_colours: false, width };
    let lines = fit(screen, controls, canvas, usize::MAX);
    let mut text = String::new();
    for line in &lines {
        let area = Rect::new(0, 0, width, 1);
        let mut buffer = Buffer::empty(area);
        print(std::slice::from_ref(line), area, &mut buffer);
        let row: String = (0..width).map(|x| buffer[(x, 0)].symbol()).collect();
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A line that has no room for all of it says so.
fn print(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        buffer.set_line(area.left(), y, line, area.width);
        if line.width() > usize::from(area.width) && area.width > 0 {
            buffer[(area.right() - 1, y)].set_symbol("…");
        }
    }
}

/// At most `height` lines: what says most about the cache first, then nodes and what happens to them in turn.
fn fit(
    screen: &Screen,
    controls: &mut Controls,
    canvas: Canvas,
    height: usize,
) -> Vec<Line<'static>> {
    let mut lines = summary::title(screen, controls, canvas);
    lines.extend(troubles(screen, canvas));
    lines.extend(summary::lines(screen, canvas));
    let moves = fleet::migrations(screen, canvas);
    let nodes = screen.nodes.body.as_ref().map_or(0, Vec::len);
    let events = screen.events.body.as_ref().map_or(0, Vec::len).min(EVENTS_MAX);
    // A heading each, and one for the columns.
    let left = height.saturating_sub(lines.len());
    let wanted = [nodes + 2, moves.len(), events + 1];
    let [rows, moves_shown, events] = share(left, wanted);
    // Never past the last page.
    controls.offset = controls.offset.min(nodes.saturating_sub(rows.saturating_sub(2)));
    lines.extend(fleet::nodes(screen, controls, canvas, rows));
    lines.extend(moves.into_iter().take(moves_shown));
    lines.extend(fleet::events(screen, canvas, events));
    lines
}

/// Half of what is left for nodes and a fifth for migrations, and what one part leaves is the others'.
fn share(left: usize, [nodes, moves, events]: [usize; 3]) -> [usize; 3] {
    let all = nodes.saturating_add(moves).saturating_add(events);
    if left >= all {
        return [nodes, moves, events];
    }
    let moves = moves.min((left / 5).max(2)).min(left);
    let left = left - moves;
    let events_least = events.min(left / 3);
    let nodes = nodes.min(left - events_least);
    [nodes, moves, left - nodes]
}

fn troubles(screen: &Screen, canvas: Canvas) -> Vec<Line<'static>> {
    let troubles = &screen.troubles;
    let shown = if troubles.len() > TROUBLES_MAX { TROUBLES_MAX - 1 } else { troubles.len() };
    let line = |text: String| Line::from(Span::styled(format!("! {text}"), canvas.bad()));
    let mut lines: Vec<_> = troubles[..shown].iter().cloned().map(line).collect();
    if shown < troubles.len() {
        lines.push(line(format!("and {} more", troubles.len() - shown)));
    }
    lines
}

/// A heading, and what of it is not of now.
fn heading(
    canvas: Canvas,
    words: String,
    lack: Option<&(String, Option<std::time::Duration>)>,
) -> Line<'static> {
    let style = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled(words, style)];
    if let Some((why, age)) = lack {
        let age = age.map(|age| format!(", {} old", text::duration(age))).unwrap_or_default();
        spans.push(Span::styled(format!("  not there now{age}: {why}"), canvas.warn()));
    }
    Line::from(spans)
}

fn footer(controls: &Controls, canvas: Canvas) -> Line<'static> {
    let pause = if controls.is_paused { "p go on" } else { "p pause" };
    let words = format!(
        "q quit  {pause}  s sort: {}  +/- every {}  ↑↓ nodes  ? help",
        controls.sort.name(),
        text::span(controls.interval())
    );
    Line::from(Span::styled(words, canvas.faint()))
}

fn help(canvas: Canvas) -> Vec<Line<'static>> {
    const KEYS: [(&str, &str); 7] = [
        ("q, Esc, Ctrl-C", "quit"),
        ("p", "pause: looks no more, and goes on with another p"),
        ("s", "sort nodes by memory, requests, CPU or id"),
        ("+, -", "look more or less often"),
        ("up, down, j, k", "scroll the nodes"),
        ("Home, g", "to the first node"),
        ("?", "this, and back"),
    ];
    let mut lines = vec![heading(canvas, "KEYS".to_owned(), None)];
    lines.extend(KEYS.iter().map(|(key, does)| Line::from(format!("{key:16}{does}"))));
    lines.push(Line::default());
    let words = [
        "Rates and latencies are of the time between two looks; - is not known.",
        "Latency is from the read of a command to the write of its reply, in memtide.",
        "CPU: 100% is one core. Slots: as primary, as a copy, being copied.",
    ];
    lines.extend(words.into_iter().map(Line::from));
    lines
}

#[cfg(test)]
mod tests;
