//! What the roles of a fleet say of a mistake: one line, and an exit code. See docs/operations.md.

use std::fs;
use std::path::Path;
use std::process::Command;

use memtide_testkit::RoleProcess;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Runs `memtide` in a directory of its own and without our environment, and checks that it ends
/// with this code and this only line on standard error.
#[track_caller]
fn check(directory: &Path, arguments: &[&str], code: i32, expected: &str) {
    let mut command = Command::new(PROGRAM);
    let output = command.current_dir(directory).env_clear().args(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{arguments:?}: one line is wanted: {text}");
    assert!(text.starts_with(expected), "{arguments:?}: {text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
}

#[test]
fn what_a_fleet_was_told_exits_with_64() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let check = |arguments: &[&str], expected| check(directory, arguments, 64, expected);
    check(&["--nodes", "processes=0"], r#"memtide: --nodes: "processes=0": give embedded, or "#);
    check(&["--nodes", "processes=1001"], r#"memtide: --nodes: "processes=1001": give embedded"#);
    check(&["--zones", "a,b"], r#"memtide: --zones: "a,b": the embedded node is one"#);
    check(
        &["--nodes", "processes=2", "--replicas", "2"],
        r#"memtide: --replicas: "2": 2 nodes hold at most 1 replicas"#,
    );
    check(&["engine"], r#"memtide: --join: "": give the scaler to join"#);
    check(&["proxy", "--join", "x"], r#"memtide: --join: "x": x: give a host and a port"#);
    check(&["scaler", "--threads", "2"], "memtide: --threads: is for proxy and serve; leave it");
    check(&["engine", "--nodes-min", "2"], "memtide: --nodes-min: is for scaler; leave it out");
    check(
        &["cache"],
        "memtide: cache: what to do? give one of: topology, nodes, migrations, scaling, usage,",
    );
    check(
        &["cache", "slots", "move", "99999", "--to", "n1"],
        r#"memtide: <SLOTS>: "99999": give slots such as 0-99,200, of 0 to 16383"#,
    );
    check(&["cache", "node", "drain", "n1", "--wait", "x"], r#"memtide: --wait: "x": give "#);
    check(&["scaler", "--item-size-max", "2g"], r#"memtide: --item-size-max: "2g": give a size"#);
    check(&["cache", "nodes", "--admin", "x"], r#"memtide: --admin: "x": give an IP address"#);
    fs::write(directory.join("memtide.toml"), "replicas = 1\n").unwrap();
    check(
        &["engine", "--config", "memtide.toml"],
        r#"memtide: memtide.toml:1: "replicas" is for scaler and serve, not for engine; remove"#,
    );
}

#[test]
fn what_is_around_a_role_exits_with_69() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let check = |arguments: &[&str], expected| check(directory, arguments, 69, expected);
    let engine = ["engine", "--join", "127.0.0.1:1", "--port", "0", "--admin", "127.0.0.1:0"];
    let no_ca = "memtide: --fleet-tls memtide-data/fleet/tls/ca.pem: failed to read: ";
    check(&engine, no_ca);
    check(&["scaler", "--port", "0", "--admin", "127.0.0.1:0"], no_ca);
    let with_parent = [&engine[..], &["--parent", "1/2"]].concat();
    check(&with_parent, "memtide: the process that started this node has ended");
    check(
        &["cache", "nodes", "--admin", "127.0.0.1:1"],
        "memtide: no answer from http://127.0.0.1:1/v1/nodes: ",
    );
}

#[test]
fn a_second_scaler_on_the_same_data_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let init = Command::new(PROGRAM).current_dir(directory).args(["tls", "init"]).output().unwrap();
    assert!(init.status.success() && !init.stdout.is_empty());
    let data = directory.join("memtide-data");
    let words = ["--port", "0", "--data-dir", data.to_str().unwrap()];
    let first = RoleProcess::start(PROGRAM, "scaler", words);
    let words = ["scaler", "--port", "0", "--admin", "127.0.0.1:0"];
    check(directory, &words, 69, "memtide: ");
    assert_eq!(first.get("/healthz").status, 200);
}

#[test]
fn a_file_of_a_scaler_that_is_damaged_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let init = Command::new(PROGRAM).current_dir(directory).args(["tls", "init"]).output().unwrap();
    assert!(init.status.success());
    fs::write(directory.join("memtide-data/fleet/children"), "n1 127.0.0.1:1\n").unwrap();
    let words = ["scaler", "--port", "0", "--admin", "127.0.0.1:0"];
    let expected = "memtide: memtide-data/fleet/children is damaged; remove it: ";
    check(directory, &words, 69, expected);
}

#[test]
fn a_change_that_cannot_be_is_refused_with_its_reason() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    Command::new(PROGRAM).current_dir(directory).args(["tls", "init"]).output().unwrap();
    let data = directory.join("memtide-data");
    let words = ["--port", "0", "--data-dir", data.to_str().unwrap()];
    let scaler = RoleProcess::start(PROGRAM, "scaler", words);
    let admin = scaler.admin_address().to_string();
    check(
        directory,
        &["cache", "node", "drain", "n7", "--admin", &admin],
        64,
        "memtide: there is no node n7",
    );
    check(
        directory,
        &["cache", "replicas", "9", "--admin", &admin],
        64,
        "memtide: 9 replicas wanted; the most is 4",
    );
}
