//! What the admin HTTP tells of what happened to the process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use memtide_testkit::{Memtide, PATIENCE, Server, Signal, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// The events after one, as their kinds and texts, and where to go on.
fn events(memtide: &Memtide, after: u64) -> (Vec<(String, String)>, u64) {
    let reply = memtide.get(&format!("/v1/events?after={after}"));
    let page: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let events = page["events"].as_array().unwrap();
    let told = events.iter().map(|event| (text(&event["kind"]), text(&event["text"])));
    (told.collect(), page["next"].as_u64().unwrap())
}

/// Waits for the next events after this one.
fn next_events(memtide: &Memtide, after: u64) -> (Vec<(String, String)>, u64) {
    wait_until("an event", PATIENCE, || {
        let (events, next) = events(memtide, after);
        (!events.is_empty()).then_some((events, next))
    })
}

#[test]
fn a_life_is_told_in_events() {
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]);
    let mut memtide = memtide.start();
    let ports = (memtide.address().port(), memtide.read_address().port());
    let on = format!("on ports {} and {}", ports.0, ports.1);
    let (told, next) = next_events(&memtide, 0);
    assert_eq!(told, [("listening".to_owned(), on)]);

    let mut client = memtide.connect();
    let value = "x".repeat(900_000);
    for key in 0..30 {
        let request = format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
        assert_eq!(client.ask(request.as_bytes()).unwrap(), "STORED\r\n");
    }
    let limit = "items reached the limit of 16777216 bytes".to_owned();
    let evictions = ("evictions_began".to_owned(), limit);
    let near = "limit_near".to_owned();
    let next = wait_until("evictions and the limit to be told of", PATIENCE, || {
        let (told, last) = events(&memtide, next);
        let is_near = told.iter().any(|(kind, text)| *kind == near && text.starts_with("data_"));
        (told.contains(&evictions) && is_near && told.len() == 2).then_some(last)
    });

    // A command without its data block holds the drain open. One record: the server that has
    // answered the first has the second too.
    client.send(b"mn\r\nset a 0 0 3\r\n").unwrap();
    assert_eq!(client.read_line().unwrap(), "MN");
    memtide.signal(Signal::TERM);
    let (told, _) = next_events(&memtide, next);
    assert_eq!(told, [("drain_began".to_owned(), "by SIGTERM".to_owned())]);
    drop(client);
    assert!(memtide.wait_exit(PATIENCE).success());
}

#[test]
fn events_outlive_the_process_and_are_followed_from_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    let start =
        || Memtide::builder(PROGRAM).args(["--memory", "16m"]).data_dir(home.path()).start();
    let mut memtide = start();
    let (_, next) = next_events(&memtide, 0);
    memtide.signal(Signal::TERM);
    assert!(memtide.wait_exit(PATIENCE).success());

    let memtide = start();
    let (told, last) = wait_until("this start to be told", PATIENCE, || {
        let (told, last) = events(&memtide, next);
        (told.len() == 2).then_some((told, last))
    });
    assert_eq!(told[0], ("drain_began".to_owned(), "by SIGTERM".to_owned()));
    assert_eq!((told[1].0.as_str(), last), ("listening", next + 2));

    let admin = memtide.admin_address().to_string();
    let mut follow = Command::new(PROGRAM)
        .args(["cache", "events", "--follow", "--after", "1", "--admin", &admin])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains("  serve     drain_began           by SIGTERM"), "{line}");
    assert!(lines.next().unwrap().unwrap().contains("listening"));
    // A command without its data block holds the drain open.
    let mut client = memtide.connect();
    client.send(b"mn\r\nset a 0 0 3\r\n").unwrap();
    assert_eq!(client.read_line().unwrap(), "MN");
    memtide.signal(Signal::TERM);
    assert!(lines.next().unwrap().unwrap().contains("drain_began"));
    follow.kill().unwrap();
    follow.wait().unwrap();
}

/// A kill may cost the last event. Who follows has read it, and reads nothing again, and what has its
/// sequence now.
#[test]
fn who_follows_over_a_kill_reads_no_event_twice_and_misses_none() {
    let home = tempfile::tempdir().unwrap();
    let start = |admin: &str| {
        let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).data_dir(home.path());
        memtide.reachable(&["--admin", admin]).start()
    };
    let mut first = start("127.0.0.1:0");
    first.signal(Signal::TERM);
    assert!(first.wait_exit(PATIENCE).success());

    let mut second = start("127.0.0.1:0");
    let admin = second.admin_address().to_string();
    let follow = Command::new(PROGRAM)
        .args(["cache", "events", "--follow", "--json", "--admin", &admin])
        .stdout(Stdio::piped())
        .spawn();
    let mut follow = Ended(follow.unwrap());
    let lines = BufReader::new(follow.0.stdout.take().unwrap()).lines();
    let (told, printed) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
    let read = || -> (u64, String, u64) {
        let line = printed.recv_timeout(PATIENCE).expect("an event is printed in time");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let number = |name: &str| event[name].as_u64().unwrap();
        (number("sequence"), event["kind"].as_str().unwrap().to_owned(), number("at_ms"))
    };
    let before = [read(), read(), read()];
    let told: Vec<_> =
        before.iter().map(|(sequence, kind, _)| (*sequence, kind.as_str())).collect();
    assert_eq!(told, [(1, "listening"), (2, "drain_began"), (3, "listening")]);

    second.signal(Signal::KILL);
    second.wait_exit(PATIENCE);
    let records = home.path().join("records/default/serve");
    let files = std::fs::read_dir(records).unwrap().map(|entry| entry.unwrap().path());
    let log = files.into_iter().find(|it| it.to_str().unwrap().contains("events-")).unwrap();
    let text = std::fs::read_to_string(&log).unwrap();
    let kept: Vec<_> = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(&log, kept.concat()).unwrap();

    let third = start(&admin);
    let (sequence, kind, at_ms) = read();
    assert_eq!((sequence, kind.as_str()), (3, "listening"));
    assert!(at_ms > before[2].2, "that of the process that was killed");
    // A command without its data block holds the drain open.
    let mut client = third.connect();
    client.send(b"mn\r\nset a 0 0 3\r\n").unwrap();
    assert_eq!(client.read_line().unwrap(), "MN");
    third.signal(Signal::TERM);
    let (sequence, kind, _) = read();
    assert_eq!((sequence, kind.as_str()), (4, "drain_began"));
}

/// A process that goes on by itself, ended with the test however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
