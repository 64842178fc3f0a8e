//! What a load test counts is what the endpoint counts.

use memtide_testkit::{Memcached, Memtide};

use crate::program::{Ended, LoadTest};

/// A number of memcached's `stats`.
fn statistic(server: &Memcached, name: &str) -> u64 {
    use memtide_testkit::Server as _;
    let mut client = server.connect();
    let reply = client.ask(b"stats\r\n").unwrap();
    let text = String::from_utf8(reply.as_bytes().to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
    line.unwrap().parse().unwrap()
}

/// The replies of a command, whatever they said.
fn replies(ended: &Ended, command: &str) -> u64 {
    let rows = ended.json["commands"].as_array().unwrap().iter();
    let of = |row: &serde_json::Value| {
        let latency = row.get("latency").or_else(|| row.get("untrusted_latency")).unwrap();
        latency["count"].as_u64().unwrap()
    };
    rows.filter(|row| row["command"] == command).map(of).sum()
}

#[test]
fn hits_and_misses_are_those_that_memcached_counts() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let words = ["--keys", "500", "--threads", "2", "--connections", "5", "--pipeline", "8"];
    let ended = test.run(&[&words[..], &["--mix", "get=50,set=20,delete=10,incr=20"]].concat());
    let ended = ended.success();
    assert!(ended.count("totals/replies") > 1000);
    for (ours, theirs) in [
        (ended.count("totals/hits"), "get_hits"),
        (ended.count("totals/misses"), "get_misses"),
        (replies(&ended, "set"), "cmd_set"),
    ] {
        assert_eq!(ours, statistic(&server, theirs), "{theirs}");
    }
    let deletes = statistic(&server, "delete_hits") + statistic(&server, "delete_misses");
    assert_eq!(replies(&ended, "delete"), deletes);
    let incrs = statistic(&server, "incr_hits") + statistic(&server, "incr_misses");
    assert_eq!(replies(&ended, "incr"), incrs);
    assert_eq!(ended.count("totals/errors"), 0);
    assert_eq!(ended.count("totals/lost"), 0);
}

#[test]
fn every_command_is_understood() {
    let mix = "get=1,gets=1,gat=1,set=1,add=1,replace=1,append=1,prepend=1,cas=1,incr=1,decr=1,\
               delete=1,touch=1,mg=1,ms=1,md=1,ma=1";
    let memcached = Memcached::start();
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    for test in [LoadTest::of_memcached(&memcached), LoadTest::of_memtide(&memtide)] {
        let words = ["--mix", mix, "--keys", "50", "--multiget", "1-5", "--pipeline", "16"];
        let ended = test.run(&words).success();
        let count = |name| ended.count(&format!("totals/{name}"));
        assert_eq!((count("errors"), count("lost")), (0, 0), "{}", ended.stdout);
        assert_eq!(ended.json["troubles"].as_array().unwrap().len(), 0, "{}", ended.stdout);
        assert_eq!(count("requests"), count("replies"));
        for command in mix.split(',').map(|share| share.split('=').next().unwrap()) {
            assert!(replies(&ended, command) > 0, "no {command}: {}", ended.stdout);
        }
    }
}

#[test]
fn a_filled_key_space_is_hit_and_an_empty_one_missed() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let empty = test.run(&["--keys", "300", "--mix", "get=1"]).success();
    assert_eq!(empty.count("totals/hits"), 0);
    assert!(empty.count("totals/misses") > 0);
    // So few that most have been asked for before, however slow it is; of a smaller space, they have other names.
    let few = ["--keys", "30", "--connections", "5"];
    let other = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let aside = LoadTest::of_memtide(&other);
    let aside = aside.run(&[&few[..], &["--mix", "get=1", "--look-aside"]].concat()).success();
    assert!(aside.count("totals/hits") > aside.count("totals/misses"));
    let filled = test.run(&["--keys", "400", "--mix", "get=1", "--fill"]).success();
    assert_eq!(filled.count("totals/misses"), 0);
    assert_eq!(server.metrics().get("memtide_items"), Some(400.0));
}

#[test]
fn a_large_value_arrives_whole() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let words = ["--keys", "20", "--fill", "--value-size", "100k-500k", "--connections", "3"];
    let ended = test.run(&words).success();
    assert_eq!((ended.count("totals/misses"), ended.count("totals/errors")), (0, 0));
    assert!(ended.count("totals/bytes_received") > 100_000 * ended.count("totals/hits"));
}

#[test]
fn error_replies_are_counted_by_their_line() {
    let server =
        Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(["--item-size-max", "1k"]).start();
    let test = LoadTest::of_memtide(&server);
    let words = ["--mix", "set=1", "--value-size", "2k", "--pipeline", "4"];
    let ended = test.run(&words).success();
    let errors = ended.count("totals/errors");
    assert!(errors > 0);
    assert_eq!(errors, ended.count("totals/replies"));
    let line = &ended.json["errors"][0];
    assert_eq!(line["line"], "SERVER_ERROR object too large for cache");
    assert_eq!(line["count"].as_u64(), Some(errors));
    let failed = test.run(&[&words[..], &["--fail-on", "errors"]].concat());
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("error replies"), "{}", failed.stderr);
}
