#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::Path;

use super::super::sample::{Sample, distrusted, mark, with_resets};
use super::super::{Ended, MarkSource, NamedReports, Report};
use super::{comparison, render};

/// Pages of all kinds, to be looked at with a browser.
#[test]
#[ignore = "writes pages to look at, into the directory that MEMTIDE_PAGES names"]
fn pages_to_look_at() {
    let directory = std::env::var("MEMTIDE_PAGES").unwrap();
    let write = |name: &str, page: String| {
        std::fs::write(Path::new(&directory).join(name), page).unwrap();
    };
    for (name, report) in samples() {
        write(&format!("{name}.html"), render(&report));
    }
    write("compared.html", comparison("memtide and its peers", &peers()));
}

/// Three endpoints, the last with a round that is not to be believed.
fn peers() -> Vec<NamedReports> {
    let peers = [("memtide", 90.0), ("memcached --tls", 140.0), ("haproxy + memcached", 260.0)];
    let mut peers: Vec<NamedReports> = peers
        .into_iter()
        .map(|(name, quiet_us)| NamedReports {
            name: name.to_owned(),
            reports: (0..5u8)
                .map(|round| {
                    let quiet_us = quiet_us * (1.0 + f64::from(round * 7 % 5) / 20.0);
                    Sample::quiet(name, 10, quiet_us).report(u64::from(round))
                })
                .collect(),
        })
        .collect();
    let late = peers[2].reports.remove(0);
    peers[2].reports.push(distrusted(late));
    peers
}

fn samples() -> Vec<(&'static str, Report)> {
    let mut many = Sample::quiet("many marks", 120, 90.0);
    many.marks = (0..90)
        .map(|i| {
            let source = if i % 9 == 0 { MarkSource::Hook } else { MarkSource::Endpoint };
            mark(f64::from(i) * 1.3, source, &format!("slot {} moved to node {}", i * 7, i % 5))
        })
        .collect();
    let closed = Sample { is_open_loop: false, ..Sample::quiet("closed loop", 5, 60.0) };
    let mut hour = Sample::eventful();
    hour.measured_s = 3600;
    hour.marks.push(mark(1800.0, MarkSource::Endpoint, "node 9 joined in zone a"));
    let mut late = Sample::quiet("late", 60, 90.0).report(3);
    late.timeline[20..24].iter_mut().for_each(|second| second.is_trusted = false);
    late.ended = Ended::Interrupted;
    vec![
        ("eventful", with_resets(Sample::eventful().report(1))),
        ("distrusted", distrusted(with_resets(Sample::eventful().report(1)))),
        ("short", Sample::quiet("localhost:11211", 5, 90.0).report(2)),
        ("closed", closed.report(2)),
        ("hour", hour.report(4)),
        ("many", many.report(5)),
        ("late", late),
        ("empty", empty()),
    ]
}

fn empty() -> Report {
    let mut report = Sample::quiet("gone", 0, 80.0).report(1);
    report.timeline.clear();
    report.totals = Default::default();
    report.latency = Default::default();
    report.commands.clear();
    report.measured_s = 0.0;
    report.server = None;
    report.ended = Ended::Failed("cache.example:11211: connection refused".to_owned());
    report
}
