//! What went wrong, where no order of the operations explains a reply.

use super::excerpt::{described, moment};
use super::explanation::Explanation;
use super::history::{Action, COUNT_UNIT, Outcome};
use super::item::{Item, Value, Why};
use super::prepare::Prepared;
use super::search::{Found, search};
use super::step::{Effect, Need, Step};
use super::verdict::ViolationKind;
use super::versions::Known;

/// Names the violation that the reply to `step` is, and says what contradicts what. `before` is
/// what was possible until that reply.
pub fn diagnose(
    known: &[Known<'_>],
    prepared: &Prepared,
    step: &Step,
    before: &[Explanation],
) -> (ViolationKind, String) {
    // Here values that nobody reads later matter too.
    if let Ok(mut full) = Prepared::new(known) {
        full.see_all();
        if let Found::Violation { step: again, before } = search(&mut full)
            && full.steps[again].index == step.index
        {
            return Case { known, prepared: &full, step, before: &before }.told();
        }
    }
    Case { known, prepared, step, before }.told()
}

struct Case<'c> {
    known: &'c [Known<'c>],
    prepared: &'c Prepared,
    step: &'c Step,
    before: &'c [Explanation],
}

impl Case<'_> {
    fn told(&self) -> (ViolationKind, String) {
        (self.kind(), format!("{}; {}", self.reply(), self.expected()))
    }

    fn kind(&self) -> ViolationKind {
        if self.passes_without_ttl() {
            return ViolationKind::ExpiredValue;
        }
        if self.passes_without_cas() {
            return ViolationKind::CasViolation;
        }
        let all_absent = self.before.iter().all(|one| !one.item.is_present());
        match self.step.need {
            Need::Exactly(value) if self.was_refused(value).is_some() => {
                self.was_refused(value).unwrap_or(ViolationKind::Other)
            }
            _ if all_absent => self.resurrection(),
            Need::Exactly(value) => self.wrong_version(value),
            _ => ViolationKind::Other,
        }
    }

    /// An item is there that had gone.
    fn resurrection(&self) -> ViolationKind {
        let whys = || {
            self.before.iter().filter_map(|one| match one.item {
                Item::Absent(why) => Some(why),
                _ => None,
            })
        };
        if whys().any(|why| why == Why::Deleted) {
            ViolationKind::ResurrectedDelete
        } else if whys().any(|why| matches!(why, Why::Evicted | Why::Expired)) {
            ViolationKind::ResurrectedValue
        } else {
            ViolationKind::Other
        }
    }

    /// The item was there, in another version.
    ///
    /// One reply can be wrong by itself, or tell of a state that is. Where later replies do not
    /// decide it, it is by itself if the newer version had been read before.
    fn wrong_version(&self, value: Value) -> ViolationKind {
        let was_read = self
            .tellers()
            .any(|teller| teller.completed < self.step.invoked && self.is_possible(teller.need));
        let is_read = self.known[self.step.index].operation.action.is_read();
        let is_back = !is_read || self.is_told_again(value);
        if !is_back && (was_read || self.is_told_later()) {
            return ViolationKind::StaleRead;
        }
        if let Some(kind) = self.wrong_number(value)
            && (!is_read || !was_read)
        {
            return kind;
        }
        if was_read {
            return ViolationKind::ResurrectedValue;
        }
        if !self.prepared.versions.is_counter
            && self.present().any(|present| present.base == value.base)
        {
            return ViolationKind::LostAppend;
        }
        ViolationKind::LostWrite
    }

    /// Whether, without this reply, the next one that cannot be tells of the same old state.
    fn is_told_again(&self, value: Value) -> bool {
        let chains = &self.prepared.versions.chains;
        match self.first_violation(|steps| steps.retain(|one| one.index != self.step.index)) {
            Some(Step { need: Need::Exactly(again), .. }) => {
                if self.prepared.versions.is_counter {
                    value.counts_to(again).is_some_and(|(_, down)| down < COUNT_UNIT / 2)
                } else {
                    chains.leads_to(value, again)
                }
            }
            _ => false,
        }
    }

    /// The number is of the right store, but counted wrongly.
    fn wrong_number(&self, value: Value) -> Option<ViolationKind> {
        if !self.prepared.versions.is_counter {
            return None;
        }
        let of_store = |one: &Value| one.counter_base() == value.counter_base();
        let misses = |one: Value| {
            // Decrements are less than half a unit together.
            let half = COUNT_UNIT / 2;
            let more = value.base.wrapping_sub(one.base);
            let down = (half.wrapping_sub(more)) % COUNT_UNIT;
            let up = more.wrapping_add(down).wrapping_sub(half);
            down < half || up > u64::MAX / 2
        };
        let mut numbers = self.present().filter(of_store).peekable();
        numbers.peek()?;
        Some(if numbers.all(misses) {
            ViolationKind::LostCount
        } else {
            ViolationKind::DuplicatedCount
        })
    }

    /// Whether a later reply tells of what was to be told here.
    fn is_told_later(&self) -> bool {
        self.tellers().any(|teller| {
            teller.invoked > self.step.completed && self.is_possible_later(teller.need)
        })
    }

    fn is_possible(&self, need: Need) -> bool {
        matches!(need, Need::Exactly(value) if self.present().any(|present| present == value))
    }

    /// What was possible before, or what counts and additions made of it.
    fn is_possible_later(&self, need: Need) -> bool {
        let Need::Exactly(value) = need else { return false };
        let chains = &self.prepared.versions.chains;
        self.present().any(|present| {
            if self.prepared.versions.is_counter {
                present.counts_to(value).is_some_and(|(_, down)| down < COUNT_UNIT / 2)
            } else {
                chains.leads_to(present, value)
            }
        })
    }

    /// The steps that tell of a version, but for this one.
    fn tellers(&self) -> impl Iterator<Item = &Step> {
        let steps = self.prepared.steps.iter();
        steps.filter(|one| one.index != self.step.index && !one.is_optional())
    }

    fn present(&self) -> impl Iterator<Item = Value> {
        self.before.iter().filter_map(|one| match one.item {
            Item::Present(value) => Some(value),
            _ => None,
        })
    }

    /// Whether the value is one that its store's reply said was not stored.
    fn was_refused(&self, value: Value) -> Option<ViolationKind> {
        if self.prepared.versions.is_counter {
            return None;
        }
        let writer = &self.known[self.prepared.versions.writer(value.base)?].operation;
        let is_cas = matches!(writer.action, Action::Cas { .. });
        match writer.outcome {
            Outcome::Exists | Outcome::NotFound if is_cas => Some(ViolationKind::CasViolation),
            Outcome::NotStored | Outcome::Refused => Some(ViolationKind::Other),
            _ => None,
        }
    }

    /// Whether it was the versions that operations asked for.
    fn passes_without_cas(&self) -> bool {
        let of_this_time = |one: &Step| {
            let action = &self.known[one.index].operation.action;
            let asks = matches!(action, Action::Cas { .. } | Action::Delete { cas: 1.. });
            asks && one.completed >= self.step.completed && one.invoked <= self.step.completed
        };
        self.prepared.steps.iter().any(of_this_time)
            && self
                .first_violation(|steps| {
                    for one in steps.iter_mut().filter(|one| of_this_time(one)) {
                        if matches!(one.need, Need::Exactly(_) | Need::Other(_)) {
                            one.need = Need::Nothing;
                        }
                    }
                })
                .is_none_or(|step| step.completed > self.step.completed)
    }

    fn passes_without_ttl(&self) -> bool {
        let has_ttl = |one: &Step| {
            matches!(one.effect, Effect::Put { ttl: 1.., .. } | Effect::Touch { ttl: 1.. })
        };
        self.prepared.steps.iter().any(has_ttl)
            && self
                .first_violation(|steps| {
                    for one in steps {
                        if let Effect::Put { ttl, .. } | Effect::Touch { ttl } = &mut one.effect {
                            *ttl = 0;
                        }
                    }
                })
                .is_none_or(|step| step.completed > self.step.completed)
    }

    /// The first reply that cannot be when the operations are altered so.
    fn first_violation(&self, alter: impl FnOnce(&mut Vec<Step>)) -> Option<Step> {
        let mut prepared = Prepared::new(self.known).ok()?;
        prepared.see_all();
        alter(&mut prepared.steps);
        match search(&mut prepared) {
            Found::Violation { step, .. } => Some(prepared.steps[step]),
            Found::Explained(_) | Found::Undecided => None,
        }
    }

    fn reply(&self) -> String {
        let reply = described(self.known, self.step.index);
        match self.step.need {
            Need::Exactly(value) if !self.prepared.versions.is_counter => {
                match self.prepared.versions.writer(value.base) {
                    Some(writer) if writer != self.step.index => {
                        let writer = &self.known[writer].operation;
                        let asked = moment(writer.invoked);
                        format!("{reply}, whose value was sent at {asked} ms")
                    }
                    _ => reply,
                }
            }
            _ => reply,
        }
    }

    fn expected(&self) -> String {
        let mut items: Vec<String> = Vec::new();
        for one in self.before {
            let text = match one.item {
                Item::Absent(Why::NeverStored) => "never stored".to_owned(),
                Item::Absent(Why::Deleted) => "deleted".to_owned(),
                Item::Absent(Why::Expired) => "expired".to_owned(),
                Item::Absent(Why::Evicted) => "found missing".to_owned(),
                Item::Unseen => "of a value nobody read".to_owned(),
                Item::Present(value) => {
                    let is_counter = self.prepared.versions.is_counter;
                    super::excerpt::version(value, is_counter, &self.prepared.versions.chains)
                }
            };
            if !items.contains(&text) {
                items.push(text);
            }
        }
        items.truncate(3);
        format!("by all replies before, the item was {}", items.join(", or "))
    }
}
