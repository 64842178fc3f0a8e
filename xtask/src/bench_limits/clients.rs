//! Unmodified pymemcache and gomemcache, which close a connection on `SERVER_ERROR`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use memtide_testkit::{Memtide, PATIENCE, wait_until};
use serde::Serialize;

use super::Arguments;
use super::site::{Growth, SETTLING, set_limit};
use crate::tell;

/// The least limit that can be set.
const LIMIT_MIN: f64 = 1_000.0;

/// Threads of a program, each of which waits for its reply, and its limit; a tenth of what they get
/// without one where it is not given.
///
/// A command is refused once it has waited for 200 ms: few threads get their replies before that, and
/// only wait longer.
const RUNS: [(u32, Option<f64>); 2] = [(50, None), (500, Some(LIMIT_MIN))];

/// One library.
#[derive(Debug, Serialize)]
pub struct Row {
    pub library: &'static str,
    pub threads: u32,
    /// Commands a second without a limit.
    pub without: f64,
    /// In ECPUs a second.
    pub limit: f64,
    /// ECPUs metered, of those that the limit gives in that time.
    pub delivered: f64,
    /// Commands refused a second.
    pub refused: f64,
    /// TLS handshakes a second.
    pub handshakes: f64,
    /// The same without a limit.
    pub handshakes_without: f64,
}

/// Both libraries.
pub fn measure(program: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let floods = repository().join("tests/clients/floods");
    let mut rows = Vec::new();
    for library in ["pymemcache", "gomemcache"] {
        for (threads, limit) in RUNS {
            tell(&format!("{library} with {threads} threads"));
            let mut flood = match library {
                "pymemcache" => python(&floods.join("flood.py")),
                _ => go(&floods.join("flood.go")),
            };
            flood.arg(threads.to_string());
            rows.push(run(program, arguments, (library, flood), (threads, limit))?);
        }
    }
    Ok(rows)
}

fn python(source: &Path) -> Command {
    let own = repository().join("tests/clients/python/.venv/bin/python");
    let mut python = Command::new(if own.exists() { own } else { "python3".into() });
    python.arg("-B").arg(source);
    python
}

fn go(source: &Path) -> Command {
    let mut go = Command::new("go");
    go.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").arg("run").arg(source);
    go
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(
    program: &Path,
    arguments: &Arguments,
    (library, command): (&'static str, Command),
    (threads, limit): (u32, Option<f64>),
) -> anyhow::Result<Row> {
    let server = Memtide::builder(program).args(["--advertise", "localhost"]).start();
    let time = Duration::from_secs(u64::from(arguments.seconds));
    let admin = [server.admin_address()];
    let mut flood = Flood::start(command, &server)?;
    wait_until("the clients to have connected", 4 * PATIENCE, || {
        let connections = server.metrics().get("memtide_connections");
        let has_ended = flood.0.try_wait().ok().flatten().is_some();
        (has_ended || connections >= Some(f64::from(threads))).then_some(())
    });
    if let Some(status) = flood.0.try_wait()? {
        bail!("{library}: the clients ended with {status}; see tests/clients/install");
    }
    let before = Growth::during(&admin, time);
    let without = before.per_second("memtide_commands_total");
    let limit = limit.unwrap_or_else(|| (without / 10.0).max(LIMIT_MIN).round());
    set_limit(program, admin[0], ["--ecpu-per-second-max", &limit.to_string()])?;
    thread::sleep(SETTLING);
    let after = Growth::during(&admin, time);
    Ok(Row {
        library,
        threads,
        without,
        limit,
        delivered: after.delivered(limit),
        refused: after.per_second("memtide_throttled_commands_total"),
        handshakes: after.per_second("memtide_tls_handshakes_total"),
        handshakes_without: before.per_second("memtide_tls_handshakes_total"),
    })
}

/// A program that floods until its standard input is closed; waited for when dropped.
struct Flood(Child);

impl Flood {
    fn start(mut command: Command, server: &Memtide) -> anyhow::Result<Self> {
        command
            .env("MEMTIDE_HOST", "localhost")
            .env("MEMTIDE_PORT", server.address().port().to_string())
            .env("MEMTIDE_CA", server.ca_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        Ok(Self(command.spawn().context("failed to start the clients")?))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has ended already where this fails.
        let _ = self.0.wait();
    }
}
