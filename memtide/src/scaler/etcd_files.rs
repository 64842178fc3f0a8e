//! What a scaler shows to etcd: the certificate, the CAs and the password in its files, put in force again when they change.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memtide_etcd::{Access, Credentials, Shown};
use memtide_service::metrics::{Source, counters, gauge};
use memtide_service::tls::{
    ClientFiles, ClientTls, Reloaded, Reloads, TlsError, TlsFile, UtcMinute, directories_of,
};
use prometheus::proto::MetricFamily;

use crate::settings::EtcdGiven;

/// The files, and what of them is in force; clones are the same.
#[derive(Clone)]
pub struct EtcdFiles(Arc<Inner>);

struct Inner {
    tls: Option<ClientFiles>,
    /// A user, and where its password is.
    user: Option<(String, TlsFile)>,
    read: Mutex<Read>,
    access: Access,
    done: AtomicU64,
    failed: AtomicU64,
}

/// What was in the files.
#[derive(Clone, PartialEq)]
struct Read {
    tls: Option<ClientTls>,
    credentials: Option<Credentials>,
}

impl EtcdFiles {
    /// Reads them.
    ///
    /// # Errors
    /// Which cannot be used, and why.
    pub fn load(given: &EtcdGiven) -> Result<Self, TlsError> {
        let file = |setting, path: &str| TlsFile { setting, path: PathBuf::from(path) };
        let identity = given.identity.as_ref();
        let identity =
            identity.map(|(cert, key)| (file("--etcd-cert", cert), file("--etcd-key", key)));
        let tls = given.ca.as_ref().map(|ca| ClientFiles { ca: file("--etcd-ca", ca), identity });
        let user = given.user.as_ref().map(|(user, path)| {
            let password = TlsFile { setting: "--etcd-password-file", path: path.clone() };
            (user.clone(), password)
        });
        let read = Read::of(tls.as_ref(), user.as_ref())?;
        let access = Access::new(read.shown());
        let (read, done, failed) = (Mutex::new(read), AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self(Arc::new(Inner { tls, user, read, access, done, failed })))
    }

    /// What is in force, for a client.
    pub fn access(&self) -> Access {
        self.0.access.clone()
    }
}

impl Read {
    fn of(tls: Option<&ClientFiles>, user: Option<&(String, TlsFile)>) -> Result<Self, TlsError> {
        let credentials = user.map(|(user, file)| {
            file.text().map(|password| Credentials { user: user.clone(), password })
        });
        Ok(Self {
            tls: tls.map(ClientFiles::load).transpose()?,
            credentials: credentials.transpose()?,
        })
    }

    fn shown(&self) -> Shown {
        let tls = self.tls.as_ref().map(|tls| Arc::clone(&tls.config));
        Shown { tls, credentials: self.credentials.clone() }
    }

    fn not_after(&self) -> Option<UtcMinute> {
        self.tls.as_ref().and_then(|tls| tls.not_after)
    }
}

impl Reloads for EtcdFiles {
    fn name(&self) -> String {
        match (&self.0.tls, &self.0.user) {
            (Some(_), Some(_)) => "certificate and password for etcd",
            (Some(ClientFiles { identity: None, .. }), None) => "CA of etcd",
            (Some(_), None) => "certificate for etcd",
            (None, _) => "password for etcd",
        }
        .to_owned()
    }

    fn load_changed(&self) -> Result<Reloaded, TlsError> {
        let new = Read::of(self.0.tls.as_ref(), self.0.user.as_ref())?;
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        if new == *read {
            return Ok(Reloaded::Unchanged);
        }
        self.0.access.renew(new.shown());
        let not_after = new.not_after();
        *read = new;
        Ok(Reloaded::Replaced(not_after))
    }

    fn count(&self, is_success: bool) {
        let count = if is_success { &self.0.done } else { &self.0.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn not_after(&self) -> Option<UtcMinute> {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner).not_after()
    }

    fn directories(&self) -> Vec<PathBuf> {
        let tls = self.0.tls.iter().flat_map(ClientFiles::all);
        let password = self.0.user.iter().map(|(_, file)| file);
        directories_of(&tls.chain(password).cloned().collect::<Vec<_>>())
    }
}

impl Source for EtcdFiles {
    fn collect(&self) -> Vec<MetricFamily> {
        let counts = [("success", &self.0.done), ("failure", &self.0.failed)];
        let mut families = vec![counters(
            "memtide_etcd_reloads_total",
            "Changed certificates and passwords for etcd that were put in force (success) or refused (failure).",
            &["result"],
            counts.map(|(result, count)| ([result], count.load(Ordering::Relaxed))),
        )];
        if let Some(not_after) = self.not_after() {
            #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
            let seconds = not_after.unix() as f64;
            families.push(gauge(
                "memtide_etcd_certificate_not_after_seconds",
                "When the certificate in force expires that is shown to etcd, in seconds since the Unix epoch.",
                seconds,
            ));
        }
        families
    }
}
