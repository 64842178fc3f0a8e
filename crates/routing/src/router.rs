use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use memtide_topology::{Answer, NodeId, RequestId, SLOTS, SlotId, Topology};

use crate::effect::{Effect, Kind, Refused, Submission};
use crate::links::{LinkId, Links};
use crate::owners::Owners;
use crate::path::{Path, Trouble};
use crate::requests::{Outstanding, Requests, Role, direct};
use crate::settings::{INDEX_BITS, Settings};
use crate::wakes::{Wake, Wakes};

/// Brings the requests of one proxy core to the nodes that own their slots, and brings back
/// exactly one end for each: its outcome or, at the latest at its deadline, why there is none.
///
/// `C` is the command, cheap to clone; `O` the outcome of one.
///
/// # Calls
///
/// Tell it what happens, in any order: [`submit`](Self::submit), [`submit_to`](Self::submit_to),
/// [`link_up`](Self::link_up), [`link_down`](Self::link_down), [`answered`](Self::answered),
/// [`adopt`](Self::adopt), and [`tick`](Self::tick) when [`next_timeout`](Self::next_timeout) has
/// come. After each, or after a batch of them, [`poll`](Self::poll) until there is nothing more.
/// `now` is the time since any fixed start. A node's requests must go over its link in the order
/// in which `poll` gave them; answers may come back in any order, but none after the `link_down`.
///
/// # The requests of a slot
///
/// Those of [`Kind::Read`] and [`Kind::Mutation`] are one *path* for each slot. They are sent, and
/// take effect, in the order in which they were submitted:
///
/// ```text
///             +--------------------- all answered -------------------------+
///             v                                                            |
///   calm -- not connected, no primary ------------+                        |
///    | |                                          v                        |
///    | +-- refused, link lost (round ends) --> waiting -- primary is ---> open
///    |                                            ^       known and        | |
///    |                                            |       connected        | |
///    |                                            +-- refused, link lost --+ |
///    |                                            |   (round ends)           |
///    |                       refused, link lost,  |                          |
///    |                       all answered, grace  |                          |
///    +-- another primary --> leaving -------------+                          |
///                               ^       (round ends)                         |
///                               +---------------------- another primary -----+
/// ```
///
/// Calm and open paths send at once; the others collect. A round ends when a node refuses one of
/// its requests: then the node refuses all that come behind it in the round, and all that are
/// unanswered are sent again, in order, in the next round. Mutations that may have been executed
/// carry `is_retry` then. Of several tries the outcome of the last counts: who has executed it and
/// not forgotten it answers the same, but a condition that was not met leaves no trace. An
/// answer does not name its round, so a request is not sent over a link that still owes an
/// answer for it: the path waits for that, at the longest until the request's deadline.
///
/// What this needs of the nodes: a request whose epoch is not that of the slot is refused, an
/// older one too, as it may have been under way for long, and been executed elsewhere meanwhile.
/// And who gives up something executed refuses what comes later in its round.
///
/// What it does not give: what leaves no trace, a read or a mutation that changed nothing, is
/// executed anew when it is tried again, and may then see mutations from behind it whose earlier
/// try was executed. Who needs the order of two such requests awaits the end of the first.
///
/// [`Kind::ReadAnyCopy`] and [`submit_to`](Self::submit_to) are outside of the order. They carry
/// round 0, which a node neither refuses because of another request nor remembers as refused.
///
/// # How often a request is sent
///
/// At once where the slot's epoch that is known has grown since the last try; otherwise after a
/// pause, which begins at `pause_min` and doubles up to `pause_max` while the epoch stays. With S =
/// log2(`pause_max` / `pause_min`), rounded up, and an epoch that grows E times within the
/// patience, no request of a path is sent more often than (1 + E) * (2 + S) + `patience` /
/// `pause_max` times, and a read of any copy once more.
#[derive(Debug)]
pub struct Router<C, O> {
    pub(crate) settings: Settings,
    /// The latest time that was told.
    pub(crate) now: Duration,
    pub(crate) owners: Owners,
    pub(crate) links: Links,
    pub(crate) requests: Requests<C>,
    /// By slot.
    pub(crate) paths: Box<[Path]>,
    /// Of the paths that are not calm.
    pub(crate) troubles: BTreeMap<SlotId, Trouble>,
    pub(crate) wakes: Wakes,
    pub(crate) effects: VecDeque<Effect<C, O>>,
    /// There is a [`Effect::WantTopology`] among the effects.
    pub(crate) is_wanting: bool,
    /// When memory is given back if nothing is outstanding then.
    idle_at: Option<Duration>,
}

impl<C: Clone, O> Router<C, O> {
    /// A router that knows no node. `client` names it to the nodes: random, and never used before.
    #[must_use]
    pub fn new(client: u64, mut settings: Settings) -> Self {
        settings.outstanding_max = settings.outstanding_max.min(1 << INDEX_BITS);
        Self {
            settings,
            now: Duration::ZERO,
            owners: Owners::new(),
            links: Links::new(),
            requests: Requests::new(client),
            paths: vec![Path::NEW; usize::from(SLOTS)].into(),
            troubles: BTreeMap::new(),
            wakes: Wakes::default(),
            effects: VecDeque::new(),
            is_wanting: false,
            idle_at: None,
        }
    }

    /// Takes a request. Its end comes by `now + patience`.
    pub fn submit(&mut self, now: Duration, submission: Submission<C>) {
        self.enter(now);
        if self.requests.len() >= self.settings.outstanding_max {
            return self.refuse(submission.ticket, Refused::Overloaded);
        }
        match submission.kind {
            Kind::Read => self.submit_ordered(submission, false),
            Kind::Mutation => self.submit_ordered(submission, true),
            Kind::ReadAnyCopy => self.submit_any_copy(submission),
        }
    }

    /// Takes a request to this very node, outside of every order. It is refused where the node is
    /// not connected, and not tried again. Its slot and epoch mean nothing.
    pub fn submit_to(&mut self, now: Duration, ticket: u64, node: NodeId, command: C) {
        self.enter(now);
        let Some(link) = self.links.of(node) else {
            return self.refuse(ticket, Refused::Unavailable);
        };
        if self.requests.len() >= self.settings.outstanding_max {
            return self.refuse(ticket, Refused::Overloaded);
        }
        let index = self.add(direct(ticket, command), Role::Direct);
        self.send(index, node, link);
    }

    /// A node is connected. A link that it had before is down.
    pub fn link_up(&mut self, now: Duration, node: NodeId) {
        if self.links.of(node).is_some() {
            self.link_down(now, node);
        }
        self.enter(now);
        self.links.add(node);
        self.advance_all();
    }

    /// A node's link is lost: what is unanswered on it may have been executed, or not.
    pub fn link_down(&mut self, now: Duration, node: NodeId) {
        self.enter(now);
        let Some(link) = self.links.remove(node) else { return };
        self.effects
            .retain(|effect| !matches!(effect, Effect::Send { node: to, .. } if *to == node));
        let tried: Vec<u32> = self.requests.indices().collect();
        let (mut slots, mut lone) = (Vec::new(), Vec::new());
        for index in tried {
            let outstanding = self.requests.get_mut(index);
            let was_current = outstanding.lose(link);
            match outstanding.role {
                Role::Ordered { .. } if was_current => slots.push(outstanding.slot),
                Role::AnyCopy(_) | Role::Direct if was_current => lone.push(index),
                Role::Forgotten => lone.push(index),
                _ => {}
            }
        }
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            self.end_round(slot, None);
        }
        for index in lone {
            self.lone_lost(index);
        }
        self.advance_all();
    }

    /// A node answered a request over its present link.
    pub fn answered(&mut self, now: Duration, node: NodeId, id: RequestId, answer: Answer<O>) {
        self.enter(now);
        let Some(link) = self.links.of(node) else { return };
        let Some(index) = self.requests.find(id) else { return };
        if !self.requests.get(index).is_tried_on(link) {
            return;
        }
        self.take_answer(index, link, answer);
    }

    /// Takes a topology, unless it has one that is as new.
    pub fn adopt(&mut self, now: Duration, topology: Arc<Topology>) {
        self.enter(now);
        if self.owners.adopt(topology) {
            for slot in SlotId::all() {
                self.owner_changed(slot);
            }
            self.advance_all();
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        self.enter(now);
        while let Some(who) = self.wakes.pop(self.now) {
            match who {
                Wake::Slot(slot) => self.advance(slot),
                Wake::Lone(id) => {
                    if let Some(index) = self.requests.find(id) {
                        self.advance_lone(index);
                    }
                }
            }
        }
        if self.idle_at.is_some_and(|at| at <= self.now) {
            self.idle_at = None;
            if self.requests.is_bloated() && self.effects.is_empty() {
                self.requests.shrink();
                self.effects.shrink_to_fit();
            }
        }
        self.wakes.shrink();
    }

    /// When [`tick`](Self::tick) is to be called, if nothing else happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let deadline = self.requests.first_due().map(|index| self.requests.get(index).deadline);
        [deadline, self.wakes.next(), self.idle_at].into_iter().flatten().min()
    }

    /// What is to be done next; `None` until something happens.
    pub fn poll(&mut self) -> Option<Effect<C, O>> {
        let effect = self.effects.pop_front()?;
        self.is_wanting &= !matches!(effect, Effect::WantTopology);
        Some(effect)
    }

    /// The client in the ids of the requests that are submitted from now on.
    #[must_use]
    pub const fn client(&self) -> u64 {
        self.requests.client()
    }

    /// Requests that are unanswered.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.requests.len()
    }
}

/// What paths and lone requests share.
impl<C: Clone, O> Router<C, O> {
    /// Takes the time, and refuses what is past its deadline.
    fn enter(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let first = self.requests.first_due();
        if first.is_some_and(|index| self.requests.get(index).deadline <= self.now) {
            self.expire();
        }
    }

    #[cold]
    fn expire(&mut self) {
        let mut slots = Vec::new();
        while let Some(index) = self.requests.first_due() {
            let outstanding = self.requests.get(index);
            if outstanding.deadline > self.now {
                break;
            }
            if outstanding.is_ordered() {
                slots.push(outstanding.slot);
            }
            let refused = self.refusal(outstanding);
            self.take_out(index, Err(refused));
        }
        // Only then, so that nothing is sent whose deadline has come, too.
        for slot in slots {
            self.advance(slot);
        }
    }

    /// Why a request whose deadline has come has no outcome.
    fn refusal(&self, outstanding: &Outstanding<C>) -> Refused {
        if outstanding.is_mutation() && (outstanding.current.is_some() || outstanding.may_be_done())
        {
            return Refused::UnknownOutcome;
        }
        let target = match outstanding.role {
            Role::AnyCopy(state) => self.any_copy(outstanding.slot, state),
            _ => self.primary(outstanding.slot),
        };
        if target.is_some() { Refused::Deadline } else { Refused::NoCopy }
    }

    pub(crate) fn add(&mut self, submission: Submission<C>, role: Role) -> u32 {
        self.idle_at = None;
        let deadline = self.now.saturating_add(self.settings.patience);
        self.requests.add(submission, role, deadline)
    }

    /// The slot's primary, if it is known and connected.
    pub(crate) fn primary(&self, slot: SlotId) -> Option<(NodeId, LinkId)> {
        let node = self.owners.owner(slot).primary?;
        self.links.of(node).map(|link| (node, link))
    }

    pub(crate) fn send(&mut self, index: u32, node: NodeId, link: LinkId) {
        let answered = self.requests.answered_before(self.requests.get(index).id);
        let outstanding = self.requests.get_mut(index);
        let path = &self.paths[usize::from(outstanding.slot.number())];
        if outstanding.epoch.is_none() {
            outstanding.seen = path.seen.max(self.owners.version_base(outstanding.slot));
        }
        let epoch = self.owners.owner(outstanding.slot).epoch;
        outstanding.epoch = Some(epoch);
        outstanding.current = Some(link);
        let request = memtide_topology::Request {
            id: outstanding.id,
            slot: outstanding.slot,
            epoch,
            round: if outstanding.is_ordered() { path.round } else { 0 },
            seen: outstanding.seen,
            answered,
            is_retry: outstanding.is_mutation() && outstanding.may_be_done(),
            command: outstanding.command.clone(),
        };
        self.effects.push_back(Effect::Send { node, request });
    }

    pub(crate) fn refuse(&mut self, ticket: u64, refused: Refused) {
        self.effects.push_back(Effect::Done { ticket, result: Err(refused) });
    }

    /// Ends a request, and lets its path go on.
    pub(crate) fn finish(&mut self, index: u32, result: Result<O, Refused>) {
        let slot = self.requests.get(index).slot;
        self.take_out(index, result);
        self.advance(slot);
    }

    fn take_out(&mut self, index: u32, result: Result<O, Refused>) {
        let outstanding = self.requests.get(index);
        if outstanding.is_ordered() {
            self.unchain(outstanding.slot, index);
        }
        let ticket = self.requests.remove(index).ticket;
        self.effects.push_back(Effect::Done { ticket, result });
        if self.requests.is_bloated() {
            self.idle_at = Some(self.now.saturating_add(self.settings.patience));
        }
    }

    fn advance_all(&mut self) {
        let slots: Vec<SlotId> = self.troubles.keys().copied().collect();
        for slot in slots {
            self.advance(slot);
        }
        let indices: Vec<u32> = self.requests.indices().collect();
        for index in indices {
            self.advance_lone(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_when_it_was_idle_for_long() {
        let mut router = Router::<(), ()>::new(1, Settings::default());
        let (start, node) = (Duration::ZERO, NodeId::new(1));
        router.link_up(start, node);
        for ticket in 0..1_000 {
            router.submit_to(start, ticket, node, ());
        }
        while let Some(effect) = router.poll() {
            if let Effect::Send { node, request } = effect {
                let answer = Answer::Done { outcome: (), version: 0 };
                router.answered(start, node, request.id, answer);
            }
        }
        assert!(router.requests.is_bloated());
        router.tick(router.next_timeout().unwrap());
        assert!(!router.requests.is_bloated());
        assert_eq!(router.next_timeout(), None);
    }
}
