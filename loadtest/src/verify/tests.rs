#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

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
        let (first, others) = kinds(bug);
        let (mut firsts, mut all) = (0, 0);
        for seed in 0..60 {
            let simulation = Simulation { seed, bug: Some(bug), ..Simulation::default() };
            let verdict = check(&[simulate(&simulation)], seed, 1);
            assert!(!verdict.is_clean(), "{bug:?}, seed {seed}: nothing found");
            for example in &verdict.examples {
                all += 1;
                firsts += u32::from(example.kind == first);
                assert!(
                    example.kind == first || others.contains(&example.kind),
                    "{bug:?}, seed {seed}: {example:#?}"
                );
            }
        }
        println!("{bug:?}: {firsts} of {all}");
        assert!(firsts * 4 >= all * 3, "{bug:?}: {firsts} of {all} are told as {first}");
    }
}

/// What a bug is told as, and what else it may look like to clients.
fn kinds(bug: Bug) -> (ViolationKind, &'static [ViolationKind]) {
    match bug {
        Bug::StaleRead => (ViolationKind::StaleRead, &[]),
        Bug::LostWrite => (ViolationKind::LostWrite, &[]),
        Bug::ResurrectedDelete => (ViolationKind::ResurrectedDelete, &[]),
        Bug::ResurrectedValue => (ViolationKind::ResurrectedValue, &[]),
        Bug::DuplicatedCount => (ViolationKind::DuplicatedCount, &[]),
        Bug::LostCount => (ViolationKind::LostCount, &[]),
        Bug::DuplicatedAppend => (ViolationKind::DuplicatedAppend, &[]),
        Bug::LostAppend => (ViolationKind::LostAppend, &[]),
        Bug::CasAccepted | Bug::CasRefused | Bug::CasKept | Bug::CasChangedByTouch => {
            (ViolationKind::CasViolation, &[])
        }
        Bug::ExpiredValue => (ViolationKind::ExpiredValue, &[]),
        Bug::WrongKey => (ViolationKind::WrongKey, &[]),
        Bug::CorruptValue => (ViolationKind::CorruptValue, &[]),
    }
}
