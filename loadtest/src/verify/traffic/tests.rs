#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use super::super::{Verdict, ViolationKind, check};
use super::*;
use crate::reply::{Found, MetaCode, read};

/// A memcached of Debian's, on a socket in a directory of its own.
struct Memcached {
    child: Child,
    directory: tempfile::TempDir,
}

impl Memcached {
    fn start(megabytes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let megabytes = megabytes.to_string();
        let mut command = Command::new("memcached");
        if rustix::process::getuid().is_root() {
            command.args(["-u", "root"]);
        }
        // With one thread: with several, a gets during an incr may tell the old value with the new CAS
        // unique.
        let child = command.args(["-t", "1", "-m", &megabytes, "-s"]).arg(&socket).spawn();
        let child = child.expect("these tests need Debian's package memcached");
        Self { child, directory }
    }

    fn connect(&self) -> UnixStream {
        loop {
            match UnixStream::connect(self.directory.path().join("socket")) {
                Ok(stream) => return stream,
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Connection {
    stream: UnixStream,
    requests: VecDeque<VerifyRequest>,
    received: Vec<u8>,
}

#[test]
fn memcached_passes() {
    let verdict = verify(&Memcached::start(64), settings(300));
    assert!(verdict.is_clean(), "{:#?}", verdict.examples);
    assert_eq!(verdict.undecided_keys, 0);
    assert_eq!(verdict.misses.evictions_needed, 0);
    assert_eq!(verdict.misses.total, {
        let misses = verdict.misses;
        misses.never_stored + misses.deleted + misses.expired
    });
    assert!(verdict.is_cut_short);
}

#[test]
fn memcached_passes_where_it_must_evict_and_refuse() {
    let settings = VerifySettings { value_bytes: (50, 60_000), ..settings(300) };
    let verdict = verify(&Memcached::start(2), settings);
    assert!(verdict.is_clean(), "{:#?}", verdict.examples);
    assert_eq!(verdict.undecided_keys, 0);
    assert!(verdict.misses.evictions_needed > 0, "{:?}", verdict.misses);
}

#[test]
fn as_many_requests_as_may_meet_on_a_key_can_be_decided() {
    let settings = VerifySettings { lanes: 24, ..settings(12) };
    let verdict = verify(&Memcached::start(64), settings);
    assert!(verdict.is_clean(), "{:#?}", verdict.examples);
    assert_eq!(verdict.undecided_keys, 0);
}

/// Runs the traffic until its limit.
fn verify(memcached: &Memcached, settings: VerifySettings) -> Verdict {
    let began = std::time::Instant::now();
    let now = || u64::try_from(began.elapsed().as_nanos()).unwrap();
    let mut traffic = VerifyTraffic::new(settings);
    let mut connections: Vec<_> = (0..settings.lanes)
        .map(|_| Connection {
            stream: memcached.connect(),
            requests: VecDeque::new(),
            received: Vec::new(),
        })
        .collect();
    let mut is_over = false;
    while !is_over || connections.iter().any(|connection| !connection.requests.is_empty()) {
        for (connection, lane) in connections.iter_mut().zip(0..) {
            let mut bytes = Vec::new();
            while connection.requests.len() < 4 && !is_over {
                match traffic.next(lane, now(), &mut bytes) {
                    Some(asked) => connection.requests.push_back(asked.request),
                    None => is_over = true,
                }
            }
            connection.stream.write_all(&bytes).unwrap();
        }
        for (connection, lane) in connections.iter_mut().zip(0..) {
            hear(&mut traffic, lane, connection, now);
        }
    }
    check(&[traffic.into_history()], settings.seed, 1)
}

/// Reads once, if something is to come, and gives the traffic what came.
fn hear(
    traffic: &mut VerifyTraffic,
    lane: Lane,
    connection: &mut Connection,
    now: impl Fn() -> Nanos,
) {
    if connection.requests.is_empty() {
        return;
    }
    let mut bytes = [0; 65_536];
    let count = connection.stream.read(&mut bytes).unwrap();
    connection.received.extend_from_slice(&bytes[..count]);
    let mut from = 0;
    while let Found::Event(took, event) = read(&connection.received[from..]).unwrap() {
        let request = connection.requests.front_mut().unwrap();
        match traffic.heard(lane, request, &event, now()) {
            Progress::More => {}
            Progress::Done { .. } => {
                connection.requests.pop_front();
            }
            Progress::OutOfStep => {
                panic!("out of step: {:?} {event:?}", traffic.out[VerifyTraffic::place(request)])
            }
        }
        from += took;
    }
    connection.received.drain(..from);
}

fn settings(keys: u32) -> VerifySettings {
    VerifySettings {
        seed: 11,
        keys,
        value_bytes: (50, 3_000),
        threads: 1,
        thread: 0,
        lanes: 8,
        operations_max: 50_000,
    }
}

/// Asks until a request begins with these words, and gives it with its text.
fn asked(traffic: &mut VerifyTraffic, words: &str) -> (VerifyRequest, String) {
    loop {
        let mut out = Vec::new();
        let asked = traffic.next(0, 10, &mut out).unwrap();
        let line = out.split(|&byte| byte == b'\r').next().unwrap();
        let line = String::from_utf8(line.to_vec()).unwrap();
        if line.starts_with(words) {
            return (asked.request, line);
        }
        traffic.lost(0, asked.request);
    }
}

fn meta<'b>(code: MetaCode, flags: &'b str, data: &'b [u8]) -> Event<'b> {
    Event::Meta { code, flags: flags.as_bytes(), data }
}

#[test]
fn a_meta_reply_to_another_request_is_recognised() {
    for (key, opaque, is_mine) in
        [(None, None, true), (None, Some("ffffffff"), false), (Some("another"), None, false)]
    {
        let mut traffic = VerifyTraffic::new(settings(50));
        let (mut request, line) = asked(&mut traffic, "md ");
        let my_key = line.split(' ').nth(1).unwrap();
        let my_opaque = line.split(" O").nth(1).unwrap().split(' ').next().unwrap();
        let reply = format!("k{} O{}", key.unwrap_or(my_key), opaque.unwrap_or(my_opaque));
        let progress = traffic.heard(0, &mut request, &meta(MetaCode::Hd, &reply, b""), 20);
        assert_eq!(progress != Progress::OutOfStep, is_mine, "{line} answered with {reply}");
        if !is_mine {
            traffic.lost(0, request);
        }
        let verdict = check(&[traffic.into_history()], 11, 1);
        let odd = verdict.count(ViolationKind::ReplyOutOfOrder);
        assert_eq!(odd, u64::from(!is_mine), "{:#?}", verdict.examples);
    }
}

#[test]
fn classic_replies_of_another_kind_or_key_are_recognised() {
    let event = Event::Value { key: b"another", client_flags: 0, cas: None, data: b"1" };
    for (words, event) in [("get ", event), ("set ", Event::End), ("incr ", Event::Stored)] {
        let mut traffic = VerifyTraffic::new(settings(50));
        let (mut request, line) = asked(&mut traffic, words);
        let progress = traffic.heard(0, &mut request, &event, 20);
        assert_eq!(progress, Progress::OutOfStep, "{line} answered with {event:?}");
    }
}

#[test]
fn a_value_of_another_key_is_recognised() {
    let mut traffic = VerifyTraffic::new(settings(3));
    let (mut request, line) = asked(&mut traffic, "get ");
    let name = line.split(' ').nth(1).unwrap();
    let key = (0..3).find(|&key| value::key_name(11, key) == name).unwrap();
    let mut data = Vec::new();
    value::write_segment(&mut data, 11, key + 1, 5, 100);
    let event = Event::Value {
        key: name.as_bytes(),
        client_flags: value::client_flags(5),
        cas: None,
        data: &data,
    };
    assert_eq!(traffic.heard(0, &mut request, &event, 20), Progress::More);
    traffic.heard(0, &mut request, &Event::End, 20);
    let verdict = check(&[traffic.into_history()], 11, 1);
    assert_eq!(verdict.count(ViolationKind::WrongKey), 1, "{:#?}", verdict.examples);
}

#[test]
fn a_lost_request_may_have_been_carried_out() {
    let mut traffic = VerifyTraffic::new(settings(50));
    let (request, _) = asked(&mut traffic, "set ");
    let before = traffic.history.len();
    traffic.lost(0, request);
    let operation = traffic.history.operations()[before];
    assert_eq!((operation.completed, operation.outcome), (NO_REPLY, Outcome::NoReply));
}

#[test]
fn an_error_that_says_that_nothing_was_stored_is_believed_and_no_other() {
    for (line, outcome) in [
        (&b"SERVER_ERROR out of memory storing object"[..], Outcome::Refused),
        (b"SERVER_ERROR throttled: ECPU limit exceeded", Outcome::Refused),
        (b"SERVER_ERROR the node is gone", Outcome::NoReply),
    ] {
        let mut traffic = VerifyTraffic::new(settings(50));
        let (mut request, _) = asked(&mut traffic, "set ");
        let before = traffic.history.len();
        let progress = traffic.heard(0, &mut request, &Event::Error(line), 20);
        assert!(matches!(progress, Progress::Done { outcome: crate::measure::Outcome::Error, .. }));
        assert_eq!(traffic.history.operations()[before].outcome, outcome);
    }
}

#[test]
fn no_more_is_asked_than_can_be_recorded() {
    let mut traffic = VerifyTraffic::new(VerifySettings { operations_max: 20, ..settings(50) });
    let mut out = Vec::new();
    for _ in 0..1_000 {
        if let Some(asked) = traffic.next(0, 10, &mut out) {
            traffic.lost(0, asked.request);
        }
    }
    let history = traffic.into_history();
    assert!(history.len() < 20 + MULTIGET_MAX, "{}", history.len());
    assert!(check(&[history], 11, 1).is_cut_short);
}

#[test]
fn all_commands_occur_and_few_requests_meet_on_a_key() {
    let mut traffic = VerifyTraffic::new(settings(50));
    let mut commands = std::collections::BTreeSet::new();
    let mut waiting = VecDeque::new();
    for _ in 0..20_000 {
        let mut out = Vec::new();
        let asked = traffic.next(0, 10, &mut out).unwrap();
        commands.insert(asked.command);
        waiting.push_back(asked.request);
        if waiting.len() > 40 {
            traffic.lost(0, waiting.pop_front().unwrap());
        }
        assert!(traffic.keys.iter().all(|key| key.concurrent <= CONCURRENT_ON_KEY_MAX));
        for unique in traffic.keys.iter_mut().map(|key| &mut key.uniques) {
            *unique = [1, 2];
        }
        traffic.history = History::default();
    }
    assert_eq!(commands.into_iter().collect::<Vec<_>>(), CommandKind::ALL);
}
