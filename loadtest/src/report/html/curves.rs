//! A page of curves over time that are of no load test: for others of this repository.

use super::page;
use super::panel::{Panel, Series};
use super::scale::{Scale, time_label, time_ticks};
use super::svg::{Drawing, Size, escape, figure, hit, line, text};
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
    /// Each of them with its name; at most six.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

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

fn alternative(told: &CurvesPage) -> String {
    let titles: Vec<&str> = told.charts.iter().map(|chart| chart.title.as_str()).collect();
    format!("{}, over time. The sums are in the table above.", titles.join("; "))
}

fn draw(told: &CurvesPage, size: Size) -> Drawing {
    let points = || told.charts.iter().flat_map(|chart| &chart.curves).flat_map(|(_, it)| it);
    let end = points().map(|(at, _)| *at).fold(1.0, f64::max);
    let x = Scale::linear((0.0, end), size.plot());
    let (mut y, mut content) = (0.0, String::new());
    for chart in &told.charts {
        let most = chart.curves.iter().flat_map(|(_, points)| points).map(|(_, figure)| *figure);
        let panel = Panel::linear(size, &chart.title, (y, 150.0), most.fold(0.0, f64::max));
        let series: Vec<Series> = chart
            .curves
            .iter()
            .zip(CLASSES)
            .map(|((label, points), class)| {
                let points = points.iter().map(|(at, figure)| Some((x.at(*at), *figure)));
                Series { label: label.clone(), class, points: points.collect() }
            })
            .collect();
        content.push_str(&panel.frame());
        content.push_str(&panel.lines(&series));
        y = panel.bottom() + 14.0;
    }
    let bottom = y;
    let wanted = if size.is_narrow { 5.0 } else { 12.0 };
    for tick in time_ticks(0.0, end, wanted) {
        let at = x.at(tick);
        content.push_str(&line((at, y - 14.0), (at, y - 9.0), "axis"));
        content.push_str(&text(at, y + 4.0, "tick middle", &time_label(tick, end)));
    }
    content.push_str(&hits(told, x, bottom));
    Drawing { content, height: y + 10.0 }
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
        out.push_str(&hit((x.at(before), 0.0), (x.at(*at), bottom - 14.0), &lines.join("\n")));
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
}
