//! Operations as lines to be read by people.

use super::history::{Action, NO_REPLY, Nanos, Oddity, Outcome, Token, Verb};
use super::item::{Chain, Chains, Value};
use super::limits::EXCERPT_MAX;
use super::versions::Known;

/// Operations after the one that is told of, at most.
const AFTER_MAX: usize = 3;

/// The operations around one of a key, by the time of their replies, with those that stored the
/// tokens of its value.
pub fn excerpt(known: &[Known<'_>], index: usize) -> Vec<String> {
    let told = |place: usize| {
        let operation = &known[place].operation;
        if operation.completed == NO_REPLY { operation.invoked } else { operation.completed }
    };
    let mut places: Vec<usize> = (0..known.len()).collect();
    places.sort_by_key(|&place| (told(place), place));
    let at = places.iter().position(|&place| place == index).unwrap_or(0);
    let end = (at + 1 + AFTER_MAX).min(places.len());
    let begin = end.saturating_sub(EXCERPT_MAX);
    let is_writer = |place: usize| {
        matches!(
            known[place].operation.action,
            Action::Store { token, .. } | Action::Cas { token, .. }
                if known[index].tokens.contains(&token)
        )
    };
    let writers = places[..begin].iter().copied().filter(|&place| is_writer(place));
    let shown = writers.chain(places[begin..end].iter().copied());
    shown
        .map(|place| {
            let mark = if place == index { '>' } else { ' ' };
            format!("{mark} {}", described(&known[place]))
        })
        .collect()
}

/// An operation in a line: when, who, what, and the reply.
pub fn described(known: &Known<'_>) -> String {
    let operation = &known.operation;
    let end = if operation.completed == NO_REPLY {
        "...".to_owned()
    } else {
        moment(operation.completed)
    };
    format!(
        "{}-{end} ms worker {}: {} -> {}",
        moment(operation.invoked),
        operation.worker,
        asked(&operation.action),
        answered(known)
    )
}

/// A time in milliseconds.
pub fn moment(at: Nanos) -> String {
    format!("{}.{:03}", at / 1_000_000, at / 1_000 % 1_000)
}

/// A version in words.
pub fn version(value: Value, is_counter: bool, chains: &Chains) -> String {
    if is_counter {
        return value.base.to_string();
    }
    let list = |chain: Chain| -> Vec<Token> { chains.tokens(chain) };
    let fronts = list(value.front);
    let mut backs = list(value.back);
    backs.reverse();
    let tokens = fronts.into_iter().chain([value.base]).chain(backs);
    tokens.map(token).collect::<Vec<_>>().join("+")
}

fn asked(action: &Action) -> String {
    let ttl = |ttl: u32| if ttl == 0 { String::new() } else { format!(" for {ttl} s") };
    match *action {
        Action::Get => "get".to_owned(),
        Action::GetAndTouch { ttl: seconds } => format!("gat{}", ttl(seconds)),
        Action::Store { verb, token: one, ttl: seconds } => {
            let verb = match verb {
                Verb::Set => "set",
                Verb::Add => "add",
                Verb::Replace => "replace",
                Verb::Append => "append",
                Verb::Prepend => "prepend",
            };
            format!("{verb} {}{}", token(one), ttl(seconds))
        }
        Action::Cas { token: one, ttl: seconds, cas } => {
            format!("cas {}{} at version {cas}", token(one), ttl(seconds))
        }
        Action::Count { is_up: true, delta } => format!("incr {delta}"),
        Action::Count { is_up: false, delta } => format!("decr {delta}"),
        Action::Delete { cas: 0 } => "delete".to_owned(),
        Action::Delete { cas } => format!("delete version {cas}"),
        Action::Touch { ttl: seconds } => format!("touch{}", ttl(seconds)),
    }
}

fn answered(known: &Known<'_>) -> String {
    let version = |cas: u64| if cas == 0 { String::new() } else { format!(" version {cas}") };
    match known.operation.outcome {
        Outcome::NoReply => "no reply".to_owned(),
        Outcome::Refused => "an error".to_owned(),
        Outcome::Hit { cas, .. } => {
            let tokens: Vec<String> = known.tokens.iter().copied().map(token).collect();
            format!("{}{}", tokens.join("+"), version(cas))
        }
        Outcome::Number { number, cas } => format!("{number}{}", version(cas)),
        Outcome::NotFound => "not found".to_owned(),
        Outcome::Stored { cas } => format!("stored{}", version(cas)),
        Outcome::NotStored => "not stored".to_owned(),
        Outcome::Exists => "exists".to_owned(),
        Outcome::Done => "done".to_owned(),
        Outcome::Odd(Oddity::WrongKey(key)) => format!("a value of key number {key}"),
        Outcome::Odd(Oddity::Corrupt) => "a value that nobody sent".to_owned(),
    }
}

/// A token as writer and count.
fn token(token: Token) -> String {
    format!("{}.{}", token >> 48, token & ((1 << 48) - 1))
}
