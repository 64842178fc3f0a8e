#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use expect_test::{ExpectFile, expect_file};

use super::super::sample::{Sample, checked, distrusted, mark, with_resets};
use super::super::{Ended, MarkSource, Report, TroubleCount};
use super::render;
use crate::measure::Trouble;

fn check(report: &Report, expected: &ExpectFile) {
    expected.assert_eq(&render(report));
}

#[test]
fn an_eventful_run_is_told_whole() {
    let report = with_resets(Sample::eventful().report(1));
    check(&report, &expect_file!["eventful.txt"]);
}

#[test]
fn a_latency_that_is_not_to_be_believed_is_not_told() {
    let mut report = distrusted(Sample::quiet("memcached", 5, 80.0).report(1));
    report.server = None;
    report.evictions = None;
    check(&report, &expect_file!["distrusted.txt"]);
}

/// What stands under the heading that begins with `title`.
fn section(text: &str, title: &str) -> String {
    let begin = text.find(&format!("\n{title}")).unwrap() + 1;
    text[begin..].to_owned()
}

#[test]
fn a_violation_is_told_with_what_surrounds_it() {
    let text = render(&checked(Sample::quiet("memtide", 5, 80.0).report(1), true));
    expect_file!["violated.txt"].assert_eq(&section(&text, "Consistency"));
}

#[test]
fn what_the_checker_does_not_know_is_not_told_as_passed() {
    let mut report = checked(Sample::quiet("memtide", 5, 80.0).report(1), false);
    assert!(render(&report).contains("\nConsistency: no violation found\n"));
    let verdict = report.verdict.as_mut().unwrap();
    (verdict.undecided_keys, verdict.is_cut_short) = (7, true);
    let text = render(&report);
    assert!(text.contains("no violation found; 7 keys could not be decided, "), "{text}");
    assert!(text.contains("; the history was full before the end"), "{text}");
}

#[test]
fn requests_that_were_never_sent_and_late_replies_are_told_apart() {
    let mut report = Sample::quiet("stock", 5, 80.0).report(1);
    report.totals.unsent = 1234;
    report.totals.replies_in_time = 50_000;
    report.totals.replies = 50_007;
    let text = render(&report);
    let words: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in ["never sent 1,234 247/s", "replies 50,007 10,000/s", "of these after the end 7"] {
        assert!(words.iter().any(|told| told == line), "{line}: {text}");
    }
}

#[test]
fn a_closed_loop_says_what_its_latency_is_not() {
    let sample = Sample { is_open_loop: false, ..Sample::quiet("stock", 5, 80.0) };
    let mut report = sample.report(1);
    report.ended = Ended::Interrupted;
    let text = render(&report);
    assert!(text.contains("service time (closed loop)"), "{text}");
    assert!(text.contains("says nothing about a fixed rate"), "{text}");
    assert!(!text.contains("  due "), "{text}");
    assert!(text.contains("interrupted: this is what ran so far"), "{text}");
}

#[test]
fn seconds_in_which_the_generator_was_late_are_counted() {
    let mut report = Sample::quiet("stock", 5, 80.0).report(1);
    report.timeline[4].is_trusted = false;
    let text = render(&report);
    assert!(text.contains("The generator was late in 1 of 5 seconds."), "{text}");
}

#[test]
fn nothing_from_outside_reaches_the_terminal_raw() {
    let mut report = with_resets(Sample::eventful().report(1));
    let evil = "a\x1b]0;b\x07\r\nc";
    report.endpoint.name = evil.to_owned();
    report.endpoint.address = evil.to_owned();
    report.endpoint.transport = evil.to_owned();
    report.endpoint.server_version = evil.to_owned();
    report.plan.push((evil.to_owned(), evil.to_owned()));
    report.errors[0].line = evil.to_owned();
    report.troubles[0].example = evil.to_owned();
    report.troubles[1].example = evil.to_owned();
    report.marks.push(mark(1.0, MarkSource::Hook, evil));
    report.ended = Ended::Failed(evil.to_owned());
    for text in [render(&report), render(&distrusted(report))] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains("\nc"), "{text}");
    }
}

#[test]
fn a_run_without_a_reply_is_told_without_nonsense() {
    let mut report = Sample::quiet("gone", 0, 80.0).report(1);
    report.timeline.clear();
    report.totals = Default::default();
    report.latency = Default::default();
    report.commands.clear();
    report.measured_s = 0.0;
    report.ended = Ended::Failed("connection refused".to_owned());
    let text = render(&report);
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert!(text.contains("failed: connection refused"), "{text}");
}

#[test]
fn an_outage_is_a_failure_and_no_lower_bound() {
    let late = distrusted(Sample::quiet("memtide", 5, 80.0).report(1));
    assert!(render(&late).contains("is a lower bound"));
    let mut unsent = late.clone();
    unsent.totals.unsent = 7;
    assert!(!render(&unsent).contains("lower bound"), "the endpoint did not keep up");
    let mut out = late;
    let example = "connection refused (os error 111)".to_owned();
    out.troubles = vec![TroubleCount { trouble: Trouble::Connect, count: 450, example }];
    let text = render(&out);
    assert!(!text.contains("lower bound") && !text.contains("Failures: none"), "{text}");
    for line in ["450  broken connections", "450  connect: connection refused"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn a_chance_resumption_is_not_told() {
    let mut report = Sample::quiet("memtide", 5, 80.0).report(1);
    assert!(render(&report).contains("resumed TLS"));
    report.totals.resumed = 1;
    assert!(!render(&report).contains("resumed TLS"));
}

#[test]
fn cautions_stand_below_the_latencies_that_they_are_about() {
    let mut report = Sample::quiet("cache", 5, 90.0).report(1);
    report.cautions = vec!["7 requests without a reply are in no percentile".to_owned()];
    let text = render(&report);
    let (before, after) = text.split_once("  Note: 7 requests without a reply").unwrap();
    assert!(before.contains("p99.99") && after.contains("Generator"), "{text}");
    let page = crate::report::html::render(&report);
    assert!(page.contains("Note: 7 requests without a reply"), "no caution on the page");
}
