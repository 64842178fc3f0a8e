//! The operations of one key, made ready for the search.

use super::history::Nanos;
use super::item::{FastMap, Value};
use super::step::{Need, Step};
use super::verdict::ViolationKind;
use super::versions::{Fault, Known, Versions};

/// A key's operations, made ready.
#[derive(Debug)]
pub struct Prepared {
    /// In the order of their invocations.
    pub steps: Vec<Step>,
    pub versions: Versions,
    /// Until when replies tell of a value, or of what could be made of it; `None` where nobody
    /// needs to know.
    seen_until: Option<FastMap<Value, Nanos>>,
}

impl Prepared {
    /// Makes ready what is in the order of invocations; `Err` is the first violation that shows
    /// without a search.
    pub fn new(known: &[Known<'_>]) -> Result<Self, Fault> {
        let versions = Versions::new(known)?;
        let mut steps = Vec::with_capacity(known.len());
        for (index, one) in known.iter().enumerate() {
            let step = Step::new(index, one, &versions).map_err(|_| Fault {
                index,
                kind: ViolationKind::ReplyOutOfOrder,
                what: "its request cannot be answered so".to_owned(),
            })?;
            steps.extend(step);
        }
        let mut prepared = Self { steps, versions, seen_until: None };
        if prepared.steps.iter().any(Step::is_optional) {
            prepared.seen_until = Some(prepared.find_seen_until());
        }
        Ok(prepared)
    }

    /// Whether a reply from now on tells of this value, or of what could be made of it.
    pub fn is_seen_after(&self, value: Value, now: Nanos) -> bool {
        let Some(seen_until) = &self.seen_until else { return true };
        seen_until.get(&self.class(value)).is_some_and(|&until| until >= now)
    }

    /// Keeps all values in mind, whether replies tell of them or not.
    pub fn see_all(&mut self) {
        self.seen_until = None;
    }

    /// What replies to counters tell of is all that began with the same store.
    fn class(&self, value: Value) -> Value {
        if self.versions.is_counter { Value::bare(value.counter_base()) } else { value }
    }

    fn find_seen_until(&self) -> FastMap<Value, Nanos> {
        let chains = &self.versions.chains;
        let mut seen_until = FastMap::default();
        for step in &self.steps {
            let (Need::Exactly(value) | Need::Other(value)) = step.need else { continue };
            for front in chains.beginnings(value.front) {
                for back in chains.beginnings(value.back) {
                    let part = self.class(Value { base: value.base, front, back });
                    let until = seen_until.entry(part).or_insert(0);
                    *until = step.completed.max(*until);
                }
            }
        }
        seen_until
    }
}
