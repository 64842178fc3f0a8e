//! The scaler's loop: one task that owns the manager.
//!
//! ```text
//! streams --Incoming--> |         | --Commit--> the store, and when it is there:
//! handle  --Ask-------> | Manager |               topologies to all sessions, then Welcome, answers
//! time, the store ----> |         | --Refuse, Event-->
//! ```
//! What is not stored is told to nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memtide_control::{Incoming, SessionId};
use memtide_manager::{Effect, Event, Manager, Registration};
use memtide_service::events::Events;
use memtide_service::logging::{Admit, Limiter};
use memtide_topology::Topology;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time;

use crate::commit::{Failures, commit};
use crate::handle::{Ask, Reply};
use crate::limits::{INCOMING_AT_ONCE_MAX, STATUS_INTERVAL, TICK_LATENESS_MAX};
use crate::sessions::Sessions;
use crate::status::{Counters, NodeStatus, Status, copied};
use crate::{Stored, TopologyStore, clock, tell};

/// What the loop works on.
pub struct Loop {
    pub manager: Manager,
    pub store: Arc<dyn TopologyStore>,
    pub incoming: mpsc::Receiver<Incoming>,
    pub asks: mpsc::UnboundedReceiver<Ask>,
    pub topologies: watch::Sender<Arc<Topology>>,
    pub status: watch::Sender<Arc<Status>>,
    pub events: Events,
    pub failures: watch::Sender<Failures>,
    pub sessions: Sessions,
    pub counters: Counters,
    /// Slots whose only complete holders are down.
    pub unserved: usize,
    pub commit: Option<Commit>,
    /// Operations that are part of the next commit.
    pub waiting: Vec<Reply>,
    /// Peers can cause these lines at will.
    pub refusals: Limiter,
    /// When the status was told last, and whether it has changed since.
    pub told: (Duration, bool),
    /// When the manager was last told that time has passed.
    pub ticked: Duration,
}

/// A topology on its way into the store.
pub struct Commit {
    next: Arc<Topology>,
    task: JoinHandle<Stored>,
    began: Duration,
    /// The operations that it has.
    replies: Vec<Reply>,
}

/// What woke the loop.
enum Woken {
    Came(Option<Incoming>),
    Asked(Option<Ask>),
    Stored(Stored),
    Seen(Option<Arc<Topology>>),
    Time,
}

impl Loop {
    /// Runs until nobody has a handle any more.
    pub async fn run(mut self) {
        let mut watched = self.store.watch();
        self.settle(clock::now());
        loop {
            let now = clock::now();
            let pause = self.pause(now);
            // Where there is always something to take in, no pause ends by itself.
            let is_overdue = now >= self.ticked + TICK_LATENESS_MAX;
            let woken = tokio::select! {
                came = self.incoming.recv(), if !is_overdue => Woken::Came(came),
                asked = self.asks.recv(), if !is_overdue => Woken::Asked(asked),
                stored = stored(&mut self.commit), if !is_overdue => Woken::Stored(stored),
                Ok(()) = watched.changed(), if !is_overdue => {
                    Woken::Seen(watched.borrow_and_update().clone())
                }
                () = time::sleep(pause), if !is_overdue => Woken::Time,
                else => Woken::Time,
            };
            let now = clock::now();
            match woken {
                Woken::Came(Some(came)) => self.take_in(now, came),
                Woken::Asked(Some(ask)) => self.ask(now, ask),
                Woken::Came(None) | Woken::Asked(None) => return,
                Woken::Stored(stored) => self.stored(now, stored),
                Woken::Seen(Some(topology)) if self.commit.is_none() => {
                    self.manager.observe(now, topology);
                }
                Woken::Seen(_) => {}
                Woken::Time => {
                    // Whoever has said something is not silent, though this was late to hear it.
                    for _ in 0..INCOMING_AT_ONCE_MAX {
                        let Ok(came) = self.incoming.try_recv() else { break };
                        self.take_in(now, came);
                    }
                    self.manager.tick(now);
                    self.ticked = now;
                }
            }
            self.settle(now);
        }
    }

    fn pause(&self, now: Duration) -> Duration {
        let due = self.manager.next_timeout();
        let (told, is_other) = self.told;
        let due = if is_other { due.min(told + STATUS_INTERVAL) } else { due };
        // Time that stands still would have it spin.
        due.saturating_sub(now).max(Duration::from_millis(1))
    }

    fn take_in(&mut self, now: Duration, came: Incoming) {
        self.told.1 = true;
        match came {
            Incoming::NodeCame { session, mut registration } => {
                let id = session.id().0;
                self.sessions.came(session, &mut registration);
                self.bury(now, &registration);
                let memtide_control::Registration { node, zone, address, memory_max, .. } =
                    registration;
                let registration = Registration { node, zone, address, memory_max };
                self.manager.register(now, id, registration);
            }
            Incoming::NodeBeat { session, adopted, usage } => {
                if let Some(node) = self.sessions.node(session) {
                    self.sessions.uses(node, usage);
                    self.manager.beat(now, node, adopted);
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
                self.manager.gone(now, session.0);
            }
            Incoming::ProxyBeat { session, peer, adopted } => {
                self.sessions.proxy(session, peer, adopted);
            }
            Incoming::ProxyLeft { session } => self.sessions.left(session),
            Incoming::Refused { peer, why } => {
                self.counters.refused += 1;
                if let Admit::Log { suppressed } = self.refusals.admit(Instant::now()) {
                    tracing::warn!(%peer, suppressed, "a control stream was refused: {why}");
                }
            }
        }
    }

    /// A process has this address. So nobody is another node without a stream that has it too and holds nothing:
    /// its process has ended, or was never told who it is because a scaler was killed before. Where it holds
    /// something, that is for an operator to say.
    fn bury(&mut self, now: Duration, registration: &memtide_control::Registration) {
        let topology = Arc::clone(self.manager.topology());
        let others = topology.nodes().iter().filter(|(node, info)| {
            info.address == registration.address
                && Some(**node) != registration.node
                && !self.sessions.is_open(**node)
        });
        for (&node, _) in others {
            let coming = self.commit.iter().map(|commit| &commit.next);
            let is_holder = |of: &Arc<Topology>| of.slots().any(|(_, it)| it.is_held_by(node));
            if !coming.chain([&topology]).any(is_holder) {
                self.manager.dead(now, node);
            }
        }
    }

    fn ask(&mut self, now: Duration, ask: Ask) {
        match ask {
            Ask::Dead(node) => self.manager.dead(now, node),
            Ask::ChildEnded(token) => {
                for node in self.sessions.ended(token) {
                    self.manager.dead(now, node);
                }
            }
            Ask::Operate(operation, reply) => match self.manager.operate(now, operation) {
                Ok(()) => self.waiting.push(reply),
                // Who has gone need not know.
                Err(refused) => drop(reply.send(Err(refused))),
            },
        }
    }

    /// A commit has ended.
    fn stored(&mut self, now: Duration, stored: Stored) {
        let Some(Commit { next, replies, .. }) = self.commit.take() else { return };
        match stored {
            Stored::Conflict(Some(other)) if *other != *next => {
                tracing::warn!(epoch = %other.epoch(), "somebody else has stored a topology");
                self.waiting.extend(replies);
                self.manager.conflict(now, other);
                return;
            }
            Stored::Conflict(None) => {
                tracing::error!("the stored topology has vanished");
                self.waiting.extend(replies);
                let mine = Arc::clone(self.manager.topology());
                self.manager.conflict(now, mine);
                return;
            }
            Stored::Done | Stored::Conflict(Some(_)) => {}
        }
        self.counters.commits += 1;
        let epoch = next.epoch();
        self.manager.committed(now, next);
        self.publish(now);
        for reply in replies {
            let _ = reply.send(Ok(epoch));
        }
    }

    /// Does what the manager wants, until it wants nothing.
    fn settle(&mut self, now: Duration) {
        if self.topologies.borrow().epoch() < self.manager.topology().epoch() {
            self.publish(now);
        }
        while let Some(effect) = self.manager.poll() {
            self.told.1 = true;
            match effect {
                Effect::Commit { update, next } => {
                    let parent = Some(update.parent);
                    let step = (parent, Arc::clone(&next));
                    let (events, failures) = (self.events.clone(), self.failures.clone());
                    let store = Arc::clone(&self.store);
                    let task = tokio::spawn(commit(store, step, events, failures));
                    let replies = std::mem::take(&mut self.waiting);
                    self.commit = Some(Commit { next, task, began: now, replies });
                }
                Effect::Welcome { session, node } => {
                    if self.sessions.welcome(SessionId(session), node) {
                        self.manager.dead(now, node);
                    }
                }
                Effect::Refuse { session, why } => {
                    tracing::warn!("a node was refused: {why}");
                    self.sessions.refuse(SessionId(session), &why.to_string());
                }
                Effect::Event(event) => self.happened(&event),
            }
        }
        if self.commit.is_none() && !self.waiting.is_empty() {
            // They changed nothing that has to be stored first.
            let epoch = self.manager.topology().epoch();
            self.publish(now);
            for reply in std::mem::take(&mut self.waiting) {
                let _ = reply.send(Ok(epoch));
            }
        }
        let (told, is_other) = self.told;
        if is_other && told + STATUS_INTERVAL <= now {
            self.publish(now);
        }
    }

    fn happened(&mut self, event: &Event) {
        *self.counters.events.entry(event.kind()).or_default() += 1;
        match event {
            Event::FailedOver { slots } => {
                self.counters.failovers += 1;
                self.counters.failed_over += *slots as u64;
            }
            Event::HandedOver { slots } => self.counters.handed_over += *slots as u64,
            Event::Unserved { slots } => self.unserved = *slots,
            Event::SlotsLost { slots } => self.counters.lost += *slots as u64,
            _ => {}
        }
        tell::tell(&self.events, event);
    }

    /// Tells how the fleet is now, and then all sessions of what is stored.
    fn publish(&mut self, now: Duration) {
        let topology = Arc::clone(self.manager.topology());
        let before = Arc::clone(&self.topologies.borrow());
        let is_new = before.epoch() < topology.epoch();
        if is_new {
            self.counters.copied += copied(&before, &topology);
        }
        self.show(now);
        if is_new {
            self.topologies.send_replace(Arc::clone(&topology));
            self.sessions.follow(&topology);
        }
    }

    fn show(&mut self, now: Duration) {
        self.told = (now, false);
        let failures = self.failures.borrow().clone();
        self.counters.store_failures = failures.count;
        let nodes = self.manager.nodes().into_iter().map(|view| {
            let said = self.sessions.said(view.node);
            let (usage, parent_token) =
                said.map_or((None, None), |said| (said.usage, said.parent_token()));
            NodeStatus { view, usage, parent_token }
        });
        self.status.send_replace(Arc::new(Status {
            topology: Arc::clone(self.manager.topology()),
            nodes: nodes.collect(),
            migrations: self.manager.migrations(),
            remaining: self.manager.remaining(),
            unserved: self.unserved,
            proxies: self.sessions.proxies(),
            counters: self.counters.clone(),
            now,
            store_failure: failures.now,
            storing_since: self.commit.as_ref().map(|commit| commit.began),
        }));
    }
}

/// Waits for the commit that is under way.
async fn stored(commit: &mut Option<Commit>) -> Stored {
    match commit {
        None => std::future::pending().await,
        Some(Commit { task, .. }) => match task.await {
            Ok(stored) => stored,
            // It is aborted by nobody, and ends with the runtime at the earliest.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
    }
}
