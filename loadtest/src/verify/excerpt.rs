//! Operations as lines to be read by people.

use super::history::{Action, NO_REPLY, Nanos, Oddity, Operation, Outcome, Token, Verb};
use super::item::{Chain, Chains, Value};
use super::limits::EXCERPT_MAX;
use super::value::counter_token;
use super::versions::Known;

/// Operations after the one that is told of, at most.
const AFTER_MAX: usize = 3;

/// The operations around one of a key, by the time of their replies, with what it contradicts or
/// comes from, however far away that is. The one begins with `>`, what bears on it with `*`, and
/// `...` stands where some are left out.
pub fn excerpt(known: &[Known<'_>], index: usize) -> Vec<String> {
    let mut places: Vec<usize> = (0..known.len()).collect();
    places.sort_by_key(|&place| (told_at(known, place), place));
    let at = places.iter().position(|&place| place == index).unwrap_or(0);
    let end = (at + 1 + AFTER_MAX).min(places.len());
    let begin = end.saturating_sub(EXCERPT_MAX);
    let bearing = bearing(known, &places, at);
    let mut lines = Vec::new();
    let mut next = 0;
    for (order, &place) in places.iter().enumerate() {
        let is_bearing = bearing.contains(&place);
        if !is_bearing && !(begin..end).contains(&order) {
            continue;
        }
        if order > next && !lines.is_empty() {
            lines.push("  ...".to_owned());
        }
        next = order + 1;
        let mark = match place {
            _ if place == index => '>',
            _ if is_bearing => '*',
            _ => ' ',
        };
        lines.push(format!("{mark} {}", described(known, place)));
    }
    lines
}

/// When the outcome of an operation was known, or could not come any more.
fn told_at(known: &[Known<'_>], place: usize) -> Nanos {
    let operation = &known[place].operation;
    if operation.completed == NO_REPLY { operation.invoked } else { operation.completed }
}

/// What the reply at `at` of `places` contradicts or comes from.
fn bearing(known: &[Known<'_>], places: &[usize], at: usize) -> Vec<usize> {
    let index = places[at];
    let stored = stored(known, index);
    let is_writer = |place: usize| {
        let written = match known[place].operation.action {
            Action::Store { token, .. } | Action::Cas { token, .. } => token,
            _ => return false,
        };
        place != index && stored.contains(&written)
    };
    let mut bearing: Vec<usize> = places.iter().copied().filter(|&it| is_writer(it)).collect();
    let before = || places[..at].iter().rev().copied();
    bearing.extend(of_same_unique(known, places, index));
    let last = |is_it: fn(&Operation) -> bool| before().find(|&it| is_it(&known[it].operation));
    // What the item was made by last, how it went last, and what was seen of it last.
    bearing.extend(last(changes));
    bearing.extend(last(is_end));
    bearing.extend(last(|it| matches!(it.outcome, Outcome::NotFound)));
    let sees = |it: &Operation| matches!(it.outcome, Outcome::Hit { .. } | Outcome::Number { .. });
    bearing.extend(last(sees));
    // What gave it the time to live that it may have outlived.
    bearing.extend(last(|it| ttl(&it.action) > 0));
    bearing
}

/// The tokens that the reply's value is made of; of a counter, the number that it began with.
fn stored(known: &[Known<'_>], index: usize) -> Vec<Token> {
    let one = &known[index];
    match one.operation.outcome {
        Outcome::Number { number, .. } => vec![counter_token(number)],
        _ => one.tokens.to_vec(),
    }
}

/// The operations that told of the reply's CAS unique for the first time, or asked with it, and
/// those that told of its version with another one.
fn of_same_unique(known: &[Known<'_>], places: &[usize], index: usize) -> Vec<usize> {
    let (one, version) = (uniques(&known[index].operation), version_of(&known[index]));
    let others = || places.iter().copied().filter(|&it| it != index);
    let mut same = Vec::new();
    for unique in one.into_iter().filter(|&unique| unique != 0) {
        let has_it = |it: &usize| uniques(&known[*it].operation).contains(&unique);
        same.extend(others().find(has_it));
        // Told of another version: that is where it contradicts itself.
        same.extend(others().filter(has_it).find(|&it| {
            let other = version_of(&known[it]);
            version.is_some() && other.is_some() && other != version
        }));
        same.extend(others().find(|&it| {
            let told = uniques(&known[it].operation)[0];
            told != 0 && told != unique && version.is_some() && version_of(&known[it]) == version
        }));
    }
    same
}

/// The CAS unique that was told, and the one that was asked with; 0 is none.
fn uniques(operation: &Operation) -> [u64; 2] {
    let told = match operation.outcome {
        Outcome::Hit { cas, .. } | Outcome::Number { cas, .. } | Outcome::Stored { cas } => cas,
        _ => 0,
    };
    let asked = match operation.action {
        Action::Cas { cas, .. } | Action::Delete { cas } => cas,
        _ => 0,
    };
    [told, asked]
}

/// The tokens of the version that a reply tells of, where it tells of a whole one.
fn version_of(known: &Known<'_>) -> Option<Vec<Token>> {
    match (known.operation.outcome, known.operation.action) {
        (Outcome::Hit { .. }, _) => Some(known.tokens.to_vec()),
        (Outcome::Number { number, .. }, _) => Some(vec![number]),
        (Outcome::Stored { .. }, Action::Cas { token, .. }) => Some(vec![token]),
        (Outcome::Stored { .. }, Action::Store { verb, token, .. }) => {
            (!matches!(verb, Verb::Append | Verb::Prepend)).then(|| vec![token])
        }
        _ => None,
    }
}

/// Whether the reply says that the item was made or altered.
fn changes(operation: &Operation) -> bool {
    let is_count = matches!(operation.action, Action::Count { .. });
    matches!(operation.outcome, Outcome::Stored { .. })
        || (is_count && matches!(operation.outcome, Outcome::Number { .. }))
}

/// Whether the reply says that the item was deleted.
fn is_end(operation: &Operation) -> bool {
    matches!((operation.action, operation.outcome), (Action::Delete { .. }, Outcome::Done))
}

/// The time to live that is asked for; 0 is none.
fn ttl(action: &Action) -> u32 {
    match *action {
        Action::Store { ttl, .. }
        | Action::Cas { ttl, .. }
        | Action::GetAndTouch { ttl }
        | Action::Touch { ttl } => ttl,
        Action::Get | Action::Count { .. } | Action::Delete { .. } => 0,
    }
}

/// An operation in a line: when, who, what, and the reply.
pub fn described(known: &[Known<'_>], place: usize) -> String {
    // A counter's tokens are the numbers themselves.
    let is_counter = known.iter().any(|Known { operation, .. }| {
        matches!(operation.action, Action::Count { .. })
            || matches!(operation.outcome, Outcome::Number { .. })
    });
    let known = &known[place];
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
        asked(&operation.action, is_counter),
        answered(known, is_counter)
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

fn asked(action: &Action, is_counter: bool) -> String {
    let token = |one: Token| if is_counter { one.to_string() } else { token(one) };
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
            format!("cas {}{} at CAS unique {cas}", token(one), ttl(seconds))
        }
        Action::Count { is_up: true, delta } => format!("incr {delta}"),
        Action::Count { is_up: false, delta } => format!("decr {delta}"),
        Action::Delete { cas: 0 } => "delete".to_owned(),
        Action::Delete { cas } => format!("delete at CAS unique {cas}"),
        Action::Touch { ttl: seconds } => format!("touch{}", ttl(seconds)),
    }
}

fn answered(known: &Known<'_>, is_counter: bool) -> String {
    let token = |one: Token| if is_counter { one.to_string() } else { token(one) };
    let version = |cas: u64| if cas == 0 { String::new() } else { format!(" (CAS unique {cas})") };
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
