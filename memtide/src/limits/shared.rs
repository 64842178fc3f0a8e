//! The limits where several scalers share them: a key of etcd in the place of the file.

use std::sync::OnceLock;

use memtide_scaler::SharedLimits;

use super::file::Kept;
use super::{ChangeError, KeptLimits};

/// Where they are, once the scaler runs.
#[derive(Debug, Default)]
pub struct SharedKeep(OnceLock<SharedLimits>);

impl SharedKeep {
    /// The scaler runs.
    pub fn join(&self, limits: SharedLimits) {
        // It is started once.
        let _ = self.0.set(limits);
    }

    /// Sets these for all scalers; waits for etcd.
    pub fn store(&self, kept: &Kept) -> Result<(), ChangeError> {
        let shared = self.0.get().ok_or_else(|| uncertain("the scaler is starting"))?;
        let text =
            serde_json::to_vec_pretty(kept).map_err(|error| uncertain(&error.to_string()))?;
        shared.set(text).map_err(|why| uncertain(&why))
    }
}

impl KeptLimits {
    /// Follows what any of the scalers has set, for ever.
    pub async fn follow_shared(self, mut shared: SharedLimits) {
        let mut last = None;
        loop {
            let now = shared.now();
            if now != last {
                self.adopt(now.as_deref());
                last = now;
            }
            shared.changed().await;
        }
    }

    fn adopt(&self, text: Option<&[u8]>) {
        let kept = text.map(serde_json::from_slice::<Kept>).transpose();
        let given = match kept {
            Ok(Some(kept)) => kept.under(&self.0.given),
            Ok(None) => self.0.given,
            Err(error) => return tracing::error!("the limits in etcd are no limits: {error}"),
        };
        match given.limits.check() {
            Ok(()) => self.take(&given),
            Err(error) => tracing::error!(
                "{error}; of these some were configured and some changed later, which etcd has"
            ),
        }
    }
}

fn uncertain(why: &str) -> ChangeError {
    ChangeError::Uncertain(why.to_owned())
}
