//! The result as a page and as JSON, and comparisons.

use memtide_testkit::{Memcached, Memtide};

use crate::program::LoadTest;
use crate::stub::{Answer, stub, turning_away};

#[test]
fn a_page_is_whole_in_itself_and_marks_what_happened() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let admin = format!("http://{}", server.admin_address());
    // So that the reload finds something new, which it refuses or mends.
    let certificate = server.ca_file().with_file_name("server.pem");
    let reload = format!("echo > '{}'; kill -HUP {}", certificate.display(), server.pid());
    let words = ["--html", "page.html", "--admin", &admin, "--at", "100ms", &reload];
    let words = [&words[..], &["--profile", "0:500,300ms:~2k", "--duration", "2s"]].concat();
    let ended = test.run(&words).success();
    let page = std::fs::read_to_string(test.file("page.html")).unwrap();
    assert!(page.contains("<svg"), "no chart");
    for elsewhere in ["src=", "href=\"http", "@import", "url(http"] {
        assert!(!page.contains(elsewhere), "the page fetches: {elsewhere}");
    }
    assert!(page.contains(&format!("kill -HUP {}", server.pid())));
    let marks = ended.json["marks"].as_array().unwrap();
    let of = |source: &str| marks.iter().filter(|it| it["source"] == source).count();
    assert!(of("hook") >= 1, "{marks:?}");
    assert_eq!(of("profile"), 1, "{marks:?}");
    assert!(of("endpoint") >= 1, "the reload is an event of the endpoint: {marks:?}");
}

#[test]
fn endpoints_are_compared_with_their_cpu_time() {
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let memcached = Memcached::start();
    let ca = memtide.ca_file().to_str().unwrap();
    let test = LoadTest::of(&["--compare", "--ca", ca, "--rounds", "2"]);
    let ours = format!("ours=tls://localhost:{}", memtide.address().port());
    let theirs = format!("theirs=plain://{}", memcached.address());
    let pids = [format!("ours={}", memtide.pid()), format!("theirs={}", memcached.pid())];
    let words = ["--endpoint", &ours, "--endpoint", &theirs, "--server-pid", &pids[0]];
    let words = [&words[..], &["--server-pid", &pids[1], "--html", "page.html"]].concat();
    let ended = test.run(&words).success();
    assert_eq!(ended.json["endpoints"].as_array().unwrap().len(), 2);
    assert_eq!(ended.json["runs"].as_array().unwrap().len(), 4);
    let order: Vec<_> = ended.json["runs"].as_array().unwrap().iter().collect();
    let order: Vec<_> = order.iter().map(|run| run["endpoint"].as_u64().unwrap()).collect();
    assert_eq!(order, [0, 1, 1, 0], "rounds are interleaved, forth and back");
    for endpoint in ["0", "1"] {
        let figure = format!("endpoints/{endpoint}/figures/server_cpu_us_per_reply/median");
        assert!(ended.number(&figure) > 0.0);
    }
    assert!(ended.number("endpoints/1/ratios/server_cpu_us_per_reply/of_medians") > 0.0);
    let page = std::fs::read_to_string(test.file("page.html")).unwrap();
    assert!(page.contains("theirs") && page.contains("<svg"));
}

#[test]
fn a_comparison_that_cannot_go_on_says_so_and_fails() {
    // Version, stats, the load, and stats again: a second round finds no connection.
    let once = turning_away(4, "SERVER_ERROR full\r\n".to_owned());
    let always = stub(|_| Answer::text("END\r\n"));
    let (once, always) = (format!("once=plain://{once}"), format!("always=plain://{always}"));
    let test = LoadTest::of(&["--endpoint", &always, "--endpoint", &once]);
    let words = ["--compare", "--rounds", "2", "--mix", "get=1", "--connections", "1"];
    let ended = test.run(&[&words[..], &["--rate", "100"]].concat());
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(ended.stderr.contains("ended early: round 2: "), "{}", ended.stderr);
    assert_eq!(ended.json["ended"]["how"], "failed");
    assert!(!ended.stdout.is_empty());
}
