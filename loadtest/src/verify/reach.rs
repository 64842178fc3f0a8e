//! How an item can become what an operation needs: by going, and by operations without reply.
//!
//! An operation without a reply is taken to have had an effect only directly before one that needs
//! the effect: anywhere else it can be left for later. Of operations that do the same, the one
//! that was asked for first is taken. So few of them are ever tried, and no explanation is missed.

use super::explanation::{self, Explanation};
use super::history::Nanos;
use super::item::{Item, Value, Why};
use super::limits::STEPS_PER_REPLY_MAX;
use super::prepare::Prepared;
use super::step::{Effect, Need, Step};

/// What the search may use to explain an item.
#[derive(Debug)]
pub struct Reach<'p> {
    pub prepared: &'p mut Prepared,
    /// Operations without reply that were asked for, with their bits in [`Explanation::used`]; in
    /// the order of their invocations.
    pub unanswered: Vec<(u32, Step)>,
    /// Steps that were taken for this reply.
    pub steps: usize,
    /// Whether the number of evictions need only be a lower bound.
    pub is_rough: bool,
}

impl Reach<'_> {
    /// All ways to give `step` what it needs, before it takes effect.
    pub fn meet(&mut self, at: Explanation, step: &Step, now: Nanos, out: &mut Vec<Explanation>) {
        match step.need {
            Need::Nothing => out.push(at),
            Need::Absent => self.absent(at, now, out),
            Need::Present => {
                self.present(at, step.invoked, now, out);
                if matches!(step.effect, Effect::Add { .. } | Effect::Touch { .. }) {
                    self.wander(at, step, now, out);
                }
            }
            Need::Exactly(value) => {
                if at.item.is(value) && at.is_present_at(step.invoked) {
                    out.push(at);
                } else {
                    self.wander(at, step, now, out);
                }
            }
            Need::Other(value) => {
                let mut here = Vec::new();
                self.present(at, step.invoked, now, &mut here);
                for at in here {
                    self.differ(at, value, (step.invoked, now), out);
                }
            }
        }
    }

    /// Whether more was tried than the limit.
    pub fn is_exhausted(&self) -> bool {
        self.steps > STEPS_PER_REPLY_MAX
    }

    /// Forgets the value of an item that no reply tells of any more.
    pub fn forget(&self, mut at: Explanation, now: Nanos) -> Explanation {
        if let Item::Present(value) = at.item
            && !self.prepared.is_seen_after(value, now)
        {
            at.item = Item::Unseen;
        }
        at
    }

    fn absent(&mut self, at: Explanation, now: Nanos, out: &mut Vec<Explanation>) {
        if !at.item.is_present() {
            out.push(at);
            return;
        }
        if at.expires_from <= now {
            out.push(at.vanish(Why::Expired));
            return;
        }
        out.push(at.vanish(Why::Evicted));
        for (bit, step) in self.candidates(&at, now) {
            let is_possible = match step.need {
                Need::Nothing => true,
                Need::Present => at.is_present_at(step.invoked),
                Need::Exactly(value) => at.item.is(value) && at.is_present_at(step.invoked),
                Need::Absent | Need::Other(_) => false,
            };
            if !is_possible {
                continue;
            }
            let Some(after) = self.take(at, bit, &step, now) else { continue };
            let is_gone = !after.item.is_present() || after.expires_from <= now;
            if is_gone && self.is_rough {
                // As if the operation could be used again.
                out.pop();
                out.push(at.vanish(Why::Deleted));
                return;
            }
            if !after.item.is_present() {
                out.push(after);
            } else if after.expires_from <= now {
                out.push(after.vanish(Why::Expired));
            }
        }
    }

    fn present(&mut self, at: Explanation, invoked: Nanos, now: Nanos, out: &mut Vec<Explanation>) {
        if at.is_present_at(invoked) {
            out.push(at);
            return;
        }
        let mut gone = at;
        if at.item.is_present() {
            self.keep_alive(at, invoked, now, out);
            gone = at.vanish(Why::Expired);
        }
        for (bit, step) in self.candidates(&gone, now) {
            if matches!(step.need, Need::Nothing | Need::Absent)
                && matches!(step.effect, Effect::Put { .. })
            {
                out.extend(self.take(gone, bit, &step, now));
            }
        }
    }

    /// Touches and stores without reply may have kept an item alive that had expired without them.
    fn keep_alive(
        &mut self,
        at: Explanation,
        invoked: Nanos,
        now: Nanos,
        out: &mut Vec<Explanation>,
    ) {
        let mut queue = vec![at];
        while let Some(at) = queue.pop() {
            for (bit, step) in self.candidates(&at, now) {
                let is_ready = match step.need {
                    Need::Present => at.is_present_at(step.invoked),
                    Need::Exactly(value) => at.item.is(value) && at.is_present_at(step.invoked),
                    Need::Nothing | Need::Absent | Need::Other(_) => false,
                };
                if !is_ready || !matches!(step.effect, Effect::Touch { .. } | Effect::Put { .. }) {
                    continue;
                }
                let Some(after) = self.take(at, bit, &step, now) else { continue };
                if after.is_present_at(invoked) {
                    out.push(after);
                } else if after.lives_until > at.lives_until && !self.is_exhausted() {
                    queue.push(after);
                }
            }
        }
    }

    /// Another version than `value` of what is present.
    fn differ(
        &mut self,
        at: Explanation,
        value: Value,
        (invoked, now): (Nanos, Nanos),
        out: &mut Vec<Explanation>,
    ) {
        if !at.item.is(value) {
            out.push(at);
            return;
        }
        for (bit, change) in self.candidates(&at, now) {
            for before in self.ready(at, &change, now) {
                let after = self.take(before, bit, &change, now);
                let differs =
                    |after: &Explanation| after.is_present_at(invoked) && !after.item.is(value);
                out.extend(after.filter(differs));
            }
        }
    }

    /// Looks for all that `step` can be given by operations without reply: the version that it
    /// needs exactly; or, where its own effect depends on it, any that later replies tell of.
    fn wander(&mut self, at: Explanation, step: &Step, now: Nanos, out: &mut Vec<Explanation>) {
        if self.unanswered.is_empty() {
            return;
        }
        let mut visited = vec![at];
        let mut queue = vec![at];
        while let Some(at) = queue.pop() {
            for (bit, change) in self.candidates(&at, now) {
                if !self.is_on_the_way(&at, &change, step) {
                    continue;
                }
                for before in self.ready(at, &change, now) {
                    let Some(after) = self.take(before, bit, &change, now) else { continue };
                    // After an addition, what asks for the version before can do nothing any more.
                    let is_last_chance = matches!(step.effect, Effect::Add { .. })
                        && matches!(change.need, Need::Exactly(_));
                    if !is_last_chance && !self.leads_on(&after, step, now) {
                        continue;
                    }
                    let is_met = after.is_present_at(step.invoked)
                        && match step.need {
                            Need::Exactly(value) => after.item.is(value),
                            _ => true,
                        };
                    if is_met {
                        out.push(after);
                    }
                    let goes_on = !is_met || !matches!(step.need, Need::Exactly(_));
                    if goes_on && explanation::add(&mut visited, after, false) {
                        queue.push(after);
                    }
                }
            }
            if self.is_exhausted() {
                return;
            }
        }
    }

    /// Whether a change can be of use between here and what `step` needs, as far as the change
    /// itself says it.
    fn is_on_the_way(&self, at: &Explanation, change: &Step, step: &Step) -> bool {
        match (change.effect, step.need, at.item) {
            (Effect::Touch { .. }, ..) => at.lives_until < Nanos::MAX,
            (Effect::Count { is_up, delta }, Need::Exactly(value), Item::Present(number)) => {
                self.goals(value).any(|goal| {
                    number
                        .counts_to(goal)
                        .is_some_and(|(up, down)| delta <= if is_up { up } else { down })
                })
            }
            (Effect::Remove, ..) => false,
            _ => true,
        }
    }

    /// Whether `step` can still get what it needs from here.
    fn leads_on(&self, at: &Explanation, step: &Step, now: Nanos) -> bool {
        match (at.item, step.need) {
            (Item::Absent(_), _) => false,
            (Item::Unseen, _) => self.unanswered.iter().any(|(_, other)| {
                other.need == Need::Present && matches!(other.effect, Effect::Put { .. })
            }),
            (Item::Present(value), Need::Exactly(goal)) => {
                let mut goals = self.goals(goal);
                if self.prepared.versions.is_counter {
                    goals.any(|goal| value.counts_to(goal).is_some())
                } else {
                    goals.any(|goal| self.prepared.versions.chains.leads_to(value, goal))
                }
            }
            (Item::Present(value), _) => self.prepared.is_seen_after(value, now),
        }
    }

    /// The version that is needed, and those that a `cas` without reply needs.
    fn goals(&self, value: Value) -> impl Iterator<Item = Value> {
        let others = self.unanswered.iter().filter_map(|(_, step)| match step.need {
            Need::Exactly(value) => Some(value),
            _ => None,
        });
        std::iter::once(value).chain(others)
    }

    /// What an operation without reply needs, given in the ways that take no other one with an
    /// effect that shows.
    fn ready(&mut self, at: Explanation, change: &Step, now: Nanos) -> Vec<Explanation> {
        let is_ready = match change.need {
            Need::Nothing => true,
            Need::Present => at.is_present_at(change.invoked),
            Need::Exactly(value) => at.item.is(value) && at.is_present_at(change.invoked),
            Need::Other(_) => false,
            Need::Absent => {
                let mut ways = Vec::new();
                self.absent(at, now, &mut ways);
                return ways;
            }
        };
        if is_ready { vec![at] } else { Vec::new() }
    }

    /// An operation without reply takes effect.
    fn take(&mut self, at: Explanation, bit: u32, step: &Step, now: Nanos) -> Option<Explanation> {
        self.steps += 1;
        let mut after = at.apply(step, now, &mut self.prepared.versions.chains)?;
        after.used |= 1 << bit;
        Some(self.forget(after, now))
    }

    /// The operations without reply that are left; of those that do the same, the first.
    fn candidates(&self, at: &Explanation, now: Nanos) -> Vec<(u32, Step)> {
        let mut kinds: Vec<(Need, Effect)> = Vec::new();
        let mut candidates = Vec::new();
        for (bit, step) in &self.unanswered {
            if at.used & (1 << *bit) != 0 {
                continue;
            }
            let kind = (step.need, self.kind(step.effect, now));
            if !kinds.contains(&kind) {
                kinds.push(kind);
                candidates.push((*bit, *step));
            }
        }
        candidates
    }

    /// What an effect comes to for the replies from now on.
    fn kind(&self, effect: Effect, now: Nanos) -> Effect {
        match effect {
            Effect::Put { value, ttl } if !self.prepared.is_seen_after(value, now) => {
                Effect::Put { value: Value::bare(0), ttl }
            }
            _ => effect,
        }
    }
}
