use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    thread,
};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::{ClientConnection, ProtocolVersion, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::super::issue::DAY;
use super::*;

const YEAR: i64 = 365 * DAY;

fn now() -> UtcMinute {
    UtcMinute::from(SystemTime::now())
}

fn later(seconds: i64) -> UtcMinute {
    UtcMinute::from_unix(now().unix() + seconds)
}

fn made() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    FleetTls::make(dir.path()).unwrap();
    dir
}

fn files(dir: &TempDir) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    let mut files: Vec<_> = named.map(|(name, path)| (name, fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn message(dir: &TempDir, result: Result<impl Sized, TlsError>) -> String {
    let text = result.map(|_| ()).unwrap_err().to_string();
    assert!(!text.contains('\n'), "{text}");
    text.replace(&format!("{}/", dir.path().display()), "")
}

/// What came of a connection: for who connects, and for who accepts with the role that it saw.
struct Met(io::Result<()>, io::Result<Option<Role>>);

fn meet(connects: &FleetTls, accepts: &FleetTls, expected: Role) -> Met {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = accepts.server();
    let accepting = thread::spawn(move || {
        let (tcp, _) = listener.accept()?;
        let session = ServerConnection::new(server).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(session, tcp);
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes)?;
        stream.write_all(&bytes)?;
        assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        Ok(FleetTls::role_of(stream.conn.peer_certificates().unwrap_or_default()))
    });
    let session = ClientConnection::new(connects.client(), expected.server_name()).unwrap();
    let mut stream = StreamOwned::new(session, TcpStream::connect(address).unwrap());
    let mut bytes = [0; 4];
    let asked = stream.write_all(b"mn\r\n").and_then(|()| stream.read_exact(&mut bytes));
    drop(stream);
    Met(asked, accepting.join().unwrap())
}

#[test]
fn made_once_and_kept() {
    let dir = made();
    let before = files(&dir);
    let names: Vec<_> = before.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        ".lock",
        "ca.key",
        "ca.pem",
        "node.key",
        "node.pem",
        "proxy.key",
        "proxy.pem",
        "scaler.key",
        "scaler.pem",
    ];
    assert_eq!(names, expected);
    FleetTls::make(dir.path()).unwrap();
    assert!(files(&dir) == before, "what is good is kept");
    for (name, _) in before {
        let mode = fs::metadata(dir.path().join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name.ends_with(".pem") { 0o644 } else { 0o600 }, "{name}");
    }
}

#[test]
fn what_is_missing_or_near_its_end_is_issued_by_the_same_ca() {
    let dir = made();
    let ca = fs::read(dir.path().join("ca.pem")).unwrap();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let (node, proxy) = (read("node.pem"), read("proxy.pem"));
    fs::remove_file(dir.path().join("node.key")).unwrap();
    FleetTls::make(dir.path()).unwrap();
    assert!(read("node.pem") != node && read("proxy.pem") == proxy && read("ca.pem") == ca);

    make::make_at(dir.path(), later(4 * YEAR)).unwrap();
    assert!(read("proxy.pem") == proxy, "more than a year of it is left");
    make::make_at(dir.path(), later(5 * YEAR)).unwrap();
    assert!(read("proxy.pem") != proxy && read("ca.pem") == ca);
    make::make_at(dir.path(), later(20 * YEAR)).unwrap();
    assert!(read("ca.pem") != ca, "a CA at its end is replaced with all that it issued");
}

#[test]
fn every_role_knows_every_other() {
    let dir = made();
    let load = |role| FleetTls::load(dir.path(), role).unwrap();
    for accepts in Role::ALL {
        for connects in Role::ALL {
            let Met(asked, seen) = meet(&load(connects), &load(accepts), accepts);
            asked.unwrap();
            assert_eq!(seen.unwrap(), Some(connects), "{connects} to {accepts}");
        }
    }
}

#[test]
fn another_role_or_another_fleet_is_refused_by_either_side() {
    let (dir, other) = (made(), made());
    let node = FleetTls::load(dir.path(), Role::Node).unwrap();
    let proxy = FleetTls::load(dir.path(), Role::Proxy).unwrap();
    let foreign = FleetTls::load(other.path(), Role::Proxy).unwrap();
    let has = |error: io::Error, why: &str| {
        assert!(error.to_string().contains(why), "{error}, not {why}");
    };
    let Met(asked, seen) = meet(&proxy, &node, Role::Scaler);
    has(asked.unwrap_err(), "not valid for name");
    assert!(seen.is_err());
    // Both CAs have one name, so that the signature is what differs.
    let Met(asked, seen) = meet(&node, &foreign, Role::Proxy);
    has(asked.unwrap_err(), "invalid peer certificate");
    assert!(seen.is_err());
    // One that trusts this fleet is refused all the same.
    let mut careless = foreign;
    careless.client = credulous(&careless, &dir);
    let Met(asked, seen) = meet(&careless, &node, Role::Node);
    has(seen.unwrap_err(), "invalid peer certificate");
    assert!(asked.is_err());
}

/// The client of another fleet, that trusts the CA of this one too.
fn ca_of(dir: &TempDir) -> Ca {
    let file = file(dir.path(), CA_CERT);
    let pem = material::read(&file).unwrap();
    Ca::of(file, &pem).unwrap()
}

fn credulous(foreign: &FleetTls, trusts: &TempDir) -> Arc<ClientConfig> {
    let client = ClientConfig::builder_with_provider(server::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(ca_of(trusts).roots)
        .with_client_cert_resolver(Arc::clone(&foreign.own) as _);
    Arc::new(client)
}

#[test]
fn a_peer_without_a_certificate_is_refused() {
    let dir = made();
    let node = FleetTls::load(dir.path(), Role::Node).unwrap();
    let mut proxy = FleetTls::load(dir.path(), Role::Proxy).unwrap();
    let nameless = ClientConfig::builder_with_provider(server::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(ca_of(&dir).roots)
        .with_no_client_auth();
    proxy.client = Arc::new(nameless);
    let Met(asked, seen) = meet(&proxy, &node, Role::Node);
    let error = seen.unwrap_err().to_string();
    assert!(asked.is_err() && error.contains("peer sent no certificates"), "{error}");
}

/// A pair for `names` by the CA of `dir`, valid in these years, in the place of the node's.
fn replace(dir: &TempDir, names: &[&str], (from, to): (i32, i32)) {
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let ca_key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), ca_key).unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    fs::write(dir.path().join("node.pem"), cert.pem()).unwrap();
    fs::write(dir.path().join("node.key"), key.serialize_pem()).unwrap();
}

#[test]
fn files_that_no_peer_would_take_are_told_of_at_the_start() {
    let (dir, other) = (made(), made());
    let check = |expected: &str| {
        let text = message(&dir, FleetTls::load(dir.path(), Role::Node));
        assert!(text.starts_with(expected), "{text}\n{expected}");
    };
    replace(&dir, &["node.memtide"], (2000, 2020));
    check("--fleet-tls node.pem: the certificate expired at 2020-01-01");
    replace(&dir, &["node.memtide"], (3000, 3010));
    check("--fleet-tls node.pem: the certificate is not valid before 3000-01-01");
    replace(&dir, &["proxy.memtide"], (2000, 3000));
    check("--fleet-tls node.pem: not good for node.memtide");
    replace(&dir, &["node.memtide", "scaler.memtide"], (2000, 3000));
    check("--fleet-tls node.pem: not good for node.memtide");
    fs::copy(other.path().join("node.pem"), dir.path().join("node.pem")).unwrap();
    check("--fleet-tls node.key: does not match the certificate of --fleet-tls node.pem");
    fs::copy(other.path().join("node.key"), dir.path().join("node.key")).unwrap();
    check("--fleet-tls node.pem: not issued by the ca.pem beside it");
    let text = message(&dir, FleetTls::make(dir.path()));
    assert!(text.starts_with("--fleet-tls node.pem: not issued by the ca.pem"), "{text}");
    fs::remove_file(dir.path().join("node.pem")).unwrap();
    check("--fleet-tls node.pem: failed to read: ");
    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    check("--fleet-tls ca.pem: failed to read: ");
    let text = message(&dir, FleetTls::make(dir.path()));
    assert!(text.starts_with("--fleet-tls proxy.pem: not issued by the ca.pem"), "{text}");
}

#[test]
fn where_the_ca_has_no_key_nothing_is_issued() {
    let dir = made();
    fs::remove_file(dir.path().join("ca.key")).unwrap();
    let before = files(&dir);
    make::make_at(dir.path(), later(5 * YEAR - 2 * DAY)).unwrap();
    assert!(files(&dir) == before, "a certificate serves to its end");
    let text = message(&dir, make::make_at(dir.path(), later(5 * YEAR + DAY)));
    assert!(text.starts_with("--fleet-tls proxy.pem: must be made anew, and the ca.key"), "{text}");
    fs::remove_file(dir.path().join("scaler.pem")).unwrap();
    let text = message(&dir, FleetTls::make(dir.path()));
    assert!(text.starts_with("--fleet-tls scaler.pem: must be made anew"), "{text}");
}

#[test]
fn a_reload_reaches_the_configurations_that_were_handed_out() {
    let dir = made();
    let node = FleetTls::load(dir.path(), Role::Node).unwrap();
    let proxy = FleetTls::load(dir.path(), Role::Proxy).unwrap();
    let shown = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = node.server();
        let accepting = thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut session = ServerConnection::new(server).unwrap();
            let _ = session.complete_io(&mut tcp);
        });
        let name = Role::Node.server_name();
        let mut session = ClientConnection::new(proxy.client(), name).unwrap();
        let mut tcp = TcpStream::connect(address).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut tcp).unwrap();
        }
        accepting.join().unwrap();
        session.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown();
    replace(&dir, &["node.memtide"], (2000, 2020));
    assert!(node.reload().is_err() && shown() == before, "an expired one is not put in force");
    replace(&dir, &["node.memtide"], (2000, 3000));
    node.reload().unwrap();
    assert!(shown() != before);
}

/// A new CA takes the place of an old one in three steps, in each of which all know each other.
#[test]
fn the_ca_is_changed_under_a_fleet_that_runs() {
    let (dir, next) = (made(), made());
    let node = FleetTls::load(dir.path(), Role::Node).unwrap();
    let proxy = FleetTls::load(dir.path(), Role::Proxy).unwrap();
    let know_each_other = || {
        let Met(asked, seen) = meet(&proxy, &node, Role::Node);
        asked.is_ok() && seen.is_ok_and(|role| role == Some(Role::Proxy))
    };
    let read = |dir: &TempDir, name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let take = |role: &FleetTls| role.load_changed().unwrap();
    assert_eq!(take(&node), Reloaded::Unchanged);
    // Both CAs, where one after the other comes to know it; then the pairs; then the new CA alone.
    write("ca.pem", &format!("{}{}", read(&dir, "ca.pem"), read(&next, "ca.pem")));
    for role in [&node, &proxy] {
        assert!(matches!(take(role), Reloaded::Replaced(_)));
        assert!(know_each_other());
    }
    for role in [&node, &proxy] {
        for extension in ["pem", "key"] {
            let name = format!("{}.{extension}", role.role());
            write(&name, &read(&next, &name));
        }
        assert!(matches!(take(role), Reloaded::Replaced(_)));
        assert!(know_each_other());
    }
    let old = FleetTls::load(dir.path(), Role::Scaler).unwrap();
    write("ca.pem", &read(&next, "ca.pem"));
    for role in [&node, &proxy] {
        assert!(matches!(take(role), Reloaded::Replaced(_)));
        assert!(know_each_other());
    }
    let Met(asked, seen) = meet(&old, &node, Role::Node);
    assert!(asked.is_err() && seen.is_err(), "what the old CA issued is nothing any more");
}
