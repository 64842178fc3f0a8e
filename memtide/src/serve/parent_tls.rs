//! The certificates of a fleet whose scaler and proxy are one process, and whose CA is its own.

use std::path::{Path, PathBuf};

use memtide_service::tls::TlsError;
use memtide_service::tls::fleet::{FleetTls, Role};

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
