use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use memtide_etcd::{Compare, Op, Transacted};

use super::{Shared, place};
use crate::documents::{Document, Documents};
use crate::limits::ETCD_CALL_TIME_MAX;
use crate::{StoreError, StoreFuture};

/// The revisions that wrote the documents last; 0 of one that is not there.
pub type Documented = BTreeMap<Document, i64>;

impl Documents for Shared {
    fn read(&self, of: Document) -> StoreFuture<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut documented = self.0.documented.lock().await;
            let key = self.0.keys.document(of);
            let snapshot = self.0.client.read(&key, ETCD_CALL_TIME_MAX).await?;
            let kept = snapshot.kept.into_iter().find(|kept| kept.key == key);
            documented.insert(of, kept.as_ref().map_or(0, |kept| kept.changed));
            Ok(kept.map(|kept| kept.value.to_vec()))
        })
    }

    fn write(&self, of: Document, text: Option<Vec<u8>>) -> StoreFuture<'_, ()> {
        Box::pin(self.put(of, text.map(Bytes::from)))
    }

    fn place(&self, of: Document) -> PathBuf {
        place(&self.0.keys.document(of))
    }
}

impl Shared {
    /// One after the other. What is there is compared too: a try that comes late changes nothing any more.
    async fn put(&self, of: Document, text: Option<Bytes>) -> Result<(), StoreError> {
        let mut documented = self.0.documented.lock().await;
        let (leader, key) = (self.0.keys.leader(), self.0.keys.document(of));
        let op = match text.clone() {
            Some(text) => Op::Put(key.clone(), text, None),
            None => Op::Delete(key.clone()),
        };
        // The second time after an earlier write of this scaler whose answer was lost.
        for _ in 0..2 {
            let Some(fence) = self.0.fence.created() else { return Err(StoreError::Deposed) };
            let changed = documented.get(&of).copied().unwrap_or(0);
            let compares =
                [Compare::Created(leader.clone(), fence), Compare::Changed(key.clone(), changed)];
            let ops = [op.clone()];
            let (read, within) = ([&*leader, &*key], ETCD_CALL_TIME_MAX);
            let kept = match self.0.client.transact((&compares, &ops), &read, within).await? {
                Transacted::Done(revision) => {
                    documented.insert(of, if text.is_some() { revision } else { 0 });
                    return Ok(());
                }
                Transacted::Not(kept) => kept,
            };
            let there = kept.iter().find(|kept| kept.key == key);
            documented.insert(of, there.map_or(0, |kept| kept.changed));
            if there.map(|kept| &kept.value) == text.as_ref() {
                return Ok(());
            }
            if !kept.iter().any(|kept| kept.key == leader && kept.created == fence) {
                return Err(StoreError::Deposed);
            }
        }
        Err(StoreError::Contested { path: place(&key) })
    }
}
