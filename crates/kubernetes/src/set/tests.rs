#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use k8s_openapi::api::apps::v1::{StatefulSetOrdinals, StatefulSetSpec};

use super::*;

fn set() -> Set {
    Set { zone: Zone::new("a").unwrap(), name: "node-a".to_owned() }
}

fn stateful_set(replicas: Option<i32>, annotations: &[(&str, &str)]) -> StatefulSet {
    let annotations = annotations.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned()));
    let mut set = StatefulSet::default();
    set.metadata.annotations = Some(annotations.collect());
    set.spec = Some(StatefulSetSpec { replicas, ..StatefulSetSpec::default() });
    set
}

#[test]
fn pods_have_names_by_number_and_nothing_else_is_one() {
    let set = set();
    assert_eq!(set.pod(12), "node-a-12");
    assert_eq!(set.ordinal("node-a-12"), Some(12));
    for other in ["node-a", "node-a-", "node-a-012", "node-a-1-2", "node-b-1", "node-a-+1", ""] {
        assert_eq!(set.ordinal(other), None, "{other}");
    }
}

#[test]
fn what_a_set_says_of_its_pods_is_offered() {
    let said = [
        (annotation::MEMORY_MAX, "8GiB"),
        (annotation::MEMORY, "128m"),
        (annotation::CPUS, "0.5"),
        (annotation::NETWORK_MAX, "100m"),
        (annotation::READY_IN, "2m"),
    ];
    let seen = Seen::read(&stateful_set(Some(2), &said)).unwrap();
    let supply = set().supply(&seen, 4);
    let capacity = Capacity { memory: 8 << 30, cpu: 500, ecpu: 75_000, network: 100 << 20 };
    assert_eq!((supply.capacity, supply.memory_min), (capacity, 128 << 20));
    assert_eq!((supply.kind.as_str(), supply.ready_in), ("node-a", Duration::from_secs(120)));
    assert_eq!(supply.names, ["node-a-0", "node-a-1", "node-a-2", "node-a-3"]);
    assert_eq!(supply.there, ["node-a-1", "node-a-0"]);
    // One is the default of an API server.
    let least = Seen::read(&stateful_set(None, &[(annotation::MEMORY_MAX, "1g")])).unwrap();
    assert_eq!((least.replicas, least.memory_min, least.ready_in), (1, MEMORY_MIN, READY_IN));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let check = |said: &[(&str, &str)], expected: &str| {
        let problem = Seen::read(&stateful_set(Some(1), said)).unwrap_err();
        assert!(problem.contains(expected), "{said:?}: {problem}");
    };
    check(&[], "it has no annotation node.memtide/memory-max");
    check(&[(annotation::MEMORY_MAX, "much")], "node.memtide/memory-max: \"much\": ");
    let memory = (annotation::MEMORY_MAX, "1g");
    check(&[memory, (annotation::MEMORY, "2g")], "node.memtide/memory: more than memory-max");
    check(&[memory, (annotation::CPUS, "many")], "node.memtide/cpus: \"many\": give a share");
    check(&[memory, (annotation::READY_IN, "soon")], "node.memtide/ready-in: \"soon\": give");
    let mut shifted = stateful_set(Some(1), &[memory]);
    let ordinals = Some(StatefulSetOrdinals { start: Some(3) });
    shifted.spec.as_mut().unwrap().ordinals = ordinals;
    assert!(Seen::read(&shifted).unwrap_err().contains("spec.ordinals.start"));
}

#[test]
fn a_set_grows_to_have_a_pod_and_never_shrinks_for_it() {
    assert_eq!([0, 1, 3].map(|replicas| to_start(replicas, 1)), [Some(2), Some(2), None]);
}

#[test]
fn pods_go_from_the_last_on_and_only_those_that_are_ended() {
    let check = |replicas, ordinal, ending: &[u32], expected| {
        let ending = ending.iter().copied().collect();
        assert_eq!(to_end(replicas, ordinal, &ending), expected, "{replicas} {ordinal} {ending:?}");
    };
    check(4, 3, &[3], ToEnd::Scale(3));
    check(4, 2, &[2], ToEnd::Keep);
    check(4, 1, &[1, 3], ToEnd::Keep);
    check(4, 2, &[2, 3], ToEnd::Scale(2));
    check(4, 3, &[0, 2, 3], ToEnd::Scale(2));
    check(1, 0, &[0], ToEnd::Scale(0));
    check(3, 3, &[3], ToEnd::Wait);
    check(0, 3, &[3], ToEnd::Wait);
}
