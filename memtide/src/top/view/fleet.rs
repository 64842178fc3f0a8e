//! The nodes, their zones, what moves between them, and what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use memtide_limits::units::show_size;
use ratatui::style::Style;
use ratatui::text::Line;

use super::table::{self, Column};
use super::{Canvas, heading};
use crate::top::keys::Controls;
use crate::top::model::double;
use crate::top::screen::{Moves, Node, Screen};
use crate::top::text::{UNKNOWN, bar, count, duration, percent, rate, time_of_day};

const BAR: usize = 8;
/// Zones that have a line each.
const ZONES_MAX: usize = 4;

/// What a zone has.
#[derive(Default)]
struct Zone {
    nodes: usize,
    up: usize,
    slots: u64,
    used: u64,
    max: u64,
    requests: Option<f64>,
}

pub fn zones(screen: &Screen) -> Vec<Line<'static>> {
    let mut zones: BTreeMap<&str, Zone> = BTreeMap::new();
    let nodes = screen.nodes.body.iter().flatten().filter(|node| !node.zone.is_empty());
    for node in nodes {
        let zone = zones.entry(&node.zone).or_default();
        zone.nodes += 1;
        zone.up += usize::from(node.state == "up");
        zone.slots += node.slots[0];
        zone.used += node.memory_used.unwrap_or_default();
        zone.max += node.memory_max;
        if let Some(requests) = node.requests {
            *zone.requests.get_or_insert(0.0) += requests;
        }
    }
    let line = |(name, zone): (&&str, &Zone)| {
        let memory = format!("{} of {}", show_size(zone.used), show_size(zone.max));
        Line::from(format!(
            "zone {name}  {} of {} nodes up  {} slots  {memory}  {} requests/s",
            zone.up,
            zone.nodes,
            count(zone.slots),
            rate(zone.requests)
        ))
    };
    let shown = if zones.len() > ZONES_MAX { ZONES_MAX - 1 } else { zones.len() };
    let mut lines: Vec<_> = zones.iter().take(shown).map(line).collect();
    if shown < zones.len() {
        lines.push(Line::from(format!("and {} more zones", zones.len() - shown)));
    }
    lines
}

/// At most `room` lines.
pub fn nodes(
    screen: &Screen,
    controls: &Controls,
    canvas: Canvas,
    room: usize,
) -> Vec<Line<'static>> {
    let lack = screen.nodes.lack.as_ref();
    let Some(nodes) = &screen.nodes.body else {
        let lines = vec![heading(canvas, "NODES".to_owned(), lack)];
        return lines.into_iter().take(room).collect();
    };
    let mut nodes: Vec<&Node> = nodes.iter().collect();
    nodes.sort_by(|one, other| controls.sort.order(one, other));
    let rows = room.saturating_sub(2);
    let from = controls.offset;
    let shown = nodes.len().saturating_sub(from).min(rows);
    let which = match (shown, nodes.len()) {
        (shown, all) if shown == all => all.to_string(),
        (0, all) => all.to_string(),
        (shown, all) => format!("{}-{} of {all}", from + 1, from + shown),
    };
    let words = format!("NODES {which}, by {}", controls.sort.name());
    let mut lines = vec![heading(canvas, words, lack)];
    lines.extend(table::lines(columns(&nodes, canvas), canvas.width, (from, rows)));
    lines.truncate(room);
    lines
}

fn columns(nodes: &[&Node], canvas: Canvas) -> Vec<Column> {
    let plain = |heading, rank, is_right, cell: &dyn Fn(&Node) -> String| Column {
        heading,
        rank,
        is_right,
        cells: nodes.iter().map(|node| (cell(node), Style::new())).collect(),
    };
    let known = |number: Option<u64>, show: fn(u64) -> String| {
        number.map_or_else(|| UNKNOWN.to_owned(), show)
    };
    let used = |node: &Node| {
        let max = Some(node.memory_max).filter(|max| *max > 0);
        node.memory_used.zip(max).map(|(used, max)| double(used) / double(max))
    };
    let mut columns = vec![plain("id", 0, false, &|node| node.id.clone())];
    if nodes.iter().any(|node| node.instance.is_some()) {
        let name = |node: &Node| node.instance.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        columns.push(plain("instance", 10, false, &name));
    }
    columns.push(plain("zone", 5, false, &|node| node.zone.clone()));
    columns.push(Column {
        heading: "state",
        rank: 1,
        is_right: false,
        cells: nodes.iter().map(|node| state(node, canvas)).collect(),
    });
    let slots = |part: usize| move |node: &Node| count(node.slots[part]);
    columns.extend([
        plain("primary", 4, true, &slots(0)),
        plain("replica", 6, true, &slots(1)),
        plain("learning", 8, true, &slots(2)),
        plain("used", 2, true, &|node| known(node.memory_used, show_size)),
        plain("granted", 7, true, &|node| show_size(node.memory_max)),
        plain("memory", 3, true, &|node| {
            used(node).map_or_else(|| UNKNOWN.to_owned(), |part| percent(Some(part)))
        }),
        plain("", 11, false, &|node| bar(used(node).unwrap_or_default(), BAR)),
        plain("items", 12, true, &|node| known(node.items, count)),
        plain("req/s", 2, true, &|node| rate(node.requests)),
        plain("CPU", 3, true, &|node| percent(node.cpu)),
        plain("address", 9, false, &|node| node.address.clone()),
    ]);
    columns
}

fn state(node: &Node, canvas: Canvas) -> (String, Style) {
    match (node.state.as_str(), node.is_draining) {
        ("up", false) => ("up".to_owned(), canvas.good()),
        ("up", true) => ("draining".to_owned(), canvas.warn()),
        (state @ ("unheard" | "reconnecting"), _) => (state.to_owned(), canvas.warn()),
        (state, _) => (state.to_owned(), canvas.bad()),
    }
}

pub fn migrations(screen: &Screen, canvas: Canvas) -> Vec<Line<'static>> {
    let lack = screen.migrations.lack.as_ref();
    let Some(moves) = &screen.migrations.body else {
        // Of a single node there are none to be told of.
        let is_told = screen.slots.is_some();
        return is_told
            .then(|| heading(canvas, "MIGRATIONS".to_owned(), lack))
            .into_iter()
            .collect();
    };
    let Moves { remaining, began, rate: falling, running } = moves;
    if *remaining == 0 && running.is_empty() {
        return vec![heading(canvas, "MIGRATIONS none".to_owned(), lack)];
    }
    let done = double(began.saturating_sub(*remaining)) / double((*began).max(1));
    let mut words = format!(
        "MIGRATIONS {} of {} slots remain  {} {}",
        count(*remaining),
        count(*began),
        bar(done, BAR * 2),
        percent(Some(done))
    );
    if let Some(falling) = falling.filter(|falling| *falling > 0.0) {
        let left = Duration::try_from_secs_f64(double(*remaining) / falling).unwrap_or_default();
        words.push_str(&format!("  {}/s, about {} left", rate(Some(falling)), duration(left)));
    }
    let mut lines = vec![heading(canvas, words, lack)];
    lines.extend(running.iter().map(|it| {
        let oldest = duration(Duration::from_millis(it.oldest_ms));
        let slots = if it.slots == 1 { "slot" } else { "slots" };
        let slots = format!("{} {slots} at once", count(it.slots));
        Line::from(format!("{} -> {}  {slots}, the oldest for {oldest}", it.from, it.to))
    }));
    lines
}

/// At most `room` lines, the newest first.
pub fn events(screen: &Screen, canvas: Canvas, room: usize) -> Vec<Line<'static>> {
    let mut lines = vec![heading(canvas, "EVENTS".to_owned(), screen.events.lack.as_ref())];
    lines.extend(screen.events.body.iter().flatten().rev().map(|event| {
        let at = time_of_day(event.at_ms);
        Line::from(format!("{at} {:18} {}", event.kind, event.text))
    }));
    lines.truncate(room);
    lines
}
