use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use memtide_etcd::{Compare, Kept, Op, Transacted};
use memtide_topology::{Epoch, Topology};
use tokio::sync::watch;

use super::{Shared, place};
use crate::limits::ETCD_CALL_TIME_MAX;
use crate::store::{check_follows, file};
use crate::{StoreError, StoreFuture, Stored, TopologyStore};

/// What is known to be stored.
#[derive(Debug, Default)]
pub struct Known {
    topology: Option<Arc<Topology>>,
    /// The revision that stored it; 0 where nothing is.
    changed: i64,
    /// What may be stored, because storing it failed.
    uncertain: Option<Arc<Topology>>,
}

impl TopologyStore for Shared {
    fn load(&self) -> StoreFuture<'_, Option<Arc<Topology>>> {
        Box::pin(async {
            let key = self.0.keys.topology();
            let snapshot = self.0.client.read(&key, ETCD_CALL_TIME_MAX).await?;
            let kept = snapshot.kept.into_iter().find(|kept| kept.key == key);
            // Whatever was tried before was tried under another fence; and what was known before may be newer than what
            // is there, where etcd was put back to a snapshot.
            *self.known() = Known::default();
            self.learn(kept)
        })
    }

    fn compare_and_set(
        &self,
        parent: Option<Epoch>,
        next: Arc<Topology>,
    ) -> StoreFuture<'_, Stored> {
        Box::pin(self.set(parent, next))
    }

    fn watch(&self) -> watch::Receiver<Option<Arc<Topology>>> {
        self.0.watched.subscribe()
    }
}

impl Shared {
    async fn set(&self, parent: Option<Epoch>, next: Arc<Topology>) -> Result<Stored, StoreError> {
        let changed = match self.check(parent, &next)? {
            Ok(changed) => changed,
            Err(stored) => return Ok(stored),
        };
        let Some(fence) = self.0.fence.created() else { return Err(StoreError::Deposed) };
        let keys = &self.0.keys;
        let (leader, topology) = (keys.leader(), keys.topology());
        let value = Bytes::from(file::encode(&next));
        let compares =
            [Compare::Created(leader.clone(), fence), Compare::Changed(topology.clone(), changed)];
        let ops = [Op::Put(topology.clone(), value, None)];
        self.known().uncertain = Some(Arc::clone(&next));
        let (read, within) = ([&*leader, &*topology], ETCD_CALL_TIME_MAX);
        match self.0.client.transact((&compares, &ops), &read, within).await? {
            Transacted::Done(revision) => {
                self.stored(next, revision);
                Ok(Stored::Done)
            }
            Transacted::Not(kept) => self.not_set(kept, &next, fence),
        }
    }

    /// The revision that what is stored must be of; or what became of it without a question.
    fn check(
        &self,
        parent: Option<Epoch>,
        next: &Arc<Topology>,
    ) -> Result<Result<i64, Stored>, StoreError> {
        let known = self.known();
        if known.topology.as_ref() == Some(next) {
            return Ok(Err(Stored::Done));
        }
        if known.topology.as_ref().map(|known| known.epoch()) != parent {
            return Ok(Err(Stored::Conflict(known.topology.clone())));
        }
        if let Some(known) = &known.topology {
            check_follows(known, next)?;
        }
        if known.uncertain.as_ref().is_some_and(|uncertain| uncertain != next) {
            return Err(StoreError::Uncertain { epoch: next.epoch() });
        }
        Ok(Ok(known.changed))
    }

    /// Something was not as it was compared to: another leads, or another topology is there, which may be this one
    /// where the answer to an earlier try was lost.
    fn not_set(
        &self,
        kept: Vec<Kept>,
        next: &Arc<Topology>,
        fence: i64,
    ) -> Result<Stored, StoreError> {
        let (leader, topology) = (self.0.keys.leader(), self.0.keys.topology());
        let leads = kept.iter().any(|kept| kept.key == leader && kept.created == fence);
        let stored = self.learn(kept.into_iter().find(|kept| kept.key == topology))?;
        if stored.as_ref() == Some(next) {
            return Ok(Stored::Done);
        }
        if leads { Ok(Stored::Conflict(stored)) } else { Err(StoreError::Deposed) }
    }

    /// This is stored, by whomever.
    fn learn(&self, kept: Option<Kept>) -> Result<Option<Arc<Topology>>, StoreError> {
        let Some(kept) = kept else {
            let mut known = self.known();
            (known.topology, known.changed, known.uncertain) = (None, 0, None);
            return Ok(None);
        };
        let known = {
            let known = self.known();
            known.topology.clone().filter(|_| known.changed == kept.changed)
        };
        let topology = match known {
            Some(known) => known,
            None => Arc::new(file::decode(&place(&kept.key), &kept.value)?),
        };
        self.stored(Arc::clone(&topology), kept.changed);
        Ok(Some(topology))
    }

    pub(super) fn stored(&self, topology: Arc<Topology>, changed: i64) {
        let mut known = self.known();
        if known.changed > changed {
            return;
        }
        known.topology = Some(Arc::clone(&topology));
        (known.changed, known.uncertain) = (changed, None);
        drop(known);
        self.0.watched.send_if_modified(|watched| {
            let is_news = watched.as_ref() != Some(&topology);
            *watched = Some(topology);
            is_news
        });
    }

    /// The follower has heard of a topology. One that was removed shows when the next one is stored.
    pub(super) fn saw_topology(&self, kept: Option<Kept>) {
        if let Some(kept) = kept
            && self.known().changed < kept.changed
            && let Err(error) = self.learn(Some(kept))
        {
            tracing::error!("the topology in etcd cannot be read: {error}");
        }
    }

    /// What is done under this lock is right at each of its ends.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
