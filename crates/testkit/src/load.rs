use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::Reaped;
use crate::{Logs, Memtide, Metrics, PATIENCE, RoleProcess, http_get, signal, wait_until};

/// How long a reply may take in tests of faults, for `--reply-within`, where the environment does not
/// say otherwise. What is promised is 2 s, a second and the lease; tests run unoptimized programs on
/// machines that have other work, and the proxy answers with an error after 5 s.
const REPLY_WITHIN: &str = "4s";

/// The words by which [`Verifying`] finds replies that come too late; `MEMTIDE_TEST_REPLY_WITHIN` says how late
/// that is.
#[must_use]
pub fn reply_within() -> [String; 2] {
    let time = std::env::var("MEMTIDE_TEST_REPLY_WITHIN");
    ["--reply-within".to_owned(), time.unwrap_or_else(|_| REPLY_WITHIN.to_owned())]
}

/// A `memtide loadtest` that runs beside a test until it is asked what it found.
#[derive(Debug)]
pub struct Loading {
    process: Reaped,
    logs: Logs,
    scratch: tempfile::TempDir,
}

/// A `memtide loadtest --verify` that runs beside a test, until it is asked what it found.
#[derive(Debug)]
pub struct Verifying {
    loading: Loading,
    /// Where the endpoint's counters are.
    admin: Option<SocketAddr>,
}

/// What a load test found.
#[derive(Debug)]
pub struct Verdict {
    /// What `--json` wrote.
    pub json: Value,
    /// The report for people.
    pub text: String,
}

impl Loading {
    /// Starts it by this command, as of [`crate::Hosts::command`], against an endpoint that shows a certificate of
    /// this CA. Gives it back once replies are measured.
    ///
    /// # Panics
    /// With its words when it does not begin.
    #[must_use]
    pub fn start<S: AsRef<OsStr>>(
        mut command: Command,
        endpoint: &str,
        ca: &Path,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        let scratch = tempfile::tempdir().expect("the temporary directory must be writable");
        let output = std::fs::File::create(scratch.path().join("report.txt"));
        command
            .args(["loadtest", "--duration", "1h", "--timeout", "30s"])
            .args(["--endpoint", endpoint, "--ca"])
            .arg(ca)
            .arg("--json")
            .arg(scratch.path().join("result.json"))
            .args(words)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(output.expect("the scratch directory is ours"))
            .stderr(Stdio::piped());
        let child = command.spawn().expect("the program must be there");
        let mut process = Reaped(child);
        let logs = Logs::default();
        logs.follow(process.0.stderr.take().expect("stderr is piped"));
        let begun = logs.find(PATIENCE * 10, |line| line.contains("measuring").then_some(()));
        assert!(begun.is_some(), "the load does not begin:\n{}", logs.text());
        Self { process, logs, scratch }
    }

    /// Ends it, and gives what it found.
    ///
    /// # Panics
    /// When it does not end, or has written nothing.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        signal(self.process.0.id(), Signal::INT);
        self.process.wait_exit(PATIENCE * 4);
        let read = |name: &str| std::fs::read_to_string(self.scratch.path().join(name));
        let text = read("report.txt").unwrap_or_default();
        let json = read("result.json")
            .unwrap_or_else(|_| panic!("no result from the load:\n{}\n{text}", self.logs.text()));
        let json = serde_json::from_str(&json).expect("its result is JSON");
        Verdict { json, text }
    }
}

impl Verifying {
    /// Loads both kinds of everything that `--verify` asks, with more `words` of the command line.
    /// Gives it back once replies are checked.
    ///
    /// # Panics
    /// With its words when it does not begin.
    #[must_use]
    pub fn start<S: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        server: &Memtide,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        let endpoint = format!("localhost:{}", server.address().port());
        let url = format!("http://{}", server.admin_address());
        let own = ["--admin", &url].map(OsString::from);
        let words = own.into_iter().chain(words.into_iter().map(|word| word.as_ref().to_owned()));
        let program = Command::new(program.as_ref());
        let verifying = Self::start_at(program, &endpoint, server.ca_file(), words);
        Self { admin: Some(server.admin_address()), ..verifying }
    }

    /// The same against a proxy by itself, which shows a certificate of this CA.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_on<S: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        proxy: &RoleProcess,
        ca: &Path,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        let endpoint = format!("localhost:{}", proxy.address().port());
        let verifying = Self::start_at(Command::new(program.as_ref()), &endpoint, ca, words);
        Self { admin: Some(proxy.admin_address()), ..verifying }
    }

    /// The same by this command, as of [`crate::Hosts::command`], against an endpoint that shows a
    /// certificate of this CA.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_at<S: AsRef<OsStr>>(
        command: Command,
        endpoint: &str,
        ca: &Path,
        words: impl IntoIterator<Item = S>,
    ) -> Self {
        let own = ["--verify", "--warmup", "0"].map(OsString::from);
        let words = own.into_iter().chain(words.into_iter().map(|word| word.as_ref().to_owned()));
        Self { loading: Loading::start(command, endpoint, ca, words), admin: None }
    }

    /// The same, of an endpoint whose counters are at this admin HTTP.
    #[must_use]
    pub fn counted_by(self, admin: SocketAddr) -> Self {
        Self { admin: Some(admin), ..self }
    }

    /// Waits until the endpoint has answered so many commands more: what was done before was done
    /// under load.
    ///
    /// # Panics
    /// When it does not, or where its counters are unknown.
    #[track_caller]
    pub fn wait_answered(&self, commands: u32) {
        let admin = self.admin.expect("a load of a server whose counters are known");
        let answered = || {
            let metrics = Metrics::parse(&http_get(admin, "/metrics").body);
            metrics.get("memtide_commands_total").expect("the endpoint counts commands")
        };
        let wanted = answered() + f64::from(commands);
        wait_until("the load goes on", PATIENCE, || (answered() >= wanted).then_some(()));
    }

    /// Ends it, and gives its verdict.
    ///
    /// # Panics
    /// When it does not end, or has written nothing.
    #[must_use]
    pub fn finish(self) -> Verdict {
        self.loading.finish()
    }
}

impl Verdict {
    /// A whole number of the result, at this path: `totals/errors`.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    #[track_caller]
    pub fn count(&self, path: &str) -> u64 {
        let count = self.json.pointer(&format!("/{path}")).and_then(Value::as_u64);
        count.unwrap_or_else(|| panic!("no whole number at {path}: {:#}", self.json))
    }

    /// Sure that no client noticed anything but slow replies: no connection broke, nothing was refused, nothing acknowledged
    /// was lost, and each key's history is one that a single memcached could have.
    ///
    /// # Panics
    /// With the report, where somebody noticed.
    #[track_caller]
    pub fn assert_unnoticed(&self) {
        self.assert_consistent();
        assert_eq!(self.count("totals/errors"), 0, "{}", self.text);
        assert_eq!(self.count("verdict/misses/evictions_needed"), 0, "{}", self.text);
    }

    /// Sure that no connection broke and that the history is consistent; replies may be errors, and
    /// items may be gone.
    ///
    /// # Panics
    /// With the report, where that is not so.
    #[track_caller]
    pub fn assert_consistent(&self) {
        let violations = self.json.pointer("/verdict/violation_counts").and_then(Value::as_array);
        assert!(violations.is_some_and(Vec::is_empty), "{}", self.text);
        assert_eq!(self.count("verdict/undecided_keys"), 0, "{}", self.text);
        assert!(self.count("verdict/operations") > 100, "{}", self.text);
        let troubles = self.json.get("troubles").and_then(Value::as_array);
        assert!(troubles.is_some_and(Vec::is_empty), "{}", self.text);
        assert_eq!(self.count("totals/lost"), 0, "{}", self.text);
    }
}
