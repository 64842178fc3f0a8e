use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::{Seen, Shared};
use crate::documents::{Document, Documents as _};

/// The limits that operators have set, where scalers share them; may be used from any thread.
#[derive(Clone, Debug)]
pub struct SharedLimits {
    shared: Shared,
    /// That of the scaler.
    runtime: Handle,
    seen: watch::Receiver<Seen>,
}

impl SharedLimits {
    pub(crate) fn new(shared: Shared, runtime: Handle) -> Self {
        let seen = shared.seen();
        Self { shared, runtime, seen }
    }

    /// What was set last, by whichever scaler; `None` where nothing was.
    #[must_use]
    pub fn now(&self) -> Option<Vec<u8>> {
        self.seen.borrow().limits.clone()
    }

    /// Waits until something else may be set. On any runtime.
    pub async fn changed(&mut self) {
        if self.seen.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Sets this; of the one that leads. Waits for etcd, so not to be called on a runtime.
    ///
    /// # Errors
    /// Why not, in one line. It may be set all the same where etcd is away.
    pub fn set(&self, text: Vec<u8>) -> Result<(), String> {
        let (reply, replied) = oneshot::channel();
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            let written = shared.write(Document::Limits, Some(text)).await;
            let _ = reply.send(written.map_err(|error| error.to_string()));
        });
        replied.blocking_recv().unwrap_or_else(|_| Err("the scaler has stopped".to_owned()))
    }
}
