//! The scaler's planner against a modelled fleet, in virtual time.

use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use memtide_loadtest::report::html::{CurvesChart, CurvesPage, curves};
use memtide_scaling_sim::{Report, Sample, Scenario, run as simulate};

use crate::tell;

/// Points of each curve of the page, at most.
const POINTS_MAX: usize = 400;

/// Simulates a fleet that scales, and tells how its capacity follows the load
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A scenario, or `all` of them: see `list`
    #[arg(long, default_value = "list")]
    scenario: String,
    /// A recorded load in the place of a scenario: lines of seconds, ECPUs per second and bytes stored
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    load: Option<PathBuf>,
    /// What is random about it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write a page with the curves; with `all`, a folder for one each
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints every decision, with why
    #[arg(long)]
    events: bool,
}

/// Runs the chore; fails where slots were lost.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let scenarios = scenarios(arguments)?;
    let is_many = scenarios.len() > 1;
    let mut is_clean = true;
    for scenario in &scenarios {
        let report = simulate(scenario, arguments.seed);
        is_clean &= report.totals.lost == 0;
        print(&report, arguments.events)?;
        if let Some(path) = &arguments.html {
            let path = match is_many {
                true => path.join(format!("{}.html", scenario.name)),
                false => path.clone(),
            };
            write(&path, &report)?;
        }
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn scenarios(arguments: &Arguments) -> Result<Vec<Scenario>> {
    if let Some(path) = &arguments.load {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let scenario = Scenario::recorded(&text).map_err(anyhow::Error::msg);
        return Ok(vec![scenario.with_context(|| format!("failed to use {}", path.display()))?]);
    }
    let all = || Scenario::NAMES.iter().filter_map(|name| Scenario::named(name));
    match arguments.scenario.as_str() {
        "all" => Ok(all().collect()),
        "list" => {
            all().for_each(|it| tell(&format!("{:<10} {}", it.name, it.about)));
            bail!("name one with --scenario, or all")
        }
        name => match Scenario::named(name) {
            Some(scenario) => Ok(vec![scenario]),
            None => bail!("no scenario {name}; there are {}", Scenario::NAMES.join(", ")),
        },
    }
}

fn print(report: &Report, has_events: bool) -> Result<()> {
    let mut out = stdout().lock();
    let result = (|| {
        writeln!(out, "{report}")?;
        for event in report.events.iter().filter(|_| has_events) {
            writeln!(out, "{:>7} s  {}", event.at.as_secs(), event.text)?;
        }
        out.flush()
    })();
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn write(path: &Path, report: &Report) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
    }
    std::fs::write(path, curves(&page(report)))
        .with_context(|| format!("failed to write {}", path.display()))?;
    tell(&format!("wrote {}", path.display()));
    Ok(())
}

fn page(report: &Report) -> CurvesPage {
    let samples = report.thinned(POINTS_MAX);
    let curve = |name: &str, figure: &dyn Fn(&Sample) -> f64| {
        let points = samples.iter().map(|it| (it.at.as_secs_f64(), figure(it)));
        (name.to_owned(), points.collect())
    };
    let chart = |title: &str, curves| CurvesChart {
        title: title.to_owned(),
        curves,
        ..CurvesChart::default()
    };
    let gib = |bytes: f64| bytes / f64::from(1_u32 << 30);
    let work = vec![
        curve("usable", &|it| it.usable),
        curve("asked", &|it| it.asked),
        curve("served", &|it| it.served),
    ];
    let nodes =
        vec![curve("nodes", &|it| it.nodes as f64), curve("least", &|it| it.nodes_least as f64)];
    let memory = vec![curve("granted", &|it| gib(it.granted)), curve("held", &|it| gib(it.held))];
    let moved = vec![curve("copied", &|it| gib(it.copied))];
    CurvesPage {
        title: format!("Scaling: {}", report.name),
        about: format!("{}. Seed {}, {} zones.", report.about, report.seed, report.zones),
        facts: report.rows().into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect(),
        charts: vec![
            chart("ECPU per second", work),
            chart("Nodes", nodes),
            chart("Memory in GiB", memory),
            chart("GiB copied between two points", moved),
            chart("Slots on their way", vec![curve("slots", &|it| it.remaining as f64)]),
        ],
        events: report.events.iter().map(|it| (it.at.as_secs_f64(), it.text.clone())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_decisions_with_their_reasons() {
        let scenario = Scenario {
            duration: std::time::Duration::from_secs(150),
            ..Scenario::named("step").expect("it is named")
        };
        let page = curves(&page(&simulate(&scenario, 1)));
        for expected in ["Scaling: step", "add 3 nodes", "because all ecpu is in use", "usable"] {
            assert!(page.contains(expected), "{expected} is missing");
        }
    }
}
