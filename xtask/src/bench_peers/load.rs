use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::interrupt::Interrupt;
use super::peer::{FLOOR, Running};
use super::site::Site;
use super::work::Work;

/// A comparison to be made.
#[derive(Debug)]
pub struct Load<'a> {
    /// What is asked.
    pub work: &'a Work,
    /// How often.
    pub rounds: u32,
    /// For how long.
    pub duration: &'a str,
    /// For `--rate`; `None` where the flags of the work say it.
    pub rate: Option<&'a str>,
}

/// What the table needs of the JSON of a comparison; docs/benchmarks.md has what its names mean.
#[derive(Debug, Deserialize)]
pub struct Comparison {
    /// Why it ended.
    pub ended: Ended,
    /// What stands in the way of reading the figures.
    pub notes: Vec<String>,
    /// The first is the one that the others are measured by.
    pub endpoints: Vec<Endpoint>,
    /// In the order in which they were made.
    pub runs: Vec<Run>,
}

/// Why a comparison ended.
#[derive(Debug, Deserialize)]
pub struct Ended {
    /// `completed`, `interrupted` or `failed`.
    pub how: String,
    /// Why it failed.
    pub why: Option<String>,
}

/// An endpoint's row.
#[derive(Debug, Deserialize)]
pub struct Endpoint {
    /// What it is.
    pub endpoint: Facts,
    /// Error replies.
    pub errors: u64,
    /// Requests without a reply.
    pub lost: u64,
    /// Broken connections.
    pub troubles: u64,
}

/// What an endpoint is.
#[derive(Debug, Deserialize)]
pub struct Facts {
    /// As in `--peers`.
    pub name: String,
}

/// A run of one endpoint in one round.
#[derive(Debug, Deserialize)]
pub struct Run {
    /// From 1.
    pub round: u32,
    /// From 0, as given.
    pub endpoint: usize,
    /// One that was cut short does not, where there are others.
    pub is_counted: bool,
    /// By the name in the JSON, latency also where it is not believed.
    pub figures: BTreeMap<String, f64>,
    /// Why its latency is not believed; nothing where it is.
    pub distrust: Vec<String>,
}

impl Load<'_> {
    /// Makes it, and gives it with its JSON.
    ///
    /// # Errors
    /// When `memtide loadtest` fails; it says why on standard error itself.
    pub fn run(
        &self,
        site: &Site,
        peers: &[Running],
        interrupt: &Interrupt,
    ) -> anyhow::Result<(Comparison, String)> {
        let json = site.path("comparison.json");
        // One of an earlier load must not pass for this one's.
        let _ = std::fs::remove_file(&json);
        let mut command = Command::new(&site.memtide);
        command
            .args(["loadtest", "--compare", "--warmup", "1s"])
            .args(["--rounds", &self.rounds.to_string(), "--duration", self.duration])
            .arg("--ca")
            .arg(site.path("ca.pem"))
            .arg("--json")
            .arg(&json)
            .args(self.work.flags);
        if let Some(rate) = self.rate {
            command.args(["--rate", rate]);
        }
        if peers.iter().any(|peer| peer.name == FLOOR) {
            command.arg("--any-reply");
        }
        for peer in peers {
            command.args(["--endpoint", &format!("{}=tls://127.0.0.1:{}", peer.name, peer.port)]);
            for pid in peer.pids() {
                command.args(["--server-pid", &format!("{}={pid}", peer.name)]);
            }
        }
        // Standard output is the table's alone.
        let child = command.stdin(Stdio::null()).stdout(std::io::stderr()).process_group(0).spawn();
        let child = child.context("failed to start memtide loadtest")?;
        let status = interrupt.wait(child)?;
        let text = match std::fs::read_to_string(&json) {
            Ok(text) => text,
            Err(_) => bail!("memtide loadtest ended with {status} and no result"),
        };
        let comparison = serde_json::from_str(&text).context("failed to understand its JSON")?;
        Ok((comparison, text))
    }
}
