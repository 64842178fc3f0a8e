//! Rounds as dots and percentile curves over each other.

use super::median;
use super::metrics::{CPU, Metric, P99, THROUGHPUT, is_believed, is_counted};
use crate::report::html::curve::{BEGIN, Curve, end_of, latency_at, overlaid};
use crate::report::html::scale::{Scale, linear_ticks};
use crate::report::html::svg::{Drawing, Size, escape, figure, line, shortened, text};
use crate::report::{NamedReports, Report, format};

/// Colour and dashes of each endpoint; they begin again where there are more.
const CLASSES: [&str; 6] = ["s-a", "s-b", "s-c", "s-d", "s-e", "s-f"];

/// The same for single rounds.
const THIN: [&str; 6] = ["s-a thin", "s-b thin", "s-c thin", "s-d thin", "s-e thin", "s-f thin"];

const ROW: f64 = 22.0;

/// Each round as a dot, for the figures that matter most.
pub(super) fn rounds(endpoints: &[NamedReports]) -> String {
    let mut out = String::new();
    for metric in [THROUGHPUT, CPU, P99] {
        let told: Vec<String> = endpoints
            .iter()
            .filter_map(|endpoint| {
                let middle = median(&metric.of(&endpoint.reports))?;
                Some(format!("{} {}", endpoint.name, metric.tell(middle)))
            })
            .collect();
        if !told.is_empty() {
            let alternative =
                format!("{} of each round; medians: {}.", metric.name, told.join(", "));
            let caption = "Each dot is a round, the stroke is their median.";
            out.push_str(&figure(&alternative, caption, |size| strip(endpoints, &metric, size)));
        }
    }
    out
}

fn strip(endpoints: &[NamedReports], metric: &Metric, size: Size) -> Drawing {
    let left = if size.is_narrow { 100.0 } else { 160.0 };
    let range = (left, size.width - if size.is_narrow { 22.0 } else { 40.0 });
    let all = endpoints.iter().flat_map(|endpoint| metric.of(&endpoint.reports));
    let ticks = linear_ticks(all.fold(0.0, f64::max), if size.is_narrow { 3.0 } else { 8.0 });
    let x = Scale::linear((0.0, ticks.last().copied().unwrap_or(1.0)), range);
    let bottom = 24.0 + ROW * endpoints.len() as f64;
    let mut content = text(0.0, 13.0, "title", &super::super::capital(metric.name));
    for tick in &ticks {
        let at = x.at(*tick);
        content.push_str(&line((at, 24.0), (at, bottom), "grid"));
        content.push_str(&text(
            at,
            bottom + 15.0,
            "tick middle",
            &format::tick(&metric.tell(*tick)),
        ));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let y = 24.0 + ROW * (index as f64 + 0.5);
        let class = CLASSES[index % CLASSES.len()];
        let name = shortened(&endpoint.name, if size.is_narrow { 10 } else { 18 });
        let label = format!("label end of-{class}");
        content.push_str(&text(left - 10.0, y + 4.0, &label, &name));
        let figures = metric.of(&endpoint.reports);
        for figure in &figures {
            let at = x.at(*figure);
            content.push_str(&format!(
                "<circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4.5\" class=\"{class}\"/>"
            ));
        }
        if let Some(middle) = median(&figures) {
            let at = x.at(middle);
            content.push_str(&line((at, y - 9.0), (at, y + 9.0), "median"));
        }
    }
    Drawing { content, height: bottom + 22.0 }
}

/// The percentile curves: a line for each round that is to be believed, and a strong one for the
/// median of an endpoint's rounds.
pub(super) fn curves(endpoints: &[NamedReports]) -> String {
    let believed: Vec<Vec<&Report>> = endpoints
        .iter()
        .map(|endpoint| {
            let rounds = endpoint.reports.iter();
            rounds.filter(|r| is_believed(r) && is_counted(r, &endpoint.reports)).collect()
        })
        .collect();
    let ends = believed.iter().flatten().map(|r| end_of(&r.percentiles, r.latency.count));
    let end = ends.fold(f64::INFINITY, f64::min);
    if !end.is_finite() {
        return "<p class=\"alarm\">No round's latency is to be believed.</p>".to_owned();
    }
    let mut all = Vec::new();
    for (index, rounds) in believed.iter().enumerate() {
        let class = THIN[index % THIN.len()];
        all.extend(rounds.iter().map(|report| Curve {
            label: String::new(),
            class,
            points: report.percentiles.clone(),
        }));
    }
    for (index, (rounds, endpoint)) in believed.iter().zip(endpoints).enumerate() {
        let label = shortened(&endpoint.name, 18);
        let class = CLASSES[index % CLASSES.len()];
        all.push(Curve { label, class, points: middle(rounds, end) });
    }
    let caption = "Strong: the median of the rounds; thin: each round. Each step to the right is \
                   ten times rarer; both axes are logarithmic.";
    let key = endpoints.iter().enumerate().map(|(index, endpoint)| {
        let class = CLASSES[index % CLASSES.len()];
        let name = escape(&endpoint.name);
        format!("<li><svg viewBox=\"0 0 30 8\" aria-hidden=\"true\"><path d=\"M0 4H30\" class=\"{class}\"/></svg>{name}</li>")
    });
    let key = format!("<ul class=\"key\">{}</ul>", key.collect::<String>());
    key + &overlaid(
        &all,
        end,
        "Latency by percentile of each endpoint; medians are above.",
        caption,
    )
}

/// At each tenth of a nine, the median of the rounds.
fn middle(rounds: &[&Report], end: f64) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut nine = BEGIN;
    loop {
        let at = rounds.iter().filter_map(|r| {
            latency_at(&r.percentiles, nine, end_of(&r.percentiles, r.latency.count))
        });
        let at: Vec<f64> = at.collect();
        if let Some(us) = median(&at) {
            points.push((1.0 - 10f64.powf(-nine), us));
        }
        if nine >= end {
            return points;
        }
        nine = (nine + 0.1).min(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[f64::NAN]), None);
    }
}
