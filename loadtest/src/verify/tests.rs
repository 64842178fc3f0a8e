#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod brute;
mod kinds;
mod rough;

use super::simulate::{Bug, Simulation, simulate};
use super::{ViolationKind, check};

#[test]
fn clean_histories_pass() {
    for seed in 0..300 {
        let simulation = Simulation { seed, ..Simulation::default() };
        let verdict = check(&[simulate(&simulation)], seed, 1);
        assert!(verdict.is_clean(), "seed {seed}: {:#?}", verdict.examples);
        assert_eq!(verdict.undecided_keys, 0, "seed {seed}");
        assert!(verdict.misses.total > 0, "seed {seed}");
    }
}

#[test]
fn histories_of_a_buggy_cache_fail_for_its_bug() {
    for bug in Bug::ALL {
        let (first, least_percent, others) = kinds(bug);
        let (mut firsts, mut all) = (0, 0);
        let mut unexpected = Vec::new();
        for seed in 0..60 {
            let verdict = check(&[simulate(&Simulation { seed, ..buggy(bug) })], seed, 1);
            assert!(!verdict.is_clean(), "{bug:?}, seed {seed}: nothing found");
            assert_eq!(verdict.undecided_keys, 0, "{bug:?}, seed {seed}");
            for example in verdict.examples {
                all += 1;
                firsts += u32::from(example.kind == first);
                if example.kind != first && !others.contains(&example.kind) {
                    unexpected.push((seed, example));
                }
            }
        }
        assert!(unexpected.is_empty(), "{bug:?}: {unexpected:#?}");
        assert!(
            firsts * 100 >= all * least_percent,
            "{bug:?}: {firsts} of {all} are told as {first}"
        );
    }
}

/// What a bug is told as, in how many of a hundred cases at least, and what else it may look like:
/// one reply of an old state that no later one decides upon, or one while other operations are
/// under way, has several causes. An old value that comes back before the newer one was read is
/// told as a lost write, append or count.
fn kinds(bug: Bug) -> (ViolationKind, u32, &'static [ViolationKind]) {
    use ViolationKind::{
        CasViolation, CorruptValue, DuplicatedAppend, DuplicatedCount, ExpiredValue, LostAppend,
        LostCount, LostWrite, ResurrectedDelete, ResurrectedValue, StaleRead, WrongKey,
    };
    const OLD: &[ViolationKind] = &[
        StaleRead,
        LostWrite,
        LostAppend,
        LostCount,
        ResurrectedDelete,
        ResurrectedValue,
        CasViolation,
    ];
    match bug {
        Bug::StaleRead => (StaleRead, 66, OLD),
        Bug::LostWrite => (LostWrite, 80, OLD),
        Bug::ResurrectedDelete => (ResurrectedDelete, 90, OLD),
        Bug::ResurrectedValue => (ResurrectedValue, 20, OLD),
        Bug::DuplicatedCount => (DuplicatedCount, 80, OLD),
        Bug::LostCount => (LostCount, 80, OLD),
        Bug::DuplicatedAppend => (DuplicatedAppend, 100, &[]),
        Bug::LostAppend => (LostAppend, 80, OLD),
        Bug::CasAccepted | Bug::CasRefused => (CasViolation, 90, OLD),
        Bug::CasKept | Bug::CasChangedByTouch => (CasViolation, 100, &[]),
        Bug::ExpiredValue => (ExpiredValue, 100, &[]),
        Bug::WrongKey => (WrongKey, 100, &[]),
        Bug::CorruptValue => (CorruptValue, 100, &[]),
    }
}

/// A run in which the bug shows, and rarely enough that one does not hide another.
fn buggy(bug: Bug) -> Simulation {
    let simulation = Simulation { bug: Some(bug), ..Simulation::default() };
    match bug {
        Bug::StaleRead | Bug::ResurrectedValue | Bug::WrongKey | Bug::CorruptValue => {
            Simulation { bug_rate: 20, ..simulation }
        }
        Bug::ExpiredValue => Simulation { bug_rate: 950, keys: 64, ttl_rate: 500, ..simulation },
        Bug::CasKept => Simulation { bug_rate: 1_000, operations: 4_000, ..simulation },
        _ => Simulation { bug_rate: 200, ..simulation },
    }
}
