use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::{Memtide, Metrics, PATIENCE, http_get, signal, wait_until};

/// A `memtide serve --nodes processes=N` whose node processes can be found and hurt.
#[derive(Debug)]
pub struct Fleet {
    program: PathBuf,
    memtide: Memtide,
}

/// A node process of a [`Fleet`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetNode {
    /// Its name in the topology, `n3`.
    pub node: String,
    /// Its process.
    pub pid: u32,
    /// Where it is.
    pub zone: String,
}

impl Fleet {
    /// Starts `processes` nodes over `zones` (`a,b,c`), each slot with `replicas` copies beside its
    /// primary, and waits until every slot has them.
    ///
    /// # Panics
    /// With the log when it does not come up.
    #[must_use]
    pub fn start(program: impl AsRef<Path>, processes: usize, zones: &str, replicas: u8) -> Self {
        Self::start_with(program, (processes, zones, replicas), &[])
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(
        program: impl AsRef<Path>,
        (processes, zones, replicas): (usize, &str, u8),
        arguments: &[&str],
    ) -> Self {
        let memory = format!("{}m", 64 * processes);
        let arguments = [&["--memory", &memory], arguments].concat();
        Self::start_sized(program, (processes, zones, replicas), &arguments)
    }

    /// The same with arguments that say how much memory it has.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_sized(
        program: impl AsRef<Path>,
        (processes, zones, replicas): (usize, &str, u8),
        arguments: &[&str],
    ) -> Self {
        let nodes = format!("processes={processes}");
        Self::start_nodes(program.as_ref(), &nodes, (processes, zones, replicas), arguments)
    }

    /// The same with so many nodes at the start and at most, whose number and memory follow the load.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_scaling(
        program: impl AsRef<Path>,
        (least, most): (usize, usize),
        (zones, replicas): (&str, u8),
        arguments: &[&str],
    ) -> Self {
        let nodes = format!("processes={least}..{most}");
        Self::start_nodes(program.as_ref(), &nodes, (least, zones, replicas), arguments)
    }

    fn start_nodes(
        program: &Path,
        nodes: &str,
        (processes, zones, replicas): (usize, &str, u8),
        arguments: &[&str],
    ) -> Self {
        let program = program.to_owned();
        let memtide = Memtide::builder(&program)
            .args(["--nodes", nodes, "--zones", zones])
            .args(["--replicas", &replicas.to_string()])
            .args(arguments)
            .start();
        let fleet = Self { program, memtide };
        wait_until("the fleet is ready", PATIENCE, || {
            (fleet.memtide.get("/readyz").status == 200).then_some(())
        });
        fleet.wait_settled(processes);
        fleet
    }

    /// The process that clients connect to.
    #[must_use]
    pub const fn memtide(&self) -> &Memtide {
        &self.memtide
    }

    /// The program that it runs.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same, to wait for its end.
    pub const fn memtide_mut(&mut self) -> &mut Memtide {
        &mut self.memtide
    }

    /// Where further nodes can join.
    ///
    /// # Panics
    /// Where the admin HTTP does not say.
    #[must_use]
    pub fn scaler_address(&self) -> SocketAddr {
        let processes = self.json("/v1/processes");
        let address = processes["scaler"].as_str().and_then(|address| address.parse().ok());
        address.expect("the admin HTTP says where its scaler is")
    }

    /// The certificates by which further processes can join.
    ///
    /// # Panics
    /// Where its CA is another than the one it made.
    #[must_use]
    pub fn tls_dir(&self) -> PathBuf {
        let data_dir = self.memtide.ca_file().parent().and_then(Path::parent);
        data_dir.expect("the CA is in tls/ of the data directory").join("fleet/tls")
    }

    /// JSON of the admin HTTP.
    ///
    /// # Panics
    /// When it answers something else.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        let reply = self.memtide.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        serde_json::from_str(&reply.body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", reply.body))
    }

    /// The node processes that run and have registered.
    #[must_use]
    pub fn nodes(&self) -> Vec<FleetNode> {
        let processes = self.json("/v1/processes");
        let node = |process: &Value| {
            Some(FleetNode {
                node: process.get("node")?.as_str()?.to_owned(),
                pid: process.get("pid")?.as_u64()?.try_into().ok()?,
                zone: process.get("zone")?.as_str()?.to_owned(),
            })
        };
        processes["processes"].as_array().into_iter().flatten().filter_map(node).collect()
    }

    /// What each node counts, by its name.
    ///
    /// # Panics
    /// Where a node that is up does not say.
    #[must_use]
    pub fn node_metrics(&self) -> BTreeMap<String, Metrics> {
        let nodes = self.json("/v1/nodes");
        let nodes = nodes["nodes"].as_array().into_iter().flatten();
        let up = nodes.filter(|node| node["state"] == "up");
        up.filter_map(|node| {
            let address = node["address"].as_str()?;
            let admin = self.memtide.logs().find(PATIENCE, |line| node_admin(line, address));
            let admin = admin.unwrap_or_else(|| panic!("no log of the node at {address}"));
            let metrics = Metrics::parse(&http_get(admin, "/metrics").body);
            Some((node["id"].as_str()?.to_owned(), metrics))
        })
        .collect()
    }

    /// Waits until a node is the primary of every slot, and nothing is left to be moved.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn wait_all_on(&self, node: &FleetNode) {
        wait_until("all slots are there", PATIENCE * 10, || {
            let nodes = self.json("/v1/nodes");
            let mut nodes = nodes["nodes"].as_array().into_iter().flatten();
            let slots = nodes.find(|it| it["id"] == *node.node)?["primary_slots"].as_u64();
            let left = self.json("/v1/migrations")["remaining_slots"].as_u64();
            (slots == Some(16_384) && left == Some(0)).then_some(())
        });
    }

    /// Sends a signal to a node process.
    pub fn signal(&self, node: &FleetNode, number: Signal) {
        signal(node.pid, number);
    }

    /// Waits until `count` nodes live, every slot has all the copies that it shall have, in sync,
    /// and nothing is left to be moved.
    ///
    /// # Panics
    /// With what is still to be done, when it takes too long.
    pub fn wait_settled(&self, count: usize) {
        wait_until("every slot has its copies, where they belong", PATIENCE * 10, || {
            self.is_settled(count).then_some(())
        });
    }

    fn is_settled(&self, count: usize) -> bool {
        let nodes = self.json("/v1/nodes");
        let up = nodes["nodes"].as_array().into_iter().flatten();
        let up = up.filter(|node| node["state"] == "up").count();
        let left = self.json("/v1/migrations")["remaining_slots"].as_u64();
        up == count && left == Some(0) && nodes["slots"]["complete"].as_u64() == Some(16_384)
    }

    /// `memtide cache` with these words, against this fleet; gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn cache(&self, words: &[&str]) -> String {
        let output = Command::new(&self.program)
            .arg("cache")
            .args(words)
            .args(["--admin", &self.memtide.admin_address().to_string()])
            .env_clear()
            .output()
            .expect("the program must be there");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "memtide cache {words:?}: {text}{error}");
        text
    }
}

/// The admin HTTP of the node process that takes its peers at this address, in its `listening` event.
fn node_admin(line: &str, address: &str) -> Option<SocketAddr> {
    let event: Value = serde_json::from_str(line).ok()?;
    let is_it = event["message"] == "listening" && event["address"] == *address;
    is_it.then(|| event["admin"].as_str()?.parse().ok()).flatten()
}
