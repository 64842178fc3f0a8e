//! A stand-in for the proxy's routing: it keeps the order of a slot's requests, sends what is
//! unanswered again in rounds, and gives up at a deadline.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use memtide_engine_core::replication::Outcome;
use memtide_topology::{Answer, NodeId, Request, RequestId, SlotId, Topology};

use crate::store::Command;

/// How long a request may take in all.
const DEADLINE: Duration = Duration::from_secs(20);
/// After how long all that is unanswered is sent again.
const ROUND_TIMEOUT: Duration = Duration::from_millis(700);
/// Between a refusal and the next round.
const BACKOFF: Duration = Duration::from_millis(10);

/// What the proxy is to do.
pub enum Do {
    Send(NodeId, Request<Command>),
    /// `None` where it failed, and may have been executed.
    Done(u64, Option<Outcome>),
    WantTopology,
}

/// The routing of one proxy core.
pub struct Router {
    client: u64,
    topology: Arc<Topology>,
    slots: BTreeMap<SlotId, Lane>,
    links: BTreeSet<NodeId>,
    numbers: u64,
    out: VecDeque<Do>,
}

/// A slot's requests, in their order.
#[derive(Default)]
struct Lane {
    requests: VecDeque<Pending>,
    round: u32,
    seen: u64,
    /// Who has this round's requests.
    target: Option<NodeId>,
    /// When the next round is to begin.
    again_at: Option<Duration>,
}

struct Pending {
    ticket: u64,
    number: u64,
    seen: u64,
    command: Command,
    was_sent: bool,
    deadline: Duration,
}

impl Router {
    pub fn new(client: u64) -> Self {
        Self {
            client,
            topology: Arc::new(Topology::empty()),
            slots: BTreeMap::new(),
            links: BTreeSet::new(),
            numbers: 0,
            out: VecDeque::new(),
        }
    }

    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    pub fn poll(&mut self) -> Option<Do> {
        self.out.pop_front()
    }

    pub fn submit(&mut self, now: Duration, ticket: u64, slot: SlotId, command: Command) {
        self.numbers += 1;
        let lane = self.slots.entry(slot).or_default();
        lane.requests.push_back(Pending {
            ticket,
            number: self.numbers,
            seen: lane.seen,
            command,
            was_sent: false,
            deadline: now + DEADLINE,
        });
        if lane.target.is_some() {
            let from = lane.requests.len() - 1;
            self.send(now, slot, from);
        } else {
            self.begin_round(now, slot);
        }
    }

    pub fn link_up(&mut self, now: Duration, node: NodeId) {
        self.links.insert(node);
        self.each(|lane| lane.target.is_none(), |router, slot| router.begin_round(now, slot));
    }

    pub fn link_down(&mut self, now: Duration, node: NodeId) {
        self.links.remove(&node);
        self.each(
            |lane| lane.target == Some(node),
            |router, slot| {
                if let Some(lane) = router.slots.get_mut(&slot) {
                    lane.target = None;
                }
                router.begin_round(now, slot);
            },
        );
    }

    pub fn adopt(&mut self, now: Duration, topology: Arc<Topology>) {
        if topology.epoch() <= self.topology.epoch() {
            return;
        }
        let before = core::mem::replace(&mut self.topology, Arc::clone(&topology));
        let slots: Vec<_> = self.slots.keys().copied().collect();
        for slot in slots {
            if before.slot(slot).primary != topology.slot(slot).primary {
                self.begin_round(now, slot);
            }
        }
    }

    pub fn answered(
        &mut self,
        now: Duration,
        node: NodeId,
        (id, round): (RequestId, u32),
        answer: Answer<Outcome>,
    ) {
        let found = self.slots.iter_mut().find_map(|(slot, lane)| {
            let at = lane.requests.iter().position(|pending| pending.number == id.number)?;
            Some((*slot, at))
        });
        let Some((slot, at)) = found else { return };
        let Some(lane) = self.slots.get_mut(&slot) else { return };
        // What an earlier try found may be different from what the present one does.
        if lane.round != round || lane.target != Some(node) {
            return;
        }
        match answer {
            Answer::Moved { epoch, .. } => {
                if lane.target == Some(node) && lane.again_at.is_none_or(|at| at > now + BACKOFF) {
                    lane.again_at = Some(now + BACKOFF);
                }
                if epoch > self.topology.epoch() || lane.target == Some(node) {
                    self.out.push_back(Do::WantTopology);
                }
            }
            Answer::Done { outcome, version } => {
                lane.seen = lane.seen.max(version);
                self.finish(slot, at, Some(outcome));
            }
            Answer::Unknown => self.finish(slot, at, None),
        }
    }

    pub fn tick(&mut self, now: Duration) {
        let is_due = |lane: &Lane| lane.again_at.is_some_and(|at| at <= now);
        self.each(is_due, |router, slot| {
            router.out.push_back(Do::WantTopology);
            router.begin_round(now, slot);
        });
        let is_late = |lane: &Lane| lane.requests.front().is_some_and(|first| first.deadline <= now);
        self.each(is_late, |router, slot| router.finish(slot, 0, None));
    }

    fn each(&mut self, is_one: impl Fn(&Lane) -> bool, act: impl Fn(&mut Self, SlotId)) {
        let slots = self.slots.iter().filter(|(_, lane)| is_one(lane)).map(|(slot, _)| *slot);
        for slot in slots.collect::<Vec<_>>() {
            act(self, slot);
        }
    }

    fn finish(&mut self, slot: SlotId, at: usize, outcome: Option<Outcome>) {
        let Some(lane) = self.slots.get_mut(&slot) else { return };
        if let Some(pending) = lane.requests.remove(at) {
            self.out.push_back(Do::Done(pending.ticket, outcome));
        }
        if lane.requests.is_empty() {
            lane.again_at = None;
        }
    }

    /// Sends all that is unanswered, to whoever the primary is.
    fn begin_round(&mut self, now: Duration, slot: SlotId) {
        let primary = self.topology.slot(slot).primary;
        let Some(lane) = self.slots.get_mut(&slot) else { return };
        lane.round += 1;
        lane.target = primary.filter(|node| self.links.contains(node));
        let is_waiting = !lane.requests.is_empty();
        lane.again_at = is_waiting.then_some(now + ROUND_TIMEOUT);
        if lane.target.is_some() {
            self.send(now, slot, 0);
        }
    }

    fn send(&mut self, now: Duration, slot: SlotId, from: usize) {
        let epoch = self.topology.slot(slot).epoch;
        let Some(lane) = self.slots.get_mut(&slot) else { return };
        let Some(target) = lane.target else { return };
        lane.again_at = lane.again_at.or(Some(now + ROUND_TIMEOUT));
        for pending in lane.requests.iter_mut().skip(from) {
            let is_retry = pending.was_sent && !pending.command.is_read();
            pending.was_sent = true;
            let id = RequestId { client: self.client, number: pending.number };
            let (round, seen, command) = (lane.round, pending.seen, pending.command);
            let request = Request { id, slot, epoch, round, seen, is_retry, command };
            self.out.push_back(Do::Send(target, request));
        }
    }
}
