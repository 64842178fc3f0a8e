//! The requests that are outside of every order: reads of any copy, requests to a node, and those
//! whose fate is forgotten.

use memtide_topology::{NodeId, SlotId};

use crate::effect::{Refused, Submission};
use crate::links::LinkId;
use crate::requests::{AnyCopy, Role};
use crate::router::Router;
use crate::wakes::Wake;

impl<C: Clone, O> Router<C, O> {
    pub(crate) fn submit_any_copy(&mut self, submission: Submission<C>) {
        let index = self.add(submission, Role::AnyCopy(AnyCopy::default()));
        self.advance_lone(index);
    }

    /// Whom a read of any copy asks, if one is connected.
    pub(crate) fn any_copy(&self, slot: SlotId, state: AnyCopy) -> Option<(NodeId, LinkId)> {
        if state.only_primary {
            self.primary(slot)
        } else {
            self.owners.nearest(slot, &self.links, self.settings.zone.as_ref())
        }
    }

    /// Sends a read of any copy, if it is not sent and nothing is in its way.
    pub(crate) fn advance_lone(&mut self, index: u32) {
        let outstanding = self.requests.get(index);
        let (slot, role) = (outstanding.slot, outstanding.role);
        let Role::AnyCopy(mut state) = role else { return };
        if outstanding.current.is_some() || self.now < state.not_before {
            return;
        }
        if let Some((node, link)) = self.any_copy(slot, state) {
            state.at_primary = self.owners.owner(slot).primary == Some(node);
            self.requests.get_mut(index).role = Role::AnyCopy(state);
            self.send(index, node, link);
        }
    }

    /// A node would not do a read of any copy: next is the primary; at once, unless it was the
    /// primary that refused, and nothing is known that it did not know.
    pub(crate) fn lone_refused(&mut self, index: u32) {
        let outstanding = self.requests.get_mut(index);
        let is_news = Some(self.owners.owner(outstanding.slot).epoch) > outstanding.epoch;
        if let Role::AnyCopy(state) = &mut outstanding.role {
            let was_primary = core::mem::replace(&mut state.only_primary, true) || state.at_primary;
            if is_news {
                state.fruitless = 0;
            } else if was_primary {
                self.pause(index);
            }
        }
        self.advance_lone(index);
    }

    /// The link over which a lone request was sent is lost.
    pub(crate) fn lone_lost(&mut self, index: u32) {
        match self.requests.get(index).role {
            Role::Direct => self.finish(index, Err(Refused::UnknownOutcome)),
            Role::AnyCopy(_) => self.pause(index),
            Role::Forgotten => self.settle(index),
            Role::Ordered { .. } => {}
        }
    }

    /// Refuses a request whose fate is forgotten, when no earlier try can tell it any more.
    pub(crate) fn settle(&mut self, index: u32) {
        if !self.requests.get(index).may_be_answered() {
            self.finish(index, Err(Refused::UnknownOutcome));
        }
    }

    fn pause(&mut self, index: u32) {
        let outstanding = self.requests.get_mut(index);
        if let Role::AnyCopy(state) = &mut outstanding.role {
            state.not_before = self.now.saturating_add(self.settings.pause(state.fruitless));
            state.fruitless += 1;
            self.wakes.push(state.not_before, Wake::Lone(outstanding.id));
        }
    }
}
