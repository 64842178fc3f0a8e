//! The figures of a report as headline tiles and tables.

use super::bins::bins;
use super::scale::{moment_label, time_label};
use super::svg::escape;
use super::timeline::mark_class;
use crate::report::text::{LATE_REPLIES, broken, is_resumption_told, late_replies, source};
use crate::report::verdict::{LEGEND, verdict_text};
use crate::report::{Latency, Report, format};

/// A table with a caption; `columns` are the heads with the class of their cells. Cells are HTML.
pub(super) fn table(caption: &str, columns: &[(&str, &str)], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut out = format!("<div class=\"scroll\"><table><caption>{}</caption>", escape(caption));
    if columns.iter().any(|(head, _)| !head.is_empty()) {
        out.push_str("<thead><tr>");
        for (head, class) in columns {
            out.push_str(&format!("<th scope=\"col\" class=\"{class}\">{}</th>", escape(head)));
        }
        out.push_str("</tr></thead>");
    }
    out.push_str("<tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (cell, (_, class)) in row.iter().zip(columns) {
            out.push_str(&format!("<td class=\"{class}\">{cell}</td>"));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// The figures to be read first.
pub(super) fn tiles(report: &Report) -> String {
    let totals = &report.totals;
    let per_second = totals.replies_in_time as f64 / report.measured_s;
    let mut tiles = vec![(
        "Throughput",
        format::rate(per_second),
        if report.is_open_loop {
            format!(
                "of {} that were due",
                format::rate(totals.scheduled as f64 / report.measured_s)
            )
        } else {
            "each reply called the next request".to_owned()
        },
    )];
    tiles.extend(latency_tiles(report));
    let asked = totals.hits + totals.misses;
    if asked > 0 {
        let ratio = format::percent(totals.misses as f64 / asked as f64);
        let keys = format!("{} of {} keys", format::count(totals.misses), format::count(asked));
        tiles.push(("Misses", ratio, keys));
    }
    tiles.extend(failure_tiles(report));
    if let Some(server) = &report.server {
        let cpu = format::micros_typeset(server.cpu_us_per_reply);
        let cores = format!("{} cores busy", format::quantity(server.cores_busy));
        tiles.push(("Server CPU per request", cpu, cores));
    }
    if let Some(verdict) = &report.verdict {
        let told = verdict_text(verdict, report.evictions);
        let word = match (told.is_passed, verdict.violations()) {
            (true, _) => "passed".to_owned(),
            (false, 0) => "undecided".to_owned(),
            (false, keys) => format!("{} violated", format::count(keys)),
        };
        let checked = format!("of {} keys checked", format::count(verdict.keys));
        tiles.push(("Consistency", word, checked));
    }
    let tile = |(name, figure, more): (&str, String, String)| {
        let is_failure = FAILURES.contains(&name) && figure != "0";
        let class = if is_failure { " class=\"alarm\"" } else { "" };
        let more = escape(&more);
        format!("<div><dt>{name}</dt><dd><b{class}>{figure}</b><span>{more}</span></dd></div>")
    };
    format!("<dl class=\"tiles\">{}</dl>\n", tiles.into_iter().map(tile).collect::<String>())
}

/// The tiles that are in a warning colour unless they are 0.
const FAILURES: [&str; 3] = ["Error replies", "Requests without reply", "Broken connections"];

fn failure_tiles(report: &Report) -> Vec<(&'static str, String, String)> {
    let totals = &report.totals;
    let part = format::percent(totals.errors as f64 / totals.replies.max(1) as f64);
    let kinds: Vec<&str> = report.troubles.iter().map(|row| row.trouble.name()).collect();
    let [errors, lost, connections] = FAILURES;
    vec![
        (errors, format::count(totals.errors), format!("{part} of replies")),
        (lost, format::count(totals.lost), "their connection ended before it".to_owned()),
        (connections, format::count(broken(report)), kinds.join(", ")),
    ]
}

fn latency_tiles(report: &Report) -> Vec<(&'static str, String, String)> {
    if !report.distrust.is_empty() {
        return vec![("Latency", "not shown".to_owned(), "not to be believed".to_owned())];
    }
    let kind = if report.is_open_loop { "response time" } else { "service time" };
    let latency = &report.latency;
    [
        ("Latency p50", latency.p50_us),
        ("p99", latency.p99_us),
        ("p99.9", latency.p999_us),
        ("Maximum", latency.max_us),
    ]
    .map(|(name, us)| (name, figure(latency, us), kind.to_owned()))
    .to_vec()
}

fn figure(latency: &Latency, us: f64) -> String {
    if latency.count == 0 { format::NONE.to_owned() } else { format::micros_typeset(us) }
}

/// Replies by command and outcome, with their latency where it is to be believed.
pub(super) fn commands(report: &Report) -> String {
    let is_trusted = report.distrust.is_empty();
    let mut columns = vec![("command", ""), ("outcome", ""), ("replies", "n")];
    let percentiles = ["p50", "p90", "p99", "p99.9", "p99.99", "max"];
    if is_trusted {
        columns.extend(percentiles.map(|name| (name, "n")));
    }
    let row = |command: &str, outcome: &str, latency: &Latency| {
        let mut cells = vec![command.to_owned(), outcome.to_owned(), format::count(latency.count)];
        let figures = [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.p9999_us,
            latency.max_us,
        ];
        cells.extend(figures.map(|us| figure(latency, us)));
        cells
    };
    let mut rows = vec![row("all", "", &report.latency)];
    rows.extend(
        report.commands.iter().map(|r| row(r.command.name(), r.outcome.name(), &r.latency)),
    );
    table("Replies by command and outcome", &columns, &rows)
}

/// Error replies and broken connections.
pub(super) fn failures(report: &Report) -> String {
    let errors: Vec<Vec<String>> = report
        .errors
        .iter()
        .map(|row| vec![format::count(row.count), format!("<code>{}</code>", escape(&row.line))])
        .collect();
    let troubles: Vec<Vec<String>> = report
        .troubles
        .iter()
        .map(|row| {
            let (kind, count) = (row.trouble.name().to_owned(), format::count(row.count));
            vec![kind, count, escape(&row.example)]
        })
        .collect();
    table("Error replies", &[("replies", "n"), ("line", "wrap")], &errors)
        + &table(
            "Broken connections",
            &[("kind", ""), ("connections", "n"), ("the first said", "wrap")],
            &troubles,
        )
}

/// The plan, and sums.
pub(super) fn facts(report: &Report) -> String {
    let totals = &report.totals;
    let plan: Vec<Vec<String>> =
        report.plan.iter().map(|(name, value)| vec![escape(name), escape(value)]).collect();
    let mut traffic = vec![
        ("requests", format::count(totals.requests)),
        ("replies", format::count(totals.replies)),
        ("requests without reply", format::count(totals.lost)),
        ("hits", format::count(totals.hits)),
        ("misses", format::count(totals.misses)),
    ];
    let late = late_replies(report);
    if late > 0 {
        traffic.insert(2, (LATE_REPLIES, format::count(late)));
    }
    if report.is_open_loop {
        traffic.insert(0, ("due", format::count(totals.scheduled)));
        traffic.insert(1, ("never sent", format::count(totals.unsent)));
    }
    if let Some(evictions) = report.evictions {
        traffic.push(("evictions", format::count(evictions)));
    }
    for (name, n) in [("sent", totals.bytes_sent), ("received", totals.bytes_received)] {
        let per_second = format::bytes(n as f64 / report.measured_s);
        traffic.push((name, format!("{}, {per_second}/s", format::bytes(n as f64))));
    }
    traffic.push(("connections made", format::count(totals.connections)));
    if is_resumption_told(report) {
        traffic.push(("resumed TLS", format::count(totals.resumed)));
    }
    if report.connecting.count > 0 && report.distrust.is_empty() {
        for (name, us) in [
            ("connecting, p50", report.connecting.p50_us),
            ("connecting, max", report.connecting.max_us),
        ] {
            traffic.push((name, format::micros_typeset(us)));
        }
    }
    format!(
        "<div class=\"columns\">{}{}{}{}</div>\n",
        table("Plan", &[("", "name"), ("", "wrap")], &plan),
        pairs("Traffic", &traffic),
        pairs("Generator", &generator(report)),
        pairs("Server processes", &server(report)),
    )
}

fn pairs(caption: &str, pairs: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> =
        pairs.iter().map(|(name, value)| vec![indented(name), escape(value)]).collect();
    table(caption, &[("", "name"), ("", "n")], &rows)
}

/// A name whose blanks at its begin put it below the one above.
fn indented(name: &str) -> String {
    let trimmed = name.trim_start();
    let blanks = "\u{2003}".repeat((name.len() - trimmed.len()) / 2);
    blanks + &escape(trimmed)
}

fn generator(report: &Report) -> Vec<(&'static str, String)> {
    let facts = &report.generator;
    let mut rows = vec![
        ("busiest thread", format!("{} of a core", format::percent(facts.busiest_thread))),
        ("waited for a core", format::percent(facts.waited_for_core)),
        ("CPU per reply", format::micros_typeset(facts.cpu_us_per_reply)),
    ];
    if facts.lag.count > 0 {
        rows.push(("behind schedule, p99", format::micros_typeset(facts.lag.p99_us)));
        rows.push(("behind schedule, max", format::micros_typeset(facts.lag.max_us)));
    }
    rows
}

fn server(report: &Report) -> Vec<(&'static str, String)> {
    let Some(facts) = &report.server else { return Vec::new() };
    let mut rows = vec![
        ("CPU per request", format::micros_typeset(facts.cpu_us_per_reply)),
        ("cores busy", format::quantity(facts.cores_busy)),
        ("resident memory", format::bytes(facts.resident_bytes as f64)),
        ("its peak", format::bytes(facts.resident_peak_bytes as f64)),
    ];
    if let Some(each) = facts.bytes_per_idle_connection {
        rows.push(("for each idle connection", format::bytes(each)));
    }
    rows
}

/// What happened, numbered as in the charts.
pub(super) fn marks(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .marks
        .iter()
        .enumerate()
        .map(|(index, mark)| {
            let (class, word) = (mark_class(mark.source), source(mark.source));
            vec![
                (index + 1).to_string(),
                moment_label(mark.at_s, report.measured_s),
                format!("<span class=\"source {class}\">{word}</span>"),
                escape(&mark.text),
            ]
        })
        .collect();
    table("What happened", &[("", "n"), ("at", "n"), ("by", ""), ("what", "wrap")], &rows)
}

/// What the checker found.
pub(super) fn verdict(report: &Report) -> String {
    let Some(verdict) = &report.verdict else { return String::new() };
    let told = verdict_text(verdict, report.evictions);
    let class = if told.is_passed { "note" } else { "alarm" };
    let examples = told.examples.iter().map(|example| {
        let lines: Vec<String> = example.lines.iter().map(|line| escape(line)).collect();
        let what = escape(&example.what);
        format!("<h3>{what}</h3><pre class=\"scroll\">{}</pre>", lines.join("\n"))
    });
    let mut examples: String = examples.collect();
    if told.examples.iter().any(|example| !example.lines.is_empty()) {
        examples = format!("<p>{}</p>{examples}", escape(LEGEND));
    }
    let headline = escape(&told.headline);
    let facts: Vec<(&str, String)> =
        told.facts.iter().map(|(name, value)| (*name, value.clone())).collect();
    let facts = pairs("What was checked", &facts);
    format!(
        "<section><h2>Consistency</h2><p class=\"{class}\">{headline}</p>{facts}{examples}</section>\n"
    )
}

/// The points of the charts over time as a table, folded away.
pub(super) fn seconds(report: &Report) -> String {
    let (bins, _) = bins(&report.timeline);
    let end_s = bins.last().map_or(0.0, |bin| bin.end_s);
    let is_trusted = report.distrust.is_empty();
    let rows: Vec<Vec<String>> = bins
        .iter()
        .map(|bin| {
            let us = bin.latency_us.filter(|_| is_trusted && bin.is_trusted);
            let latency = |index: usize| {
                us.map_or_else(|| format::NONE.to_owned(), |us| format::micros_typeset(us[index]))
            };
            vec![
                time_label(bin.at_s, end_s),
                format::quantity(bin.rate),
                bin.target_rate.map_or_else(|| format::NONE.to_owned(), format::quantity),
                latency(0),
                latency(1),
                latency(2),
                latency(3),
                format::quantity(bin.miss_rate),
                format::count(bin.errors),
                format::count(bin.troubles),
            ]
        })
        .collect();
    let heads = [
        "from",
        "replies/s",
        "asked for/s",
        "p50",
        "p99",
        "p99.9",
        "max",
        "misses/s",
        "errors",
        "broken connections",
    ];
    format!(
        "<details><summary>These charts as a table</summary>{}</details>\n",
        table("Over time", &heads.map(|head| (head, "n")), &rows)
    )
}
