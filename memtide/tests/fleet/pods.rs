//! The program as Kubernetes runs it: a scaler in a pod with a service account, whose nodes are pods too, and a double of
//! the API server.

#[path = "../../../crates/kubernetes/tests/cluster/mod.rs"]
mod cluster;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use cluster::Cluster;
use memtide_testkit::{Client, PATIENCE, RoleProcess, Signal, TlsClient, wait_until};
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
    /// How processes have ended that were told to.
    ends: Vec<(String, Option<i32>)>,
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
        Self { cluster, scaler, pods: BTreeMap::new(), ends: Vec::new(), scratch }
    }

    /// As a kubelet does: begins a process in each pod that has none, and notes which have ended.
    fn step(&mut self) {
        let pods = self.cluster.state().pods.clone();
        for (pod, is_ending) in pods {
            let ended = self.pods.get_mut(&pod).and_then(RoleProcess::try_exit);
            if let Some(status) = ended {
                assert!(is_ending, "{pod} has ended: {}", self.pods[&pod].logs().text());
                self.pods.remove(&pod);
                self.cluster.state().pod_ended(&pod);
                self.ends.push((pod, status.code()));
            } else if !self.pods.contains_key(&pod) {
                let process = self.begin(&pod);
                self.pods.insert(pod, process);
            }
        }
    }

    fn begin(&self, pod: &str) -> RoleProcess {
        let zone = pod.split('-').nth(1).unwrap();
        let who = ["--spare", "--instance", pod, "--zone", zone, "--ecpu-max", "1000"];
        self.role(
            "engine",
            &[&who[..], &["--memory", "64m", "--memory-max", "4g", "--drain-timeout", "2m"]]
                .concat(),
        )
    }

    fn role(&self, role: &str, words: &[&str]) -> RoleProcess {
        let (join, tls) = (self.scaler.address().to_string(), self.scratch.path().join("tls"));
        let joins = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--port", "0"];
        RoleProcess::start(PROGRAM, role, [words, &joins].concat())
    }

    /// As a rolling update of every set does at a time.
    fn replace_all(&mut self) {
        for (pod, process) in &self.pods {
            self.cluster.state().evict(pod);
            process.signal(Signal::TERM);
        }
    }

    /// Waits until these pods are nodes, and no others.
    fn until_nodes_are(&mut self, wanted: &[&str]) {
        wait_until("these pods are nodes", PATIENCE, || {
            self.step();
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
    // The next that it asks for counts by another token.
    world.cluster.rotate_token();
    world.cache(&["limits", "set", "--ecpu-per-second-min", "3000"]);
    world.until_nodes_are(&["node-a-0", "node-a-1", "node-b-0", "node-b-1"]);
    assert_eq!(world.cluster.state().replicas(), [2, 2]);
    let nodes = world.cache(&["nodes"]);
    assert!(nodes.contains(" node-b-1 "), "people are told, too: {nodes}");
}

#[test]
fn all_pods_may_be_replaced_at_once() {
    const KEYS: usize = 300;
    let mut world = World::start();
    world.until_nodes_are(&["node-a-0", "node-b-0"]);
    let data = world.scratch.path().join("proxy");
    let proxy = world.role("proxy", &["--read-port", "0", "--data-dir", data.to_str().unwrap()]);
    wait_until("the proxy is ready", PATIENCE, || {
        (proxy.get("/readyz").status == 200).then_some(())
    });
    let mut client = Client::tls(proxy.address(), &TlsClient::new(&data.join("tls/ca.pem")));
    let sets: String = (0..KEYS).map(|key| format!("set {key} 0 0 1\r\nx\r\n")).collect();
    assert_eq!(client.ask(sets.as_bytes()).unwrap(), "STORED\r\n".repeat(KEYS));
    world.replace_all();
    wait_until("both have given their slots away, and have ended", PATIENCE * 3, || {
        world.step();
        (world.ends.len() == 2).then_some(())
    });
    assert!(world.ends.iter().all(|(_, code)| *code == Some(0)), "{:?}", world.ends);
    // Whoever was begun since: others of their sets, or those in their places.
    wait_until("a node in each zone has what there is", PATIENCE, || {
        world.step();
        let nodes: Value = serde_json::from_str(&world.scaler.get("/v1/nodes").body).unwrap();
        let up = nodes["nodes"].as_array()?.iter().filter(|it| it["primary_slots"] != 0);
        let zones: Vec<_> = up.filter_map(|it| it["zone"].as_str()).collect();
        (zones.contains(&"a") && zones.contains(&"b")).then_some(())
    });
    let gets: String = (0..KEYS).map(|key| format!("mg {key} v\r\n")).collect();
    assert_eq!(client.ask(gets.as_bytes()).unwrap(), "VA 1\r\nx\r\n".repeat(KEYS));
}
