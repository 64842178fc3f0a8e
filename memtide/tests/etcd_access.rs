//! A scaler and an etcd that asks for certificates and users; and what it says where it is let down.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::process::Command;

use memtide_testkit::{Authority, Etcd, PATIENCE, RoleProcess, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

#[test]
fn a_scaler_shows_etcd_its_certificate_and_password_and_says_what_is_wrong_with_them() {
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
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new(PROGRAM).args(["tls", "init", "--dir", &path("tls")]).output().unwrap();
    assert!(made.status.success());
    let [ca, cert, key] = etcd.tls_files().map(|file| file.to_str().unwrap().to_owned());
    let (urls, tls, password) = (etcd.urls(), path("tls"), path("password"));
    let words = |data: &str| {
        let files = [("--etcd-ca", &ca), ("--etcd-cert", &cert), ("--etcd-key", &key)];
        let own = [("--etcd", &urls), ("--fleet-tls", &tls), ("--etcd-password-file", &password)];
        let words = files.iter().chain(&own).flat_map(|(flag, value)| [*flag, value]);
        let words = words.chain(["--etcd-user", "scaler", "--port", "0", "--data-dir", data]);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let data = path("first");
    let arguments = [&["scaler".to_owned()][..], &words(&data)].concat();
    let output = Command::new(PROGRAM).args(&arguments).env_clear().output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.starts_with("memtide: --etcd-password-file ") && line.lines().count() == 1,
        "{line}"
    );
    assert_eq!(output.status.code(), Some(69));

    std::fs::write(&password, "wrong\n").unwrap();
    let scaler = RoleProcess::start(PROGRAM, "scaler", words(&path("second")));
    wait_until("it says what etcd says", PATIENCE, || {
        let reply = scaler.get("/readyz");
        (reply.status == 503 && reply.body.contains("authentication failed")).then_some(())
    });
    std::fs::write(&password, "word\n").unwrap();
    let scaler = RoleProcess::start(PROGRAM, "scaler", words(&path("third")));
    wait_until("it leads", PATIENCE, || {
        let is_ready = scaler.get("/readyz").status == 200;
        (is_ready && scaler.get("/v1/topology").status == 200).then_some(())
    });
}
