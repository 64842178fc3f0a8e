//! What the program says of a mistake: one line on standard error, and whose turn it is by the exit
//! code: 64 for what memtide was told, 69 for what is around it. See docs/operations.md.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use memtide_testkit::Authority;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

/// `memtide` with these arguments, in a directory of its own and without our environment.
fn memtide(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memtide"));
    command.current_dir(directory).env_clear().args(arguments);
    command
}

/// The program, at another place. By a process of its own: a file that this one has open to write may be open in a child
/// that another test starts at that moment, and then it cannot be run.
fn copy_program(to: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_memtide")).arg(to).status().unwrap();
    assert!(copied.success());
}

/// The exit code, and standard error's only line.
fn failure(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let line = text.strip_suffix('\n').unwrap_or(&text);
    assert!(!line.is_empty() && !line.contains('\n'), "one line is wanted: {text:?}");
    assert!(output.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), line.to_owned())
}

/// Where it would serve if nothing were wrong: on no port that anybody else may have.
const FREE: [&str; 8] =
    ["--port", "0", "--read-port", "0", "--admin", "127.0.0.1:0", "--bind", "127.0.0.1"];

fn check(directory: &Path, arguments: &[&str], code: i32, expected: &str) {
    let arguments = [&FREE[..], arguments].concat();
    let (status, line) = failure(&mut memtide(directory, &arguments));
    assert!(line.starts_with(expected), "{arguments:?}: {line}");
    assert_eq!(status, code, "{line}");
}

#[test]
fn what_memtide_was_told_exits_with_64() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let unlike = |arguments: &[&str], expected: &str| {
        let (status, line) = failure(&mut memtide(directory, arguments));
        assert!(line.starts_with(expected), "{arguments:?}: {line}");
        assert_eq!(status, 64, "{line}");
    };
    unlike(&["--prot", "1"], "memtide: unknown argument --prot; did you mean --port?");
    unlike(&["sevre"], "memtide: unknown subcommand sevre; did you mean serve?");
    unlike(&["config"], "memtide: config: what to do? give one of: check");
    unlike(
        &["--port", "65536"],
        r#"memtide: --port: "65536": give a whole number from 0 to 65535"#,
    );
    let nobody = r#"memtide: --allow: "": give at least one network; "#;
    unlike(&["--allow", ""], nobody);
    unlike(&["--read-allow", " ,"], r#"memtide: --read-allow: " ,": give at least one network; "#);
    let mut unset = memtide(directory, &FREE);
    let (status, line) = failure(unset.env("MEMTIDE_ALLOW", ""));
    assert!(
        line.starts_with(r#"memtide: MEMTIDE_ALLOW: "": give at least one network; "#),
        "{line}"
    );
    assert_eq!(status, 64, "{line}");
    unlike(&["--memory", "1m"], r#"memtide: --memory: "1m": less than 16 MiB"#);
    unlike(&["--memory", "9000t"], r#"memtide: --memory: "9000t": more than there is, "#);
    unlike(&["--tls-key", "x"], r#"memtide: --tls-key: "x": a key needs --tls-cert too"#);
    unlike(&["healthcheck", "--admin", "x"], r#"memtide: --admin: "x": give an IP address"#);
    unlike(
        &["serve", "--config", "none.toml"],
        "memtide: configuration file none.toml: there is no such file",
    );
}

#[test]
fn a_line_of_the_file_is_blamed_wherever_the_file_was_named() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    fs::write(directory.join("memtide.toml"), "port = 0\n\nread_prot = 0\n").unwrap();
    let expected =
        "memtide: memtide.toml:3: unknown key \"read_prot\"; did you mean \"read_port\"?";
    for subcommand in [&["serve"][..], &["config", "check"], &["healthcheck"]] {
        let flag = [subcommand, &["--config", "memtide.toml"]].concat();
        assert_eq!(failure(&mut memtide(directory, &flag)), (64, expected.to_owned()));
        let mut by_variable = memtide(directory, subcommand);
        by_variable.env("MEMTIDE_CONFIG", "memtide.toml");
        assert_eq!(failure(&mut by_variable), (64, expected.to_owned()));
    }
    let mut variable = memtide(directory, &[]);
    variable.env("MEMTIDE_READ_PORT", "many");
    let (code, line) = failure(&mut variable);
    assert!(code == 64 && line.starts_with("memtide: MEMTIDE_READ_PORT: \"many\": "), "{line}");
}

#[test]
fn a_port_or_a_directory_that_cannot_be_had_exits_with_69() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (flag, value) in [
        ("--port", taken.port().to_string()),
        ("--read-port", taken.port().to_string()),
        ("--admin", taken.to_string()),
    ] {
        let mut arguments = FREE.map(str::to_owned);
        let place = FREE.iter().position(|known| *known == flag).unwrap();
        arguments[place + 1] = value;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, line) = failure(&mut memtide(directory, &arguments));
        assert!(
            line.starts_with(&format!("memtide: {flag} {taken}: the port is in use")),
            "{line}"
        );
        assert_eq!(code, 69);
    }
    let mut arguments = FREE;
    arguments[7] = "192.0.2.1";
    let (code, line) = failure(&mut memtide(directory, &arguments));
    assert!(line.starts_with("memtide: --port 192.0.2.1:0: no interface of this host"), "{line}");
    assert_eq!(code, 69);

    fs::write(directory.join("file"), "").unwrap();
    check(directory, &["--data-dir", "file"], 69, "memtide: --data-dir file/tls/");
    check(
        directory,
        &["--connections-max", "16777216"],
        69,
        "memtide: --connections-max 16777216: ",
    );
}

/// A certificate and key in files, for these years.
fn write_pair(directory: &Path, name: &str, years: (i32, i32)) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) =
        (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    fs::write(directory.join(format!("{name}.pem")), cert.pem()).unwrap();
    fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn certificates_that_cannot_serve_exit_with_69_and_config_check_finds_them() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    write_pair(directory, "good", (2000, 4000));
    write_pair(directory, "old", (2000, 2020));
    write_pair(directory, "early", (3900, 4000));
    fs::write(directory.join("garbage.pem"), "garbage").unwrap();
    let authority = Authority::new("clients").certificate_pem;
    fs::write(directory.join("clients.pem"), authority).unwrap();
    let table = [
        (["none.pem", "good.key", "clients.pem"], "memtide: --tls-cert none.pem: failed to read: "),
        (["good.pem", "none.key", "clients.pem"], "memtide: --tls-key none.key: failed to read: "),
        (["good.pem", "good.key", "none.pem"], "memtide: --tls-client-ca none.pem: failed to read"),
        (
            ["good.pem", "old.key", "clients.pem"],
            "memtide: --tls-key old.key: does not match the certificate of --tls-cert good.pem; ",
        ),
        (
            ["old.pem", "old.key", "clients.pem"],
            "memtide: --tls-cert old.pem: the certificate expired at 2020-01-01 00:00 UTC; renew it",
        ),
        (
            ["early.pem", "early.key", "clients.pem"],
            "memtide: --tls-cert early.pem: the certificate is not valid before 3900-01-01",
        ),
        (
            ["garbage.pem", "good.key", "clients.pem"],
            "memtide: --tls-cert garbage.pem: holds no certificate (it is not PEM); ",
        ),
        (
            ["good.pem", "good.key", "garbage.pem"],
            "memtide: --tls-client-ca garbage.pem: holds no certificate",
        ),
    ];
    for ([cert, key, client_ca], expected) in table {
        let flags = ["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", client_ca];
        check(directory, &flags, 69, expected);
        let checked = [&["config", "check"][..], &flags].concat();
        let (code, line) = failure(&mut memtide(directory, &checked));
        assert!(code == 69 && line.starts_with(expected), "{line}");
    }
    let is_made = fs::read_dir(directory).unwrap().any(|entry| entry.unwrap().path().is_dir());
    assert!(!is_made, "given certificates need no data directory");
}

#[test]
fn limits_that_cannot_be_read_exit_with_69_and_config_check_finds_them() {
    for role in ["serve", "scaler"] {
        let scratch = tempfile::tempdir().unwrap();
        let kept = scratch.path().join("data/records/default").join(role);
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("limits.json"), "{\"data_storage\": 3").unwrap();
        let certificates = ["tls", "init", "--dir", "tls"];
        memtide(scratch.path(), &certificates).output().unwrap();
        let of_scaler = ["scaler", "--fleet-tls", "tls"];
        let role_words = if role == "scaler" { &of_scaler[..] } else { &[] };
        let words = [&["config", "check"][..], role_words, &["--data-dir", "data"]].concat();
        let (code, line) = failure(&mut memtide(scratch.path(), &words));
        let expected = format!("memtide: data/records/default/{role}/limits.json: no limits: ");
        assert!(code == 69 && line.starts_with(&expected), "{line}");
    }
}

/// Before a restart, and not by it. As a user other than root, where the tests are root's.
#[test]
fn config_check_says_where_the_data_directory_cannot_be_written_and_writes_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(directory.join("file"), "x").unwrap();
    let certificates = ["tls", "init", "--dir", "tls"];
    memtide(directory, &certificates).output().unwrap();
    let program = directory.join("memtide");
    copy_program(&program);
    let check = |role: &[&str], data_dir: &str| {
        let mut command = Command::new(&program);
        command.current_dir(directory).env_clear().args(["config", "check"]).args(role);
        command.args(["--data-dir", data_dir]);
        command
    };
    for role in [&[][..], &["scaler", "--fleet-tls", "tls"]] {
        let (code, line) = failure(&mut check(role, "file/data"));
        let expected = "memtide: --data-dir file/data: file: no directory; give a directory ";
        assert!(code == 69 && line.starts_with(expected), "{role:?}: {line}");
        if rustix::process::geteuid().is_root() {
            let (code, line) = failure(check(role, "data").uid(65534).gid(65534));
            let expected = "memtide: --data-dir data: .: Permission denied";
            assert!(code == 69 && line.starts_with(expected), "{role:?}: {line}");
        }
        let output = check(role, "data").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!directory.join("data").exists());
    }
}

#[test]
fn a_variable_that_nobody_knows_is_warned_of_with_what_may_have_been_meant() {
    let scratch = tempfile::tempdir().unwrap();
    let mut check = memtide(scratch.path(), &["config", "check"]);
    let output = check.env("MEMTIDE_READ_PROT", "1").env("MEMTIDE_JOIN", "a:1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let warnings: Vec<_> = text.lines().filter(|line| line.starts_with("# warning")).collect();
    let expected = "# warning: MEMTIDE_READ_PROT: a variable that memtide does not know, and ignores; did you mean MEMTIDE_READ_PORT?";
    assert_eq!(warnings, [expected], "that of another role is none");
}

/// As a user who may read nothing of root's. Skipped, saying so, where the tests are not root's.
#[test]
fn a_key_that_may_not_be_read_exits_with_69() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    write_pair(directory, "good", (2000, 4000));
    fs::set_permissions(directory.join("good.key"), fs::Permissions::from_mode(0o600)).unwrap();
    // The one under test may lie where only root can go.
    let program = directory.join("memtide");
    copy_program(&program);
    let mut command = Command::new(program);
    command.current_dir(directory).env_clear().uid(NOBODY).gid(NOBODY);
    command.args(FREE).args(["--tls-cert", "good.pem", "--tls-key", "good.key"]);
    let (code, line) = failure(&mut command);
    let expected = "memtide: --tls-key good.key: failed to read: Permission denied";
    assert!(code == 69 && line.starts_with(expected), "{line}");
    assert!(
        line.ends_with("give the user that memtide runs as permission (ls -l shows who has it)")
    );
}
