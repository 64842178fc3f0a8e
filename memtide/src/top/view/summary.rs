//! The cache as a whole: what it is, what it uses, how fast it answers.

use memtide_limits::units::{show_count, show_size};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::Canvas;
use crate::top::keys::Controls;
use crate::top::model::double;
use crate::top::page::Range;
use crate::top::screen::{Latency, Quantiles, Screen};
use crate::top::text::{UNKNOWN, bar, count, curve, duration, percent, rate, seconds, time_of_day};

const BAR: usize = 16;
/// From here on a bar warns.
const NEAR: f64 = 0.75;

pub fn title(screen: &Screen, controls: &Controls, canvas: Canvas) -> Vec<Line<'static>> {
    let title = &screen.title;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let name = title.cache.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let mut spans = vec![Span::raw("memtide "), Span::styled(name, bold)];
    if controls.is_paused {
        spans.insert(0, Span::styled("[paused] ", canvas.warn()));
    }
    let mut parts = Vec::new();
    if !title.role.is_empty() {
        parts.push(title.role.to_owned());
    }
    parts.extend(title.uptime.map(|uptime| format!("up {}", duration(uptime))));
    parts.extend(title.at_ms.map(time_of_day));
    parts.extend(title.endpoint.as_ref().map(|endpoint| format!("clients {endpoint}")));
    parts.push(format!("admin {}", title.address));
    let taken: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(canvas.width).saturating_sub(taken + 2);
    spans.push(Span::raw(format!("  {}", that_fit(&parts, room))));
    vec![Line::from(spans)]
}

pub fn lines(screen: &Screen, canvas: Canvas) -> Vec<Line<'static>> {
    let mut lines = vec![data(screen, canvas), ecpu(screen, canvas), traffic(screen, canvas)];
    lines.extend(latency(screen));
    lines.extend(slots(screen, canvas));
    lines.extend(super::fleet::zones(screen));
    lines
}

/// As many as there is room for, each whole: half a number is another one.
fn that_fit(parts: &[String], room: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { "  " };
        if Span::raw(format!("{text}{gap}{part}")).width() > room {
            break;
        }
        text = format!("{text}{gap}{part}");
    }
    text
}

fn data(screen: &Screen, canvas: Canvas) -> Line<'static> {
    let used = screen.data.used;
    let shown = used.map_or_else(|| UNKNOWN.to_owned(), show_size);
    let mut spans = vec![Span::raw("data     ")];
    spans.extend(bounded((used.map(double), shown), screen.data.limit, show_size, canvas));
    Line::from(spans)
}

fn ecpu(screen: &Screen, canvas: Canvas) -> Line<'static> {
    let load = &screen.ecpu;
    let mut spans = vec![Span::raw("ECPU/s   ")];
    spans.extend(bounded((load.now, rate(load.now)), load.limit, show_count, canvas));
    if !load.of.is_empty() {
        spans.push(Span::raw(format!("  {}", load.of)));
    }
    let taken: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(canvas.width).saturating_sub(taken + 2).min(60);
    if room >= 8 {
        spans.push(Span::raw(format!("  {}", curve(&load.history, room))));
    }
    Line::from(spans)
}

fn bounded(
    (used, shown): (Option<f64>, String),
    limit: Option<Range>,
    show: fn(u64) -> String,
    canvas: Canvas,
) -> Vec<Span<'static>> {
    let Range { min, max } = limit.unwrap_or_default();
    let least = if min == 0 { String::new() } else { format!("  at least {}", show(min)) };
    let part = used.filter(|_| max > 0).map(|used| used / double(max));
    let Some(part) = part else {
        let limit = match (limit, max) {
            (None, _) => "limit not known".to_owned(),
            (_, 0) => "no limit".to_owned(),
            (_, max) => format!("of {}", show(max)),
        };
        return vec![Span::raw(format!("{shown}  {limit}{least}"))];
    };
    let style = if part >= NEAR { canvas.warn() } else { canvas.good() };
    let words = format!("  {shown} of {}  {}{least}", show(max), percent(Some(part)));
    vec![Span::styled(bar(part, BAR), style), Span::raw(words)]
}

fn traffic(screen: &Screen, canvas: Canvas) -> Line<'static> {
    let it = &screen.traffic;
    let mut parts = vec![
        format!("commands {}/s", rate(it.commands)),
        format!("hits {}", percent(it.hit_ratio)),
        format!("throttled {}/s", rate(it.throttled)),
        format!("evicted {}/s", rate(it.evicted)),
    ];
    if let Some((open, max)) = it.connections {
        parts.push(format!("connections {} of {}", count(open), count(max)));
    }
    if let Some(span) = screen.title.span {
        parts.push(format!("over {:.1} s", span.as_secs_f64()));
    }
    Line::from(that_fit(&parts, usize::from(canvas.width)))
}

fn latency(screen: &Screen) -> Vec<Line<'static>> {
    let line = |kind: &str, it: &Quantiles| {
        let times = [it.p50, it.p99, it.p999].map(|time| format!("{:>10}", seconds(time)));
        let of = it.count.map(|commands| format!("  of {commands:.0}")).unwrap_or_default();
        let [p50, p99, p999] = times;
        Line::from(format!("{kind:5}  p50{p50}  p99{p99}  p99.9{p999}{of}"))
    };
    match &screen.latency {
        Latency::Unknown => Vec::new(),
        Latency::NotMeasured => {
            vec![Line::from("no latency is measured here; ask the admin HTTP of a proxy")]
        }
        Latency::Measured { read, write } => vec![line("read", read), line("write", write)],
    }
}

fn slots(screen: &Screen, canvas: Canvas) -> Vec<Line<'static>> {
    let Some(slots) = screen.slots else { return Vec::new() };
    let mut parts = vec![
        format!("slots {} complete", count(slots.complete)),
        format!("{} short", count(slots.short_of_replicas)),
        format!("{} unowned", count(slots.unowned)),
        format!("{} unserved", count(slots.unserved)),
    ];
    parts.extend(screen.title.replicas.map(|replicas| format!("replicas {replicas}")));
    parts.extend(screen.title.epoch.map(|epoch| format!("epoch {}", count(epoch))));
    vec![Line::from(that_fit(&parts, usize::from(canvas.width)))]
}
