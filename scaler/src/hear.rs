//! What the loop makes of what comes over the streams.

use std::time::{Duration, Instant};

use memtide_control::{
    Adopted, Closed, Incoming, NodeUsage, Registration, Session, SessionId, fleet_of,
};
use memtide_executor::Filled;
use memtide_service::events::EventKind;
use memtide_service::logging::Admit;
use memtide_topology::{Epoch, NodeId};

use crate::behind::{Judged, judge};
use crate::handle::OperateError;
use crate::run::Loop;
use crate::scaling::not_wanted;

impl Loop {
    pub fn take_in(&mut self, now: Duration, came: Incoming) {
        self.told.1 = true;
        match came {
            Incoming::NodeCame { session, registration } => {
                self.node_comes(now, session, registration);
            }
            Incoming::NodeBeat { session, adopted, usage } => {
                if let Some(node) = self.sessions.node(session) {
                    self.node_beats(now, node, (adopted, usage));
                }
            }
            Incoming::NodeSlotUses { session, slots } => {
                if let Some(node) = self.sessions.node(session) {
                    self.sessions.slots_use(node, slots);
                }
            }
            Incoming::NodeReports { session, reports } => {
                if let Some(node) = self.sessions.node(session) {
                    reports.into_iter().for_each(|it| self.manager.report(now, node, it));
                }
            }
            Incoming::NodeLeaving { session } => {
                if let Some(node) = self.sessions.node(session) {
                    self.manager.leaving(now, node);
                }
            }
            Incoming::NodeLeft { session } => {
                self.sessions.left(session);
                self.spares.left(session);
                self.manager.gone(now, session.0);
            }
            Incoming::ProxyCame { session, program } => self.sessions.proxy_came(session, program),
            Incoming::ProxyBeat { session, peer, adopted, counted, written } => {
                self.check_beat(adopted, || format!("a proxy at {}", peer.ip()));
                self.sessions.proxy(session, peer, adopted);
                let known = self.ends.counts.hear(now, session, &counted);
                // A stream that has ended has no use for it.
                written.into_iter().for_each(|written| drop(written.send(known.clone())));
            }
            Incoming::ProxyLeft { session } => self.sessions.left(session),
            Incoming::ProxyDemand { proxy, demand, reply } => {
                if let Some(grant) = self.grants.demand(now, proxy, &demand) {
                    // A stream that has ended has no use for it.
                    let _ = reply.send(grant);
                }
            }
            Incoming::ProxyLeaving { proxy } => self.grants.left(proxy),
            Incoming::Ahead { who, adopted } => self.hear_of(&who, adopted),
            Incoming::Refused { peer, why } => {
                self.counters.refused += 1;
                if self.behind.is_some() {
                    // All are, and it was said why.
                    return;
                }
                if let Admit::Log { suppressed } = self.refusals.admit(Instant::now()) {
                    tracing::warn!(%peer, suppressed, "a control stream was refused: {why}");
                }
            }
        }
    }

    fn node_beats(&mut self, now: Duration, node: NodeId, (adopted, usage): (Epoch, NodeUsage)) {
        self.check_beat(adopted, || node.to_string());
        let own = usage.data_bytes.saturating_sub(usage.copy_bytes);
        let (used, max) = (usage.memory_used, usage.memory_max);
        self.fill.hear(now, node, Filled { own, used, max });
        self.sessions.uses(now, node, usage);
        let limit = self.grants.limits().data_storage.max();
        self.data.look(now, limit, (self.manager.topology(), &self.sessions));
        self.manager.beat(now, node, adopted);
    }

    fn node_comes(&mut self, now: Duration, session: Session, mut registration: Registration) {
        if let Some(why) = &self.behind {
            return session.turn_away(why.clone());
        }
        if let Some(rival) = self.sessions.rival(&registration) {
            let address = &registration.address;
            return session.turn_away(format!(
                "{address} is the address of {rival}, which is up; give this node another --port or --advertise"
            ));
        }
        let instance = &registration.instance;
        let nodes = self.manager.topology().nodes();
        let is_node = registration.node.is_some_and(|node| nodes.contains_key(&node));
        if !is_node && self.scaling.as_mut().is_some_and(|it| it.turns_away(instance)) {
            return session.turn_away(not_wanted(instance));
        }
        let id = session.id();
        self.sessions.came(session, &mut registration);
        if !registration.is_spare || registration.node.is_some() {
            return self.register(now, id, registration);
        }
        let why = match self.scaling {
            None => {
                "this scaler changes no fleet by itself, and takes no spares; give it --nodes-max"
            }
            Some(_) if registration.instance.is_empty() => "a spare needs a name; give --instance",
            Some(_) => return self.spares.add(id, registration),
        };
        self.sessions.refuse(id, why);
    }

    /// A process is to be a node, or is one.
    pub fn register(&mut self, now: Duration, session: SessionId, registration: Registration) {
        self.bury(now, &registration);
        let Registration { node, zone, address, mut memory_max, .. } = registration;
        if let Some(info) = node.and_then(|node| self.manager.topology().nodes().get(&node)) {
            // It may have been granted another amount since it was started.
            memory_max = info.memory_max;
        }
        let registration = memtide_manager::Registration { node, zone, address, memory_max };
        self.manager.register(now, session.0, registration);
    }

    /// A process has this address. So nobody is another node without a stream that has it too and holds nothing:
    /// its process has ended, or was never told who it is because a scaler was killed before. Where it holds
    /// something, that is for an operator to say.
    fn bury(&mut self, now: Duration, registration: &Registration) {
        let topology = std::sync::Arc::clone(self.manager.topology());
        let others = topology.nodes().iter().filter(|(node, info)| {
            info.address == registration.address
                && Some(**node) != registration.node
                && !self.sessions.is_open(**node)
        });
        for (&node, _) in others {
            let coming = self.commit.iter().map(|commit| &commit.next);
            let is_holder = |of: &std::sync::Arc<memtide_topology::Topology>| {
                of.slots().any(|(_, it)| it.is_held_by(node))
            };
            if !coming.chain([&topology]).any(is_holder) {
                self.manager.dead(now, node);
            }
        }
    }

    /// Nodes hear of topologies from each other, too: so one may have come to know more since it
    /// registered.
    fn check_beat(&mut self, adopted: Epoch, who: impl FnOnce() -> String) {
        let stored = self.manager.topology();
        if adopted > stored.epoch() {
            let fleet = fleet_of(stored);
            self.hear_of(&who(), Adopted { fleet, epoch: adopted });
        }
    }

    /// A peer has adopted what is not stored here, or may not be.
    fn hear_of(&mut self, who: &str, adopted: Adopted) {
        if self.behind.is_some() && self.heard_epoch >= adopted.epoch {
            return;
        }
        match judge(self.manager.topology(), who, adopted) {
            Judged::Known => {}
            Judged::Stranger => {
                self.counters.strangers += 1;
                if self.strangers.is_news(who) {
                    let why = format!(
                        "{who} is of another fleet of the same name and CA; it was turned away, and goes on as it was"
                    );
                    tracing::warn!("{why}");
                    self.ends.events.record(EventKind::FleetStranger, why);
                }
            }
            Judged::Behind(why) => self.fall_behind(adopted, why),
        }
    }

    /// From now on nothing is stored and nobody is told of anything. A commit that is on its way may yet be
    /// stored, and is told to nobody.
    fn fall_behind(&mut self, adopted: Adopted, why: String) {
        self.heard_epoch = adopted.epoch;
        tracing::error!("this scaler stands still: {why}");
        self.ends.events.record(EventKind::StoreBehind, why.clone());
        for reply in self.orders.give_up() {
            let _ = reply.send(Err(OperateError::Behind(why.clone())));
        }
        let closed = format!("it stands still: {why}");
        self.ends.closed.send_replace(Some(Closed { why: closed.clone(), leader: None }));
        self.behind = Some(closed);
    }
}
