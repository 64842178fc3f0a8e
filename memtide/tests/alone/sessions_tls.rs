//! TLS: who is let in, what a client without it is told, and certificates that change.

use std::path::{Path, PathBuf};

use memtide_testkit::{
    Authority, Client, ClientError, Ending, HandshakeKind, Identity, Memtide, MemtideBuilder,
    PATIENCE, ProtocolVersion, Server, Signal, TlsClient, TlsVersions, wait_until,
};

fn memtide() -> MemtideBuilder {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide"))
}

#[test]
fn plaintext_is_told_so_and_closed() {
    let memtide = memtide().start();
    for address in [memtide.address(), memtide.read_address()] {
        for request in ["get a\r\n", "GET / HTTP/1.1\r\n\r\n", "\u{80}\0\0\0", "stats\r\n", "\r\n"]
        {
            let mut client = Client::tcp(address);
            client.send(request.as_bytes()).unwrap();
            let (reply, ending) = client.read_to_end().unwrap();
            let reply = String::from_utf8(reply).unwrap();
            assert!(reply.starts_with("CLIENT_ERROR ") && reply.contains("TLS"), "{reply:?}");
            assert_eq!(reply.find("\r\n"), Some(reply.len() - 2), "one line: {reply:?}");
            assert_eq!(ending, Ending::Eof, "{request:?}");
        }
    }
}

#[test]
fn the_log_names_who_spoke_plaintext_at_a_bounded_rate() {
    const CLIENTS: usize = 200;
    let memtide = memtide().start();
    let mut first = Client::tcp(memtide.address());
    let name = first.local_address().to_string();
    first.send(b"get a\r\n").unwrap();
    drop(first.read_to_end().unwrap());
    let about_it = |line: &str| (line.contains(&name) && line.contains("plaintext")).then_some(());
    assert!(memtide.logs().find(PATIENCE, about_it).is_some(), "{}", memtide.logs().text());
    for _ in 1..CLIENTS {
        let mut client = Client::tcp(memtide.address());
        client.send(b"get a\r\n").unwrap();
        drop(client.read_to_end().unwrap());
    }
    let counted = memtide.metrics().get("memtide_connections_kicked_total{reason=\"plaintext\"}");
    assert_eq!(counted, Some(200.0));
    let lines = memtide.logs().text().lines().filter(|line| line.contains("plaintext")).count();
    assert!((1..=CLIENTS / 4).contains(&lines), "{lines} lines about {CLIENTS} clients");
}

#[test]
fn the_binary_protocol_is_refused_inside_tls() {
    let memtide = memtide().start();
    let mut client = memtide.connect();
    client.send(&[&[0x80, 0x0b][..], &[0; 22]].concat()).unwrap();
    let (reply, ending) = client.read_to_end().unwrap();
    assert_eq!(reply, b"CLIENT_ERROR the binary protocol is not supported\r\n");
    assert_eq!(ending, Ending::CloseNotify);
}

#[test]
fn both_versions_of_tls_serve_and_resume() {
    let memtide = memtide().start();
    for (versions, expected) in [
        (TlsVersions::Only12, ProtocolVersion::TLSv1_2),
        (TlsVersions::Only13, ProtocolVersion::TLSv1_3),
        (TlsVersions::All, ProtocolVersion::TLSv1_3),
    ] {
        let tls = TlsClient::with(memtide.ca_file(), versions, None);
        let kinds = [(); 2].map(|()| {
            let mut client = Client::tls(memtide.address(), &tls);
            assert_eq!(client.tls_version(), Some(expected));
            assert_eq!(
                client.ask(b"set a 0 0 1\r\nx\r\nget a\r\n").unwrap(),
                "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n"
            );
            client.handshake_kind()
        });
        assert_ne!(kinds[0], Some(HandshakeKind::Resumed), "{versions:?}");
        assert_eq!(kinds[1], Some(HandshakeKind::Resumed), "{versions:?}");
        let mut other_port = Client::tls(memtide.read_address(), &tls);
        assert_eq!(other_port.ask(b"get a\r\n").unwrap(), "VALUE a 0 1\r\nx\r\nEND\r\n");
        assert_eq!(other_port.handshake_kind(), Some(HandshakeKind::Resumed), "{versions:?}");
    }
    let resumed = memtide.metrics().get("memtide_tls_handshakes_total{outcome=\"resumed\"}");
    assert_eq!(resumed, Some(6.0));
}

#[test]
fn clients_may_connect_by_name_or_address() {
    let memtide = memtide().start();
    for name in ["localhost", "127.0.0.1", "::1"] {
        let tls = memtide.tls().clone().asking_for(name);
        let mut client = Client::tls(memtide.address(), &tls);
        assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n", "{name}");
    }
    let stranger = memtide.tls().clone().asking_for("example.com");
    let refused = Client::try_tls(memtide.address(), &stranger);
    assert!(refused.is_err(), "the certificate is for this host alone");
}

/// Alert descriptions of RFC 8446, section 6.
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

#[test]
fn old_versions_and_suites_without_forward_secrecy_are_refused() {
    const ECDHE_RSA_AES128_SHA: u16 = 0xc013;
    const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;
    const RSA_AES128_GCM: u16 = 0x009c;
    let memtide = memtide().start();
    for (version, suite, alert) in [
        (0x0300, ECDHE_RSA_AES128_SHA, PROTOCOL_VERSION),
        (0x0301, ECDHE_RSA_AES128_SHA, PROTOCOL_VERSION),
        (0x0302, ECDHE_RSA_AES128_SHA, PROTOCOL_VERSION),
        (0x0303, RSA_AES128_GCM, HANDSHAKE_FAILURE),
    ] {
        let mut client = Client::tcp(memtide.address());
        client.send(&client_hello(version, suite)).unwrap();
        let (reply, _) = client.read_to_end().unwrap();
        assert_eq!(reply.first(), Some(&0x15), "{version:#x}: an alert, not {reply:?}");
        assert_eq!(reply[5..], [2, alert], "{version:#x}: fatal");
    }
    let mut client = Client::tcp(memtide.address());
    client.send(&client_hello(0x0303, ECDHE_ECDSA_AES128_GCM)).unwrap();
    client.fill(6).unwrap();
    assert_eq!(client.unread()[5], 2, "the hello itself is sound: a ServerHello answers it");
}

/// A TLS record with the smallest ClientHello that a server can go on with (RFC 5246, 7.4.1.2).
fn client_hello(version: u16, suite: u16) -> Vec<u8> {
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    let point_formats = [0, 11, 0, 2, 1, 0];
    let signatures = [0, 13, 0, 8, 0, 6, 4, 3, 5, 3, 8, 4];
    let extensions = [&groups[..], &point_formats, &signatures].concat();
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2]);
    body.extend(suite.to_be_bytes());
    body.extend([1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let len = u16::try_from(body.len()).unwrap();
    let mut record = vec![0x16, 3, 1];
    record.extend((len + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(len.to_be_bytes());
    record.extend(body);
    record
}

#[test]
fn the_made_certificate_is_kept_for_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = |memtide: &Memtide| memtide.connect().server_certificate().unwrap();
    let first = certificate(&memtide().data_dir(directory.path()).start());
    let second = certificate(&memtide().data_dir(directory.path()).start());
    assert_eq!(first, second);
    let key = std::fs::metadata(directory.path().join("tls/server.key")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// A server with a certificate of the test's own.
struct Certified {
    memtide: Memtide,
    authority: Authority,
    files: Files,
    _directory: tempfile::TempDir,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn write(&self, identity: &Identity) {
        std::fs::write(&self.key, &identity.key_pem).unwrap();
        std::fs::write(&self.certificate, &identity.certificate_pem).unwrap();
    }
}

impl Certified {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("test CA");
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, &authority.certificate_pem).unwrap();
        let files = Files {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        };
        files.write(&authority.issue("first"));
        let memtide = memtide()
            .args(["--tls-cert".as_ref(), files.certificate.as_os_str()])
            .args(["--tls-key".as_ref(), files.key.as_os_str()])
            .trusting(&ca_file)
            .start();
        Self { memtide, authority, files, _directory: directory }
    }

    /// The certificate that a new connection sees.
    fn certificate(&self) -> Vec<u8> {
        self.memtide.connect().server_certificate().unwrap()
    }

    fn wait_for_change(&self, old: &[u8]) -> Vec<u8> {
        wait_until("the new certificate", PATIENCE, || {
            Some(self.certificate()).filter(|certificate| certificate != old)
        })
    }
}

fn works(client: &mut Client) {
    assert_eq!(client.ask(b"version noreply\r\n").unwrap().get(..8), Some("VERSION "));
}

#[test]
fn a_certificate_is_reloaded_on_sighup_and_no_connection_drops() {
    let server = Certified::start();
    let mut old_connection = server.memtide.connect();
    let first = server.certificate();
    server.files.write(&server.authority.issue("second"));
    server.memtide.signal(Signal::HUP);
    let second = server.wait_for_change(&first);
    works(&mut old_connection);
    assert_eq!(old_connection.server_certificate().unwrap(), first);
    assert_ne!(first, second);
}

#[test]
fn a_certificate_is_reloaded_when_its_files_change() {
    let server = Certified::start();
    let mut old_connection = server.memtide.connect();
    let first = server.certificate();
    server.files.write(&server.authority.issue("second"));
    let second = server.wait_for_change(&first);
    works(&mut old_connection);
    // As tools do it that replace files whole.
    let third = server.authority.issue("third");
    for (path, text) in
        [(&server.files.key, &third.key_pem), (&server.files.certificate, &third.certificate_pem)]
    {
        let aside = path.with_extension("new");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(&aside, path).unwrap();
    }
    server.wait_for_change(&second);
    works(&mut old_connection);
}

#[test]
fn a_broken_new_certificate_leaves_the_old_one_in_force_and_says_why() {
    let server = Certified::start();
    let mut old_connection = server.memtide.connect();
    let first = server.certificate();
    let stranger = Authority::new("another").issue("mismatched");
    for (file, text) in [
        (&server.files.certificate, "no certificate\n"),
        (&server.files.certificate, ""),
        // The key does not fit this one.
        (&server.files.certificate, stranger.certificate_pem.as_str()),
        (&server.files.key, "no key\n"),
    ] {
        let seen = server.memtide.logs().len();
        std::fs::write(file, text).unwrap();
        server.memtide.signal(Signal::HUP);
        let complaint = server.memtide.logs().find_after(seen, PATIENCE, |line| {
            let is_loud = line.contains("\"WARN\"") || line.contains("\"ERROR\"");
            (is_loud && line.contains(".pem")).then(|| line.to_owned())
        });
        assert!(complaint.is_some(), "about {text:?}:\n{}", server.memtide.logs().text());
        assert_eq!(server.certificate(), first, "{text:?}");
        works(&mut old_connection);
    }
    server.files.write(&server.authority.issue("mended"));
    server.memtide.signal(Signal::HUP);
    server.wait_for_change(&first);
    works(&mut old_connection);
}

#[test]
fn client_certificates_are_required_where_a_client_ca_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let clients = Authority::new("clients");
    let client_ca: &Path = &directory.path().join("clients.pem");
    std::fs::write(client_ca, &clients.certificate_pem).unwrap();
    let memtide = memtide().args(["--tls-client-ca".as_ref(), client_ca.as_os_str()]).start();
    let known = clients.issue("known");
    let stranger = Authority::new("clients").issue("stranger");
    let pems = |identity: &Identity| (identity.certificate_pem.clone(), identity.key_pem.clone());
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        for (who, is_welcome) in [(None, false), (Some(&known), true), (Some(&stranger), false)] {
            let pems = who.map(pems);
            let identity = pems.as_ref().map(|(chain, key)| (chain.as_str(), key.as_str()));
            let tls = TlsClient::with(memtide.ca_file(), versions, identity);
            let outcome = Client::try_tls(memtide.address(), &tls)
                .and_then(|mut client| client.ask(b"get a\r\n"));
            match outcome {
                Ok(reply) => assert!(is_welcome && reply == "END\r\n", "{versions:?}: {reply:?}"),
                Err(ClientError::Ended { ending: Ending::Tls(alert), .. }) => {
                    assert!(!is_welcome, "{versions:?}: {alert}");
                }
                Err(other) => panic!("{versions:?}: {other}"),
            }
        }
    }
}
