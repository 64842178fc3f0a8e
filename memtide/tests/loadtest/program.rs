//! The program, and the result that it writes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use memtide_testkit::{Memcached, Memtide};
use serde_json::Value;

/// A directory, and load tests whose results go there.
pub struct LoadTest {
    scratch: tempfile::TempDir,
    endpoint: Vec<String>,
}

/// How a load test ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// What `--json` wrote.
    pub json: Value,
}

impl LoadTest {
    /// Of a memtide, verified over TLS.
    pub fn of_memtide(server: &Memtide) -> Self {
        let port = server.address().port();
        let ca = server.ca_file().to_str().unwrap().to_owned();
        Self::of(&["--endpoint", &format!("localhost:{port}"), "--ca", &ca])
    }

    /// Of a memcached, over TCP.
    pub fn of_memcached(server: &Memcached) -> Self {
        Self::of_plain(server.address())
    }

    /// Of whatever listens there, over TCP.
    pub fn of_plain(address: SocketAddr) -> Self {
        Self::of(&["--plain", "--endpoint", &address.to_string()])
    }

    /// With these words before all others.
    pub fn of(words: &[&str]) -> Self {
        let endpoint = words.iter().map(|&word| word.to_owned()).collect();
        Self { scratch: tempfile::tempdir().unwrap(), endpoint }
    }

    /// A file of its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The command, not yet begun: short, and with a result in `result.json`.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = program(self.scratch.path());
        command.arg("loadtest").args(&self.endpoint).args(words);
        command.args(["--json", "result.json"]);
        command
    }

    /// Runs it to its end, without a warm-up unless `words` ask for one.
    pub fn run(&self, words: &[&str]) -> Ended {
        let mut command = self.command(words);
        if !words.contains(&"--warmup") {
            command.args(["--warmup", "0"]);
        }
        if !words.contains(&"--duration") {
            command.args(["--duration", "500ms"]);
        }
        self.ended(command.output().unwrap())
    }

    /// What a command of [`Self::command`] gave.
    pub fn ended(&self, output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let json = std::fs::read_to_string(self.file("result.json"));
        let json = json.map_or(Value::Null, |json| serde_json::from_str(&json).unwrap());
        let code = output.status.code().unwrap();
        Ended { code, stdout: text(output.stdout), stderr: text(output.stderr), json }
    }
}

impl Ended {
    /// Sure that it went well.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stderr, self.stdout);
        self
    }

    /// A number of the result, at this path of names and indices: `totals/hits`.
    #[track_caller]
    pub fn number(&self, path: &str) -> f64 {
        let value = self.json.pointer(&format!("/{path}"));
        let number = value.and_then(Value::as_f64);
        number.unwrap_or_else(|| panic!("no number at {path}: {:#}", self.json))
    }

    /// A whole number of it.
    #[track_caller]
    pub fn count(&self, path: &str) -> u64 {
        let value = self.json.pointer(&format!("/{path}"));
        let count = value.and_then(Value::as_u64);
        count.unwrap_or_else(|| panic!("no whole number at {path}: {:#}", self.json))
    }

    /// A latency of it, in microseconds, whether it is to be believed or not: how late this
    /// machine was is not what is tested.
    #[track_caller]
    pub fn latency(&self, name: &str) -> f64 {
        let is_trusted = self.json.pointer("/latency").is_some();
        let of = if is_trusted { "latency" } else { "untrusted_latency" };
        self.number(&format!("{of}/{name}"))
    }

    /// How often connections broke in this way.
    pub fn troubles(&self, trouble: &str) -> u64 {
        let troubles = self.json["troubles"].as_array().unwrap();
        let of_kind = troubles.iter().find(|it| it["trouble"] == trouble);
        of_kind.map_or(0, |it| it["count"].as_u64().unwrap())
    }
}

/// memtide in this directory and without our environment.
pub fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memtide"));
    command.current_dir(directory).env_clear().stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}
