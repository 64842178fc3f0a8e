//! What a client of the running program sees of the cache's limits, over TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};

use memtide_testkit::{
    Client, Fleet, Memtide, MemtideBuilder, PATIENCE, Server, Signal, wait_until,
};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
const REFUSED: &str = "SERVER_ERROR throttled: ECPU limit exceeded";

fn memtide() -> MemtideBuilder {
    Memtide::builder(PROGRAM)
}

fn admin_of(memtide: &Memtide) -> SocketAddr {
    memtide.admin_address()
}

/// Status and body of a request with a body.
fn patch(admin: SocketAddr, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "PATCH /v1/cache/limits HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.trim_end().to_owned())
}

fn limits(memtide: &Memtide) -> Value {
    serde_json::from_str(&memtide.get("/v1/cache/limits").body).unwrap()
}

fn cache(memtide: &Memtide, words: &[&str]) -> Output {
    let admin = admin_of(memtide).to_string();
    Command::new(PROGRAM).arg("cache").args(words).args(["--admin", &admin]).output().unwrap()
}

/// Sends so many misses at once, and counts those that were refused. All are answered, in order.
fn flood(client: &mut Client, commands: usize) -> usize {
    let mut all: String = (0..commands).map(|it| format!("mg k{it} v O{it}\r\n")).collect();
    all.push_str("mn\r\n");
    client.send(all.as_bytes()).unwrap();
    let replies: Vec<_> = (0..commands).map(|_| client.read_line().unwrap()).collect();
    for (it, reply) in replies.iter().enumerate() {
        assert!(reply == REFUSED || *reply == format!("EN O{it}"), "{it}: {reply}");
    }
    assert_eq!(client.read_line().unwrap(), "MN");
    replies.iter().filter(|reply| *reply == REFUSED).count()
}

fn throttled(memtide: &Memtide) -> f64 {
    memtide.metrics().get("memtide_throttled_commands_total{reason=\"ecpu\"}").unwrap()
}

#[test]
fn what_is_refused_is_told_in_step_counted_and_charged_nothing() {
    let memtide = memtide().args(["--ecpu-per-second-max", "1k"]).start();
    let mut client = memtide.connect();
    // Ten seconds of the limit.
    let refused = flood(&mut client, 10_000);
    assert!(refused > 5_000, "{refused} refused");
    assert_eq!(throttled(&memtide), refused as f64);
    let charged = (10_000 - refused + 1) * 1024;
    assert_eq!(memtide.metrics().get("memtide_ecpu_units_total"), Some(charged as f64));
    assert_eq!(memtide.metrics().get("memtide_ecpu_per_second_max"), Some(1_000.0));
    assert_eq!(memtide.metrics().get("memtide_ecpu_per_second_granted"), Some(1_000.0));
    assert_eq!(memtide.metrics().get("memtide_commands_total"), Some(10_001.0));
    let errors = memtide.metrics().get("memtide_error_replies_total{blame=\"server\"}");
    assert_eq!(errors, Some(refused as f64));
    // The same connection, as soon as there is room again.
    assert_eq!(client.ask(b"get k\r\n").unwrap(), "END\r\n");
}

/// Of each kind some go on and some are refused; what is a command stays one.
#[test]
fn every_kind_of_command_stays_in_step() {
    let memtide = memtide().args(["--ecpu-per-second-max", "1000"]).start();
    let mut client = memtide.connect();
    let data = "flush_all\r\nget evil\r\n";
    let length = data.len();
    let mut all = String::new();
    for i in 0..600 {
        all.push_str(&format!("set s{i} 0 0 {length} noreply\r\n{data}\r\n"));
        all.push_str(&format!("set s{i} 0 0 {length}\r\n{data}\r\n"));
        all.push_str("get s0 s1 absent s2\r\n");
        all.push_str(&format!("ms q{i} {length} q\r\n{data}\r\n"));
        all.push_str(&format!("mg absent{i} q v\r\nmn\r\n"));
    }
    client.send(all.as_bytes()).unwrap();
    let mut refused = 0;
    for i in 0..600 {
        let mut lines = Vec::new();
        // The end of a round is never refused.
        while lines.last().is_none_or(|line| line != "MN") {
            let line = client.read_line().unwrap();
            if line.starts_with("VALUE s") {
                client.read_exact(length + 2).unwrap();
            }
            lines.push(line);
        }
        let told = lines.iter().filter(|line| *line == REFUSED).count();
        refused += told;
        let (first, rest) = lines.split_first().unwrap();
        assert!(first == "STORED" || first == REFUSED, "round {i}: {lines:?}");
        let rest: Vec<_> = rest.iter().skip_while(|line| line.starts_with("VALUE ")).collect();
        assert!(rest[0] == "END" || rest[0] == REFUSED, "round {i}: {lines:?}");
        // The quiet ones tell errors and nothing else.
        let quiet = &rest[1..rest.len() - 1];
        assert!(quiet.len() <= 2 && quiet.iter().all(|line| *line == REFUSED), "{lines:?}");
    }
    let silent = throttled(&memtide) - refused as f64;
    assert!(refused > 500 && silent > 50.0, "{refused} told, {silent} not");
}

#[test]
fn limits_change_while_connections_live_and_outlive_the_process() {
    let data = tempfile::tempdir().unwrap();
    let mut memtide = memtide().data_dir(data.path()).start();
    let mut client = memtide.connect();
    assert_eq!(flood(&mut client, 5_000), 0, "no limit by itself");
    let set = cache(&memtide, &["limits", "set", "--ecpu-per-second-max", "1k"]);
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let expected = json!({
        "data_storage": { "min": 0, "max": 0 },
        "ecpu_per_second": { "min": 0, "max": 1_000 },
        "data_storage_metered_bytes_min": 1 << 30,
    });
    assert_eq!(limits(&memtide), expected);
    wait_until("the limit to act", PATIENCE, || (flood(&mut client, 5_000) > 0).then_some(()));
    let events = memtide.get("/v1/events").body;
    assert!(events.contains("ecpu_per_second.max from none to 1k"), "{events}");
    let told = memtide.logs().find(PATIENCE, |line| line.contains("limits changed").then_some(()));
    assert!(told.is_some(), "{}", memtide.logs().text());

    memtide.signal(Signal::KILL);
    memtide.wait_exit(PATIENCE);
    drop(memtide);
    let memtide = Memtide::builder(PROGRAM).data_dir(data.path()).start();
    assert_eq!(limits(&memtide), expected);
    let mut client = memtide.connect();
    assert!(flood(&mut client, 5_000) > 0);
    let (status, body) = patch(admin_of(&memtide), r#"{"ecpu_per_second":{"max":0}}"#);
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, limits(&memtide)));
    wait_until("the limit to go", PATIENCE, || (flood(&mut client, 5_000) == 0).then_some(()));
    assert_eq!(memtide.metrics().get("memtide_ecpu_per_second_granted"), None);
    let shown = cache(&memtide, &["limits"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("ecpu_per_second  none"), "{shown}");
    // None that was said meters 1 GiB, and none that is said what there is.
    let of_data = |shown: &str| {
        let row = shown.lines().find(|line| line.starts_with("data_storage")).unwrap();
        row.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of_data(&shown), "none 1 GiB");
    let set = cache(&memtide, &["limits", "set", "--data-storage-min", "0"]);
    assert!(set.status.success());
    assert_eq!(limits(&memtide)["data_storage_metered_bytes_min"], 0);
    let shown = cache(&memtide, &["limits"]);
    assert_eq!(of_data(&String::from_utf8_lossy(&shown.stdout)), "none none");
    wait_until("what is metered to follow", PATIENCE, || {
        let cache: Value = serde_json::from_str(&memtide.get("/v1/cache").body).unwrap();
        let usage = &cache["usage"];
        (usage["data_storage_metered_bytes"] == usage["data_storage_bytes"]).then_some(())
    });
}

#[test]
fn what_cannot_be_is_refused_with_its_reason_and_changes_nothing() {
    let memtide = memtide().args(["--data-storage-max", "1GB"]).start();
    let before = limits(&memtide);
    let check = |body: &str, reason: &str| {
        let (status, text) = patch(admin_of(&memtide), body);
        assert!(status == 400 && text.contains(reason), "{body}: {status} {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(limits(&memtide), before, "{body}");
    };
    check(r#"{"data_storage":{"min":"2GB"}}"#, "the minimum 2 GiB is above the maximum 1 GiB");
    check(r#"{"ecpu_per_second":{"max":999}}"#, "999 is out of range");
    check(r#"{"data_storage":{"max":"6000GB"}}"#, "out of range");
    check(r#"{"ecpu_per_second":{"max":"lots"}}"#, "give a whole number");
    check(r#"{"ecpu_per_second":{"max":null}}"#, "invalid type: null");
    check(r#"{"ecpu_per_second":{"min":2000,"max":1500}}"#, "above the maximum");
    check(r#"{"ecpu_per_second":{"max":5000},"cpu":{}}"#, "unknown field `cpu`");
    check("[", "the body is not as {");
    let set = cache(&memtide, &["limits", "set", "--data-storage-min", "2GB"]);
    let line = String::from_utf8_lossy(&set.stderr).into_owned();
    assert!(set.status.code() == Some(64) && line.contains("above the maximum"), "{line}");
    let nothing = cache(&memtide, &["limits", "set"]);
    assert_eq!(nothing.status.code(), Some(64));
}

#[test]
fn less_data_is_evicted_down_while_it_serves() {
    let memtide = memtide().args(["--memory", "256m"]).start();
    let mut client = memtide.connect();
    let value = "x".repeat(100_000);
    for number in 0..800 {
        let set = format!("set {number} 0 0 100000\r\n{value}\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    let used = || memtide.metrics().get("memtide_memory_used_bytes").unwrap();
    assert!(used() > 64e6);
    assert_eq!(patch(admin_of(&memtide), r#"{"data_storage":{"max":"32MB"}}"#).0, 200);
    wait_until("data to be evicted", PATIENCE, || {
        let is_done = used() <= f64::from(32 << 20);
        let set = format!("set k 0 0 100000\r\n{value}\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n", "also meanwhile");
        is_done.then_some(())
    });
    assert_eq!(patch(admin_of(&memtide), r#"{"data_storage":{"max":0}}"#).0, 200);
    let limit = || memtide.metrics().get("memtide_memory_limit_bytes").unwrap();
    wait_until("the limit to go", PATIENCE, || (limit() > 2e8).then_some(()));
}

#[test]
fn a_fleet_holds_its_clients_to_the_limit_of_the_cache() {
    let fleet = Fleet::start_with(PROGRAM, (2, "a,b", 0), &["--ecpu-per-second-max", "1000"]);
    let memtide = fleet.memtide();
    let mut client = Client::tls(memtide.address(), memtide.tls());
    let refused = flood(&mut client, 10_000);
    assert!(refused > 5_000, "{refused}");
    assert_eq!(throttled(memtide), refused as f64);
    fleet.cache(&["limits", "set", "--ecpu-per-second-max", "0"]);
    wait_until("the limit to go", PATIENCE, || (flood(&mut client, 5_000) == 0).then_some(()));
    fleet.cache(&["limits", "set", "--ecpu-per-second-max", "1k"]);
    wait_until("the limit to act", PATIENCE, || (flood(&mut client, 5_000) > 0).then_some(()));
}
