//! What waits between a node's own thread and its stream, bounded, in both directions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memtide_engine_core::replication::Report;
use memtide_limits::DataPart;
use memtide_topology::{Epoch, NodeId, Topology};
use tokio::sync::Notify;

use crate::limits::{REPORTS_PER_MESSAGE_MAX, REPORTS_QUEUED_MAX};
use crate::{Adopted, FromScaler, NodeUsage, SlotUse, ToScaler, fleet_of};

/// What a node has to say: the newest beat, and reports up to [`REPORTS_QUEUED_MAX`].
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    beat: Option<(Epoch, NodeUsage)>,
    reports: VecDeque<Report>,
    /// Whether the node leaves; never taken back.
    slot_uses: Option<Vec<SlotUse>>,
    is_leaving: bool,
    /// Whether this stream has been told so.
    is_leaving_said: bool,
    /// The newest topology that a beat has named; never forgotten.
    adopted: Epoch,
}

/// One message's worth of what a node has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Leaving,
    Beat(Epoch, NodeUsage),
    SlotUses(Vec<SlotUse>),
    Reports(Vec<Report>),
}

impl Outbox {
    pub fn put(&self, said: ToScaler) {
        let mut waiting = lock(&self.waiting);
        match said {
            ToScaler::Beat { adopted, usage } => {
                waiting.adopted = waiting.adopted.max(adopted);
                waiting.beat = Some((adopted, usage));
            }
            ToScaler::Report(report) if waiting.reports.len() < REPORTS_QUEUED_MAX => {
                waiting.reports.push_back(report);
            }
            ToScaler::Report(_) => return,
            ToScaler::SlotUses(uses) => waiting.slot_uses = Some(uses),
            ToScaler::Leaving => waiting.is_leaving = true,
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Forgets all that was said while there was no stream, but that the node leaves.
    pub fn begin(&self) {
        let mut waiting = lock(&self.waiting);
        let Waiting { is_leaving, adopted, .. } = *waiting;
        *waiting = Waiting { is_leaving, adopted, ..Waiting::default() };
    }

    /// The newest topology that the node said it has: nodes hear of them from each other, too.
    pub fn adopted(&self) -> Epoch {
        lock(&self.waiting).adopted
    }

    /// What to say next; waits until there is something. Nothing is lost where the future is
    /// dropped.
    pub async fn next(&self) -> Next {
        loop {
            let changed = self.changed.notified();
            if let Some(next) = lock(&self.waiting).take() {
                return next;
            }
            changed.await;
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Next> {
        if self.is_leaving && !self.is_leaving_said {
            self.is_leaving_said = true;
            return Some(Next::Leaving);
        }
        if let Some((adopted, usage)) = self.beat.take() {
            return Some(Next::Beat(adopted, usage));
        }
        if let Some(uses) = self.slot_uses.take() {
            return Some(Next::SlotUses(uses));
        }
        let count = self.reports.len().min(REPORTS_PER_MESSAGE_MAX);
        (count > 0).then(|| Next::Reports(self.reports.drain(..count).collect()))
    }
}

/// What a node has yet to hear: the newest topology only, and what it is.
#[derive(Debug, Default)]
pub struct Inbox {
    unheard: Mutex<Unheard>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Unheard {
    welcome: Option<NodeId>,
    data_part: Option<DataPart>,
    topology: Option<Arc<Topology>>,
    refused: Option<String>,
    /// The newest topology that was put in; an older one is none to hear of.
    newest: Option<Epoch>,
    /// Whose topologies they are; 0 before the first.
    fleet: u64,
}

impl Inbox {
    pub fn welcome(&self, node: NodeId) {
        lock(&self.unheard).welcome = Some(node);
        self.changed.notify_one();
    }

    pub fn topology(&self, topology: Arc<Topology>) {
        let mut unheard = lock(&self.unheard);
        if unheard.newest.is_none_or(|newest| newest < topology.epoch()) {
            unheard.newest = Some(topology.epoch());
            unheard.fleet = fleet_of(&topology);
            unheard.topology = Some(topology);
            drop(unheard);
            self.changed.notify_one();
        }
    }

    /// Only the newest counts.
    pub fn data_part(&self, part: DataPart) {
        lock(&self.unheard).data_part = Some(part);
        self.changed.notify_one();
    }

    /// The newest topology that was put in.
    pub fn newest(&self) -> Adopted {
        let unheard = lock(&self.unheard);
        Adopted { fleet: unheard.fleet, epoch: unheard.newest.unwrap_or(Epoch::ZERO) }
    }

    pub fn refuse(&self, why: String) {
        lock(&self.unheard).refused = Some(why);
        self.changed.notify_one();
    }

    /// The next thing to hear; waits until there is one. Nothing is lost where the future is
    /// dropped. One caller at a time.
    pub async fn next(&self) -> FromScaler {
        loop {
            let changed = self.changed.notified();
            if let Some(next) = lock(&self.unheard).take() {
                return next;
            }
            changed.await;
        }
    }
}

impl Unheard {
    fn take(&mut self) -> Option<FromScaler> {
        let welcome = self.welcome.take().map(FromScaler::Welcome);
        let topology = |this: &mut Self| this.topology.take().map(FromScaler::Topology);
        let welcome_or_topology = welcome.or_else(|| topology(self));
        let data_part = |this: &mut Self| this.data_part.take().map(FromScaler::DataPart);
        let there_is = welcome_or_topology.or_else(|| data_part(self));
        there_is.or_else(|| self.refused.take().map(FromScaler::Refused))
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use memtide_topology::{CacheId, HashSeed, SlotId};

    use super::*;

    fn topology(epoch: u64) -> Arc<Topology> {
        let first = Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap();
        let mut parts = first.into_parts();
        parts.epoch = Epoch::new(epoch);
        Arc::new(Topology::from_parts(parts).unwrap())
    }

    fn beat(adopted: u64) -> ToScaler {
        ToScaler::Beat { adopted: Epoch::new(adopted), usage: NodeUsage::default() }
    }

    #[tokio::test]
    async fn only_the_newest_beat_is_said_and_no_more_reports_than_fit() {
        let outbox = Outbox::default();
        let report = Report::Incomplete(SlotId::new(1).unwrap(), Epoch::new(1));
        for _ in 0..REPORTS_QUEUED_MAX + 1 {
            outbox.put(ToScaler::Report(report));
        }
        outbox.put(beat(1));
        outbox.put(beat(2));
        assert_eq!(outbox.next().await, Next::Beat(Epoch::new(2), NodeUsage::default()));
        for _ in 0..REPORTS_QUEUED_MAX / REPORTS_PER_MESSAGE_MAX {
            assert_eq!(outbox.next().await, Next::Reports(vec![report; REPORTS_PER_MESSAGE_MAX]));
        }
        assert_eq!(lock(&outbox.waiting).take(), None);
    }

    #[tokio::test]
    async fn a_new_stream_is_told_that_the_node_leaves_and_nothing_else_from_before() {
        let outbox = Outbox::default();
        outbox.put(beat(1));
        outbox.put(ToScaler::Leaving);
        assert_eq!(outbox.next().await, Next::Leaving);
        outbox.begin();
        assert_eq!(outbox.next().await, Next::Leaving);
        assert_eq!(lock(&outbox.waiting).take(), None);
    }

    #[tokio::test]
    async fn the_newest_topology_is_heard_after_the_welcome_and_no_older_one_ever() {
        let inbox = Inbox::default();
        inbox.topology(topology(2));
        inbox.topology(topology(3));
        inbox.welcome(NodeId::new(2));
        assert_eq!(inbox.next().await, FromScaler::Welcome(NodeId::new(2)));
        assert_eq!(inbox.next().await, FromScaler::Topology(topology(3)));
        inbox.topology(topology(3));
        inbox.topology(topology(1));
        inbox.refuse("no".to_owned());
        assert_eq!(inbox.next().await, FromScaler::Refused("no".to_owned()));
    }
}
