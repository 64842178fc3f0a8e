//! What a cache may use, in a fleet whose roles are processes of their own.

use std::process::Command;

use crate::roles::Roles;
use memtide_testkit::{Client, Memtide, Metrics, PATIENCE, RoleProcess, Signal, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

fn set(scaler: &RoleProcess, words: &[&str]) {
    let admin = scaler.admin_address().to_string();
    let words = [&["cache", "limits", "set"], words, &["--admin", &admin]].concat();
    let output = Command::new(PROGRAM).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn metric(role: &RoleProcess, name: &str) -> Option<f64> {
    Metrics::parse(&role.get("/metrics").body).get(name)
}

fn wait_granted(proxy: &RoleProcess, wanted: Option<f64>) {
    wait_until("the proxy to be granted its part", PATIENCE, || {
        (metric(proxy, "memtide_ecpu_per_second_granted") == wanted).then_some(())
    });
}

/// Its numbers begin anew, and what it was told is on its disk.
#[test]
fn a_proxy_has_its_part_of_whichever_scaler_is_there_and_keeps_it_while_there_is_none() {
    let mut roles = Roles::start();
    wait_granted(&roles.proxy, None);
    set(roles.scaler.as_ref().unwrap(), &["--ecpu-per-second-max", "2k"]);
    wait_granted(&roles.proxy, Some(2_000.0));
    assert_eq!(metric(&roles.proxy, "memtide_ecpu_per_second_max"), Some(2_000.0));
    roles.kill_scaler();
    let mut client = roles.connect();
    assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    wait_granted(&roles.proxy, Some(2_000.0));
    let scaler = roles.start_scaler();
    let limits = scaler.get("/v1/cache/limits").body;
    assert!(limits.contains(r#""ecpu_per_second":{"min":0,"max":2000}"#), "{limits}");
    set(scaler, &["--ecpu-per-second-max", "3k"]);
    wait_granted(&roles.proxy, Some(3_000.0));
    assert_eq!(client.ask(b"get k\r\n").unwrap(), "VALUE k 0 1\r\nx\r\nEND\r\n");
}

/// The scaler cannot tell a proxy that was killed from one that is cut off. It takes a minute before it has
/// given up the one, which is longer than this waits.
#[test]
fn a_proxy_that_follows_one_that_was_killed_has_its_part_at_once() {
    let mut roles = Roles::start();
    set(roles.scaler.as_ref().unwrap(), &["--ecpu-per-second-max", "2k"]);
    wait_granted(&roles.proxy, Some(2_000.0));
    for _ in 0..2 {
        roles.stop_proxy(Signal::KILL);
        roles.proxy = roles.start_proxy("proxy");
        wait_until("the next one is ready", PATIENCE, || {
            (roles.proxy.get("/readyz").status == 200).then_some(())
        });
        wait_granted(&roles.proxy, Some(2_000.0));
        let mut client = roles.connect();
        assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    }
    // One beside it follows nobody: they share.
    let other = roles.start_proxy("other");
    wait_until("the limit to be shared", PATIENCE, || {
        let granted = |proxy| metric(proxy, "memtide_ecpu_per_second_granted");
        (granted(&other) > Some(0.0) && granted(&roles.proxy) < Some(2_000.0)).then_some(())
    });
}

/// It has the scaler, too, and ends with it.
#[test]
fn the_whole_program_has_its_limit_again_after_it_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let words = ["--nodes", "processes=2", "--zones", "a,b", "--memory", "128m"];
    let limited = ["--ecpu-per-second-max", "2k"];
    let start =
        || Memtide::builder(PROGRAM).args(words).args(limited).data_dir(data.path()).start();
    let mut memtide = start();
    for _ in 0..2 {
        wait_until("it is ready", PATIENCE, || {
            let granted = memtide.metrics().get("memtide_ecpu_per_second_granted");
            (memtide.get("/readyz").status == 200 && granted == Some(2_000.0)).then_some(())
        });
        let mut client = Client::tls(memtide.address(), memtide.tls());
        assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
        memtide.signal(Signal::KILL);
        memtide.wait_exit(PATIENCE);
        memtide = start();
    }
}

/// Both nodes hold every item; the limit counts it once.
#[test]
fn nodes_share_the_limit_of_data_and_have_their_own_again_without_one() {
    let roles = Roles::start();
    let scaler = roles.scaler.as_ref().unwrap();
    let may_hold = || -> f64 {
        let limits = roles.nodes.iter().map(|node| metric(node, "memtide_memory_limit_bytes"));
        limits.map(Option::unwrap).sum()
    };
    assert_eq!(may_hold(), f64::from(128 << 20));
    set(scaler, &["--data-storage-max", "28MB"]);
    let most = f64::from((2 * 28 * 8 / 7) << 20);
    wait_until("the nodes to hold less", PATIENCE, || (may_hold() <= most).then_some(()));
    let mut client = roles.connect();
    let value = "x".repeat(500_000);
    let mut number = 0;
    let mut store = || {
        number += 1;
        let set = format!("set {number} 0 0 500000\r\n{value}\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    };
    let items = || -> f64 {
        let items = roles.nodes.iter().map(|node| metric(node, "memtide_node_items_bytes"));
        items.map(Option::unwrap).sum()
    };
    let (least, most) = (f64::from(18 << 20), f64::from(28 << 20));
    (0..60).for_each(|_| store());
    for _ in 60..100 {
        store();
        let held = items();
        assert!(held >= least, "{held} bytes are held, though there is room for {most}");
    }
    // A copy evicts with its primary, a moment later.
    wait_until("no more than the limit to be held", PATIENCE, || (items() <= most).then_some(()));
    set(scaler, &["--data-storage-max", "0"]);
    wait_until("the nodes to have all again", PATIENCE, || {
        (may_hold() >= f64::from(128 << 20)).then_some(())
    });
}
