//! Which number of replicas was configured when the topology followed that last.
//!
//! As with limits: what an operator has set since stays, until the configuration says something else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memtide_topology::Topology;
use tokio::sync::watch;

/// `<dir>/replicas`: the number, and a newline.
#[derive(Clone, Debug)]
pub struct ReplicasFile(PathBuf);

impl ReplicasFile {
    /// That of this directory.
    pub fn of(dir: &Path) -> Self {
        Self(dir.join("replicas"))
    }

    /// What is configured, where that is to be followed; the file is gone then, until it was.
    pub fn news(&self, configured: Option<u8>) -> Option<u8> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let followed: Option<u8> = text.trim().parse().ok();
        if configured.is_some() && followed == configured {
            return None;
        }
        // Where it stays, it is the old number that is not followed again.
        let _ = fs::remove_file(&self.0);
        configured
    }

    /// Writes the number down once the topology has it.
    pub async fn follow(self, mut topologies: watch::Receiver<Arc<Topology>>, replicas: u8) {
        let has = |topology: &Arc<Topology>| topology.replicas_wanted() == replicas;
        // Without a scaler, nobody is left to follow.
        if topologies.wait_for(has).await.is_err() {
            return;
        }
        let write = move || fs::write(&self.0, format!("{replicas}\n")).map_err(|it| (self, it));
        if let Ok(Err((file, error))) = tokio::task::spawn_blocking(write).await {
            let file = file.0.display();
            tracing::warn!(%file, %error, "the configured replicas will be set again at the next start");
        }
    }
}
