use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore,
    ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;

use super::*;
use crate::events::{EventKind, Events};

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key for localhost, valid in these years.
    fn issue(&self, from: i32, to: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

struct Files {
    dir: TempDir,
    settings: TlsSettings,
}

impl Files {
    fn new(cert: &str, key: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [cert_path, key_path] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
        let identity = Identity::Given { cert: cert_path, key: key_path };
        let files = Self { dir, settings: TlsSettings { identity, client_ca: None } };
        files.write("cert.pem", cert);
        files.write("key.pem", key);
        files
    }

    /// Replaces one as writers should: beside, then renamed into place.
    fn write(&self, name: &str, text: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join(name)).unwrap();
    }

    fn with_client_ca(mut self, text: &str) -> Self {
        self.write("client-ca.pem", text);
        self.settings.client_ca = Some(self.dir.path().join("client-ca.pem"));
        self
    }

    fn open(&self) -> Tls {
        Tls::open(self.settings.clone()).unwrap().0
    }
}

fn client(ca: &str, own: Option<(&str, &str)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(cert.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(server::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match own {
        Some((cert, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    })
}

struct Session(ClientConnection, ServerConnection);

impl Session {
    fn new(tls: &Tls, client: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::clone(client), name).unwrap();
        let mut session = Self(client, ServerConnection::new(tls.server_config()).unwrap());
        session.exchange()?;
        Ok(session)
    }

    /// Moves bytes both ways until neither side has any.
    fn exchange(&mut self) -> io::Result<()> {
        let Self(client, server) = self;
        while client.wants_write() || server.wants_write() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes)?;
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                server.read_tls(&mut rest)?;
                server.process_new_packets().map_err(io::Error::other)?;
            }
            bytes.clear();
            while server.wants_write() {
                server.write_tls(&mut bytes)?;
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest)?;
                client.process_new_packets().map_err(io::Error::other)?;
            }
        }
        Ok(())
    }

    fn echo(&mut self) {
        self.0.writer().write_all(b"mn\r\n").unwrap();
        self.exchange().unwrap();
        let mut bytes = [0; 4];
        self.1.reader().read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"mn\r\n");
    }

    fn is_resumed(&self) -> bool {
        self.1.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

#[test]
fn material_that_cannot_be_used_is_told_in_one_line() {
    let (ca, other) = (Ca::new(), Ca::new());
    let (cert, key) = ca.issue(2000, 4000);
    let (_, other_key) = ca.issue(2000, 4000);
    let (expired, expired_key) = ca.issue(2000, 2020);
    let (future, future_key) = ca.issue(3000, 4000);
    let wrong_order = format!("{}{cert}", ca.pem);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let broken = cert.replace("-----END", "-----");
    let table = [
        (
            &*cert,
            &*other_key,
            "--tls-key key.pem: does not match the certificate of --tls-cert cert",
        ),
        (&other.pem, &key, "--tls-key key.pem: does not match"),
        (&wrong_order, &key, "--tls-cert cert.pem: the server's certificate comes 2. in the file"),
        (
            &expired,
            &expired_key,
            "--tls-cert cert.pem: the certificate expired at 2020-01-01 00:00 UTC",
        ),
        (
            &future,
            &future_key,
            "--tls-cert cert.pem: the certificate is not valid before 3000-01-01",
        ),
        ("", &key, "--tls-cert cert.pem: holds no certificate (it is empty)"),
        ("garbage", &key, "--tls-cert cert.pem: holds no certificate (it is not PEM)"),
        ("0\u{1}", &key, "--tls-cert cert.pem: holds no certificate (it seems to be DER)"),
        (&key, &key, "--tls-cert cert.pem: holds no certificate (it holds PRIVATE KEY)"),
        (&broken, &key, "--tls-cert cert.pem: holds no certificate (a section has no end)"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            "--tls-cert cert.pem: certificate 1 cannot be used (",
        ),
        (&cert, &cert, "--tls-key key.pem: holds no private key (it holds CERTIFICATE)"),
        (&cert, &encrypted, "--tls-key key.pem: the key is encrypted"),
        (
            &cert,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "--tls-key key.pem: the key cannot be used (",
        ),
    ];
    for (cert, key, expected) in table {
        let files = Files::new(cert, key);
        let error = Tls::open(files.settings.clone()).unwrap_err().to_string();
        let shown = error.replace(&format!("{}/", files.dir.path().display()), "");
        assert!(shown.starts_with(expected) && !shown.contains('\n'), "{shown}\n{expected}");
        assert_eq!(Tls::check(&files.settings).unwrap_err().to_string(), error);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let (cert, key) = Ca::new().issue(2000, 4000);
    let files = Files::new(&cert, &key).with_client_ca("garbage");
    let message = || Tls::open(files.settings.clone()).unwrap_err().to_string();
    assert!(message().contains("client-ca.pem: holds no certificate"), "{}", message());
    fs::write(files.dir.path().join("cert.pem"), "x".repeat(2 << 20)).unwrap();
    assert!(message().contains("too large for a PEM file"), "{}", message());
    fs::remove_file(files.dir.path().join("key.pem")).unwrap();
    files.write("cert.pem", &cert);
    assert!(message().ends_with("is the path right?"), "{}", message());
    files.write("key.pem", &key);
    fs::set_permissions(files.dir.path().join("key.pem"), fs::Permissions::from_mode(0o000))
        .unwrap();
    // The superuser may read everything.
    if fs::read(files.dir.path().join("key.pem")).is_err() {
        assert!(
            message().contains("give the user that memtide runs as permission"),
            "{}",
            message()
        );
    }
}

#[test]
fn a_reload_keeps_connections_and_sessions() {
    let ca = Ca::new();
    let (cert, key) = ca.issue(2000, 4000);
    let files = Files::new(&cert, &key);
    let tls = files.open();
    let trusting = client(&ca.pem, None);
    let mut open = Session::new(&tls, &trusting).unwrap();
    open.echo();
    assert_eq!(tls.reload().unwrap(), Reloaded::Unchanged);

    let new_ca = Ca::new();
    let (cert, key) = new_ca.issue(2000, 3000);
    files.write("cert.pem", &cert);
    assert!(matches!(tls.reload(), Err(TlsError::KeyMismatch { .. })));
    files.write("key.pem", &key);
    assert!(matches!(tls.reload(), Ok(Reloaded::Replaced(_))));
    assert!(tls.expires().to_string().starts_with("3000-01-01"));

    open.echo();
    assert!(Session::new(&tls, &trusting).unwrap().is_resumed());
    assert!(Session::new(&tls, &client(&ca.pem, None)).is_err(), "the old CA is not the issuer");
    assert!(!Session::new(&tls, &client(&new_ca.pem, None)).unwrap().is_resumed());

    let families = tls.collect();
    let counts: Vec<f64> =
        families[1].get_metric().iter().map(|m| m.get_counter().get_value()).collect();
    assert_eq!(counts, [1.0, 1.0], "one success and one failure");
}

#[test]
fn a_change_of_the_client_ca_ends_sessions() {
    let (ca, first, second) = (Ca::new(), Ca::new(), Ca::new());
    let (cert, key) = ca.issue(2000, 4000);
    let files = Files::new(&cert, &key).with_client_ca(&first.pem);
    let tls = files.open();
    let (own, own_key) = first.issue(2000, 4000);
    let known = client(&ca.pem, Some((&own, &own_key)));
    assert!(Session::new(&tls, &client(&ca.pem, None)).is_err());
    assert!(!Session::new(&tls, &known).unwrap().is_resumed());
    assert!(Session::new(&tls, &known).unwrap().is_resumed());

    // A bundle: both may come, and the next full handshake of the first resumes again.
    files.write("client-ca.pem", &format!("{}{}", first.pem, second.pem));
    tls.reload().unwrap();
    assert!(!Session::new(&tls, &known).unwrap().is_resumed());
    assert!(Session::new(&tls, &known).unwrap().is_resumed());
    files.write("client-ca.pem", &second.pem);
    tls.reload().unwrap();
    assert!(Session::new(&tls, &known).is_err(), "no session outlives its CA");
}

#[test]
fn both_versions_and_only_forward_secret_suites() {
    let ca = Ca::new();
    let (cert, key) = ca.issue(2000, 4000);
    let tls = Files::new(&cert, &key).open();
    for (version, expected) in [
        (server::VERSIONS[0], ProtocolVersion::TLSv1_3),
        (server::VERSIONS[1], ProtocolVersion::TLSv1_2),
    ] {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(server::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config);
        let first = Session::new(&tls, &config).unwrap();
        assert_eq!(first.1.protocol_version(), Some(expected));
        assert!(Session::new(&tls, &config).unwrap().is_resumed(), "{expected:?}");
    }
    for suite in &server::provider().cipher_suites {
        let name = format!("{:?}", suite.suite());
        assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
    }
}

#[test]
fn made_material_is_trusted_by_its_ca() {
    let data = tempfile::tempdir().unwrap();
    let identity =
        Identity::Made { dir: data.path().join("tls"), names: vec!["cache.example".to_owned()] };
    let settings = TlsSettings { identity, client_ca: None };
    Tls::check(&settings).unwrap();
    assert!(!data.path().join("tls").exists(), "a check makes nothing");
    let (tls, made) = Tls::open(settings.clone()).unwrap();
    assert_eq!(made, Made::All);
    let ca = fs::read_to_string(tls.ca_path().unwrap()).unwrap();
    Session::new(&tls, &client(&ca, None)).unwrap().echo();
    Tls::check(&settings).unwrap();
}

/// Waits for what the watching thread does on its own.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::yield_now();
    }
}

#[test]
fn files_are_watched_and_symlinks_swapped() {
    let ca = Ca::new();
    let data = tempfile::tempdir().unwrap();
    let path = |name: &str| data.path().join(name);
    // As Kubernetes mounts a secret: tls.crt -> ..data/tls.crt, ..data -> ..v1
    let publish = |version: &str, (cert, key): &(String, String)| {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("tls.crt"), cert).unwrap();
        fs::write(path(version).join("tls.key"), key).unwrap();
        std::os::unix::fs::symlink(version, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
    };
    publish("..v1", &ca.issue(2000, 4000));
    for name in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{name}"), path(name)).unwrap();
    }
    let identity = Identity::Given { cert: path("tls.crt"), key: path("tls.key") };
    let (tls, _) = Tls::open(TlsSettings { identity, client_ca: None }).unwrap();
    let tls = Arc::new(tls);
    let events = Events::new();
    let reloader = watch(Arc::clone(&tls), events.clone()).unwrap();

    publish("..v2", &ca.issue(2000, 3500));
    eventually("a swapped symlink", || tls.expires().to_string().starts_with("3500"));
    publish("..v3", &("garbage".to_owned(), "garbage".to_owned()));
    eventually("a broken file", || tls.reloads_failed.load(Ordering::Relaxed) == 1);
    assert!(tls.expires().to_string().starts_with("3500"));
    publish("..v4", &ca.issue(2000, 3600));
    reloader.reload();
    eventually("a good file after it", || tls.expires().to_string().starts_with("3600"));
    eventually("its count", || tls.reloads_done.load(Ordering::Relaxed) == 2);
    eventually("its event", || events.after(0).next == 3);
    let kinds: Vec<_> = events.after(0).events.into_iter().map(|event| event.kind).collect();
    let (reloaded, failed) = (EventKind::TlsReloaded, EventKind::TlsReloadFailed);
    assert_eq!(kinds, [reloaded, failed, reloaded]);
}

#[test]
fn sessions_resume_at_all_endpoints_that_share_tickets_and_check_clients_alike() {
    let (ca, clients, others) = (Ca::new(), Ca::new(), Ca::new());
    let (cert, key) = ca.issue(2000, 4000);
    let files = [(), (), ()].map(|()| Files::new(&cert, &key).with_client_ca(&clients.pem));
    let endpoints = files.each_ref().map(Files::open);
    let (own, own_key) = clients.issue(2000, 4000);
    let client = || client(&ca.pem, Some((&own, &own_key)));
    let secrets = [[1; 32], [2; 32]];
    for endpoint in &endpoints[..2] {
        endpoint.share_tickets(&secrets[..1]).unwrap();
    }
    let roaming = client();
    assert!(!Session::new(&endpoints[0], &roaming).unwrap().is_resumed());
    assert!(Session::new(&endpoints[1], &roaming).unwrap().is_resumed());
    // The key is replaced, and another one comes to know it.
    endpoints[0].share_tickets(&[secrets[1], secrets[0]]).unwrap();
    assert!(Session::new(&endpoints[0], &roaming).unwrap().is_resumed());
    assert!(!Session::new(&endpoints[2], &roaming).unwrap().is_resumed(), "it knows none");
    endpoints[2].share_tickets(&secrets).unwrap();
    assert!(Session::new(&endpoints[2], &roaming).unwrap().is_resumed(), "its own, of before");
    // A change of the CA of clients ends sessions, and those of the others are none.
    let roaming = client();
    assert!(!Session::new(&endpoints[0], &roaming).unwrap().is_resumed());
    files[2].write("client-ca.pem", &format!("{}{}", clients.pem, others.pem));
    endpoints[2].reload().unwrap();
    assert!(!Session::new(&endpoints[2], &roaming).unwrap().is_resumed());
    assert!(Session::new(&endpoints[2], &roaming).unwrap().is_resumed());
    files[0].write("client-ca.pem", &format!("{}{}", clients.pem, others.pem));
    endpoints[0].reload().unwrap();
    assert!(Session::new(&endpoints[0], &roaming).unwrap().is_resumed(), "alike again");
}
