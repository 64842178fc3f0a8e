//! A slot's copy: it takes what its primary sends, and may be the next primary.

use core::time::Duration;
use std::collections::VecDeque;

use memtide_topology::{Epoch, NodeId, SlotConfig};

use super::effect::{Asked, Moved};
use super::links::Env;
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
    pub(super) content: Content,
    pub(super) takeover: Option<Takeover>,
    /// When this node stopped serving the slot for another, of which it has not heard yet.
    pub(super) stopped: Option<Duration>,
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
    /// No lease of an earlier primary lasts longer.
    pub(super) until: Duration,
    /// The old primary has stopped.
    pub(super) is_consented: bool,
    pub(super) held: VecDeque<Asked>,
}

impl Copy {
    pub(super) const fn new(since: Epoch, content: Content) -> Self {
        let (source, opened) = (None, Epoch::ZERO);
        Self { since, source, opened, content, takeover: None, stopped: None }
    }

    /// The slot is to be this node's.
    pub(super) fn take_over(&mut self, env: &Env<'_>, config: &SlotConfig) {
        if self.takeover.as_ref().is_some_and(|takeover| takeover.epoch == config.epoch) {
            return;
        }
        let wait = match env.settings.is_canary(super::Canary::NoLeaseWait) {
            true => Duration::ZERO,
            false => env.lease_wait(),
        };
        let held = self.takeover.take().map(|takeover| takeover.held).unwrap_or_default();
        let (epoch, until) = (config.epoch, env.now + wait);
        self.takeover = Some(Takeover { epoch, until, is_consented: false, held });
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
