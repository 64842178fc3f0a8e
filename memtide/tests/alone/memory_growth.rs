//! The memory of one process, which follows its data.

use std::process::Command;

use memtide_testkit::{Client, Memtide, PATIENCE, Server as _, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
const MIB: u64 = 1 << 20;
/// Bytes of a value; its key and what an item costs come on top.
const VALUE_BYTES: usize = 16_000;

struct Cache(Memtide);

impl Cache {
    fn start(arguments: &[&str]) -> Self {
        Self(Memtide::builder(PROGRAM).args(["--scale-in-after", "1s"]).args(arguments).start())
    }

    fn stat(&self, name: &str) -> u64 {
        let told = self.0.connect().ask(b"stats\r\n").unwrap();
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {told}")).trim().parse().unwrap()
    }

    /// What it may take now.
    fn granted(&self) -> u64 {
        self.stat("limit_maxbytes")
    }

    fn wait_granted(&self, what: &str, is_it: impl Fn(u64) -> bool) {
        wait_until(what, PATIENCE, || is_it(self.granted()).then_some(()));
    }

    fn memtide(&self, words: &[&str]) -> String {
        let admin = self.0.admin_address().to_string();
        let output = Command::new(PROGRAM).args(words).args(["--admin", &admin]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Stores so many values, as fast as they are taken.
fn fill(client: &mut Client, values: usize) {
    const BATCH: usize = 64;
    let value = "x".repeat(VALUE_BYTES);
    for first in (0..values).step_by(BATCH) {
        let keys = first..(first + BATCH).min(values);
        let sets = keys.map(|key| format!("ms {key} {VALUE_BYTES} q\r\n{value}\r\n"));
        assert_eq!(client.ask(sets.collect::<String>().as_bytes()).unwrap(), "");
    }
}

#[test]
fn memory_comes_with_the_data_and_goes_after_it() {
    let cache = Cache::start(&["--memory", "16m..512m", "--item-size-max", "64k"]);
    assert_eq!(cache.granted(), 16 * MIB);
    let resident = cache.0.rss_bytes();
    let mut client = cache.0.connect();
    // Nearly 200 MiB, far faster than anybody looks.
    fill(&mut client, 12_000);
    assert_eq!((cache.stat("curr_items"), cache.stat("evictions")), (12_000, 0));
    assert!((184 * MIB..=512 * MIB).contains(&cache.granted()), "{}", cache.granted());
    let full = cache.0.rss_bytes();
    assert!(full > resident + 170 * MIB, "{resident} and {full} bytes");
    // What was short was taken at once; the next look decides on it.
    let explains = |what: &str| cache.memtide(&["cache", "scaling", "explain"]).contains(what);
    wait_until("it says why it grew", PATIENCE, || explains("grow n1 from ").then_some(()));

    assert_eq!(client.ask(b"flush_all\r\n").unwrap(), "OK\r\n");
    cache.wait_granted("memory is given back", |it| it == 16 * MIB);
    wait_until("the system has it, too", PATIENCE, || {
        (cache.0.rss_bytes() < resident + 64 * MIB).then_some(())
    });
    assert!(explains("shrink n1 from "));
    let events: Value = serde_json::from_str(&cache.0.get("/v1/events").body).unwrap();
    let kinds = events["events"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap());
    assert!(kinds.clone().any(|kind| kind == "scaling_decided"), "{:?}", kinds.collect::<Vec<_>>());
    let metrics = cache.0.metrics();
    assert_eq!(metrics.get("memtide_memory_limit_bytes"), Some(f64::from(16 << 20)));
    wait_until("the next look shows what the last has led to", PATIENCE, || {
        let capacity = r#"memtide_scaling_capacity{resource="memory"}"#;
        (cache.0.metrics().get(capacity) == Some(f64::from(16 << 20))).then_some(())
    });
    // It is as good as new.
    fill(&mut client, 6_000);
    assert_eq!((cache.stat("curr_items"), cache.stat("evictions")), (6_000, 0));
}

#[test]
fn what_a_limit_promises_is_there_at_once_and_what_it_forbids_is_not_taken() {
    let cache = Cache::start(&["--memory", "16m..256m", "--item-size-max", "64k"]);
    let limits = |flag: &str, size: &str| cache.memtide(&["cache", "limits", "set", flag, size]);
    limits("--data-storage-min", "100m");
    cache.wait_granted("the promise is kept", |it| it >= 99 * MIB);
    assert!(cache.memtide(&["cache", "scaling"]).contains("a limit's minimum promises more"));
    limits("--data-storage-min", "0");
    cache.wait_granted("it is given back", |it| it == 16 * MIB);

    limits("--data-storage-max", "64m");
    let mut client = cache.0.connect();
    fill(&mut client, 8_000);
    assert!(cache.stat("evictions") > 0);
    assert_eq!(cache.granted(), 64 * MIB);
    limits("--data-storage-max", "0");
    // With little enough in it, it takes more only for more that comes.
    wait_until("there may be more", PATIENCE, || {
        fill(&mut client, 512);
        (cache.granted() > 64 * MIB).then_some(())
    });
    let evicted = cache.stat("evictions");
    fill(&mut client, 8_000);
    assert_eq!((cache.stat("curr_items"), cache.stat("evictions")), (8_000, evicted));
}

#[test]
fn memory_that_was_given_as_one_figure_is_as_it_is() {
    let cache = Cache::start(&["--memory", "64m"]);
    assert_eq!(cache.granted(), 64 * MIB);
    assert_eq!(cache.0.get("/v1/scaling").status, 404);
    fill(&mut cache.0.connect(), 6_000);
    assert!(cache.stat("evictions") > 0);
    assert_eq!(cache.granted(), 64 * MIB);
}
