use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use memtide_topology::{Epoch, NodeId, SlotId, Topology};

use super::clients::Clients;
use super::effect::{Asked, Effect, Moved, ReplicationSettings};
use super::fences::Fences;
use super::message::{Message, SlotMessage};
use super::reach::Reach;

/// The links to other nodes, and the leases that come with them.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: BTreeMap<NodeId, Link>,
    pub(super) reach: Reach,
}

#[derive(Debug)]
struct Link {
    /// The newest topology that the peer has said to have adopted, once it has said so.
    adopted: Option<Epoch>,
    /// The newest topology that was sent to it.
    told: Epoch,
    /// When the newest beacon was sent whose answer counts.
    lease_from: Option<Duration>,
    /// How long after that the peer lets its slots be read here.
    reads: Duration,
}

impl Links {
    pub(super) fn up(&mut self, peer: NodeId) {
        let (adopted, told) = (None, Epoch::ZERO);
        let (lease_from, reads) = (None, Duration::ZERO);
        self.links.insert(peer, Link { adopted, told, lease_from, reads });
    }

    pub(super) fn down(&mut self, peer: NodeId) -> bool {
        self.links.remove(&peer).is_some()
    }

    /// Whether the peer has said hello.
    pub(super) fn is_ready(&self, peer: NodeId) -> bool {
        self.links.get(&peer).is_some_and(|link| link.adopted.is_some())
    }

    /// The peer has told what it has adopted.
    pub(super) fn heard(&mut self, peer: NodeId, adopted: Epoch) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.adopted = link.adopted.max(Some(adopted));
        }
    }

    /// A beacon sent at this time was answered so that it counts, and with so long a lease to read.
    pub(super) fn granted(&mut self, peer: NodeId, sent: Duration, reads: Duration) {
        if let Some(link) = self.links.get_mut(&peer)
            && Some(sent) >= link.lease_from
        {
            (link.lease_from, link.reads) = (Some(sent), reads);
        }
    }

    /// Whether a peer lets its slots be read here now, by its answer to a beacon that was sent after it
    /// had opened the copy.
    pub(super) fn may_read(&self, peer: NodeId, opened_at: Duration, now: Duration) -> bool {
        let Some(link) = self.links.get(&peer) else { return false };
        link.lease_from.is_some_and(|from| from > opened_at && now < from + link.reads)
    }

    /// When the newest beacon was sent to which this peer has said that it had adopted nothing newer
    /// than this node.
    pub(super) fn lease_from(&self, peer: NodeId) -> Option<Duration> {
        self.links.get(&peer)?.lease_from
    }

    pub(super) fn ready_peers(&self) -> Vec<NodeId> {
        let ready = self.links.iter().filter(|(_, link)| link.adopted.is_some());
        ready.map(|(peer, _)| *peer).collect()
    }

    /// Whether the peer lacks this topology, and was not sent it.
    fn lacks(&mut self, peer: NodeId, epoch: Epoch) -> bool {
        let Some(link) = self.links.get_mut(&peer) else { return false };
        let is_behind = link.adopted.is_some_and(|adopted| adopted < epoch) && link.told < epoch;
        if is_behind {
            link.told = epoch;
        }
        is_behind
    }
}

/// What a slot needs of its node.
pub(super) struct Env<'a> {
    pub(super) me: NodeId,
    pub(super) now: Duration,
    pub(super) settings: &'a ReplicationSettings,
    pub(super) topology: &'a Arc<Topology>,
    pub(super) links: &'a mut Links,
    pub(super) fences: &'a mut Fences,
    pub(super) clients: &'a mut Clients,
    /// Too much is remembered of requests in all slots.
    pub(super) is_in_need: bool,
    pub(super) effects: &'a mut VecDeque<Effect>,
}

/// What leases are told by.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) me: NodeId,
    pub(super) now: Duration,
    pub(super) settings: &'a ReplicationSettings,
    pub(super) links: &'a Links,
}

impl Env<'_> {
    pub(super) fn known(&self) -> Known<'_> {
        Known { me: self.me, now: self.now, settings: self.settings, links: self.links }
    }

    /// Sends a message to a peer that is connected, after the topology where it is not known to have that.
    pub(super) fn send(&mut self, to: NodeId, message: Message) {
        self.tell_topology(to);
        self.effects.push_back(Effect::Send(to, message));
    }

    pub(super) fn send_slot(&mut self, to: NodeId, slot: SlotId, message: SlotMessage) {
        if self.links.is_ready(to) {
            if !message.is_of_stream() {
                self.tell_topology(to);
            }
            self.effects.push_back(Effect::Send(to, Message::Slot(slot, message)));
        }
    }

    /// Sends the topology to a peer that lacks it.
    pub(super) fn tell_topology(&mut self, to: NodeId) {
        if self.links.lacks(to, self.topology.epoch()) {
            let topology = Message::Topology(Arc::clone(self.topology));
            self.effects.push_back(Effect::Send(to, topology));
        }
    }

    /// Refuses a request, and what else comes in its round.
    pub(super) fn refuse(&mut self, asked: &Asked, moved: Moved) {
        self.fences.refused(asked);
        self.effects.push_back(Effect::Refuse(asked.ticket, moved));
    }

    /// How long a new primary waits for the leases of older ones to be over.
    pub(super) fn lease_wait(&self) -> Duration {
        self.settings.lease + self.settings.lease_margin
    }
}
