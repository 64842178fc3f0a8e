//! Four `memtide proxy --join`, two nodes and a scaler, each a process, on one host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::bail;
use memtide_testkit::{Loading, PATIENCE, RoleProcess, wait_until};
use serde::Serialize;

use super::Arguments;
use super::forwarder::Forwarder;
use super::site::{Growth, SETTLING, set_limit};
use crate::tell;

/// Parts of the load that come to each proxy, in percent.
const EVEN: [u32; 4] = [25; 4];
const SKEWED: [u32; 4] = [85, 5, 5, 5];

/// One run.
#[derive(Debug, Serialize)]
pub struct Row {
    pub what: String,
    /// Of the limit.
    pub offered: u32,
    /// ECPUs metered, of those that the limit gives in that time.
    pub delivered: f64,
    /// Of each proxy.
    pub parts: Vec<f64>,
    /// Commands refused a second.
    pub refused: f64,
    /// A proxy was cut off, so that less may be delivered.
    pub is_cut: bool,
}

/// Even and skewed loads at twice and ten times the limit, and both with the first proxy cut off.
pub fn measure(program: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let site = Site::start(program)?;
    site.fill(program);
    set_limit(
        program,
        site.scaler.admin_address(),
        ["--ecpu-per-second-max", &arguments.limit.to_string()],
    )?;
    let mut rows = Vec::new();
    for (name, shares) in [("even", EVEN), ("85:5:5:5", SKEWED)] {
        for offered in [2, 10] {
            tell(&format!("four proxies, {name}, at {offered} times the limit"));
            let loads = site.load(program, arguments.limit * offered, shares);
            thread::sleep(2 * SETTLING);
            let mut row = |what: &str, is_cut| {
                let row = site.row((arguments, offered), (format!("{name}{what}"), is_cut));
                rows.push(row);
            };
            row("", false);
            let cut = site.forwarder.cut();
            row(", from when the first is cut off", true);
            row(", while it is", true);
            drop(cut);
            // Its stream is made anew within some seconds (control, `CONNECT_TIME_MAX`), and then it comes
            // by its part.
            thread::sleep(4 * SETTLING);
            row(", when it is heard again", false);
            loads.into_iter().for_each(|load| drop(load.finish()));
        }
    }
    Ok(rows)
}

/// Ended in this order.
struct Site {
    proxies: Vec<RoleProcess>,
    /// Between the first proxy and the scaler.
    forwarder: Forwarder,
    _nodes: Vec<RoleProcess>,
    scaler: RoleProcess,
    scratch: tempfile::TempDir,
}

impl Site {
    fn start(program: &Path) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let path = |name: &str| scratch.path().join(name).display().to_string();
        let made = Command::new(program).args(["tls", "init", "--dir", &path("tls")]).output()?;
        if !made.status.success() {
            bail!("no certificates: {}", String::from_utf8_lossy(&made.stderr));
        }
        let start = |role: &str, name: &str, words: &[&str]| {
            let (tls, data) = (path("tls"), path(name));
            let own = ["--fleet-tls", &tls, "--data-dir", &data, "--port", "0"];
            RoleProcess::start(program, role, [&own[..], words].concat())
        };
        let scaler = start("scaler", "scaler", &["--nodes-min", "2"]);
        let join = scaler.address().to_string();
        let node =
            |zone| start("engine", zone, &["--join", &join, "--zone", zone, "--memory", "128m"]);
        let nodes = ["a", "b"].map(node).into_iter().collect();
        let forwarder = Forwarder::start(scaler.address())?;
        let proxy = |number: usize| {
            let to = if number == 0 { forwarder.address().to_string() } else { join.clone() };
            start("proxy", &format!("proxy-{number}"), &["--join", &to, "--read-port", "0"])
        };
        let proxies: Vec<_> = (0..EVEN.len()).map(proxy).collect();
        wait_until("the proxies are ready", PATIENCE, || {
            proxies.iter().all(|proxy| proxy.get("/readyz").status == 200).then_some(())
        });
        Ok(Self { proxies, forwarder, _nodes: nodes, scaler, scratch })
    }

    fn admins(&self) -> Vec<SocketAddr> {
        self.proxies.iter().map(RoleProcess::admin_address).collect()
    }

    /// Every key, before there is a limit.
    fn fill(&self, program: &Path) {
        drop(self.start_load(program, 0, &["--fill", "--rate", "100"]).finish());
    }

    /// Loads each proxy with its part of the rate.
    fn load(&self, program: &Path, rate: u32, shares: [u32; 4]) -> Vec<Loading> {
        let start = |(proxy, share): (usize, u32)| {
            let rate = (rate * share / 100).to_string();
            self.start_load(program, proxy, &["--rate", &rate, "--connections", "100"])
        };
        shares.into_iter().enumerate().map(start).collect()
    }

    fn start_load(&self, program: &Path, proxy: usize, words: &[&str]) -> Loading {
        let endpoint = format!("localhost:{}", self.proxies[proxy].address().port());
        let ca: PathBuf = self.scratch.path().join(format!("proxy-{proxy}/tls/ca.pem"));
        let common = ["--mix", "get=100", "--keys", "2000", "--warmup", "0"];
        let words = common.into_iter().chain(words.iter().copied());
        Loading::start(Command::new(program), &endpoint, &ca, words)
    }

    fn row(&self, (arguments, offered): (&Arguments, u32), (what, is_cut): (String, bool)) -> Row {
        let time = Duration::from_secs(u64::from(arguments.seconds));
        let growth = Growth::during(&self.admins(), time);
        let limit = f64::from(arguments.limit);
        let parts = growth.each_per_second("memtide_ecpu_units_total");
        Row {
            what,
            offered,
            delivered: growth.delivered(limit),
            parts: parts.into_iter().map(|units| units / 1024.0 / limit).collect(),
            refused: growth.per_second("memtide_throttled_commands_total"),
            is_cut,
        }
    }
}
