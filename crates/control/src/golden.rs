//! Messages byte for byte: a field keeps its number and its form for ever, whatever is added.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use core::fmt::Debug;

use expect_test::{Expect, expect};
use memtide_engine_core::replication::{CopyName, Report};
use memtide_topology::{CacheId, Epoch, NodeId, SlotId, Zone};
use prost::Message;

use crate::schema::{self, node_says, proxy_says, scaler_says};
use crate::{Adopted, Capacity, Counted, NodeUsage, Program, Registration, SlotUse};

fn check<M: Message + Default + PartialEq + Debug>(message: &M, expected: Expect) {
    let bytes = message.encode_to_vec();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    expected.assert_eq(&hex);
    assert_eq!(M::decode(bytes.as_slice()).as_ref(), Ok(message));
}

fn registration() -> Registration {
    Registration {
        cache: CacheId::default(),
        node: Some(NodeId::new(7)),
        zone: Zone::new("a").unwrap(),
        address: "h:1".to_owned(),
        memory_max: 300,
        parent_token: Some(0),
        process: 9,
        adopted: Adopted { fleet: 5, epoch: Epoch::new(8) },
        item_size_max: 20,
        instance: "n-1".to_owned(),
        is_spare: true,
        capacity: Capacity { memory: 1, cpu: 2, ecpu: 3, network: 4 },
        program: Program { version: "0.2.0".to_owned(), wire_min: 1, wire_max: 2 },
    }
}

fn of_node(says: node_says::Says) -> schema::NodeSays {
    schema::NodeSays { says: Some(says) }
}

fn of_proxy(says: proxy_says::Says) -> schema::ProxySays {
    schema::ProxySays { says: Some(says) }
}

fn of_scaler(says: scaler_says::Says) -> schema::ScalerSays {
    schema::ScalerSays { says: Some(says) }
}

#[test]
fn what_a_node_says() {
    let registered = schema::NodeRegistration::from(&registration());
    check(
        &of_node(node_says::Says::Registration(registered)),
        expect![
            "0a3e0a0764656661756c7410071a01612203683a3128ac02300038094005480850145a036e2d3160016a080801100218032004720b0a05302e322e3010011802"
        ],
    );
    let usage = NodeUsage {
        memory_used: 1,
        memory_max: 2,
        items: 3,
        data_bytes: 4,
        evicted: 5,
        expired: 6,
        get_hits: 7,
        get_misses: 8,
        cmd_get: 9,
        cmd_set: 10,
        requests: 11,
        cpu_micros: 12,
        bytes_in: 13,
        bytes_out: 14,
        copy_items: 15,
        copy_bytes: 16,
        ecpu_units: 17,
    };
    let beat = schema::NodeBeat { adopted: 18, usage: Some((&usage).into()) };
    check(
        &of_node(node_says::Says::Beat(beat)),
        expect![
            "122808121224080110021803200428053006380740084809500a580b600c680d700e780f800110880111"
        ],
    );
    let (slot, epoch) = (SlotId::new(1000).unwrap(), Epoch::new(2));
    let name = CopyName { epoch, node: NodeId::new(3), since: Epoch::new(4) };
    let reports = [
        Report::CaughtUp(slot, name),
        Report::Diverged(slot, name),
        Report::Unreachable(slot, name),
        Report::Incomplete(slot, epoch),
    ];
    let reports = schema::Reports { reports: reports.map(Into::into).to_vec() };
    check(
        &of_node(node_says::Says::Reports(reports)),
        expect![
            "1a300a0b0a0908e8071002180320040a0b120908e8071002180320040a0b220908e8071002180320040a071a0508e8071002"
        ],
    );
    let uses = vec![(&SlotUse { slot, bytes: 5, ecpu: 6 }).into()];
    check(
        &of_node(node_says::Says::SlotUses(schema::SlotUses { slots: uses })),
        expect!["32090a0708e80710051806"],
    );
    check(&of_node(node_says::Says::Leaving(schema::Leaving {})), expect!["2200"]);
    check(&of_node(node_says::Says::SendWhole(schema::SendWhole {})), expect!["2a00"]);
}

#[test]
fn what_a_proxy_says() {
    let registered = schema::ProxyRegistration {
        cache: "default".to_owned(),
        fleet: 5,
        adopted: 8,
        item_size_max: 20,
        program: Some((&registration().program).into()),
    };
    check(
        &of_proxy(proxy_says::Says::Registration(registered)),
        expect!["0a1c0a0764656661756c741005180820142a0b0a05302e322e3010011802"],
    );
    let counted = Counted {
        process: 1,
        began_ms: 2,
        ecpu_units: 3,
        commands: 4,
        throttled_commands: 5,
        delayed_commands: 6,
        bytes_in: 7,
        bytes_out: 8,
    };
    let beat = schema::ProxyBeat { adopted: 9, counted: vec![(&counted).into()] };
    check(
        &of_proxy(proxy_says::Says::Beat(beat)),
        expect!["12150809a2011008011003180420052806300738084002"],
    );
    let demand = schema::Demand {
        process: 1,
        number: 2,
        scaler: 3,
        confirmed: 4,
        rate: Some(5),
        fallback: Some(0),
        elapsed_ns: 7,
        used_units: 8,
        refused_units: 9,
        dry_ns: 10,
        weight: 11,
        line: 12,
        generation: 13,
    };
    check(
        &of_proxy(proxy_says::Says::Demand(demand)),
        expect!["221a080110021803200428053000380740084809500a580b600c680d"],
    );
    check(
        &of_proxy(proxy_says::Says::Leaving(schema::ProxyLeaving { process: 1 })),
        expect!["2a020801"],
    );
    check(&of_proxy(proxy_says::Says::SendWhole(schema::SendWhole {})), expect!["1a00"]);
}

#[test]
fn what_a_scaler_says() {
    let topology = || b"topology".as_slice().into();
    check(&of_scaler(scaler_says::Says::Welcome(schema::Welcome { node: 7 })), expect!["0a020807"]);
    check(&of_scaler(scaler_says::Says::Whole(topology())), expect!["1208746f706f6c6f6779"]);
    check(&of_scaler(scaler_says::Says::Difference(topology())), expect!["1a08746f706f6c6f6779"]);
    let refused = schema::Refused { why: "no".to_owned(), fleet: 5, epoch: 8 };
    check(&of_scaler(scaler_says::Says::Refused(refused)), expect!["22080a026e6f10051808"]);
    let grant = schema::Grant {
        scaler: 1,
        number: 2,
        demand: 3,
        rate: Some(4),
        fallback: Some(0),
        term_ns: 6,
        limit: Some(7),
    };
    check(&of_scaler(scaler_says::Says::Grant(grant)), expect!["2a0e0801100218032004280030063807"]);
    let part = schema::DataPart { bytes: 300, keeps_held: true };
    check(&of_scaler(scaler_says::Says::DataPart(part)), expect!["320508ac021001"]);
    let secrets = schema::TicketSecrets { secrets: vec![b"12".as_slice().into()] };
    check(&of_scaler(scaler_says::Says::TicketSecrets(secrets)), expect!["3a040a023132"]);
    let written = schema::CountsWritten { processes: vec![1, 300] };
    check(&of_scaler(scaler_says::Says::CountsWritten(written)), expect!["a201050a0301ac02"]);
    check(
        &of_scaler(scaler_says::Says::InDoubt(schema::InDoubt { is_so: true })),
        expect!["f201020801"],
    );
    check(&schema::LeadsAnswer { leads: true }, expect!["0801"]);
}

/// So that either side may be the newer one.
#[test]
fn what_a_later_version_adds_is_passed_over() {
    let registered = schema::NodeRegistration::from(&registration());
    let mut later = registered.encode_to_vec();
    // Field 900, of one byte.
    later.extend_from_slice(&[0xa0, 0x38, 1]);
    let read = schema::NodeRegistration::decode(later.as_slice()).unwrap();
    assert_eq!(Registration::try_from(read), Ok(registration()));
    // Something that is said in no way that this version knows: field 100, with nothing in it.
    let says = schema::ScalerSays::decode([0xa2, 0x06, 0].as_slice()).unwrap();
    assert_eq!(says, schema::ScalerSays { says: None });
    // And an earlier one does not say what it runs.
    let earlier = schema::NodeRegistration { program: None, ..registered };
    assert_eq!(Registration::try_from(earlier).unwrap().program, Program::default());
}

#[test]
fn a_program_that_nobody_can_read_is_left_out_and_turns_nobody_away() {
    let said = |version: &str, wire_max| {
        let program = schema::Program { version: version.to_owned(), wire_min: 1, wire_max };
        Program::from(program)
    };
    let long = "x".repeat(crate::limits::PROGRAM_VERSION_BYTES_MAX + 1);
    for unreadable in [long.as_str(), "a b", "\u{e4}", "\n"] {
        assert_eq!(said(unreadable, 2).version, "", "{unreadable:?}");
    }
    assert_eq!(
        (said("0.2.0-rc.1", 2).version.as_str(), said("", 70_000).wire_max),
        ("0.2.0-rc.1", 0)
    );
}
