//! Which number of replicas was configured when the topology followed that last.
//!
//! As with limits: what an operator has set since stays, until the configuration says something else.

use std::sync::Arc;

use memtide_topology::Topology;
use tokio::sync::watch;
use tokio::time;

use crate::StoreError;
use crate::documents::{Document, Documents};
use crate::limits::REPLICAS_PAUSE;

/// What is configured, where that is to be followed; what was written down is gone then, until it was.
///
/// # Errors
/// Where it cannot be read.
pub async fn news(
    documents: &dyn Documents,
    configured: Option<u8>,
) -> Result<Option<u8>, StoreError> {
    let text = documents.read(Document::Replicas).await?.unwrap_or_default();
    let followed: Option<u8> = String::from_utf8_lossy(&text).trim().parse().ok();
    if configured.is_some() && followed == configured {
        return Ok(None);
    }
    if !text.is_empty() {
        // Where it stays, it is the old number that is not followed again.
        let _ = documents.write(Document::Replicas, None).await;
    }
    Ok(configured)
}

/// Writes the number down once the topology has it: the number, and a newline. Tries until it is, or is dropped.
pub async fn follow(
    documents: Arc<dyn Documents>,
    mut topologies: watch::Receiver<Arc<Topology>>,
    replicas: u8,
) {
    let has = |topology: &Arc<Topology>| topology.replicas_wanted() == replicas;
    // Without a scaler, nobody is left to follow.
    if topologies.wait_for(has).await.is_err() {
        return;
    }
    let text = format!("{replicas}\n").into_bytes();
    let mut is_told = false;
    while let Err(error) = documents.write(Document::Replicas, Some(text.clone())).await {
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(
                "the configured replicas would be set again by the next start, trying to write them down: {error}"
            );
        }
        time::sleep(REPLICAS_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use memtide_testkit::PATIENCE;
    use memtide_topology::{CacheId, HashSeed};

    use super::*;
    use crate::StoreFuture;

    /// Fails the first writes.
    #[derive(Debug, Default)]
    struct Failing(AtomicU32);

    impl Documents for Failing {
        fn read(&self, _: Document) -> StoreFuture<'_, Option<Vec<u8>>> {
            Box::pin(async { Ok(None) })
        }

        fn write(&self, _: Document, text: Option<Vec<u8>>) -> StoreFuture<'_, ()> {
            assert_eq!(text.as_deref(), Some(&b"1\n"[..]));
            let tries = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            Box::pin(async move { if tries == 3 { Ok(()) } else { Err(StoreError::Closed) } })
        }

        fn place(&self, _: Document) -> PathBuf {
            PathBuf::new()
        }
    }

    /// Else what an operator sets later would be undone by the next leader.
    #[tokio::test]
    async fn what_was_followed_is_written_down_however_often_that_fails() {
        let documents = Arc::new(Failing::default());
        let first = Topology::new(CacheId::default(), HashSeed::new(1, 2), 1).unwrap();
        let (_topologies, followed) = watch::channel(Arc::new(first));
        let following = follow(Arc::<Failing>::clone(&documents), followed, 1);
        time::timeout(PATIENCE, following).await.unwrap();
        assert_eq!(documents.0.load(Ordering::Relaxed), 3);
    }
}
