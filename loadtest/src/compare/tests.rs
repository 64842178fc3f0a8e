#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::cell::{Cell, RefCell};

use anyhow::bail;
use expect_test::expect;

use super::*;
use crate::report::{Ended, EndpointFacts, GeneratorFacts, Latency, Report, ServerFacts, Totals};

const NAMES: [&str; 3] = ["memtide", "memcached", "haproxy"];

/// A whole run of two seconds.
fn report(endpoint: usize, replies: u64, cpu_us_per_reply: f64, p50_us: f64) -> Report {
    Report {
        version: "0".to_owned(),
        began_at_ms: 0,
        endpoint: EndpointFacts {
            name: NAMES[endpoint].to_owned(),
            address: format!("127.0.0.1:{endpoint}"),
            transport: "TLS 1.3".to_owned(),
            server_version: "1.6".to_owned(),
        },
        plan: vec![("connections".to_owned(), "50".to_owned())],
        is_open_loop: false,
        measured_s: 2.0,
        ended: Ended::Completed,
        totals: Totals { replies, replies_in_time: replies, errors: 1, ..Totals::default() },
        latency: Latency {
            count: replies,
            p50_us,
            p99_us: p50_us * 2.0,
            p999_us: p50_us * 10.0,
            ..Latency::default()
        },
        connecting: Latency::default(),
        commands: Vec::new(),
        percentiles: Vec::new(),
        distrust: Vec::new(),
        cautions: Vec::new(),
        errors: Vec::new(),
        troubles: Vec::new(),
        timeline: Vec::new(),
        marks: Vec::new(),
        generator: GeneratorFacts::default(),
        server: Some(ServerFacts {
            cpu_us_per_reply,
            cores_busy: 1.0,
            resident_bytes: 1 << 20,
            resident_peak_bytes: 3 << 19,
            bytes_per_idle_connection: None,
        }),
        evictions: None,
        verdict: None,
    }
}

fn never() -> bool {
    false
}

#[test]
fn the_order_turns_with_every_round() {
    let made = RefCell::new(Vec::new());
    let rounds = Rounds { endpoints: 3, rounds: 3 };
    let comparison = rounds.run(never, |endpoint, round| {
        made.borrow_mut().push((round, endpoint.0));
        Ok(report(endpoint.0, 1000, 10.0, 100.0))
    });
    let expected =
        [(1, 0), (1, 1), (1, 2), (2, 2), (2, 1), (2, 0), (3, 0), (3, 1), (3, 2)].to_vec();
    assert_eq!(*made.borrow(), expected);
    let comparison = comparison.unwrap();
    let told: Vec<_> = comparison.runs.iter().map(|run| (run.round, run.endpoint)).collect();
    assert_eq!(told, expected);
    assert_eq!((comparison.rounds_whole, &comparison.ended), (3, &Ended::Completed));
}

#[test]
fn ratios_pair_the_runs_of_a_round() {
    // The machine slows down from round to round; the second endpoint takes twice the CPU
    // throughout, but three times in one round.
    let slow = [1.0, 2.0, 4.0];
    let factor = [2.0, 3.0, 2.0];
    let comparison = Rounds { endpoints: 2, rounds: 3 }.run(never, |endpoint, round| {
        let at = usize::try_from(round).unwrap() - 1;
        let cpu = 10.0 * slow[at] * if endpoint.0 == 1 { factor[at] } else { 1.0 };
        Ok(report(endpoint.0, 1000, cpu, 100.0))
    });
    let comparison = comparison.unwrap();
    let [first, second] = &comparison.endpoints[..] else { panic!("{comparison:?}") };
    let cpu = |median, min, max| Some(Spread { median, min, max, runs: 3 });
    assert_eq!(first.figures.get(&Metric::CpuPerReply).copied(), cpu(20.0, 10.0, 40.0));
    assert_eq!(second.figures.get(&Metric::CpuPerReply).copied(), cpu(60.0, 20.0, 80.0));
    assert!(first.ratios.is_empty());
    let ratio = second.ratios[&Metric::CpuPerReply];
    assert_eq!(ratio, Ratio { of_rounds: cpu(2.0, 2.0, 3.0), of_medians: 3.0 });
    assert_eq!(second.figures[&Metric::Throughput].median, 500.0);
    assert_eq!((second.errors, second.runs), (3, 3));
}

#[test]
fn a_run_whose_latency_is_not_believed_gives_no_latency() {
    let comparison = Rounds { endpoints: 2, rounds: 3 }.run(never, |endpoint, round| {
        let is_late = endpoint.0 == 1 && round == 2;
        let mut report =
            report(endpoint.0, 1000, 10.0, if is_late { 9000.0 } else { 100.0 * f64::from(round) });
        if is_late {
            report.distrust.push("the generator was saturated".to_owned());
        }
        Ok(report)
    });
    let comparison = comparison.unwrap();
    let second = &comparison.endpoints[1];
    let expected = Spread { median: 200.0, min: 100.0, max: 300.0, runs: 2 };
    assert_eq!(second.figures[&Metric::P50], expected);
    assert_eq!(second.ratios[&Metric::P50].of_rounds.unwrap().runs, 2, "rounds 1 and 3");
    assert_eq!(second.figures[&Metric::Throughput].runs, 3, "all that is no latency stays");
    assert_eq!(second.runs_distrusted, 1);
    let note = "memcached: the latency of 1 of 3 runs is not believed and left out: the generator \
                was saturated";
    assert_eq!(comparison.notes, [note]);
}

#[test]
fn an_interrupt_leaves_what_there_is() {
    // In the third run: the half round has no pair, and the cut run does not count.
    let comparison = Rounds { endpoints: 2, rounds: 5 }.run(never, |endpoint, round| {
        let mut report = report(endpoint.0, 1000, 10.0, 100.0);
        if round == 2 {
            report.totals.replies_in_time = 10;
            report.ended = Ended::Interrupted;
        }
        Ok(report)
    });
    let comparison = comparison.unwrap();
    assert_eq!((&comparison.ended, comparison.rounds_whole), (&Ended::Interrupted, 1));
    assert_eq!(comparison.runs.len(), 3);
    assert_eq!(comparison.endpoints[1].figures[&Metric::Throughput].min, 500.0);
    assert!(text(&comparison).contains("1 interleaved round, interrupted (of 5)"));
    assert_eq!(comparison.notes, ["only 1 of 5 rounds is whole"]);

    // Between two runs, and where the run says so by failing.
    for is_failing in [false, true] {
        let runs = Cell::new(0);
        let comparison = Rounds { endpoints: 2, rounds: 5 }.run(
            || runs.get() == 1,
            |endpoint, _| {
                if is_failing && runs.get() == 0 {
                    runs.set(1);
                    bail!("interrupted while connecting");
                }
                runs.set(runs.get() + 1);
                Ok(report(endpoint.0, 1000, 10.0, 100.0))
            },
        );
        let comparison = comparison.unwrap();
        let expected = if is_failing { 0 } else { 1 };
        assert_eq!((&comparison.ended, comparison.runs.len()), (&Ended::Interrupted, expected));
        assert_eq!(comparison.endpoints.len(), expected);
    }

    // In the very first run: better than nothing.
    let comparison = Rounds { endpoints: 2, rounds: 5 }.run(never, |endpoint, _| {
        Ok(Report { ended: Ended::Interrupted, ..report(endpoint.0, 1000, 10.0, 100.0) })
    });
    let comparison = comparison.unwrap();
    assert_eq!(comparison.endpoints[0].figures[&Metric::CpuPerReply].median, 10.0);
    assert_eq!(comparison.rounds_whole, 0);
}

#[test]
fn a_failure_is_an_error_at_first_and_an_end_later() {
    let run = |fails_in| {
        Rounds { endpoints: 2, rounds: 3 }.run(never, move |endpoint, round| {
            if endpoint.0 == 1 && round == fails_in {
                bail!("memcached: connection refused");
            }
            Ok(report(endpoint.0, 1000, 10.0, 100.0))
        })
    };
    assert_eq!(run(1).unwrap_err().to_string(), "memcached: connection refused");
    let comparison = run(3).unwrap();
    let why = "round 3: memcached: connection refused".to_owned();
    assert_eq!(comparison.ended, Ended::Failed(why));
    assert_eq!(comparison.rounds_whole, 2);

    let comparison = Rounds { endpoints: 2, rounds: 3 }.run(never, |endpoint, _| {
        let ended = Ended::Failed("nothing connects any more".to_owned());
        Ok(Report { ended, ..report(endpoint.0, 1000, 10.0, 100.0) })
    });
    let why = "round 1: nothing connects any more".to_owned();
    assert_eq!(comparison.unwrap().ended, Ended::Failed(why));
}

#[test]
fn people_get_a_table_with_the_ratios() {
    let comparison = Rounds { endpoints: 2, rounds: 2 }.run(never, |endpoint, round| {
        let (replies, cpu) = if endpoint.0 == 0 { (200_000, 9.125) } else { (170_000, 21.5) };
        let mut report =
            report(endpoint.0, replies + 1000 * u64::from(round), cpu, 480.0 * f64::from(round));
        if endpoint.0 == 1 && round == 2 {
            report.server = None;
        }
        Ok(report)
    });
    expect![[r#"
        compared 2 endpoints in 2 interleaved rounds
          A  memtide (127.0.0.1:0, TLS 1.3, version 1.6)
          B  memcached (127.0.0.1:1, TLS 1.3, version 1.6)

                                                                      A                                 B
        throughput (more is better)             101k/s (100k/s..101k/s)    85.8k/s (85.5k/s..86k/s) x0.85
        server CPU/reply (less is better)                       9.12 us       21.5 us x2.36 [1 of 2 runs]
        p50 (less is better)                    720 us (480 us..960 us)     720 us (480 us..960 us) x1.00
        p99 (less is better)                  1.44 ms (960 us..1.92 ms)   1.44 ms (960 us..1.92 ms) x1.00
        p99.9 (less is better)               7.20 ms (4.80 ms..9.60 ms)  7.20 ms (4.80 ms..9.60 ms) x1.00
        max (less is better)                                       0 us                              0 us
        server cores busy                                          1.00          1.00 x1.00 [1 of 2 runs]
        generator CPU/reply                                        0 us                              0 us
        server peak memory (less is better)                    1.50 MiB      1.50 MiB x1.00 [1 of 2 runs]
        error replies, all runs                                       2                                 2
        requests without reply, all runs                              0                                 0
        broken connections, all runs                                  0                                 0

        Medians over the rounds (least..most). x: the median of the rounds' ratios to A.
    "#]]
    .assert_eq(&text(&comparison.unwrap()));
}

#[test]
fn json_names_every_figure_with_its_unit() {
    let comparison = Rounds { endpoints: 2, rounds: 1 }
        .run(never, |endpoint, _| Ok(report(endpoint.0, 1000, 10.0, 100.0)));
    let text = json(&comparison.unwrap());
    assert!(text.ends_with("}\n"));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let second = &json["endpoints"][1];
    assert_eq!(second["endpoint"]["name"], "memcached");
    assert_eq!(second["figures"]["server_cpu_us_per_reply"]["median"], 10.0);
    assert_eq!(second["ratios"]["p99_us"]["of_rounds"]["median"], 1.0);
    assert_eq!(second["ratios"]["replies_per_s"]["of_medians"], 1.0);
    assert_eq!(json["runs"][0]["figures"]["resident_peak_bytes"], 1_572_864.0);
    assert_eq!(json["ended"]["how"], "completed");
}
