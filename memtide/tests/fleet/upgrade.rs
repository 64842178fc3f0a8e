//! A fleet that is upgraded process by process, as docs/operations.md tells, and goes back: clients notice nothing.
//!
//! The older program is this one, held to version 1 of the node protocol: see docs/design/0021.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use memtide_testkit::{
    Client, Ending, Etcd, Metrics, PATIENCE, RoleProcess, Signal, TlsClient, Verifying,
    reply_within, wait_until,
};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];

/// Commands that are answered beside each step, at least.
const ANSWERED: u32 = 100;

const ZONES: [&str; 3] = ["a", "b", "c"];

/// The newest version of the node protocol that a process speaks.
#[derive(Clone, Copy)]
enum Speaks {
    One,
    Newest,
}

impl Speaks {
    /// How it is told so.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::One => &["--wire-version-max", "1"],
            Self::Newest => &[],
        }
    }
}

/// A member of etcd, two scalers, a node in each zone, two proxies.
struct Site {
    etcd: Etcd,
    scalers: Vec<RoleProcess>,
    nodes: Vec<RoleProcess>,
    proxies: Vec<RoleProcess>,
    scratch: tempfile::TempDir,
}

impl Site {
    /// All of whose processes speak version 1.
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let tls = scratch.path().join("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(&tls).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (scalers, nodes, proxies) = (Vec::new(), Vec::new(), Vec::new());
        let mut site = Self { etcd: Etcd::start(1), scalers, nodes, proxies, scratch };
        for number in 0..2 {
            site.scalers.push(site.scaler(number, 0));
        }
        for number in 0..ZONES.len() {
            site.nodes.push(site.node(number, 0, Speaks::One));
        }
        for number in 0..2 {
            site.proxies.push(site.proxy(number, 0, Speaks::One));
        }
        site.wait_settled();
        site
    }

    fn scaler(&self, number: usize, port: u16) -> RoleProcess {
        let urls = self.etcd.urls();
        let words = ["--etcd", &urls, "--replicas", "1", "--nodes-min", "3"];
        self.run("scaler", number, port, &words)
    }

    fn node(&self, number: usize, port: u16, speaks: Speaks) -> RoleProcess {
        let (join, zone) = (self.join(), ZONES[number % ZONES.len()]);
        let words = ["--join", &join, "--zone", zone, "--memory", "64m", "--drain-timeout", "2m"];
        self.run("engine", number, port, &[&words[..], speaks.words()].concat())
    }

    fn proxy(&self, number: usize, port: u16, speaks: Speaks) -> RoleProcess {
        let join = self.join();
        let words = ["--join", &join, "--read-port", "0"];
        self.run("proxy", number, port, &[&words[..], speaks.words()].concat())
    }

    fn run(&self, role: &str, number: usize, port: u16, words: &[&str]) -> RoleProcess {
        let tls = self.path("tls");
        let (data, port) = (self.path(&format!("{role}-{number}")), port.to_string());
        let dirs = ["--fleet-tls", tls.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
        RoleProcess::start(PROGRAM, role, [&dirs[..], &["--port", &port], words].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn join(&self) -> String {
        let addresses = self.scalers.iter().map(|scaler| scaler.address().to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Another process is in the place of this scaler: the other one leads meanwhile.
    fn replace_scaler(&mut self, number: usize) {
        let port = drain(&mut self.scalers[number]);
        self.scalers[number] = self.scaler(number, port);
        self.wait_settled();
    }

    /// The others have its slots meanwhile.
    fn replace_node(&mut self, number: usize, speaks: Speaks) {
        let port = drain(&mut self.nodes[number]);
        self.nodes[number] = self.node(number, port, speaks);
        self.wait_settled();
    }

    /// Another one is started beside it, to which its slots go.
    fn replace_node_beside(&mut self, number: usize, speaks: Speaks) {
        let other = self.node(number + ZONES.len(), 0, speaks);
        drain(&mut std::mem::replace(&mut self.nodes[number], other));
        self.wait_settled();
    }

    /// Its clients are told to go, and nothing that they have asked is lost.
    fn replace_proxy(&mut self, number: usize, speaks: Speaks) {
        let mut client = self.connect(number);
        assert_eq!(client.ask(b"set upgrade 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
        self.proxies[number].signal(Signal::TERM);
        let (bytes, ending) = client.read_to_end().unwrap();
        assert_eq!((bytes.len(), ending), (0, Ending::CloseNotify));
        drop(client);
        let port = ended(&mut self.proxies[number]);
        self.proxies[number] = self.proxy(number, port, speaks);
        self.wait_settled();
        assert_eq!(self.connect(number).ask(b"delete upgrade\r\n").unwrap(), "DELETED\r\n");
    }

    fn connect(&self, number: usize) -> Client {
        Client::tls(self.proxies[number].address(), &TlsClient::new(&self.ca(number)))
    }

    fn ca(&self, number: usize) -> PathBuf {
        self.path(&format!("proxy-{number}/tls/ca.pem"))
    }

    /// Waits until clients are served by both proxies, and all nodes hold their part, each slot with a replica.
    fn wait_settled(&self) {
        wait_until("all slots have their replicas", PATIENCE * 4, || {
            let ready = |proxy: &RoleProcess| proxy.get("/readyz").status == 200;
            let leader = self.leader()?;
            let told = json(leader, "/v1/nodes")?;
            let (nodes, proxies) = (told["nodes"].as_array()?, told["proxies"].as_array()?);
            let has_part =
                |node: &Value| node["state"] == "up" && node["primary_slots"].as_u64() > Some(0);
            let left = json(leader, "/v1/migrations")?["remaining_slots"].as_u64();
            let is_settled = nodes.len() == ZONES.len()
                && nodes.iter().all(has_part)
                && told["slots"]["complete"] == 16_384
                && proxies.len() == self.proxies.len()
                && left == Some(0);
            (is_settled && self.proxies.iter().all(ready)).then_some(())
        });
    }

    fn leader(&self) -> Option<&RoleProcess> {
        self.scalers.iter().find(|scaler| metric(scaler, "memtide_scaler_leads") == Some(1.0))
    }

    /// Waits until so many processes of each role speak a version and no newer one, as the scaler tells in both ways.
    fn wait_speaking(&self, expected: &[((&'static str, u64), usize)]) {
        let expected = expected.iter().copied().collect();
        wait_until("as many speak each version", PATIENCE, || {
            let leader = self.leader()?;
            let (speaking, counted) = (speaking(leader)?, counted(leader));
            (speaking == expected && counted == expected).then_some(())
        });
    }

    /// Loads a proxy.
    fn load(&self, number: usize) -> Verifying {
        let words = LOAD.map(str::to_owned).into_iter().chain(reply_within());
        let load = Verifying::start_on(PROGRAM, &self.proxies[number], &self.ca(number), words);
        load.wait_answered(ANSWERED);
        load
    }
}

/// It gives up what it has, and ends.
fn drain(process: &mut RoleProcess) -> u16 {
    process.signal(Signal::TERM);
    ended(process)
}

/// It has, as it was told; its port is free.
fn ended(process: &mut RoleProcess) -> u16 {
    let status = process.wait_exit(PATIENCE * 4);
    assert!(status.success(), "{status}: {}", process.logs().text());
    process.address().port()
}

fn json(process: &RoleProcess, path: &str) -> Option<Value> {
    let reply = process.get(path);
    (reply.status == 200).then(|| serde_json::from_str(&reply.body).unwrap())
}

fn metric(process: &RoleProcess, name: &str) -> Option<f64> {
    Metrics::parse(&process.get("/metrics").body).get(name)
}

/// Processes by role and by the newest version of the node protocol that they speak; `None` while one is not known.
type Speaking = BTreeMap<(&'static str, u64), usize>;

fn speaking(leader: &RoleProcess) -> Option<Speaking> {
    let told = json(leader, "/v1/nodes")?;
    let mut speaking = BTreeMap::new();
    for (list, role) in [("nodes", "engine"), ("proxies", "proxy")] {
        for process in told[list].as_array()? {
            let version = process["wire_version_max"].as_u64()?;
            assert_eq!(process["program"], env!("CARGO_PKG_VERSION"), "{process}");
            *speaking.entry((role, version)).or_default() += 1;
        }
    }
    Some(speaking)
}

/// The same by the metrics.
fn counted(leader: &RoleProcess) -> Speaking {
    let metrics = Metrics::parse(&leader.get("/metrics").body);
    let all = [("engine", 1), ("engine", 2), ("proxy", 1), ("proxy", 2)];
    let count = |(role, version): (&'static str, u64)| {
        let program = env!("CARGO_PKG_VERSION");
        let labels =
            format!("role=\"{role}\",version=\"{program}\",wire_version_max=\"{version}\"");
        let count = metrics.get(&format!("memtide_fleet_programs{{{labels}}}"))?;
        (1_u8..9).find(|it| f64::from(*it) >= count).map(|it| ((role, version), it.into()))
    };
    all.into_iter().filter_map(count).collect()
}

/// In which versions a process has spoken with nodes, as its log tells.
fn spoken(process: &RoleProcess) -> Vec<u64> {
    let logs = process.logs().text();
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let begun = lines.filter(|line| line["message"] == "link to a node begins");
    let mut versions: Vec<_> = begun.map(|line| line["version"].as_u64().unwrap()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[test]
fn all_roles_are_upgraded_one_process_after_the_other_and_go_back() {
    let mut site = Site::start();
    site.wait_speaking(&[(("engine", 1), 3), (("proxy", 1), 2)]);
    let load = site.load(0);
    for number in 0..2 {
        site.replace_scaler(number);
        load.wait_answered(ANSWERED);
    }
    for number in 0..ZONES.len() {
        match number {
            0 => site.replace_node(number, Speaks::Newest),
            _ => site.replace_node_beside(number, Speaks::Newest),
        }
        load.wait_answered(ANSWERED);
        let (newer, older) = ((("engine", 2), number + 1), (("engine", 1), 2 - number));
        let nodes = [newer, older].into_iter().filter(|(_, count)| *count > 0);
        site.wait_speaking(&nodes.chain([(("proxy", 1), 2)]).collect::<Vec<_>>());
    }
    site.replace_proxy(1, Speaks::Newest);
    load.wait_answered(ANSWERED);
    assert_eq!(spoken(&site.proxies[0]), [1]);
    load.finish().assert_unnoticed();
    let load = site.load(1);
    site.replace_proxy(0, Speaks::Newest);
    load.wait_answered(ANSWERED);
    site.wait_speaking(&[(("engine", 2), 3), (("proxy", 2), 2)]);
    // The first node has met those before the upgrade, and after it; the proxies only those after it.
    assert_eq!(spoken(&site.nodes[0]), [1, 2]);
    assert_eq!([&site.proxies[0], &site.proxies[1]].map(spoken), [[2]; 2]);

    site.replace_proxy(0, Speaks::One);
    site.replace_scaler(0);
    let port = drain(&mut site.nodes[0]);
    site.nodes[0] = site.node(0, port, Speaks::One);
    let proxies = [(("proxy", 1), 1), (("proxy", 2), 1)];
    site.wait_speaking(&[(("engine", 1), 1), (("engine", 2), 2), proxies[0], proxies[1]]);
    wait_until("all are linked to it", PATIENCE, || {
        (spoken(&site.proxies[1]) == [1, 2] && spoken(&site.nodes[0]) == [1]).then_some(())
    });
    load.wait_answered(ANSWERED);
    assert_eq!(spoken(&site.proxies[0]), [1]);
    for node in &site.nodes {
        let links =
            |kind| metric(node, &format!("memtide_node_links_total{{kind=\"{kind}\"}}")).unwrap();
        assert!(links("refused") + links("broken") < 1.0, "{}", node.logs().text());
        assert!(links("node") + links("proxy") > 1.0);
    }
    load.finish().assert_unnoticed();
}

#[test]
fn a_version_that_the_program_does_not_know_is_refused() {
    let check = |path: &Path, words: &[&str], expected: &str| {
        let mut command = Command::new(PROGRAM);
        let output = command.args(words).current_dir(path).env_clear().output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), told.as_str()), (Some(64), expected));
    };
    let scratch = tempfile::tempdir().unwrap();
    let known = "give a version that this program knows, 1 to 2\n";
    for version in ["0", "3", "newest", ""] {
        let words = ["engine", "--join", "s:1", "--wire-version-max", version];
        let expected = format!("memtide: --wire-version-max: {version:?}: {known}");
        check(scratch.path(), &words, &expected);
    }
    std::fs::write(scratch.path().join("scaler.toml"), "wire_version_max = 1\n").unwrap();
    let refused = "memtide: scaler.toml:1: \"wire_version_max\" is for engine, proxy and serve, not for scaler; remove the line\n";
    check(scratch.path(), &["scaler", "--config", "scaler.toml"], refused);
}
