use std::collections::BTreeMap;

use super::statistics::spread;
use super::{Comparison, EndpointIndex, EndpointRow, Metric, Ratio, Rounds, Run};
use crate::report::{Ended, Report};

/// Draws the runs, in the order in which they were made, together.
pub fn comparison(
    planned: Rounds,
    ended: Ended,
    reports: Vec<(u32, EndpointIndex, Report)>,
) -> Comparison {
    let runs = counted(reports);
    let mut endpoints: Vec<_> =
        (0..planned.endpoints).filter_map(|endpoint| row(endpoint, &runs)).collect();
    let is_first_there = runs.iter().any(|run| run.endpoint == 0);
    if is_first_there {
        let base = endpoints[0].1.figures.clone();
        for (endpoint, row) in endpoints.iter_mut().skip(1) {
            row.ratios = ratios(*endpoint, &base, &row.figures, &runs);
        }
    }
    let endpoints: Vec<_> = endpoints.into_iter().map(|(_, row)| row).collect();
    let rounds_whole =
        (1..=planned.rounds).filter(|round| whole_runs(&runs, *round) == planned.endpoints).count();
    let mut comparison = Comparison {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rounds_planned: planned.rounds,
        rounds_whole: u32::try_from(rounds_whole).unwrap_or(u32::MAX),
        ended,
        notes: Vec::new(),
        plan: runs.first().map(|run| run.report.plan.clone()).unwrap_or_default(),
        endpoints,
        runs,
    };
    comparison.notes = notes(&comparison);
    comparison
}

fn is_whole(report: &Report) -> bool {
    matches!(report.ended, Ended::Completed | Ended::TraceEnded)
}

fn whole_runs(runs: &[Run], round: u32) -> usize {
    runs.iter().filter(|run| run.round == round && is_whole(&run.report)).count()
}

/// A run that was cut short had other conditions than the whole ones, but is better than nothing.
fn counted(reports: Vec<(u32, EndpointIndex, Report)>) -> Vec<Run> {
    let has_whole = |endpoint: EndpointIndex| {
        reports.iter().any(|(_, of, report)| *of == endpoint && is_whole(report))
    };
    let is_counted: Vec<_> = reports
        .iter()
        .map(|(_, endpoint, report)| is_whole(report) || !has_whole(*endpoint))
        .collect();
    let run = |((round, endpoint, report), is_counted): ((u32, EndpointIndex, Report), bool)| Run {
        round,
        endpoint: endpoint.0,
        is_counted,
        figures: Metric::ALL.into_iter().filter_map(|it| Some((it, it.of(&report)?))).collect(),
        distrust: report.distrust.clone(),
        report,
    };
    reports.into_iter().zip(is_counted).map(run).collect()
}

/// The figure of a run, where it counts and is believed.
fn believed(run: &Run, metric: Metric) -> Option<f64> {
    let is_out = !run.is_counted || (metric.is_latency() && !run.distrust.is_empty());
    run.figures.get(&metric).copied().filter(|_| !is_out)
}

/// The row of an endpoint beside its index; `None` where it had no run.
fn row(endpoint: usize, runs: &[Run]) -> Option<(usize, EndpointRow)> {
    let of_it: Vec<_> = runs.iter().filter(|run| run.endpoint == endpoint).collect();
    let facts = &of_it.first()?.report.endpoint;
    let count = |is_in: fn(&Run) -> bool| {
        u32::try_from(of_it.iter().filter(|run| is_in(run)).count()).unwrap_or(u32::MAX)
    };
    let sum = |part: fn(&Report) -> u64| of_it.iter().map(|run| part(&run.report)).sum();
    let figure = |metric| {
        let values: Vec<_> = of_it.iter().filter_map(|run| believed(run, metric)).collect();
        Some((metric, spread(&values)?))
    };
    let row = EndpointRow {
        endpoint: facts.clone(),
        runs: count(|run| run.is_counted),
        runs_distrusted: count(|run| run.is_counted && !run.distrust.is_empty()),
        errors: sum(|report| report.totals.errors),
        lost: sum(|report| report.totals.lost),
        troubles: sum(|report| report.troubles.iter().map(|trouble| trouble.count).sum()),
        figures: Metric::ALL.into_iter().filter_map(figure).collect(),
        ratios: BTreeMap::new(),
    };
    Some((endpoint, row))
}

fn ratios(
    endpoint: usize,
    base: &BTreeMap<Metric, super::Spread>,
    figures: &BTreeMap<Metric, super::Spread>,
    runs: &[Run],
) -> BTreeMap<Metric, Ratio> {
    let of_round = |metric, round: u32, endpoint: usize| {
        let run = runs.iter().find(|run| run.round == round && run.endpoint == endpoint)?;
        believed(run, metric)
    };
    let ratio = |(&metric, own): (&Metric, &super::Spread)| {
        let of_medians = quotient(own.median, base.get(&metric)?.median)?;
        let rounds = runs.iter().filter(|run| run.endpoint == endpoint).map(|run| run.round);
        let pairs: Vec<_> = rounds
            .filter_map(|round| {
                quotient(of_round(metric, round, endpoint)?, of_round(metric, round, 0)?)
            })
            .collect();
        Some((metric, Ratio { of_rounds: spread(&pairs), of_medians }))
    };
    figures.iter().filter_map(ratio).collect()
}

fn quotient(of: f64, to: f64) -> Option<f64> {
    (to > 0.0).then(|| of / to)
}

fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = Vec::new();
    let (whole, planned) = (comparison.rounds_whole, comparison.rounds_planned);
    if whole < planned {
        notes.push(format!(
            "only {whole} of {planned} rounds {} whole",
            if whole == 1 { "is" } else { "are" }
        ));
    }
    for row in &comparison.endpoints {
        let name = &row.endpoint.name;
        if row.runs_distrusted > 0 {
            let reason = comparison
                .runs
                .iter()
                .filter(|run| run.is_counted && run.report.endpoint.name == *name)
                .find_map(|run| run.distrust.first());
            notes.push(format!(
                "{name}: the latency of {} of {} runs is not believed and left out: {}",
                row.runs_distrusted,
                row.runs,
                reason.map_or("", String::as_str),
            ));
        }
    }
    notes
}
