//! From what was counted to the report.

use std::time::{SystemTime, UNIX_EPOCH};

use super::collect::{ratio, seconds};
use super::{Measured, RunSettings, trust};
use crate::drive::PhaseEnd;
use crate::measure::{percentiles, summary};
use crate::report::{
    CommandRow, Ended, EndpointFacts, ErrorCount, GeneratorFacts, Mark, Report, Second,
    ServerFacts, Totals, TroubleCount,
};

/// What was seen around a run, beside what its threads counted.
#[derive(Debug)]
pub struct Facts {
    /// The plan, as pairs to be shown.
    pub plan: Vec<(String, String)>,
    /// What happened when.
    pub marks: Vec<Mark>,
    /// What it cost the endpoint's processes.
    pub server: Option<ServerFacts>,
}

/// Makes the report of a run. What only the whole of it tells (who the endpoint is, evictions, the
/// verdict, a trace that failed) is still to be put in.
#[must_use]
pub fn report<T>(settings: &RunSettings, measured: Measured<T>, facts: Facts) -> Report {
    let Measured { seconds: times, began_at, ends, connecting, collection, .. } = measured;
    let total = &collection.total;
    let all = total.all_latencies();
    let lag = total.lag.as_deref().cloned().unwrap_or_default();
    let measured_s = collection.measured_s();
    let counts = total.counts;
    let (latency, lag) = (summary(&all), summary(&lag));
    let in_measured: Vec<_> = collection.timeline.iter().filter(|it| it.at_s > -1e-9).collect();
    let distrust = trust::distrust(&in_measured, &counts, &lag, &latency, settings.is_open_loop);
    let cautions = trust::cautions(&counts, &lag, &latency, settings.is_open_loop);
    let generator = GeneratorFacts {
        cpu_us_per_reply: ratio(collection.cpu.iter().sum(), collection.replies_in_time) / 1e3,
        busiest_thread: mean(&in_measured, |second| second.generator_busy),
        waited_for_core: mean(&in_measured, |second| second.waited_for_core),
        lag,
    };
    // What the endpoint told of the time before, such as of the fill, has no place on the axis.
    let begin_s = -seconds(times.measured - times.start);
    let mut connected = connecting;
    connected.add(total);
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        began_at_ms: millis(began_at),
        endpoint: endpoint_facts(settings),
        plan: facts.plan,
        is_open_loop: settings.is_open_loop,
        measured_s,
        ended: ended(&ends),
        totals: totals(&collection, connected.counts, settings.is_open_loop),
        latency,
        connecting: summary(&connected.connecting.unwrap_or_default()),
        commands: commands(total),
        percentiles: percentiles(&all),
        distrust,
        cautions,
        errors: errors(total),
        troubles: troubles(total),
        timeline: collection.timeline,
        marks: facts.marks.into_iter().filter(|it| it.at_s >= begin_s).collect(),
        generator,
        server: facts.server,
        evictions: None,
        verdict: None,
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn endpoint_facts(settings: &RunSettings) -> EndpointFacts {
    EndpointFacts {
        name: settings.endpoint.name.clone(),
        address: settings.endpoint.address.clone(),
        transport: String::new(),
        server_version: String::new(),
    }
}

/// The mean of a figure over the seconds, each with its length's weight.
fn mean(measured: &[&Second], figure: impl Fn(&Second) -> f64) -> f64 {
    let length: f64 = measured.iter().map(|second| second.length_s).sum();
    let sum: f64 = measured.iter().map(|second| figure(second) * second.length_s).sum();
    if length > 0.0 { sum / length } else { 0.0 }
}

fn ended(ends: &[PhaseEnd]) -> Ended {
    if ends.contains(&PhaseEnd::Stopped) {
        Ended::Interrupted
    } else if ends.iter().all(|&end| end == PhaseEnd::Traffic) {
        Ended::TraceEnded
    } else {
        Ended::Completed
    }
}

fn totals(
    collection: &super::Collection,
    connected: crate::measure::Counts,
    is_open_loop: bool,
) -> Totals {
    let counts = collection.total.counts;
    Totals {
        scheduled: if is_open_loop { counts.scheduled } else { counts.requests },
        unsent: counts.unsent,
        requests: counts.requests,
        replies: counts.replies,
        replies_in_time: collection.replies_in_time,
        lost: counts.lost,
        errors: counts.errors,
        hits: counts.hits,
        misses: counts.misses,
        bytes_sent: counts.bytes_sent,
        bytes_received: counts.bytes_received,
        connections: connected.connections,
        resumed: connected.resumed,
    }
}

fn commands(total: &crate::measure::Tally) -> Vec<CommandRow> {
    let row = |(command, outcome, latencies)| CommandRow {
        command,
        outcome,
        latency: summary(latencies),
    };
    total.by_command().map(row).collect()
}

fn errors(total: &crate::measure::Tally) -> Vec<ErrorCount> {
    total.error_lines().into_iter().map(|(line, count)| ErrorCount { line, count }).collect()
}

fn troubles(total: &crate::measure::Tally) -> Vec<TroubleCount> {
    let trouble = |(trouble, count, example): (_, _, &str)| TroubleCount {
        trouble,
        count,
        example: example.to_owned(),
    };
    total.troubles().map(trouble).collect()
}
