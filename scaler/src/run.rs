//! The scaler's loop: one task that owns the manager.
//!
//! ```text
//! streams --Incoming--> |         | --Commit--> the store, and when it is there:
//! handle  --Ask-------> | Manager |               topologies to all sessions, then Welcome, answers
//! time, the store ----> |         | --Refuse, Event-->
//! ```
//! What is not stored is told to nobody.

use std::sync::Arc;
use std::time::Duration;

use memtide_control::{Closed, Incoming, SessionId};
use memtide_executor::Fill;
use memtide_manager::{Effect, Event, Manager, Operation};
use memtide_service::logging::Limiter;
use memtide_topology::{Epoch, Topology};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use crate::behind::Strangers;
use crate::commit::{Failures, Step, commit};
use crate::data::Data;
use crate::ends::Ends;
use crate::grant::Grants;
use crate::handle::{Ask, OperateError, Reply};
use crate::limits::{INCOMING_AT_ONCE_MAX, STATUS_INTERVAL, TICK_LATENESS_MAX};
use crate::orders::Orders;
use crate::scaling::{Answer, Driver, Spares};
use crate::sessions::{Said, Sessions};
use crate::status::{Counters, NodeStatus, Status};
use crate::store::{Children, ChildrenFile};
use crate::{Stored, TopologyStore, clock, tell};

/// What the loop works on.
pub struct Loop {
    pub manager: Manager,
    pub store: Arc<dyn TopologyStore>,
    pub ends: Ends,
    pub failures: watch::Sender<Failures>,
    pub sessions: Sessions,
    pub counters: Counters,
    /// Slots whose only complete holders are down.
    pub unserved: usize,
    pub commit: Option<Commit>,
    /// Operators who wait for an answer.
    pub orders: Orders,
    /// Nodes that end with this process, as they are written down, and where.
    pub children: (ChildrenFile, Children),
    /// Why nothing is stored any more, once that is so.
    pub behind: Option<String>,
    /// The newest epoch that was heard of then.
    pub heard_epoch: Epoch,
    pub strangers: Strangers,
    pub grants: Grants,
    pub data: Data,
    /// Processes that wait to be taken as nodes.
    pub spares: Spares,
    /// How fast nodes fill, and whether that is to be looked at soon.
    pub fill: Fill,
    /// What changes the fleet by itself, where that is wanted.
    pub scaling: Option<Driver>,
    pub scaling_answers: mpsc::UnboundedReceiver<Answer>,
    /// Peers can cause these lines at will.
    pub refusals: Limiter,
    /// When the status was told last, and whether it has changed since.
    pub told: (Duration, bool),
    /// When the manager was last told that time has passed.
    pub ticked: Duration,
    /// They end with it.
    pub _tasks: JoinSet<()>,
}

/// A topology on its way into the store.
pub struct Commit {
    pub next: Arc<Topology>,
    task: Storing,
    began: Duration,
    /// The children that are written down with it, where they are others.
    children: Option<Children>,
}

/// Tries to store; no more once it is dropped.
struct Storing(JoinHandle<Stored>);

impl Drop for Storing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What woke the loop.
enum Woken {
    Came(Option<Incoming>),
    Asked(Option<Ask>),
    Stored(Stored),
    Seen(Option<Arc<Topology>>),
    Scaling(Answer),
    Time,
}

impl Loop {
    /// Runs until nobody has a handle any more.
    pub async fn run(&mut self) {
        let mut watched = self.store.watch();
        self.settle(clock::now());
        self.ends.closed.send_if_modified(|closed| closed.take().is_some());
        loop {
            let now = clock::now();
            let pause = self.pause(now);
            // Where there is always something to take in, no pause ends by itself.
            let is_overdue = now >= self.ticked + TICK_LATENESS_MAX;
            // What comes of it is for the one that leads.
            let goes_on = !is_overdue && self.ends.lead.is_certain();
            let woken = tokio::select! {
                came = self.ends.incoming.recv(), if !is_overdue => Woken::Came(came),
                asked = self.ends.asks.recv(), if !is_overdue => Woken::Asked(asked),
                stored = stored(&mut self.commit), if !is_overdue => Woken::Stored(stored),
                Ok(()) = watched.changed(), if !is_overdue => {
                    Woken::Seen(watched.borrow_and_update().clone())
                }
                Some(answer) = self.scaling_answers.recv(), if goes_on => {
                    Woken::Scaling(answer)
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
                Woken::Seen(Some(topology)) if self.commit.is_none() && self.behind.is_none() => {
                    self.manager.observe(now, topology);
                }
                Woken::Seen(_) => {}
                Woken::Scaling(answer) => self.scaling_answered(now, answer),
                Woken::Time => {
                    // Whoever has said something is not silent, though this was late to hear it.
                    for _ in 0..INCOMING_AT_ONCE_MAX {
                        let Ok(came) = self.ends.incoming.try_recv() else { break };
                        self.take_in(now, came);
                        // What a node says next is of who it is by then.
                        self.settle(now);
                    }
                    self.manager.tick(now);
                    self.ticked = now;
                }
            }
            self.settle(now);
            self.scale(now);
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

    fn ask(&mut self, now: Duration, ask: Ask) {
        match ask {
            Ask::Dead(node) => self.manager.dead(now, node),
            Ask::ChildEnded(token) => {
                for node in self.sessions.ended(token) {
                    self.manager.dead(now, node);
                }
            }
            Ask::Operate(operation, reply) => self.operate(now, operation, reply),
            Ask::Demand(proxy, demand, to) => {
                if let Some(grant) = self.grants.demand(now, proxy, &demand) {
                    to.send_replace(Some(grant));
                }
            }
        }
    }

    /// An operator wants something, or the executor.
    pub fn operate(&mut self, now: Duration, operation: Operation, reply: Reply) {
        let accepted = match self.behind.clone().or_else(|| self.ends.lead.doubt()) {
            Some(why) => Err(OperateError::Behind(why)),
            None => self.manager.operate(now, operation.clone()).map_err(OperateError::from),
        };
        match accepted {
            Ok(()) => self.orders.accepted(operation, reply),
            // Who has gone need not know.
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    /// Another one leads from now on: nobody is heard any more, and who waits for an answer is told why.
    pub fn end(mut self, closed: Closed) -> Ends {
        for reply in self.orders.give_up() {
            let _ = reply.send(Err(OperateError::Behind(closed.why.clone())));
        }
        self.ends.close(closed);
        self.ends
    }

    /// A commit has ended.
    fn stored(&mut self, now: Duration, stored: Stored) {
        let Some(Commit { next, children, .. }) = self.commit.take() else { return };
        if let Some(children) = children {
            self.children.1 = children;
        }
        self.orders.end();
        if self.behind.is_some() {
            // Without an answer the manager has no other commit.
            return;
        }
        match stored {
            Stored::Conflict(Some(other)) if *other != *next => {
                tracing::warn!(epoch = %other.epoch(), "somebody else has stored a topology");
                self.manager.conflict(now, other);
                return;
            }
            Stored::Conflict(None) => {
                tracing::error!("the stored topology has vanished");
                let mine = Arc::clone(self.manager.topology());
                self.manager.conflict(now, mine);
                return;
            }
            Stored::Done | Stored::Conflict(Some(_)) => {}
        }
        self.counters.commits += 1;
        self.manager.committed(now, next);
        self.publish(now);
    }

    /// Does what the manager wants, until it wants nothing.
    fn settle(&mut self, now: Duration) {
        if self.ends.topologies.borrow().epoch() < self.manager.topology().epoch() {
            self.publish(now);
        }
        while let Some(effect) = self.manager.poll() {
            self.told.1 = true;
            match effect {
                // It goes on only to see who is there.
                _ if self.behind.is_some() => {}
                Effect::Commit { update, next } => self.commit(now, update.parent, next),
                Effect::Welcome { session, node } => {
                    self.data.came(node);
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
        self.answer_operators(now);
        let (told, is_other) = self.told;
        if is_other && told + STATUS_INTERVAL <= now {
            self.publish(now);
        }
    }

    fn commit(&mut self, now: Duration, parent: Epoch, next: Arc<Topology>) {
        let children = self.children_with(&next);
        let children = (children != self.children.1).then_some(children);
        let step = Step {
            parent: Some(parent),
            next: Arc::clone(&next),
            children: children.clone().map(|children| (self.children.0.clone(), children)),
        };
        let (events, failures) = (self.ends.events.clone(), self.failures.clone());
        let task = tokio::spawn(commit(Arc::clone(&self.store), step, events, failures));
        self.orders.begin();
        self.commit = Some(Commit { next, task: Storing(task), began: now, children });
    }

    /// The nodes that end with this process, of those that are there before and after a commit.
    fn children_with(&self, next: &Topology) -> Children {
        let now = self.manager.topology().nodes();
        let mut children = self.children.1.clone();
        children.retain(|node, _| now.contains_key(node));
        let new = next.nodes().iter().filter(|(node, _)| !now.contains_key(node));
        let new = new.filter(|(_, info)| self.sessions.is_child_joining(&info.address));
        children.extend(new.map(|(node, info)| (*node, info.address.clone())));
        children
    }

    fn answer_operators(&mut self, now: Duration) {
        let due = self.orders.due(&self.manager);
        if due.is_empty() {
            return;
        }
        let epoch = self.manager.topology().epoch();
        self.publish(now);
        for (reply, answer) in due {
            let _ = reply.send(answer.map(|()| epoch));
        }
    }

    fn happened(&mut self, event: &Event) {
        *self.counters.events.entry(event.kind()).or_default() += 1;
        match event {
            Event::FailedOver { slots } => {
                self.counters.failovers += 1;
                self.counters.failed_over += *slots as u64;
            }
            Event::Moved(moved) => {
                self.counters.handed_over += moved.handed_over as u64;
                self.counters.copied += moved.copied as u64;
            }
            Event::Unserved { slots } => self.unserved = *slots,
            Event::SlotsLost { slots } => self.counters.lost += *slots as u64,
            _ => {}
        }
        tell::tell(&self.ends.events, event);
    }

    /// Tells how the fleet is now, and then all sessions of what is stored.
    fn publish(&mut self, now: Duration) {
        let topology = Arc::clone(self.manager.topology());
        let is_new = self.ends.topologies.borrow().epoch() < topology.epoch();
        self.show(now);
        if is_new {
            self.ends.topologies.send_replace(Arc::clone(&topology));
            self.sessions.follow(&topology);
        }
    }

    fn show(&mut self, now: Duration) {
        self.told = (now, false);
        let failures = self.failures.borrow().clone();
        self.counters.store_failures = failures.count;
        let nodes = self.manager.nodes().into_iter().map(|view| {
            let said = self.sessions.said(view.node);
            NodeStatus {
                usage: said.and_then(|said| said.usage),
                parent_token: said.and_then(Said::parent_token),
                instance: said.map(|said| said.instance().to_owned()).unwrap_or_default(),
                capacity: said.map(Said::capacity).unwrap_or_default(),
                program: said.map(|said| said.program.clone()).unwrap_or_default(),
                slots: said.map(|said| said.slots.clone()).unwrap_or_default(),
                view,
            }
        });
        self.ends.status.send_replace(Arc::new(Status {
            topology: Arc::clone(self.manager.topology()),
            nodes: nodes.collect(),
            migrations: self.manager.migrations(),
            remaining: self.manager.remaining(),
            unserved: self.unserved,
            proxies: self.sessions.proxies(),
            spare_programs: self.spares.programs().cloned().collect(),
            counters: self.counters.clone(),
            now,
            store_failure: failures.now,
            behind: self.behind.clone(),
            storing_since: self.commit.as_ref().map(|commit| commit.began),
        }));
    }
}

/// Waits for the commit that is under way.
async fn stored(commit: &mut Option<Commit>) -> Stored {
    match commit {
        None => std::future::pending().await,
        Some(Commit { task: Storing(task), .. }) => match task.await {
            Ok(stored) => stored,
            // It is aborted only once nobody waits for it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
    }
}
