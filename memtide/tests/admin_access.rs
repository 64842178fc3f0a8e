//! Who may ask the admin HTTP, and what hostile input gets there.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use memtide_testkit::{Fleet, Memtide, PATIENCE, Signal, http_get, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
const LET_IN: &str = "200";

/// The status code, and all of the answer.
fn send(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server that refuses early closes before it has all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap_or_default().to_owned(), answer)
}

fn get(address: SocketAddr, path: &str, token: &str) -> String {
    let header = format!("Authorization: Bearer {token}\r\n");
    let header = if token.is_empty() { "" } else { &header };
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n")).0
}

fn run(words: &[&str]) -> Output {
    Command::new(PROGRAM).args(words).env_clear().output().unwrap()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

#[test]
fn an_address_that_others_reach_is_refused_without_a_token() {
    let home = tempfile::tempdir().unwrap();
    for role in
        [&["serve"][..], &["proxy", "--join", "x:1"], &["engine", "--join", "x:1"], &["scaler"]]
    {
        let rest = ["--admin", "0.0.0.0:0", "--data-dir", home.path().to_str().unwrap()];
        let output = run(&[role, &rest].concat());
        assert_eq!(output.status.code(), Some(64), "{role:?}");
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.contains("--admin-token-file FILE") && line.lines().count() == 1, "{line}");
    }
    let file = home.path().join("token");
    std::fs::write(&file, "too short").unwrap();
    let words = ["serve", "--admin", "127.0.0.1:0", "--admin-token-file", file.to_str().unwrap()];
    let home = home.path().join("data");
    let rest = ["--port", "0", "--read-port", "0", "--data-dir", home.to_str().unwrap()];
    let output = run(&[&words[..], &rest].concat());
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no token; write one line"));
}

#[test]
fn a_token_is_made_asked_for_and_changed_while_it_runs() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token");
    let arguments = ["--admin", "0.0.0.0:0", "--admin-token-file", file.to_str().unwrap()];
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).reachable(&arguments).start();
    let admin = SocketAddr::from(([127, 0, 0, 1], memtide.admin_address().port()));
    let token = read(&file);
    assert_eq!(token.len(), 64);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(admin, path, ""), LET_IN, "{path}");
    }
    for path in ["/v1/cache", "/v1/cache/usage", "/v1/events", "/v1/nothing"] {
        assert_eq!(get(admin, path, ""), "401", "{path}");
        assert_eq!(get(admin, path, &token[1..]), "401", "{path}");
    }
    assert_eq!(get(admin, "/v1/cache", &token), LET_IN);

    let at = admin.to_string();
    let events = |more: &[&str]| run(&[&["cache", "events", "--admin", &at], more].concat());
    let refused = events(&[]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--admin-token-file"));
    let shown = ["--admin-token-file", file.to_str().unwrap()];
    assert!(events(&shown).status.success());
    assert!(run(&["healthcheck", "--admin", &at]).status.success());

    std::fs::write(&file, "another-token-of-some-length\n").unwrap();
    memtide.signal(Signal::HUP);
    wait_until("the new token to be asked for", PATIENCE, || {
        (get(admin, "/v1/cache", "another-token-of-some-length") == LET_IN).then_some(())
    });
    assert_eq!(get(admin, "/v1/cache", &token), "401");
}

#[test]
fn hostile_requests_are_refused_and_bounded() {
    let fleet = Fleet::start(PROGRAM, 1, "a", 0);
    let admin = fleet.memtide().admin_address();
    let before = fleet.memtide().rss_bytes();
    let put = |length: usize, body: &str| {
        send(
            admin,
            &format!(
                "PUT /v1/replicas HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let huge = "x".repeat(8 << 20);
    assert_eq!(put(huge.len(), &huge).0, "413");
    assert_eq!(put(1 << 40, "{").0, "413", "by what it says");
    let chunked = format!(
        "PUT /v1/replicas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n{huge}\r\n0\r\n\r\n"
    );
    assert_eq!(send(admin, &chunked).0, "413", "without a length");
    for wrong in
        [r#"{"replicas":"1"}"#, r#"{"replicas":-1}"#, r#"{"replicas":1,"x":2}"#, "[]", "", "\u{0}"]
    {
        let (status, answer) = put(wrong.len(), wrong);
        assert_eq!(status, "400", "{wrong}: {answer}");
    }
    let nested = "[".repeat(100_000);
    assert_eq!(put(nested.len(), &nested).0, "400");
    // Slow bodies, slow headers and connections that say nothing, more than are served at once.
    let slow =
        ["PUT /v1/replicas HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "GET /v1/cac", ""];
    let streams: Vec<_> = (0..150)
        .map(|number| {
            let mut stream = TcpStream::connect(admin).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(slow[number % 3].as_bytes()).unwrap();
            stream
        })
        .collect();
    // Whoever comes behind them all is answered once their time is over.
    assert_eq!(http_get(admin, "/readyz").status, 200);
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_default();
        assert!(answer.is_empty() || answer.contains(" 408 "), "{answer}");
    }
    let grown = fleet.memtide().rss_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more than before");
}
