//! Fleets that follow their load by themselves: what their scaler says of them, and waiting for it.
#![allow(dead_code, reason = "no test uses all of it")]

mod cloud;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;

use memtide_testkit::{PATIENCE, http_get, wait_until};
use serde_json::Value;

pub use cloud::Cloud;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Commands that are answered before and after each change, at least.
pub const ANSWERED: u32 = 100;

/// A load that is checked: few keys, so that each has a long history, and several requests in flight on each.
pub const LOAD: [&str; 8] =
    ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "200"];

/// The scaler of a fleet, by its admin HTTP. Says what it did where a test fails.
pub struct Scaler(pub SocketAddr);

/// What it says of its fleet at a moment.
#[derive(Debug)]
pub struct Look {
    pub nodes: Vec<Seen>,
    /// Slots that have all their copies.
    pub complete: u64,
    /// Slots that are not yet where they belong.
    pub remaining: u64,
}

/// A node of the topology.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: String,
    pub address: String,
    pub zone: String,
    pub state: String,
    pub is_draining: bool,
    /// That it holds whole, as primary or copy.
    pub slots: u64,
}

impl Scaler {
    pub fn json(&self, path: &str) -> Value {
        let reply = http_get(self.0, path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    pub fn look(&self) -> Look {
        let answer = self.json("/v1/nodes");
        let text = |node: &Value, field: &str| node[field].as_str().unwrap().to_owned();
        let count = |of: &Value| of.as_u64().unwrap();
        let seen = |node: &Value| Seen {
            id: text(node, "id"),
            address: text(node, "address"),
            zone: text(node, "zone"),
            state: text(node, "state"),
            is_draining: node["draining"].as_bool().unwrap(),
            slots: count(&node["primary_slots"]) + count(&node["in_sync_slots"]),
        };
        Look {
            nodes: answer["nodes"].as_array().unwrap().iter().map(seen).collect(),
            complete: count(&answer["slots"]["complete"]),
            remaining: count(&self.json("/v1/migrations")["remaining_slots"]),
        }
    }

    /// Waits until it says something of the fleet.
    pub fn until<T>(&self, what: &str, found: impl Fn(&Look) -> Option<T>) -> T {
        wait_until(what, PATIENCE * 4, || found(&self.look()))
    }

    /// Waits until there are so many nodes and no others, and all that they are to have is there.
    pub fn until_settled(&self, count: usize) -> Vec<Seen> {
        self.until(&format!("{count} nodes, and every slot with its copies"), |look| {
            let is_up = |node: &Seen| node.state == "up" && !node.is_draining;
            let is_so = look.nodes.len() == count && look.nodes.iter().all(is_up);
            (is_so && look.is_whole()).then(|| look.nodes.clone())
        })
    }

    /// The names of the nodes that it has ordered and waits for; none before it has looked at its fleet.
    pub fn awaited(&self) -> BTreeSet<String> {
        let reply = http_get(self.0, "/v1/scaling");
        let said: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let steps = said["under_way"].as_array().into_iter().flatten();
        let names = steps.flat_map(|step| step["instances"].as_array().into_iter().flatten());
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// `memtide cache` with these words, against it.
    pub fn cache(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "memtide cache {words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// So many ECPUs a second are promised to the cache from now on.
    pub fn promise(&self, ecpus: &str) {
        self.cache(&["limits", "set", "--ecpu-per-second-min", ecpus]);
    }

    /// All that it has decided, and why.
    pub fn decisions(&self) -> String {
        self.json("/v1/scaling")["decisions"].to_string()
    }

    fn output(&self, words: &[&str]) -> std::process::Output {
        let mut command = Command::new(PROGRAM);
        command.arg("cache").args(words).args(["--admin", &self.0.to_string()]).env_clear();
        command.output().unwrap()
    }
}

impl Drop for Scaler {
    #[allow(clippy::print_stderr, reason = "the harness shows it where the test has failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for words in [&["nodes"][..], &["migrations"], &["scaling"], &["events"]] {
                let said = self.output(words);
                let text = [said.stdout, said.stderr].concat();
                eprintln!("memtide cache {words:?}:\n{}", String::from_utf8_lossy(&text));
            }
        }
    }
}

impl Look {
    /// Nodes that are not among these.
    pub fn others<'l>(&'l self, known: &'l [Seen]) -> impl Iterator<Item = &'l Seen> {
        self.nodes.iter().filter(|node| known.iter().all(|it| it.id != node.id))
    }

    /// Whether every slot is where it belongs, with its copies.
    pub const fn is_whole(&self) -> bool {
        self.complete == 16_384 && self.remaining == 0
    }
}
