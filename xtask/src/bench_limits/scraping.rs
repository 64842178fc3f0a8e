//! What a scrape every second costs, as Prometheus would make it.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use memtide_testkit::{Memtide, http_get};
use serde::Serialize;

use super::Arguments;
use super::site::{Growth, load};
use crate::tell;

const EVERY: Duration = Duration::from_secs(1);

/// CPU time of a request in microseconds, a number for each round.
#[derive(Debug, Default, Serialize)]
pub struct Costs {
    pub without_us: Vec<f64>,
    pub with_us: Vec<f64>,
    /// Bytes of a scrape's answer.
    pub scrape_bytes: usize,
}

/// Rounds without and with it, in turn, under one load.
pub fn measure(program: &Path, arguments: &Arguments) -> anyhow::Result<Costs> {
    let server = Memtide::builder(program).args(["--memory", "512m"]).start();
    let rate = arguments.rate.as_str();
    let words = ["--fill", "--keys", "10k", "--connections", "50", "--rate", rate];
    let loading = load(program, &server, words);
    let mut costs = Costs { scrape_bytes: server.metrics().text.len(), ..Costs::default() };
    for round in 1..=arguments.rounds {
        tell(&format!("metrics, round {round} of {}", arguments.rounds));
        costs.without_us.push(cost(&server, arguments, false)?);
        costs.with_us.push(cost(&server, arguments, true)?);
    }
    drop(loading.finish());
    Ok(costs)
}

fn cost(server: &Memtide, arguments: &Arguments, is_scraped: bool) -> anyhow::Result<f64> {
    let admin = server.admin_address();
    let time = Duration::from_secs(u64::from(arguments.seconds));
    let (stop, stopped) = channel::<()>();
    let scraper = thread::spawn(move || {
        while is_scraped && stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let _ = http_get(admin, "/metrics");
        }
    });
    let (growth, cpu) = Growth::while_running(&[admin], || -> anyhow::Result<Duration> {
        let before = cpu_time(server.pid())?;
        thread::sleep(time);
        Ok(cpu_time(server.pid())? - before)
    });
    drop(stop);
    scraper.join().expect("it does not panic");
    let commands = growth.per_second("memtide_commands_total") * time.as_secs_f64();
    Ok(cpu?.as_secs_f64() * 1e6 / commands)
}

/// What all threads of a process have used, in steps of a hundredth of a second.
fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    // After the name, which may have spaces: proc(5), fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").with_context(|| path.clone())?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().with_context(|| path)?;
    Ok(Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second()))
}
