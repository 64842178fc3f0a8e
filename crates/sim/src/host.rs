//! A node's process with the real node in it: its store and journal, its commands, and the frames
//! of its links.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_engine::{Host, HostConfig, Moment, NodeCounters, Outlets};
use memtide_engine_core::replication::{
    Message, Position, ProxyLink, Replication, Report, SlotMessage,
};
use memtide_engine_core::{Now, SlotCursor};
use memtide_topology::{Answer, NodeId, Request, RequestId, SlotId, Topology};
use memtide_wire::{Ask, Frame, NodeWords, Reach, Reply, encode_words};

use crate::event::{Payload, Place};
use crate::heap::{Nanos, SECOND};
use crate::item::Reply as Told;
use crate::memcached;
use crate::node::Step;
use crate::plan::Plan;
use crate::room::Room;
use crate::store::Command;

/// Bytes of a frame at most.
const FRAME_BYTES_MAX: usize = 1 << 24;
/// What the wall clock shows when a run begins, in Unix seconds.
const UNIX_SECS: u64 = 1_700_000_000;
/// The largest item, as memcached counts it.
const ITEM_SIZE_MAX: u32 = 1 << 19;
/// Memory by which a store decides how many shards it has and how large its segments are, at most.
const MEMORY_MAX: u64 = 1 << 26;

/// A node.
pub struct HostNode {
    id: NodeId,
    host: Host,
    slots: Vec<SlotId>,
    /// Nodes that it has a link with.
    peers: BTreeSet<NodeId>,
    asked: Requests,
    /// Where it was in each slot when its store was looked at last.
    seen: BTreeMap<SlotId, Position>,
    ticks: u32,
    /// Bytes of a token.
    unit: usize,
    /// What may be missed for want of memory; `None` where there is enough.
    room: Option<Room>,
}

/// Between two looks at a store that should be as it was, in ticks.
const TICKS_UNSEEN: u32 = 25;

/// Requests by link and number: who asked, what to name it, and what for.
type Requests = BTreeMap<(ProxyLink, u64), Asker>;

/// Who waits for an answer.
struct Asker {
    proxy: Place,
    id: RequestId,
    slot: SlotId,
    command: Command,
    is_retry: bool,
}

impl HostNode {
    pub fn new(id: NodeId, plan: &Plan, slots: Vec<SlotId>) -> Self {
        let memory_max = plan.memory_max.min(MEMORY_MAX);
        let (item_size_max, replication) = (ITEM_SIZE_MAX, plan.settings.clone());
        let memory_capacity = memory_max;
        let config =
            HostConfig { node: id, memory_max, memory_capacity, item_size_max, replication };
        let counters = Arc::new(NodeCounters::default());
        let host = Host::new(config, &Topology::empty(), Arc::clone(&counters));
        Self {
            id,
            host,
            slots,
            peers: BTreeSet::new(),
            asked: Requests::new(),
            seen: BTreeMap::new(),
            ticks: 0,
            unit: plan.unit,
            room: plan.is_pressed().then(|| Room::new(counters)),
        }
    }

    pub const fn replication(&self) -> &Replication {
        self.host.replication()
    }

    pub const fn topology(&self) -> &Arc<Topology> {
        self.host.topology()
    }

    pub fn adopt(&mut self, step: &mut Step<'_>, topology: Arc<Topology>) {
        self.act(step, |host, at, out| host.adopt(at, topology, out));
    }

    /// Takes a frame of another node.
    pub fn hear(&mut self, step: &mut Step<'_>, peer: NodeId, bytes: &[u8]) {
        let mut result = Ok(());
        self.act(step, |host, at, out| {
            let frame = Frame::split(bytes, FRAME_BYTES_MAX).map(|frame| frame.expect("whole"));
            result = frame.and_then(|(frame, _)| host.hear(at, peer, &frame, out));
        });
        if let Err(error) = result {
            let id = self.id;
            step.checks.violated(|| format!("{id} does not understand {peer}: {error}"));
        }
    }

    /// Takes a request that came over a proxy's link.
    pub fn asked(
        &mut self,
        step: &mut Step<'_>,
        (proxy, link): (Place, u64),
        request: Request<Command>,
    ) {
        let Request { id, slot, epoch, round, seen, answered, is_retry, command } = request;
        self.asked.insert((link, id.number), Asker { proxy, id, slot, command, is_retry });
        let text = memcached::encode(command, slot, self.unit);
        let hash = memcached::key_hash(command.key, slot);
        let (number, reach) = (id.number, Reach::Primary);
        let command = &text;
        let ask = Ask { number, reach, hash, epoch, round, seen, answered, is_retry, command };
        self.act(step, |host, at, out| host.asked(at, (link, id.client), &ask, out));
    }

    pub fn link_up(&mut self, step: &mut Step<'_>, peer: Place) {
        if let Place::Node(peer) = peer {
            self.peers.insert(peer);
            self.act(step, |host, at, out| host.node_up(at, peer, out));
        }
    }

    pub fn link_down(&mut self, step: &mut Step<'_>, peer: Place, link: u64) {
        if let Place::Node(peer) = peer {
            self.peers.remove(&peer);
            self.act(step, |host, at, out| host.node_down(at, peer, out));
        } else {
            self.host.proxy_gone(link);
            self.asked.retain(|(of, _), _| *of != link);
        }
    }

    pub fn tick(&mut self, step: &mut Step<'_>) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_UNSEEN) {
            self.seen.clear();
        }
        self.act(step, |host, at, out| {
            host.tick(at, out);
            host.weigh(at, out);
        });
    }

    pub fn is_copying(&self) -> bool {
        self.host.is_copying()
    }

    /// A turn of copying.
    pub fn read_chunk(&mut self, step: &mut Step<'_>) {
        self.act(step, |host, at, out| _ = host.copy_on(at, out));
    }

    pub fn maintain(&mut self, step: &mut Step<'_>) {
        self.act(step, |host, at, out| _ = host.maintain(at, out));
    }

    /// Lets the host handle something, and looks at what its store has then.
    fn act(&mut self, step: &mut Step<'_>, act: impl FnOnce(&mut Host, Moment, &mut Out<'_, '_>)) {
        let at = Moment { now: step.now, wall: unix(step.wall) };
        let (peers, asked, unit) = (&self.peers, &mut self.asked, self.unit);
        let mut out = Out { step, peers, asked, unit };
        act(&mut self.host, at, &mut out);
        self.host.end_batch(at, &mut out);
        if let Some(room) = &mut self.room {
            room.look(&self.host, (self.id, &self.slots), step.checks);
        }
        for slot in self.slots.clone() {
            self.look_at(step, slot);
        }
    }

    /// I4: at the same version, all have the same.
    fn look_at(&mut self, step: &mut Step<'_>, slot: SlotId) {
        let Some(position) = self.replication().position(slot) else { return };
        if self.seen.insert(slot, position) == Some(position) {
            return;
        }
        let config = self.topology().slot(slot);
        let is_in_sync = config.copy(self.id).is_some_and(|copy| copy.is_in_sync);
        if self.replication().is_serving(slot) {
            step.checks.describe(slot, position.version, || self.describe(slot));
            step.checks.content(slot, position.version, self.content(slot));
        } else if is_in_sync && config.epoch == position.epoch {
            let at = (slot, position.version);
            step.checks.claims(at, self.content(slot), || {
                format!("{} holds {}", self.id, self.describe(slot))
            });
        }
    }

    /// A hash of all that a slot holds and that does not expire: what has expired by its primary's
    /// clock is there until it is found, and not copied any more.
    pub fn content(&self, slot: SlotId) -> u64 {
        hash_of(self.describe(slot).as_bytes())
    }

    /// The same for a human, by key.
    fn describe(&self, slot: SlotId) -> String {
        let mut items = BTreeMap::new();
        let mut cursor = Some(SlotCursor::start(slot));
        while let Some(from) = cursor {
            cursor = self.host.store().slot_items(from, 64, Now::from_unix_secs(1), |item| {
                if item.expires_at.is_none() {
                    let key = String::from_utf8_lossy(item.key).into_owned();
                    let value = item.value.contiguous();
                    let text = |value: &[u8]| vec![u64::MAX, value.len() as u64, hash_of(value)];
                    let tokens = memcached::tokens_of(&value, self.unit);
                    items.insert(key, (tokens.unwrap_or_else(|| text(&value)), item.cas));
                }
            });
        }
        format!("{items:?}")
    }
}

fn hash_of(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn unix(wall: Nanos) -> Now {
    let secs = u32::try_from(UNIX_SECS + wall / SECOND).expect("a run is short");
    Now::from_unix_secs(secs)
}

/// What the host says, and where that goes.
struct Out<'a, 'w> {
    step: &'a mut Step<'w>,
    peers: &'a BTreeSet<NodeId>,
    asked: &'a mut Requests,
    unit: usize,
}

impl Outlets for Out<'_, '_> {
    /// The process may have been stopped since the last reading.
    fn now(&mut self) -> Duration {
        let stopped = if (self.step.stops)() { Duration::from_secs(1) } else { Duration::ZERO };
        self.step.now + stopped
    }

    fn to_node(&mut self, node: NodeId, words: &NodeWords) {
        if let NodeWords::Message(Message::Slot(slot, SlotMessage::Consent { epoch, .. })) = words {
            self.step.checks.consents(*slot, *epoch);
        }
        let mut bytes = Vec::new();
        encode_words(&mut bytes, words);
        self.step.out.push((Place::Node(node), Payload::Words(bytes.into())));
    }

    fn queued_bytes(&self, node: NodeId) -> Option<usize> {
        self.peers.contains(&node).then_some(0)
    }

    fn to_proxy(&mut self, link: ProxyLink, reply: &Reply<'_>) {
        let Some(asker) = self.asked.remove(&(link, reply.number)) else { return };
        let Asker { proxy, id, slot, command, is_retry } = asker;
        let answer = match reply.answer {
            Answer::Done { outcome, version } => {
                let Some(told) = memcached::decode(command, outcome, self.unit) else {
                    let said = String::from_utf8_lossy(&outcome[..outcome.len().min(200)]);
                    self.step.checks.violated(|| format!("{command:?} is answered: {said}"));
                    return;
                };
                // A retry may be told at a later version than it left.
                if !is_retry && matches!(told, Told::Stored { .. }) {
                    self.step.checks.tells(slot, version, self.step.time);
                }
                Answer::Done { outcome: told.encode(), version }
            }
            Answer::Moved { epoch, primary, may_be_done } => {
                Answer::Moved { epoch, primary, may_be_done }
            }
            Answer::Unknown => Answer::Unknown,
        };
        self.step.out.push((proxy, Payload::Answer(id, answer)));
    }

    fn report(&mut self, report: Report) {
        self.step.out.push((Place::Manager, Payload::Report(report)));
    }
}
