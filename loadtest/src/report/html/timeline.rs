//! The charts over time: throughput, latency, misses and the generator, one below the other on one
//! axis of time, with what happened as lines through all of them.

mod marks;

pub(super) use self::marks::class as mark_class;

use super::bins::{Bin, bins};
use super::panel::{Panel, Series};
use super::scale::{Scale, time_label, time_ticks};
use super::svg::{Drawing, Size, area, figure, hit, line, text};
use crate::report::text::is_lower_bound;
use crate::report::{Report, format};

/// All charts over time; empty where no second was told.
pub(super) fn timeline(report: &Report) -> String {
    let (bins, width_s) = bins(&report.timeline);
    if bins.is_empty() {
        return String::new();
    }
    let alternative = alternative(report, &bins);
    let caption = caption(report, &bins, width_s);
    figure(&alternative, &caption, |size| Chart::new(report, &bins, size).draw())
}

/// What is known of a point, in lines.
pub(super) fn told(bin: &Bin, is_distrusted: bool) -> String {
    let span = if bin.end_s - bin.at_s > 1.5 {
        format!("{:.0} s to {:.0} s", bin.at_s, bin.end_s)
    } else {
        format!("{:.0} s", bin.at_s)
    };
    let mut out = format!("{span}\n{} replies", format::rate(bin.rate));
    if let Some(target) = bin.target_rate {
        out.push_str(&format!(" of {} asked for", format::rate(target)));
    }
    match bin.latency_us {
        Some(latency) if !is_distrusted => {
            let names = ["p50", "p99", "p99.9", "max"];
            for (name, us) in names.iter().zip(latency) {
                out.push_str(&format!("\n{name} {}", format::micros_typeset(us)));
            }
        }
        Some(_) | None => {}
    }
    if is_distrusted || !bin.is_trusted {
        out.push_str("\nlatency not to be believed");
    }
    out.push_str(&format!("\nmisses {}", format::rate(bin.miss_rate)));
    if bin.errors > 0 {
        out.push_str(&format!("\nerrors {}", format::count(bin.errors)));
    }
    if bin.troubles > 0 {
        out.push_str(&format!("\nbroken connections {}", format::count(bin.troubles)));
    }
    let (busy, lag) = (format::percent(bin.busy), format::micros_typeset(bin.lag_p99_us));
    let waited = format::percent(bin.waited_for_core);
    out.push_str(&format!("\ngenerator {busy} busy, without a core {waited}, lag p99 {lag}"));
    out
}

fn alternative(report: &Report, bins: &[Bin]) -> String {
    let measured = || bins.iter().filter(|bin| bin.at_s >= -0.5);
    let lowest = measured().map(|bin| bin.rate_range.0).fold(f64::INFINITY, f64::min);
    let highest = measured().map(|bin| bin.rate_range.1).fold(0.0, f64::max);
    let mut out = format!(
        "Throughput, latency, misses and the generator's state over {}. Throughput between {} \
         and {}.",
        format::seconds(report.measured_s),
        format::rate(lowest),
        format::rate(highest)
    );
    let worst = measured().filter_map(|bin| Some((bin.at_s, bin.latency_us?[1])));
    if let (true, Some((at_s, us))) =
        (report.distrust.is_empty(), worst.max_by(|a, b| a.1.total_cmp(&b.1)))
    {
        let us = format::micros_typeset(us);
        out.push_str(&format!(" The highest p99 of a second is {us}, at {at_s:.0} s."));
    }
    out.push_str(" The same figures are in the table below.");
    out
}

fn caption(report: &Report, bins: &[Bin], width_s: f64) -> String {
    let mut parts = Vec::new();
    if width_s > 1.0 {
        parts.push(format!(
            "Each point is {}: the mean rate (band: lowest to highest second) and the latency of \
             the worst second.",
            format::seconds(width_s)
        ));
    }
    if bins.iter().any(|bin| bin.at_s < -0.5) {
        parts.push("Shaded: warm-up, not counted.".to_owned());
    }
    if bins.iter().any(|bin| !bin.is_trusted) {
        parts.push("Hatched: the generator was late, no latency is shown.".to_owned());
    }
    if bins.iter().any(|bin| bin.errors > 0) {
        parts.push("▲ error replies.".to_owned());
    }
    if bins.iter().any(|bin| bin.troubles > 0) {
        parts.push("✕ broken connections.".to_owned());
    }
    if !report.marks.is_empty() {
        parts.push("Numbers are those of the list below.".to_owned());
    }
    parts.join(" ")
}

/// A chart that is being drawn, from top to bottom.
struct Chart<'r> {
    report: &'r Report,
    bins: &'r [Bin],
    size: Size,
    x: Scale,
    span: (f64, f64),
    /// Where the next plot may begin.
    y: f64,
    content: String,
}

impl<'r> Chart<'r> {
    fn new(report: &'r Report, bins: &'r [Bin], size: Size) -> Self {
        let begin = bins.first().map_or(0.0, |bin| bin.at_s.min(0.0));
        let span = (begin, bins.last().map_or(1.0, |bin| bin.end_s));
        let x = Scale::linear(span, size.plot());
        Self { report, bins, size, x, span, y: 0.0, content: String::new() }
    }

    fn draw(mut self) -> Drawing {
        let marks = marks::layout(&self.report.marks, (self.x, self.span), self.size);
        let top = marks.height;
        self.y = top;
        self.throughput();
        self.rugs();
        self.latency();
        if self.bins.iter().any(|bin| bin.miss_rate > 0.0) {
            self.misses();
        }
        self.generator();
        let bottom = self.y;
        self.axis();
        let content = [
            self.shades((top, bottom)),
            marks.lines(bottom),
            self.content.clone(),
            marks.labels(),
            self.hits((0.0, bottom)),
        ];
        Drawing { content: content.concat(), height: self.y }
    }

    fn series(
        &self,
        label: &str,
        class: &'static str,
        figure: impl Fn(&Bin) -> Option<f64>,
    ) -> Series {
        let point = |bin: &Bin| Some((self.x.at(bin.middle_s()), figure(bin)?));
        Series { label: label.to_owned(), class, points: self.bins.iter().map(point).collect() }
    }

    fn throughput(&mut self) {
        let highest = |bin: &Bin| bin.rate_range.1.max(bin.target_rate.unwrap_or(0.0));
        let max = self.bins.iter().map(highest).fold(0.0, f64::max);
        let bound = if is_lower_bound(self.report) { " (a lower bound)" } else { "" };
        let title = if self.size.is_narrow {
            "Throughput, /s".to_owned()
        } else {
            format!("Throughput, replies per second{bound}")
        };
        let panel = Panel::linear(self.size, &title, (self.y, 170.0), max * 1.02);
        self.content.push_str(&panel.frame());
        self.content.push_str(&self.band(&panel));
        self.content.push_str(&self.error_bars(&panel));
        let mut lines = Vec::new();
        if self.bins.iter().any(|bin| bin.target_rate.is_some()) {
            let points = self.bins.iter().flat_map(|bin| {
                let ends = [self.x.at(bin.at_s), self.x.at(bin.end_s)];
                ends.map(|x| Some((x, bin.target_rate?)))
            });
            let label = "asked for".to_owned();
            lines.push(Series { label, class: "target", points: points.collect() });
        }
        lines.push(self.series("replies", "rate", |bin| Some(bin.rate)));
        self.content.push_str(&panel.lines(&lines));
        self.y = panel.bottom();
    }

    /// From the lowest to the highest second, where a point is several.
    fn band(&self, panel: &Panel) -> String {
        let point =
            |bin: &Bin, rate| format!("{:.1},{:.1}", self.x.at(bin.middle_s()), panel.y.at(rate));
        let upper = self.bins.iter().map(|bin| point(bin, bin.rate_range.1));
        let lower = self.bins.iter().rev().map(|bin| point(bin, bin.rate_range.0));
        let points: Vec<String> = upper.chain(lower).collect();
        format!("<polygon points=\"{}\" class=\"band\"/>", points.join(" "))
    }

    /// Error replies as bars on the scale of the replies.
    fn error_bars(&self, panel: &Panel) -> String {
        let bars = self.bins.iter().filter(|bin| bin.errors > 0);
        bars.map(|bin| {
            let rate = bin.errors as f64 / (bin.end_s - bin.at_s).max(0.1);
            let from = (self.x.at(bin.at_s), panel.y.at(rate));
            area(from, (self.x.at(bin.end_s), panel.bottom()), "errors")
        })
        .collect()
    }

    /// Where there were errors and broken connections, however few.
    fn rugs(&mut self) {
        type Counted = fn(&Bin) -> u64;
        let kinds: [(&str, &str, Counted); 2] =
            [("errors", "▲", |bin| bin.errors), ("broken", "✕", |bin| bin.troubles)];
        for (label, sign, count) in kinds {
            let bins: Vec<&Bin> = self.bins.iter().filter(|bin| count(bin) > 0).collect();
            if bins.is_empty() {
                continue;
            }
            self.y += 14.0;
            let total: u64 = bins.iter().map(|bin| count(bin)).sum();
            for bin in bins {
                let x = self.x.at(bin.middle_s());
                self.content.push_str(&text(x, self.y, "sign middle", sign));
            }
            if !self.size.is_narrow {
                let x = self.size.plot().1 + 7.0;
                let told = format!("{} {label}", format::short_count(total as f64));
                self.content.push_str(&text(x, self.y, "label of-errors", &told));
            }
        }
        self.y += 14.0;
    }

    fn latency(&mut self) {
        let kind = if self.report.is_open_loop { "response time" } else { "service time" };
        let title = format!("Latency ({kind})");
        if !self.report.distrust.is_empty() {
            let (left, _) = self.size.plot();
            self.content.push_str(&text(left, self.y + 15.0, "title", &title));
            let told = "not shown: it is not to be believed";
            self.content.push_str(&text(left, self.y + 38.0, "label of-errors", told));
            self.y += 54.0;
            return;
        }
        let figures = self.bins.iter().filter_map(|bin| bin.latency_us).flatten();
        let title = if self.size.is_narrow { "Latency" } else { &title };
        let panel = Panel::micros(self.size, title, (self.y, 220.0), figures);
        self.content.push_str(&panel.frame());
        let names = [("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max")];
        let lines: Vec<Series> = names
            .into_iter()
            .enumerate()
            .map(|(index, (label, class))| {
                self.series(label, class, |bin| bin.latency_us.map(|us| us[index]))
            })
            .collect();
        self.content.push_str(&panel.lines(&lines));
        self.y = panel.bottom() + 14.0;
    }

    fn misses(&mut self) {
        let max = self.bins.iter().map(|bin| bin.miss_rate).fold(0.0, f64::max);
        let panel = Panel::linear(self.size, "Misses per second", (self.y, 60.0), max);
        self.content.push_str(&panel.frame());
        let misses = self.series("misses", "misses", |bin| Some(bin.miss_rate));
        self.content.push_str(&panel.lines(&[misses]));
        self.y = panel.bottom() + 14.0;
    }

    fn generator(&mut self) {
        let ticks = [(0.0, "0%"), (0.5, "50%"), (1.0, "100%")];
        let ticks = ticks.map(|(at, label)| (at, label.to_owned())).to_vec();
        let title = "Generator: busiest thread";
        let busy = Panel::linear(self.size, title, (self.y, 44.0), 1.0).with_ticks(ticks);
        self.content.push_str(&busy.frame());
        let line = self.series("busy", "generator", |bin| Some(bin.busy));
        let waiting = self.series("no core", "max", |bin| Some(bin.waited_for_core));
        self.content.push_str(&busy.lines(&[line, waiting]));
        self.y = busy.bottom() + 14.0;
        if !self.report.is_open_loop {
            return;
        }
        let figures = self.bins.iter().map(|bin| bin.lag_p99_us);
        let title = "Generator: behind schedule";
        let lag = Panel::micros(self.size, title, (self.y, 44.0), figures);
        self.content.push_str(&lag.frame());
        let line = self.series("p99", "generator", |bin| Some(bin.lag_p99_us));
        self.content.push_str(&lag.lines(&[line]));
        self.y = lag.bottom() + 14.0;
    }

    fn axis(&mut self) {
        let (begin, end) = self.span;
        let wanted = if self.size.is_narrow { 5.0 } else { 12.0 };
        for tick in time_ticks(begin, end, wanted) {
            let x = self.x.at(tick);
            self.content.push_str(&line((x, self.y - 14.0), (x, self.y - 9.0), "axis"));
            self.content.push_str(&text(x, self.y + 4.0, "tick middle", &time_label(tick, end)));
        }
        self.y += 10.0;
    }

    /// Warm-up, and seconds that are not to be believed.
    fn shades(&self, (top, bottom): (f64, f64)) -> String {
        let hatch = format!("hatch-{}", self.size.name);
        let mut out = format!(
            "<defs><pattern id=\"{hatch}\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <path d=\"M0 0V6\" class=\"hatch\"/></pattern></defs>"
        );
        if self.span.0 < -0.5 {
            let (from, to) = (self.x.at(self.span.0), self.x.at(0.0));
            out.push_str(&area((from, top), (to, bottom - 14.0), "warmup"));
        }
        for bin in self.bins.iter().filter(|bin| !bin.is_trusted) {
            let (from, to) = (self.x.at(bin.at_s), self.x.at(bin.end_s));
            out.push_str(&format!(
                "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                 fill=\"url(#{hatch})\"/>",
                to - from,
                bottom - 14.0 - top
            ));
        }
        out
    }

    fn hits(&self, (top, bottom): (f64, f64)) -> String {
        let is_distrusted = !self.report.distrust.is_empty();
        let hits = self.bins.iter().map(|bin| {
            let (from, to) = (self.x.at(bin.at_s), self.x.at(bin.end_s));
            hit((from, top), (to, bottom - 14.0), &told(bin, is_distrusted))
        });
        hits.collect()
    }
}
