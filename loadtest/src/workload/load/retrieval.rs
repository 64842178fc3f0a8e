use std::collections::VecDeque;

use super::{FollowUp, LoadRequest, LoadTraffic};
use crate::drive::{Lane, Progress};
use crate::measure::Outcome;
use crate::reply::Event;

/// The keys of the multigets that wait for replies on a lane, the oldest first.
#[derive(Debug, Default)]
pub(super) struct AskedKeys {
    keys: VecDeque<AskedKey>,
    /// Where in the oldest multiget the next value is expected: after the last one heard.
    expected: usize,
}

#[derive(Clone, Copy, Debug)]
struct AskedKey {
    id: u64,
    was_there: bool,
}

impl AskedKeys {
    pub(super) fn push(&mut self, id: u64) {
        self.keys.push_back(AskedKey { id, was_there: false });
    }

    /// Marks a key of the oldest multiget, of `keys` keys, as there; false when it was not asked for,
    /// or had its value already. Values come in the order of the keys as a rule; one that does not
    /// is looked for.
    fn mark(&mut self, keys: u32, id: u64) -> bool {
        let keys = usize::try_from(keys).expect("32 bits fit");
        let mut order = (self.expected..keys).chain(0..self.expected.min(keys));
        let found = order
            .find(|&index| self.keys.get(index).is_some_and(|key| key.id == id && !key.was_there));
        let Some(index) = found else { return false };
        self.keys[index].was_there = true;
        self.expected = index + 1;
        true
    }

    /// The keys of the oldest multiget that were not there.
    fn missed(&self, keys: u32) -> impl Iterator<Item = u64> + '_ {
        let keys = usize::try_from(keys).expect("32 bits fit");
        self.keys.iter().take(keys).filter(|key| !key.was_there).map(|key| key.id)
    }

    /// The oldest multiget, of `keys` keys, has its reply, or gets none.
    pub(super) fn forget(&mut self, keys: u32) {
        let keys = usize::try_from(keys).expect("32 bits fit");
        self.keys.drain(..keys.min(self.keys.len()));
        self.expected = 0;
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.keys.capacity()
    }
}

impl LoadTraffic {
    pub(super) fn heard_retrieval(
        &mut self,
        lane: Lane,
        request: &mut LoadRequest,
        event: &Event<'_>,
    ) -> Progress {
        match event {
            Event::Value { key, cas, .. } => {
                if !self.is_asked_for(lane, request, key) {
                    return Progress::OutOfStep;
                }
                request.hits += 1;
                request.cas = *cas;
                Progress::More
            }
            Event::End => self.whole_retrieval(lane, request),
            _ => Progress::OutOfStep,
        }
    }

    fn is_asked_for(&mut self, lane: Lane, request: &LoadRequest, key: &[u8]) -> bool {
        if self.settings.is_any_reply {
            return request.hits < request.keys;
        }
        if request.keys > 1 {
            let id = self.settings.names.id_of(key);
            return id.is_some_and(|id| self.state(lane).multigets.mark(request.keys, id));
        }
        request.hits == 0 && self.writer.is_name(request.command, request.id, key)
    }

    fn whole_retrieval(&mut self, lane: Lane, request: &LoadRequest) -> Progress {
        let (hits, misses) = (request.hits, request.keys - request.hits);
        let outcome = match (hits, misses) {
            (_, 0) => Outcome::Hit,
            (0, _) => Outcome::Miss,
            _ => Outcome::PartialHit,
        };
        if request.keys > 1 {
            let look_aside = self.settings.look_aside;
            let state = self.state(lane);
            if look_aside {
                state.follow_ups.extend(state.multigets.missed(request.keys).map(FollowUp::Set));
            }
            state.multigets.forget(request.keys);
        }
        self.plan_follow_ups(lane, request, outcome);
        Progress::Done { outcome, hits, misses }
    }
}
