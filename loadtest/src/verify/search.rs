//! The search for an order in which a key's operations can have happened.
//!
//! The events of the key, invocations and replies, are gone through in time order with the set of
//! all explanations that differ in what may follow. An operation is placed when a reply shows that
//! it must have happened: its own, or that of another that needs it (just-in-time linearization:
//! Wing and Gong 1993, Lowe 2017). A reply that no explanation allows is a violation.

use super::explanation::{self, Explanation};
use super::frontier::Frontier;
use super::history::Nanos;
use super::item::{Item, Why};
use super::limits::{CONCURRENT_MAX, EXACT_EVICTIONS_MAX, EXPLANATIONS_MAX, WITHOUT_REPLY_MAX};
use super::prepare::Prepared;
use super::reach::Reach;
use super::step::{Effect, Need, Step};

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The explanation with the fewest evictions.
    Explained(Explanation),
    /// A limit was reached.
    Undecided,
    /// The step of this number cannot have gone as it went.
    Violation {
        /// Its number among the steps.
        step: usize,
        /// What was possible before its reply came; never empty.
        before: Vec<Explanation>,
    },
}

/// Looks for an order.
pub fn search(prepared: &mut Prepared) -> Found {
    search_with(prepared, EXACT_EVICTIONS_MAX)
}

/// The same, with exact numbers of evictions up to so many explanations, and lower bounds beyond.
pub fn search_with(prepared: &mut Prepared, exact_max: usize) -> Found {
    let events = events(&prepared.steps);
    let mut search = Search {
        explanations: vec![Explanation::empty()],
        exact_max,
        reach: Reach { prepared, unanswered: Vec::new(), steps: 0, is_rough: false },
        ongoing: Vec::new(),
    };
    for event in events {
        let number = event.step as usize;
        let step = search.reach.prepared.steps[number];
        if !event.is_reply {
            if !search.begin(number, &step) {
                return Found::Undecided;
            }
            continue;
        }
        match search.complete(number, &step) {
            Completed::Explained => {}
            Completed::Undecided => return Found::Undecided,
            Completed::Violation => {
                return Found::Violation { step: number, before: search.explanations };
            }
        }
    }
    let fewest = search.explanations.into_iter().min_by_key(|one| one.evictions);
    fewest.map_or(Found::Undecided, Found::Explained)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Nanos,
    /// At the same time, what begins goes first: so the two are concurrent.
    is_reply: bool,
    step: u32,
}

fn events(steps: &[Step]) -> Vec<Event> {
    let mut events = Vec::with_capacity(2 * steps.len());
    for (number, step) in steps.iter().enumerate() {
        let number = u32::try_from(number).expect("fewer than 2^32 operations on one key");
        events.push(Event { at: step.invoked, is_reply: false, step: number });
        if !step.is_optional() {
            events.push(Event { at: step.completed, is_reply: true, step: number });
        }
    }
    events.sort_unstable();
    events
}

enum Completed {
    Explained,
    Undecided,
    Violation,
}

struct Search<'p> {
    explanations: Vec<Explanation>,
    exact_max: usize,
    reach: Reach<'p>,
    /// Operations being carried out that get a reply, with their bits in [`Explanation::done`].
    ongoing: Vec<Ongoing>,
}

#[derive(Clone, Copy)]
struct Ongoing {
    bit: u32,
    number: usize,
    step: Step,
}

impl Search<'_> {
    /// Says whether there was room for it.
    fn begin(&mut self, number: usize, step: &Step) -> bool {
        if step.is_optional() {
            let taken = self.reach.unanswered.iter().fold(0_u128, |bits, (bit, _)| bits | 1 << bit);
            let bit = taken.trailing_ones();
            let has_room = (bit as usize) < WITHOUT_REPLY_MAX;
            if has_room {
                self.reach.unanswered.push((bit, *step));
            }
            return has_room;
        }
        let taken = self.ongoing.iter().fold(0_u64, |bits, one| bits | 1 << one.bit);
        let bit = taken.trailing_ones();
        if bit as usize >= CONCURRENT_MAX {
            return false;
        }
        let begun = Ongoing { bit, number, step: *step };
        self.ongoing.push(begun);
        if step.is_pure() {
            for one in &mut self.explanations {
                happen_where_allowed(one, &begun);
            }
        }
        true
    }

    fn complete(&mut self, number: usize, step: &Step) -> Completed {
        let place = self.ongoing.iter().position(|one| one.number == number);
        let place = place.expect("a reply comes after its request");
        let done = 1_u64 << self.ongoing[place].bit;
        let is_rough = self.explanations.len() > self.exact_max;
        let mut explained = self.explain(step, done, is_rough);
        if explained.is_none() && !is_rough {
            explained = self.explain(step, done, true);
        }
        let Some(mut explained) = explained else { return Completed::Undecided };
        if explained.is_empty() {
            return Completed::Violation;
        }
        for one in &mut explained {
            one.done &= !done;
        }
        self.ongoing.swap_remove(place);
        self.explanations = explained;
        self.retire();
        Completed::Explained
    }

    /// The explanations that have the operation of this bit done; `None` where a limit was reached.
    fn explain(&mut self, step: &Step, done: u64, is_rough: bool) -> Option<Vec<Explanation>> {
        self.reach.steps = 0;
        self.reach.is_rough = is_rough;
        let mut explained = Vec::with_capacity(self.explanations.len());
        let mut frontier = Frontier::new(is_rough);
        let mut ways = self.explanations.clone();
        loop {
            for way in ways.drain(..) {
                if way.done & done != 0 {
                    explanation::add(&mut explained, way, is_rough);
                } else {
                    frontier.add(way);
                }
            }
            let kept = explained.len().max(frontier.kept());
            if self.reach.is_exhausted() || kept > EXPLANATIONS_MAX {
                return None;
            }
            let Some(at) = frontier.pop() else { return Some(explained) };
            self.go_on(at, step.completed, &mut ways);
        }
    }

    /// All ways in which one more of the operations that are being carried out takes effect.
    fn go_on(&mut self, at: Explanation, now: Nanos, out: &mut Vec<Explanation>) {
        let mut ready = Vec::new();
        for place in 0..self.ongoing.len() {
            let next = self.ongoing[place];
            if at.done & (1 << next.bit) != 0 {
                continue;
            }
            self.reach.meet(at, &next.step, now, &mut ready);
            for before in ready.drain(..) {
                self.reach.steps += 1;
                let chains = &mut self.reach.prepared.versions.chains;
                let Some(mut after) = before.apply(&next.step, now, chains) else { continue };
                after.done |= 1 << next.bit;
                if next.step.effect == Effect::MayRemove && after.item.is_present() {
                    out.push(self.settle(after.vanish(Why::Deleted), now));
                }
                out.push(self.settle(after, now));
            }
        }
    }

    /// What reads the item as it is now may as well do it now.
    fn settle(&self, at: Explanation, now: Nanos) -> Explanation {
        let mut at = self.reach.forget(at, now);
        for next in self.ongoing.iter().filter(|next| next.step.is_pure()) {
            happen_where_allowed(&mut at, next);
        }
        at
    }

    /// Forgets operations without reply that have taken effect in all explanations.
    fn retire(&mut self) {
        if self.reach.unanswered.is_empty() {
            return;
        }
        let used = self.explanations.iter().fold(u128::MAX, |bits, one| bits & one.used);
        if used == 0 {
            return;
        }
        self.reach.unanswered.retain(|(bit, _)| used & (1 << *bit) == 0);
        for one in &mut self.explanations {
            one.used &= !used;
        }
    }
}

/// Lets an operation that changes nothing happen where the item allows its reply.
fn happen_where_allowed(at: &mut Explanation, next: &Ongoing) {
    if at.done & (1 << next.bit) != 0 {
        return;
    }
    let is_present = at.is_present_at(next.step.invoked);
    let is_allowed = match next.step.need {
        Need::Nothing => true,
        Need::Present => is_present,
        Need::Absent => !at.item.is_present(),
        Need::Exactly(value) => is_present && at.item.is(value),
        Need::Other(value) => is_present && !at.item.is(value),
    };
    if !is_allowed {
        return;
    }
    at.done |= 1 << next.bit;
    if next.step.is_miss
        && let Item::Absent(why) = at.item
    {
        at.misses[why as usize] += 1;
    }
}
