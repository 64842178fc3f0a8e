#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeMap;

use expect_test::expect;

use super::*;
use crate::bench_peers::load::{Ended, Facts, Run};
use crate::bench_peers::targets::TARGETS;
use crate::bench_peers::work::WORKS;

fn empty() -> Table {
    Table {
        machine: "here".to_owned(),
        rounds: rounds(2),
        how: "of 5s each".to_owned(),
        rows: Vec::new(),
        notes: Vec::new(),
        failures: 0,
    }
}

fn work(name: &str) -> &'static Work {
    WORKS.iter().find(|work| work.name == name).unwrap()
}

/// A run with these figures; `why` its latency is not believed, where it is not.
fn run(round: u32, endpoint: usize, figures: &[(&str, f64)], why: Option<&str>) -> Run {
    let figures: BTreeMap<_, _> =
        figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let distrust = why.map(str::to_owned).into_iter().collect();
    Run { round, endpoint, is_counted: true, figures, distrust }
}

fn comparison(names: &[&str], runs: Vec<Run>) -> Comparison {
    let endpoint = |name: &&str| Endpoint {
        endpoint: Facts { name: (*name).to_owned() },
        errors: 0,
        lost: 0,
        troubles: 0,
    };
    let ended = Ended { how: "completed".to_owned(), why: None };
    Comparison { ended, notes: Vec::new(), endpoints: names.iter().map(endpoint).collect(), runs }
}

const THREE: [&str; 3] = ["memcached-tls", "memtide", "floor"];
const CPU: &str = "server_cpu_us_per_reply";
const IDLE: &str = "bytes_per_idle_connection";
const LATE: &str = "the generator fell behind";

/// One figure of three servers in each of the rounds.
fn of_rounds(figure: &str, rounds: &[[f64; 3]], why: Option<&str>) -> Comparison {
    let numbered = (1..).zip(rounds);
    let all = numbered.flat_map(|(round, values)| {
        let of = |(at, value): (usize, &f64)| run(round, at, &[(figure, *value)], why);
        values.iter().enumerate().map(of).collect::<Vec<_>>()
    });
    comparison(&THREE, all.collect())
}

fn lines_with(text: &str, parts: &[&str]) -> String {
    let has = |line: &&str| parts.iter().any(|part| line.contains(part));
    text.lines().filter(has).fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn the_comparison_that_loadtest_writes_is_understood() {
    let json = r#"{
        "version": "0.1.0", "rounds_planned": 1, "rounds_whole": 1, "ended": {"how": "completed"},
        "notes": [], "plan": [["connections", "50"]],
        "endpoints": [
            {"endpoint": {"name": "memtide", "address": "127.0.0.1:1"}, "runs": 1,
             "errors": 1, "lost": 2, "troubles": 3,
             "figures": {"replies_per_s": {"median": 4.5, "min": 1, "max": 2, "runs": 1}},
             "ratios": {}}],
        "runs": [{"round": 1, "endpoint": 0, "is_counted": true,
                  "figures": {"replies_per_s": 4.5, "p50_us": 7}, "distrust": ["late"]}]}"#;
    let comparison: Comparison = serde_json::from_str(json).unwrap();
    assert_eq!(comparison.median(0, "replies_per_s"), Some(4.5));
    assert_eq!(comparison.distrust(0), (1, 1, Some("late")));
    let mut table = empty();
    table.add(work("mixed"), comparison);
    let expected =
        "- mixed, memtide: 1 error replies, 2 requests without reply, 3 broken connections";
    assert!(table.markdown(false).contains(expected));
}

#[test]
fn cpu_time_is_told_with_its_ratios_to_memcached_and_to_the_floor() {
    let mut table = empty();
    // The ratios of the rounds are .5, .4, .9 and 1.25, 2, 1.5: not those of the medians.
    let rounds = [[10.0, 5.0, 4.0], [20.0, 8.0, 4.0], [10.0, 9.0, 6.0]];
    table.add(work("mixed"), of_rounds(CPU, &rounds, Some("no core")));
    let told = lines_with(&main(&table.rows), &["memcached-tls |", "memtide |", "floor |"]);
    expect![[r"
        | load | server | CPU us/request | of memcached-tls | of floor | replies/s | p50 us | p99 us | peak MiB |
        | get and set 9:1, 50 connections | memcached-tls | 10.00 | 1 | 2.50 | - | - | - | - |
        |  | memtide | 8.00 | 0.50 | 1.50 | - | - | - | - |
        |  | floor | 4.00 | 0.40 | 1 | - | - | - | - |
    "]]
    .assert_eq(&told);
}

#[test]
fn what_is_missing_is_told() {
    let mut table = empty();
    let mut lonely =
        comparison(&["memtide"], vec![run(1, 0, &[(CPU, 2.0), ("p50_us", 9.0)], None)]);
    lonely.notes = vec![
        "only 1 of 2 rounds is whole".to_owned(),
        "memtide: the latency of 1 of 2 runs is not believed and left out: late".to_owned(),
    ];
    table.add(work("pipeline"), lonely);
    assert!(!table.has_failures());
    table.add_failure(work("set"), "memtide ended");
    assert!(table.has_failures());
    let text = table.markdown(true);
    let head = text.split_once("\nLoads that").unwrap().0;
    expect![[r"
        here. At most 2 rounds of 5s each

        | load | server | CPU us/request | of memtide | replies/s | p50 us | p99 us | peak MiB |
        |---|---|--:|--:|--:|--:|--:|--:|
        | the same, pipeline of 16 | memtide | 2.00 | 1 | - | 9 | - | - |
    "]]
    .assert_eq(head);
    expect![[r"
        - pipeline: only 1 of 2 rounds is whole
        - set: failed: memtide ended
        Interrupted: not all loads are there.
    "]]
    .assert_eq(&lines_with(&text, &["- pipeline", "- set", "Interrupted"]));
}

#[test]
fn other_measures_have_ratios_of_their_own() {
    let mut table = empty();
    table.add(work("multiget"), of_rounds(CPU, &[[32.0, 16.0, 8.0]], None));
    table.add(work("one"), of_rounds("p50_us", &[[50.0, 60.0, 40.0], [60.0, 60.0, 40.0]], None));
    // What is there of the first round does not grow again.
    let kib = |n: f64| n * 1024.0;
    let idle = [[kib(16.0), kib(8.0), kib(4.0)], [kib(0.5), kib(0.1), kib(3.0)]];
    table.add(work("idle"), of_rounds(IDLE, &idle, None));
    expect![[r"
        | multiget | CPU us/key | memtide | 1.000 | 0.50 | 2.00 |
        | one | p50 us | memtide | 60 | 1.10 | 1.50 |
        | idle | KiB/idle connection | memtide | 8.0 | 0.50 | 2.00 |
    "]]
    .assert_eq(&lines_with(
        &beside(&table.rows),
        &["/key | memtide", "us | memtide", "connection | memtide"],
    ));
}

#[test]
fn a_latency_that_no_run_has_believed_is_marked_and_the_reason_told() {
    let mut table = empty();
    table.add(work("tail"), of_rounds("p99_us", &[[100.0, 150.0, 1.0]], Some(LATE)));
    let told = lines_with(&table.markdown(false), &["memtide"]);
    expect![[r#"
        |  | memtide | - | - | - | - | - | 150\* | - |
        | tail | p50 us | memtide | - | - | - |
        | tail | p99 us | memtide | 150\* | 1.50\* | 150.00\* |
        | tail | p99.9 us | memtide | - | - | - |
        - tail, memcached-tls, memtide, floor: the latency of 1 of 1 runs is not believed: the generator fell behind
        | tail | p99 us | memtide | memcached-tls | 1.00 | 0.80 | 1.500\* | **missed** |
        | tail | p99.9 us | memtide | memcached-tls | 1.00 | 0.80 | - | not measured |
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_latency_is_of_the_believed_runs_where_there_are_some() {
    let figure = |round, endpoint, p99: f64, why| run(round, endpoint, &[("p99_us", p99)], why);
    let runs = vec![
        figure(1, 0, 100.0, None),
        figure(1, 1, 50.0, None),
        figure(2, 0, 100.0, None),
        figure(2, 1, 900.0, Some(LATE)),
        figure(3, 0, 900.0, Some(LATE)),
        figure(3, 1, 70.0, None),
    ];
    let mut table = empty();
    table.add(work("tail"), comparison(&THREE[..2], runs));
    let told = lines_with(&table.markdown(false), &["| p99 us | memtide", "- tail"]);
    expect![[r#"
        | tail | p99 us | memtide | 60 | 0.50 |
        - tail, memcached-tls, memtide: the latency of 1 of 3 runs is not believed and left out: the generator fell behind
        | tail | p99 us | memtide | memcached-tls | 1.00 | 0.80 | 0.500 | met, and the aim |
    "#]]
    .assert_eq(&told);
}

#[test]
fn targets_are_met_missed_or_not_measured() {
    let mut table = empty();
    table.add(work("mixed"), of_rounds(CPU, &[[10.0, 6.1, 5.0]], None));
    table.add(work("pipeline"), of_rounds(CPU, &[[10.0, 2.5, 1.7]], None));
    table.add(work("tail"), of_rounds("p99_us", &[[10.0, 8.0, 1.0]], Some(LATE)));
    expect![[r#"
        | mixed | CPU us/request | memtide | memcached-tls | 0.60 | - | 0.610 | **missed** |
        | mixed | CPU us/request | memtide | floor | 1.35 | 1.20 | 1.220 | met |
        | pipeline | CPU us/request | memtide | memcached-tls | 0.25 | - | 0.250 | met |
        | pipeline | CPU us/request | memtide | floor | 1.60 | 1.35 | 1.471 | met |
        | tail | p99 us | memtide | memcached-tls | 1.00 | 0.80 | 0.800\* | met, and the aim |
        | tail | p99.9 us | memtide | memcached-tls | 1.00 | 0.80 | - | not measured |
        Of 6 targets 4 are met, 1 of them with their aim; 1 missed, 1 not measured.
    "#]]
    .assert_eq(&lines_with(
        &targets::markdown(table.rows()),
        &["| mixed", "| pipeline", "| set", "| tail", "Of "],
    ));
}

#[test]
fn every_target_is_of_a_load_that_tells_its_measure() {
    for target in &TARGETS {
        let is_told = target.measure == Measure::CpuPerRequest
            || work(target.work).measures.contains(&target.measure);
        assert!(is_told, "{target:?}");
        assert!(target.aim.is_none_or(|aim| aim < target.at_most), "{target:?}");
    }
}
