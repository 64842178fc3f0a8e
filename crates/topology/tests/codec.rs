//! Topologies and differences as bytes, and back.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::{Random, info, new, node, random};
use expect_test::{Expect, expect};
use memtide_topology::{
    CacheId, CopyConfig, DecodeError, Diff, ENCODED_BYTES_MAX, Epoch, HashSeed, NODES_MAX, NodeId,
    NodeInfo, SlotConfig, SlotId, Topology, TopologyParts, Zone,
};
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #![proptest_config(common::cases(64))]

    #[test]
    fn what_was_encoded_is_decoded(seed: u64) {
        let topology = random(seed);
        let bytes = topology.encode();
        prop_assert!(bytes.len() <= ENCODED_BYTES_MAX);
        prop_assert_eq!(Topology::decode(&bytes), Ok(topology));
    }

    #[test]
    fn a_difference_that_was_encoded_is_decoded(from: u64, to: u64) {
        let diff = Topology::diff(&random(from), &random(to));
        prop_assert_eq!(Diff::decode(&diff.encode()), Ok(diff));
    }

    #[test]
    fn any_bytes_are_refused_or_read(mut bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        for format in [1, 65] {
            if let Some(first) = bytes.first_mut() {
                *first = format;
            }
            if let Ok(topology) = Topology::decode(&bytes) {
                prop_assert_eq!(topology.clone().into_parts().validate(), Ok(()));
            }
            if let Ok(diff) = Diff::decode(&bytes) {
                prop_assert_eq!(Diff::decode(&diff.encode()), Ok(diff));
            }
        }
    }

    #[test]
    fn mutated_bytes_are_refused_or_read(seed: u64, changes in 1usize..8) {
        let mut random_bytes = Random(seed);
        let mut bytes = random(seed).encode();
        for _ in 0..changes {
            let at = random_bytes.below(bytes.len());
            bytes[at] ^= 1 << random_bytes.below(8);
        }
        if let Ok(topology) = Topology::decode(&bytes) {
            prop_assert_eq!(topology.clone().into_parts().validate(), Ok(()));
            prop_assert_eq!(Topology::decode(&topology.encode()), Ok(topology));
        }
    }

    #[test]
    fn a_part_is_refused(seed: u64, cut: prop::sample::Index) {
        let bytes = random(seed).encode();
        let part = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(Topology::decode(part), Err(DecodeError::Truncated));
    }
}

#[test]
fn what_is_not_ours_is_refused_clearly() {
    let bytes = new(1).encode();
    let refused = |bytes: &[u8]| Topology::decode(bytes).unwrap_err().to_string();

    let mut newer = bytes.clone();
    newer[0] = 2;
    assert_eq!(refused(&newer), "format 2, but this version knows only 1; upgrade it");
    let diff = Topology::diff(&new(1), &new(1)).encode();
    assert_eq!(refused(&diff), "format 65, but this version knows only 1; upgrade it");
    assert!(Diff::decode(&bytes).is_err());
    assert_eq!(refused(&[&bytes[..], &[0]].concat()), "1 bytes follow its end");
    assert_eq!(refused(&[]), "it ends too early");
    let long = vec![1; ENCODED_BYTES_MAX + 1];
    assert_eq!(Topology::decode(&long), Err(DecodeError::BytesMax { bytes: long.len() }));
}

/// The bytes are a format that files and etcd keep, so they may not change.
#[test]
fn the_format_is_fixed() {
    let mut parts = new(1).into_parts();
    parts.epoch = Epoch::new(300);
    let mut second = NodeInfo { is_draining: true, ..info("b", 1) };
    second.address = "h:1".to_owned();
    parts.nodes.extend([(node(5), info("a", 128)), (node(9), second)]);
    let copies = vec![CopyConfig { node: node(9), since: Epoch::new(172), is_in_sync: true }];
    let (epoch, born) = (Epoch::new(299), Epoch::new(200));
    let config = SlotConfig { epoch, born, primary: Some(node(5)), copies };
    parts.slots[3..6].fill(Arc::new(config));
    let bytes = Topology::from_parts(parts).unwrap().encode();

    let mut expected: Vec<u8> = vec![1, 0, 0xac, 0x02, 7];
    expected.extend(b"default");
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([1, 0]);
    expected.extend([2, 1, b'a', 1, b'b']);
    expected.extend([2, 5, 23]);
    expected.extend(b"host-1.memtide.svc:9000");
    expected.extend([0, 0x80, 0x01, 0, 3, 3, b'h', b':', b'1', 1, 1, 1]);
    expected.extend([2, 5, 3, 1, 3, 2, 0]);
    expected.extend([1, 99, 1, 1, 3, 0x80, 0x01]);
    assert_eq!(bytes, expected);
}

/// Slots of `nodes` nodes with so many copies, none alike.
fn large(nodes: usize, copies: usize, epochs: u64) -> TopologyParts {
    let mut random = Random(7);
    let mut parts = new(2).into_parts();
    parts.epoch = Epoch::new(u64::MAX);
    for number in 0..nodes {
        let address = format!("node-{number:04}.cache.namespace.svc.local:11214");
        let zone = Zone::new(&format!("region-1{}", number % 3)).unwrap();
        let info = NodeInfo { address, zone, memory_max: 64 << 30, is_draining: false };
        parts.nodes.insert(node(u64::try_from(number).unwrap() * 3), info);
    }
    let ids: Vec<_> = parts.nodes.keys().copied().collect();
    let epoch = |random: &mut Random| Epoch::new(u64::MAX - random.next() % epochs);
    for at in SlotId::all() {
        let at = usize::from(at.number());
        let mut copies: Vec<_> = (1..=copies)
            .map(|copy| ids[(at + copy * 7) % ids.len()])
            .map(|node| CopyConfig { node, since: epoch(&mut random), is_in_sync: true })
            .collect();
        copies.sort_by_key(|copy| copy.node);
        let primary = Some(ids[at % ids.len()]);
        let took_over = epoch(&mut random);
        let born = Epoch::new(took_over.number() - took_over.number().min(random.next() % epochs));
        parts.slots[at] = Arc::new(SlotConfig { epoch: took_over, born, primary, copies });
    }
    parts
}

#[test]
fn the_sizes_are_as_documented() {
    let thousand = Topology::from_parts(large(1_000, 2, 1 << 21)).unwrap().encode().len();
    assert!(thousand < 450_000, "{thousand} bytes");
    let ten = Topology::from_parts(large(10, 1, 100)).unwrap().encode().len();
    assert!(ten < 170_000, "{ten} bytes");

    let mut widest = large(NODES_MAX, 8, u64::MAX);
    for (number, info) in (0..).zip(widest.nodes.values_mut()) {
        info.address = "x".repeat(261);
        info.zone = Zone::new(&format!("{number:063}")).unwrap();
        info.memory_max = u64::MAX;
    }
    let widest = Topology::from_parts(widest).unwrap();
    let bytes = widest.encode();
    assert!(bytes.len() <= ENCODED_BYTES_MAX, "{} bytes", bytes.len());
    assert_eq!(Topology::decode(&bytes), Ok(widest));
    println!("{thousand} {ten} {}", bytes.len());
}

/// It is on disks and in etcd, and processes of several versions tell each other: another form is another format.
#[test]
fn what_is_written_stays_as_it_is() {
    let check = |bytes: &[u8], expected: Expect| {
        expected.assert_eq(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    };
    let info = |number: u64| NodeInfo {
        address: format!("host-{number}:11214"),
        zone: Zone::new(if number == 2 { "b" } else { "a" }).unwrap(),
        memory_max: 300 * number,
        is_draining: number == 4,
    };
    let nodes = |numbers: &[u64]| numbers.iter().map(|it| (NodeId::new(*it), info(*it))).collect();
    let config = |epoch, born, primary, copies: &[(u64, u64, bool)]| {
        let copy = |&(node, since, is_in_sync): &(u64, u64, bool)| CopyConfig {
            node: NodeId::new(node),
            since: Epoch::new(since),
            is_in_sync,
        };
        let (epoch, born, primary) = (Epoch::new(epoch), Epoch::new(born), NodeId::new(primary));
        let copies = copies.iter().map(copy).collect();
        Arc::new(SlotConfig { epoch, born, primary: Some(primary), copies })
    };
    let made = |epoch, numbers: &[u64], turn: usize, configs: [Arc<SlotConfig>; 2]| {
        let mut parts =
            Topology::new(CacheId::default(), HashSeed::new(1, 2), 1).unwrap().into_parts();
        parts.epoch = Epoch::new(epoch);
        parts.nodes = nodes(numbers);
        for (slot, place) in parts.slots.iter_mut().enumerate() {
            *place = Arc::clone(&configs[usize::from(slot >= turn)]);
        }
        Topology::from_parts(parts).unwrap()
    };
    let first = config(5, 5, 2, &[(4, 5, true)]);
    let second = config(6, 5, 4, &[(2, 6, false)]);
    let before = made(6, &[2, 4], 100, [Arc::clone(&first), Arc::clone(&second)]);
    let after = made(300, &[2, 4, 299], 99, [first, config(300, 5, 2, &[(299, 300, false)])]);
    check(
        &before.encode(),
        expect![
            "0100060764656661756c74010000000000000002000000000000000100020161016202020c686f73742d323a313132313401d80400010c686f73742d343a313132313400b0090102020102006300010001010301009b7f01000102010000"
        ],
    );
    check(
        &Topology::diff(&before, &after).encode(),
        expect![
            "4106ac020764656661756c7401000000000000000200000000000000010001016101ab020e686f73742d3239393a313132313400e4bc05000202a80201639c7f0000a70201010200"
        ],
    );
    assert_eq!(Topology::decode(&before.encode()), Ok(before));
}
