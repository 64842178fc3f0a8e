//! What becomes of a request that a node has answered.

use memtide_topology::{Answer, SlotId};

use crate::effect::{Effect, Refused};
use crate::links::LinkId;
use crate::owners::Owner;
use crate::requests::Role;
use crate::router::Router;

impl<C: Clone, O> Router<C, O> {
    /// Takes the answer to a try over this link.
    pub(crate) fn take_answer(&mut self, index: u32, link: LinkId, answer: Answer<O>) {
        match answer {
            Answer::Done { outcome, version } => {
                let outstanding = self.requests.get_mut(index);
                if outstanding.is_mutation() && !outstanding.is_latest(link) {
                    // A condition that was not met leaves no trace, so a later try may have done
                    // what this one did not: only that one's outcome is true.
                    return self.outdated(index, link);
                }
                let outstanding = self.requests.get(index);
                if outstanding.role != Role::Direct {
                    let path = &mut self.paths[usize::from(outstanding.slot.number())];
                    path.seen = path.seen.max(version);
                }
                self.finish(index, Ok(outcome));
            }
            Answer::Moved { epoch, primary, may_be_done } => {
                self.moved(index, link, (Owner { epoch, primary }, may_be_done));
            }
            Answer::Unknown => self.unknown(index, link),
        }
    }

    /// An earlier try was executed, and a later one may have been.
    fn outdated(&mut self, index: u32, link: LinkId) {
        let outstanding = self.requests.get_mut(index);
        outstanding.lose(link);
        outstanding.is_lost = true;
        let slot = outstanding.slot;
        if outstanding.role == Role::Forgotten {
            self.settle(index);
        }
        self.advance(slot);
    }

    /// Takes what a node said about a slot.
    fn learn(&mut self, slot: SlotId, said: Owner) {
        if self.owners.is_behind(slot, said) && !self.is_wanting {
            self.is_wanting = true;
            self.effects.push_back(Effect::WantTopology);
        }
        if self.owners.learn(slot, said) {
            self.owner_changed(slot);
        }
    }

    fn moved(&mut self, index: u32, link: LinkId, (said, may_be_done): (Owner, bool)) {
        let slot = self.requests.get(index).slot;
        if self.requests.get(index).role == Role::Direct {
            return self.finish(index, Err(Refused::Unavailable));
        }
        self.learn(slot, said);
        let outstanding = self.requests.get_mut(index);
        if outstanding.current != Some(link) {
            let earlier = outstanding.take_older(link);
            let is_harmless = earlier.is_some_and(|earlier| earlier.is_harmless);
            outstanding.is_lost |= !is_harmless && may_be_done;
            if outstanding.role == Role::Forgotten {
                self.settle(index);
            }
        } else if outstanding.is_ordered() {
            self.end_round(slot, Some((index, may_be_done)));
        } else {
            outstanding.current = None;
            self.lone_refused(index);
        }
        self.advance(slot);
    }

    /// Whether an earlier try was executed is forgotten. What came behind it was executed, so it
    /// must not be sent again.
    fn unknown(&mut self, index: u32, link: LinkId) {
        let outstanding = self.requests.get_mut(index);
        let slot = outstanding.slot;
        if !outstanding.is_mutation() {
            let said = self.owners.owner(slot);
            return self.moved(index, link, (said, true));
        }
        outstanding.lose(link);
        outstanding.is_lost = true;
        if outstanding.is_ordered() {
            self.unchain(slot, index);
            self.requests.get_mut(index).forget();
        }
        self.settle(index);
        self.advance(slot);
    }
}
