use bytes::Bytes;
use memtide_etcd::{Compare, Kept, Op, Transacted};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::{Seen, Shared};
use crate::StoreError;
use crate::documents::Document;
use crate::limits::ETCD_CALL_TIME_MAX;

/// What is there of them in etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsThere {
    /// What was set last, by whichever scaler; `None` where nothing was.
    pub text: Option<Vec<u8>>,
    /// The revision that set it; where nothing is, one at which that was so. 0 is that nothing was heard yet.
    pub revision: i64,
}

/// What became of limits that were to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitsSet {
    /// They are, by this revision.
    Done(i64),
    /// They are not: those that are there were not known.
    Not(LimitsThere),
}

impl LimitsThere {
    /// What the key has, or the revision at which it is not there.
    pub(super) fn of(kept: Result<Kept, i64>) -> Self {
        match kept {
            Ok(kept) => Self { text: Some(kept.value.to_vec()), revision: kept.changed },
            Err(revision) => Self { text: None, revision },
        }
    }
}

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

    /// What is there, as far as it was heard of.
    #[must_use]
    pub fn now(&self) -> LimitsThere {
        self.seen.borrow().limits.clone()
    }

    /// Waits until something else may be set. On any runtime.
    pub async fn changed(&mut self) {
        if self.seen.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Sets this where what is there was set by this revision, 0 of nothing; of the one that leads. Waits for etcd, so
    /// not to be called on a runtime.
    ///
    /// # Errors
    /// Why not, in one line. It may be set all the same where etcd is away.
    pub fn set(&self, text: Vec<u8>, known: i64) -> Result<LimitsSet, String> {
        let (reply, replied) = oneshot::channel();
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            let set = shared.set_limits(Bytes::from(text), known).await;
            let _ = reply.send(set.map_err(|error| error.to_string()));
        });
        replied.blocking_recv().unwrap_or_else(|_| Err("the scaler has stopped".to_owned()))
    }
}

impl Shared {
    /// A try that comes late changes nothing any more.
    pub(super) async fn set_limits(
        &self,
        text: Bytes,
        known: i64,
    ) -> Result<LimitsSet, StoreError> {
        let (leader, key) = (self.0.keys.leader(), self.0.keys.document(Document::Limits));
        let Some(fence) = self.0.fence.created() else { return Err(StoreError::Deposed) };
        let compares =
            [Compare::Created(leader.clone(), fence), Compare::Changed(key.clone(), known)];
        let ops = [Op::Put(key.clone(), text.clone(), None)];
        let (read, within) = ([&*leader, &*key], ETCD_CALL_TIME_MAX);
        let mut kept = match self.0.client.transact((&compares, &ops), &read, within).await? {
            Transacted::Done(revision) => return Ok(LimitsSet::Done(revision)),
            Transacted::Not(kept) => kept,
        };
        let leads = kept.iter().any(|kept| kept.key == leader && kept.created == fence);
        let at = kept.iter().position(|kept| kept.key == key);
        match at.map(|at| kept.swap_remove(at)) {
            // By an earlier try whose answer was lost, or by somebody who wanted the same.
            Some(there) if there.value == text => Ok(LimitsSet::Done(there.changed)),
            _ if !leads => Err(StoreError::Deposed),
            there => Ok(LimitsSet::Not(LimitsThere::of(there.ok_or(0)))),
        }
    }
}
