//! The certificates of a fleet whose scaler and proxy are one process, and whose CA is its own.

use std::path::{Path, PathBuf};

use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_service::tls::{Reloaded, Reloads, TlsError, UtcMinute};

/// What this process is known by to its node processes, in either of its roles.
#[derive(Clone, Debug)]
pub struct ParentTls {
    dir: PathBuf,
    pub scaler: FleetTls,
    pub proxy: FleetTls,
}

impl ParentTls {
    /// Makes in a directory what is missing or near its end, and loads it.
    ///
    /// # Errors
    /// Where the directory cannot be written, or what is there is wrong.
    pub fn make(dir: &Path) -> Result<Self, TlsError> {
        FleetTls::make(dir)?;
        let (scaler, proxy) =
            (FleetTls::load(dir, Role::Scaler)?, FleetTls::load(dir, Role::Proxy)?);
        Ok(Self { dir: dir.to_owned(), scaler, proxy })
    }

    /// The same while it runs.
    pub fn reload(&self) {
        if let Err(error) = FleetTls::make(&self.dir) {
            tracing::error!(%error, "failed to issue certificates of the fleet anew");
        }
        crate::reload_fleet_tls(&self.scaler);
        crate::reload_fleet_tls(&self.proxy);
    }
}

/// As the files change, and those that it makes itself as their end comes near.
impl Reloads for ParentTls {
    fn name(&self) -> String {
        "certificate of this process in its fleet".to_owned()
    }

    fn load_changed(&self) -> Result<Reloaded, TlsError> {
        FleetTls::make(&self.dir)?;
        let scaler = self.scaler.load_changed()?;
        let proxy = self.proxy.load_changed()?;
        Ok(if proxy == Reloaded::Unchanged { scaler } else { proxy })
    }

    fn count(&self, is_success: bool) {
        self.scaler.count(is_success);
        self.proxy.count(is_success);
    }

    fn not_after(&self) -> Option<UtcMinute> {
        Some(self.scaler.expires().min(self.proxy.expires()))
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.scaler.directories()
    }
}
