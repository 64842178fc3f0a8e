//! TLS material: made where none is given, loaded, checked, and replaced without closing a
//! connection.
//!
//! [`Tls`] holds one `rustls::ServerConfig` behind an `ArcSwap`. A session takes the one in force
//! when it starts its handshake and keeps it. A reload swaps the whole configuration, because
//! certificate, client CA and ticket keys must change together:
//!
//! - Connections go on as they are: a record layer does not know certificates.
//! - Sessions resume over a change of the server's certificate, as the ticket keys stay. The
//!   client authenticated us when the session began, and no new statement is made.
//! - Sessions do not resume over a change of `--tls-client-ca`: resumption would skip the check of
//!   the client's certificate, so the ticket keys are replaced with it.
//! - Nothing resumes over a restart. The keys are never written down. Where proxies share them
//!   ([`Tls::share_tickets`]), sessions resume at any of them.
//!
//! A new file that is broken, expired or not of a pair leaves the material in force as it is.

mod admin;
mod client;
mod error;
pub mod fleet;
mod issue;
mod made;
mod material;
mod reload;
mod server;
mod tickets;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use prometheus::proto::MetricFamily;
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use self::tickets::Tickets;
pub use self::{
    admin::AdminTls,
    client::{ClientFiles, ClientTls},
    error::{TlsError, TlsFile},
    made::{MADE_NAMES, Made},
    material::UtcMinute,
    reload::{Reloader, Reloads, directories_of, watch},
    tickets::TICKET_SECRET_BYTES,
};
use crate::metrics::{Source, counters, gauge};

/// Where TLS material comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's own certificate.
    pub identity: Identity,
    /// CAs one of which must have issued every client's certificate; `None` asks for none.
    pub client_ca: Option<PathBuf>,
}

/// Where the server's certificate and key come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `--tls-cert` and `--tls-key`: a PEM chain, the server's certificate first, and its key.
    Given {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Made by us in `dir` (`<data-dir>/tls`) and renewed there.
    Made {
        /// The directory of `ca.pem`, `ca.key`, `server.pem` and `server.key`.
        dir: PathBuf,
        /// Host names and addresses that the certificate is good for, beside [`MADE_NAMES`].
        names: Vec<String>,
    },
}

/// The TLS material in force.
pub struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    in_force: ArcSwap<InForce>,
    /// What tickets are shared by.
    shared: Mutex<Vec<[u8; TICKET_SECRET_BYTES]>>,
    reloads_done: AtomicU64,
    reloads_failed: AtomicU64,
}

struct InForce {
    config: Arc<ServerConfig>,
    tickets: Arc<Tickets>,
    inputs: Inputs,
    not_after: UtcMinute,
}

/// The files' bytes, to see whether they changed.
#[derive(PartialEq, Eq)]
struct Inputs {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What a reload found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// The files are those in force.
    Unchanged,
    /// New material is in force; its certificate, where it has one, expires then.
    Replaced(Option<UtcMinute>),
}

impl Tls {
    /// Loads the material of `settings`, or makes it; says what was made.
    ///
    /// # Errors
    /// When it cannot be read, used or made. Every one is the environment's: a file or directory
    /// must change, not what memtide was told.
    pub fn open(settings: TlsSettings) -> Result<(Self, Made), TlsError> {
        let now = UtcMinute::from(SystemTime::now());
        let made = settings.make(now)?;
        let provider = server::provider();
        let inputs = settings.read()?;
        let tickets = Tickets::new(inputs.client_ca.as_deref())?;
        let in_force = InForce::load(&settings, inputs, &provider, Arc::new(tickets))?;
        let tls = Self {
            settings,
            provider,
            in_force: ArcSwap::from_pointee(in_force),
            shared: Mutex::default(),
            reloads_done: AtomicU64::new(0),
            reloads_failed: AtomicU64::new(0),
        };
        Ok((tls, made))
    }

    /// Loads and checks the material of `settings` without making or writing anything. Material
    /// that memtide would make or renew itself at a start is passed over.
    ///
    /// # Errors
    /// As [`Tls::open`].
    pub fn check(settings: &TlsSettings) -> Result<(), TlsError> {
        let provider = server::provider();
        if let Identity::Made { dir, names } = &settings.identity
            && made::missing(dir, names, UtcMinute::from(SystemTime::now()))? != Made::Nothing
        {
            return settings.client_verifier(&settings.read_client_ca()?, &provider).map(|_| ());
        }
        let inputs = settings.read()?;
        let tickets = Tickets::new(inputs.client_ca.as_deref())?;
        InForce::load(settings, inputs, &provider, Arc::new(tickets)).map(|_| ())
    }

    /// The configuration for a session that starts now.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.in_force.load().config)
    }

    /// From now on sessions resume wherever these secrets are shared, the newest first; those of this
    /// process go on to resume here. Tickets of an endpoint with another `--tls-client-ca` are none.
    ///
    /// # Errors
    /// Where no keys come of them; it goes on with those that it has.
    pub fn share_tickets(&self, secrets: &[[u8; TICKET_SECRET_BYTES]]) -> Result<(), TlsError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_force.load().tickets.share(secrets)?;
        secrets.clone_into(&mut shared);
        Ok(())
    }

    /// The CA that clients must trust, where we made it.
    #[must_use]
    pub fn ca_path(&self) -> Option<PathBuf> {
        match &self.settings.identity {
            Identity::Made { dir, .. } => Some(dir.join(made::CA_CERT)),
            Identity::Given { .. } => None,
        }
    }

    /// When the certificate in force expires.
    #[must_use]
    pub fn expires(&self) -> UtcMinute {
        self.in_force.load().not_after
    }

    /// Reads the files again (and renews those we made, when near their end), and puts them in
    /// force when they differ and are good. Counted in the metrics unless nothing changed.
    ///
    /// # Errors
    /// When the new ones cannot be used; those in force stay.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let reloaded = self.load_changed();
        match &reloaded {
            Ok(Reloaded::Unchanged) => {}
            Ok(Reloaded::Replaced(_)) => self.count(true),
            Err(_) => self.count(false),
        }
        reloaded
    }
}

impl Reloads for Tls {
    fn name(&self) -> String {
        "TLS certificate".to_owned()
    }

    fn count(&self, is_success: bool) {
        let count = if is_success { &self.reloads_done } else { &self.reloads_failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn load_changed(&self) -> Result<Reloaded, TlsError> {
        self.settings.make(UtcMinute::from(SystemTime::now()))?;
        let inputs = self.settings.read()?;
        let in_force = self.in_force.load();
        if inputs == in_force.inputs {
            return Ok(Reloaded::Unchanged);
        }
        // What is shared meanwhile is to come to those in force.
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let tickets = if inputs.client_ca == in_force.inputs.client_ca {
            Arc::clone(&in_force.tickets)
        } else {
            let tickets = Tickets::new(inputs.client_ca.as_deref())?;
            tickets.share(&shared)?;
            Arc::new(tickets)
        };
        let new = InForce::load(&self.settings, inputs, &self.provider, tickets)?;
        let not_after = new.not_after;
        self.in_force.store(Arc::new(new));
        Ok(Reloaded::Replaced(Some(not_after)))
    }

    fn not_after(&self) -> Option<UtcMinute> {
        Some(self.expires())
    }

    fn directories(&self) -> Vec<PathBuf> {
        directories_of(&self.settings.files())
    }
}

impl TlsSettings {
    fn cert(&self) -> TlsFile {
        match &self.identity {
            Identity::Given { cert, .. } => TlsFile { setting: "--tls-cert", path: cert.clone() },
            Identity::Made { dir, .. } => made::file(dir, made::SERVER_CERT),
        }
    }

    fn key(&self) -> TlsFile {
        match &self.identity {
            Identity::Given { key, .. } => TlsFile { setting: "--tls-key", path: key.clone() },
            Identity::Made { dir, .. } => made::file(dir, made::SERVER_KEY),
        }
    }

    fn client_ca(&self) -> Option<TlsFile> {
        let file = |path: &PathBuf| TlsFile { setting: "--tls-client-ca", path: path.clone() };
        self.client_ca.as_ref().map(file)
    }

    fn files(&self) -> Vec<TlsFile> {
        [self.cert(), self.key()].into_iter().chain(self.client_ca()).collect()
    }

    fn make(&self, now: UtcMinute) -> Result<Made, TlsError> {
        match &self.identity {
            Identity::Made { dir, names } => made::ensure(dir, names, now),
            Identity::Given { .. } => Ok(Made::Nothing),
        }
    }

    fn read(&self) -> Result<Inputs, TlsError> {
        Ok(Inputs {
            cert: material::read(&self.cert())?,
            key: material::read(&self.key())?,
            client_ca: self.read_client_ca()?,
        })
    }

    fn read_client_ca(&self) -> Result<Option<Vec<u8>>, TlsError> {
        self.client_ca().map(|file| material::read(&file)).transpose()
    }

    fn client_verifier(
        &self,
        pem: &Option<Vec<u8>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>, TlsError> {
        let (Some(file), Some(pem)) = (self.client_ca(), pem) else { return Ok(None) };
        material::client_verifier(&file, pem, provider).map(Some)
    }
}

impl InForce {
    fn load(
        settings: &TlsSettings,
        inputs: Inputs,
        provider: &Arc<CryptoProvider>,
        tickets: Arc<Tickets>,
    ) -> Result<Self, TlsError> {
        let (cert, key) = (settings.cert(), settings.key());
        let chain = material::chain(&cert, &inputs.cert)?;
        let certified = material::certified_key((&cert, &chain), (&key, &inputs.key), provider)?;
        chain.check_time(&cert, UtcMinute::from(SystemTime::now()))?;
        let verifier = settings.client_verifier(&inputs.client_ca, provider)?;
        let ticketer = Arc::clone(&tickets) as _;
        let config = server::server_config(provider, certified, verifier, ticketer)?;
        Ok(Self { config: Arc::new(config), tickets, inputs, not_after: chain.not_after })
    }
}

impl Source for Tls {
    fn collect(&self) -> Vec<MetricFamily> {
        let (done, failed) = (
            self.reloads_done.load(Ordering::Relaxed),
            self.reloads_failed.load(Ordering::Relaxed),
        );
        #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
        let not_after = self.expires().unix() as f64;
        vec![
            gauge(
                "memtide_tls_certificate_not_after_seconds",
                "When the server's certificate in force expires, in seconds since the Unix epoch.",
                not_after,
            ),
            counters(
                "memtide_tls_reloads_total",
                "Changed TLS files that were put in force (success) or refused (failure).",
                &["result"],
                [(["success"], done), (["failure"], failed)],
            ),
        ]
    }
}

/// The certificate in force, for another port of this process.
impl ResolvesServerCert for Tls {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.server_config().cert_resolver.resolve(hello)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
