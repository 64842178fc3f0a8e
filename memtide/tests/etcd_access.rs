//! A scaler and an etcd that asks for certificates and users; what it says where it is let down, and how both change.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::PathBuf;
use std::process::Command;

use memtide_testkit::{Authority, Etcd, Metrics, PATIENCE, RoleProcess, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// An etcd that lets in who has a certificate of its CA and is the user `scaler` by the password `word`; and files
/// of a scaler, each of its own.
struct Guarded {
    etcd: Etcd,
    scratch: tempfile::TempDir,
}

impl Guarded {
    fn start() -> Self {
        let etcd = Etcd::start_tls(1, Authority::new("etcd's CA"));
        for words in [
            &["user", "add", "root:secret"][..],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "memtide"],
            &["role", "grant-permission", "memtide", "--prefix=true", "readwrite", "/memtide/"],
            &["user", "add", "scaler:word"],
            &["user", "grant-role", "scaler", "memtide"],
            &["auth", "enable"],
        ] {
            let _ = etcd.ctl(words);
        }
        let guarded = Self { etcd, scratch: tempfile::tempdir().unwrap() };
        let tls = guarded.path("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(tls).output().unwrap();
        assert!(made.status.success());
        for (from, to) in guarded.etcd.tls_files().iter().zip(["ca.pem", "here.pem", "here.key"]) {
            guarded.put(to, &std::fs::read_to_string(from).unwrap());
        }
        guarded
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Into place at once, as whoever is careful does.
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path("made"), text).unwrap();
        std::fs::rename(self.path("made"), self.path(name)).unwrap();
    }

    /// The flags of a scaler with this data directory.
    fn words(&self, data: &str) -> Vec<String> {
        let files = [
            ("--etcd-ca", "ca.pem"),
            ("--etcd-cert", "here.pem"),
            ("--etcd-key", "here.key"),
            ("--etcd-password-file", "password"),
            ("--fleet-tls", "tls"),
            ("--data-dir", data),
        ];
        let path = |name| self.path(name).to_str().unwrap().to_owned();
        let files = files.into_iter().flat_map(|(flag, name)| [flag.to_owned(), path(name)]);
        let urls = self.etcd.urls();
        let rest = ["--etcd", &urls, "--etcd-user", "scaler", "--port", "0"].map(str::to_owned);
        files.chain(rest).collect()
    }

    fn start_scaler(&self, data: &str) -> RoleProcess {
        RoleProcess::start(PROGRAM, "scaler", self.words(data))
    }
}

fn wait_leads(scaler: &RoleProcess) {
    wait_until("it leads", PATIENCE, || {
        let is_ready = scaler.get("/readyz").status == 200;
        (is_ready && scaler.get("/v1/topology").status == 200).then_some(())
    });
}

/// Whether something is written to etcd.
fn sets_limit(scaler: &RoleProcess, thousands: u32) -> bool {
    let admin = scaler.admin_address().to_string();
    let limit = format!("{thousands}k");
    let words = ["cache", "limits", "set", "--admin", &admin, "--ecpu-per-second-max", &limit];
    Command::new(PROGRAM).args(words).env_clear().output().unwrap().status.success()
}

fn metrics(scaler: &RoleProcess) -> Metrics {
    Metrics::parse(&scaler.get("/metrics").body)
}

fn wait_reloads(scaler: &RoleProcess, result: &str, count: f64) {
    let series = format!("memtide_etcd_reloads_total{{result=\"{result}\"}}");
    wait_until(&format!("{count} with {result}"), PATIENCE, || {
        (metrics(scaler).get(&series) >= Some(count)).then_some(())
    });
}

#[test]
fn a_scaler_shows_etcd_its_certificate_and_password_and_says_what_is_wrong_with_them() {
    let guarded = Guarded::start();
    let arguments = [&["scaler".to_owned()][..], &guarded.words("first")].concat();
    let output = Command::new(PROGRAM).args(&arguments).env_clear().output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.starts_with("memtide: --etcd-password-file ") && line.lines().count() == 1,
        "{line}"
    );
    assert_eq!(output.status.code(), Some(69));

    guarded.put("password", "wrong\n");
    let scaler = guarded.start_scaler("second");
    wait_until("it says what etcd says", PATIENCE, || {
        let reply = scaler.get("/readyz");
        (reply.status == 503 && reply.body.contains("authentication failed")).then_some(())
    });
    // It hears of the right one by itself.
    guarded.put("password", "word\n");
    wait_leads(&scaler);
}

#[test]
fn what_a_scaler_shows_etcd_changes_while_it_leads() {
    let mut guarded = Guarded::start();
    guarded.put("password", "word\n");
    let scaler = guarded.start_scaler("data");
    wait_leads(&scaler);

    // What is broken is refused, and what was in force stays.
    guarded.put("here.pem", "no certificate");
    wait_reloads(&scaler, "failure", 1.0);
    let events = scaler.get("/v1/events").body;
    assert!(events.contains("tls_reload_failed") && events.contains("--etcd-cert"), "{events}");
    assert!(sets_limit(&scaler, 10));

    // Another CA: first trusted beside the old one, then that of etcd's members.
    let next = Authority::new("etcd's next CA");
    let identity = next.issue("scaler");
    let old = std::fs::read_to_string(guarded.path("ca.pem")).unwrap();
    guarded.put("ca.pem", &format!("{old}{}", next.certificate_pem));
    guarded.put("here.key", &identity.key_pem);
    guarded.put("here.pem", &identity.certificate_pem);
    wait_reloads(&scaler, "success", 1.0);
    guarded.etcd.renew(next);
    wait_until("etcd takes it", PATIENCE, || sets_limit(&scaler, 20).then_some(()));

    // Another password: the token of the old one is good until etcd has the new one.
    guarded.put("password", "next word\n");
    wait_reloads(&scaler, "success", 2.0);
    assert!(sets_limit(&scaler, 30));
    for words in [
        ["user", "delete", "scaler"].as_slice(),
        &["user", "add", "scaler:next word"],
        &["user", "grant-role", "scaler", "memtide"],
    ] {
        let _ = guarded.etcd.ctl(&[&["--user", "root:secret"], words].concat());
    }
    wait_until("etcd takes the new password", PATIENCE, || sets_limit(&scaler, 40).then_some(()));
    assert!(metrics(&scaler).get("memtide_etcd_certificate_not_after_seconds") > Some(1.7e9));
}
