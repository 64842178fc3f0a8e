//! memcached's item semantics, as tables. Answers of memcached 1.6.18 where it has the feature.

use super::SEED;
use crate::{
    Arithmetic, ArithmeticOutcome, Delete, DeleteOutcome, Expiry, Found, Key, Lookup, Now, Put,
    PutMode, PutOutcome, Recache, Store, StoreConfig, VivifyNumber,
};

const NOW: u32 = 1_000_000;

fn store() -> Store {
    Store::new(StoreConfig::new(16 << 20, SEED))
}

fn key(bytes: &str) -> Key<'_> {
    Key::new(bytes.as_bytes(), SEED.hash(bytes.as_bytes())).unwrap()
}

fn now() -> Now {
    Now::from_unix_secs(NOW)
}

fn later(seconds: u32) -> Now {
    Now::from_unix_secs(NOW + seconds)
}

fn at(seconds: u32) -> Expiry {
    Expiry::At(NOW + seconds)
}

const MG: Lookup = Lookup {
    touch: None,
    vivify: None,
    recache: None,
    cas_override: None,
    no_bump: false,
    takes_token: true,
};

fn set(store: &Store, k: &str, value: &str) -> u64 {
    put(store, k, &Put { value: value.as_bytes(), ..Put::default() })
}

fn put(store: &Store, k: &str, op: &Put<'_>) -> u64 {
    match store.put(key(k), op, now()) {
        PutOutcome::Stored { cas, .. } => cas,
        other => panic!("{k}: {other:?}"),
    }
}

/// An item as mg with every flag would report it.
fn show(store: &Store, k: &str, op: &Lookup, now: Now) -> String {
    store.lookup(key(k), op, now, |found| match found {
        Found::Miss => "EN".to_owned(),
        Found::Hit(hit) => {
            let item = hit.item;
            let ttl = item.ttl.map_or(-1, i64::from);
            let bytes = item.value.contiguous();
            let value = String::from_utf8_lossy(&bytes);
            let mut line = format!("{value:?} t{ttl} f{} c{}", item.client_flags, item.cas);
            line += &format!(" l{} h{}", hit.last_access_age, u8::from(hit.was_fetched));
            for (is_set, flag) in [
                (item.key_is_binary, " b"),
                (hit.is_won, " W"),
                (item.is_stale, " X"),
                (hit.is_already_won, " Z"),
                (hit.is_vivified, " new"),
            ] {
                line += if is_set { flag } else { "" };
            }
            line
        }
    })
}

fn mg(store: &Store, k: &str) -> String {
    show(store, k, &MG, now())
}

fn incr(store: &Store, k: &str, delta: u64) -> ArithmeticOutcome {
    store.arithmetic(key(k), &Arithmetic::incr(delta), now())
}

#[test]
fn a_get_reports_what_was_before_it() {
    let store = store();
    put(&store, "k", &Put { value: b"v", client_flags: 7, expiry: at(100), ..Put::default() });
    let quiet = Lookup { no_bump: true, ..MG };
    assert_eq!(show(&store, "k", &quiet, later(2)), r#""v" t98 f7 c1 l2 h0"#);
    assert_eq!(show(&store, "k", &MG, later(3)), r#""v" t97 f7 c1 l3 h0"#);
    assert_eq!(show(&store, "k", &MG, later(5)), r#""v" t95 f7 c1 l2 h1"#);
    assert_eq!(show(&store, "k", &MG, later(99)), r#""v" t1 f7 c1 l94 h1"#);
    assert_eq!(show(&store, "k", &MG, later(100)), "EN");
    assert_eq!(store.stats().expired_on_lookup, 1);
    store.check();
}

#[test]
fn each_mode_stores_under_its_condition() {
    let check = |mode, compare, over: &str, missing: &str| {
        let store = store();
        set(&store, "k", "old");
        let op = Put { mode, value: b"new", cas_compare: compare, ..Put::default() };
        let show = |outcome| match outcome {
            PutOutcome::Stored { value_len, .. } => format!("stored {value_len}"),
            other => format!("{other:?}"),
        };
        assert_eq!(show(store.put(key("k"), &op, now())), over, "{mode:?} {compare:?} over");
        assert_eq!(show(store.put(key("m"), &op, now())), missing, "{mode:?} {compare:?} missing");
        store.check();
    };
    use PutMode::{Add, Append, Prepend, Replace, Set};
    check(Set, None, "stored 3", "stored 3");
    check(Set, Some(1), "stored 3", "NotFound");
    check(Set, Some(2), "Exists", "NotFound");
    check(Set, Some(0), "Exists", "NotFound");
    check(Add, None, "NotStored", "stored 3");
    check(Add, Some(1), "NotStored", "stored 3");
    check(Replace, None, "stored 3", "NotStored");
    check(Replace, Some(1), "stored 3", "NotFound");
    check(Replace, Some(2), "Exists", "NotFound");
    check(Append, None, "stored 6", "NotStored");
    check(Append, Some(1), "stored 6", "NotStored");
    check(Append, Some(0), "stored 6", "NotStored");
    check(Append, Some(2), "Exists", "NotStored");
    check(Prepend, None, "stored 6", "NotStored");
}

#[test]
fn append_keeps_client_flags_and_expiry_and_clears_marks() {
    let store = store();
    put(&store, "k", &Put { value: b"b", client_flags: 7, expiry: at(50), ..Put::default() });
    mg(&store, "k");
    let add = |mode, value| Put { mode, value, client_flags: 9, expiry: at(9), ..Put::default() };
    put(&store, "k", &add(PutMode::Append, b"c"));
    assert_eq!(mg(&store, "k"), r#""bc" t50 f7 c2 l0 h0"#);
    put(&store, "k", &add(PutMode::Prepend, b"a"));
    assert_eq!(mg(&store, "k"), r#""abc" t50 f7 c3 l0 h0"#);
    let vivify = Put { vivify: Some(at(30)), ..add(PutMode::Append, b"new") };
    put(&store, "m", &vivify);
    assert_eq!(mg(&store, "m"), r#""new" t30 f9 c1 l0 h0"#);
}

#[test]
fn an_item_is_as_large_as_memcached_allows() {
    let store = store();
    let largest = (1 << 20) - 48 - 8 - 1 - 1 - 2;
    let value = vec![b'x'; largest + 1];
    let op = |len: usize, client_flags| Put {
        value: &value[..len],
        client_flags,
        failure_removes: true,
        ..Put::default()
    };
    put(&store, "k", &op(largest, 0));
    assert_eq!(store.put(key("k"), &op(largest + 1, 0), now()), PutOutcome::TooLarge);
    assert_eq!(mg(&store, "k"), "EN", "a failed set leaves nothing");
    put(&store, "k", &op(largest - 4, 1));
    assert_eq!(store.put(key("k"), &op(largest - 3, 1), now()), PutOutcome::TooLarge);
    put(&store, "k", &op(largest - 1, 0));
    let append = Put { mode: PutMode::Append, value: b"x", ..Put::default() };
    put(&store, "k", &append);
    assert_eq!(store.put(key("k"), &append, now()), PutOutcome::NotStored);
    let add = Put { mode: PutMode::Add, failure_removes: false, ..op(largest + 1, 0) };
    assert_eq!(store.put(key("k"), &add, now()), PutOutcome::TooLarge);
    assert_ne!(mg(&store, "k"), "EN", "a failed add leaves the item");
    store.check();
}

#[test]
fn the_next_mg_wins_a_stale_item_and_only_that() {
    let store = store();
    set(&store, "k", "v");
    let invalidate = Delete { invalidate: true, touch: Some(at(30)), ..Delete::default() };
    assert_eq!(store.delete(key("k"), &invalidate, now()), DeleteOutcome::Deleted);
    let get = Lookup::default();
    assert_eq!(show(&store, "k", &get, now()), r#""v" t30 f0 c2 l0 h0 X"#, "a get wins nothing");
    assert_eq!(mg(&store, "k"), r#""v" t30 f0 c2 l0 h1 W X"#);
    assert_eq!(mg(&store, "k"), r#""v" t30 f0 c2 l0 h1 X Z"#);
    assert_eq!(store.delete(key("k"), &invalidate, now()), DeleteOutcome::Deleted);
    assert_eq!(mg(&store, "k"), r#""v" t30 f0 c4 l0 h1 W X"#, "it can be won again");
    set(&store, "k", "w");
    assert_eq!(mg(&store, "k"), r#""w" t-1 f0 c6 l0 h0"#);
}

#[test]
fn a_set_with_an_older_cas_may_store_stale_data() {
    let store = store();
    let first = put(&store, "k", &Put { value: b"1", expiry: at(50), ..Put::default() });
    set(&store, "k", "2");
    let op = |cas| Put {
        value: b"3",
        cas_compare: Some(cas),
        invalidate: true,
        expiry: at(9),
        ..Put::default()
    };
    assert_eq!(store.put(key("k"), &op(99), now()), PutOutcome::Exists);
    put(&store, "k", &op(first));
    assert_eq!(mg(&store, "k"), r#""3" t-1 f0 c3 l0 h0 W X"#);
    put(&store, "k", &op(first));
    assert_eq!(mg(&store, "k"), r#""3" t-1 f0 c5 l0 h0 X Z"#, "the token stays out");
    put(&store, "k", &op(5));
    assert_eq!(mg(&store, "k"), r#""3" t9 f0 c6 l0 h0"#, "the right CAS unique stores normally");
}

#[test]
fn a_miss_is_vivified_once() {
    let store = store();
    let op = Lookup { vivify: Some(at(30)), cas_override: Some(77), ..MG };
    assert_eq!(show(&store, "k", &op, now()), r#""" t30 f0 c77 l0 h0 W new"#);
    assert_eq!(show(&store, "k", &op, now()), r#""" t30 f0 c77 l0 h1 Z"#);
    assert_eq!(show(&store, "k", &op, later(30)), r#""" t0 f0 c77 l0 h0 W new"#);
    let quiet = Lookup { no_bump: true, ..op };
    assert_eq!(show(&store, "q", &quiet, now()), r#""" t30 f0 c77 l0 h0 W new"#);
    assert_eq!(mg(&store, "q"), r#""" t30 f0 c77 l0 h0 Z"#);
    store.check();
}

#[test]
fn an_item_near_its_end_is_recached_by_one() {
    let check = |expiry, before, touch, after_touch, is_won| {
        let store = store();
        put(&store, "k", &Put { expiry, ..Put::default() });
        let recache = Some(Recache { before, after_touch });
        let op = Lookup { recache, touch, ..MG };
        let line = show(&store, "k", &op, now());
        assert_eq!(line.contains('W'), is_won, "{expiry:?} {op:?}: {line}");
        let line = show(&store, "k", &op, now());
        assert!(!line.contains('W'), "nobody wins again: {line}");
        assert_eq!(line.contains('Z'), is_won);
    };
    check(at(10), at(30), None, false, true);
    check(at(30), at(30), None, false, false);
    check(at(31), at(30), None, false, false);
    check(Expiry::Never, at(30), None, false, false);
    check(at(10), Expiry::Never, None, false, false);
    check(at(10), Expiry::Immediately, None, false, false);
    check(at(10), at(30), Some(at(60)), false, true);
    check(at(10), at(30), Some(at(60)), true, false);
    check(at(60), at(30), Some(at(10)), true, true);
}

#[test]
fn touch_moves_the_version_and_leaves_the_cas() {
    let store = store();
    let cas = set(&store, "k", "v");
    let version = || store.slot_version(key("k").slot());
    assert!(store.touch(key("k"), at(50), now()));
    assert_eq!((version(), cas), (2, 1));
    assert_eq!(mg(&store, "k"), r#""v" t50 f0 c1 l0 h1"#, "a touch counts as a fetch");
    assert!(!store.touch(key("m"), at(50), now()));
    let gat = Lookup { touch: Some(at(60)), ..Lookup::default() };
    store.lookup(key("k"), &gat, now(), |found| match found {
        Found::Hit(hit) => assert_eq!((hit.ttl_before, hit.item.ttl), (Some(50), Some(60))),
        Found::Miss => panic!("a miss"),
    });
    assert_eq!(version(), 3);
    assert_eq!(set(&store, "k", "w"), 4, "the version at the change of the value");
    let gone = Lookup { touch: Some(Expiry::Immediately), ..MG };
    assert_eq!(show(&store, "k", &gone, now()), r#""w" t0 f0 c4 l0 h0"#, "seen a last time");
    assert_eq!(mg(&store, "k"), "EN");
    store.check();
}

#[test]
fn an_add_on_an_item_counts_as_an_access_and_not_as_a_fetch() {
    let store = store();
    set(&store, "k", "v");
    let add = Put { mode: PutMode::Add, ..Put::default() };
    assert_eq!(store.put(key("k"), &add, later(5)), PutOutcome::NotStored);
    assert_eq!(show(&store, "k", &MG, later(7)), r#""v" t-1 f0 c1 l2 h0"#);
}

#[test]
fn arithmetic_pads_with_spaces_and_grows() {
    let store = store();
    let number = |outcome| match outcome {
        ArithmeticOutcome::Done(number) => number.value,
        other => panic!("{other:?}"),
    };
    put(&store, "k", &Put { value: b"99", client_flags: 7, expiry: at(50), ..Put::default() });
    mg(&store, "k");
    assert_eq!(number(incr(&store, "k", 1)), 100);
    assert_eq!(mg(&store, "k"), r#""100" t50 f7 c2 l0 h0"#, "a longer number is a new item");
    let decr = store.arithmetic(key("k"), &Arithmetic::decr(95), now());
    assert_eq!(number(decr), 5);
    assert_eq!(mg(&store, "k"), r#""5  " t50 f7 c3 l0 h1"#);
    assert_eq!(number(store.arithmetic(key("k"), &Arithmetic::decr(9), now())), 0);
    set(&store, "k", "18446744073709551615");
    assert_eq!(number(incr(&store, "k", 2)), 1);
    assert_eq!(mg(&store, "k"), r#""1                   " t-1 f0 c6 l0 h0"#);
    let touch = Arithmetic { touch: Some(at(5)), ..Arithmetic::incr(1) };
    match store.arithmetic(key("k"), &touch, now()) {
        ArithmeticOutcome::Done(done) => {
            assert_eq!((done.value, done.ttl_before, done.ttl, done.cas), (2, None, Some(5), 7));
        }
        other => panic!("{other:?}"),
    }
    store.check();
}

#[test]
fn arithmetic_refuses_in_memcacheds_order() {
    let store = store();
    let op = |cas| Arithmetic { cas_compare: Some(cas), ..Arithmetic::incr(1) };
    let check = |value: &str, op: &Arithmetic, expected| {
        set(&store, "k", value);
        assert_eq!(store.arithmetic(key("k"), op, now()), expected, "{value:?}");
    };
    assert_eq!(incr(&store, "m", 1), ArithmeticOutcome::NotFound);
    check("", &op(99), ArithmeticOutcome::NonNumeric);
    check("x", &op(99), ArithmeticOutcome::Exists);
    check("x", &op(0), ArithmeticOutcome::NonNumeric);
    check(&format!("1{}", " ".repeat(600_000)), &op(99), ArithmeticOutcome::NonNumeric);
    check(&format!("1{}", " ".repeat(520_000)), &op(99), ArithmeticOutcome::Exists);
}

#[test]
fn arithmetic_creates_an_item() {
    let store = store();
    let vivify = Some(VivifyNumber { initial: 5, expiry: at(30) });
    let op =
        Arithmetic { vivify, cas_override: Some(44), touch: Some(at(9)), ..Arithmetic::incr(1) };
    match store.arithmetic(key("k"), &op, now()) {
        ArithmeticOutcome::Done(done) => {
            let shown = (done.value, done.cas, done.ttl, done.is_vivified);
            assert_eq!(shown, (5, 44, Some(30), true));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(mg(&store, "k"), r#""5" t30 f0 c44 l0 h0"#);
    store.arithmetic(key("k"), &op, now());
    assert_eq!(mg(&store, "k"), r#""6" t9 f0 c44 l0 h1"#);
}

#[test]
fn a_delete_may_leave_an_empty_item() {
    let store = store();
    let full = Put { value: b"value", client_flags: 7, expiry: at(50), ..Put::default() };
    let check = |op: Delete, expected: &str| {
        put(&store, "k", &Put { cas_override: Some(1000), ..full });
        assert_eq!(store.delete(key("k"), &op, now()), DeleteOutcome::Deleted, "{op:?}");
        let version = store.slot_version(key("k").slot());
        assert_eq!(mg(&store, "k"), expected.replace('V', &version.to_string()), "{op:?}");
        store.check();
    };
    let plain = Delete::default();
    let empty = Delete { remove_value: true, ..plain };
    check(plain, "EN");
    check(Delete { touch: Some(at(9)), cas_override: Some(5), client_flags: 3, ..plain }, "EN");
    check(empty, r#""" t-1 f0 c1000 l0 h0"#);
    check(Delete { client_flags: 3, touch: Some(at(9)), ..empty }, r#""" t9 f3 c1000 l0 h0"#);
    check(Delete { cas_override: Some(5), ..empty }, r#""" t-1 f0 c5 l0 h0"#);
    check(Delete { invalidate: true, ..empty }, r#""" t-1 f0 cV l0 h0 W X"#);
    check(Delete { invalidate: true, ..plain }, r#""value" t50 f7 cV l0 h0 W X"#);
    check(
        Delete { invalidate: true, cas_override: Some(5), ..plain },
        r#""value" t50 f7 c5 l0 h0 W X"#,
    );
    put(&store, "k", &full);
    for cas in [0, 1] {
        let op = Delete { cas_compare: Some(cas), ..plain };
        assert_eq!(store.delete(key("k"), &op, now()), DeleteOutcome::Exists);
        assert_eq!(store.delete(key("m"), &op, now()), DeleteOutcome::NotFound);
    }
}

#[test]
fn an_expiry_in_the_past_stores_nothing_that_is_found() {
    let store = store();
    for expiry in [Expiry::Immediately, Expiry::At(0), at(0)] {
        put(&store, "k", &Put { value: b"v", expiry, ..Put::default() });
        assert_eq!(mg(&store, "k"), "EN", "{expiry:?}");
    }
    put(&store, "k", &Put { value: b"v", expiry: Expiry::Immediately, ..Put::default() });
    assert!(store.maintain(now(), 1 << 20).expired > 0);
    assert_eq!(store.stats().items, 0);
    store.check();
}

#[test]
fn a_base64_key_is_remembered_as_such() {
    let store = store();
    let binary = key("k").binary();
    store.put(binary, &Put { value: b"v", ..Put::default() }, now());
    assert_eq!(mg(&store, "k"), r#""v" t-1 f0 c1 l0 h0 b"#);
    set(&store, "k", "w");
    assert_eq!(mg(&store, "k"), r#""w" t-1 f0 c2 l0 h0"#);
}

#[test]
fn a_flush_removes_everything_and_moves_every_version() {
    let store = store();
    (0..1000).for_each(|i| _ = set(&store, &format!("key{i}"), "value"));
    let version = store.slot_version(key("key1").slot());
    let used = store.stats().memory_used;
    store.flush_all();
    store.check();
    assert_eq!(mg(&store, "key1"), "EN");
    assert_eq!(store.slot_version(key("key1").slot()), version + 1);
    let stats = store.stats();
    assert_eq!((stats.items, stats.bytes, stats.flushed), (0, 0, 1000));
    assert!(stats.memory_used < used);
    assert_eq!(set(&store, "key1", "new"), version + 2);
}

#[test]
fn keys_with_the_same_hash_are_told_apart() {
    let store = store();
    let hash = SEED.hash(b"a");
    let with_hash = |bytes: &'static str| Key::new(bytes.as_bytes(), hash).unwrap();
    for bytes in ["a", "b", "ab"] {
        let op = Put { value: bytes.as_bytes(), ..Put::default() };
        assert!(matches!(store.put(with_hash(bytes), &op, now()), PutOutcome::Stored { .. }));
    }
    let removed = store.delete(with_hash("b"), &Delete::default(), now());
    assert_eq!(removed, DeleteOutcome::Deleted);
    for (bytes, is_there) in [("a", true), ("b", false), ("ab", true), ("aa", false)] {
        store.lookup(with_hash(bytes), &Lookup::default(), now(), |found| match found {
            Found::Hit(hit) => assert!(is_there && hit.item.value == *bytes.as_bytes()),
            Found::Miss => assert!(!is_there, "{bytes}"),
        });
    }
}
