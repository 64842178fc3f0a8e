use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use memtide_testkit::{Loading, Memtide, Metrics, http_get};

/// What is under way when a limit or a load begins is over after this.
pub const SETTLING: Duration = Duration::from_secs(2);

/// Changes a limit by `memtide cache limits set`: `--ecpu-per-second-max 5000`.
///
/// # Errors
/// What it says.
pub fn set_limit(program: &Path, admin: SocketAddr, words: [&str; 2]) -> anyhow::Result<()> {
    let mut set = Command::new(program);
    set.args(["cache", "limits", "set"]).args(words);
    let output = set.args(["--admin", &admin.to_string()]).output()?;
    if !output.status.success() {
        bail!("failed to set the limit: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Loads it with these words.
pub fn load<'a>(
    program: &Path,
    server: &Memtide,
    words: impl IntoIterator<Item = &'a str>,
) -> Loading {
    let endpoint = format!("localhost:{}", server.address().port());
    Loading::start(Command::new(program), &endpoint, server.ca_file(), words)
}

/// How much counters grew in a second, over some time.
pub struct Growth {
    began: Vec<Metrics>,
    ended: Vec<Metrics>,
    took: f64,
}

impl Growth {
    /// Of the processes with their admin HTTP there, while this runs.
    pub fn while_running<T>(admins: &[SocketAddr], run: impl FnOnce() -> T) -> (Self, T) {
        let scrape = || -> Vec<Metrics> {
            admins.iter().map(|admin| Metrics::parse(&http_get(*admin, "/metrics").body)).collect()
        };
        let (start, began) = (Instant::now(), scrape());
        let done = run();
        let (took, ended) = (start.elapsed().as_secs_f64(), scrape());
        (Self { began, ended, took }, done)
    }

    /// While nothing happens but what is under way.
    pub fn during(admins: &[SocketAddr], time: Duration) -> Self {
        Self::while_running(admins, || thread::sleep(time)).0
    }

    /// In all series of that name, each process by itself.
    pub fn each_per_second(&self, name: &str) -> Vec<f64> {
        let of = |metrics: &Metrics| metrics.sum(name).unwrap_or_default();
        let pairs = self.began.iter().zip(&self.ended);
        pairs.map(|(before, after)| (of(after) - of(before)) / self.took).collect()
    }

    /// In all processes.
    pub fn per_second(&self, name: &str) -> f64 {
        self.each_per_second(name).iter().sum()
    }

    /// ECPUs metered a second, of the limit.
    pub fn delivered(&self, limit: f64) -> f64 {
        self.per_second("memtide_ecpu_units_total") / 1024.0 / limit
    }
}
