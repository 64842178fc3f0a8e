//! How the roles of a fleet know each other: a private CA, and a certificate for each role.
//!
//! ```text
//! <dir>/ca.pem                 what every role trusts, and nothing else
//! <dir>/ca.key                 0600; wherever certificates are issued, and nowhere else
//! <dir>/{proxy,node,scaler}.pem  issued by it, good for the role's name (`node.memtide`)
//! <dir>/{proxy,node,scaler}.key  0600
//! ```
//! Whoever connects checks the name of the role that it expects; whoever accepts asks for a
//! certificate of the CA, and [`FleetTls::role_of`] reads the role from it. A process needs `ca.pem`
//! and the pair of its own role. Only TLS 1.3 is spoken, and no session is resumed: links last, and
//! a certificate that is replaced or has expired must not live on in tickets.

mod make;
mod trust;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use prometheus::proto::MetricFamily;
use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption, danger::ServerCertVerifier as _},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::TLS13,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use crate::metrics::{Source, counters, gauges};

use self::trust::{Trust, Trusted};
use super::{
    Reloaded, Reloads, TlsError, TlsFile, UtcMinute,
    issue::{self, Pair},
    made::{CA_CERT, LOCK},
    material::{self, Chain},
    server,
};

/// What a process of a fleet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Terminates the clients' TLS, and connects to nodes and the scaler.
    Proxy,
    /// Holds data; accepts proxies and other nodes, connects to nodes and the scaler.
    Node,
    /// Accepts nodes and proxies.
    Scaler,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Proxy, Self::Node, Self::Scaler];

    /// `proxy`, `node` or `scaler`: also how its files are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Node => "node",
            Self::Scaler => "scaler",
        }
    }

    /// The DNS name in the certificate of this role.
    #[must_use]
    pub const fn dns_name(self) -> &'static str {
        match self {
            Self::Proxy => "proxy.memtide",
            Self::Node => "node.memtide",
            Self::Scaler => "scaler.memtide",
        }
    }

    /// What to give to rustls when connecting to this role.
    #[must_use]
    pub fn server_name(self) -> ServerName<'static> {
        ServerName::try_from(self.dns_name()).expect("each is a name")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The identity of this process in its fleet, and whom it trusts.
///
/// Clones share it: what [`FleetTls::reload`] puts in force is used by every configuration that was
/// handed out, from its next handshake on.
#[derive(Clone)]
pub struct FleetTls {
    me: Role,
    dir: PathBuf,
    own: Arc<Own>,
    trust: Arc<Trust>,
    reloads: Arc<Reloadings>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

/// How often changed files were put in force, and how often refused.
#[derive(Debug, Default)]
struct Reloadings {
    done: AtomicU64,
    failed: AtomicU64,
}

impl FleetTls {
    /// Loads `ca.pem` and the pair of the role `me` from `dir`, and checks that peers will take it.
    ///
    /// # Errors
    /// When a file is missing, expired, not of a pair, of another CA or of another role.
    pub fn load(dir: &Path, me: Role) -> Result<Self, TlsError> {
        let read = Read::of(dir, me)?;
        let trust = Arc::new(Trust::new(read.trusted()?));
        let own = Arc::new(Own(ArcSwap::from_pointee(read)));
        let provider = server::provider();
        let crypto = |error: rustls::Error| TlsError::Crypto(error.to_string());

        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(crypto)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&trust) as _)
            .with_client_cert_resolver(Arc::clone(&own) as _);
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(crypto)?
            .with_client_cert_verifier(Arc::clone(&trust) as _)
            .with_cert_resolver(Arc::clone(&own) as _);
        server.send_tls13_tickets = 0;
        let (client, server) = (Arc::new(client), Arc::new(server));
        let reloads = Arc::default();
        Ok(Self { me, dir: dir.to_owned(), own, trust, reloads, client, server })
    }

    /// Makes a CA and the pairs of all roles in `dir`. What is there and good is kept; a pair that
    /// is missing or near its end is issued anew.
    ///
    /// # Errors
    /// When files cannot be read or written, when one is of another CA, and when one must be issued
    /// and there is no `ca.key`.
    pub fn make(dir: &Path) -> Result<(), TlsError> {
        let now = UtcMinute::from(SystemTime::now());
        let _lock = issue::hold(&file(dir, LOCK))?;
        make::make_at(dir, now)
    }

    /// Reads the CAs and the pair of this role again, for the next handshakes.
    ///
    /// # Errors
    /// As [`FleetTls::load`]; what was in force stays then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let result = self.load_changed();
        match &result {
            Ok(Reloaded::Unchanged) => {}
            Ok(Reloaded::Replaced(_)) => self.count(true),
            Err(_) => self.count(false),
        }
        result.map(|_| ())
    }

    /// The role that this process has shown itself as.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.me
    }

    /// For connecting: give rustls the [`Role::server_name`] of the role that is expected there.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// For accepting: requires a certificate that the CA issued.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// When the certificate in force expires.
    #[must_use]
    pub fn expires(&self) -> UtcMinute {
        self.own.0.load().not_after
    }

    /// The certificate of this process, for another port of it.
    #[must_use]
    pub fn certificate(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.own) as _
    }

    /// The role of a peer by the certificates that it showed and rustls verified. `None` where the
    /// first names no role, or more than one.
    #[must_use]
    pub fn role_of(certificates: &[CertificateDer<'_>]) -> Option<Role> {
        let (_, leaf) = parse_x509_certificate(certificates.first()?).ok()?;
        let names = leaf.subject_alternative_name().ok().flatten()?;
        let is_in = |role: &Role| {
            let is_it = |name: &GeneralName<'_>| match name {
                GeneralName::DNSName(name) => name.eq_ignore_ascii_case(role.dns_name()),
                _ => false,
            };
            names.value.general_names.iter().any(is_it)
        };
        let mut roles = Role::ALL.into_iter().filter(is_in);
        match (roles.next(), roles.next()) {
            (Some(role), None) => Some(role),
            _ => None,
        }
    }
}

impl fmt::Debug for FleetTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (me, dir) = (&self.me, &self.dir);
        f.debug_struct("FleetTls").field("me", me).field("dir", dir).finish_non_exhaustive()
    }
}

impl Reloads for FleetTls {
    fn name(&self) -> String {
        format!("certificate of this {} in its fleet", self.me)
    }

    fn load_changed(&self) -> Result<Reloaded, TlsError> {
        let read = Read::of(&self.dir, self.me)?;
        if read.inputs == self.own.0.load().inputs {
            return Ok(Reloaded::Unchanged);
        }
        let not_after = read.not_after;
        self.trust.set(read.trusted()?);
        self.own.0.store(Arc::new(read));
        Ok(Reloaded::Replaced(Some(not_after)))
    }

    fn count(&self, is_success: bool) {
        let count = if is_success { &self.reloads.done } else { &self.reloads.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn not_after(&self) -> Option<UtcMinute> {
        Some(self.expires())
    }

    fn directories(&self) -> Vec<PathBuf> {
        vec![self.dir.clone()]
    }
}

impl Source for FleetTls {
    fn collect(&self) -> Vec<MetricFamily> {
        let role = self.me.name();
        #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
        let not_after = self.expires().unix() as f64;
        let counts = [("success", &self.reloads.done), ("failure", &self.reloads.failed)];
        vec![
            gauges(
                "memtide_fleet_certificate_not_after_seconds",
                "When the certificate in force expires that this process is known by in its fleet, in seconds since the Unix epoch.",
                &["role"],
                [([role], not_after)],
            ),
            counters(
                "memtide_fleet_tls_reloads_total",
                "Changed certificates of the fleet that were put in force (success) or refused (failure).",
                &["role", "result"],
                counts.map(|(result, count)| ([role, result], count.load(Ordering::Relaxed))),
            ),
        ]
    }
}

/// The pair that is shown to peers.
#[derive(Debug)]
struct Own(ArcSwap<Read>);

/// What the files of a role were, read and checked.
#[derive(Debug)]
struct Read {
    key: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    not_after: UtcMinute,
    /// The CAs, the certificate, its key.
    inputs: [Vec<u8>; 3],
}

impl Read {
    fn of(dir: &Path, role: Role) -> Result<Self, TlsError> {
        let now = UtcMinute::from(SystemTime::now());
        let (ca_file, Pair { cert, key }) = (file(dir, CA_CERT), pair(dir, role));
        let inputs = [material::read(&ca_file)?, material::read(&cert)?, material::read(&key)?];
        let ca = Ca::of(ca_file, &inputs[0])?;
        ca.chain.check_time(&ca.file, now)?;
        let chain = material::chain(&cert, &inputs[1])?;
        let own =
            material::certified_key((&cert, &chain), (&key, &inputs[2]), &server::provider())?;
        chain.check_time(&cert, now)?;
        ca.check((&cert, &chain), role, now)?;
        Ok(Self { key: Arc::new(own), roots: ca.roots, not_after: chain.not_after, inputs })
    }

    fn trusted(&self) -> Result<Trusted, TlsError> {
        Trusted::by(&self.roots)
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

/// Whom the fleet trusts.
struct Ca {
    file: TlsFile,
    chain: Chain,
    roots: Arc<RootCertStore>,
}

impl Ca {
    fn of(file: TlsFile, pem: &[u8]) -> Result<Self, TlsError> {
        let chain = material::chain(&file, pem)?;
        let roots = Arc::new(material::roots(&file, pem)?);
        Ok(Self { file, chain, roots })
    }

    /// Whether peers would take `chain` for `role` at the time `at`, whichever side connects.
    fn check(
        &self,
        (file, chain): (&TlsFile, &Chain),
        role: Role,
        at: UtcMinute,
    ) -> Result<(), TlsError> {
        let trusted = Trusted::by(&self.roots)?;
        let seconds = u64::try_from(at.unix()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (leaf, above) = chain.certs.split_first().expect("a chain has a certificate");
        let explain = |error| self.explain(file, role, error);
        trusted
            .servers
            .verify_server_cert(leaf, above, &role.server_name(), &[], at)
            .map_err(explain)?;
        trusted.clients.verify_client_cert(leaf, above, at).map_err(explain)?;
        // A certificate that is good for two roles is good for none.
        match FleetTls::role_of(&chain.certs) {
            Some(found) if found == role => Ok(()),
            _ => Err(TlsError::WrongRole { file: file.clone(), name: role.dns_name() }),
        }
    }

    fn explain(&self, file: &TlsFile, role: Role, error: rustls::Error) -> TlsError {
        let file = file.clone();
        match error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => TlsError::Foreign { file },
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => TlsError::WrongRole { file, name: role.dns_name() },
            error => TlsError::BadCertificate { file, position: 1, reason: error.to_string() },
        }
    }
}

fn pair(dir: &Path, role: Role) -> Pair {
    let of = |extension: &str| file(dir, &format!("{role}.{extension}"));
    Pair { cert: of("pem"), key: of("key") }
}

fn file(dir: &Path, name: &str) -> TlsFile {
    TlsFile { setting: "--fleet-tls", path: dir.join(name) }
}

#[cfg(test)]
mod tests;
