//! A fleet of node processes whose number is not always the same, and what cannot be meant by one.

use std::path::Path;
use std::process::Command;

use memtide_testkit::{Memtide, PATIENCE, signal, wait_until};
use rustix::process::Signal;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

struct Fleet(Memtide);

fn start(nodes: &str, arguments: &[&str]) -> Fleet {
    let builder = Memtide::builder(PROGRAM).args(["--nodes", nodes]).args(arguments);
    let fleet = Fleet(builder.start());
    wait_until("the fleet is ready", PATIENCE, || {
        (fleet.0.get("/readyz").status == 200).then_some(())
    });
    fleet
}

impl Fleet {
    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.0.get(path).body).unwrap()
    }

    /// The process of an instance, once its node is there.
    fn find(&self, instance: &str) -> Option<(u64, String)> {
        let answer = self.json("/v1/processes");
        let process = answer["processes"].as_array().unwrap().iter();
        let process = process.clone().find(|it| it["instance"] == instance)?;
        Some((process["pid"].as_u64()?, process["node"].as_str()?.to_owned()))
    }

    fn wait(&self, instance: &str, is_it: impl Fn(u64) -> bool) -> (u64, String) {
        wait_until("the process runs and has joined", PATIENCE, || {
            self.find(instance).filter(|(pid, _)| is_it(*pid))
        })
    }
}

#[test]
fn a_fleet_begins_with_as_few_nodes_and_as_little_memory_as_can_be() {
    let fleet = start("processes=1..3", &["--memory", "384m"]);
    let (pid, node) = fleet.wait("first-1", |_| true);
    let answer = fleet.json("/v1/processes");
    assert_eq!(answer["processes"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["processes"][0]["zone"], "default");
    let nodes = fleet.json("/v1/nodes");
    assert_eq!(nodes["nodes"][0]["id"], *node, "{nodes}");
    assert_eq!(nodes["nodes"][0]["memory_max_bytes"], 64 << 20, "{nodes}");

    // Its successor is called the same.
    signal(u32::try_from(pid).unwrap(), Signal::KILL);
    let (_, successor) = fleet.wait("first-1", |its| its != pid);
    assert_ne!(successor, node);
}

#[test]
fn a_node_that_was_drained_leaves_and_another_comes_for_it() {
    let fleet = start("processes=2..3", &["--memory", "384m", "--zones", "a,b"]);
    let (_, node) = fleet.wait("first-2", |_| true);
    fleet.wait("first-1", |_| true);
    let admin = fleet.0.admin_address().to_string();
    let words = ["cache", "node", "drain", &node, "--wait", "60s", "--admin", &admin];
    let drained = Command::new(PROGRAM).args(words).output().unwrap();
    assert!(drained.status.success(), "{}", String::from_utf8_lossy(&drained.stderr));
    let ended = wait_until("its process has ended", PATIENCE, || {
        let events = fleet.json("/v1/events");
        let events = events["events"].as_array().unwrap().clone();
        events.into_iter().find(|event| event["kind"] == "node_ended")
    });
    let text = ended["text"].as_str().unwrap();
    let expected = "in zone b, called first-2: exit status: 0; it is not replaced";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(fleet.find("first-2"), None);
    assert!(fleet.find("first-1").is_some());
    // There are to be two at least, and one in each zone where they can be had.
    let answer = wait_until("another has joined", PATIENCE, || {
        let answer = fleet.json("/v1/processes");
        let processes = answer["processes"].as_array().unwrap().clone();
        let has_joined = processes.iter().filter(|it| it["node"].is_string()).count() == 2;
        has_joined.then_some(processes)
    });
    assert!(answer.iter().all(|it| it["instance"] != "first-2"), "{answer:?}");
}

#[test]
fn what_is_promised_is_there_before_the_data_and_is_given_back() {
    let arguments = ["--memory", "6g", "--scale-in-after", "1s"];
    let fleet = start("processes=1..3", &arguments);
    fleet.wait("first-1", |_| true);
    let admin = fleet.0.admin_address().to_string();
    let memtide = |words: &[&str]| {
        let output = Command::new(PROGRAM).args(words).args(["--admin", &admin]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let until = |what: &str, is_it: &dyn Fn(usize, u64) -> bool| {
        wait_until(what, PATIENCE * 4, || {
            let nodes = fleet.json("/v1/nodes")["nodes"].as_array().unwrap().clone();
            let memory = nodes.iter().filter_map(|it| it["memory_max_bytes"].as_u64()).sum();
            is_it(nodes.len(), memory).then_some(())
        });
    };
    memtide(&["cache", "limits", "set", "--data-storage-min", "5GB"]);
    until("three nodes", &|nodes, memory| nodes == 3 && memory >= 4_950_000_000);
    let explained = memtide(&["cache", "scaling"]);
    assert!(explained.contains("a limit's minimum promises more memory"), "{explained}");
    memtide(&["cache", "limits", "set", "--data-storage-min", "0"]);
    until("one node again", &|nodes, memory| nodes == 1 && memory <= 128 << 20);
}

#[test]
fn what_cannot_be_meant_gets_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        check(scratch.path(), arguments, code, expected);
    };
    check(
        &["--nodes", "processes=4..2"],
        64,
        r#"memtide: --nodes: "processes=4..2": more at the start than at most; give processes=2..4"#,
    );
    check(
        &["--nodes", "processes=1..2", "--provision", "./x"],
        64,
        "memtide: --provision: is for scaler; leave it out",
    );
    check(
        &["scaler", "--provision", "./x"],
        64,
        r#"memtide: --provision: "./x": the scaler leaves the nodes as they are; give --nodes-max"#,
    );
    let scaler = ["scaler", "--nodes-max", "3", "--provision"];
    let there_is_none = "memtide: --provision ./nodes.sh: there is no such program; correct it, or";
    check(&[&scaler[..], &["./nodes.sh,x"]].concat(), 69, there_is_none);
    let check_only = ["config", "check", "scaler", "--nodes-max", "3", "--provision"];
    check(&[&check_only[..], &["./nodes.sh"]].concat(), 69, there_is_none);
    std::fs::write(scratch.path().join("nodes.sh"), "exit 0").unwrap();
    let may_not = "memtide: --provision ./nodes.sh: not a program that may be run; correct it, or";
    check(&[&scaler[..], &["./nodes.sh"]].concat(), 69, may_not);
    let pods = ["scaler", "--nodes-max", "3", "--kubernetes-statefulsets", "a=node-a"];
    if cfg!(feature = "kubernetes") {
        let no_pod = "memtide: --kubernetes-statefulsets: this process has no access to the API of Kubernetes (";
        check(&pods, 69, no_pod);
        check(&[&["config", "check"], &pods[..]].concat(), 69, no_pod);
    } else {
        let without = r#"memtide: --kubernetes-statefulsets: "a=node-a": this memtide was built without Kubernetes;"#;
        check(&pods, 64, without);
    }
    // What is wrong beside it is found next.
    let no_ca = "memtide: --fleet-tls memtide-data/fleet/tls/ca.pem: failed to read: ";
    check(&[&check_only[..], &["sh"]].concat(), 69, no_ca);
}

/// It ends with this code and this only line on standard error.
#[track_caller]
fn check(directory: &Path, arguments: &[&str], code: i32, expected: &str) {
    let mut command = Command::new(PROGRAM);
    let command = command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin");
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{arguments:?}: one line is wanted: {text}");
    assert!(text.starts_with(expected), "{arguments:?}: {text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
}
