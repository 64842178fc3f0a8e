use crate::tests::SEED;
use crate::{Arithmetic, Delete, Expiry, KEY_LEN_MAX, Lookup, Put, PutMode, Recache, VivifyNumber};
use memtide_topology::SlotId;
use proptest::option;
use proptest::prelude::*;
use std::sync::LazyLock;

pub(in crate::tests) const START: u32 = 1_000_000;

/// One step of a test.
#[derive(Clone, Debug)]
pub(in crate::tests) enum Op {
    Lookup(&'static [u8], Lookup),
    Put(PutOp),
    Arithmetic(&'static [u8], Arithmetic),
    Delete(&'static [u8], Delete),
    Touch(&'static [u8], Expiry),
    Wait(u32),
    Maintain,
    FlushAll,
    FlushSlot(&'static [u8]),
    DropSlot(&'static [u8]),
    List(&'static [u8], usize),
    /// Moves the items of some segments; nobody may notice.
    Move(u8),
}

#[derive(Clone, Debug)]
pub(in crate::tests) struct PutOp {
    pub(super) key: &'static [u8],
    pub(super) is_binary: bool,
    pub(super) value: Content,
    template: Put<'static>,
}

impl PutOp {
    pub(super) fn op<'a>(&self, value: &'a [u8]) -> Put<'a> {
        Put { value, ..self.template }
    }
}

/// A value by how it is made.
#[derive(Clone, Debug)]
pub(in crate::tests) enum Content {
    Text(&'static str),
    Long(u8, usize),
}

impl Content {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            // Not the same everywhere, so that parts in the wrong order are seen.
            Self::Long(seed, len) => (0..*len).map(|at| (at / 7) as u8 ^ seed).collect(),
        }
    }
}

/// A few keys: three of one slot, others of any, of lengths from the least to the most.
static KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let slot = |key: &[u8]| SlotId::of(SEED.hash(key));
    let first = b"first".to_vec();
    let others = (0..).map(|n| format!("other{n}").into_bytes());
    let same_slot = others.filter(|key| slot(key) == slot(&first)).take(2);
    let mut keys: Vec<_> = same_slot.collect();
    keys.extend([first, b"k".to_vec(), b"key".to_vec(), vec![b'x'; KEY_LEN_MAX]]);
    keys
});

pub(in crate::tests) fn keys() -> impl Iterator<Item = &'static [u8]> {
    KEYS.iter().map(Vec::as_slice)
}

fn key() -> impl Strategy<Value = &'static [u8]> {
    (0..KEYS.len()).prop_map(|at| KEYS[at].as_slice())
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![
        3 => Just(Expiry::Never),
        6 => (0u32..60).prop_map(|seconds| Expiry::At(START + seconds)),
        1 => Just(Expiry::Immediately),
    ]
}

/// CAS uniques that items are likely to have, and some that they are not.
fn cas() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0u64..12, 1 => any::<u64>()]
}

fn content() -> impl Strategy<Value = Content> {
    let texts = ["", "0", "9", "99", "18446744073709551615", "12 spaces", "-1", "not a number"];
    // Segments are of 8 KiB to 64 KiB here.
    let edge = prop_oneof![Just(8usize << 10), Just(16 << 10), Just(32 << 10), Just(64 << 10)];
    let near_edge = (edge, 1usize..4, -400i32..20)
        .prop_map(|(edge, times, off)| (edge * times).saturating_add_signed(off as isize));
    let long = prop_oneof![4 => 0usize..300, 2 => 0usize..20_000, 2 => near_edge];
    prop_oneof![
        (0..texts.len()).prop_map(move |at| Content::Text(texts[at])),
        (any::<u8>(), long).prop_map(|(seed, len)| Content::Long(seed, len)),
    ]
}

fn lookup() -> impl Strategy<Value = Lookup> {
    let recache =
        (expiry(), any::<bool>()).prop_map(|(before, after_touch)| Recache { before, after_touch });
    (
        option::weighted(0.2, expiry()),
        option::weighted(0.2, expiry()),
        option::weighted(0.2, recache),
        option::weighted(0.1, cas()),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(touch, vivify, recache, cas_override, no_bump, takes_token)| Lookup {
            touch,
            vivify,
            recache,
            cas_override,
            no_bump,
            takes_token,
        })
}

fn put() -> impl Strategy<Value = PutOp> {
    use PutMode::{Add, Append, Prepend, Replace, Set};
    let mode = prop_oneof![
        6 => Just(Set), 2 => Just(Add), 2 => Just(Replace), 3 => Just(Append), 3 => Just(Prepend)
    ];
    let flags = prop_oneof![Just(0u32), Just(0), Just(7), any::<u32>()];
    let rest = (option::weighted(0.3, cas()), option::weighted(0.1, cas()), any::<bool>());
    let last = (option::weighted(0.2, expiry()), any::<bool>(), any::<bool>());
    (key(), content(), mode, flags, expiry(), rest, last).prop_map(
        |(key, value, mode, client_flags, expiry, rest, (vivify, failure_removes, is_binary))| {
            let (cas_compare, cas_override, invalidate) = rest;
            let template = Put {
                mode,
                value: &[],
                client_flags,
                expiry,
                cas_compare,
                cas_override,
                invalidate,
                vivify,
                failure_removes,
            };
            PutOp { key, is_binary, value, template }
        },
    )
}

fn arithmetic() -> impl Strategy<Value = Arithmetic> {
    let number = prop_oneof![0u64..20, any::<u64>()];
    let vivify =
        (number.clone(), expiry()).prop_map(|(initial, expiry)| VivifyNumber { initial, expiry });
    (
        any::<bool>(),
        number,
        option::weighted(0.4, vivify),
        option::weighted(0.2, cas()),
        option::weighted(0.1, cas()),
        option::weighted(0.2, expiry()),
    )
        .prop_map(|(is_decrement, delta, vivify, cas_compare, cas_override, touch)| {
            Arithmetic { is_decrement, delta, vivify, cas_compare, cas_override, touch }
        })
}

fn delete() -> impl Strategy<Value = Delete> {
    (
        option::weighted(0.2, cas()),
        option::weighted(0.2, cas()),
        any::<bool>(),
        any::<bool>(),
        option::weighted(0.3, expiry()),
        prop_oneof![Just(0u32), Just(5)],
    )
        .prop_map(
            |(cas_compare, cas_override, invalidate, remove_value, touch, client_flags)| Delete {
                cas_compare,
                cas_override,
                invalidate,
                remove_value,
                touch,
                client_flags,
            },
        )
}

pub(in crate::tests) fn transitions() -> BoxedStrategy<Op> {
    prop_oneof![
        20 => (key(), lookup()).prop_map(|(key, op)| Op::Lookup(key, op)),
        30 => put().prop_map(Op::Put),
        12 => (key(), arithmetic()).prop_map(|(key, op)| Op::Arithmetic(key, op)),
        8 => (key(), delete()).prop_map(|(key, op)| Op::Delete(key, op)),
        4 => (key(), expiry()).prop_map(|(key, expiry)| Op::Touch(key, expiry)),
        8 => (0u32..8).prop_map(Op::Wait),
        3 => Just(Op::Maintain),
        1 => Just(Op::FlushAll),
        1 => key().prop_map(Op::FlushSlot),
        1 => key().prop_map(Op::DropSlot),
        4 => (key(), 1usize..4).prop_map(|(key, items_max)| Op::List(key, items_max)),
        8 => (1u8..5).prop_map(Op::Move),
    ]
    .boxed()
}
