//! How the program starts, and what it says to people and to supervisors.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use memtide_testkit::{Client, Memtide, PATIENCE, Signal, TlsClient, signal, wait_until};

fn memtide() -> Memtide {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_memtide")).args(arguments).env_clear().output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn help_and_version_are_on_standard_output() {
    let help = stdout(&run(&["--help"]));
    for expected in ["config", "healthcheck", "--read-port <PORT>", "[default: 1m]", "MEMTIDE_"] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
    assert_eq!(stdout(&run(&["serve", "--help"])).matches("--read-port <PORT>").count(), 1);
    let version = stdout(&run(&["--version"]));
    assert_eq!(version, format!("memtide {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_sample_configuration_is_every_setting_at_its_default() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/memtide.toml");
    let text = std::fs::read_to_string(&sample).unwrap();
    let sample = sample.to_str().unwrap();
    let shown = |arguments: &[&str]| stdout(&run(arguments));
    let without_notes = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  #").next().unwrap().to_owned()).collect()
    };
    let defaults = without_notes(&shown(&["config", "check"]));
    assert_eq!(without_notes(&shown(&["config", "check", "--config", sample])), defaults);
    for line in &defaults {
        let key = line.trim_start_matches("# ").split(' ').next().unwrap();
        assert!(text.contains(&format!("\n# {key} = ")), "{key} is not in {sample}");
    }
    // With every line of it in force, there is no key that the program does not know.
    let all: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let all = all.join("\n");
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("all.toml");
    std::fs::write(&path, &all).unwrap();
    let output = run(&["config", "check", "--config", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("--tls-cert"),
        "only the certificates of the sample are not there: {said}"
    );
}

#[test]
fn the_snippet_that_is_printed_works_when_pasted() {
    let scratch = tempfile::tempdir().unwrap();
    let greeting = scratch.path().join("greeting");
    let mut child = Command::new(env!("CARGO_BIN_EXE_memtide"))
        .args(["--port", "0", "--read-port", "0", "--admin", "127.0.0.1:0"])
        .current_dir(scratch.path())
        .stdout(std::fs::File::create(&greeting).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let line = wait_until("the greeting", PATIENCE, || {
        let text = std::fs::read_to_string(&greeting).unwrap();
        let line = text.lines().find(|line| line.contains("openssl s_client"))?.to_owned();
        text.contains("pymemcache").then_some(line)
    });
    let pasted = Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).output().unwrap();
    let reply = String::from_utf8(pasted.stdout).unwrap();
    signal(child.id(), Signal::TERM);
    let status = wait_until("the end", PATIENCE, || child.try_wait().unwrap());
    assert_eq!(reply, "STORED\r\nVALUE hi 0 5\r\nthere\r\nEND\r\n", "{line}");
    assert!(status.success(), "{status}");
}

/// They have one CA. What is a cache's is its own, and one process's.
#[test]
fn two_caches_may_share_a_data_directory_and_two_processes_of_one_may_not() {
    let scratch = tempfile::tempdir().unwrap();
    let start = |name| {
        let builder = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(["--name", name]);
        builder.data_dir(scratch.path()).start()
    };
    let (one, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(|| start("one")), scope.spawn(|| start("other")));
        (one.join().unwrap(), other.join().unwrap())
    });
    let set = |name: &Memtide, max: &str| {
        let admin = name.admin_address().to_string();
        run(&["cache", "limits", "set", "--ecpu-per-second-max", max, "--admin", &admin])
    };
    assert!(set(&one, "2k").status.success() && set(&other, "3k").status.success());
    let limits = |of: &Memtide| of.get("/v1/cache/limits").body;
    assert!(limits(&one).contains(r#""max":2000"#), "{}", limits(&one));
    assert!(limits(&other).contains(r#""max":3000"#), "{}", limits(&other));

    let dir = scratch.path().to_str().unwrap();
    let ports = ["--port", "0", "--read-port", "0", "--admin", "127.0.0.1:0"];
    let again = run(&[&["serve", "--name", "one", "--data-dir", dir][..], &ports].concat());
    assert_eq!(again.status.code(), Some(69));
    let line = String::from_utf8(again.stderr).unwrap();
    let expected = "another memtide serve of the cache one runs on it and keeps the cache's limits";
    assert!(line.contains(expected) && line.lines().count() == 1, "{line}");

    let trusting = TlsClient::new(&scratch.path().join("tls/ca.pem"));
    for memtide in [&one, &other] {
        let mut client = Client::tls(memtide.address(), &trusting);
        let reply = client.ask(b"version\r\n").unwrap();
        assert!(reply.starts_with("VERSION "), "{reply}");
    }
}

fn healthcheck(admin: &str, arguments: &[&str]) -> (i32, String) {
    let output = run(&[&["healthcheck", "--admin", admin], arguments].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), said)
}

#[test]
fn healthcheck_asks_the_admin_address() {
    let mut memtide = memtide();
    let admin = memtide.admin_address().to_string();
    assert_eq!(healthcheck(&admin, &[]), (0, "ok\n".to_owned()));
    assert_eq!(healthcheck(&admin, &["--ready"]), (0, "ok\n".to_owned()));

    // A command without its data block holds the drain open. The reply to the one before it, in the
    // same record, says that it has arrived.
    let mut client = Client::tls(memtide.address(), memtide.tls());
    client.send(b"mn\r\nset a 0 0 3\r\n").unwrap();
    assert_eq!(client.read_reply().unwrap(), b"");
    memtide.signal(Signal::TERM);
    wait_until("the drain", PATIENCE, || (memtide.get("/readyz").status == 503).then_some(()));
    assert_eq!(healthcheck(&admin, &[]), (0, "ok\n".to_owned()), "draining is no illness");
    assert_eq!(healthcheck(&admin, &["--ready"]), (1, "not ready: draining\n".to_owned()));
    drop(client);
    assert!(memtide.wait_exit(PATIENCE).success());

    let (code, said) = healthcheck(&admin, &[]);
    assert!(code == 1 && said.starts_with(&format!("no answer from http://{admin}: ")), "{said}");
}

#[test]
fn the_cache_is_described_with_the_ports_that_were_chosen() {
    let memtide = memtide();
    let reply = memtide.get("/v1/cache");
    let cache: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(cache["endpoint"]["port"], memtide.address().port());
    assert_eq!(cache["endpoint"]["read_port"], memtide.read_address().port());
    assert_eq!((&cache["status"], &cache["name"]), (&"available".into(), &"default".into()));
    assert_eq!(cache["limits"]["ecpu_per_second"]["max"], 0);
    assert!(cache["limits"]["memory_bytes_max"].as_u64().unwrap() > 0);
}

#[test]
fn few_files_cut_the_default_of_connections_and_refuse_what_was_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |flags: &str| {
        let line = format!("ulimit -n 2000; exec \"$0\" config check --threads 1 {flags}");
        let program = env!("CARGO_BIN_EXE_memtide");
        let mut command = Command::new("sh");
        if rustix::process::geteuid().is_root() {
            // Who may raise every limit, unless this is taken from him.
            command = Command::new("setpriv");
            command.args(["--bounding-set=-all", "--inh-caps=-all", "sh"]);
        }
        command.args(["-c", &line, program]);
        command.current_dir(scratch.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.output().unwrap()
    };
    let shown = stdout(&run(""));
    assert!(shown.starts_with("# warning: at most 1"), "{shown}");
    let output = run("--connections-max 2000");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("RLIMIT_NOFILE") && said.contains("LimitNOFILE="), "{said}");
}
