//! Slots held as copies beside a node's own: what a copy got stays, whatever else happens.

mod turns;

use super::SEED;
use crate::{
    ApplyError, Change, Delete, Expiry, Found, ItemState, Key, Lookup, Now, Put, PutOutcome,
    Recache, Store, StoreConfig, Value,
};
use memtide_topology::SlotId;

const START: u32 = 1_000_000;
const NOW: Now = Now::from_unix_secs(START);

fn with_key<R>(name: &str, with: impl FnOnce(Key<'_>) -> R) -> R {
    with(Key::new(name.as_bytes(), SEED.hash(name.as_bytes())).unwrap())
}

fn slot_of(name: &str) -> SlotId {
    with_key(name, |key| key.slot())
}

fn set(store: &Store, name: &str, value: &[u8], now: Now) -> PutOutcome {
    let op = Put { value, failure_removes: true, ..Put::default() };
    with_key(name, |key| store.put(key, &op, now))
}

fn is_stored(outcome: PutOutcome) -> bool {
    matches!(outcome, PutOutcome::Stored { .. })
}

fn value_of(store: &Store, name: &str, now: Now) -> Option<Vec<u8>> {
    with_key(name, |key| {
        store.lookup(key, &Lookup::default(), now, |found| match found {
            Found::Hit(hit) => Some(hit.item.value.contiguous().into_owned()),
            Found::Miss => None,
        })
    })
}

fn item<'a>(name: &'a str, value: &'a [u8], exptime: u32) -> ItemState<'a> {
    ItemState {
        key: name.as_bytes(),
        value: Value::from(value),
        client_flags: 0,
        cas: 1,
        exptime,
        is_stale: false,
        is_token_sent: false,
        key_is_binary: false,
    }
}

fn apply(store: &Store, name: &str, change: &Change<'_>, now: Now) -> Result<(), ApplyError> {
    let mut bytes = vec![];
    change.encode(&mut bytes);
    store.apply(slot_of(name), 1, &bytes, now)
}

fn small(memory_max: u64, shards: u16) -> Store {
    Store::new(StoreConfig { shards: Some(shards), ..StoreConfig::new(memory_max, SEED) })
}

/// Takes what the primary has journaled to the copy.
fn deliver(primary: &Store, copy: &Store, now: Now) {
    for shard in 0..primary.shards() {
        primary.take_journal(shard, |slot, version, change| {
            assert_eq!(copy.apply(slot, version, change, now), Ok(()));
        });
    }
}

#[test]
fn a_node_full_of_copies_refuses_and_goes_on() {
    let store = small(4 << 20, 4);
    SlotId::all().for_each(|slot| store.set_copy(slot, true));
    let value = [7; 3000];
    let names: Vec<_> = (0..2000).map(|number| format!("key{number}")).collect();
    let put = |name: &String| apply(&store, name, &Change::Item(item(name, &value, 0)), NOW);
    let taken = names.iter().position(|name| put(name).is_err()).expect("the memory is bounded");
    assert_eq!(put(&names[taken]), Err(ApplyError::NoRoom { value_len: 3000 }));
    assert!(taken > 800, "{taken} items of 3 KB in 4 MiB");
    assert_eq!(store.slot_version(slot_of(&names[taken])), 0, "nothing changed");
    // Its own items find no memory either.
    store.set_copy(slot_of("own"), false);
    assert_eq!(set(&store, "own", &[7; 100_000], NOW), PutOutcome::OutOfMemory);
    store.set_memory_max(2 << 20);
    assert!(!store.maintain(NOW, 1 << 20).is_behind, "there is nothing to be done");
    let stats = store.stats();
    assert_eq!((stats.copy_items, stats.evicted), (taken as u64, 0), "{stats:?}");
    // A removal needs no memory; what it leaves can be used.
    store.set_memory_max(4 << 20);
    for name in &names[..100] {
        assert_eq!(apply(&store, name, &Change::Removed { key: name.as_bytes() }, NOW), Ok(()));
    }
    assert_eq!(put(&names[taken]), Ok(()));
    assert!(names[100..=taken].iter().all(|name| value_of(&store, name, NOW).is_some()));
    store.check();
}

#[test]
fn a_copy_takes_the_memory_of_what_its_node_may_evict() {
    let store = small(4 << 20, 4);
    let is_copy = |name: &str| slot_of(name).number().is_multiple_of(2);
    let copies = SlotId::all().filter(|slot| slot.number().is_multiple_of(2));
    copies.for_each(|slot| store.set_copy(slot, true));
    let names: Vec<_> = (0..2400).map(|number| format!("key{number}")).collect();
    let own = names.iter().filter(|name| !is_copy(name));
    own.clone().for_each(|name| assert!(is_stored(set(&store, name, &[7; 3000], NOW))));
    let others: Vec<_> = names.iter().filter(|name| is_copy(name)).take(900).collect();
    for name in &others {
        assert_eq!(apply(&store, name, &Change::Item(item(name, &[8; 3000], 0)), NOW), Ok(()));
    }
    assert!(others.iter().all(|name| value_of(&store, name, NOW).is_some()));
    let stats = store.stats();
    assert_eq!(stats.copy_items, 900);
    assert!(stats.items > 900 && stats.evicted > 500, "{stats:?}");
    // Its own commands still evict its own items.
    own.for_each(|name| assert!(is_stored(set(&store, name, &[7; 3000], NOW))));
    assert!(others.iter().all(|name| value_of(&store, name, NOW).is_some()));
    store.check();
}

#[test]
fn a_copy_shows_no_expired_item_and_expires_none() {
    let store = small(4 << 20, 1);
    store.set_copy(slot_of("k"), true);
    assert_eq!(apply(&store, "k", &Change::Item(item("k", b"v", START + 5)), NOW), Ok(()));
    let after = Now::from_unix_secs(START + 5);
    let version = store.slot_version(slot_of("k"));
    assert_eq!(value_of(&store, "k", after), None);
    while store.maintain(after, 1 << 20).is_behind {}
    let maintained = store.maintain(after, 1 << 20);
    assert_eq!((maintained.expired, maintained.scanned_bytes), (0, 0), "nothing is due");
    assert_eq!((store.stats().items, store.slot_version(slot_of("k"))), (1, version));
    // As a primary it does what it left to another before.
    store.set_copy(slot_of("k"), false);
    assert_eq!(store.maintain(after, 1 << 20).expired, 1);
    assert_eq!(store.slot_version(slot_of("k")), version + 1);
    store.check();
}

#[test]
fn a_lookup_of_a_copy_changes_nothing_that_its_primary_decides() {
    let store = small(4 << 20, 1);
    store.set_copy(slot_of("k"), true);
    let stale = ItemState { is_stale: true, ..item("k", b"v", START + 50) };
    assert_eq!(apply(&store, "k", &Change::Item(stale), NOW), Ok(()));
    let recache = Recache { before: Expiry::At(START + 100), after_touch: false };
    let op = Lookup {
        touch: Some(Expiry::Never),
        takes_token: true,
        recache: Some(recache),
        ..Lookup::default()
    };
    with_key("k", |key| {
        store.lookup(key, &op, NOW, |found| {
            let Found::Hit(hit) = found else { panic!("it is there") };
            assert!(hit.item.is_stale && !hit.is_won && !hit.is_already_won);
            assert_eq!(hit.item.ttl, Some(50));
        });
        store.delete(key, &Delete { cas_compare: Some(2), ..Delete::default() }, NOW);
    });
    let absent = (0..).map(|n| format!("absent{n}")).find(|name| slot_of(name) == slot_of("k"));
    let vivify = Lookup { vivify: Some(Expiry::Never), ..Lookup::default() };
    with_key(&absent.unwrap(), |key| {
        store.lookup(key, &vivify, NOW, |found| assert_eq!(found, Found::Miss));
    });
    assert_eq!(store.slot_version(slot_of("k")), 1);
    assert_eq!(store.stats().items, 1);
}

/// Tokens, marks and expiry are what a client finds after a failover.
#[test]
fn who_is_promoted_goes_on_where_the_primary_was() {
    let (primary, copy) = (small(4 << 20, 1), small(4 << 20, 2));
    let slot = slot_of("k");
    primary.set_journaled(slot, true);
    copy.set_copy(slot, true);
    let expiry = Expiry::At(START + 90);
    let put = Put { value: b"v", client_flags: 9, expiry, ..Put::default() };
    let mg = Lookup { takes_token: true, ..Lookup::default() };
    let seen = |store: &Store| {
        with_key("k", |key| {
            store.lookup(key, &mg, NOW, |found| {
                let Found::Hit(hit) = found else { panic!("it is there") };
                let item = hit.item;
                let tokens = (item.is_stale, hit.is_won, hit.is_already_won);
                (item.client_flags, item.cas, item.ttl, item.key_is_binary, tokens)
            })
        })
    };
    with_key("k", |key| {
        primary.put(key.binary(), &put, NOW);
        let invalidate = Delete { invalidate: true, ..Delete::default() };
        primary.delete(key, &invalidate, NOW);
    });
    deliver(&primary, &copy, NOW);
    assert_eq!(seen(&primary), (9, 2, Some(90), true, (true, true, false)), "wins the token");
    with_key("k", |key| assert!(primary.touch(key, Expiry::At(START + 70), NOW)));
    deliver(&primary, &copy, NOW);
    copy.set_copy(slot, false);
    assert_eq!(seen(&copy), (9, 2, Some(70), true, (true, false, true)), "it was won before");
    assert_eq!(copy.slot_version(slot), 4);
    copy.set_slot_version(slot, 7 << 32);
    copy.set_slot_version(slot, 5);
    let outcome = set(&copy, "k", b"new", NOW);
    assert_eq!(outcome, PutOutcome::Stored { cas: (7 << 32) + 1, value_len: 3 });
}

#[test]
fn what_is_no_change_of_the_slot_is_refused_whole() {
    let store = Store::new(StoreConfig { item_size_max: 4096, ..StoreConfig::new(4 << 20, SEED) });
    let slot = slot_of("k");
    let mut good = vec![];
    Change::Item(item("k", b"v", 0)).encode(&mut good);
    assert_eq!(store.apply(slot, 5, &good, NOW), Err(ApplyError::NotACopy));
    store.set_copy(slot, true);
    let check = |change: &[u8], version, expected: ApplyError, message: &str| {
        let changes = [&good, change].concat();
        assert_eq!(store.apply(slot, version, &changes, NOW), Err(expected));
        assert_eq!(expected.to_string(), message);
        assert_eq!((store.stats().items, store.slot_version(slot)), (0, 0), "{message}");
    };
    let encoded = |change: Change<'_>| {
        let mut bytes = vec![];
        change.encode(&mut bytes);
        bytes
    };
    let other = encoded(Change::Removed { key: b"other" });
    let slot_of_other = slot_of("other");
    let message = format!("change is about a key of slot {}", slot_of_other.number());
    check(&other, 5, ApplyError::OtherSlot(slot_of_other), &message);
    let large = encoded(Change::Item(item("k", &[7; 4096], 0)));
    let message = "item of 4096 bytes is larger than this node allows";
    check(&large, 5, ApplyError::TooLarge { value_len: 4096 }, message);
    let message = "version 18446744073709551615 is out of range";
    check(&[], u64::MAX, ApplyError::Version(u64::MAX), message);
    let malformed = Change::decode(&[3]).unwrap_err();
    let message = "malformed change: change is of unknown kind 3";
    check(&[3], 5, ApplyError::Malformed(malformed), message);
    assert_eq!(store.apply(slot, 5, &good, NOW), Ok(()));
    assert_eq!((store.stats().items, store.slot_version(slot)), (1, 5));
}

#[test]
fn eviction_for_another_node_takes_from_the_wanted_slots() {
    let store = small(32 << 20, 2);
    SlotId::all().for_each(|slot| store.set_journaled(slot, true));
    let is_wanted = |slot: SlotId| slot.number() % 4 < 2;
    let names: Vec<_> = (0..8000).map(|number| format!("key{number}")).collect();
    for name in &names {
        assert!(is_stored(set(&store, name, &[7; 1000], NOW)));
        store.take_journal(store.shard_of(slot_of(name)), |_, _, _| {});
    }
    let used = names.iter().filter(|name| is_wanted(slot_of(name))).take(100);
    used.clone().for_each(|name| assert!(value_of(&store, name, NOW).is_some()));
    for shard in 0..store.shards() {
        let gone = store.evict_for(shard, 500_000, NOW, is_wanted);
        assert!((500_000..600_000).contains(&gone), "{gone} bytes");
        let mut removed = 0;
        store.take_journal(shard, |slot, _, change| {
            assert!(is_wanted(slot) && store.shard_of(slot) == shard);
            assert!(matches!(Change::decode(change), Ok((Change::Removed { .. }, _))));
            removed += 1;
        });
        assert!(removed * 1000 < gone && gone < removed * 1100, "{removed} items are {gone} bytes");
    }
    assert!(used.clone().all(|name| value_of(&store, name, NOW).is_some()), "used ones stay");
    store.check();
    // With everything asked for, everything goes in the end, and nothing else.
    let kept = names.iter().filter(|name| !is_wanted(slot_of(name)));
    for _ in 0..5 {
        (0..store.shards()).for_each(|shard| _ = store.evict_for(shard, u64::MAX, NOW, is_wanted));
    }
    assert_eq!(store.stats().items, kept.clone().count() as u64);
    assert!(kept.clone().all(|name| value_of(&store, name, NOW).is_some()));
    store.check();
}

#[test]
fn an_untaken_journal_stays_small() {
    let store = small(32 << 20, 8);
    SlotId::all().for_each(|slot| store.set_journaled(slot, true));
    let names: Vec<_> = (0..150_000).map(|number| format!("{number:0>200}")).collect();
    for name in &names {
        assert!(is_stored(set(&store, name, &[7; 20], NOW)));
        store.take_journal(store.shard_of(slot_of(name)), |_, _, _| {});
    }
    // From here on only one shard's commands run, and take what they wrote. It has lost its items,
    // so the others give memory up for it.
    let slots = SlotId::all().filter(|slot| store.shard_of(*slot) == 3);
    slots.for_each(|slot| store.drop_slot(slot));
    store.set_memory_max(store.stats().memory_used);
    let more = (0..).map(|number| format!("more{number}"));
    for name in more.filter(|name| store.shard_of(slot_of(name)) == 3).take(40_000) {
        assert!(is_stored(set(&store, &name, &[7; 1000], NOW)));
        store.take_journal(3, |_, _, _| {});
    }
    let most = (0..8).map(|shard| store.journal_bytes(shard)).max().unwrap();
    assert!((200_000..300_000).contains(&most), "{most} bytes wait");
    assert_eq!(store.stats().journal_bytes, (0..8).map(|s| store.journal_bytes(s) as u64).sum());
    (0..8).for_each(|shard| store.take_journal(shard, |_, _, _| {}));
    assert_eq!(store.stats().journal_bytes, 0);
}
