#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use serde_json::{Value, json};

use super::super::ask::Told;
use super::*;

/// A look at a process of which only this is told.
fn look(at: u64, parts: &Value, metrics: &str) -> Look {
    let at = Duration::from_secs(at);
    fn part<T: serde::de::DeserializeOwned>(at: Duration, parts: &Value, name: &str) -> Told<T> {
        let page = parts.get(name).ok_or(Lack::NotHere)?;
        Ok(Heard { at, page: serde_json::from_value(page.clone()).unwrap() })
    }
    Look {
        at,
        cache: part(at, parts, "cache"),
        limits: part(at, parts, "limits"),
        nodes: part(at, parts, "nodes"),
        topology: part(at, parts, "topology"),
        migrations: part(at, parts, "migrations"),
        usage: part(at, parts, "usage"),
        events: part(at, parts, "events"),
        metrics: Ok(Heard { at, page: Metrics::parse(metrics, &["memtide_", "process_"]) }),
        ready: Ok(Heard { at, page: vec!["ok: both ports of the endpoint are open".to_owned()] }),
    }
}

fn counted(start: u32, ecpu_units: u32, [hits, misses]: [u32; 2]) -> String {
    format!(
        "process_start_time_seconds {start}\nmemtide_ecpu_units_total {ecpu_units}\n\
         memtide_commands_total {}\nmemtide_memory_limit_bytes 1000\n\
         memtide_item_commands_total{{command=\"get\",status=\"hit\"}} {hits}\n\
         memtide_item_commands_total{{command=\"get\",status=\"miss\"}} {misses}\n\
         memtide_command_duration_seconds_bucket{{kind=\"read\",le=\"0.001\"}} {hits}\n\
         memtide_command_duration_seconds_bucket{{kind=\"read\",le=\"+Inf\"}} {hits}\n",
        hits + misses
    )
}

fn model() -> Model {
    Model::new("127.0.0.1:9150".to_owned())
}

#[test]
fn rates_are_of_the_time_between_two_looks() {
    let mut model = model();
    let cache = json!({ "cache": { "name": "c" } });
    model.hear(look(10, &cache, &counted(5, 1_024, [90, 10])));
    let first = model.screen();
    assert_eq!((first.ecpu.now, first.traffic.commands), (None, None));
    model.hear(look(12, &cache, &counted(5, 5_120, [120, 20])));
    let screen = model.screen();
    assert_eq!(screen.ecpu.now, Some(2.0));
    assert_eq!(screen.ecpu.history, [None, Some(2.0)]);
    assert_eq!(screen.traffic.commands, Some(20.0));
    assert_eq!(screen.traffic.hit_ratio, Some(0.75));
    assert_eq!(screen.title.span, Some(Duration::from_secs(2)));
    let Latency::Measured { read, .. } = screen.latency else { panic!("{:?}", screen.latency) };
    assert_eq!((read.count, read.p50), (Some(30.0), Some(0.000_5)));
}

#[test]
fn a_process_that_was_started_anew_has_no_rates_before_its_second_look() {
    for (start, units) in [(5, 7_000), (60, 7_000), (60, 90_000)] {
        let mut model = model();
        let cache = json!({ "cache": { "name": "c" } });
        model.hear(look(10, &cache, &counted(5, 8_000, [100, 50])));
        model.hear(look(11, &cache, &counted(start, units, [2, 1])));
        let screen = model.screen();
        assert_eq!(screen.ecpu.now, None, "started at {start}, {units} units");
        assert_eq!((screen.traffic.commands, screen.traffic.hit_ratio), (None, None));
        let Latency::Measured { read, .. } = screen.latency else { panic!() };
        assert_eq!(read, Quantiles::default());
        model.hear(look(12, &cache, &counted(start, units + 1_024, [3, 1])));
        assert_eq!(model.screen().ecpu.now, Some(1.0));
    }
}

fn node(id: &str, [used, requests, cpu_micros]: [u64; 3]) -> Value {
    json!({ "id": id, "zone": "a", "state": "up", "memory_max_bytes": 1_000,
            "memory_used_bytes": used, "requests": requests, "cpu_micros": cpu_micros,
            "get_hits": requests, "get_misses": 0 })
}

#[test]
fn a_node_that_came_or_was_started_anew_has_no_rate_and_no_negative_one() {
    let mut model = model();
    let fleet = |nodes: Value| json!({ "nodes": { "nodes": nodes } });
    let before = json!([node("n1", [10, 500, 1_000_000]), node("n2", [10, 900, 0])]);
    model.hear(look(10, &fleet(before), ""));
    let now = [[10, 700, 2_000_000], [10, 20, 5], [10, 30, 5]];
    let now = json!([node("n1", now[0]), node("n2", now[1]), node("n3", now[2])]);
    model.hear(look(12, &fleet(now), ""));
    let screen = model.screen();
    let nodes = screen.nodes.body.unwrap();
    let rates: Vec<_> = nodes.iter().map(|node| node.requests).collect();
    assert_eq!(rates, [Some(100.0), None, None]);
    assert_eq!(nodes[0].cpu, Some(0.5));
    assert_eq!(screen.title.role, "scaler");
    assert_eq!(screen.latency, Latency::NotMeasured);
}

#[test]
fn a_scaler_tells_of_all_proxies_also_over_the_turn_of_an_hour() {
    let mut model = model();
    let hours = |hours: &[(u64, u64)]| {
        let hours = hours.iter().map(
            |(hour, units)| json!({ "hour": hour, "ecpu_units": units, "commands": units / 1_024 }),
        );
        json!({ "nodes": { "nodes": [] }, "usage": { "hours": hours.collect::<Vec<_>>() } })
    };
    model.hear(look(10, &hours(&[(0, 500), (3_600, 10_240)]), ""));
    model.hear(look(14, &hours(&[(3_600, 14_336), (7_200, 4_096)]), ""));
    let screen = model.screen();
    assert_eq!((screen.ecpu.now, screen.ecpu.of), (Some(2.0), "all proxies"));
    assert_eq!(screen.traffic.commands, Some(2.0));
    // Over as long as it takes for steps of a second not to matter, and no longer.
    for at in 15..40 {
        model.hear(look(at, &hours(&[(7_200, 4_096 + (at - 14) * 1_024)]), ""));
    }
    assert_eq!(model.screen().ecpu.now, Some(1.0));
    model.hear(look(41, &hours(&[(7_200, 5)]), ""));
    assert_eq!(model.screen().ecpu.now, None, "it went back");
}

#[test]
fn migrations_are_counted_from_the_most_that_remained() {
    let mut model = model();
    let mut remain = |at, remaining: u64| {
        let running = json!([{ "from": "n1", "to": "n2", "slots": 7, "oldest_ms": 1_500 }]);
        let moves = json!({ "remaining_slots": remaining, "running": running });
        model.hear(look(at, &json!({ "migrations": moves }), ""));
        let moves = model.screen().migrations.body.unwrap();
        (moves.remaining, moves.began, moves.rate)
    };
    assert_eq!(remain(1, 100), (100, 100, None));
    assert_eq!(remain(2, 400), (400, 400, None));
    assert_eq!(remain(4, 300), (300, 400, Some(50.0)));
    assert_eq!(remain(5, 0), (0, 0, Some(300.0)));
    assert_eq!(remain(6, 50), (50, 50, None));
}

#[test]
fn what_is_not_told_any_more_stays_with_its_age_and_the_reason() {
    let mut model = model();
    let told = json!({ "events": { "now_ms": 9_000, "next": 1,
        "events": [{ "at_ms": 5, "kind": "node_joined", "text": "n1" }] } });
    model.hear(look(10, &told, &counted(5, 0, [0, 0])));
    let failed = || Lack::Failed("no answer within 3s".to_owned());
    model.hear(Look { events: Err(failed()), ..look(14, &json!({}), &counted(5, 0, [0, 0])) });
    let events = model.screen().events;
    assert_eq!(events.body.unwrap()[0].kind, "node_joined");
    let age = Duration::from_secs(4);
    assert_eq!(events.lack, Some(("no answer within 3s".to_owned(), Some(age))));
    assert!(model.screen().troubles.is_empty());

    let nothing = Look {
        events: Err(failed()),
        metrics: Err(failed()),
        ready: Err(failed()),
        cache: Err(failed()),
        nodes: Err(failed()),
        ..look(15, &json!({}), "")
    };
    model.hear(nothing);
    assert_eq!(model.screen().troubles, ["unreachable: no answer within 3s"]);
    assert_eq!(model.screen().ecpu.now, None);
}

#[test]
fn what_is_wrong_is_said_the_worst_first() {
    let mut model = model();
    let nodes = json!({ "nodes": {
        "nodes": [{ "id": "n1", "state": "up" }, { "id": "n2", "state": "gone" }],
        "slots": { "complete": 1, "short_of_replicas": 20, "unowned": 0, "unserved": 1 },
    }, "cache": { "name": "c" } });
    let metrics = |throttled: u32| {
        format!(
            "memtide_topology_store_failing 1\nmemtide_usage_failing 0\n\
             memtide_throttled_commands_total{{reason=\"ecpu\"}} {throttled}\n\
             memtide_throttled_commands_total{{reason=\"capacity\"}} 3\n"
        )
    };
    model.hear(look(1, &nodes, &metrics(5)));
    let line = "not ready: every slot has a primary: slot 7 has none".to_owned();
    let at = Duration::from_secs(2);
    let ready = Ok(Heard { at, page: vec!["ok: x".to_owned(), line.clone()] });
    model.hear(Look { ready, ..look(2, &nodes, &metrics(17)) });
    let expected = [
        "1 slot unserved: all that had them are down",
        "20 slots short of replicas",
        "gone: n2",
        "the topology cannot be stored: nothing changes hands until it can",
        "throttling: 12 commands/s refused for the limit of ECPUs",
        &line,
    ];
    assert_eq!(model.screen().troubles, expected);
}

#[test]
fn a_history_is_bounded() {
    let mut model = model();
    for at in 0..400 {
        model.hear(look(at, &json!({}), ""));
    }
    assert_eq!(model.screen().ecpu.history.len(), HISTORY_MAX);
}
