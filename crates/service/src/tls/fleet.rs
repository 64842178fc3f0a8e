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

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WebPkiServerVerifier, danger::ServerCertVerifier as _,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
    version::TLS13,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{
    TlsError, TlsFile, UtcMinute,
    issue::{self, DAY, Leaf, Pair, RENEW_DAYS, read_if_there},
    made::{CA_CERT, CA_KEY, LOCK},
    material::{self, Chain},
    server,
};

/// Processes of a fleet run for long, and each is restarted or reloaded to get another certificate.
const ROLE_DAYS: i64 = 5 * 365;

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
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl FleetTls {
    /// Loads `ca.pem` and the pair of the role `me` from `dir`, and checks that peers will take it.
    ///
    /// # Errors
    /// When a file is missing, expired, not of a pair, of another CA or of another role.
    pub fn load(dir: &Path, me: Role) -> Result<Self, TlsError> {
        let now = UtcMinute::from(SystemTime::now());
        let ca = Ca::read(dir)?;
        ca.chain.check_time(&ca.file, now)?;
        let own = Arc::new(Own(ArcSwap::new(Arc::new(read_own(dir, me, &ca, now)?))));
        let provider = server::provider();
        let crypto = |error: rustls::Error| TlsError::Crypto(error.to_string());

        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(crypto)?
            .with_root_certificates(Arc::clone(&ca.roots))
            .with_client_cert_resolver(Arc::clone(&own) as _);
        client.resumption = Resumption::disabled();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(crypto)?
            .with_client_cert_verifier(ca.client_verifier()?)
            .with_cert_resolver(Arc::clone(&own) as _);
        server.send_tls13_tickets = 0;
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self { me, dir: dir.to_owned(), own, client, server })
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
        make_at(dir, now)
    }

    /// Reads the pair of this role again, for the next handshakes. The CA stays as it is.
    ///
    /// # Errors
    /// As [`FleetTls::load`]; what was in force stays then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let now = UtcMinute::from(SystemTime::now());
        let own = read_own(&self.dir, self.me, &Ca::read(&self.dir)?, now)?;
        self.own.0.store(Arc::new(own));
        Ok(())
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

/// The pair that is shown to peers.
#[derive(Debug)]
struct Own(ArcSwap<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Whom the fleet trusts.
struct Ca {
    file: TlsFile,
    chain: Chain,
    roots: Arc<RootCertStore>,
}

impl Ca {
    fn read(dir: &Path) -> Result<Self, TlsError> {
        let file = file(dir, CA_CERT);
        let pem = material::read(&file)?;
        Self::of(file, &pem)
    }

    fn of(file: TlsFile, pem: &[u8]) -> Result<Self, TlsError> {
        let chain = material::chain(&file, pem)?;
        let mut roots = RootCertStore::empty();
        for (i, cert) in chain.certs.iter().enumerate() {
            roots.add(cert.clone()).map_err(|error| TlsError::BadCertificate {
                file: file.clone(),
                position: i + 1,
                reason: error.to_string(),
            })?;
        }
        Ok(Self { file, chain, roots: Arc::new(roots) })
    }

    fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), server::provider())
            .build()
            .map_err(|error| TlsError::Crypto(error.to_string()))
    }

    /// Whether peers would take `chain` for `role` at the time `at`, whichever side connects.
    fn check(
        &self,
        (file, chain): (&TlsFile, &Chain),
        role: Role,
        at: UtcMinute,
    ) -> Result<(), TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::clone(&self.roots),
            server::provider(),
        )
        .build()
        .map_err(|error| TlsError::Crypto(error.to_string()))?;
        let seconds = u64::try_from(at.unix()).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let (leaf, above) = chain.certs.split_first().expect("a chain has a certificate");
        let explain = |error| self.explain(file, role, error);
        verifier.verify_server_cert(leaf, above, &role.server_name(), &[], at).map_err(explain)?;
        self.client_verifier()?.verify_client_cert(leaf, above, at).map_err(explain)?;
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

/// Reads and checks the pair of `role`.
fn read_own(dir: &Path, role: Role, ca: &Ca, now: UtcMinute) -> Result<CertifiedKey, TlsError> {
    let Pair { cert, key } = pair(dir, role);
    let chain = material::chain(&cert, &material::read(&cert)?)?;
    let key_pem = material::read(&key)?;
    let own = material::certified_key((&cert, &chain), (&key, &key_pem), &server::provider())?;
    chain.check_time(&cert, now)?;
    ca.check((&cert, &chain), role, now)?;
    Ok(own)
}

fn make_at(dir: &Path, now: UtcMinute) -> Result<(), TlsError> {
    let ca_files = Pair { cert: file(dir, CA_CERT), key: file(dir, CA_KEY) };
    let can_issue = ca_files.key.path.exists();
    let ca = read_if_there(&ca_files.cert)?.map(|pem| Ca::of(ca_files.cert.clone(), &pem));
    let ca = match ca.transpose()? {
        Some(ca) if !can_issue || ca.chain.not_after >= near_end(now) => Some(ca),
        _ => None,
    };
    if ca.is_none() {
        for role in Role::ALL {
            let cert = pair(dir, role).cert;
            if !ca_files.cert.path.exists() && cert.path.exists() {
                return Err(TlsError::Foreign { file: cert });
            }
            // Beside a new CA it would look like somebody else's.
            issue::remove(&cert)?;
        }
        issue::make_ca(&ca_files, "memtide fleet CA", now)?;
    }
    for role in Role::ALL {
        let to = pair(dir, role);
        if let Some(ca) = &ca {
            let usable_until = usable_until(&to, role, ca)?;
            // Without the CA's key a certificate is used to its end.
            let needed_until = if can_issue { near_end(now) } else { now };
            if usable_until.is_some_and(|until| until >= needed_until) {
                continue;
            }
            if !can_issue {
                return Err(TlsError::CannotRenew { file: to.cert });
            }
        }
        let leaf = Leaf {
            common: format!("memtide {role}"),
            names: vec![role.dns_name().to_owned()],
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            days: ROLE_DAYS,
        };
        issue::make_leaf(&ca_files, leaf, &to, now)?;
    }
    Ok(())
}

/// What ends before this is renewed now.
fn near_end(now: UtcMinute) -> UtcMinute {
    UtcMinute::from_unix(now.unix() + RENEW_DAYS * DAY)
}

/// Until when the pair can be used; `None` where it is not there, or not a pair.
fn usable_until(files: &Pair, role: Role, ca: &Ca) -> Result<Option<UtcMinute>, TlsError> {
    let (Some(cert_pem), Some(key_pem)) = (read_if_there(&files.cert)?, read_if_there(&files.key)?)
    else {
        return Ok(None);
    };
    let chain = material::chain(&files.cert, &cert_pem)?;
    // At its own end: one that has expired is renewed, and must not be called foreign.
    ca.check((&files.cert, &chain), role, chain.not_after)?;
    let pair =
        material::certified_key((&files.cert, &chain), (&files.key, &key_pem), &server::provider());
    match pair {
        Ok(_) => Ok(Some(chain.not_after)),
        Err(TlsError::KeyMismatch { .. }) => Ok(None),
        Err(error) => Err(error),
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
