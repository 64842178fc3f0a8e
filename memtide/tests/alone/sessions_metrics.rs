//! What `/metrics` and `stats` say, and that it is true.

use std::io::Write;
use std::process::{Command, Stdio};

use memtide_testkit::{Client, Memcached, Memtide, PATIENCE, Server, wait_until};

fn memtide() -> Memtide {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start()
}

/// The metrics of the reference, by their names in CloudWatch.
const CLOUDWATCH: [&str; 30] = [
    "BytesUsedForCache",
    "ElastiCacheProcessingUnits",
    "SuccessfulReadRequestLatency",
    "SuccessfulWriteRequestLatency",
    "TotalCmdsCount",
    "CurrConnections",
    "ThrottledCmds",
    "NewConnections",
    "CurrItems",
    "NetworkBytesIn",
    "NetworkBytesOut",
    "Evictions",
    "Reclaimed",
    "CmdGet",
    "CmdSet",
    "CmdTouch",
    "GetHits",
    "GetMisses",
    "IncrHits",
    "IncrMisses",
    "DecrHits",
    "DecrMisses",
    "DeleteHits",
    "DeleteMisses",
    "TouchHits",
    "TouchMisses",
    "CasHits",
    "CasMisses",
    "CasBadval",
    "CmdFlush",
];

/// What prometheus/memcached_exporter has, but for what is about slabs, the LRU's threads, the
/// listener's and `-R`'s inner life, and extstore.
const EXPORTER: [&str; 20] = [
    "memcached_up",
    "memcached_uptime_seconds",
    "memcached_version",
    "memcached_read_bytes_total",
    "memcached_written_bytes_total",
    "memcached_current_connections",
    "memcached_connections_total",
    "memcached_max_connections",
    "memcached_connections_rejected_total",
    "memcached_accepting_connections",
    "memcached_current_bytes",
    "memcached_limit_bytes",
    "memcached_commands_total",
    "memcached_items_total",
    "memcached_current_items",
    "memcached_items_evicted_total",
    "memcached_items_reclaimed_total",
    "memcached_malloced_bytes",
    "memcached_item_too_large_total",
    "memcached_item_no_memory_total",
];

/// The samples of `memcached_commands_total` that dashboards use.
const EXPORTER_COMMANDS: [(&str, &str); 15] = [
    ("get", "hit"),
    ("get", "miss"),
    ("set", "hit"),
    ("delete", "hit"),
    ("delete", "miss"),
    ("incr", "hit"),
    ("incr", "miss"),
    ("decr", "hit"),
    ("decr", "miss"),
    ("cas", "hit"),
    ("cas", "miss"),
    ("cas", "badval"),
    ("touch", "hit"),
    ("touch", "miss"),
    ("flush", "hit"),
];

#[test]
fn promtool_finds_no_fault() {
    let text = memtide().metrics().text;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "failed to start promtool ({error}): install it with `apt-get install prometheus`"
            )
        });
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_promised_metric_is_there() {
    let metrics = memtide().metrics();
    let help: Vec<&str> = metrics.text.lines().filter(|line| line.starts_with("# HELP ")).collect();
    let is_named = |name: &str| {
        let is_word = |line: &&str| {
            line.contains("CloudWatch")
                && line.split(|c: char| !c.is_alphanumeric()).any(|word| word == name)
        };
        help.iter().any(is_word)
    };
    let missing: Vec<_> = CLOUDWATCH.iter().filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "no HELP names {missing:?}");
    let missing: Vec<_> = EXPORTER.iter().filter(|name| metrics.sum(name).is_none()).collect();
    assert!(missing.is_empty(), "no metric {missing:?}");
    for (command, status) in EXPORTER_COMMANDS {
        let series =
            format!("memcached_commands_total{{command=\"{command}\",status=\"{status}\"}}");
        assert!(metrics.get(&series).is_some(), "no {series}");
    }
}

#[test]
fn counters_count() {
    let memtide = memtide();
    let mut client = memtide.connect();
    let traffic = [
        ("set a 0 0 1\r\n5\r\nset b 0 0 1\r\nx\r\n", vec![("set", "hit", 2)]),
        ("get a\r\nget a b c\r\nmg a v\r\nmg c\r\n", vec![("get", "hit", 4), ("get", "miss", 2)]),
        ("incr a 1\r\nincr c 1\r\nma a\r\nma c\r\n", vec![("incr", "hit", 2), ("incr", "miss", 2)]),
        ("decr a 1\r\ndecr c 1\r\ndecr c 1\r\n", vec![("decr", "hit", 1), ("decr", "miss", 2)]),
        ("touch a 100\r\ntouch c 100\r\n", vec![("touch", "hit", 1), ("touch", "miss", 1)]),
        ("cas a 0 0 1 999\r\nx\r\n", vec![("cas", "badval", 1), ("cas", "hit", 0)]),
        ("cas c 0 0 1 999\r\nx\r\n", vec![("cas", "miss", 1)]),
        ("delete b\r\ndelete b\r\nmd c\r\n", vec![("delete", "hit", 1), ("delete", "miss", 2)]),
        ("flush_all\r\n", vec![("flush", "hit", 1)]),
    ];
    for (commands, counted) in traffic {
        let before = memtide.metrics();
        drop(client.ask(commands.as_bytes()).unwrap());
        let after = memtide.metrics();
        for (command, status, count) in counted {
            for name in ["memcached_commands_total", "memtide_item_commands_total"] {
                let series = format!("{name}{{command=\"{command}\",status=\"{status}\"}}");
                let change = after.get(&series).unwrap() - before.get(&series).unwrap();
                assert_eq!(change, f64::from(count), "{series} for {commands:?}");
            }
        }
    }
}

#[test]
fn gauges_and_bytes_follow_the_traffic() {
    let memtide = memtide();
    let before = memtide.metrics();
    assert_eq!(before.get("memtide_items"), Some(0.0));
    let mut client = memtide.connect();
    let request = "set a 0 0 1000\r\n".to_owned() + &"v".repeat(1000) + "\r\n";
    client.send(request.as_bytes()).unwrap();
    assert_eq!(client.read_line().unwrap(), "STORED");
    let after = memtide.metrics();
    let change = |series: &str| after.get(series).unwrap() - before.get(series).unwrap();
    let bytes = f64::from(u32::try_from(request.len()).unwrap());
    assert_eq!(change("memtide_items"), 1.0);
    assert_eq!(change("memtide_connections"), 1.0);
    assert_eq!(change("memtide_connections_accepted_total"), 1.0);
    assert_eq!(change("memtide_commands_total"), 1.0);
    assert_eq!(change("memtide_network_bytes_total{direction=\"in\"}"), bytes);
    assert_eq!(change("memtide_network_bytes_total{direction=\"out\"}"), 8.0);
    // Known when the reply is sent, a moment before it is counted.
    let count = "memtide_command_duration_seconds_count{kind=\"write\"}";
    wait_until("the write to be timed", PATIENCE, || {
        (memtide.metrics().get(count) == Some(1.0)).then_some(())
    });
    assert!((1000.0..2000.0).contains(&change("memtide_cache_used_bytes")));
    let bucket = "memtide_command_duration_seconds_bucket{kind=\"read\",le=\"0.00005\"}";
    assert!(after.get(bucket).is_some(), "buckets must resolve 50 us");
}

/// `stats reset` is for `stats`; Prometheus' counters never go down.
#[test]
fn stats_reset_leaves_the_metrics_alone() {
    let memtide = memtide();
    let mut client = memtide.connect();
    drop(client.ask(b"get a\r\nset a 0 0 1\r\nx\r\nget a\r\nincr a 1\r\n").unwrap());
    let before = memtide.metrics();
    assert_eq!(client.ask(b"stats reset\r\n").unwrap(), "RESET\r\n");
    let after = memtide.metrics();
    for series in [
        "memcached_commands_total{command=\"get\",status=\"hit\"}",
        "memcached_commands_total{command=\"get\",status=\"miss\"}",
        "memtide_commands_total",
        "memtide_ecpu_units_total",
        "memtide_network_bytes_total{direction=\"in\"}",
        "memtide_connections_accepted_total",
    ] {
        assert!(after.get(series).unwrap() >= before.get(series).unwrap(), "{series}");
    }
}

/// No label takes a value from a client.
#[test]
fn clients_cannot_make_series() {
    let memtide = memtide();
    let mut client = memtide.connect();
    drop(client.ask(b"get a\r\n").unwrap());
    let before = memtide.metrics().series_count();
    for number in 0..500 {
        let commands =
            format!("set key{number} 0 0 1\r\nx\r\nnonsense{number}\r\nmg key{number} Z\r\n");
        drop(client.ask(commands.as_bytes()).unwrap());
    }
    assert_eq!(memtide.metrics().series_count(), before);
}

fn stats(client: &mut Client) -> Vec<(String, String)> {
    let reply = client.ask(b"stats\r\n").unwrap();
    let lines = reply.strip_suffix("END\r\n").unwrap_or_else(|| panic!("no END: {reply}"));
    let pair = |line: &str| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.to_owned()))
    };
    lines.lines().map(|line| pair(line).unwrap_or_else(|| panic!("no STAT: {line}"))).collect()
}

/// What clients and monitoring read of memcached's general statistics.
const STATS: [&str; 38] = [
    "pid",
    "uptime",
    "time",
    "version",
    "pointer_size",
    "max_connections",
    "curr_connections",
    "total_connections",
    "rejected_connections",
    "connection_structures",
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "get_hits",
    "get_misses",
    "get_expired",
    "delete_misses",
    "delete_hits",
    "incr_misses",
    "incr_hits",
    "decr_misses",
    "decr_hits",
    "cas_misses",
    "cas_hits",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "bytes_read",
    "bytes_written",
    "limit_maxbytes",
    "threads",
    "bytes",
    "curr_items",
    "total_items",
    "evictions",
    "reclaimed",
    "accepting_conns",
];

#[test]
fn stats_has_memcacheds_general_statistics() {
    let (memtide, memcached) = (memtide(), Memcached::start());
    let [ours, theirs] = [stats(&mut memtide.connect()), stats(&mut memcached.connect())];
    let names = |stats: &[(String, String)]| -> Vec<String> {
        stats.iter().map(|(name, _)| name.clone()).collect()
    };
    let (ours, theirs) = (names(&ours), names(&theirs));
    for name in STATS {
        assert!(theirs.iter().any(|other| other == name), "memcached has no {name}");
        assert!(ours.iter().any(|other| other == name), "no {name}");
    }
    let mut unique = ours.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ours.len(), "a name twice");
}

#[test]
fn stats_count_alike_and_reset_alike() {
    // Counting first: memcached counts an item more where a number changes whose reply is unsent.
    const TRAFFIC: &[u8] = b"set a 0 0 1\r\n5\r\nincr a 1\r\nincr b 1\r\ndecr a 1\r\nget a b\r\nmg a\r\n\
        mg b\r\ntouch a 0\r\ngat 0 a b\r\ndelete b\r\ncas a 0 0 1 99999\r\nx\r\nset b 0 0 1\r\nx\r\n\
        delete b\r\nmd b\r\nset c 0 -1 1\r\nx\r\nget c\r\n";
    const COUNTED: [&str; 22] = [
        "cmd_get",
        "cmd_set",
        "cmd_flush",
        "cmd_touch",
        "get_hits",
        "get_misses",
        "delete_hits",
        "delete_misses",
        "incr_hits",
        "incr_misses",
        "decr_hits",
        "decr_misses",
        "cas_hits",
        "cas_misses",
        "cas_badval",
        "touch_hits",
        "touch_misses",
        "curr_items",
        "total_items",
        "evictions",
        "curr_connections",
        "rejected_connections",
    ];
    let (memtide, memcached) = (memtide(), Memcached::start());
    let observed = [&memtide as &dyn Server, &memcached].map(|server| {
        let mut client = server.connect();
        let mut read = |what: &str, reset: bool| -> Vec<(String, String)> {
            drop(client.ask(if reset { b"stats reset\r\n" } else { TRAFFIC }).unwrap());
            let stats = stats(&mut client);
            let pick = |name: &&str| {
                let value = stats.iter().find(|(other, _)| other == name);
                (
                    format!("{what} {name}"),
                    value.map(|(_, value)| value.clone()).unwrap_or_default(),
                )
            };
            COUNTED.iter().filter(|name| **name != "curr_connections").map(pick).collect()
        };
        [read("after traffic", false), read("after reset", true), read("again", false)].concat()
    });
    let [ours, theirs] = observed;
    for (our, their) in ours.iter().zip(&theirs) {
        assert_eq!(our, their);
    }
}

#[test]
fn one_core_serves_clients_who_ask_little() {
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(["--threads", "4"]).start();
    let mut clients: Vec<_> = (0..8).map(|_| memtide.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(b"get absent\r\n").unwrap(), "END\r\n");
    }
    wait_until("one core to serve", PATIENCE, || {
        (memtide.metrics().get("memtide_cores_serving") == Some(1.0)).then_some(())
    });
}
