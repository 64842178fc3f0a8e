//! What processes make of messages and links.

use std::sync::Arc;

use memtide_topology::NodeId;

use crate::event::{Payload, Place};
use crate::script::Script;
use crate::world::World;

impl World {
    /// A process takes a message, of a link where there is one.
    pub fn receive(&mut self, (from, link): (Place, Option<u64>), to: Place, payload: Payload) {
        match (to, payload) {
            (Place::Manager, payload) if self.control.is_some() => {
                self.hear_at_manager(from, link, payload);
            }
            (Place::Manager, payload) => self.receive_at_script(from, payload),
            (Place::Newcomer(number), Payload::Welcome(id)) => self.become_node(number, id),
            (Place::Node(id), Payload::Refused(_)) => self.end_refused(id),
            (Place::Node(id), Payload::Welcome(said)) if id != said => {
                self.checks.violated(|| format!("{id} is told that it is {said}"));
            }
            (Place::Node(id), payload) => self.receive_at_node((from, link), id, payload),
            (Place::Proxy(proxy), Payload::Topology(topology)) => {
                if let Some(process) = self.processes.get_mut(&to) {
                    process.adopted = process.adopted.max(topology.epoch());
                }
                self.with_proxy(proxy, |router, now| router.adopt(now, topology));
            }
            (Place::Proxy(proxy), Payload::Answer(id, answer)) => {
                if let Place::Node(node) = from {
                    self.with_proxy(proxy, |router, now| router.answered(now, node, id, answer));
                }
            }
            _ => {}
        }
    }

    fn receive_at_script(&mut self, from: Place, payload: Payload) {
        match payload {
            Payload::Adopted(epoch) => {
                if let Place::Node(node) = from {
                    self.script.hear(self.heap.now(), node);
                }
                let topology = &self.stored.topology;
                if epoch < topology.epoch() {
                    let payload = Payload::Topology(Arc::clone(topology));
                    self.network.datagram(&mut self.heap, Place::Manager, from, payload);
                }
            }
            Payload::Report(report) => {
                if let Place::Node(node) = from
                    && Script::report(&mut self.stored, node, report)
                {
                    self.publish();
                }
            }
            _ => {}
        }
    }

    fn receive_at_node(
        &mut self,
        (from, link): (Place, Option<u64>),
        id: NodeId,
        payload: Payload,
    ) {
        match payload {
            Payload::Peer(message) => {
                if let Place::Node(peer) = from {
                    self.with_node(id, |node, step| node.hear(step, peer, message));
                }
            }
            Payload::Words(bytes) => {
                if let Place::Node(peer) = from {
                    self.with_node(id, |node, step| node.hear_words(step, peer, &bytes));
                }
            }
            Payload::Ask(request) => {
                let link = link.expect("requests come over links");
                self.with_node(id, |node, step| node.asked(step, (from, link), request));
            }
            Payload::Topology(topology) => {
                self.with_node(id, |node, step| node.adopt(step, topology));
            }
            Payload::Adopted(epoch) => {
                let topology = self.nodes.get(&id).map(|node| Arc::clone(node.topology()));
                if let Some(topology) = topology.filter(|topology| topology.epoch() > epoch) {
                    let payload = Payload::Topology(topology);
                    self.network.send(&mut self.heap, Place::Node(id), from, payload);
                }
            }
            _ => {}
        }
    }

    /// A process has a link.
    pub fn link_up(&mut self, at: Place, peer: Place) {
        match (at, peer) {
            (_, Place::Manager) => self.register(at),
            (Place::Manager, _) => {}
            (Place::Node(id), _) => self.with_node(id, |node, step| node.link_up(step, peer)),
            (Place::Proxy(proxy), Place::Node(node)) => {
                self.with_proxy(proxy, |router, now| router.link_up(now, node));
            }
            _ => {}
        }
    }

    /// A process has lost a link.
    pub fn link_down(&mut self, at: Place, peer: Place, link: u64) {
        match (at, peer) {
            (Place::Manager, _) => self.session_ends(link),
            (_, Place::Manager) => {}
            (Place::Node(id), _) => {
                self.with_node(id, |node, step| node.link_down(step, peer, link));
            }
            (Place::Proxy(proxy), Place::Node(node)) => {
                self.with_proxy(proxy, |router, now| router.link_down(now, node));
            }
            _ => {}
        }
    }
}
