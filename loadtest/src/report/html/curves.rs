//! A page of curves over time that are of no load test: for others of this repository.

use super::page;
use super::panel::{Panel, Series};
use super::scale::{Scale, time_label, time_ticks};
use super::svg::{Drawing, Size, WIDE, escape, figure, hit, line, text};
use crate::report::format;

/// What stands on such a page, from top to bottom.
#[derive(Clone, Debug, Default)]
pub struct CurvesPage {
    /// Its heading.
    pub title: String,
    /// A sentence below it.
    pub about: String,
    /// What is summed up, by name.
    pub facts: Vec<(String, String)>,
    /// One below the other, on one axis of time.
    pub charts: Vec<CurvesChart>,
    /// What happened: at which second, and what.
    pub events: Vec<(f64, String)>,
}

/// Curves that share an axis.
#[derive(Clone, Debug, Default)]
pub struct CurvesChart {
    /// What they are of.
    pub title: String,
    /// Each of them with its name; at most six. A figure that is no number is a gap.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
    /// How their axis goes.
    pub axis: CurvesAxis,
}

/// An axis of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CurvesAxis {
    /// From 0, evenly.
    #[default]
    Even,
    /// Of microseconds, by powers of ten.
    Micros,
}

/// Between two charts.
const GAP: f64 = 14.0;
/// Below the last of them, for times.
const TIMES_HEIGHT: f64 = 24.0;
/// Above the first of an image, for what happened.
const EVENTS_HEIGHT: f64 = 48.0;
/// Lines of words in it.
const EVENT_LINES: usize = 3;

/// How curves look, one after the other.
const CLASSES: [&str; 6] = ["s-a", "s-b", "s-c", "s-d", "s-e", "s-f"];

/// Tells it as an HTML page that needs nothing from elsewhere.
#[must_use]
pub fn curves(told: &CurvesPage) -> String {
    let rows = told.facts.iter().map(|(name, figure)| {
        format!("<tr><td class=\"name\">{}</td><td>{}</td></tr>", escape(name), escape(figure))
    });
    let events = told.events.iter().map(|(at_s, what)| {
        format!("<tr><td class=\"n\">{at_s:.0} s</td><td class=\"wrap\">{}</td></tr>", escape(what))
    });
    let alternative = alternative(told);
    let caption = "Point at the curves, or walk along them with the arrow keys, for the figures.";
    let body = format!(
        "<header><h1>{}</h1><p>{}</p></header>\n\
         <section><div class=\"scroll\"><table>{}</table></div></section>\n\
         <section><h2>Over time</h2>{}</section>\n\
         <section><h2>Decisions and events</h2><div class=\"scroll\"><table>{}</table></div></section>\n",
        escape(&told.title),
        escape(&told.about),
        rows.collect::<String>(),
        figure(&alternative, caption, |size| draw(told, size)),
        events.collect::<String>(),
    );
    page(&told.title, &body)
}

/// The curves alone as an image: an SVG file that needs nothing from elsewhere. What happened stands above them.
#[must_use]
pub fn curves_image(told: &CurvesPage) -> String {
    let panels = panels(told, WIDE);
    let mut marks = String::new();
    for (index, (at_s, what)) in told.events.iter().enumerate() {
        let at = panels.x.at(*at_s);
        // Where they stand close together, their words do not cover each other.
        let y = 12.0 + 14.0 * (index % EVENT_LINES) as f64;
        marks.push_str(&line((at, y - 4.0), (at, EVENTS_HEIGHT + panels.bottom), "mark"));
        marks.push_str(&text(at + 4.0, y, "flag", what));
    }
    let (width, height) = (WIDE.width, EVENTS_HEIGHT + panels.bottom + TIMES_HEIGHT);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-label=\"{}\">\n<style>{}</style>\n<rect width=\"{width:.0}\" height=\"{height:.0}\" \
         class=\"ground\"/>\n{marks}<g transform=\"translate(0 {EVENTS_HEIGHT})\">{}</g></svg>\n",
        escape(&alternative(told)),
        include_str!("style.css"),
        panels.content,
    )
}

fn alternative(told: &CurvesPage) -> String {
    let titles: Vec<&str> = told.charts.iter().map(|chart| chart.title.as_str()).collect();
    format!("{}, over time. The sums are in the table above.", titles.join("; "))
}

/// The charts of a page, one below the other.
struct Panels {
    content: String,
    /// Their axis of time.
    x: Scale,
    /// Where the last one ends.
    bottom: f64,
}

fn panels(told: &CurvesPage, size: Size) -> Panels {
    let points = || told.charts.iter().flat_map(|chart| &chart.curves).flat_map(|(_, it)| it);
    let end = points().map(|(at, _)| *at).fold(1.0, f64::max);
    let x = Scale::linear((0.0, end), size.plot());
    let (mut bottom, mut content) = (0.0, String::new());
    for chart in &told.charts {
        let top = if bottom > 0.0 { bottom + GAP } else { 0.0 };
        let panel = panel(chart, size, top);
        let series = chart.curves.iter().zip(CLASSES).map(|((label, points), class)| {
            let place =
                |(at, figure): &(f64, f64)| figure.is_finite().then_some((x.at(*at), *figure));
            Series { label: label.clone(), class, points: points.iter().map(place).collect() }
        });
        content.push_str(&panel.frame());
        content.push_str(&panel.lines(&series.collect::<Vec<_>>()));
        bottom = panel.bottom();
    }
    let wanted = if size.is_narrow { 5.0 } else { 12.0 };
    for tick in time_ticks(0.0, end, wanted) {
        let at = x.at(tick);
        content.push_str(&line((at, bottom), (at, bottom + 5.0), "axis"));
        content.push_str(&text(at, bottom + 18.0, "tick middle", &time_label(tick, end)));
    }
    Panels { content, x, bottom }
}

fn panel(chart: &CurvesChart, size: Size, top: f64) -> Panel {
    let figures = chart.curves.iter().flat_map(|(_, points)| points).map(|(_, figure)| *figure);
    let place = (top, 150.0);
    match chart.axis {
        CurvesAxis::Even => Panel::linear(size, &chart.title, place, figures.fold(0.0, f64::max)),
        CurvesAxis::Micros => Panel::micros(size, &chart.title, place, figures),
    }
}

fn draw(told: &CurvesPage, size: Size) -> Drawing {
    let Panels { mut content, x, bottom } = panels(told, size);
    content.push_str(&hits(told, x, bottom));
    Drawing { content, height: bottom + TIMES_HEIGHT }
}

/// Between two points of the first curve each, what all of them are there.
fn hits(told: &CurvesPage, x: Scale, bottom: f64) -> String {
    let Some((_, first)) = told.charts.first().and_then(|chart| chart.curves.first()) else {
        return String::new();
    };
    let mut before = 0.0;
    let mut out = String::new();
    for (index, (at, _)) in first.iter().enumerate() {
        let mut lines = vec![format!("{at:.0} s")];
        for (label, points) in told.charts.iter().flat_map(|chart| &chart.curves) {
            if let Some((_, figure)) = points.get(index) {
                lines.push(format!("{label} {}", format::quantity(*figure)));
            }
        }
        out.push_str(&hit((x.at(before), 0.0), (x.at(*at), bottom), &lines.join("\n")));
        before = *at;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_its_curves_and_escapes_what_it_is_told() {
        let chart = CurvesChart {
            title: "ECPU per second".into(),
            curves: vec![("asked".into(), vec![(0.0, 1.0), (60.0, 5e6)])],
            ..CurvesChart::default()
        };
        let page = curves(&CurvesPage {
            title: "step".into(),
            about: "a < b".into(),
            facts: vec![("nodes".into(), "4".into())],
            charts: vec![chart],
            events: vec![(12.0, "add <3> nodes".into())],
        });
        for expected in ["a &lt; b", "add &lt;3&gt; nodes", "class=\"s-a\"", ">asked</text>"] {
            assert!(page.contains(expected), "{expected} in {page}");
        }
        assert!(!page.contains("http"), "nothing is fetched");
    }

    #[test]
    fn an_image_stands_alone_and_breaks_its_curves_where_nothing_is_known() {
        let points = vec![(0.0, 100.0), (1.0, 1e5), (2.0, f64::NAN), (3.0, 200.0), (4.0, 300.0)];
        let image = curves_image(&CurvesPage {
            charts: vec![CurvesChart {
                title: "p99".into(),
                curves: vec![("base".into(), points)],
                axis: CurvesAxis::Micros,
            }],
            events: vec![(3.0, "a & b".into())],
            ..CurvesPage::default()
        });
        assert!(image.starts_with("<svg xmlns="), "{image}");
        assert!(image.contains("<style>") && image.contains(">a &amp; b</text>"), "{image}");
        let path = image.split("<path d=\"").find(|it| it.contains("class=\"s-a\"")).unwrap();
        let drawn = path.split('"').next().unwrap();
        assert_eq!((drawn.matches('M').count(), drawn.matches('L').count()), (2, 2), "{drawn}");
        assert!(!drawn.contains("NaN"), "{drawn}");
    }
}
