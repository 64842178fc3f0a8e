#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use serde_json::{Value, json};

use super::super::sample::{Sample, distrusted, with_resets};
use super::super::{Ended, Report};
use super::render;

fn parsed(report: &Report) -> Value {
    serde_json::from_str(&render(report)).unwrap()
}

/// The parser of JSON may miss a number's last bit.
fn assert_us(json: &Value, expected: f64) {
    let read = json.as_f64().unwrap();
    assert!((read - expected).abs() < 1e-9 * expected, "{read} is not {expected}");
}

#[test]
fn figures_come_back_under_their_names() {
    let mut report = with_resets(Sample::eventful().report(1));
    report.ended = Ended::Failed("gone".to_owned());
    let json = parsed(&report);
    assert_eq!(json["format"], 1);
    assert_eq!(json["latency_from"], "due");
    assert_eq!(json["endpoint"]["address"], "cache.example:11211");
    assert_eq!(json["ended"], json!({"how": "failed", "why": "gone"}));
    assert_eq!(json["totals"]["replies"], report.totals.replies);
    assert_us(&json["latency"]["p999_us"], report.latency.p999_us);
    assert_eq!(json["commands"][1]["outcome"], "miss");
    assert_eq!(json["commands"][1]["latency"]["count"], report.totals.misses);
    assert_eq!(json["percentiles"].as_array().unwrap().len(), report.percentiles.len());
    assert_eq!(json["timeline"][0]["at_s"], -2.0);
    assert_us(&json["timeline"][0]["latency"]["p50_us"], report.timeline[0].latency.p50_us);
    assert_eq!(json["troubles"][0]["trouble"], "reset");
    assert_eq!(json["errors"][0]["count"], report.errors[0].count);
    assert_eq!(json["marks"][1]["source"], "hook");
    assert_eq!(json["server"]["cpu_us_per_reply"], 5.5);
    assert_eq!(json["verdict"], Value::Null);
}

/// Every path in `json` that ends in the key `name`.
fn paths_to(json: &Value, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), json)];
    while let Some((path, value)) = open.pop() {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = format!("{path}.{key}");
                    if key == name {
                        found.push(path.clone());
                    }
                    open.push((path, value));
                }
            }
            Value::Array(array) => open.extend(array.iter().map(|value| (path.clone(), value))),
            _ => {}
        }
    }
    found
}

#[test]
fn a_latency_that_is_not_to_be_believed_cannot_be_read_by_accident() {
    let report = distrusted(Sample::eventful().report(1));
    let json = parsed(&report);
    assert_eq!(paths_to(&json, "latency"), Vec::<String>::new());
    assert_eq!(paths_to(&json, "percentiles"), Vec::<String>::new());
    assert_eq!(paths_to(&json, "connecting"), Vec::<String>::new());
    assert_us(&json["untrusted_connecting"]["p50_us"], report.connecting.p50_us);
    assert_us(&json["untrusted_latency"]["p99_us"], report.latency.p99_us);
    assert_eq!(json["commands"][0]["untrusted_latency"]["count"], report.totals.hits);
    assert_eq!(json["distrust"].as_array().unwrap().len(), 2);
    assert_eq!(json["untrusted_percentiles"].as_array().unwrap().len(), report.percentiles.len());
}

#[test]
fn only_the_seconds_in_which_the_generator_was_late_are_renamed_in_a_good_run() {
    let mut report = Sample::quiet("stock", 5, 80.0).report(1);
    report.timeline[3].is_trusted = false;
    let json = parsed(&report);
    assert!(json["latency"].is_object());
    assert!(json["timeline"][2]["latency"].is_object());
    assert!(json["timeline"][3]["latency"].is_null());
    assert!(json["timeline"][3]["untrusted_latency"].is_object());
}

#[test]
fn a_closed_loop_says_from_when_its_latency_runs() {
    let sample = Sample { is_open_loop: false, ..Sample::quiet("stock", 2, 80.0) };
    let json = parsed(&sample.report(1));
    assert_eq!(json["latency_from"], "write");
    assert_eq!(json["timeline"][0]["target_rate"], Value::Null);
}

#[test]
fn a_latency_of_no_reply_has_no_figures() {
    let mut report = Sample::quiet("gone", 5, 80.0).report(1);
    report.latency = Default::default();
    let json = parsed(&report);
    assert_eq!(json["latency"]["count"], 0);
    assert!(json["latency"]["p50_us"].is_null() && json["latency"]["max_us"].is_null());
    assert!(json["connecting"]["p50_us"].is_f64(), "{json}");
}
