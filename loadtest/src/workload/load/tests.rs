#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
use memtide_protocol::{Command, Limits, Step, StoreVerb, parse};

use super::*;
use crate::arguments::WorkArguments;
use crate::reply::{Found, read};

const SEED: u64 = 42;

fn traffic(flags: &[(&str, &str)]) -> LoadTraffic {
    let mut work = WorkArguments { keys: Some("1000".to_owned()), ..WorkArguments::default() };
    for &(flag, text) in flags {
        let text = Some(text.to_owned());
        match flag {
            "mix" => work.mix = text,
            "keys" => work.keys = text,
            "multiget" => work.multiget = text,
            "ttl" => work.ttl = text,
            "value-size" => work.value_size = text,
            "look-aside" => work.look_aside = true,
            other => panic!("no flag {other}"),
        }
    }
    LoadTraffic::new(Arc::new(LoadSettings::resolve(&work).unwrap()), 0, 4, SEED)
}

/// The next request of a lane, with its bytes as text.
fn asked(traffic: &mut LoadTraffic, lane: Lane) -> (CommandKind, LoadRequest, String) {
    let mut out = Vec::new();
    let asked = traffic.next(lane, 0, &mut out).unwrap();
    (asked.command, asked.request, String::from_utf8_lossy(&out).into_owned())
}

fn followed_up(
    traffic: &mut LoadTraffic,
    lane: Lane,
) -> Option<(CommandKind, LoadRequest, String)> {
    let mut out = Vec::new();
    let asked = traffic.follow_up(lane, 0, &mut out)?;
    Some((asked.command, asked.request, String::from_utf8_lossy(&out).into_owned()))
}

/// The progress at each event of this reply.
fn hear(
    traffic: &mut LoadTraffic,
    lane: Lane,
    request: &mut LoadRequest,
    reply: &str,
) -> Vec<Progress> {
    let mut bytes = reply.as_bytes();
    let mut progress = Vec::new();
    while !bytes.is_empty() {
        let Ok(Found::Event(consumed, event)) = read(bytes) else { panic!("no reply: {reply}") };
        progress.push(traffic.heard(lane, request, &event, 0));
        bytes = &bytes[consumed..];
    }
    progress
}

fn done(outcome: Outcome, hits: u32, misses: u32) -> Progress {
    Progress::Done { outcome, hits, misses }
}

/// The words of a request's first line.
fn words(text: &str) -> Vec<String> {
    text.lines().next().unwrap().split(' ').map(str::to_owned).collect()
}

#[test]
fn every_request_is_one_command_of_its_kind_that_a_server_reads() {
    for kind in CommandKind::ALL {
        let mix = format!("{}=1", kind.name());
        let flags = [("mix", mix.as_str()), ("ttl", "60-90"), ("value-size", "0-3k")];
        let mut traffic = traffic(&flags);
        for _ in 0..200 {
            let mut out = Vec::new();
            let asked = traffic.next(0, 0, &mut out).unwrap();
            let Step::Command { consumed, command } = parse(&out, &Limits::default()) else {
                panic!("{mix} wrote no command: {out:?}");
            };
            assert_eq!(consumed, out.len(), "{mix}");
            let name = String::from_utf8_lossy(&out).split(' ').next().unwrap().to_owned();
            assert_eq!(asked.command.name(), name);
            assert_eq!(name, if kind == CommandKind::Cas { "gets" } else { kind.name() });
            if let Command::Store(store) = command {
                let secs = store.exptime.to_wire();
                assert!((60..=90).contains(&secs), "{secs}");
            }
        }
    }
}

#[test]
fn times_to_live_are_drawn_from_all_of_their_span() {
    let mut seen = std::collections::BTreeSet::new();
    for mix in ["set=1", "gat=1", "touch=1"] {
        let mut traffic = traffic(&[("mix", mix), ("ttl", "60-63")]);
        for _ in 0..200 {
            let words = words(&asked(&mut traffic, 0).2);
            seen.insert(match mix {
                "set=1" => words[3].clone(),
                "gat=1" => words[1].clone(),
                _ => words[2].clone(),
            });
        }
        let secs: Vec<String> = seen.iter().cloned().collect();
        assert_eq!(secs, ["60", "61", "62", "63"], "{mix}");
        seen.clear();
    }
}

#[test]
fn each_command_takes_its_own_replies_and_no_others() {
    use CommandKind::{
        Add, Append, Cas, Decr, Delete, Gat, Get, Gets, Incr, Ma, Md, Mg, Ms, Prepend, Replace,
        Set, Touch,
    };
    let stores = [Set, Add, Replace, Append, Prepend];
    let all_to = |outcome| CommandKind::ALL.map(|kind| (kind, outcome)).to_vec();
    let metas_to = |outcome| vec![(Ms, outcome), (Md, outcome), (Ma, outcome)];
    let replies = [
        ("STORED", stores.map(|kind| (kind, Outcome::Stored)).to_vec()),
        ("NOT_STORED", stores.map(|kind| (kind, Outcome::NotStored)).to_vec()),
        ("NOT_FOUND", [Incr, Decr, Delete, Touch].map(|kind| (kind, Outcome::NotFound)).to_vec()),
        ("DELETED", vec![(Delete, Outcome::Deleted)]),
        ("TOUCHED", vec![(Touch, Outcome::Touched)]),
        ("12", vec![(Incr, Outcome::Number), (Decr, Outcome::Number)]),
        ("END", [Get, Gets, Gat, Cas].map(|kind| (kind, Outcome::Miss)).to_vec()),
        ("HD c1 k{key}", vec![(Ms, Outcome::Stored), (Md, Outcome::Deleted)]),
        ("VA 2 k{key} t-1\r\n17", vec![(Mg, Outcome::Hit), (Ma, Outcome::Number)]),
        ("EN", vec![(Mg, Outcome::Miss)]),
        ("NF k{key}", metas_to(Outcome::NotFound)),
        ("NF", metas_to(Outcome::NotFound)),
        ("NS", vec![(Ms, Outcome::NotStored), (Ma, Outcome::NotStored)]),
        ("EX", metas_to(Outcome::Exists)),
        ("SERVER_ERROR out of memory", all_to(Outcome::Error)),
        ("CLIENT_ERROR bad", all_to(Outcome::Error)),
        // Of another key, of none, and what nothing here is answered with.
        ("HD kother", vec![]),
        ("HD", vec![]),
        ("NF kother", vec![]),
        ("VA 1 kother\r\nx", vec![]),
        ("EXISTS", vec![]),
        ("OK", vec![]),
        ("MN", vec![]),
        ("VERSION 1", vec![]),
    ];
    for (reply, takers) in replies {
        for kind in CommandKind::ALL {
            let mut traffic = traffic(&[("mix", &format!("{}=1", kind.name()))]);
            let (_, mut request, text) = asked(&mut traffic, 0);
            let reply = format!("{}\r\n", reply.replace("{key}", &words(&text)[1]));
            let taken = takers.iter().find(|(taker, _)| *taker == kind);
            let expected = taken.map_or(Progress::OutOfStep, |&(_, outcome)| match outcome {
                Outcome::Hit => done(outcome, 1, 0),
                Outcome::Miss => done(outcome, 0, 1),
                _ => done(outcome, 0, 0),
            });
            let heard = hear(&mut traffic, 0, &mut request, &reply);
            assert_eq!(heard, [expected], "{kind:?} {reply:?}");
        }
    }
}

#[test]
fn a_get_takes_the_value_of_its_key_once() {
    let mut traffic = traffic(&[("mix", "get=1")]);
    let (_, mut request, text) = asked(&mut traffic, 0);
    let value = format!("VALUE {} 0 2\r\nab\r\n", words(&text)[1]);
    let heard = hear(&mut traffic, 0, &mut request, &format!("{value}END\r\n"));
    assert_eq!(heard, [Progress::More, done(Outcome::Hit, 1, 0)]);

    let (_, mut request, text) = asked(&mut traffic, 0);
    let value = format!("VALUE {} 0 2\r\nab\r\n", words(&text)[1]);
    let heard = hear(&mut traffic, 0, &mut request, &format!("{value}{value}"));
    assert_eq!(heard, [Progress::More, Progress::OutOfStep]);

    let (_, mut request, _) = asked(&mut traffic, 0);
    let other = "VALUE key-fff--------- 0 2\r\nab\r\n";
    assert_eq!(hear(&mut traffic, 0, &mut request, other), [Progress::OutOfStep]);
}

/// Two multigets in flight on one lane and one on another: each is heard by its own keys.
#[test]
fn multigets_count_each_key_and_are_kept_apart() {
    let mut traffic = traffic(&[("mix", "get=1"), ("multiget", "3"), ("keys", "1M")]);
    let (_, mut first, first_text) = asked(&mut traffic, 1);
    let (_, mut second, second_text) = asked(&mut traffic, 1);
    let (_, mut elsewhere, elsewhere_text) = asked(&mut traffic, 2);
    let value = |text: &str, key: usize| format!("VALUE {} 0 1\r\nx\r\n", words(text)[key]);

    let reply = value(&first_text, 2) + &value(&first_text, 3) + "END\r\n";
    assert_eq!(
        hear(&mut traffic, 1, &mut first, &reply),
        [Progress::More, Progress::More, done(Outcome::PartialHit, 2, 1)]
    );
    let of_the_first = value(&first_text, 1);
    assert_eq!(hear(&mut traffic, 1, &mut second, &of_the_first), [Progress::OutOfStep]);
    // In any order, as an endpoint of many nodes may answer.
    let reply = value(&second_text, 3) + &value(&second_text, 1) + &value(&second_text, 2);
    assert_eq!(hear(&mut traffic, 1, &mut second, &reply), [Progress::More; 3]);
    let again = value(&second_text, 1);
    assert_eq!(hear(&mut traffic, 1, &mut second, &again), [Progress::OutOfStep]);
    assert_eq!(
        hear(&mut traffic, 2, &mut elsewhere, "END\r\n"),
        [done(Outcome::Miss, 0, 3)],
        "{elsewhere_text}"
    );
}

#[test]
fn what_was_lost_is_forgotten() {
    let mut traffic = traffic(&[("mix", "get=1"), ("multiget", "2"), ("keys", "1M")]);
    let (_, lost, _) = asked(&mut traffic, 0);
    let (_, mut failed, _) = asked(&mut traffic, 0);
    traffic.lost(0, lost);
    assert_eq!(
        hear(&mut traffic, 0, &mut failed, "SERVER_ERROR busy\r\n"),
        [done(Outcome::Error, 0, 0)]
    );
    let (_, mut next, text) = asked(&mut traffic, 0);
    let reply = format!("VALUE {} 0 1\r\nx\r\nEND\r\n", words(&text)[2]);
    assert_eq!(
        hear(&mut traffic, 0, &mut next, &reply),
        [Progress::More, done(Outcome::PartialHit, 1, 1)]
    );
}

#[test]
fn look_aside_sets_each_missed_key_on_the_lane_of_the_miss() {
    let flags = [("mix", "get=1"), ("multiget", "4"), ("keys", "1M"), ("look-aside", "")];
    let mut traffic = traffic(&flags);
    let (_, mut request, text) = asked(&mut traffic, 3);
    let keys = words(&text);
    let reply = format!("VALUE {} 0 1\r\nx\r\nEND\r\n", keys[2]);
    hear(&mut traffic, 3, &mut request, &reply);
    assert!(followed_up(&mut traffic, 0).is_none());
    for missed in [&keys[1], &keys[3], &keys[4]] {
        let (command, mut request, text) = followed_up(&mut traffic, 3).unwrap();
        assert_eq!(command, CommandKind::Set);
        assert_eq!(words(&text), ["set", missed.as_str(), "0", "0", "100"]);
        let heard = hear(&mut traffic, 3, &mut request, "STORED\r\n");
        assert_eq!(heard, [done(Outcome::Stored, 0, 0)]);
    }
    assert!(followed_up(&mut traffic, 3).is_none());
}

#[test]
fn a_miss_is_followed_by_nothing_without_look_aside() {
    for mix in ["get=1", "mg=1", "incr=1"] {
        for look_aside in [false, true] {
            let flags = [("mix", mix), ("look-aside", "")];
            let mut traffic = traffic(if look_aside { &flags } else { &flags[..1] });
            let (kind, mut request, text) = asked(&mut traffic, 0);
            let miss = match kind {
                CommandKind::Get => "END\r\n",
                CommandKind::Mg => "EN\r\n",
                _ => "NOT_FOUND\r\n",
            };
            hear(&mut traffic, 0, &mut request, miss);
            let set = followed_up(&mut traffic, 0).map(|(_, _, text)| words(&text)[..2].join(" "));
            assert_eq!(set, look_aside.then(|| format!("set {}", words(&text)[1])), "{mix}");
        }
    }
}

#[test]
fn cas_sends_the_token_that_came_back() {
    let mut traffic = traffic(&[("mix", "cas=1"), ("value-size", "5")]);
    let (command, mut request, text) = asked(&mut traffic, 0);
    assert_eq!(command, CommandKind::Gets);
    let key = words(&text)[1].clone();
    let reply = format!("VALUE {key} 0 1 987654\r\nx\r\nEND\r\n");
    let heard = hear(&mut traffic, 0, &mut request, &reply);
    assert_eq!(heard, [Progress::More, done(Outcome::Hit, 1, 0)]);
    for (reply, outcome) in [("EXISTS\r\n", Outcome::Exists), ("NOT_FOUND\r\n", Outcome::NotFound)]
    {
        let mut traffic = self::traffic(&[("mix", "cas=1"), ("value-size", "5")]);
        let (_, mut request, _) = asked(&mut traffic, 0);
        let value = format!("VALUE {key} 0 1 987654\r\nx\r\nEND\r\n");
        hear(&mut traffic, 0, &mut request, &value);
        let (command, mut request, text) = followed_up(&mut traffic, 0).unwrap();
        assert_eq!(command, CommandKind::Cas);
        assert_eq!(words(&text), ["cas", &key, "0", "0", "5", "987654"]);
        assert_eq!(hear(&mut traffic, 0, &mut request, reply), [done(outcome, 0, 0)]);
        assert!(followed_up(&mut traffic, 0).is_none());
    }
    let (_, mut request, _) = asked(&mut traffic, 1);
    hear(&mut traffic, 1, &mut request, "END\r\n");
    assert!(followed_up(&mut traffic, 1).is_none(), "a miss has no token");
}

#[test]
fn appended_values_are_set_anew_now_and_then() {
    let mut traffic = traffic(&[("mix", "append=1,prepend=1"), ("value-size", "4k")]);
    let mut resets = 0;
    for _ in 0..6_400 {
        let (_, mut request, text) = asked(&mut traffic, 0);
        assert_eq!(words(&text)[4], "16");
        hear(&mut traffic, 0, &mut request, "STORED\r\n");
        if let Some((_, _, set)) = followed_up(&mut traffic, 0) {
            assert_eq!(words(&set)[..2], ["set".to_owned(), words(&text)[1].clone()]);
            resets += 1;
        }
    }
    assert!((60..=140).contains(&resets), "{resets}");
}

#[test]
fn a_key_has_the_same_value_whoever_stores_it() {
    let mut seen = std::collections::HashMap::new();
    for mix in ["set=1", "add=1", "replace=1"] {
        let mut traffic = traffic(&[("mix", mix), ("value-size", "0-300"), ("keys", "50")]);
        for _ in 0..300 {
            let mut out = Vec::new();
            traffic.next(0, 0, &mut out).unwrap();
            let Step::Command { command: Command::Store(store), .. } =
                parse(&out, &Limits::default())
            else {
                panic!("no store: {out:?}");
            };
            assert!(!matches!(store.verb, StoreVerb::Cas(_)));
            let value = seen.entry(store.key.to_vec()).or_insert_with(|| store.value.to_vec());
            assert_eq!(value, store.value);
        }
    }
    assert_eq!(seen.len(), 50);
    let sizes: std::collections::HashSet<usize> = seen.values().map(Vec::len).collect();
    assert!(sizes.len() > 30, "{sizes:?}");
}

#[test]
fn a_seed_asks_the_same_again() {
    let flags = [("mix", "get=5,set=3,gat=1,incr=1"), ("multiget", "1-4"), ("ttl", "1-9")];
    let script = |mut traffic: LoadTraffic| {
        let mut out = Vec::new();
        for _ in 0..100 {
            traffic.next(0, 0, &mut out);
        }
        out
    };
    assert_eq!(script(traffic(&flags)), script(traffic(&flags)));
    let mut other = traffic(&flags);
    other.rng = rng(SEED + 1, 0);
    assert_ne!(script(traffic(&flags)), script(other));
}

/// The memory that requests need stays what it was once it was needed: no request allocates.
#[test]
fn outstanding_multigets_reuse_their_memory() {
    let mut traffic = traffic(&[("mix", "get=1"), ("multiget", "10"), ("look-aside", "")]);
    let mut capacity = None;
    for round in 0..1000 {
        let mut requests: Vec<LoadRequest> = (0..5).map(|_| asked(&mut traffic, 0).1).collect();
        for request in &mut requests {
            hear(&mut traffic, 0, request, "END\r\n");
            while followed_up(&mut traffic, 0).is_some() {}
        }
        let now = (traffic.lanes[0].multigets.capacity(), traffic.lanes[0].follow_ups.capacity());
        assert_eq!(*capacity.get_or_insert(now), now, "round {round}");
    }
}
