//! One client against one memtide.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memtide_testkit::{Authority, Memtide, PATIENCE, wait_until};

use crate::readme::section;
use crate::toolchain::{Toolchain, programs};
use crate::tunnel::Tunnel;

/// For one program of a client, which a cold compiler cache can make slow. Only a failure takes
/// that long.
const DEADLINE: Duration = Duration::from_secs(300);

/// What each of the README's snippets stores and prints.
const GREETING: &str = "hello, memtide!";

/// A client library of one language.
pub(crate) struct Client {
    /// Its section in the README.
    pub(crate) heading: &'static str,
    /// Its program below `tests/clients`.
    pub(crate) program: &'static str,
    /// What runs it.
    pub(crate) toolchain: Toolchain,
    /// How it gets to the TLS endpoint.
    pub(crate) reach: Reach,
}

/// How a client gets to the TLS endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By itself.
    Tls,
    /// Through stunnel, with the configuration that its section of the README shows.
    Stunnel,
}

impl Client {
    /// Runs its program with a CA that did not sign the server's certificate, which must fail; with
    /// the one that did; and the README's snippet.
    ///
    /// # Panics
    /// When one of them does not end as it must.
    pub(crate) fn check(mut self) {
        if let Some(missing) = self.missing() {
            assert!(!are_clients_required(), "{}: install {missing}", self.heading);
            // Not by `eprintln!`, which the test runner keeps to itself when a test succeeds.
            writeln!(std::io::stderr(), "skipped: {}: this needs {missing}", self.heading)
                .expect("stderr is writable");
            return;
        }
        let scratch = tempfile::tempdir().expect("the temporary directory must be writable");
        let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide"))
            .data_dir(&scratch.path().join("memtide-data"))
            .start();
        let bench = Bench { memtide, scratch, client: &self };
        bench.refuses_another_authority();
        bench.passes_every_check();
        bench.runs_the_snippet();
    }

    fn missing(&mut self) -> Option<&'static str> {
        if self.reach == Reach::Stunnel {
            self.toolchain.needs.push(Tunnel::need());
        }
        self.toolchain.needs.iter_mut().find_map(|need| need.missing())
    }
}

fn are_clients_required() -> bool {
    std::env::var_os("MEMTIDE_REQUIRE_CLIENTS").is_some_and(|value| value == "1")
}

struct Bench<'a> {
    memtide: Memtide,
    /// Where the snippet runs, so that it finds the server's `memtide-data` as a reader would.
    scratch: tempfile::TempDir,
    client: &'a Client,
}

impl Bench<'_> {
    fn refuses_another_authority(&self) {
        let ca_file = self.scratch.path().join("other-ca.pem");
        let authority = Authority::new("not the server's");
        std::fs::write(&ca_file, authority.certificate_pem).expect("the directory is writable");
        let ended = self.run_program(&ca_file);
        assert!(!ended.is_success, "{} does not verify the server:\n{ended}", self.client.program);
        assert!(!ended.stdout.contains("ok "), "got through unverified:\n{ended}");
    }

    fn passes_every_check(&self) {
        let ended = self.run_program(self.memtide.ca_file());
        assert!(ended.is_success, "{} failed:\n{ended}", self.client.program);
        let passed = ended.stdout.lines().filter(|line| line.starts_with("ok ")).count();
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert!(passed > 0 && last == format!("{passed} checks passed"), "cut short:\n{ended}");
    }

    fn run_program(&self, ca_file: &Path) -> Ended {
        let mut command = (self.client.toolchain.command)(&programs().join(self.client.program));
        let tunnel = (self.client.reach == Reach::Stunnel).then(|| self.tunnel(ca_file));
        match &tunnel {
            Some(tunnel) => {
                command.env("MEMTIDE_HOST", "127.0.0.1");
                command.env("MEMTIDE_PORT", tunnel.port.to_string());
            }
            None => {
                command.env("MEMTIDE_HOST", "localhost").env("MEMTIDE_CA", ca_file);
                command.env("MEMTIDE_PORT", self.port());
            }
        }
        self.run(command)
    }

    fn runs_the_snippet(&self) {
        let section = section(self.client.heading);
        let mut text = section.block(self.client.toolchain.language).replace("11211", &self.port());
        let tunnel =
            (self.client.reach == Reach::Stunnel).then(|| self.tunnel(self.memtide.ca_file()));
        if let Some(tunnel) = &tunnel {
            text = text.replace("11210", &tunnel.port.to_string());
        }
        let source = self.scratch.path().join(self.client.toolchain.file);
        let directory = source.parent().expect("the file is below the directory");
        std::fs::create_dir_all(directory).expect("the directory is writable");
        std::fs::write(&source, text).expect("the directory is writable");
        let ended = self.run((self.client.toolchain.command)(&source));
        assert!(ended.is_success, "the README's `{}` failed:\n{ended}", section.heading);
        assert!(ended.stdout.contains(GREETING), "no greeting from it:\n{ended}");
    }

    /// The README's tunnel, from a free port to this memtide.
    fn tunnel(&self, ca_file: &Path) -> Tunnel {
        let ca_file = ca_file.to_str().expect("temporary directories have plain names");
        let configuration = section(self.client.heading)
            .block("ini")
            .replace("11211", &self.port())
            .replace("11210", "0")
            .replace("memtide-data/tls/ca.pem", ca_file);
        Tunnel::start(self.scratch.path(), &configuration)
    }

    fn port(&self) -> String {
        self.memtide.address().port().to_string()
    }

    /// Runs it in the scratch directory until it ends or the deadline has passed.
    fn run(&self, mut command: Command) -> Ended {
        let file = |name: &str| -> (PathBuf, File) {
            let path = self.scratch.path().join(name);
            let file = File::create(&path).expect("the directory is writable");
            (path, file)
        };
        // Files, since nobody reads a pipe while this waits.
        let ((stdout_path, stdout), (stderr_path, stderr)) = (file("stdout"), file("stderr"));
        command.current_dir(self.scratch.path()).stdin(Stdio::null());
        let mut child = Ours(
            command
                .stdout(stdout)
                .stderr(stderr)
                .spawn()
                .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}")),
        );
        let end = Instant::now() + DEADLINE;
        let status = wait_until("the end of a client's program", DEADLINE + PATIENCE, || {
            let status = child.0.try_wait().expect("a child of ours can be waited for");
            if status.is_none() && Instant::now() > end { Some(None) } else { status.map(Some) }
        });
        drop(child);
        let text = |path| String::from_utf8_lossy(&std::fs::read(path).expect("made above")).into();
        let (stdout, mut stderr): (String, String) = (text(stdout_path), text(stderr_path));
        if status.is_none() {
            stderr += "not ended within its deadline";
        }
        Ended { is_success: status.is_some_and(|status| status.success()), stdout, stderr }
    }
}

/// A child process that is killed and reaped when dropped.
pub(crate) struct Ours(pub(crate) Child);

impl Drop for Ours {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// How a program ended, and what it wrote.
struct Ended {
    is_success: bool,
    stdout: String,
    stderr: String,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.stdout, self.stderr)
    }
}
