//! What a scaler keeps of its cache where all roles are processes of their own: usage over kills, events.

use std::process::Command;

use crate::roles::Roles;
use memtide_records::Scan;
use memtide_records::usage::{Counts, SourceId};
use memtide_testkit::{Metrics, PATIENCE, RoleProcess, Signal, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Of a command of `ask`, with the `mn` that [`memtide_testkit::Client::ask`] puts behind it.
const EACH: u64 = 2;

/// How many commands clients gave, and what was metered for them.
struct Asked(u64);

impl Asked {
    fn ask(&mut self, roles: &Roles, commands: u64) {
        let mut client = roles.connect();
        for _ in 0..commands {
            assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
        }
        self.0 += commands * EACH;
    }

    /// Waits until the scaler tells of all of them, and finds no more.
    fn wait_told(&self, roles: &Roles) {
        let scaler = roles.scaler.as_ref().unwrap();
        wait_until(&format!("{} commands in the usage", self.0), PATIENCE, || {
            let told = sum(scaler, "commands");
            assert!(told <= self.0, "{told} of {}: counted twice", self.0);
            (told == self.0).then_some(())
        });
        assert_eq!(sum(scaler, "ecpu_units"), 1_024 * self.0, "each costs one ECPU");
    }
}

fn sum(scaler: &RoleProcess, of: &str) -> u64 {
    let reply = scaler.get("/v1/cache/usage");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let json: Value = serde_json::from_str(&reply.body).unwrap();
    json["hours"].as_array().unwrap().iter().map(|hour| hour[of].as_u64().unwrap()).sum()
}

/// Commands that the proxy that runs, or ran last, has on its disk as its own.
fn owed(roles: &Roles) -> u64 {
    let directory = roles.scratch.path().join("proxy/records/default/proxy");
    let scan = Scan::<Vec<(SourceId, Counts)>>::read(&directory, "owed").unwrap();
    let last = scan.entries.into_iter().last().map(|entry| entry.record);
    // Its own come first, then those of processes before.
    last.unwrap_or_default().first().map_or(0, |(_, counts)| counts.commands)
}

#[test]
fn usage_is_of_all_that_proxies_did_whoever_is_killed_and_started_again() {
    let mut roles = Roles::start();
    let mut asked = Asked(0);
    asked.ask(&roles, 50);
    asked.wait_told(&roles);

    // The scaler is killed, and the proxy goes on.
    roles.kill_scaler();
    asked.ask(&roles, 30);
    roles.start_scaler();
    asked.wait_told(&roles);

    // The proxy is killed: another process, which counts from nothing.
    roles.stop_proxy(Signal::KILL);
    roles.replace_proxy();
    asked.wait_told(&roles);
    asked.ask(&roles, 20);
    asked.wait_told(&roles);

    // Both are. What the proxy had written down is told by the next one.
    roles.kill_scaler();
    let told = owed(&roles);
    asked.ask(&roles, 40);
    wait_until("the proxy to write it down", PATIENCE, || {
        (owed(&roles) == told + 40 * EACH).then_some(())
    });
    roles.stop_proxy(Signal::KILL);
    roles.start_scaler();
    roles.replace_proxy();
    asked.wait_told(&roles);
    roles.kill_scaler();
    roles.start_scaler();
    roles.wait_ready();
    asked.wait_told(&roles);

    // One that ends in peace has told all when it ends; so has the scaler.
    asked.ask(&roles, 10);
    roles.stop_proxy(Signal::TERM);
    let mut scaler = roles.scaler.take().unwrap();
    scaler.signal(Signal::TERM);
    scaler.wait_exit(PATIENCE);
    roles.start_scaler();
    let scaler = roles.scaler.as_ref().unwrap();
    assert_eq!(sum(scaler, "commands"), asked.0, "at once");
}

/// Bytes that are stored are sampled, each item once; both nodes hold all of them.
#[test]
fn data_is_metered_by_the_scaler_and_told_in_its_metrics() {
    let roles = Roles::start();
    let scaler = roles.scaler.as_ref().unwrap();
    let set = format!("set a 0 0 100000\r\n{}\r\n", "x".repeat(100_000));
    assert_eq!(roles.connect().ask(set.as_bytes()).unwrap(), "STORED\r\n");
    wait_until("a sample", PATIENCE, || (sum(scaler, "byte_seconds") > 0).then_some(()));
    let (seconds, stored) = (sum(scaler, "seconds"), sum(scaler, "byte_seconds"));
    assert!(stored <= 200_000 * seconds, "{stored} in {seconds} s");
    let metrics = Metrics::parse(&scaler.get("/metrics").body);
    assert_eq!(metrics.get("memtide_items"), Some(1.0));
    assert_eq!(metrics.get("memtide_usage_failing"), Some(0.0));
    assert!(metrics.get("memtide_cache_used_bytes") >= Some(100_000.0));
    assert!(metrics.get("memtide_metered_byte_seconds_total") > Some(0.0));
}

/// Waits for an event of the scaler of this kind that says this.
fn wait_event(scaler: &RoleProcess, kind: &str, says: &str) {
    wait_until(&format!("{kind}: {says}"), PATIENCE, || {
        let page: Value = serde_json::from_str(&scaler.get("/v1/events").body).unwrap();
        let events = page["events"].as_array().unwrap().clone();
        let is_it =
            |event: &Value| event["kind"] == kind && event["text"].as_str().unwrap().contains(says);
        events.iter().any(is_it).then_some(())
    });
}

#[test]
fn the_scaler_tells_of_limits_that_are_nearly_used_and_of_a_fleet_that_is_scaled() {
    let roles = Roles::start();
    let scaler = roles.scaler.as_ref().unwrap();
    let mut client = roles.connect();
    let mut set = |number: usize| {
        let set = format!("set {number} 0 0 500000\r\n{}\r\n", "x".repeat(500_000));
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    };
    // Each node has 64 MiB, keeps an eighth free and holds all: there is room for 56 MiB.
    (0..80).for_each(&mut set);
    let near = |page: &str| page.contains("limit_near");
    assert!(!near(&scaler.get("/v1/events").body), "40 MB of 56 MiB");
    (80..100).for_each(&mut set);
    wait_event(scaler, "limit_near", "of 58720256 bytes are used");
    (100..130).for_each(&mut set);
    wait_event(scaler, "evictions_began", "items reached the limit of 58720256 bytes");

    let _third = roles.start_node(&["--zone", "c", "--port", "0"]);
    wait_event(scaler, "fleet_scaled", "3 nodes, 2 before");

    let admin = scaler.admin_address().to_string();
    let limit = ["cache", "limits", "set", "--ecpu-per-second-max", "1k", "--admin", &admin];
    assert!(Command::new(PROGRAM).args(limit).output().unwrap().status.success());
    // Each get of what is there is 489 ECPUs: clients are held to the limit, for more than ten seconds.
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let mut client = roles.connect();
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let reply = client.ask(b"get 129\r\n").unwrap();
                assert!(reply.starts_with("VALUE") || reply.contains("throttled"), "{reply:.99}");
            }
        });
        wait_event(scaler, "throttling_began", "held back or refused");
        wait_event(scaler, "limit_near", "of 1000 ECPUs per second are used");
        drop(stop);
    });
}
