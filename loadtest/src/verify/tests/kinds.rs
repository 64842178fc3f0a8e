//! What each kind of violation looks like at its plainest.

use super::super::history::{
    Action, COUNT_UNIT, COUNTER_BASE_SHIFT, COUNTER_START, History, NO_REPLY, OddReply, Oddity,
    Operation, Outcome, Token, Verb,
};
use super::super::{Verdict, ViolationKind, check, check_within};

const MS: u64 = 1_000_000;
const COUNTER: Token = (1 << COUNTER_BASE_SHIFT) + COUNTER_START;
const GET: Action = Action::Get;
const DELETE: Action = Action::Delete { cas: 0 };
const STORED: Outcome = Outcome::Stored { cas: 0 };

/// A history of one key whose operations follow each other, 10 ms each.
#[derive(Default)]
struct Script {
    history: History,
    now: u64,
}

impl Script {
    fn then(mut self, action: Action, outcome: Outcome) -> Self {
        let completed = if outcome == Outcome::NoReply { NO_REPLY } else { (self.now + 10) * MS };
        self.history.push(Operation {
            key: 0,
            worker: 0,
            invoked: self.now * MS,
            completed,
            action,
            outcome,
        });
        self.now += 20;
        self
    }

    fn reads(mut self, tokens: &[Token], cas: u64) -> Self {
        let value = self.history.seen(tokens);
        self.then(GET, Outcome::Hit { value, cas })
    }

    fn counts(self, is_up: bool, delta: u64, number: u64) -> Self {
        self.then(Action::Count { is_up, delta }, Outcome::Number { number, cas: 0 })
    }

    fn after_ms(mut self, ms: u64) -> Self {
        self.now += ms;
        self
    }

    fn check(self) -> Verdict {
        check(&[self.history], 0, 1)
    }

    fn fails(self, kind: ViolationKind) {
        let verdict = self.check();
        let kinds: Vec<_> = verdict.examples.iter().map(|example| example.kind).collect();
        assert_eq!(kinds, [kind], "{:#?}", verdict.examples);
    }

    fn passes(self) {
        let verdict = self.check();
        assert!(verdict.is_clean(), "{:#?}", verdict.examples);
        assert_eq!(verdict.undecided_keys, 0);
    }
}

fn script() -> Script {
    Script::default()
}

fn store(verb: Verb, token: Token) -> Action {
    Action::Store { verb, token, ttl: 0 }
}

fn set(token: Token) -> Action {
    store(Verb::Set, token)
}

/// Two stores, and the first read between them.
fn two_stores() -> Script {
    script().then(set(1), STORED).reads(&[1], 0).then(set(2), STORED)
}

#[test]
fn one_old_reply_is_a_stale_read() {
    two_stores().reads(&[1], 0).reads(&[2], 0).fails(ViolationKind::StaleRead);
    two_stores().reads(&[2], 0).reads(&[1], 0).reads(&[2], 0).fails(ViolationKind::StaleRead);
}

#[test]
fn an_old_value_in_place_of_one_never_read_is_a_lost_write() {
    two_stores().reads(&[1], 0).reads(&[1], 0).fails(ViolationKind::LostWrite);
}

#[test]
fn an_old_value_that_stays_after_a_newer_one_was_read_is_resurrected() {
    let back = two_stores().reads(&[2], 0).reads(&[1], 0).reads(&[1], 0);
    back.fails(ViolationKind::ResurrectedValue);
    let after_a_miss = script().then(set(1), STORED).then(GET, Outcome::NotFound).reads(&[1], 0);
    after_a_miss.fails(ViolationKind::ResurrectedValue);
}

#[test]
fn what_was_deleted_is_not_there() {
    let deleted = || script().then(set(1), STORED).then(DELETE, Outcome::Done);
    deleted().reads(&[1], 0).fails(ViolationKind::ResurrectedDelete);
    deleted().then(store(Verb::Add, 2), Outcome::NotStored).fails(ViolationKind::ResurrectedDelete);
    deleted().then(DELETE, Outcome::Done).fails(ViolationKind::ResurrectedDelete);
    deleted().then(GET, Outcome::NotFound).passes();
}

#[test]
fn counts_are_neither_doubled_nor_lost() {
    let counted =
        || script().then(set(COUNTER), STORED).counts(true, COUNT_UNIT, COUNTER + COUNT_UNIT);
    let number = |number| Outcome::Number { number, cas: 0 };
    counted().then(GET, number(COUNTER + 2 * COUNT_UNIT)).fails(ViolationKind::DuplicatedCount);
    counted().then(GET, number(COUNTER)).fails(ViolationKind::LostCount);
    counted().counts(false, 2, COUNTER + COUNT_UNIT - 4).fails(ViolationKind::DuplicatedCount);
    counted().counts(false, 2, COUNTER + COUNT_UNIT).fails(ViolationKind::LostCount);
    counted().counts(false, 2, COUNTER + COUNT_UNIT - 2).passes();
}

#[test]
fn additions_are_neither_doubled_nor_lost() {
    let appended =
        || script().then(set(1), STORED).reads(&[1], 0).then(store(Verb::Append, 2), STORED);
    appended().reads(&[1, 2, 2], 0).fails(ViolationKind::DuplicatedAppend);
    appended().reads(&[1], 0).fails(ViolationKind::LostAppend);
    appended()
        .then(store(Verb::Append, 3), STORED)
        .reads(&[1, 3, 2], 0)
        .fails(ViolationKind::LostAppend);
    appended().then(store(Verb::Prepend, 3), STORED).reads(&[3, 1, 2], 0).passes();
}

#[test]
fn compare_and_swap_goes_by_the_version() {
    let cas = |token, cas| Action::Cas { token, ttl: 0, cas };
    let seen = || script().then(set(1), STORED).reads(&[1], 7);
    seen().then(set(2), STORED).then(cas(3, 7), STORED).fails(ViolationKind::CasViolation);
    seen().then(cas(3, 7), Outcome::Exists).fails(ViolationKind::CasViolation);
    seen().reads(&[1], 8).fails(ViolationKind::CasViolation);
    seen().then(set(2), STORED).reads(&[2], 7).fails(ViolationKind::CasViolation);
    seen().then(DELETE, Outcome::Done).then(cas(3, 7), STORED).fails(ViolationKind::CasViolation);
    seen().then(cas(3, 7), STORED).then(cas(4, 7), Outcome::Exists).reads(&[3], 0).passes();
}

#[test]
fn an_item_ends_with_its_time_to_live() {
    let short = Action::Store { verb: Verb::Set, token: 1, ttl: 1 };
    let stored = || script().then(short, STORED);
    stored().after_ms(3_100).reads(&[1], 0).fails(ViolationKind::ExpiredValue);
    stored().after_ms(2_900).reads(&[1], 0).passes();
    stored().then(Action::Touch { ttl: 0 }, Outcome::Done).after_ms(9_000).reads(&[1], 0).passes();
    let gone = stored().after_ms(3_100).then(GET, Outcome::NotFound).check();
    assert_eq!((gone.misses.expired, gone.misses.evictions_needed), (1, 0));
}

#[test]
fn values_of_other_keys_and_made_up_ones_are_told_apart() {
    let stored = || script().then(set(1), STORED);
    stored().then(GET, Outcome::Odd(Oddity::WrongKey(5))).fails(ViolationKind::WrongKey);
    stored().then(GET, Outcome::Odd(Oddity::Corrupt)).fails(ViolationKind::CorruptValue);
    stored().reads(&[9], 0).fails(ViolationKind::CorruptValue);
    stored().reads(&[2], 0).then(set(2), STORED).fails(ViolationKind::CorruptValue);
}

#[test]
fn a_reply_to_another_request_is_told() {
    let mut script = script().then(set(1), STORED);
    script.history.push_odd_reply(OddReply { key: 0, at: 5, what: "get got STORED".into() });
    script.fails(ViolationKind::ReplyOutOfOrder);
    super::kinds::script().then(GET, STORED).fails(ViolationKind::ReplyOutOfOrder);
}

#[test]
fn a_reply_that_comes_too_late_is_told_where_a_bound_is_given() {
    let history = two_stores().reads(&[2], 0).history;
    let late = |ms: u64| check_within(std::slice::from_ref(&history), 0, 1, Some(ms * MS));
    assert!(late(10).is_clean(), "each took 10 ms");
    let verdict = late(9);
    assert_eq!(verdict.count(ViolationKind::LateReply), 1, "the first of each key is told");
    assert_eq!(verdict.examples[0].at_ns, 10 * MS);
    assert_eq!(verdict.longest_reply_us, 10_000);
    let unanswered = script().then(set(1), STORED).then(set(2), Outcome::NoReply).history;
    assert!(check_within(&[unanswered], 0, 1, Some(10 * MS)).is_clean());
}

#[test]
fn an_operation_without_reply_takes_effect_at_any_later_moment_or_never() {
    let unsure = || script().then(set(1), STORED).then(set(2), Outcome::NoReply);
    unsure().reads(&[1], 0).reads(&[2], 0).passes();
    unsure().reads(&[1], 0).passes();
    unsure().reads(&[2], 0).reads(&[1], 0).reads(&[1], 0).fails(ViolationKind::ResurrectedValue);
}

#[test]
fn a_refused_store_may_have_removed_the_item() {
    let refused = || script().then(set(1), STORED).then(set(2), Outcome::Refused);
    let gone = refused().then(GET, Outcome::NotFound).check();
    assert_eq!((gone.misses.deleted, gone.misses.evictions_needed), (1, 0));
    refused().reads(&[1], 0).passes();
    assert!(!refused().reads(&[2], 0).check().is_clean());
}

#[test]
fn misses_are_explained_by_as_few_evictions_as_can_be() {
    let miss = Outcome::NotFound;
    let script = script().then(GET, miss).then(set(1), STORED).then(GET, miss).then(GET, miss);
    let verdict = script.then(set(2), STORED).then(DELETE, Outcome::Done).then(GET, miss).check();
    assert!(verdict.is_clean());
    let misses = verdict.misses;
    assert_eq!((misses.total, misses.never_stored, misses.deleted), (4, 1, 1));
    assert_eq!((misses.evicted, misses.evictions_needed), (2, 1));
}

#[test]
fn an_excerpt_shows_what_contradicts() {
    let verdict = two_stores().reads(&[1], 0).reads(&[2], 0).check();
    expect_test::expect![[r#"
        * 0.000-10.000 ms worker 0: set 0.1 -> stored
        * 20.000-30.000 ms worker 0: get -> 0.1
        * 40.000-50.000 ms worker 0: set 0.2 -> stored
        > 60.000-70.000 ms worker 0: get -> 0.1
          80.000-90.000 ms worker 0: get -> 0.2
    "#]]
    .assert_eq(&(verdict.examples[0].excerpt.join("\n") + "\n"));
    expect_test::expect![[r#"60.000-70.000 ms worker 0: get -> 0.1, whose value was sent at 0.000 ms; by all replies before, the item was 0.2"#]]
        .assert_eq(&verdict.examples[0].what);
}

#[test]
fn what_contradicts_is_shown_however_far_away_it_is() {
    let shown = |script: Script| script.check().examples[0].excerpt.join("\n") + "\n";
    let reads = |script: Script, token| (0..40).fold(script, |script, _| script.reads(&[token], 0));
    // A unique that was another version's.
    let unique = reads(script().then(set(1), STORED).reads(&[1], 7).then(set(2), STORED), 2);
    let told = shown(unique.reads(&[2], 7));
    assert!(told.contains("* 20.000-30.000 ms worker 0: get -> 0.1 (CAS unique 7)\n"), "{told}");
    // A version that had another unique.
    let version = reads(script().then(set(1), STORED).reads(&[1], 7), 1);
    let told = shown(version.reads(&[1], 8));
    assert!(told.contains("* 20.000-30.000 ms worker 0: get -> 0.1 (CAS unique 7)\n"), "{told}");
    // The store that replaced what came back, and the deletion of what came back.
    let replaced = reads(script().then(set(1), STORED).then(set(2), STORED), 2);
    let told = shown(replaced.reads(&[1], 0));
    for line in
        ["* 0.000-10.000 ms worker 0: set 0.1 -> stored", "* 20.000-30.000 ms worker 0: set 0.2"]
    {
        assert!(told.contains(line), "{told}");
    }
    let deleted = script().then(set(1), STORED).then(DELETE, Outcome::Done);
    let deleted = (0..40).fold(deleted, |script, _| script.then(GET, Outcome::NotFound));
    let told = shown(deleted.reads(&[1], 0));
    assert!(told.contains("* 20.000-30.000 ms worker 0: delete -> done\n  ...\n"), "{told}");
    // The count that was lost, and the store that it began with, as they were on the wire.
    let number = |number| Outcome::Number { number, cas: 0 };
    let counted =
        script().then(set(COUNTER), STORED).counts(true, COUNT_UNIT, COUNTER + COUNT_UNIT);
    let counted = (0..40).fold(counted, |script, _| script.then(GET, number(COUNTER + COUNT_UNIT)));
    let told = shown(counted.then(GET, number(COUNTER)));
    assert!(told.contains(&format!("set {COUNTER} -> stored")), "{told}");
    assert!(told.contains(&format!("* 20.000-30.000 ms worker 0: incr {COUNT_UNIT}")), "{told}");
}
