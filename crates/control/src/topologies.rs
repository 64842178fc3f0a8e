//! Topologies on a stream: all of one first, then what changed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memtide_topology::{CacheId, DecodeError, Diff, Epoch, PatchError, Topology};

use crate::fleet_of;

/// Encodings that are kept for the sessions that want the same: those in step want one, those that
/// were slow a few others.
const KEPT_MAX: usize = 8;

/// Encodes each topology and difference once for all sessions.
#[derive(Debug, Default)]
pub struct Encodings(Mutex<VecDeque<Encoding>>);

#[derive(Debug)]
struct Encoding {
    /// `None` of a whole topology.
    from: Option<Epoch>,
    to: Epoch,
    bytes: Bytes,
}

impl Encodings {
    /// A whole topology. Those of one epoch are one topology.
    pub fn whole(&self, topology: &Topology) -> Bytes {
        self.of(None, topology.epoch(), || topology.encode())
    }

    /// What leads from one to another.
    pub fn difference(&self, from: &Topology, to: &Topology) -> Bytes {
        self.of(Some(from.epoch()), to.epoch(), || Topology::diff(from, to).encode())
    }

    fn of(&self, from: Option<Epoch>, to: Epoch, encode: impl FnOnce() -> Vec<u8>) -> Bytes {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.iter().find(|it| (it.from, it.to) == (from, to)) {
            return found.bytes.clone();
        }
        let bytes = Bytes::from(encode());
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Encoding { from, to, bytes: bytes.clone() });
        bytes
    }
}

/// The topology that a stream has led to.
#[derive(Debug)]
pub struct Followed {
    cache: CacheId,
    /// 0 before the first topology.
    fleet: u64,
    now: Option<Arc<Topology>>,
}

/// What is wrong with what a scaler sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// No topology, or one that this version cannot read.
    #[error("it sent a topology that cannot be read: {0}")]
    Whole(DecodeError),
    /// As above.
    #[error("it sent a difference that cannot be read: {0}")]
    Difference(DecodeError),
    /// Another cache's.
    #[error("it sent a topology of the cache {0}")]
    OtherCache(CacheId),
    /// Of the same name, and with another history.
    #[error(
        "it is of the fleet {theirs:016x}, and this process of {ours:016x}; give the right scaler, or end this process to join that fleet"
    )]
    OtherFleet {
        /// Whose it is.
        theirs: u64,
        /// Whose topology was adopted before.
        ours: u64,
    },
}

impl Followed {
    /// Nothing yet, of this cache and fleet; of whichever fleet where that is 0.
    pub const fn new(cache: CacheId, fleet: u64) -> Self {
        Self { cache, fleet, now: None }
    }

    /// All of one came.
    pub fn whole(&mut self, bytes: &[u8]) -> Result<Arc<Topology>, FollowError> {
        let topology = Topology::decode(bytes).map_err(FollowError::Whole)?;
        if *topology.cache() != self.cache {
            return Err(FollowError::OtherCache(topology.cache().clone()));
        }
        let theirs = fleet_of(&topology);
        if theirs != self.fleet && self.fleet != 0 {
            return Err(FollowError::OtherFleet { theirs, ours: self.fleet });
        }
        self.fleet = theirs;
        let topology = Arc::new(topology);
        self.now = Some(Arc::clone(&topology));
        Ok(topology)
    }

    /// A difference came; where it does not fit, all is to be asked for.
    pub fn difference(
        &mut self,
        bytes: &[u8],
    ) -> Result<Result<Arc<Topology>, PatchError>, FollowError> {
        let difference = Diff::decode(bytes).map_err(FollowError::Difference)?;
        let now = self.now.take().unwrap_or_else(|| Arc::new(Topology::empty()));
        Ok(now.patch(&difference).map(|topology| {
            let topology = Arc::new(topology);
            self.now = Some(Arc::clone(&topology));
            topology
        }))
    }
}

#[cfg(test)]
mod tests {
    use memtide_topology::{Change, HashSeed, Update};

    use super::*;

    fn step(topology: &Topology, replicas: u8) -> Topology {
        let changes = vec![Change::SetReplicas { replicas }];
        topology.apply(&Update { parent: topology.epoch(), changes }).unwrap()
    }

    fn three() -> [Topology; 3] {
        let first = Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap();
        let second = step(&first, 1);
        let third = step(&second, 2);
        [first, second, third]
    }

    #[test]
    fn differences_lead_on_and_one_that_does_not_fit_asks_for_all() {
        let [first, second, third] = three();
        let encodings = Encodings::default();
        let mut followed = Followed::new(CacheId::default(), 0);
        assert_eq!(*followed.whole(&encodings.whole(&first)).unwrap(), first);
        let bytes = encodings.difference(&first, &second);
        assert_eq!(*followed.difference(&bytes).unwrap().unwrap(), second);
        // The same again: it starts from the first.
        assert!(matches!(followed.difference(&bytes), Ok(Err(PatchError::OtherEpoch { .. }))));
        assert_eq!(*followed.whole(&encodings.whole(&third)).unwrap(), third);
    }

    #[test]
    fn what_is_of_another_cache_or_no_topology_is_refused() {
        let [first, ..] = three();
        let mut followed = Followed::new(CacheId::new("other").unwrap(), 0);
        let refused = followed.whole(&first.encode());
        assert_eq!(refused, Err(FollowError::OtherCache(CacheId::default())));
        assert!(matches!(followed.whole(b"no"), Err(FollowError::Whole(_))));
        assert!(matches!(followed.difference(b"no"), Err(FollowError::Difference(_))));
    }

    /// Its epochs say nothing about ours, however high they are.
    #[test]
    fn a_topology_of_another_fleet_of_the_same_name_is_refused() {
        let [_, second, third] = three();
        let mut followed = Followed::new(CacheId::default(), fleet_of(&second));
        followed.whole(&third.encode()).unwrap();
        let other = Topology::new(CacheId::default(), HashSeed::new(3, 4), 0).unwrap();
        let other = step(&step(&step(&other, 1), 2), 1);
        let refused = followed.whole(&other.encode());
        assert!(matches!(refused, Err(FollowError::OtherFleet { .. })), "{refused:?}");
    }

    #[test]
    fn sessions_in_step_share_an_encoding_and_few_are_kept() {
        let [first, second, _] = three();
        let encodings = Encodings::default();
        let bytes = encodings.difference(&first, &second);
        assert_eq!(bytes.as_ptr(), encodings.difference(&first, &second).as_ptr());
        assert_eq!(*encodings.whole(&second), second.encode());
        let mut topology = second;
        for _ in 0..2 * KEPT_MAX {
            topology = step(&topology, 1);
            assert_eq!(*encodings.whole(&topology), topology.encode());
        }
        assert_eq!(encodings.0.lock().unwrap().len(), KEPT_MAX);
    }
}
