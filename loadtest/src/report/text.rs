//! The report for a terminal, which also reads well in a log file: no colours, no wide lines.

mod table;
#[cfg(test)]
mod tests;

use self::table::Table;
use super::verdict::{LEGEND, verdict_text};
use super::{Ended, Latency, MarkSource, Report, format};

/// Tells a run's result in plain text, in lines that end with a line feed.
///
/// Where [`Report::distrust`] gives reasons, they stand first and no latency is told.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for section in [
        headline(report),
        distrust(report),
        plan(report),
        throughput(report),
        failures(report),
        connections(report),
        latency(report),
        generator(report),
        server(report),
        marks(report),
        verdict(report),
    ] {
        if !section.is_empty() && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&section);
    }
    out
}

/// Why a run ended, in a few words.
pub(super) fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Completed => "completed".to_owned(),
        Ended::TraceEnded => "ended with the trace".to_owned(),
        Ended::Interrupted => "interrupted: this is what ran so far".to_owned(),
        Ended::Failed(why) => format!("failed: {}", format::one_line(why)),
    }
}

/// What a latency of this report is: its name, and from when to when it runs.
pub(super) fn what_latency_is(is_open_loop: bool) -> (&'static str, &'static str) {
    if is_open_loop {
        ("response time (open loop)", "from the time a request was due to its reply's last byte")
    } else {
        (
            "service time (closed loop)",
            "from a request's write to its reply's last byte; says nothing about a fixed rate",
        )
    }
}

/// Who says that something happened, in a word.
pub(super) fn source(source: MarkSource) -> &'static str {
    match source {
        MarkSource::Hook => "hook",
        MarkSource::Endpoint => "endpoint",
        MarkSource::Profile => "profile",
    }
}

/// What stands beside the replies that came too late for the throughput.
pub(super) const LATE_REPLIES: &str = "  of these after the end";

/// Connections that broke, in whatever way.
pub(super) fn broken(report: &Report) -> u64 {
    report.troubles.iter().map(|row| row.count).sum()
}

/// Replies that came after the measured part.
pub(super) fn late_replies(report: &Report) -> u64 {
    report.totals.replies.saturating_sub(report.totals.replies_in_time)
}

/// Whether the endpoint could have done more: only the generator stood in the way.
pub(super) fn is_lower_bound(report: &Report) -> bool {
    !report.distrust.is_empty() && broken(report) == 0 && report.totals.unsent == 0
}

/// Whether so many handshakes resumed a session that it says something: a few do so by chance.
pub(super) fn is_resumption_told(report: &Report) -> bool {
    report.totals.resumed * 10 > report.totals.connections
}

fn headline(report: &Report) -> String {
    let endpoint = &report.endpoint;
    let name = format::one_line(&endpoint.name);
    let mut table = Table::new();
    table.row(["endpoint", &name]);
    if endpoint.address != endpoint.name {
        table.row(["address", &format::one_line(&endpoint.address)]);
    }
    table.row(["transport", &format::one_line(&endpoint.transport)]);
    table.row(["server version", &format::one_line(&endpoint.server_version)]);
    table.row(["began", &format::date(report.began_at_ms)]);
    table.row(["measured", &format::seconds(report.measured_s)]);
    table.row(["ended", &ended(&report.ended)]);
    format!("memtide loadtest {}\n{}", report.version, table.render())
}

fn distrust(report: &Report) -> String {
    if report.distrust.is_empty() {
        return String::new();
    }
    let rule = "!".repeat(80);
    let mut out =
        format!("{rule}\n!! NO LATENCY IS SHOWN: what was measured must not be believed\n");
    for reason in &report.distrust {
        out.push_str(&format!("!!   - {}\n", format::one_line(reason)));
    }
    if is_lower_bound(report) {
        out.push_str("!! The throughput is a lower bound of what the endpoint can do.\n");
    }
    out.push_str(&format!("{rule}\n"));
    out
}

fn plan(report: &Report) -> String {
    let mut table = Table::new();
    for (name, value) in &report.plan {
        table.row([format::one_line(name), format::one_line(value)]);
    }
    table.section("Plan")
}

fn throughput(report: &Report) -> String {
    let totals = &report.totals;
    let per_second = |n: u64| n as f64 / report.measured_s;
    let mut table = Table::new().right_from(1);
    let mut counted = |name: &str, n: u64| {
        table.row([name.to_owned(), format::count(n), format::rate(per_second(n))]);
    };
    if report.is_open_loop {
        counted("due", totals.scheduled);
    }
    if totals.unsent > 0 {
        counted("never sent", totals.unsent);
    }
    counted("requests", totals.requests);
    // The rate is of those that came in time: the others' time is not in the measured part.
    let rate = format::rate(per_second(totals.replies_in_time));
    table.row(["replies".to_owned(), format::count(totals.replies), rate]);
    let late = late_replies(report);
    if late > 0 {
        table.row([LATE_REPLIES.to_owned(), format::count(late)]);
    }
    let mut counted = |name: &str, n: u64| {
        table.row([name.to_owned(), format::count(n), format::rate(per_second(n))]);
    };
    counted("hits", totals.hits);
    counted("misses", totals.misses);
    for (name, n) in [("sent", totals.bytes_sent), ("received", totals.bytes_received)] {
        let rate = format!("{}/s", format::bytes(per_second(n)));
        table.row([name.to_owned(), format::bytes(n as f64), rate]);
    }
    let asked = totals.hits + totals.misses;
    if let Some(evictions) = report.evictions {
        // Since before the fill and the warm-up: a rate over the measured part would be wrong.
        table.row(["evictions, all told".to_owned(), format::count(evictions)]);
    }
    if asked > 0 {
        let ratio = format::percent(totals.misses as f64 / asked as f64);
        table.row(["miss ratio".to_owned(), ratio]);
    }
    let bound = if is_lower_bound(report) { " (a lower bound)" } else { "" };
    table.section(&format!("Throughput{bound}"))
}

/// Error replies, requests without a reply and broken connections, each by kind.
fn failures(report: &Report) -> String {
    let totals = &report.totals;
    let broken = broken(report);
    if totals.errors + totals.lost + broken == 0 {
        return "Failures: none\n".to_owned();
    }
    let part = format::percent(totals.errors as f64 / totals.replies.max(1) as f64);
    let of_all = if totals.errors > 0 { format!(", {part} of all") } else { String::new() };
    let mut table = Table::new().right_before(1);
    table.row([format::count(totals.errors), format!("error replies{of_all}")]);
    for row in &report.errors {
        table.row([
            "".to_owned(),
            format!("  {}  {}", format::count(row.count), format::one_line(&row.line)),
        ]);
    }
    table.row([format::count(totals.lost), "requests without reply".to_owned()]);
    table.row([format::count(broken), "broken connections".to_owned()]);
    for row in &report.troubles {
        let (kind, count) = (row.trouble.name(), format::count(row.count));
        let example = format::one_line(&row.example);
        table.row(["".to_owned(), format!("  {count}  {kind}: {example}")]);
    }
    table.section("Failures")
}

fn connections(report: &Report) -> String {
    let totals = &report.totals;
    let mut table = Table::new().right_between(1, 2);
    table.row(["made", &format::count(totals.connections)]);
    if is_resumption_told(report) {
        table.row(["resumed TLS", &format::count(totals.resumed)]);
    }
    let connecting = &report.connecting;
    if connecting.count > 0 && report.distrust.is_empty() {
        let (p50, max) = (format::micros(connecting.p50_us), format::micros(connecting.max_us));
        table.row(["connecting", "", &format!("p50 {p50}, max {max}")]);
    }
    table.section("Connections")
}

fn latency(report: &Report) -> String {
    if !report.distrust.is_empty() {
        let mut counts = Table::new().right_from(2);
        counts.row(["command", "outcome", "replies"]);
        for row in &report.commands {
            let count = format::count(row.latency.count);
            counts.row([row.command.name(), row.outcome.name(), &count]);
        }
        return counts.section("Replies");
    }
    let mut table = Table::new().right_from(2);
    table.row(["command", "outcome", "replies", "p50", "p90", "p99", "p99.9", "p99.99", "max"]);
    table.row(latency_row("all", "", &report.latency));
    for row in &report.commands {
        table.row(latency_row(row.command.name(), row.outcome.name(), &row.latency));
    }
    let (name, runs) = what_latency_is(report.is_open_loop);
    let title = format!("Latency, {name}\n ({runs})");
    format!("{}{}{}", table.section(&title), late_seconds(report), cautions(report))
}

fn cautions(report: &Report) -> String {
    report.cautions.iter().map(|it| format!("  Note: {}.\n", format::one_line(it))).collect()
}

fn latency_row(command: &str, outcome: &str, latency: &Latency) -> Vec<String> {
    let mut row = vec![command.to_owned(), outcome.to_owned(), format::count(latency.count)];
    for us in [
        latency.p50_us,
        latency.p90_us,
        latency.p99_us,
        latency.p999_us,
        latency.p9999_us,
        latency.max_us,
    ] {
        row.push(if latency.count == 0 { format::NONE.to_owned() } else { format::micros(us) });
    }
    row
}

/// In how many of the measured seconds the generator was late.
fn late_seconds(report: &Report) -> String {
    let measured = report.timeline.iter().filter(|second| second.at_s >= 0.0);
    let (late, all) = measured
        .fold((0u64, 0u64), |(late, all), second| (late + u64::from(!second.is_trusted), all + 1));
    if late == 0 {
        return String::new();
    }
    format!("  The generator was late in {late} of {all} seconds.\n")
}

fn generator(report: &Report) -> String {
    let facts = &report.generator;
    let mut table = Table::new();
    table.row(["busiest thread", &format!("{} of a core", format::percent(facts.busiest_thread))]);
    table.row(["waited for a core", &format::percent(facts.waited_for_core)]);
    table.row(["CPU", &format!("{} per reply", format::micros(facts.cpu_us_per_reply))]);
    if facts.lag.count > 0 {
        let (p99, max) = (format::micros(facts.lag.p99_us), format::micros(facts.lag.max_us));
        table.row(["behind schedule", &format!("p99 {p99}, max {max}")]);
    }
    table.section("Generator")
}

fn server(report: &Report) -> String {
    let Some(facts) = &report.server else { return String::new() };
    let mut table = Table::new();
    table.row(["CPU", &format!("{} per request", format::micros(facts.cpu_us_per_reply))]);
    table.row(["cores busy", &format::quantity(facts.cores_busy)]);
    let memory = |n: u64| format::bytes(n as f64);
    let (now, peak) = (memory(facts.resident_bytes), memory(facts.resident_peak_bytes));
    table.row(["resident memory", &format!("{now}, peak {peak}")]);
    if let Some(each) = facts.bytes_per_idle_connection {
        table.row(["idle connection", &format!("{} each", format::bytes(each))]);
    }
    table.section("Server processes")
}

fn marks(report: &Report) -> String {
    let mut table = Table::new().right_before(1);
    for mark in &report.marks {
        let text = format::one_line(&mark.text);
        table.row([&format::moment(mark.at_s), source(mark.source), &text]);
    }
    table.section("What happened")
}

fn verdict(report: &Report) -> String {
    let Some(verdict) = &report.verdict else { return String::new() };
    let told = verdict_text(verdict, report.evictions);
    let mut table = Table::new();
    for (name, value) in &told.facts {
        table.row([*name, value.as_str()]);
    }
    let mut out = table.section(&format!("Consistency: {}", told.headline));
    if told.examples.iter().any(|example| !example.lines.is_empty()) {
        out.push('\n');
        for line in LEGEND.lines() {
            out.push_str(&format!("  {line}\n"));
        }
    }
    for example in &told.examples {
        out.push_str(&format!("\n  {}\n", example.what));
        for line in &example.lines {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}
