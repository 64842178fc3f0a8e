#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use super::super::check;
use super::*;
use crate::reply::{Found, read};

/// A memcached of Debian's, on a socket in a directory of its own.
struct Memcached {
    child: Child,
    directory: tempfile::TempDir,
}

impl Memcached {
    fn start(megabytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let megabytes = megabytes.to_string();
        let mut command = Command::new("memcached");
        if rustix::process::getuid().is_root() {
            command.args(["-u", "root"]);
        }
        let child = command.args(["-m", &megabytes, "-s"]).arg(&socket).spawn().ok()?;
        Some(Self { child, directory })
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
    let Some(memcached) = Memcached::start(64) else { return };
    let settings = settings(300);
    let began = std::time::Instant::now();
    let now = || u64::try_from(began.elapsed().as_nanos()).unwrap();
    let mut traffic = VerifyTraffic::new(VerifySettings { operations_max: 100_000, ..settings });
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
    let history = traffic.into_history();
    let verdict = check(&[history], settings.seed, 1);
    println!("{verdict:#?}");
    assert!(verdict.is_clean(), "{:#?}", verdict.examples);
    assert_eq!(verdict.undecided_keys, 0);
    assert_eq!(verdict.misses.evictions_needed, 0);
    assert!(verdict.is_cut_short);
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
        operations_max: 10_000,
    }
}
