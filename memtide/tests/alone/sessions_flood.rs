//! A client that floods a cache at its limit with what is no command, and one that asks for little.

use std::process::Command;
use std::thread;
use std::time::Instant;

use memtide_testkit::{Client, Fleet, Memtide, PATIENCE, Server, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
const REFUSED: &str = "SERVER_ERROR throttled: ECPU limit exceeded";

/// Floods at a limit of so many ECPUs a second, while another client asks: that one is always
/// served, and all that is metered is within the limit, for the time that it took.
fn check(memtide: &Memtide, limit: f64, flood: impl FnOnce(Client) + Send) {
    let used = || memtide.metrics().get("memtide_ecpu_units_total").unwrap() / 1024.0;
    let (mut modest, flooder) = (memtide.connect(), memtide.connect());
    let (began, before) = (Instant::now(), used());
    thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(flooder));
        while !flooding.is_finished() {
            assert_eq!(modest.ask(b"get k\r\n").unwrap(), "END\r\n");
        }
    });
    let used = used() - before;
    // The burst, leases and what is lent are 62 ms; the last read of each core is on top.
    let may = limit * (began.elapsed().as_secs_f64() + 0.062) + 2.0 * 128.0;
    assert!(used <= may, "{used} ECPUs, where the limit gives {may}");
}

fn with_lines_that_are_no_commands(memtide: &Memtide, limit: f64) {
    let throttled = || {
        let name = "memtide_throttled_commands_total{reason=\"ecpu\"}";
        memtide.metrics().get(name).unwrap()
    };
    check(memtide, limit, |mut flooder| {
        flooder.send(&b"bogus\r\n".repeat(10_000)).unwrap();
        let replies: Vec<_> = (0..10_000).map(|_| flooder.read_line().unwrap()).collect();
        let refused = replies.iter().filter(|reply| *reply == REFUSED).count();
        assert!(replies.iter().all(|reply| reply == "ERROR" || reply == REFUSED), "{replies:?}");
        assert!(refused > 5_000, "{refused} refused");
        assert_eq!(throttled(), refused as f64, "each is counted, and nobody else is refused");
        assert_eq!(flooder.ask(b"").unwrap(), "", "in step");
    });
}

/// Their data is dropped, but not faster than the limit allows.
fn with_values_that_are_too_large(memtide: &Memtide, limit: f64) {
    const BYTES: usize = 1_100_000;
    let set = format!("set k 0 0 {BYTES}\r\n{}\r\n", "x".repeat(BYTES));
    check(memtide, limit, |mut flooder| {
        for _ in 0..4 {
            flooder.send(set.as_bytes()).unwrap();
            let reply = flooder.read_line().unwrap();
            assert_eq!(reply, "SERVER_ERROR object too large for cache");
        }
        assert_eq!(flooder.ask(b"get k\r\n").unwrap(), "END\r\n", "in step");
    });
}

#[test]
fn lines_that_are_no_commands_are_held_to_the_limit() {
    let memtide = Memtide::builder(PROGRAM).args(["--ecpu-per-second-max", "1k"]).start();
    with_lines_that_are_no_commands(&memtide, 1e3);
}

#[test]
fn values_that_are_too_large_are_held_to_the_limit() {
    let memtide = Memtide::builder(PROGRAM).args(["--ecpu-per-second-max", "2k"]).start();
    with_values_that_are_too_large(&memtide, 2e3);
}

#[test]
fn a_fleet_holds_such_lines_and_values_to_the_limit_too() {
    let fleet = Fleet::start_with(PROGRAM, (2, "a,b", 0), &["--ecpu-per-second-max", "1k"]);
    with_lines_that_are_no_commands(fleet.memtide(), 1e3);
    fleet.cache(&["limits", "set", "--ecpu-per-second-max", "2k"]);
    wait_until("the limit to act", PATIENCE, || {
        let granted = fleet.memtide().metrics().get("memtide_ecpu_per_second_granted");
        (granted >= Some(1_980.0)).then_some(())
    });
    with_values_that_are_too_large(fleet.memtide(), 2e3);
}

/// What it was told of the reply, the second value on units that were lent, has cost more than a minute.
#[test]
fn a_client_that_goes_away_while_it_is_held_back_is_noticed() {
    const BYTES: usize = 40_000_000;
    let words = ["--memory", "512m", "--item-size-max", "64m"];
    let memtide = Memtide::builder(PROGRAM).args(words).start();
    let mut client = memtide.connect();
    let set = format!("set k 0 0 {BYTES}\r\n{}\r\n", "x".repeat(BYTES));
    assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    let limit = ["cache", "limits", "set", "--ecpu-per-second-max", "1k", "--admin"];
    let admin = memtide.admin_address().to_string();
    assert!(Command::new(PROGRAM).args(limit).arg(admin).output().unwrap().status.success());
    wait_until("the limit to act", PATIENCE, || {
        memtide.metrics().get("memtide_ecpu_per_second_granted").map(drop)
    });
    client.send(b"get k k k\r\n").unwrap();
    for _ in 0..2 {
        client.read_exact(format!("VALUE k 0 {BYTES}\r\n\r\n").len() + BYTES).unwrap();
    }
    wait_until("the rest to be held back", PATIENCE, || {
        (memtide.metrics().get("memtide_delayed_commands_total") > Some(0.0)).then_some(())
    });
    drop(client);
    wait_until("it is noticed", PATIENCE, || {
        (memtide.metrics().get("memtide_connections") == Some(0.0)).then_some(())
    });
}
