//! The requests of a slot that keep their order.

use memtide_topology::SlotId;

use crate::effect::{Refused, Submission};
use crate::path::{State, Trouble};
use crate::requests::{Role, Try};
use crate::router::Router;
use crate::wakes::Wake;

impl<C: Clone, O> Router<C, O> {
    pub(crate) fn submit_ordered(&mut self, submission: Submission<C>, is_mutation: bool) {
        let slot = submission.slot;
        let number = usize::from(slot.number());
        let is_calm = self.paths[number].is_calm;
        if !is_calm && self.is_full(slot) {
            return self.refuse(submission.ticket, Refused::Overloaded);
        }
        let index = self.add(submission, Role::Ordered { is_mutation });
        self.requests.append_to_slot(&mut self.paths[number].chain, index);
        if is_calm {
            match self.primary(slot) {
                Some((node, link)) => self.send(index, node, link),
                None => self.trouble(slot, State::Waiting { not_before: self.now }),
            }
        } else if let Some(trouble) = self.troubles.get_mut(&slot) {
            trouble.len += 1;
            if let State::Open { node, link } = trouble.state {
                self.send(index, node, link);
            }
        }
    }

    /// Takes a request out of its path.
    pub(crate) fn unchain(&mut self, slot: SlotId, index: u32) {
        let path = &mut self.paths[usize::from(slot.number())];
        self.requests.unlink_from_slot(&mut path.chain, index);
        if !path.is_calm
            && let Some(trouble) = self.troubles.get_mut(&slot)
        {
            trouble.len -= 1;
        }
    }

    /// Looks at a path to whose requests, primary or link something has happened.
    pub(crate) fn advance(&mut self, slot: SlotId) {
        let path = &self.paths[usize::from(slot.number())];
        if path.is_calm {
            return;
        }
        let Some(head) = path.chain.head() else { return self.calm_down(slot) };
        let Some(trouble) = self.troubles.get(&slot) else { return };
        match trouble.state {
            State::Open { .. } => {
                if self.now.saturating_sub(trouble.opened_at) >= self.settings.patience {
                    self.calm_down(slot);
                }
            }
            State::Leaving { until } => {
                // What was sent comes first, so all is answered when the head was not sent.
                if until <= self.now || self.requests.get(head).current.is_none() {
                    self.end_round(slot, None);
                    self.open(slot);
                }
            }
            State::Waiting { .. } => self.open(slot),
        }
    }

    /// Ends the round: what was sent in it is to be sent again.
    pub(crate) fn end_round(&mut self, slot: SlotId, refused: Option<(u32, bool)>) {
        let number = usize::from(slot.number());
        let is_proof = refused.is_some_and(|(_, may_be_done)| !may_be_done);
        let refused = refused.map(|(index, _)| index);
        // Behind the one that was refused; with that one, nothing was executed from there on.
        let (mut is_behind, mut tried, mut len) = (false, None, 0);
        let mut next = self.paths[number].chain.head();
        while let Some(index) = next {
            let outstanding = self.requests.get_mut(index);
            tried = tried.max(outstanding.epoch);
            let current = outstanding.current.take();
            if Some(index) == refused {
                is_behind = true;
                outstanding.is_lost |= !is_proof;
            } else if let Some(link) = current {
                outstanding.older.push(Try { link, is_harmless: is_behind && is_proof });
            }
            len += 1;
            next = self.requests.after(index);
        }
        self.paths[number].round += 1;
        self.paths[number].is_calm = false;
        let is_news = Some(self.owners.owner(slot).epoch) > tried;
        let (now, patience) = (self.now, self.settings.patience);
        let waiting = State::Waiting { not_before: now };
        let trouble = self.troubles.entry(slot).or_insert_with(|| Trouble::new(waiting, len));
        let was_long_open = trouble.is_open() && now.saturating_sub(trouble.opened_at) >= patience;
        if is_news || was_long_open {
            trouble.fruitless = 0;
        }
        trouble.state = waiting;
        if !is_news {
            let not_before = now.saturating_add(self.settings.pause(trouble.fruitless));
            trouble.fruitless += 1;
            trouble.state = State::Waiting { not_before };
            self.wakes.push(not_before, Wake::Slot(slot));
        }
    }

    /// Looks at a path whose slot may have another primary or epoch now. The caller advances it.
    pub(crate) fn owner_changed(&mut self, slot: SlotId) {
        let chain = self.paths[usize::from(slot.number())].chain;
        let Some(head) = chain.head() else { return };
        let primary = self.primary(slot).map(|(_, link)| link);
        let is_same = primary.is_some() && primary == self.requests.get(head).current;
        let leaving = State::Leaving { until: self.now.saturating_add(self.settings.grace) };
        match self.troubles.get(&slot).map(|trouble| trouble.state) {
            None | Some(State::Open { .. }) if is_same => {}
            None | Some(State::Open { .. }) => {
                self.trouble(slot, leaving);
                self.wakes.push(self.now.saturating_add(self.settings.grace), Wake::Slot(slot));
            }
            Some(State::Leaving { .. }) => {}
            Some(State::Waiting { .. }) => {
                let tried = self.requests.in_chain(chain).map(|request| request.epoch).max();
                if Some(Some(self.owners.owner(slot).epoch)) > tried {
                    self.trouble(slot, State::Waiting { not_before: self.now });
                    self.troubles.entry(slot).and_modify(|trouble| trouble.fruitless = 0);
                }
            }
        }
    }

    /// Begins the round of a path that waits, if nothing is in its way.
    fn open(&mut self, slot: SlotId) {
        let Some((node, link)) = self.primary(slot) else { return };
        let chain = self.paths[usize::from(slot.number())].chain;
        let Some(trouble) = self.troubles.get_mut(&slot) else { return };
        let is_paused =
            !matches!(trouble.state, State::Waiting { not_before } if not_before <= self.now);
        if is_paused || self.requests.in_chain(chain).any(|request| request.is_tried_on(link)) {
            return;
        }
        trouble.state = State::Open { node, link };
        trouble.opened_at = self.now;
        let mut next = chain.head();
        while let Some(index) = next {
            self.send(index, node, link);
            next = self.requests.after(index);
        }
    }

    /// Puts a path in a state that is not calm.
    fn trouble(&mut self, slot: SlotId, state: State) {
        let path = &mut self.paths[usize::from(slot.number())];
        path.is_calm = false;
        let chain = path.chain;
        let requests = &self.requests;
        let trouble = self
            .troubles
            .entry(slot)
            .or_insert_with(|| Trouble::new(state, requests.in_chain(chain).count()));
        trouble.state = state;
    }

    fn calm_down(&mut self, slot: SlotId) {
        self.troubles.remove(&slot);
        self.paths[usize::from(slot.number())].is_calm = true;
    }

    fn is_full(&self, slot: SlotId) -> bool {
        let is_full = |trouble: &Trouble| {
            !trouble.is_open() && trouble.len >= self.settings.queued_per_slot_max
        };
        self.troubles.get(&slot).is_some_and(is_full)
    }
}
