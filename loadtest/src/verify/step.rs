//! An operation as the search sees it: what the item had to be, and what became of it.

use super::history::{Action, NO_REPLY, Nanos, Operation, Outcome, Token, Verb};
use super::item::Value;
use super::versions::{Known, Versions};

/// What the item must be for an operation to go as it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Present,
    Absent,
    Exactly(Value),
    /// Present, in another version than this.
    Other(Value),
}

/// What becomes of the item then. A `ttl` is in seconds, 0 is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Keep,
    Put {
        value: Value,
        ttl: u32,
    },
    /// Another value, the same time to live.
    Become(Value),
    Add {
        token: Token,
        is_front: bool,
    },
    Count {
        is_up: bool,
        delta: u64,
    },
    Remove,
    /// Perhaps removed.
    MayRemove,
    Touch {
        ttl: u32,
    },
}

/// A reply that its request cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAnswer;

/// An operation as the search sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub invoked: Nanos,
    /// [`NO_REPLY`] where it is uncertain whether it takes effect at all.
    pub completed: Nanos,
    pub need: Need,
    pub effect: Effect,
    /// Whether the reply says that there is no item.
    pub is_miss: bool,
    /// Which operation of the key it is.
    pub index: usize,
}

impl Step {
    /// The step of an operation; `Ok(None)` for one that tells nothing and does nothing, `Err` for
    /// a reply that its request cannot have.
    pub fn new(
        index: usize,
        known: &Known<'_>,
        versions: &Versions,
    ) -> Result<Option<Self>, NoAnswer> {
        let operation = &known.operation;
        let went = match operation.outcome {
            Outcome::NoReply => unanswered(&operation.action, versions),
            Outcome::Refused => match operation.action {
                Action::Store { .. } | Action::Cas { .. } => {
                    Some((Need::Nothing, Effect::MayRemove))
                }
                _ => None,
            },
            _ => Some(answered(index, known, versions).ok_or(NoAnswer)?),
        };
        let is_answered = operation.outcome != Outcome::NoReply;
        Ok(went.map(|(need, effect)| Self {
            invoked: operation.invoked,
            completed: if is_answered { operation.completed } else { NO_REPLY },
            need,
            effect,
            is_miss: is_miss(operation),
            index,
        }))
    }

    /// Whether it may have taken no effect.
    pub fn is_optional(&self) -> bool {
        self.completed == NO_REPLY
    }

    /// Whether it leaves the item as it is.
    pub fn is_pure(&self) -> bool {
        self.effect == Effect::Keep
    }
}

/// Whether the reply says that there is no item.
pub fn is_miss(operation: &Operation) -> bool {
    match operation.outcome {
        Outcome::NotFound => true,
        Outcome::NotStored => !matches!(operation.action, Action::Store { verb: Verb::Add, .. }),
        _ => false,
    }
}

/// What an operation does if it takes effect, of which no reply says whether it did.
fn unanswered(action: &Action, versions: &Versions) -> Option<(Need, Effect)> {
    let version = |cas| versions.by_cas(cas).map_or(Need::Present, Need::Exactly);
    Some(match *action {
        Action::Get => return None,
        Action::GetAndTouch { ttl } | Action::Touch { ttl } => {
            (Need::Present, Effect::Touch { ttl })
        }
        Action::Store { verb, token, ttl } => {
            let need = match verb {
                Verb::Set => Need::Nothing,
                Verb::Add => Need::Absent,
                Verb::Replace | Verb::Append | Verb::Prepend => Need::Present,
            };
            (need, stored(verb, token, ttl))
        }
        Action::Cas { token, ttl, cas } => {
            (version(cas), Effect::Put { value: Value::bare(token), ttl })
        }
        Action::Count { is_up, delta } => (Need::Present, Effect::Count { is_up, delta }),
        Action::Delete { cas: 0 } => (Need::Present, Effect::Remove),
        Action::Delete { cas } => (version(cas), Effect::Remove),
    })
}

fn answered(index: usize, known: &Known<'_>, versions: &Versions) -> Option<(Need, Effect)> {
    let keep = |need| Some((need, Effect::Keep));
    let version = |cas| versions.by_cas(cas).map_or(Need::Present, Need::Exactly);
    let other = |cas| versions.by_cas(cas).map_or(Need::Present, Need::Other);
    match (known.operation.action, known.operation.outcome) {
        (_, Outcome::NotFound) => keep(Need::Absent),
        (
            Action::Get | Action::GetAndTouch { .. },
            Outcome::Hit { .. } | Outcome::Number { .. },
        ) => {
            let need = Need::Exactly(versions.told_by(index, known)?);
            match known.operation.action {
                Action::GetAndTouch { ttl } => Some((need, Effect::Touch { ttl })),
                _ => keep(need),
            }
        }
        (Action::Store { verb, token, ttl }, Outcome::Stored { .. }) => {
            let (need, _) = unanswered(&known.operation.action, versions)?;
            Some((need, stored(verb, token, ttl)))
        }
        (Action::Store { verb: Verb::Add, .. }, Outcome::NotStored) => keep(Need::Present),
        (Action::Store { verb, .. }, Outcome::NotStored) if verb != Verb::Set => keep(Need::Absent),
        (Action::Cas { token, ttl, cas }, Outcome::Stored { .. }) => {
            Some((version(cas), Effect::Put { value: Value::bare(token), ttl }))
        }
        (Action::Cas { cas, .. }, Outcome::Exists) => keep(other(cas)),
        (Action::Delete { cas }, Outcome::Exists) if cas != 0 => keep(other(cas)),
        (Action::Count { is_up, delta }, Outcome::Number { number, .. }) => {
            let before =
                if is_up { number.wrapping_sub(delta) } else { number.wrapping_add(delta) };
            Some((Need::Exactly(Value::bare(before)), Effect::Become(Value::bare(number))))
        }
        (Action::Delete { .. } | Action::Touch { .. }, Outcome::Done) => {
            unanswered(&known.operation.action, versions)
        }
        _ => None,
    }
}

fn stored(verb: Verb, token: Token, ttl: u32) -> Effect {
    match verb {
        Verb::Append => Effect::Add { token, is_front: false },
        Verb::Prepend => Effect::Add { token, is_front: true },
        Verb::Set | Verb::Add | Verb::Replace => Effect::Put { value: Value::bare(token), ttl },
    }
}
