//! The program as Kubernetes runs it: a scaler in a pod with a service account, whose nodes are pods too, and a double of
//! the API server.

#[path = "../../../crates/kubernetes/tests/cluster/mod.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use cluster::Cluster;
use memtide_testkit::{PATIENCE, RoleProcess, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
const SETS: [&str; 2] = ["node-a", "node-b"];

/// What a container is begun with: the files of its service account (from the directory `$0`) are where they always are,
/// and variables say where the API server is (at the port `$1`).
const CONTAINER: &str = r#"
account=/var/run/secrets/kubernetes.io/serviceaccount
mount -t tmpfs tmpfs "$(readlink -f /var/run)"
mkdir -p "$account"
mount --bind "$0" "$account"
export KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT="$1"
shift
exec "$@"
"#;

/// A zone a and a zone b with a pod each, and the scaler, which may have more.
struct World {
    cluster: Cluster,
    scaler: RoleProcess,
    pods: BTreeMap<String, RoleProcess>,
    scratch: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let init = ["tls", "init", "--dir"];
        let made = Command::new(PROGRAM).args(init).arg(scratch.path().join("tls")).output();
        assert!(made.unwrap().status.success());
        let cluster = Cluster::start(&SETS.map(|set| (set, 1)));
        for set in SETS {
            let mut state = cluster.state();
            let said = ("node.memtide/ecpu-max".to_owned(), "1000".to_owned());
            state.sets.entry(set.to_owned()).and_modify(|it| it.annotations.extend([said]));
            state.changed("MODIFIED", set);
        }
        let scaler = in_a_pod(&cluster, scratch.path());
        Self { cluster, scaler, pods: BTreeMap::new(), scratch }
    }

    /// Begins a process in each pod that has none.
    fn begin_pods(&mut self) {
        let mut pods: Vec<String> = self.cluster.state().pods.keys().cloned().collect();
        pods.retain(|pod| !self.pods.contains_key(pod));
        let join = self.scaler.address().to_string();
        let tls = self.scratch.path().join("tls");
        for pod in pods {
            let zone = pod.split('-').nth(1).unwrap();
            let who = ["--spare", "--instance", &pod, "--zone", zone, "--ecpu-max", "1000"];
            let joins = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--port", "0"];
            let may = ["--memory", "64m", "--memory-max", "4g"];
            let words = [&who[..], &joins, &may].concat();
            let process = RoleProcess::start(PROGRAM, "engine", words);
            self.pods.insert(pod, process);
        }
    }

    /// Waits until these pods are nodes, and no others.
    fn until_nodes_are(&mut self, wanted: &[&str]) {
        wait_until("these pods are nodes", PATIENCE, || {
            self.begin_pods();
            let nodes: Value = serde_json::from_str(&self.scaler.get("/v1/nodes").body).unwrap();
            let up = nodes["nodes"].as_array().unwrap().iter().filter(|it| it["state"] == "up");
            let mut names: Vec<_> = up.filter_map(|it| it["instance"].as_str()).collect();
            names.sort_unstable();
            (names == wanted).then_some(())
        });
    }

    fn cache(&self, words: &[&str]) -> String {
        let admin = self.scaler.admin_address().to_string();
        let words = [&["cache"], words, &["--admin", &admin]].concat();
        let output = Command::new(PROGRAM).args(words).env_clear().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn in_a_pod(cluster: &Cluster, scratch: &Path) -> RoleProcess {
    let mut container = Command::new("unshare");
    container.args(["--mount", "sh", "-euc", CONTAINER]).arg(cluster.account());
    container.arg(cluster.address().port().to_string()).arg(PROGRAM);
    let (tls, data) = (scratch.join("tls"), scratch.join("scaler"));
    let fleet = ["--port", "0", "--replicas", "0", "--nodes-min", "2", "--nodes-max", "8"];
    let kept = ["--fleet-tls", tls.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let sets = ["--kubernetes-statefulsets", "a=node-a,b=node-b"];
    let words = [&fleet[..], &kept, &sets].concat();
    RoleProcess::start_at(container, Ipv4Addr::LOCALHOST, "scaler", words)
}

#[test]
fn a_scaler_in_a_pod_has_more_pods_come_when_more_is_promised() {
    let mut world = World::start();
    world.until_nodes_are(&["node-a-0", "node-b-0"]);
    assert_eq!(world.cluster.state().scales, []);
    // What it has shown until now counts no more, as after an hour.
    world.cluster.rotate_token();
    world.cache(&["limits", "set", "--ecpu-per-second-min", "3000"]);
    world.until_nodes_are(&["node-a-0", "node-a-1", "node-b-0", "node-b-1"]);
    assert_eq!(world.cluster.state().replicas(), [2, 2]);
    let nodes = world.cache(&["nodes"]);
    assert!(nodes.contains(" node-b-1 "), "people are told, too: {nodes}");
}
