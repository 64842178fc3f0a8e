//! What `serve` keeps of what the cache used, over kills.

use std::path::{Path, PathBuf};
use std::process::Command;

use memtide_records::Scan;
use memtide_records::usage::Flush;
use memtide_testkit::{Fleet, Memtide, PATIENCE, Server, Signal, http_get, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

fn start(data_dir: &Path) -> Memtide {
    Memtide::builder(PROGRAM).args(["--memory", "16m"]).data_dir(data_dir).start()
}

fn records(data_dir: &Path) -> PathBuf {
    data_dir.join("records/default/serve")
}

/// Commands that are on disk: what a kill leaves.
fn on_disk(data_dir: &Path) -> u64 {
    let scan = Scan::<Flush>::read(&records(data_dir), "usage-flushes").unwrap();
    let hours = scan.entries.into_iter().flat_map(|entry| entry.record.hours);
    // Later lines replace those before them; the clock may pass into another hour.
    let newest: std::collections::BTreeMap<_, _> =
        hours.map(|hour| (hour.hour, hour.counts.commands)).collect();
    newest.values().sum()
}

fn hours(memtide: &Memtide) -> Vec<Value> {
    let reply = memtide.get("/v1/cache/usage");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let json: Value = serde_json::from_str(&reply.body).unwrap();
    json["hours"].as_array().unwrap().clone()
}

fn sum(memtide: &Memtide, of: &str) -> u64 {
    sum_of(&hours(memtide), of)
}

fn sum_of(hours: &[Value], of: &str) -> u64 {
    hours.iter().map(|hour| hour[of].as_u64().unwrap()).sum()
}

fn ask(memtide: &Memtide, commands: usize) {
    let mut client = memtide.connect();
    for _ in 0..commands {
        assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
    }
}

/// Of a command of `ask`, with the `mn` that [`memtide_testkit::Client::ask`] puts behind it.
const EACH: u64 = 2;

fn kill(mut memtide: Memtide) {
    memtide.signal(Signal::KILL);
    let _ = memtide.wait_exit(PATIENCE);
}

#[test]
fn a_kill_under_load_costs_what_was_not_yet_written_and_counts_nothing_twice() {
    let home = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for life in 1..=3 {
        let memtide = start(home.path());
        assert_eq!(sum(&memtide, "commands"), kept, "at the begin of life {life}");
        // A known load, waited for on the disk.
        ask(&memtide, 500);
        let written = kept + 500 * EACH;
        wait_until("the load to be written", PATIENCE, || {
            (on_disk(home.path()) == written).then_some(())
        });
        // And one that goes on while it is killed.
        let counted = std::thread::scope(|scope| {
            let (pid, address, tls) = (memtide.pid(), memtide.address(), memtide.tls());
            let load = scope.spawn(move || {
                let mut client = memtide_testkit::Client::tls(address, tls);
                let mut answered = 0_u64;
                while client.ask(b"get a\r\n").is_ok() {
                    answered += EACH;
                }
                answered
            });
            wait_until("some of it to be written", PATIENCE, || {
                (on_disk(home.path()) > written).then_some(())
            });
            memtide_testkit::signal(pid, Signal::KILL);
            load.join().unwrap()
        });
        kill(memtide);
        kept = on_disk(home.path());
        // One command and its mn may have been done and not answered.
        assert!(kept > written && kept <= written + counted + EACH, "{kept}, {written}, {counted}");
    }
    let mut memtide = start(home.path());
    assert_eq!(sum(&memtide, "commands"), kept);
    assert_eq!(sum(&memtide, "ecpu_units"), 1_024 * kept, "each costs one ECPU");
    // One that ends in peace loses nothing.
    ask(&memtide, 100);
    memtide.signal(Signal::TERM);
    assert!(memtide.wait_exit(PATIENCE).success());
    assert_eq!(on_disk(home.path()), kept + 100 * EACH);
}

#[test]
fn a_torn_tail_is_cut_off_and_reported_and_the_rest_stays() {
    let home = tempfile::tempdir().unwrap();
    let memtide = start(home.path());
    ask(&memtide, 50);
    wait_until("the load to be written", PATIENCE, || {
        (on_disk(home.path()) == 50 * EACH).then_some(())
    });
    kill(memtide);
    for entry in std::fs::read_dir(records(home.path())).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("usage-flushes") || name.starts_with("events") {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend_from_slice(b"{\"crc\":\"01");
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let memtide = start(home.path());
    for file in ["usage-flushes", "events"] {
        let told = memtide.logs().find(PATIENCE, |line| {
            (line.contains(file) && line.contains("not written to its end")).then_some(())
        });
        assert!(told.is_some(), "{file}: {}", memtide.logs().text());
    }
    assert_eq!(sum(&memtide, "commands"), 50 * EACH);
}

#[test]
fn data_is_sampled_and_metered_at_its_minimum_or_as_it_is() {
    for (minimum, is_metered_at_least) in [("1g", true), ("0", false)] {
        let args = ["--memory", "16m", "--data-storage-min", minimum];
        let memtide = Memtide::builder(PROGRAM).args(args).start();
        let set = format!("set a 0 0 100000\r\n{}\r\n", "x".repeat(100_000));
        assert_eq!(memtide.connect().ask(set.as_bytes()).unwrap(), "STORED\r\n");
        let hours = wait_until("a sample", PATIENCE, || {
            Some(hours(&memtide)).filter(|hours| sum_of(hours, "seconds") > 0)
        });
        let (seconds, stored) = (sum_of(&hours, "seconds"), sum_of(&hours, "byte_seconds"));
        assert!(stored >= 100_000 * seconds && stored < 200_000 * seconds, "{stored}");
        let metered = sum_of(&hours, "byte_seconds_metered");
        let expected = if is_metered_at_least { seconds << 30 } else { stored };
        assert_eq!(metered, expected, "--data-storage-min {minimum}");
    }
}

#[test]
fn a_fleet_keeps_its_usage_and_tells_it_as_json_csv_and_a_table() {
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let memtide = fleet.memtide();
    let set = format!("set a 0 0 3000\r\n{}\r\n", "x".repeat(3_000));
    assert_eq!(memtide.connect().ask(set.as_bytes()).unwrap(), "STORED\r\n");
    wait_until("a sample", PATIENCE, || (sum(memtide, "byte_seconds") > 0).then_some(()));
    assert_eq!(sum(memtide, "commands"), EACH);
    // A set costs what it and its reply take, and the mn 1,024.
    assert_eq!(sum(memtide, "ecpu_units"), (set.len() + "STORED\r\n".len()) as u64 + 1_024);
    assert_eq!(sum(memtide, "bytes_in"), (set.len() + "mn\r\n".len()) as u64);

    let csv = memtide.get("/v1/cache/usage?format=csv");
    assert!(csv.headers.contains("text/csv"), "{}", csv.headers);
    let lines: Vec<_> = csv.body.lines().collect();
    assert!(lines[0].starts_with("hour,seconds,ecpus,") && lines.len() >= 2, "{}", csv.body);
    let by_header = Command::new("curl")
        .args(["-s", "-H", "Accept: text/csv"])
        .arg(format!("http://{}/v1/cache/usage", memtide.admin_address()))
        .output()
        .unwrap();
    assert!(String::from_utf8(by_header.stdout).unwrap().starts_with("hour,seconds,"));
    assert!(fleet.cache(&["usage", "--format", "csv"]).starts_with("hour,seconds,"));
    assert!(fleet.cache(&["usage"]).starts_with("hour "));
    let json: Value = serde_json::from_str(&fleet.cache(&["usage", "--format", "json"])).unwrap();
    assert!(json["hours"][0]["commands"].as_u64().is_some());
    assert_eq!(fleet.cache(&["usage", "--from", "2100-01-01"]), "none\n");
    let none = memtide.get("/v1/cache/usage?to=2020-01-01T00%3A00:00Z");
    assert_eq!(none.body, r#"{"hours":[]}"#);
    for (query, says) in
        [("from=x", "from: give seconds"), ("a=1", "a: unknown"), ("format=x", "json or csv")]
    {
        let reply = http_get(memtide.admin_address(), &format!("/v1/cache/usage?{query}"));
        assert_eq!(reply.status, 400);
        assert!(reply.body.contains(says), "{}", reply.body);
    }
}
