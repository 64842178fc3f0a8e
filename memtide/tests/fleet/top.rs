//! `memtide top` against real processes: what it shows of them, and what it says where it cannot.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::roles::Roles;
use memtide_testkit::{Client, Fleet, Memtide, PATIENCE, Server as _, Signal, signal, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

fn top(words: &[&str]) -> Output {
    Command::new(PROGRAM).arg("top").args(words).env_clear().output().unwrap()
}

/// What `--once` prints of the memtide whose admin HTTP is there, once all of `parts` are in it: on a busy machine
/// nodes are lost for a moment, and answers come late.
#[track_caller]
fn once(admin: &str, words: &[&str], parts: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = top(&[&["--once", "--admin", admin], words].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let missing = parts.iter().find(|part| !text.contains(**part));
        match missing {
            None if output.status.success() => return text,
            _ => assert!(
                Instant::now() < deadline,
                "{missing:?} is not in:\n{text}{}",
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

/// Ends with this code and this one line.
#[track_caller]
fn refused(words: &[&str], code: i32, expected: &str) {
    let output = top(words);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains(expected) && line.lines().count() == 1, "{words:?}: {line}");
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(output.stdout.is_empty());
}

#[track_caller]
fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

/// The line that begins like this.
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(begin));
    line.unwrap_or_else(|| panic!("no line begins with {begin}:\n{text}"))
}

/// Asks for a key that is there, until the other end is dropped.
fn ask_on(mut client: Client) -> mpsc::Sender<()> {
    assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    let (going_on, stopped) = mpsc::channel();
    std::thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            client.send(b"get k\r\n").unwrap();
            client.read_until(b"END\r\n").unwrap();
        }
    });
    going_on
}

#[test]
fn one_process_under_load_is_shown_with_its_limits_rates_and_latencies() {
    let limits = ["--memory", "64m", "--ecpu-per-second-max", "1M", "--data-storage-max", "32MB"];
    let memtide = Memtide::builder(PROGRAM).args(limits).start();
    let load = ask_on(memtide.connect());
    let admin = memtide.admin_address().to_string();
    let parts = ["memtide default  serve  up ", "of 32 MiB  0%", " of 1M  ", "hits 100%"];
    let text = once(&admin, &["--interval", "500ms"], &parts);
    drop(load);
    shows(&text, &["connections 1 of ", "this", "16,384", "listening"]);
    let commands = line(&text, "commands ");
    assert!(!commands.starts_with("commands 0/s") && !commands.starts_with("commands -"), "{text}");
    assert!(line(&text, "read ").contains("s  p99"), "no latency of reads:\n{text}");
    assert!(line(&text, "write ").contains("p99.9         -"), "nobody wrote:\n{text}");
    assert!(!text.contains('!') && !text.contains('\u{1b}'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn a_fleet_is_shown_with_its_nodes_zones_and_events() {
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let admin = fleet.memtide().admin_address().to_string();
    let parts = [
        "memtide default  serve, with node processes  up ",
        "slots 16,384 complete  0 short  0 unowned  0 unserved  replicas 1",
        "zone a  1 of 1 nodes up  ",
        "zone b  1 of 1 nodes up  ",
        "NODES 2, by memory",
        "MIGRATIONS none",
    ];
    let text = once(&admin, &["--interval", "200ms"], &parts);
    shows(&text, &["node_joined", "slots_founded"]);
    for node in fleet.nodes() {
        let row = line(&text, &format!("{}  {}  ", node.node, node.zone));
        shows(row, &["  up  ", "64 MiB", "%", "127.0.0.1:"]);
    }
    assert!(!text.contains('!'), "{text}");
}

/// With roles apart the scaler counts for all proxies and measures no latency; a proxy does the contrary.
#[test]
fn a_scaler_and_a_proxy_show_what_each_knows() {
    let roles = Roles::start();
    let scaler = roles.scaler.as_ref().unwrap().admin_address().to_string();
    let _load = ask_on(roles.connect());
    let parts = ["memtide default  scaler  up ", "all proxies", "hits 100%", "NODES 2"];
    let text = once(&scaler, &["--interval", "2s"], &parts);
    shows(&text, &["no latency is measured here", "node_joined", "epoch "]);
    wait_until("the scaler to have heard of the load", PATIENCE, || {
        let text = once(&scaler, &["--interval", "2s"], &["commands "]);
        let commands = line(&text, "commands ");
        let is_known = !commands.starts_with("commands 0/s") && !commands.starts_with("commands -");
        is_known.then_some(())
    });
    let proxy = roles.proxy.admin_address().to_string();
    let none = "not told by a process of this role";
    let parts = ["memtide default  proxy  up ", none, "hits 100%"];
    let text = once(&proxy, &["--interval", "500ms"], &parts);
    assert!(line(&text, "read ").contains("s  p99"), "{text}");
    let node = roles.nodes[0].admin_address().to_string();
    once(&node, &["--interval", "200ms"], &["  node  up ", "this", "64 MiB"]);
}

#[test]
fn what_is_lost_is_said() {
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 0);
    let admin = fleet.memtide().admin_address().to_string();
    let nodes = fleet.nodes();
    // One that cannot beat, and is not known to have ended.
    signal(nodes[0].pid, Signal::STOP);
    let lost = format!("! silent: {}", nodes[0].node);
    let parts = [&lost, "! 8192 slots unserved: all that had them are down", "slots_unserved"];
    once(&admin, &["--interval", "200ms"], &parts);
    signal(nodes[0].pid, Signal::CONT);
}

#[test]
fn mistakes_and_whoever_does_not_answer_get_one_line() {
    let terminal = "standard output is no terminal; give --once";
    refused(&["--admin", "127.0.0.1:1"], 64, terminal);
    refused(&["--once", "--admin", "127.0.0.1:1"], 69, "no answer from 127.0.0.1:1: ");
    refused(&["--once", "--interval", "5ms"], 64, "give 200ms to 1h");
    refused(&["--once", "--admin", "x"], 64, r#"--admin: "x": give an IP address"#);
    refused(&["--once", "--admin-key", "x"], 64, "is for TLS; give --admin-ca too");
}

#[test]
fn a_listener_that_says_nothing_costs_seconds_and_no_more() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = silent.local_addr().unwrap().to_string();
    let began = Instant::now();
    refused(&["--once", "--admin", &admin], 69, "within 3s; give --admin of a memtide");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn an_admin_that_asks_for_a_token_is_shown_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token");
    let file = file.to_str().unwrap();
    let words = ["--admin", "127.0.0.1:0", "--admin-token-file", file];
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).reachable(&words).start();
    let admin = memtide.admin_address().to_string();
    refused(&["--once", "--admin", &admin], 64, "--admin-token-file");
    let parts = ["memtide default  serve  up ", "listening"];
    once(&admin, &["--interval", "200ms", "--admin-token-file", file], &parts);
}

/// By util-linux' `script`, which gives it a terminal.
#[test]
fn a_terminal_is_drawn_on_and_given_back() {
    let memtide = Memtide::builder(PROGRAM).args(["--memory", "16m"]).start();
    let command = format!("{PROGRAM} top --admin {}", memtide.admin_address());
    for is_signal in [false, true] {
        let mut script = Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &format!("stty rows 24 cols 100; exec {command}"),
            ])
            .arg("/dev/null")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = script.stdout.take().unwrap();
        let (read, drawn) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = out.read(&mut bytes) {
                let _ = read.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        let mut seen = String::new();
        while !seen.contains("listening") {
            let more = drawn.recv_timeout(PATIENCE);
            seen += &more.unwrap_or_else(|error| panic!("{error}: {seen:?}"));
        }
        let keys = script.stdin.take().unwrap();
        let expected = if is_signal {
            signal(child_of(script.id()), Signal::TERM);
            143
        } else {
            std::io::Write::write_all(&mut &keys, b"q").unwrap();
            0
        };
        while let Ok(more) = drawn.recv_timeout(PATIENCE) {
            seen += &more;
        }
        let code = wait_until("the terminal to be left", PATIENCE, || script.try_wait().unwrap());
        assert_eq!(code.code(), Some(expected), "{seen:?}");
        let (entered, left) = ("\u{1b}[?1049h", "\u{1b}[?1049l");
        assert!(seen.contains(entered) && seen.rfind(left) > seen.rfind(entered), "{seen:?}");
    }
}

fn child_of(pid: u32) -> u32 {
    wait_until("the command to run", PATIENCE, || {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}
