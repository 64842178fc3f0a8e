//! Storing a topology, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use memtide_service::events::{EventKind, Events};
use memtide_topology::{Epoch, Topology};
use tokio::sync::watch;
use tokio::time;

use crate::limits::{STORE_BACKOFF_MAX, STORE_BACKOFF_MIN};
use crate::store::{Children, ChildrenFile};
use crate::{StoreError, Stored, TopologyStore};

/// What becomes of tries to store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Since the scaler was started.
    pub count: u64,
    /// Why the last try failed; `None` where it did not.
    pub now: Option<String>,
}

/// What is to be stored.
#[derive(Clone, Debug)]
pub struct Step {
    /// The topology that it follows.
    pub parent: Option<Epoch>,
    pub next: Arc<Topology>,
    /// The nodes that end with this process, to be written down first, where they are others than
    /// before.
    pub children: Option<(ChildrenFile, Children)>,
}

/// Stores a topology. After a failure it is not known whether it is there: so the same is tried again until
/// the store says so, and nobody is told of it before.
pub async fn commit(
    store: Arc<dyn TopologyStore>,
    step: Step,
    events: Events,
    failures: watch::Sender<Failures>,
) -> Stored {
    let mut backoff: Duration = STORE_BACKOFF_MIN;
    loop {
        match try_once(&*store, &step).await {
            Ok(stored) => {
                if failures.borrow().now.is_some() {
                    tracing::info!("the topology can be stored again");
                    events
                        .record(EventKind::StoreRecovered, format!("epoch {}", step.next.epoch()));
                    failures.send_modify(|failures| failures.now = None);
                }
                return stored;
            }
            Err(error) => {
                let why = error.to_string();
                if failures.borrow().now.as_ref() != Some(&why) {
                    tracing::error!("the topology cannot be stored, trying again: {why}");
                    events.record(EventKind::StoreFailed, why.clone());
                }
                failures.send_modify(|failures| {
                    failures.count += 1;
                    failures.now = Some(why);
                });
                time::sleep(backoff).await;
                backoff = (backoff * 2).min(STORE_BACKOFF_MAX);
            }
        }
    }
}

async fn try_once(store: &dyn TopologyStore, step: &Step) -> Result<Stored, StoreError> {
    if let Some((file, children)) = step.children.clone() {
        let written = tokio::task::spawn_blocking(move || file.store(&children)).await;
        written.unwrap_or(Err(StoreError::Closed))?;
    }
    store.compare_and_set(step.parent, Arc::clone(&step.next)).await
}
