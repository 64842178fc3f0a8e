//! Which number of replicas was configured when the topology followed that last.
//!
//! As with limits: what an operator has set since stays, until the configuration says something else.

use std::sync::Arc;

use memtide_topology::Topology;
use tokio::sync::watch;

use crate::StoreError;
use crate::documents::{Document, Documents};

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

/// Writes the number down once the topology has it: the number, and a newline.
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
    if let Err(error) = documents.write(Document::Replicas, Some(text)).await {
        tracing::warn!("the configured replicas will be set again at the next start: {error}");
    }
}
