//! The report as one self-contained page: nothing is fetched, and nothing needs a script to be read.

mod bins;
mod comparison;
mod curve;
mod curves;
mod labels;
mod panel;
mod scale;
mod svg;
mod tables;
#[cfg(test)]
mod tests;
mod timeline;

pub use comparison::comparison;
pub use curves::{CurvesAxis, CurvesChart, CurvesPage, curves, curves_image};

use self::svg::escape;
use super::text::{broken, ended, is_lower_bound, what_latency_is};
use super::{Ended, Report, format};

/// Tells a run's result as an HTML page that needs nothing from elsewhere.
///
/// Where [`Report::distrust`] gives reasons, they stand first and no latency is shown.
#[must_use]
pub fn render(report: &Report) -> String {
    let endpoint = &report.endpoint;
    let is_violated = report.verdict.as_ref().is_some_and(|verdict| !verdict.is_clean());
    let verdict = tables::verdict(report);
    let (first, later) =
        if is_violated { (verdict, String::new()) } else { (String::new(), verdict) };
    let body = [
        header(report),
        banner(report),
        tables::tiles(report),
        first,
        over_time(report),
        latency(report),
        later,
        format!("<section><h2>Failures</h2>{}</section>\n", failures(report)),
        format!("<section><h2>Facts</h2>{}</section>\n", tables::facts(report)),
    ];
    page(&format!("{}: load test", endpoint.name), &body.concat())
}

/// A page of `body` with its looks and its read-outs.
fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <style>{}</style></head>\n<body><main>\n{body}</main>\n\
         <div id=\"readout\" role=\"status\" hidden></div>\n<script>{}</script>\n</body></html>\n",
        escape(title),
        include_str!("style.css"),
        include_str!("script.js"),
    )
}

fn header(report: &Report) -> String {
    let endpoint = &report.endpoint;
    let class = match report.ended {
        Ended::Completed | Ended::TraceEnded => "",
        Ended::Interrupted | Ended::Failed(_) => " class=\"alarm\"",
    };
    let mut facts = vec![endpoint.transport.as_str(), endpoint.server_version.as_str()];
    if endpoint.address != endpoint.name {
        facts.insert(0, &endpoint.address);
    }
    let facts: Vec<String> =
        facts.into_iter().map(|fact| format!("<li>{}</li>", escape(fact))).collect();
    format!(
        "<header><h1>{}</h1><ul>{}</ul><p>{}, measured {}. <span{class}>{}.</span> \
         memtide loadtest {}</p></header>\n",
        escape(&endpoint.name),
        facts.concat(),
        format::date(report.began_at_ms),
        format::seconds(report.measured_s),
        escape(&capital(&ended(&report.ended))),
        escape(&report.version),
    )
}

fn banner(report: &Report) -> String {
    if report.distrust.is_empty() {
        return String::new();
    }
    let bound = if is_lower_bound(report) {
        "The throughput is a lower bound of what the endpoint can do."
    } else {
        ""
    };
    let reasons = report.distrust.iter().map(|reason| format!("<li>{}</li>", escape(reason)));
    format!(
        "<div class=\"banner\" role=\"alert\"><strong>The latency of this run is not to be \
         believed, and so it is not shown.</strong><ul>{}</ul>{bound}</div>\n",
        reasons.collect::<String>()
    )
}

fn over_time(report: &Report) -> String {
    if report.timeline.is_empty() {
        return tables::marks(report);
    }
    format!(
        "<section><h2>Over time</h2>{}{}{}</section>\n",
        timeline::timeline(report),
        tables::marks(report),
        tables::seconds(report)
    )
}

fn latency(report: &Report) -> String {
    let (name, runs) = what_latency_is(report.is_open_loop);
    let (heading, explained) = if report.distrust.is_empty() {
        ("Latency", format!("<p>{}: {}.</p>", escape(&capital(name)), escape(runs)))
    } else {
        ("Replies", String::new())
    };
    let has_curve =
        report.distrust.is_empty() && report.latency.count > 0 && report.percentiles.len() > 1;
    let curve = if has_curve { curve::percentile_curve(report) } else { String::new() };
    let commands = tables::commands(report);
    let cautions: String = match report.distrust.is_empty() {
        true => report.cautions.iter().map(|it| format!("<p>Note: {}.</p>", escape(it))).collect(),
        false => String::new(),
    };
    format!("<section><h2>{heading}</h2>{explained}{curve}{commands}{cautions}</section>\n")
}

fn failures(report: &Report) -> String {
    let told = tables::failures(report);
    let lost = report.totals.lost;
    if lost == 0 && report.totals.errors + broken(report) == 0 {
        return "<p>None: no error reply, no request without reply, no broken connection.</p>"
            .to_owned();
    }
    let requests = if lost == 1 { "request" } else { "requests" };
    format!("<p>{} {requests} without reply.</p>{told}", format::count(lost))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
