use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use memtide_engine_core::replication::Report;
use memtide_topology::{Epoch, NodeId, Topology};

use crate::{Effect, Migration, NodeView, Operation, Refused, Registration, Session, Settings};

/// See the crate.
#[derive(Debug)]
pub struct Manager {
    settings: Settings,
    topology: Arc<Topology>,
    effects: VecDeque<Effect>,
    now: Duration,
}

impl Manager {
    /// A manager that goes on from what is stored. It has heard of no node yet, and gives each
    /// [`Settings::silence_max`] to register again.
    #[must_use]
    pub fn new(settings: Settings, topology: Arc<Topology>, now: Duration) -> Self {
        Self { settings, topology, effects: VecDeque::new(), now }
    }

    /// A node's control stream begins, and it says who it is. [`Effect::Welcome`] or
    /// [`Effect::Refuse`] answers, for a new node after the commit that adds it.
    ///
    /// A node has one stream: what is said of an earlier session of the same node does not count any more.
    pub fn register(&mut self, now: Duration, session: Session, registration: Registration) {
        let _ = (now, session, registration);
    }

    /// A session's control stream has ended, whatever came of it before.
    pub fn gone(&mut self, now: Duration, session: Session) {
        let _ = (now, session);
    }

    /// A node that was welcomed is alive, and has adopted this topology.
    pub fn beat(&mut self, now: Duration, node: NodeId, adopted: Epoch) {
        let _ = (now, node, adopted);
    }

    /// A node that was welcomed wants something changed.
    pub fn report(&mut self, now: Duration, node: NodeId, report: Report) {
        let _ = (now, node, report);
    }

    /// A node wants to be drained: its process is to end, and waits for having left the topology.
    pub fn leaving(&mut self, now: Duration, node: NodeId) {
        let _ = (now, node);
    }

    /// A node's process is known to have ended. What it alone held is given up.
    pub fn dead(&mut self, now: Duration, node: NodeId) {
        let _ = (now, node);
    }

    /// An operator wants something. What is accepted is stored soon, but is lost with the manager
    /// until the topology shows it.
    ///
    /// # Errors
    /// Where it cannot be, or would leave slots without anybody to hold them.
    pub fn operate(&mut self, now: Duration, operation: Operation) -> Result<(), Refused> {
        let _ = (now, operation);
        Ok(())
    }

    /// The answer to [`Effect::Commit`]: it is stored. `topology` is what is stored, and usually `next`.
    pub fn committed(&mut self, now: Duration, topology: Arc<Topology>) {
        (self.now, self.topology) = (now, topology);
    }

    /// The other answer: it is not, or not known to be. `topology` is what is stored, and may well be
    /// what it was, or `next`. Also for a topology that somebody else has stored, at any time.
    pub fn conflict(&mut self, now: Duration, topology: Arc<Topology>) {
        (self.now, self.topology) = (now, topology);
    }

    /// Lets time pass. Call it at [`Manager::next_timeout`] at the latest.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
    }

    /// When [`Manager::tick`] is due, at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Duration {
        self.now + self.settings.silence_max / 4
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What is stored, as far as it knows: what nodes and proxies are to be told.
    #[must_use]
    pub const fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// The nodes of the topology, by id.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeView> {
        Vec::new()
    }

    /// The slots that are being copied, in order.
    #[must_use]
    pub fn migrations(&self) -> Vec<Migration> {
        Vec::new()
    }

    /// How many slots are not yet held as they should be.
    #[must_use]
    pub fn remaining(&self) -> usize {
        0
    }
}
