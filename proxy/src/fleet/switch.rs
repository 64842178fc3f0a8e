//! What the connections of a core share of the fleet: the router, the links' outboxes, the lanes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use memtide_link::Outbox;
use memtide_routing::{Effect, Refused, Router, Settings};
use memtide_topology::{Answer, Epoch, HashSeed, NodeId, Request, RequestId, Topology};
use memtide_wire::{Ask as AskFrame, Frame, WireError, decode_reply, encode_ask};

use super::ask::Ask;
use super::buffers::Buffers;
use super::gather::Gathers;
use super::lanes::{LaneId, Lanes};
use super::lobby::Planned;
use crate::counters::CoreCounters;
use crate::limits::{CORE_BYTES_MAX, frame_bytes_max};
use crate::shared::Shared;

/// Brings the commands of a core's connections to the nodes and the replies back. No socket, clock
/// or task: [`Switch::take`] is given what came over a link, and what is to be sent lies in the
/// outboxes when a call returns.
#[derive(Debug)]
pub struct Switch {
    pub(super) router: Router<Ask, Range<usize>>,
    pub(super) topology: Arc<Topology>,
    links: BTreeMap<NodeId, LinkUp>,
    links_made: u64,
    pub(super) lanes: Lanes,
    pub(super) gathers: Gathers,
    pub(super) buffers: Buffers,
    pub(super) shared: Arc<Shared>,
    pub(super) counters: Arc<CoreCounters>,
    pub(super) flush_command: Rc<[u8]>,
    /// What the lanes hold, in bytes.
    pub(super) held_bytes: usize,
    /// [`CORE_BYTES_MAX`].
    pub(super) held_bytes_max: usize,
    /// Requests under way from which on no connection takes in another command.
    pub(super) outstanding_high: usize,
    /// Connections that wait until there is less under way.
    pub(super) crowd: VecDeque<LaneId>,
    /// The time of the last call.
    pub(super) now: Duration,
    /// From then on commands are refused where no topology is known yet; until then they wait.
    founded_by: Duration,
    frame_bytes_max: usize,
    pub(super) planned: Planned,
}

/// A node that is linked.
#[derive(Debug)]
struct LinkUp {
    name: LinkName,
    outbox: Outbox,
    /// The client number that it was made with.
    client: u64,
}

/// One link; the next one to the same node has another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkName(NodeId, u64);

/// Of a ticket: the answer is for a [gather](super::gather). A lane's place is below this bit.
pub(super) const GATHER: u64 = 1 << 63;

impl Switch {
    /// Of the core with this number; `client` names it to the nodes.
    pub fn new(client: u64, settings: Settings, shared: Arc<Shared>, core: usize) -> Self {
        let outstanding_high = (settings.outstanding_max / 2).max(1);
        Self {
            founded_by: settings.patience,
            router: Router::new(client, settings),
            topology: Arc::new(Topology::empty()),
            links: BTreeMap::new(),
            links_made: 0,
            lanes: Lanes::default(),
            gathers: Gathers::default(),
            buffers: Buffers::default(),
            counters: Arc::clone(&shared.counters[core]),
            flush_command: b"flush_all\r\n".as_slice().into(),
            held_bytes: 0,
            held_bytes_max: CORE_BYTES_MAX,
            outstanding_high,
            crowd: VecDeque::new(),
            now: Duration::ZERO,
            frame_bytes_max: frame_bytes_max(shared.config.item_size_max),
            shared,
            planned: Planned::default(),
        }
    }

    /// The secret that places keys, once a topology is known.
    pub fn seed(&self) -> Option<HashSeed> {
        (self.topology.epoch() > Epoch::ZERO).then(|| self.topology.seed())
    }

    /// The name of this core for the nodes.
    pub fn client(&self) -> u64 {
        self.router.client()
    }

    /// What all cores share.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// This core's counters.
    pub fn counters(&self) -> Arc<CoreCounters> {
        Arc::clone(&self.counters)
    }

    /// Takes the time, before what asks for none is called.
    pub fn enter(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Takes a topology, unless it has one that is as new.
    pub fn adopt(&mut self, now: Duration, topology: Arc<Topology>) {
        if topology.epoch() <= self.topology.epoch() {
            return;
        }
        let is_first = self.seed().is_none();
        self.topology = Arc::clone(&topology);
        self.router.adopt(now, topology);
        self.pump(now, &[]);
        if is_first {
            self.wake_all();
        }
    }

    /// A node is linked; what is pushed to the outbox goes to it, over a link that was made with
    /// this client number. Returns the link's name.
    pub fn link_up(
        &mut self,
        now: Duration,
        node: NodeId,
        (outbox, client): (Outbox, u64),
    ) -> LinkName {
        self.counters.fleet.links.add(1);
        self.links_made += 1;
        let name = LinkName(node, self.links_made);
        self.links.insert(node, LinkUp { name, outbox, client });
        self.router.link_up(now, node);
        self.pump(now, &[]);
        name
    }

    /// A link has ended.
    pub fn link_down(&mut self, now: Duration, name: LinkName) {
        self.counters.fleet.links_lost.add(1);
        let node = name.0;
        // Where there is another link by now, the router has heard of the end of this one.
        if self.links.get(&node).is_some_and(|link| link.name == name) {
            self.links.remove(&node);
            self.router.link_down(now, node);
            self.pump(now, &[]);
        }
    }

    /// Takes the whole frames at the start of `bytes`, which came from this node; returns how many
    /// bytes they have.
    ///
    /// # Errors
    /// What is no reply. The link is to be closed.
    pub fn take(&mut self, now: Duration, node: NodeId, bytes: &[u8]) -> Result<usize, WireError> {
        let Some(&LinkUp { client, .. }) = self.links.get(&node) else { return Ok(bytes.len()) };
        let mut rest = bytes;
        while let Some((frame, behind)) = Frame::split(rest, self.frame_bytes_max)? {
            let reply = decode_reply(&frame)?;
            let end = bytes.len() - behind.len();
            let answer = match reply.answer {
                // An outcome is the end of its frame.
                Answer::Done { outcome, version } => {
                    Answer::Done { outcome: end - outcome.len()..end, version }
                }
                Answer::Moved { epoch, primary, may_be_done } => {
                    self.counters.fleet.moved.add(1);
                    Answer::Moved { epoch, primary, may_be_done }
                }
                Answer::Unknown => Answer::Unknown,
            };
            let id = RequestId { client, number: reply.number };
            self.router.answered(now, node, id, answer);
            rest = behind;
            // The outcomes are ranges of these very bytes.
            self.pump(now, bytes);
        }
        Ok(bytes.len() - rest.len())
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) {
        self.router.tick(now);
        self.pump(now, &[]);
        if self.is_unfounded_for_good() {
            self.wake_all();
        }
    }

    /// No topology is known, and nobody waits for one any more.
    pub(super) fn is_unfounded_for_good(&self) -> bool {
        self.seed().is_none() && self.now >= self.founded_by
    }

    /// When [`Switch::tick`] is to be called.
    pub fn next_timeout(&self) -> Option<Duration> {
        let founded_by =
            (self.seed().is_none() && self.now < self.founded_by).then_some(self.founded_by);
        [self.router.next_timeout(), founded_by].into_iter().flatten().min()
    }

    /// Does what the router wants, whose outcomes are ranges of `incoming`.
    pub(super) fn pump(&mut self, now: Duration, incoming: &[u8]) {
        self.enter(now);
        while let Some(effect) = self.router.poll() {
            match effect {
                Effect::Send { node, request } => self.send_to(node, &request),
                Effect::Done { ticket, result } => {
                    self.count_end(&result);
                    let reply = result.map(|range| &incoming[range]);
                    if ticket & GATHER == 0 {
                        self.answer(ticket, reply);
                    } else {
                        self.gathered(ticket, reply);
                    }
                }
                Effect::WantTopology => self.counters.fleet.behind.add(1),
            }
        }
        let outstanding = self.router.outstanding() as u64;
        self.counters.fleet_outstanding.store(outstanding);
        self.let_in();
    }

    fn send_to(&self, node: NodeId, request: &Request<Ask>) {
        self.counters.fleet.sent.add(1);
        // Where the link has just ended, the router hears of it next.
        let Some(LinkUp { outbox, client, .. }) = self.links.get(&node) else { return };
        if *client != request.id.client {
            // The numbers have come to their end, and go on under another name: a link for that.
            return outbox.close();
        }
        let ask = &request.command;
        let frame = AskFrame {
            number: request.id.number,
            reach: ask.reach,
            hash: ask.hash,
            epoch: request.epoch,
            round: request.round,
            seen: request.seen,
            answered: request.answered,
            is_retry: request.is_retry,
            command: ask.command(),
        };
        outbox.push(|out| encode_ask(out, &frame));
    }

    fn count_end<T>(&self, result: &Result<T, Refused>) {
        let fleet = &self.counters.fleet;
        let counter = match result {
            Ok(_) => &fleet.done,
            Err(Refused::Overloaded) => &fleet.overloaded,
            Err(Refused::NoCopy) => &fleet.no_copy,
            Err(Refused::Deadline) => &fleet.deadline,
            Err(Refused::UnknownOutcome) => &fleet.unknown,
            Err(Refused::Unavailable) => &fleet.unavailable,
        };
        counter.add(1);
    }
}
