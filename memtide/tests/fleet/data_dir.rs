//! A scaler that is started with an older copy of its data directory, or with none; and `serve` that
//! is started anew beside nodes that live on.

use std::process::Command;

use crate::roles::{Roles, Saved, epoch_of, restore, save};
use memtide_testkit::{Client, Memtide, PATIENCE, RoleProcess, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Waits until a scaler says that it stands still, and checks that nothing came of its start.
fn check_stands_still(roles: &Roles, words: &str) {
    let scaler = roles.scaler.as_ref().unwrap();
    let reason = wait_until("the scaler to say that it stands still", PATIENCE, || {
        let reply = scaler.get("/readyz?verbose");
        (reply.status == 503 && reply.body.contains("stands still")).then_some(reply.body)
    });
    assert!(reason.contains(words), "{reason}");
    assert!(scaler.get("/metrics").body.contains("\nmemtide_topology_store_behind 1\n"));
    let line = |line: &str| (line.contains(words) && line.contains("ERROR")).then_some(());
    assert!(scaler.logs().find(PATIENCE, line).is_some(), "{}", scaler.logs().text());
    let admin = scaler.admin_address().to_string();
    let words = ["cache", "replicas", "0", "--admin", &admin];
    let output = Command::new(PROGRAM).args(words).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    for node in &roles.nodes {
        let line = |line: &str| line.contains("it stands still").then_some(());
        assert!(node.logs().find(PATIENCE, line).is_some(), "{}", node.logs().text());
        assert_eq!(node.get("/healthz").status, 200);
    }
}

/// Changes the topology after its directory was saved; gives that copy.
fn fall_apart(roles: &Roles, client: &mut Client) -> Saved {
    assert_eq!(client.ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    let older = save(&roles.data_dir());
    for replicas in [0, 1] {
        roles.set_replicas(replicas);
    }
    roles.wait_at_rest();
    older
}

fn check_value(client: &mut Client) {
    client.send(b"get k\r\n").unwrap();
    assert_eq!(client.read_until(b"END\r\n").unwrap(), b"VALUE k 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn an_older_data_directory_is_noticed_and_costs_nothing() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    let older = fall_apart(&roles, &mut client);
    let endpoint = format!("localhost:{}", roles.proxy.address().port());
    let ca = roles.scratch.path().join("proxy/tls/ca.pem");
    let load = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "300"];
    let load = Verifying::start_at(Command::new(PROGRAM), &endpoint, &ca, load);
    roles.kill_scaler();
    let adopted = roles.nodes.iter().map(epoch_of).max().unwrap();
    let newest = save(&roles.data_dir());
    restore(&roles.data_dir(), &older);
    roles.start_scaler();
    check_stands_still(&roles, "this data directory is an older one");
    check_value(&mut client);
    check_value(&mut roles.connect());
    assert!(
        roles.nodes.iter().all(|node| epoch_of(node) == adopted),
        "nobody was told of anything"
    );

    roles.kill_scaler();
    restore(&roles.data_dir(), &newest);
    roles.start_scaler();
    roles.wait_both_up();
    assert!(roles.set_replicas(0) > adopted, "no epoch is used twice");
    load.finish().assert_unnoticed();
}

#[test]
fn an_empty_data_directory_is_noticed_and_costs_nothing() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    fall_apart(&roles, &mut client);
    roles.kill_scaler();
    let newest = save(&roles.data_dir());
    restore(&roles.data_dir(), &Saved::new());
    roles.start_scaler();
    check_stands_still(&roles, "of which nothing is stored here");
    check_value(&mut client);
    roles.kill_scaler();
    std::fs::create_dir_all(roles.data_dir()).unwrap();
    restore(&roles.data_dir(), &newest);
    roles.start_scaler();
    roles.wait_both_up();
    check_value(&mut client);
    assert_eq!(roles.scaler.as_ref().unwrap().get("/readyz").status, 200);
}

/// The node that knows most has what the scaler has lost.
#[test]
fn a_data_directory_that_is_lost_is_made_up_for_by_a_node() {
    let mut roles = Roles::start();
    let mut client = roles.connect();
    fall_apart(&roles, &mut client);
    roles.kill_scaler();
    let (adopted, newest) =
        roles.nodes.iter().map(|node| (epoch_of(node), node)).max_by_key(|it| it.0).unwrap();
    let admin = newest.admin_address().to_string();
    let words = ["cache", "--json", "save-topology", "--admin", &admin];
    let saved = Command::new(PROGRAM).args(words).env_clear().output().unwrap();
    assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
    let told = String::from_utf8_lossy(&saved.stdout);
    assert!(told.contains("limits that were changed, usage and events are not in it"), "{told}");
    let saved: Value = serde_json::from_slice(&saved.stdout).unwrap();
    assert_eq!(saved["epoch"], adopted);
    restore(&roles.data_dir(), &Saved::new());
    let place = roles.data_dir().join("fleet");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::copy(saved["file"].as_str().unwrap(), place.join("topology")).unwrap();
    roles.start_scaler();
    roles.wait_both_up();
    assert!(roles.set_replicas(0) > adopted, "no epoch is used twice");
    assert_eq!(roles.scaler.as_ref().unwrap().get("/readyz").status, 200);
    check_value(&mut client);
}

/// Its own node processes end with it; others do not.
#[test]
fn serve_that_is_killed_and_started_anew_keeps_what_nodes_from_outside_hold() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let start = || {
        let memtide = Memtide::builder(PROGRAM)
            .args(["--nodes", "processes=1", "--memory", "64m"])
            .data_dir(&data)
            .start();
        wait_until("it to be ready", PATIENCE, || {
            (memtide.get("/readyz").status == 200).then_some(())
        });
        memtide
    };
    let first = start();
    let processes: Value = serde_json::from_str(&first.get("/v1/processes").body).unwrap();
    let join = processes["scaler"].as_str().unwrap().to_owned();
    let tls = data.join("fleet/tls");
    let words = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--memory", "64m"];
    let outside = RoleProcess::start(PROGRAM, "engine", [&words[..], &["--port", "0"]].concat());
    let nodes = |memtide: &Memtide| -> Vec<Value> {
        let nodes: Value = serde_json::from_str(&memtide.get("/v1/nodes").body).unwrap();
        nodes["nodes"].as_array().unwrap().clone()
    };
    let is_outside = |node: &Value| node["parent_token"].is_null() && node["state"] == "up";
    let share = |memtide: &Memtide| {
        let nodes = nodes(memtide);
        nodes.iter().find(|node| is_outside(node)).and_then(|node| node["primary_slots"].as_u64())
    };
    wait_until("both nodes to have their share", PATIENCE, || {
        let left: Value = serde_json::from_str(&first.get("/v1/migrations").body).unwrap();
        (left["remaining_slots"] == 0).then_some(share(&first)?).filter(|slots| *slots > 7_000)
    });
    let mut client = Client::tls(first.address(), first.tls());
    let keys: Vec<String> = (0..200).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        let set = format!("set {key} 0 0 1\r\nx\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    drop((client, first));
    let again = start();
    wait_until("the node from outside to be back", PATIENCE, || {
        (nodes(&again).iter().filter(|node| is_outside(node)).count() == 1).then_some(())
    });
    assert_eq!(outside.get("/healthz").status, 200);
    let mut client = Client::tls(again.address(), again.tls());
    let found = keys.iter().filter(|key| {
        client.send(format!("get {key}\r\n").as_bytes()).unwrap();
        client.read_until(b"END\r\n").unwrap().starts_with(b"VALUE")
    });
    let found = found.count();
    assert!((50..150).contains(&found), "{found} of 200 were on the node from outside");
}
