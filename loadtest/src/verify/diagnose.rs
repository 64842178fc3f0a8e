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
    let case = Case { known, prepared, step, before };
    let kind = case.kind();
    let what = format!("{}; {}", case.reply(), case.expected());
    (kind, what)
}

struct Case<'c> {
    known: &'c [Known<'c>],
    prepared: &'c Prepared,
    step: &'c Step,
    before: &'c [Explanation],
}

impl Case<'_> {
    fn kind(&self) -> ViolationKind {
        if self.passes_without_ttl() {
            return ViolationKind::ExpiredValue;
        }
        let operation = &self.known[self.step.index].operation;
        let asks_for_version =
            matches!(operation.action, Action::Cas { .. } | Action::Delete { cas: 1.. });
        let all_absent = self.before.iter().all(|one| !one.item.is_present());
        match self.step.need {
            Need::Exactly(value) if self.was_refused(value).is_some() => {
                self.was_refused(value).unwrap_or(ViolationKind::Other)
            }
            Need::Exactly(_) | Need::Other(_) if asks_for_version => ViolationKind::CasViolation,
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
    fn wrong_version(&self, value: Value) -> ViolationKind {
        if self.step.is_pure() && self.is_told_later() && self.passes_without_it() {
            return ViolationKind::StaleRead;
        }
        if self.prepared.versions.is_counter {
            if let Some(kind) = self.wrong_number(value) {
                return kind;
            }
        } else if self.present().any(|present| present.base == value.base) {
            return ViolationKind::LostAppend;
        }
        let was_read = self
            .tellers()
            .any(|teller| teller.completed < self.step.invoked && self.is_possible(teller.need));
        if was_read { ViolationKind::ResurrectedValue } else { ViolationKind::LostWrite }
    }

    /// The number is of the right store, but counted wrongly.
    fn wrong_number(&self, value: Value) -> Option<ViolationKind> {
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

    fn passes_without_it(&self) -> bool {
        self.passes_with(|steps| steps.retain(|one| one.index != self.step.index))
    }

    fn passes_without_ttl(&self) -> bool {
        let has_ttl = |one: &Step| {
            matches!(one.effect, Effect::Put { ttl: 1.., .. } | Effect::Touch { ttl: 1.. })
        };
        self.prepared.steps.iter().any(has_ttl)
            && self.passes_with(|steps| {
                for one in steps {
                    if let Effect::Put { ttl, .. } | Effect::Touch { ttl } = &mut one.effect {
                        *ttl = 0;
                    }
                }
            })
    }

    /// Whether the history passes beyond this reply when its operations are altered so.
    fn passes_with(&self, alter: impl FnOnce(&mut Vec<Step>)) -> bool {
        let Ok(mut prepared) = Prepared::new(self.known) else { return false };
        alter(&mut prepared.steps);
        match search(&mut prepared) {
            Found::Explained(_) => true,
            Found::Undecided => false,
            Found::Violation { step, .. } => prepared.steps[step].completed > self.step.completed,
        }
    }

    fn reply(&self) -> String {
        let known = &self.known[self.step.index];
        let reply = described(known);
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
