//! A comparison of several endpoints as a page: medians, ratios, and every round to be seen.

mod figures;
mod metrics;

use self::metrics::{Metric, metrics};
use super::svg::escape;
use super::{page, tables};
use crate::report::text::{broken, is_lower_bound, what_latency_is};
use crate::report::{NamedReports, Report, format};

/// Tells a comparison of several endpoints as an HTML page that needs nothing from elsewhere.
///
/// Each figure is the median of an endpoint's rounds, each ratio the median of the ratios to the
/// first of `endpoints` within the rounds: the reports of all endpoints are in the same order of
/// rounds. Latencies of rounds that are not to be believed count for nothing; how many these are
/// stands first. Runs that were cut short count only where an endpoint has no whole one.
#[must_use]
pub fn comparison(title: &str, endpoints: &[NamedReports]) -> String {
    let all: Vec<&Report> = endpoints.iter().flat_map(|endpoint| &endpoint.reports).collect();
    let is_open_loop = all.first().is_some_and(|report| report.is_open_loop);
    let (name, runs) = what_latency_is(is_open_loop);
    let plan = all.first().map(|report| &report.plan[..]).unwrap_or_default();
    let plan: Vec<Vec<String>> =
        plan.iter().map(|(name, value)| vec![escape(name), escape(value)]).collect();
    let body = [
        header(title, endpoints),
        distrust(endpoints),
        format!("<section><h2>Medians</h2>{}</section>\n", medians(endpoints)),
        format!("<section><h2>Every round</h2>{}</section>\n", figures::rounds(endpoints)),
        format!(
            "<section><h2>Latency</h2><p>{}: {}.</p>{}</section>\n",
            escape(&super::capital(name)),
            escape(runs),
            figures::curves(endpoints)
        ),
        format!(
            "<section><h2>Plan</h2>{}</section>\n",
            tables::table("The load of each round", &[("", "name"), ("", "wrap")], &plan)
        ),
    ];
    page(title, &body.concat())
}

/// The middle of `figures`, or the mean of the two in the middle; `None` of none.
pub(super) fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

fn header(title: &str, endpoints: &[NamedReports]) -> String {
    let rounds = endpoints.iter().map(|endpoint| endpoint.reports.len()).max().unwrap_or(0);
    let rounds = format::counted(rounds, "round");
    let began = endpoints.iter().flat_map(|endpoint| &endpoint.reports).map(|it| it.began_at_ms);
    let date = began.min().map(|at| format!("{}. ", format::date(at))).unwrap_or_default();
    let against = endpoints.first().map(|endpoint| escape(&endpoint.name)).unwrap_or_default();
    let facts: Vec<String> = endpoints
        .iter()
        .filter_map(|endpoint| {
            let facts = &endpoint.reports.first()?.endpoint;
            Some(format!(
                "<li><b>{}</b>: {}, {}, {}</li>",
                escape(&endpoint.name),
                escape(&facts.address),
                escape(&facts.transport),
                escape(&facts.server_version)
            ))
        })
        .collect();
    format!(
        "<header><h1>{}</h1><ul>{}</ul><p>{date}The same load on each in turn, {rounds}. \
         Ratios are to {against}.</p></header>\n",
        escape(title),
        facts.concat()
    )
}

fn distrust(endpoints: &[NamedReports]) -> String {
    let mut reasons = String::new();
    for endpoint in endpoints {
        let late: Vec<&Report> =
            endpoint.reports.iter().filter(|report| !report.distrust.is_empty()).collect();
        if let Some(first) = late.first() {
            reasons.push_str(&format!(
                "<li>{}, {} of {} rounds: {}</li>",
                escape(&endpoint.name),
                late.len(),
                endpoint.reports.len(),
                escape(&first.distrust.join("; "))
            ));
        }
    }
    if reasons.is_empty() {
        return reasons;
    }
    let mut late = endpoints.iter().flat_map(|it| &it.reports).filter(|it| !it.distrust.is_empty());
    let bound = if late.all(is_lower_bound) {
        "Their throughput is a lower bound of what the endpoint can do."
    } else {
        ""
    };
    format!(
        "<div class=\"banner\" role=\"alert\"><strong>Latencies of some rounds are not to be \
         believed, and are left out.</strong><ul>{reasons}</ul>{bound}</div>\n"
    )
}

/// A name and where its count is.
type Count = (&'static str, fn(&Report) -> u64);

/// What went wrong, in all runs together; as the comparison's text has it.
const COUNTS: [Count; 3] = [
    ("error replies, all runs", |report| report.totals.errors),
    ("requests without reply, all runs", |report| report.totals.lost),
    ("broken connections, all runs", broken),
];

fn medians(endpoints: &[NamedReports]) -> String {
    let mut columns = vec![("", "name")];
    columns.extend(endpoints.iter().map(|endpoint| (endpoint.name.as_str(), "n")));
    let is_told =
        |metric: &Metric| endpoints.iter().any(|endpoint| !metric.of(&endpoint.reports).is_empty());
    let mut rows: Vec<Vec<String>> = metrics()
        .filter(is_told)
        .map(|metric| {
            let base = endpoints.first().map(|first| &first.reports[..]);
            let mut row = vec![metric.name.to_owned()];
            let cells = endpoints.iter().enumerate();
            row.extend(cells.map(|(index, endpoint)| {
                metric.cell(&endpoint.reports, base.filter(|_| index > 0))
            }));
            row
        })
        .collect();
    for (name, count) in COUNTS {
        let sums = endpoints.iter().map(|it| it.reports.iter().map(count).sum());
        rows.push([name.to_owned()].into_iter().chain(sums.map(format::count)).collect());
    }
    tables::table(
        "Median; median of the ratios within the rounds; lowest to highest round",
        &columns,
        &rows,
    )
}
