//! Several scalers of one cache on a real etcd, and the fleet that joins them.

use std::path::Path;
use std::process::{Command, Output};

use memtide_testkit::{Etcd, Metrics, PATIENCE, RoleProcess, Signal, Verifying, wait_until};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// Few keys, so that each has a long history, and several requests in flight on each.
const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];

/// Scalers, two nodes, a proxy; all of them know of all scalers.
pub struct Fleet {
    pub etcd: Etcd,
    /// The members that each scaler knows of.
    urls: fn(&Etcd, usize) -> String,
    /// By their numbers; `None` of one that has ended.
    pub scalers: Vec<Option<RoleProcess>>,
    _nodes: Vec<RoleProcess>,
    pub proxy: RoleProcess,
    scratch: tempfile::TempDir,
}

impl Fleet {
    /// So many members of etcd, and scalers.
    pub fn start(members: usize, scalers: usize) -> Self {
        Self::start_with((members, scalers), |etcd, _| etcd.urls())
    }

    /// The same, where each scaler knows of its own members of etcd.
    pub fn start_with(
        (members, scalers): (usize, usize),
        urls: fn(&Etcd, usize) -> String,
    ) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let tls = scratch.path().join("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(&tls).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let etcd = Etcd::start(members);
        let start = |number| scaler(&urls(&etcd, number), scratch.path(), (number, 0));
        let scalers: Vec<_> = (0..scalers).map(start).collect();
        let addresses = scalers.iter().map(|scaler| scaler.address().to_string());
        let join = addresses.collect::<Vec<_>>().join(",");
        let tls = tls.to_str().unwrap();
        let joins = ["--join", &join, "--fleet-tls", tls, "--port", "0"];
        let start = |role: &str, name: &str, words: &[&str]| {
            let data = scratch.path().join(name);
            let data = ["--data-dir", data.to_str().unwrap()];
            RoleProcess::start(PROGRAM, role, [&joins[..], &data, words].concat())
        };
        let node = |zone| start("engine", zone, &["--zone", zone, "--memory", "64m"]);
        let nodes = vec![node("a"), node("b")];
        let proxy = start("proxy", "proxy", &["--read-port", "0"]);
        let scalers = scalers.into_iter().map(Some).collect();
        let fleet = Self { etcd, urls, scalers, _nodes: nodes, proxy, scratch };
        wait_until("the fleet is ready", PATIENCE, || {
            (fleet.proxy.get("/readyz").status == 200).then_some(())
        });
        fleet.wait_settled(fleet.wait_leader(|_| true));
        fleet
    }

    /// Waits until one leads of those scalers that are asked, and gives its number.
    pub fn wait_leader(&self, is_asked: impl Fn(usize) -> bool) -> usize {
        wait_until("a scaler leads", PATIENCE, || {
            let asked = self.scalers.iter().enumerate().filter(|(number, _)| is_asked(*number));
            let mut asked = asked.filter_map(|(number, it)| Some((number, it.as_ref()?)));
            asked.find(|(_, scaler)| leads(scaler)).map(|(number, _)| number)
        })
    }

    /// One that runs.
    pub fn scaler(&self, number: usize) -> &RoleProcess {
        self.scalers[number].as_ref().unwrap()
    }

    /// Its process ends by this signal.
    pub fn end_scaler(&mut self, number: usize, signal: Signal) -> u16 {
        let mut scaler = self.scalers[number].take().unwrap();
        let port = scaler.address().port();
        scaler.signal(signal);
        scaler.wait_exit(PATIENCE);
        port
    }

    /// Starts one again, on the port that it had.
    pub fn start_scaler(&mut self, number: usize, port: u16) {
        let urls = (self.urls)(&self.etcd, number);
        self.scalers[number] = Some(scaler(&urls, self.scratch.path(), (number, port)));
    }

    /// Waits until both nodes are up, as the leader sees them, and nothing is left to be moved.
    pub fn wait_settled(&self, leader: usize) {
        let scaler = self.scaler(leader);
        wait_until("both nodes are up and hold what they should", PATIENCE * 2, || {
            let nodes = json(scaler, "/v1/nodes")?;
            let up = nodes["nodes"].as_array()?.iter().filter(|node| node["state"] == "up");
            let left = json(scaler, "/v1/migrations")?["remaining_slots"].as_u64();
            (up.count() == 2 && left == Some(0)).then_some(())
        });
    }

    /// What is stored, as a scaler says: its epoch, and how many replicas are wanted.
    pub fn topology(&self, number: usize) -> (u64, u64) {
        let topology = json(self.scaler(number), "/v1/topology").expect("it leads");
        let replicas = topology["replicas_wanted"].as_u64().unwrap();
        (topology["epoch"].as_u64().unwrap(), replicas)
    }

    /// How many commands were used, as this scaler has kept it.
    pub fn commands_used(&self, number: usize) -> u64 {
        let usage = json(self.scaler(number), "/v1/cache/usage").expect("each has its own");
        let hours = usage["hours"].as_array().unwrap();
        hours.iter().map(|hour| hour["commands"].as_u64().unwrap()).sum()
    }

    /// `memtide cache` with these words, at the admin HTTP of a scaler.
    pub fn cache(&self, number: usize, words: &[&str]) -> Output {
        let admin = self.scaler(number).admin_address().to_string();
        let words = [&["cache", "--json"], words, &["--admin", &admin]].concat();
        Command::new(PROGRAM).args(words).env_clear().output().unwrap()
    }

    /// The same, which goes well; gives what it printed.
    #[track_caller]
    pub fn cache_done(&self, number: usize, words: &[&str]) -> String {
        let output = self.cache(number, words);
        let log = self.scaler(number).logs().text();
        assert!(output.status.success(), "{words:?}: {}\n{log}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Has the leader set so many replicas, and gives the epoch that has them. Where its disk is slow, that it was
    /// accepted is an answer too.
    #[track_caller]
    pub fn set_replicas(&self, number: usize, count: u64) -> u64 {
        let output = self.cache(number, &["replicas", &count.to_string()]);
        let is_accepted = text(&output.stderr).contains("accepted, and not stored yet");
        assert!(output.status.success() || is_accepted, "{}", text(&output.stderr));
        wait_until("as many replicas are wanted", PATIENCE, || {
            let (epoch, replicas) = self.topology(number);
            (replicas == count).then_some(epoch)
        })
    }

    /// Loads the proxy, and waits until it is answered.
    pub fn load(&self) -> Verifying {
        let endpoint = format!("localhost:{}", self.proxy.address().port());
        let ca = self.scratch.path().join("proxy/tls/ca.pem");
        let load = Verifying::start_at(Command::new(PROGRAM), &endpoint, &ca, LOAD);
        let load = load.counted_by(self.proxy.admin_address());
        load.wait_answered(100);
        load
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn leads(scaler: &RoleProcess) -> bool {
    metric(scaler, "memtide_scaler_leads") == Some(1.0)
}

pub fn metric(scaler: &RoleProcess, name: &str) -> Option<f64> {
    Metrics::parse(&scaler.get("/metrics").body).get(name)
}

fn json(scaler: &RoleProcess, path: &str) -> Option<Value> {
    let reply = scaler.get(path);
    (reply.status == 200).then(|| serde_json::from_str(&reply.body).unwrap())
}

fn scaler(urls: &str, scratch: &Path, (number, port): (usize, u16)) -> RoleProcess {
    let (tls, data) = (scratch.join("tls"), scratch.join(format!("scaler-{number}")));
    let port = port.to_string();
    let words = ["--etcd", urls, "--port", &port, "--replicas", "1", "--nodes-min", "2"];
    let files = ["--fleet-tls", tls.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    RoleProcess::start(PROGRAM, "scaler", [&words[..], &files].concat())
}
