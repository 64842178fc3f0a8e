use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const YEAR: i64 = 365 * DAY;

fn now() -> UtcMinute {
    UtcMinute::from_unix(1_800_000_000)
}

fn later(seconds: i64) -> UtcMinute {
    UtcMinute::from_unix(now().unix() + seconds)
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

struct Dir {
    _root: tempfile::TempDir,
    path: std::path::PathBuf,
}

fn made() -> Dir {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data/tls");
    assert_eq!(ensure(&path, &[], now()).unwrap(), Made::All);
    Dir { _root: root, path }
}

#[test]
fn made_once_and_reused() {
    let dir = made();
    let before = [CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY].map(|name| read(&dir.path, name));
    assert_eq!(ensure(&dir.path, &[], later(YEAR / 2)).unwrap(), Made::Nothing);
    let after = [CA_CERT, CA_KEY, SERVER_CERT, SERVER_KEY].map(|name| read(&dir.path, name));
    assert_eq!(before, after);

    let mode = |name| fs::metadata(dir.path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([CA_KEY, SERVER_KEY].map(mode), [0o600, 0o600]);
    assert_eq!([CA_CERT, SERVER_CERT].map(mode), [0o644, 0o644]);
}

#[test]
fn renewed_by_the_same_ca_before_it_expires_and_when_names_are_missing() {
    let dir = made();
    let ca = read(&dir.path, CA_CERT);
    let mut server = read(&dir.path, SERVER_CERT);
    let names = ["cache.example".to_owned(), "192.0.2.7".to_owned(), "not a name".to_owned()];
    let table = [
        (&names[..], YEAR / 2, Made::Server),
        (&names[..1], YEAR / 2, Made::Nothing),
        (&names[..], YEAR + YEAR / 2 - 91 * DAY, Made::Nothing),
        (&names[..], YEAR + YEAR / 2 - 89 * DAY, Made::Server),
        (&names[..], 10 * YEAR, Made::Server),
    ];
    for (names, at, expected) in table {
        assert_eq!(ensure(&dir.path, names, later(at)).unwrap(), expected, "at {at}");
        let new = read(&dir.path, SERVER_CERT);
        assert_eq!(new == server, expected == Made::Nothing, "at {at}");
        server = new;
    }
    assert_eq!(read(&dir.path, CA_CERT), ca);
    assert_eq!(ensure(&dir.path, &names, later(20 * YEAR)).unwrap(), Made::All);
    assert_ne!(read(&dir.path, CA_CERT), ca);
}

#[test]
fn what_a_crash_leaves_is_made_anew() {
    type Break = fn(&Path, &Path);
    let table: [(&str, Break, Made); 4] = [
        ("no certificate", |dir, _| fs::remove_file(dir.join(SERVER_CERT)).unwrap(), Made::Server),
        ("no key", |dir, _| fs::remove_file(dir.join(SERVER_KEY)).unwrap(), Made::Server),
        (
            "the key of the next certificate",
            |dir, other| {
                fs::copy(other.join(SERVER_KEY), dir.join(SERVER_KEY)).unwrap();
            },
            Made::Server,
        ),
        (
            "only the key of a CA",
            |dir, _| {
                for name in [CA_CERT, SERVER_CERT, SERVER_KEY] {
                    fs::remove_file(dir.join(name)).unwrap();
                }
                fs::write(dir.join("ca.pem.new"), "half").unwrap();
            },
            Made::All,
        ),
    ];
    let other = made();
    for (what, damage, expected) in table {
        let dir = made();
        damage(&dir.path, &other.path);
        assert_eq!(ensure(&dir.path, &[], now()).unwrap(), expected, "{what}");
        assert_eq!(ensure(&dir.path, &[], now()).unwrap(), Made::Nothing, "{what}");
    }
}

#[test]
fn without_the_key_of_the_ca_the_certificate_serves_to_its_end() {
    let dir = made();
    fs::remove_file(dir.path.join(CA_KEY)).unwrap();
    let names = ["cache.example".to_owned()];
    assert_eq!(ensure(&dir.path, &names, later(YEAR - DAY)).unwrap(), Made::Nothing);
    let error = ensure(&dir.path, &names, later(YEAR + DAY)).unwrap_err();
    assert!(matches!(error, TlsError::CannotRenew { .. }), "{error}");
}

#[test]
fn foreign_files_are_left_alone() {
    let (dir, other) = (made(), made());
    fs::copy(other.path.join(SERVER_CERT), dir.path.join(SERVER_CERT)).unwrap();
    let error = ensure(&dir.path, &[], now()).unwrap_err();
    assert!(matches!(error, TlsError::NotOurs { .. }), "{error}");

    fs::remove_file(dir.path.join(CA_CERT)).unwrap();
    let error = ensure(&dir.path, &[], now()).unwrap_err();
    assert!(matches!(error, TlsError::NotOurs { .. }), "{error}");
}

#[test]
fn processes_that_start_together_agree() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("tls");
    let mades: Vec<_> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| ensure(&dir, &[], now()).unwrap());
        let threads: Vec<_> = (0..8).map(|_| start()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(mades.iter().filter(|made| **made == Made::All).count(), 1, "{mades:?}");
    assert!(mades.iter().all(|made| *made != Made::Server), "{mades:?}");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = ensure(&file.join("tls"), &[], now()).unwrap_err().to_string();
    let expected = format!("--data-dir {}/tls/", file.display());
    assert!(error.starts_with(&expected) && !error.contains('\n'), "{error}");
}
