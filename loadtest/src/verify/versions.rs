//! The versions of a key's item that its history tells of, and the replies that contradict each
//! other whatever the order was.

use super::history::{
    Action, COUNTER_BASE_SHIFT, COUNTER_START, Nanos, Oddity, Operation, Outcome, Token, Verb,
};
use super::item::{Chain, Chains, FastMap, Value};
use super::verdict::ViolationKind;

/// An operation with its value.
#[derive(Clone, Copy, Debug)]
pub struct Known<'h> {
    pub operation: Operation,
    /// The tokens of the value that was read.
    pub tokens: &'h [Token],
}

/// A violation that no search is needed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub index: usize,
    pub kind: ViolationKind,
    pub what: String,
}

/// Where a token goes in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Front,
    Base,
    Back,
}

/// Who writes what, and which CAS unique is which version's.
#[derive(Debug)]
pub struct Versions {
    pub chains: Chains,
    pub is_counter: bool,
    writers: FastMap<Token, (usize, Place)>,
    /// The values of additions that were read, by the operation.
    read: FastMap<usize, Value>,
    by_cas: FastMap<u64, Value>,
    cas_of: FastMap<Value, u64>,
}

impl Versions {
    /// Gathers what the operations tell; `Err` is the earliest reply that cannot be.
    pub fn new(known: &[Known<'_>]) -> Result<Self, Fault> {
        let mut versions = Self {
            chains: Chains::new(),
            is_counter: false,
            writers: FastMap::default(),
            read: FastMap::default(),
            by_cas: FastMap::default(),
            cas_of: FastMap::default(),
        };
        for (index, one) in known.iter().enumerate() {
            versions.note_writer(index, &one.operation);
        }
        let mut first: Option<(Nanos, Fault)> = None;
        for (index, one) in known.iter().enumerate() {
            let at = one.operation.completed;
            if let Some((kind, what)) = versions.note_reply(index, known)
                && first.as_ref().is_none_or(|(earliest, _)| at < *earliest)
            {
                first = Some((at, Fault { index, kind, what }));
            }
        }
        first.map_or(Ok(versions), |(_, fault)| Err(fault))
    }

    /// The version that has this CAS unique; `None` where no reply told of it.
    pub fn by_cas(&self, cas: u64) -> Option<Value> {
        self.by_cas.get(&cas).copied()
    }

    /// Which operation stored a token.
    pub fn writer(&self, token: Token) -> Option<usize> {
        self.writers.get(&token).map(|(index, _)| *index)
    }

    /// The version that a retrieval, or a store that is no addition, was told.
    pub fn told_by(&self, index: usize, known: &Known<'_>) -> Option<Value> {
        match (known.operation.outcome, known.operation.action) {
            (Outcome::Hit { .. }, _) => match known.tokens {
                [token] => Some(Value::bare(*token)),
                _ => self.read.get(&index).copied(),
            },
            (Outcome::Number { number, .. }, _) => Some(Value::bare(number)),
            (Outcome::Stored { .. }, Action::Cas { token, .. }) => Some(Value::bare(token)),
            (Outcome::Stored { .. }, Action::Store { verb, token, .. })
                if !matches!(verb, Verb::Append | Verb::Prepend) =>
            {
                Some(Value::bare(token))
            }
            _ => None,
        }
    }

    fn note_writer(&mut self, index: usize, operation: &Operation) {
        match operation.action {
            Action::Store { verb, token, .. } => {
                let place = match verb {
                    Verb::Append => Place::Back,
                    Verb::Prepend => Place::Front,
                    Verb::Set | Verb::Add | Verb::Replace => Place::Base,
                };
                self.writers.insert(token, (index, place));
            }
            Action::Cas { token, .. } => {
                self.writers.insert(token, (index, Place::Base));
            }
            Action::Count { .. } => self.is_counter = true,
            _ => {}
        }
        self.is_counter |= matches!(operation.outcome, Outcome::Number { .. });
    }

    fn note_reply(&mut self, index: usize, known: &[Known<'_>]) -> Option<(ViolationKind, String)> {
        let one = &known[index];
        let cas = match one.operation.outcome {
            Outcome::Odd(Oddity::WrongKey(other)) => {
                let what = format!("the value is one of key number {other}");
                return Some((ViolationKind::WrongKey, what));
            }
            Outcome::Odd(Oddity::Corrupt) => {
                let what = "the value is none that was ever sent".to_owned();
                return Some((ViolationKind::CorruptValue, what));
            }
            Outcome::Hit { cas, .. } => {
                let fault = self.value_fault(known, one);
                if fault.is_some() {
                    return fault;
                }
                if one.tokens.len() > 1 {
                    let value = self.value(one.tokens);
                    self.read.insert(index, value);
                }
                cas
            }
            Outcome::Number { number, cas } => {
                let fault = self.number_fault(known, one, number);
                if fault.is_some() {
                    return fault;
                }
                cas
            }
            Outcome::Stored { cas } => cas,
            _ => return None,
        };
        if cas == 0 {
            return None;
        }
        let value = self.told_by(index, one)?;
        self.cas_fault(value, cas)
    }

    fn cas_fault(&mut self, value: Value, cas: u64) -> Option<(ViolationKind, String)> {
        let version = *self.by_cas.entry(cas).or_insert(value);
        let unique = *self.cas_of.entry(value).or_insert(cas);
        let what = if version != value {
            format!("CAS unique {cas} was told of another version too")
        } else if unique != cas {
            format!("the same version was told with CAS unique {unique} and with {cas}")
        } else {
            return None;
        };
        Some((ViolationKind::CasViolation, what))
    }

    fn value_fault(&self, known: &[Known<'_>], one: &Known<'_>) -> Option<(ViolationKind, String)> {
        let corrupt = |what: String| Some((ViolationKind::CorruptValue, what));
        let mut last = Place::Front;
        let mut bases = 0;
        for (at, token) in one.tokens.iter().enumerate() {
            let Some(&(writer, place)) = self.writers.get(token) else {
                return corrupt(format!("nobody stored {token:#x}"));
            };
            if known[writer].operation.invoked > one.operation.completed {
                return corrupt(format!("{token:#x} was read before it was stored"));
            }
            if one.tokens[..at].contains(token) {
                let what = format!("{token:#x} is in the value twice");
                return Some((ViolationKind::DuplicatedAppend, what));
            }
            if place < last {
                return corrupt(format!("{token:#x} is at the wrong end of the value"));
            }
            last = place;
            bases += usize::from(place == Place::Base);
        }
        if bases == 1 { None } else { corrupt(format!("{bases} stores in one value")) }
    }

    fn number_fault(
        &self,
        known: &[Known<'_>],
        one: &Known<'_>,
        number: u64,
    ) -> Option<(ViolationKind, String)> {
        let began_with = (number >> COUNTER_BASE_SHIFT << COUNTER_BASE_SHIFT) + COUNTER_START;
        let what = match self.writers.get(&began_with) {
            None => format!("nobody stored a number that counts to {number}"),
            Some((writer, _)) if known[*writer].operation.invoked > one.operation.completed => {
                format!("{number} was read before its like was stored")
            }
            Some(_) => return None,
        };
        Some((ViolationKind::CorruptValue, what))
    }

    /// The value of tokens in the order of the bytes, whose places were checked.
    fn value(&mut self, tokens: &[Token]) -> Value {
        let mut value = Value::bare(0);
        let mut fronts = 0;
        for token in tokens {
            match self.writers.get(token) {
                Some((_, Place::Front)) => fronts += 1,
                Some((_, Place::Back)) => value.back = self.chains.push(value.back, *token),
                _ => value.base = *token,
            }
        }
        value.front = tokens[..fronts]
            .iter()
            .rev()
            .fold(Chain::EMPTY, |chain, &token| self.chains.push(chain, token));
        value
    }
}
