//! Which nodes are up: what was heard of each, and when.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use memtide_topology::{Epoch, NodeId, Topology};

use crate::{Event, Loss, NodeState, Session, Settings};

/// The nodes of the topology.
#[derive(Debug, Default)]
pub(crate) struct Members {
    members: BTreeMap<NodeId, Member>,
    /// Of all open control streams of nodes that were welcomed.
    sessions: BTreeMap<Session, NodeId>,
    down: BTreeSet<NodeId>,
    dead: BTreeSet<NodeId>,
    /// Nodes that came back lately.
    on_probation: BTreeSet<NodeId>,
    /// How many the manager was started with.
    all_awaited: u32,
}

#[derive(Debug)]
struct Member {
    /// When it was heard last, or began to be waited for.
    heard: Duration,
    is_heard: bool,
    /// The manager was started with it, and it has not been heard since: it has more time.
    is_awaited: bool,
    /// It was added while this manager ran, and may not know yet who it is.
    is_new: bool,
    adopted: Epoch,
    session: Option<Session>,
    /// When its control stream ended.
    gone: Option<Duration>,
    loss: Option<Loss>,
    /// When it was lost last.
    lost: Duration,
    /// When it came, or came back.
    up: Duration,
    /// How long it had no slots after it came back last.
    probation: Duration,
}

impl Member {
    fn new(now: Duration, is_new: bool) -> Self {
        Self {
            heard: now,
            is_heard: false,
            is_awaited: false,
            is_new,
            adopted: Epoch::ZERO,
            session: None,
            gone: None,
            loss: None,
            lost: now,
            up: now,
            probation: Duration::ZERO,
        }
    }

    /// Why it is down, if it is.
    fn loss_at(&self, now: Duration, silence_max: Duration, settings: &Settings) -> Option<Loss> {
        match self.gone {
            _ if self.loss == Some(Loss::Dead) => Some(Loss::Dead),
            Some(gone) if gone + settings.gone_grace <= now => Some(Loss::Gone),
            _ if self.heard + silence_max <= now => Some(Loss::Silent),
            _ => None,
        }
    }

    fn comes_back(&mut self, now: Duration, settings: &Settings) {
        let was_up = self.lost.saturating_sub(self.up);
        self.probation = if was_up > settings.probation_max {
            settings.probation
        } else {
            (self.probation * 2).clamp(settings.probation, settings.probation_max)
        };
        self.up = now;
    }
}

impl Members {
    /// Those of a topology, all of which may be at work.
    pub(crate) fn of(now: Duration, topology: &Topology) -> Self {
        let member = || Member { is_awaited: true, ..Member::new(now, false) };
        let members = topology.nodes().keys().map(|node| (*node, member())).collect();
        let all = u32::try_from(topology.nodes().len()).unwrap_or(u32::MAX);
        Self { members, all_awaited: all, ..Self::default() }
    }

    /// Follows the topology: who is new there is waited for from now on.
    pub(crate) fn follow(&mut self, now: Duration, topology: &Topology) {
        for node in topology.nodes().keys() {
            self.members.entry(*node).or_insert_with(|| Member::new(now, true));
        }
        let is_there = |node: &NodeId| topology.nodes().contains_key(node);
        self.members.retain(|node, _| is_there(node));
        self.sessions.retain(|_, node| is_there(node));
        for nodes in [&mut self.down, &mut self.dead, &mut self.on_probation] {
            nodes.retain(is_there);
        }
    }

    /// A node's control stream begins. It is one of the topology, and not dead.
    pub(crate) fn registers(&mut self, now: Duration, session: Session, node: NodeId) {
        let Some(member) = self.members.get_mut(&node) else { return };
        if let Some(earlier) = member.session.replace(session) {
            self.sessions.remove(&earlier);
        }
        member.gone = None;
        self.sessions.insert(session, node);
        self.hears(now, node);
    }

    /// A node's control stream has ended.
    pub(crate) fn session_ends(&mut self, now: Duration, session: Session) {
        if let Some(node) = self.sessions.remove(&session)
            && let Some(member) = self.members.get_mut(&node)
        {
            member.session = None;
            member.gone = Some(now);
        }
    }

    /// Something was heard of a node.
    pub(crate) fn hears(&mut self, now: Duration, node: NodeId) {
        if let Some(member) = self.members.get_mut(&node) {
            member.heard = member.heard.max(now);
            member.is_heard = true;
            member.is_awaited = false;
        }
    }

    /// A node knows who it is, and has this topology; says whether the first is news.
    pub(crate) fn adopts(&mut self, node: NodeId, epoch: Epoch) -> bool {
        let Some(member) = self.members.get_mut(&node) else { return false };
        member.adopted = member.adopted.max(epoch);
        core::mem::replace(&mut member.is_new, false)
    }

    /// A node's process has ended.
    pub(crate) fn dies(&mut self, now: Duration, node: NodeId) -> Option<Event> {
        let member = self.members.get_mut(&node)?;
        if member.loss.replace(Loss::Dead) == Some(Loss::Dead) {
            return None;
        }
        member.lost = now;
        self.down.insert(node);
        self.dead.insert(node);
        self.on_probation.remove(&node);
        Some(Event::Lost(node, Loss::Dead))
    }

    /// The manager itself stood still for so long: it may have missed what nodes said.
    pub(crate) fn excuse(&mut self, stood_still: Duration) {
        for member in self.members.values_mut() {
            member.heard += stood_still;
            member.gone = member.gone.map(|gone| gone + stood_still);
        }
    }

    /// Looks at the time; says who was lost and who has come back, and whether anything is other than
    /// before.
    pub(crate) fn review(&mut self, now: Duration, settings: &Settings) -> (Vec<Event>, bool) {
        let mut events = Vec::new();
        let awaited_max = settings.silence_max + settings.return_grace * self.all_awaited;
        for (&node, member) in &mut self.members {
            let silence_max = if member.is_awaited { awaited_max } else { settings.silence_max };
            let loss = member.loss_at(now, silence_max, settings);
            match (member.loss, loss) {
                (None, Some(loss)) => {
                    member.lost = now;
                    self.down.insert(node);
                    self.on_probation.remove(&node);
                    events.push(Event::Lost(node, loss));
                }
                (Some(_), None) => {
                    member.comes_back(now, settings);
                    self.down.remove(&node);
                    self.on_probation.insert(node);
                    events.push(Event::Returned(node));
                }
                _ => {}
            }
            member.loss = loss;
        }
        let (members, before) = (&self.members, self.on_probation.len());
        self.on_probation.retain(|node| {
            members.get(node).is_some_and(|member| member.up + member.probation > now)
        });
        let is_other = !events.is_empty() || self.on_probation.len() < before;
        (events, is_other)
    }

    /// Those that are silent, gone or dead.
    pub(crate) const fn down(&self) -> &BTreeSet<NodeId> {
        &self.down
    }

    /// Those whose process has ended.
    pub(crate) const fn dead(&self) -> &BTreeSet<NodeId> {
        &self.dead
    }

    /// Those that get no slots now: that are down, came back lately, or may not know who they are.
    pub(crate) fn away(&self) -> BTreeSet<NodeId> {
        let new = self.members.iter().filter(|(_, member)| member.is_new).map(|(node, _)| node);
        self.down.union(&self.on_probation).chain(new).copied().collect()
    }

    /// Whether some were not heard since the manager was started, and have time left.
    pub(crate) fn is_waiting(&self) -> bool {
        self.members.values().any(|member| !member.is_heard && member.loss.is_none())
    }

    /// Whether some of those that the manager was started with have not been heard, and have time left.
    /// What one of them knows may show that what is stored is not the newest.
    pub(crate) fn is_returning(&self) -> bool {
        self.members.values().any(|member| member.is_awaited && member.loss.is_none())
    }

    /// Whether a node has been down for this long.
    pub(crate) fn is_long_lost(&self, now: Duration, node: NodeId, long: Duration) -> bool {
        let lost = self.members.get(&node).filter(|member| member.loss.is_some());
        lost.is_some_and(|member| member.lost + long <= now)
    }

    pub(crate) fn adopted(&self, node: NodeId) -> Epoch {
        self.members.get(&node).map_or(Epoch::ZERO, |member| member.adopted)
    }

    pub(crate) fn heard(&self, node: NodeId) -> Option<Duration> {
        self.members.get(&node).filter(|member| member.is_heard).map(|member| member.heard)
    }

    pub(crate) fn state(&self, node: NodeId) -> NodeState {
        let Some(member) = self.members.get(&node) else { return NodeState::Unheard };
        match member.loss {
            Some(Loss::Dead) => NodeState::Dead,
            Some(Loss::Silent) => NodeState::Silent,
            Some(Loss::Gone) => NodeState::Gone,
            None if member.gone.is_some() => NodeState::Reconnecting,
            None if member.is_heard => NodeState::Up,
            None => NodeState::Unheard,
        }
    }
}
