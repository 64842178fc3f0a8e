//! One plot: its title, its vertical axis and the lines in it.

use super::labels::spread;
use super::scale::{Scale, linear_ticks, log_ticks};
use super::svg::{Size, line, polyline, text};
use crate::report::format;

/// Room above a plot for its title.
const TITLE: f64 = 24.0;

/// The least distance of two labels of lines.
const LABEL_GAP: f64 = 13.0;

/// A plot in a chart.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    size: Size,
    /// Its vertical axis, which knows where the plot is.
    pub y: Scale,
    ticks: Vec<(f64, String)>,
    title: String,
}

/// A line in a plot.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What it shows, as it stands at its end.
    pub label: String,
    /// How it looks.
    pub class: &'static str,
    /// Its points as (place, figure), rising in place.
    pub points: Vec<Option<(f64, f64)>>,
}

impl Panel {
    /// A plot of `height` whose title begins at `top`, with an axis from 0 to `max` at least.
    pub(super) fn linear(size: Size, title: &str, (top, height): (f64, f64), max: f64) -> Self {
        let ticks = linear_ticks(max, (height / 40.0).max(1.0));
        let domain = (0.0, ticks.last().copied().unwrap_or(1.0));
        let y = Scale::linear(domain, (top + TITLE + height, top + TITLE));
        let ticks = ticks.into_iter().map(|t| (t, format::short_count(t))).collect();
        Self { size, y, ticks, title: title.to_owned() }
    }

    /// A plot of microseconds on a logarithmic axis that shows all of `figures`.
    pub(super) fn micros(
        size: Size,
        title: &str,
        (top, height): (f64, f64),
        figures: impl Iterator<Item = f64>,
    ) -> Self {
        let told = figures.filter(|us| *us > 0.0 && us.is_finite());
        let (low, high) =
            told.fold((f64::INFINITY, 0.0f64), |(low, high), us| (low.min(us), high.max(us)));
        let (low, high) = if high > 0.0 { (low, high) } else { (1.0, 1000.0) };
        let ticks = log_ticks(low, high);
        let domain = (ticks[0], ticks.last().copied().unwrap_or(high));
        let y = Scale::log(domain, (top + TITLE + height, top + TITLE));
        let ticks = ticks.into_iter().map(|t| (t, format::micros_tick(t))).collect();
        Self { size, y, ticks, title: title.to_owned() }
    }

    /// The same with other words at its ticks.
    pub(super) fn with_ticks(self, ticks: Vec<(f64, String)>) -> Self {
        Self { ticks, ..self }
    }

    /// Where the plot ends.
    pub(super) fn bottom(&self) -> f64 {
        self.y.range().0
    }

    /// Where it begins, below its title.
    pub(super) fn top(&self) -> f64 {
        self.y.range().1
    }

    /// Title, axis and the lines across.
    pub(super) fn frame(&self) -> String {
        let (left, right) = self.size.plot();
        let mut out = text(left, self.top() - 9.0, "title", &self.title);
        let mut below = f64::INFINITY;
        for (tick, label) in &self.ticks {
            let y = self.y.at(*tick);
            out.push_str(&line((left, y), (right, y), "grid"));
            if below - y >= 11.0 {
                out.push_str(&text(left - 8.0, y + 4.0, "tick end", label));
                below = y;
            }
        }
        out.push_str(&line((left, self.bottom()), (right, self.bottom()), "axis"));
        out
    }

    /// Lines with their names: at their right ends, or beside the title where that is no room.
    pub(super) fn lines(&self, series: &[Series]) -> String {
        let mut out = String::new();
        for one in series {
            let placed = one.points.iter().map(|p| p.map(|(x, v)| (x, self.y.at(v))));
            out.push_str(&polyline(&placed.collect::<Vec<_>>(), one.class));
        }
        out.push_str(&if self.size.is_narrow { self.legend(series) } else { self.ends(series) });
        out
    }

    fn ends(&self, series: &[Series]) -> String {
        let last = |one: &Series| one.points.iter().rev().flatten().next().copied();
        let mut ends: Vec<(f64, &Series)> = series
            .iter()
            .filter(|one| !one.label.is_empty())
            .filter_map(|one| Some((self.y.at(last(one)?.1), one)))
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wanted: Vec<f64> = ends.iter().map(|end| end.0).collect();
        let places = spread(&wanted, LABEL_GAP, (self.top(), self.bottom()));
        let x = self.size.plot().1 + 7.0;
        let told = ends.iter().zip(places);
        told.map(|((_, one), y)| text(x, y + 4.0, &format!("label of-{}", one.class), &one.label))
            .collect()
    }

    /// The lines' names beside the title; nothing where they do not fit.
    fn legend(&self, series: &[Series]) -> String {
        let width = |text: &str| 7.4 * text.chars().count() as f64 + 10.0;
        let (left, right) = self.size.plot();
        let (mut x, mut out) = (right, String::new());
        for one in series.iter().rev().filter(|one| !one.label.is_empty()) {
            let class = format!("label end of-{}", one.class);
            out.push_str(&text(x, self.top() - 9.0, &class, &one.label));
            x -= width(&one.label);
        }
        if x > left + width(&self.title) { out } else { String::new() }
    }
}
