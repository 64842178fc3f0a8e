//! The certificates by which the roles of a fleet know each other, changed while it runs.

use std::path::Path;
use std::process::Command;

use crate::roles::Roles;
use memtide_testkit::{Metrics, PATIENCE, RoleProcess, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

fn make(dir: &Path) {
    let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(dir).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Waits until each process has put so many changes in force, and none has refused one since.
fn wait_taken(roles: &[(&RoleProcess, &str)], count: f64) {
    for (process, role) in roles {
        wait_until("the files to be put in force", PATIENCE, || {
            let metrics = Metrics::parse(&process.get("/metrics").body);
            let series =
                format!("memtide_fleet_tls_reloads_total{{role=\"{role}\",result=\"success\"}}");
            (metrics.get(&series) >= Some(count)).then_some(())
        });
    }
}

/// Nobody is told to: the files change, in an order in which all know each other all the time.
#[test]
fn another_ca_takes_over_and_no_client_notices() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    assert_eq!(client.ask(b"set a 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    let (tls, next) = (roles.scratch.path().join("tls"), roles.scratch.path().join("next"));
    make(&next);
    let read = |dir: &Path, name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    // Into place at once, as whoever is careful does.
    let put = |name: &str, text: &str| {
        std::fs::write(tls.join("made"), text).unwrap();
        std::fs::rename(tls.join("made"), tls.join(name)).unwrap();
    };
    let scaler = roles.scaler.take().unwrap();
    let all = [
        (&scaler, "scaler"),
        (&roles.nodes[0], "node"),
        (&roles.nodes[1], "node"),
        (&roles.proxy, "proxy"),
    ];
    put("ca.pem", &format!("{}{}", read(&tls, "ca.pem"), read(&next, "ca.pem")));
    wait_taken(&all, 1.0);
    for role in ["scaler", "node", "proxy"] {
        // Between the two it is no pair, and refused.
        put(&format!("{role}.key"), &read(&next, &format!("{role}.key")));
        put(&format!("{role}.pem"), &read(&next, &format!("{role}.pem")));
    }
    wait_taken(&all, 2.0);
    put("ca.pem", &read(&next, "ca.pem"));
    wait_taken(&all, 3.0);
    assert_eq!(client.ask(b"get a\r\n").unwrap(), "VALUE a 0 1\r\nx\r\nEND\r\n");

    // Whoever comes now knows the new CA alone, and is known.
    let late = roles.start_proxy("late");
    wait_until("one that comes later is ready", PATIENCE, || {
        (late.get("/readyz").status == 200).then_some(())
    });
    let metrics = Metrics::parse(&late.get("/metrics").body);
    let not_after = "memtide_fleet_certificate_not_after_seconds{role=\"proxy\"}";
    assert!(metrics.get(not_after) > Some(1.7e9));
    roles.scaler = Some(scaler);
}
