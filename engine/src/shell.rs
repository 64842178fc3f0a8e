//! A node's data thread as its tasks see it: the host, and the links by which it is heard.

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use memtide_engine_core::replication::{Message, ProxyLink, Report};
use memtide_execute::Counter;
use memtide_link::Outbox;
use memtide_service::logging::Limiter;
use memtide_topology::{NodeId, Topology};
use memtide_wire::{Frame, NodeWords, Reply, WireError, encode_reply, encode_words};
use tokio::sync::{Notify, mpsc, watch};

use crate::batch::Batch;
use crate::clock;
use crate::feed::{DataPart, Word};
use crate::host::{Host, Moment, Outlets};
use crate::limits;
use crate::shared::Shared;
use crate::topology_frame::TopologyFrame;

/// See the module.
#[derive(Debug)]
pub struct Shell {
    pub me: NodeId,
    pub shared: Arc<Shared>,
    host: RefCell<Host>,
    lines: RefCell<Lines>,
    words: mpsc::Sender<Word>,
    topology_frame: TopologyFrame,
    /// There are chunks to be read.
    pub copying: Notify,
    /// A bug has stopped the host in the middle of something.
    pub broken: Notify,
    /// Told of each link that has ended; one task waits for it.
    link_ended: Notify,
    /// Sends the epoch of each topology that was adopted.
    pub changes: watch::Sender<u64>,
    /// Nodes that this one is to dial.
    pub wanted: RefCell<BTreeSet<NodeId>>,
    /// Nodes that are being dialed, or linked so.
    pub dialing: RefCell<BTreeSet<NodeId>>,
    /// Holds the lines about links that were refused to so many.
    pub refusals: RefCell<Limiter>,
    epoch: Cell<u64>,
    is_broken: Cell<bool>,
}

/// The links.
#[derive(Debug, Default)]
struct Lines {
    proxies: BTreeMap<ProxyLink, Outbox>,
    /// By the client number of the proxy's core.
    clients: BTreeMap<u64, ProxyLink>,
    nodes: BTreeMap<NodeId, (Serial, Outbox)>,
    last: u64,
}

/// Tells the links to one node apart.
pub type Serial = u64;

impl Shell {
    /// Around a host that has not adopted a topology yet.
    pub fn new(me: NodeId, shared: Arc<Shared>, host: Host, words: mpsc::Sender<Word>) -> Self {
        Self {
            me,
            shared,
            host: RefCell::new(host),
            lines: RefCell::default(),
            words,
            topology_frame: TopologyFrame::default(),
            copying: Notify::new(),
            link_ended: Notify::new(),
            broken: Notify::new(),
            changes: watch::Sender::new(0),
            wanted: RefCell::default(),
            dialing: RefCell::default(),
            refusals: RefCell::new(Limiter::new(limits::REFUSALS_LOGGED_MAX, limits::MINUTE)),
            epoch: Cell::new(0),
            is_broken: Cell::new(false),
        }
    }

    /// Takes a topology of the manager.
    pub fn adopt(&self, topology: Arc<Topology>) {
        self.with_host(|host, at, out| host.adopt(at, topology, out));
    }

    /// Takes this node's part of the cache's limit of data.
    pub fn hold_to(&self, part: DataPart) {
        self.with_host(|host, _, _| host.hold_to(part));
    }

    /// The newest topology.
    pub fn topology(&self) -> Arc<Topology> {
        Arc::clone(self.host.borrow().topology())
    }

    /// Whether any slot is this node's.
    pub fn holds_slots(&self) -> bool {
        self.host.borrow().holds_slots()
    }

    /// Asks the manager to take this node's slots from it.
    pub async fn leave(&self) {
        // Without a manager the drain's time will end it.
        let _ = self.words.send(Word::Leaving).await;
    }

    /// A link of a proxy's core begins. One from before ends: a first try that it may yet bring
    /// must not come after its retry on this one.
    pub fn proxy_up(&self, client: u64, outbox: &Outbox) -> ProxyLink {
        let mut lines = self.lines.borrow_mut();
        lines.last += 1;
        let link = lines.last;
        let before = lines.clients.insert(client, link);
        lines.proxies.insert(link, outbox.clone());
        if let Some(before) = before
            && let Some(outbox) = lines.proxies.remove(&before)
        {
            outbox.close();
            self.host.borrow_mut().proxy_gone(before);
        }
        self.shared.counters.proxy_links.add(1);
        link
    }

    /// A link of a proxy's core has ended.
    pub fn proxy_down(&self, client: u64, link: ProxyLink) {
        if self.is_broken.get() {
            return;
        }
        let mut lines = self.lines.borrow_mut();
        if lines.clients.get(&client) == Some(&link) {
            lines.clients.remove(&client);
        }
        if lines.proxies.remove(&link).is_some() {
            self.host.borrow_mut().proxy_gone(link);
        }
        self.link_ended.notify_one();
    }

    /// A link to a node begins, and one from before ends.
    pub fn node_up(&self, peer: NodeId, outbox: &Outbox) -> Serial {
        let before = self.lines.borrow_mut().nodes.remove(&peer);
        if let Some((_, before)) = before {
            before.close();
            self.with_host(|host, at, out| host.node_down(at, peer, out));
        }
        let serial = {
            let mut lines = self.lines.borrow_mut();
            lines.last += 1;
            let serial = lines.last;
            lines.nodes.insert(peer, (serial, outbox.clone()));
            serial
        };
        self.shared.counters.node_links.add(1);
        self.with_host(|host, at, out| host.node_up(at, peer, out));
        serial
    }

    /// A link to a node has ended.
    pub fn node_down(&self, peer: NodeId, serial: Serial) {
        let is_last = self.lines.borrow().nodes.get(&peer).is_some_and(|(last, _)| *last == serial);
        if is_last && !self.is_broken.get() {
            self.lines.borrow_mut().nodes.remove(&peer);
            self.with_host(|host, at, out| host.node_down(at, peer, out));
        }
        self.link_ended.notify_one();
    }

    /// Takes requests of a proxy, until so many answers wait for it that it is to take some first;
    /// returns the bytes of those taken.
    ///
    /// # Errors
    /// With a frame that no proxy sends.
    pub fn take_asks(
        &self,
        (link, client): (ProxyLink, u64),
        outbox: &Outbox,
        bytes: &[u8],
    ) -> Result<usize, WireError> {
        let frame_bytes_max = limits::ask_bytes_max(self.shared.config.item_size_max);
        self.with_host(|host, at, out| {
            let mut rest = bytes;
            let has_room = || outbox.queued_bytes() < limits::PROXY_UNSENT_BYTES_MAX;
            while has_room() {
                let batch = Batch::of(rest, frame_bytes_max);
                if batch.len() == 0 {
                    batch.end()?;
                    break;
                }
                host.expect(&batch);
                for (ask, after) in batch.asks().take_while(|_| has_room()) {
                    host.asked(at, (link, client), ask, out);
                    rest = after;
                }
            }
            host.end_batch(at, out);
            Ok(self.received(bytes.len() - rest.len()))
        })
    }

    /// Takes what a node says.
    ///
    /// # Errors
    /// With a frame that no node sends.
    pub fn take_words(&self, peer: NodeId, bytes: &[u8]) -> Result<usize, WireError> {
        let frame_bytes_max = limits::node_frame_bytes_max(self.shared.config.item_size_max);
        self.with_host(|host, at, out| {
            let mut rest = bytes;
            while let Some((frame, after)) = Frame::split(rest, frame_bytes_max)? {
                host.hear(at, peer, &frame, out)?;
                rest = after;
            }
            host.end_batch(at, out);
            Ok(self.received(bytes.len() - rest.len()))
        })
    }

    /// Counts bytes of a link.
    fn received(&self, count: usize) -> usize {
        self.shared.counters.received_bytes.add(count as u64);
        count
    }

    /// Has the host handle something, and notices what came of it.
    pub fn with_host<R>(&self, handle: impl FnOnce(&mut Host, Moment, &mut Mouth<'_>) -> R) -> R {
        let done = self.with_host_in_turn(handle);
        if self.host.borrow().is_copying() {
            self.copying.notify_one();
        }
        done
    }

    /// Reads a chunk for a copy, if one is wanted and its node has room; says whether it did. A chunk
    /// that waits for room does not wake the reader again: it would wait for nothing else, and the
    /// links that are to make room would have no turn. The node's answers wake it, and the ticks.
    pub fn copy_on(&self) -> bool {
        self.with_host_in_turn(|host, at, out| host.copy_on(at, out))
    }

    fn with_host_in_turn<R>(
        &self,
        handle: impl FnOnce(&mut Host, Moment, &mut Mouth<'_>) -> R,
    ) -> R {
        let lines = self.lines.borrow();
        let mut host = self.host.borrow_mut();
        let sent_bytes = &self.shared.counters.sent_bytes;
        let (words, topology_frame) = (&self.words, &self.topology_frame);
        let mut mouth = Mouth { lines: &lines, words, topology_frame, sent_bytes };
        let sound = Sound { is_broken: &self.is_broken, broken: &self.broken };
        assert!(!self.is_broken.get(), "the host was stopped in the middle of something");
        let done = handle(&mut host, clock::moment(), &mut mouth);
        core::mem::forget(sound);
        let epoch = host.topology().epoch().number();
        if epoch != self.epoch.replace(epoch) {
            self.shared.adopted.add(epoch - self.shared.adopted.load());
            let mut newest = self.shared.topology.lock().unwrap_or_else(PoisonError::into_inner);
            *newest = Some(Arc::clone(host.topology()));
            drop(newest);
            *self.wanted.borrow_mut() = self.to_dial(host.topology());
            self.changes.send_replace(epoch);
        }
        done
    }

    /// Sends what waits, and ends all links.
    pub fn finish(&self) {
        let lines = self.lines.borrow();
        lines.proxies.values().for_each(Outbox::finish);
        lines.nodes.values().for_each(|(_, outbox)| outbox.finish());
    }

    /// Ready when no link is open.
    pub async fn unlinked(&self) {
        while self.is_linked() {
            self.link_ended.notified().await;
        }
    }

    fn is_linked(&self) -> bool {
        let lines = self.lines.borrow();
        !lines.proxies.is_empty() || !lines.nodes.is_empty()
    }

    /// Of two nodes with a slot in common the lower one dials.
    fn to_dial(&self, topology: &Topology) -> BTreeSet<NodeId> {
        let mut peers = BTreeSet::new();
        let mut before = None;
        for (_, slot) in topology.slots() {
            let is_new = before.is_none_or(|before| !Arc::ptr_eq(before, slot));
            if is_new && slot.is_held_by(self.me) {
                peers.extend(slot.holders().filter(|peer| *peer > self.me));
            }
            before = Some(slot);
        }
        peers
    }
}

/// Dropped in the middle of something only: then the node must not go on with what it has. A task
/// that panics ends alone otherwise.
struct Sound<'s> {
    is_broken: &'s Cell<bool>,
    broken: &'s Notify,
}

impl Drop for Sound<'_> {
    fn drop(&mut self) {
        self.is_broken.set(true);
        self.broken.notify_one();
    }
}

/// Says what the host says.
pub struct Mouth<'s> {
    lines: &'s Lines,
    words: &'s mpsc::Sender<Word>,
    topology_frame: &'s TopologyFrame,
    sent_bytes: &'s Counter,
}

fn push(outbox: &Outbox, sent_bytes: &Counter, encode: impl FnOnce(&mut Vec<u8>)) {
    outbox.push(|out| {
        let before = out.len();
        encode(out);
        sent_bytes.add((out.len() - before) as u64);
    });
}

impl Outlets for Mouth<'_> {
    fn now(&mut self) -> Duration {
        clock::boottime()
    }

    fn to_node(&mut self, node: NodeId, words: &NodeWords) {
        if let Some((_, outbox)) = self.lines.nodes.get(&node) {
            push(outbox, self.sent_bytes, |out| match words {
                NodeWords::Message(Message::Topology(topology)) => {
                    self.topology_frame.append(topology, out);
                }
                words => encode_words(out, words),
            });
        }
    }

    fn queued_bytes(&self, node: NodeId) -> Option<usize> {
        self.lines.nodes.get(&node).map(|(_, outbox)| outbox.queued_bytes())
    }

    fn to_proxy(&mut self, link: ProxyLink, reply: &Reply<'_>) {
        if let Some(outbox) = self.lines.proxies.get(&link) {
            push(outbox, self.sent_bytes, |out| encode_reply(out, reply));
        }
    }

    fn report(&mut self, report: Report) {
        // It is said again until it was heard.
        let _ = self.words.try_send(Word::Report(report));
    }
}

#[cfg(test)]
mod tests;
