//! The latency's curve: how slow the slowest one in ten, hundred, thousand replies are.

use super::panel::{Panel, Series};
use super::scale::{Scale, nines};
use super::svg::{Drawing, NARROW, Size, figure, hit, line, text};
use crate::report::{Latency, Report, format};

/// Where the axis begins: at the median.
pub(super) const BEGIN: f64 = std::f64::consts::LOG10_2;

/// A curve among others.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// What stands at its end; nothing for one that is only background.
    pub label: String,
    /// How it looks.
    pub class: &'static str,
    /// (fraction of replies, microseconds), rising in both.
    pub points: Vec<(f64, f64)>,
}

/// The curve of one run.
pub(super) fn percentile_curve(report: &Report) -> String {
    let curve = Curve { label: String::new(), class: "rate", points: report.percentiles.clone() };
    let end = end_of(&report.percentiles, report.latency.count);
    let latency = &report.latency;
    let told: Vec<String> = named(latency, end)
        .into_iter()
        .map(|(fraction, us)| {
            format!("{} {}", format::percentile(fraction), format::micros_typeset(us))
        })
        .collect();
    let alternative = format!("Latency by percentile: {}.", told.join(", "));
    let caption = "Each step to the right is ten times rarer; both axes are logarithmic.";
    figure(&alternative, caption, |size| {
        let mut drawing = curves(std::slice::from_ref(&curve), end, size);
        drawing.drawing.content.push_str(&named_points(&drawing, latency, end, size));
        drawing.drawing.content.push_str(&hits(&drawing, &curve.points));
        drawing.drawing
    })
}

/// The curves of several runs in one plot; the axis ends at `end` nines.
pub(super) fn overlaid(all: &[Curve], end: f64, alternative: &str, caption: &str) -> String {
    figure(alternative, caption, |size| {
        let right = if size.is_narrow { size.right } else { 160.0 };
        curves(all, end, Size { right, ..size }).drawing
    })
}

/// How many nines `count` replies resolve: further right the curve would only repeat its maximum.
pub(super) fn end_of(points: &[(f64, f64)], count: u64) -> f64 {
    let resolved = (count.max(10) as f64).log10();
    let told = points.iter().map(|point| nines(point.0)).filter(|nines| nines.is_finite());
    resolved.min(told.fold(1.0, f64::max) + 0.3).max(1.0)
}

/// A curve's latency at `nine` nines, between its points by their logarithms; its maximum is at
/// `end` nines.
pub(super) fn latency_at(points: &[(f64, f64)], nine: f64, end: f64) -> Option<f64> {
    let place = |(fraction, _): &(f64, f64)| nines(*fraction).min(end);
    let after = points.iter().position(|point| place(point) >= nine);
    let after = after.unwrap_or(points.len().checked_sub(1)?);
    let (right, left) = (points[after], points[after.saturating_sub(1)]);
    let width = place(&right) - place(&left);
    if width <= 0.0 || left.1 <= 0.0 {
        return Some(right.1);
    }
    let part = ((nine - place(&left)) / width).clamp(0.0, 1.0);
    Some(left.1 * (right.1 / left.1).powf(part))
}

/// A curve from the median on, with a point at it.
fn from_median(points: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let median = latency_at(points, BEGIN, end).map(|us| (0.5, us));
    let rest = points.iter().copied().filter(|(fraction, _)| *fraction > 0.5);
    median.into_iter().chain(rest).collect()
}

struct Plot {
    drawing: Drawing,
    panel: Panel,
    x: Scale,
}

fn curves(curves: &[Curve], end: f64, size: Size) -> Plot {
    let drawn: Vec<Vec<(f64, f64)>> =
        curves.iter().map(|curve| from_median(&curve.points, end)).collect();
    let figures = drawn.iter().flatten().map(|(_, us)| *us);
    let height = if size.is_narrow { 240.0 } else { 300.0 };
    let panel = Panel::micros(size, "Latency", (0.0, height), figures);
    let x = Scale::linear((BEGIN, end), size.plot());
    let mut content = panel.frame();
    let series: Vec<Series> = curves
        .iter()
        .zip(&drawn)
        .map(|(curve, drawn)| {
            let place = |(fraction, us): &(f64, f64)| Some((x.at(nines(*fraction).min(end)), *us));
            let points = drawn.iter().map(place).collect();
            Series { label: curve.label.clone(), class: curve.class, points }
        })
        .collect();
    content.push_str(&panel.lines(&series));
    content.push_str(&axis(&panel, x, end));
    Plot { drawing: Drawing { content, height: panel.bottom() + 40.0 }, panel, x }
}

fn axis(panel: &Panel, x: Scale, end: f64) -> String {
    let mut out = String::new();
    let bottom = panel.bottom();
    let mut nine = BEGIN;
    let mut free = f64::NEG_INFINITY;
    while nine <= end {
        let fraction = 1.0 - 10f64.powf(-nine);
        let at = x.at(nine);
        out.push_str(&line((at, panel.top()), (at, bottom), "grid"));
        let label = format!("{}%", format::percentile(fraction).replacen('p', "", 1));
        let half = 3.2 * label.chars().count() as f64 + 2.0;
        if at - half > free {
            out.push_str(&text(at, bottom + 16.0, "tick middle", &label));
            free = at + half;
        }
        nine = nine.floor() + 1.0;
    }
    let middle = f64::midpoint(x.range().0, x.range().1);
    out.push_str(&text(middle, bottom + 34.0, "tick middle", "of replies were at least as fast"));
    out
}

/// The usual percentiles, as far as they are resolved.
fn named(latency: &Latency, end: f64) -> Vec<(f64, f64)> {
    let all = [
        (0.5, latency.p50_us),
        (0.9, latency.p90_us),
        (0.99, latency.p99_us),
        (0.999, latency.p999_us),
        (0.9999, latency.p9999_us),
    ];
    let mut told: Vec<_> = all.into_iter().filter(|(f, _)| nines(*f) < end - 0.25).collect();
    told.push((1.0, latency.max_us));
    told
}

fn named_points(plot: &Plot, latency: &Latency, end: f64, size: Size) -> String {
    let mut out = String::new();
    for (fraction, us) in named(latency, end) {
        let is_crowded = size.name == NARROW.name && fraction == 0.9;
        let (x, y) = (plot.x.at(nines(fraction).min(end)), plot.panel.y.at(us));
        out.push_str(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" class=\"named\"/>"));
        if !is_crowded {
            let told = format::micros_typeset(us);
            let (x, class) =
                if fraction == 0.5 { (x + 2.0, "value") } else { (x - 4.0, "value end") };
            out.push_str(&text(x, y - 9.0, class, &told));
        }
    }
    out
}

fn hits(plot: &Plot, points: &[(f64, f64)]) -> String {
    let points: Vec<&(f64, f64)> = points.iter().filter(|(fraction, _)| *fraction >= 0.5).collect();
    let (begin, end) = plot.x.range();
    let (_, nines_max) = plot.x.domain();
    let places: Vec<f64> =
        points.iter().map(|(fraction, _)| plot.x.at(nines(*fraction).min(nines_max))).collect();
    let mut out = String::new();
    for (index, (fraction, us)) in points.iter().enumerate() {
        let before =
            index.checked_sub(1).map_or(begin, |i| f64::midpoint(places[i], places[index]));
        let after = places.get(index + 1).map_or(end, |next| f64::midpoint(places[index], *next));
        let told =
            format!("{}\n{}{}", name(*fraction), format::micros_typeset(*us), slower(*fraction));
        out.push_str(&hit((before, plot.panel.top()), (after, plot.panel.bottom()), &told));
    }
    out
}

/// A percentile with four digits at most beyond its nines.
fn name(fraction: f64) -> String {
    if fraction >= 1.0 { "the slowest".to_owned() } else { format!("p{}", digits(fraction)) }
}

fn digits(fraction: f64) -> String {
    let decimals = match nines(fraction) {
        n if n < 1.0 => 1,
        n if n < 2.0 => 2,
        n if n < 3.0 => 3,
        n if n < 4.0 => 4,
        _ => 6,
    };
    let text = format!("{:.decimals$}", fraction * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn slower(fraction: f64) -> String {
    if !(0.5..1.0).contains(&fraction) {
        return String::new();
    }
    format!("\n1 in {} is slower", format::quantity(1.0 / (1.0 - fraction)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_between_two_points_is_between_theirs() {
        let points = [(0.5, 100.0), (0.9, 100.0), (0.99, 400.0), (1.0, 900.0)];
        assert_eq!(latency_at(&points, 0.5, 3.0), Some(100.0));
        assert!((latency_at(&points, 1.5, 3.0).unwrap() - 200.0).abs() < 1e-9);
        assert!((latency_at(&points, 2.5, 3.0).unwrap() - 600.0).abs() < 1e-9);
        assert_eq!(latency_at(&points, 4.0, 3.0), Some(900.0));
        assert_eq!(latency_at(&[], 1.0, 3.0), None);
    }

    #[test]
    fn a_curve_begins_at_its_median() {
        let points = [(0.0, 10.0), (0.9, 1000.0), (1.0, 2000.0)];
        let drawn = from_median(&points, 3.0);
        assert_eq!(drawn.len(), 3);
        assert!(drawn[0].0 == 0.5 && drawn[0].1 > 10.0 && drawn[0].1 < 1000.0, "{drawn:?}");
    }

    #[test]
    fn the_axis_ends_where_the_replies_resolve_no_more() {
        let points: Vec<(f64, f64)> = vec![(0.5, 1.0), (0.999_999_9, 2.0), (1.0, 3.0)];
        assert!((end_of(&points, 10_000) - 4.0).abs() < 1e-9);
        assert!(end_of(&points, 0) >= 1.0 && end_of(&[], u64::MAX) >= 1.0);
    }
}
