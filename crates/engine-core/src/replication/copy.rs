//! A slot's copy: it takes what its primary sends, and may be the next primary.

use core::time::Duration;
use std::collections::VecDeque;

use memtide_topology::{Epoch, NodeId, SlotConfig};

use super::effect::{Asked, Moved};
use super::links::{Env, Known};
use super::message::Position;

/// See the module.
#[derive(Debug)]
pub(super) struct Copy {
    /// Since when it is one.
    pub(super) since: Epoch,
    /// Whose frames it takes, and the slot's epoch of these: the primary that opened it last;
    /// `None` without a link to it.
    pub(super) source: Option<(NodeId, Epoch)>,
    /// The slot's epoch of the primary that opened it last: no earlier one is listened to.
    pub(super) opened: Epoch,
    /// When that was.
    pub(super) opened_at: Duration,
    pub(super) content: Content,
    pub(super) takeover: Option<Takeover>,
}

/// What a copy has of its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// All of it, up to its position.
    Whole,
    /// The part that a broken copy left.
    Part,
    /// What has come of a copy, and the entries since its begin.
    Receiving {
        /// Its end has come: it is whole when everything is applied.
        is_ended: bool,
    },
}

/// This node is to be the primary, and waits until nobody else can be.
#[derive(Debug)]
pub(super) struct Takeover {
    pub(super) epoch: Epoch,
    /// When this node heard of it.
    began: Duration,
    /// No lease of an earlier primary lasts longer.
    pub(super) until: Duration,
    /// The old primary has stopped.
    pub(super) is_consented: bool,
    /// The old primary was up when the manager decided, and may consent.
    is_handover: bool,
    pub(super) held: VecDeque<Asked>,
}

impl Takeover {
    /// Since when the slot has been on its way here, if it is handed over, not failed over.
    pub(super) fn handed_over_since(&self) -> Option<Duration> {
        (self.is_handover || self.is_consented).then_some(self.began)
    }
}

impl Copy {
    pub(super) const fn new(since: Epoch, content: Content) -> Self {
        let (source, opened, opened_at) = (None, Epoch::ZERO, Duration::ZERO);
        Self { since, source, opened, opened_at, content, takeover: None }
    }

    /// The slot is to be this node's, after `before`, where that is known.
    pub(super) fn take_over(&mut self, env: &Env<'_>, config: &SlotConfig, before: Option<NodeId>) {
        if self.takeover.as_ref().is_some_and(|takeover| takeover.epoch == config.epoch) {
            return;
        }
        let wait = match env.settings.is_canary(super::Canary::NoLeaseWait) {
            true => Duration::ZERO,
            false => env.lease_wait(),
        };
        // In a failover it holds nothing any more.
        let old = before.and_then(|before| config.copy(before));
        let is_handover = old.is_some_and(|old| old.is_in_sync);
        let earlier = self.takeover.take();
        let began = earlier.as_ref().map_or(env.now, |earlier| earlier.began);
        let held = earlier.map(|earlier| earlier.held).unwrap_or_default();
        let (epoch, until) = (config.epoch, env.now + wait);
        let is_consented = false;
        self.takeover = Some(Takeover { epoch, began, until, is_consented, is_handover, held });
    }

    /// The slot is to be somebody else's after all.
    pub(super) fn give_up_takeover(&mut self, env: &mut Env<'_>, moved: Moved) {
        for asked in self.takeover.take().into_iter().flat_map(|takeover| takeover.held) {
            env.refuse(&asked, moved);
        }
    }

    /// Whether this node may serve the slot now.
    pub(super) fn may_serve(&self, now: Duration) -> bool {
        let is_free = |takeover: &Takeover| takeover.is_consented || takeover.until <= now;
        self.content == Content::Whole && self.takeover.as_ref().is_some_and(is_free)
    }

    /// The old primary has stopped at this position.
    pub(super) fn consented(&mut self, epoch: Epoch, is_there: bool) {
        if let Some(takeover) = &mut self.takeover
            && takeover.epoch == epoch
        {
            takeover.is_consented |= is_there;
        }
    }

    /// Whether it listens to a primary that opens it: the topology's, or, until that has begun, the
    /// one before, which may have something to finish.
    pub(super) fn listens_to(&self, (from, epoch): (NodeId, Epoch), config: &SlotConfig) -> bool {
        let is_present = config.primary == Some(from) && config.epoch == epoch;
        epoch >= self.opened && (is_present || epoch < config.epoch)
    }

    /// Whether it may be read: the slot's present primary had a lease itself for so long, and had not
    /// gone on without this copy when it said so, as it would have adopted a newer topology before.
    pub(super) fn may_read(&self, known: Known<'_>, config: &SlotConfig) -> bool {
        let is_in_sync = config.copy(known.me).is_some_and(|copy| copy.is_in_sync);
        let Some((source, epoch)) = self.source else { return false };
        let is_present = (config.primary, config.epoch) == (Some(source), epoch);
        let is_whole = self.content == Content::Whole;
        is_in_sync
            && is_present
            && is_whole
            && known.links.may_read(source, self.opened_at, known.now)
    }

    /// What it tells a primary that opens it.
    pub(super) fn position(&self, position: Position) -> Option<Position> {
        (self.content == Content::Whole).then_some(position)
    }

    /// Keeps a request until this node serves the slot; `false` where there is no room.
    pub(super) fn hold(&mut self, env: &Env<'_>, asked: Asked) -> bool {
        let Some(takeover) = &mut self.takeover else { return false };
        let is_room = takeover.held.len() < env.settings.held_per_slot_max;
        if is_room {
            takeover.held.push_back(asked);
        }
        is_room
    }
}
