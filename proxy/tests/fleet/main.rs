//! A proxy in front of real nodes, over real links: what clients see.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod rig;

use std::time::{Duration, Instant};

use memtide_testkit::{Delivery, Ending, PATIENCE, Table, run_table, wait_until};
use memtide_topology::{Change, Previous};

use rig::{Fleet, Site, tables};

/// The cases that the program is held to, against a fleet of three.
#[test]
fn the_black_box_tables_hold_in_a_fleet() {
    let fleet = Fleet::start(3);
    let site = fleet.site();
    let mut failures = Vec::new();
    for path in tables() {
        let text = std::fs::read_to_string(&path).unwrap();
        let table = Table::parse(&path.file_name().unwrap().to_string_lossy(), &text);
        for delivery in [Delivery::Stepwise, Delivery::Pipelined] {
            failures.extend(run_table(&table, &site, delivery));
        }
    }
    let count = failures.len();
    let report: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(failures.is_empty(), "{count} failures\n\n{}", report.join("\n\n"));
}

/// Commands of every kind on few keys, in one write.
fn script() -> Vec<u8> {
    let mut script = Vec::new();
    for i in 0..200 {
        let (key, other) = (i % 11, (i + 5) % 11);
        script.extend_from_slice(
            format!(
                "set k{key} {i} 0 3\r\n{i:03}\r\nget k{other}\r\nmg k{key} v f s t q k O{i}\r\n\
                 ms m{other} 2 F{i} T100 q\r\nhi\r\nincr k{key} {i}\r\ntouch k{other} 100\r\n\
                 get k0 k1 k2 absent k3 k4 k5 k6\r\nmd m{key} q\r\nma n{key} N0 J5 v\r\n\
                 delete k{other} noreply\r\nappend k{key} 0 0 1\r\n!\r\ngat 100 k{key}\r\n\
                 add k{other} 0 0 1 noreply\r\n7\r\nbogus\r\nmn\r\nmg absent v q\r\n"
            )
            .as_bytes(),
        );
        if i % 50 == 0 {
            script.extend_from_slice(b"flush_all\r\n");
        }
    }
    script.extend_from_slice(b"version\r\nquit\r\n");
    script
}

#[test]
fn a_pipeline_is_answered_as_by_an_embedded_node_and_billed_alike() {
    let (fleet, embedded) = (Fleet::start(3), Site::embedded());
    let site = fleet.site();
    let run = |site: &Site| {
        let mut client = site.client();
        client.send(&script()).unwrap();
        let (replies, ending) = client.read_to_end().unwrap();
        assert_eq!(ending, Ending::CloseNotify);
        String::from_utf8_lossy(&replies).into_owned()
    };
    assert_eq!(run(&site), run(&embedded));
    let units = |site: &Site| site.observer().usage().ecpu_units;
    assert_eq!(units(&site), units(&embedded));
}

#[test]
fn a_large_value_and_a_multiget_of_many_come_back_whole() {
    let fleet = Fleet::start(3);
    let site = fleet.site();
    let mut client = site.client();
    let value = "v".repeat(1_000_000);
    let mut expected = String::new();
    for i in 0..20 {
        let set = format!("set big-{i} 0 0 {}\r\n{value}\r\n", value.len());
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
        expected.push_str(&format!("VALUE big-{i} 0 {}\r\n{value}\r\n", value.len()));
    }
    expected.push_str("END\r\n");
    let keys: String = (0..20).map(|i| format!(" big-{i}")).collect();
    client.send(format!("get{keys}\r\nmn\r\n").as_bytes()).unwrap();
    let got = client.read_exact(expected.len()).unwrap();
    assert!(got == expected.as_bytes());
    assert_eq!(client.read_line().unwrap().trim_end(), "MN");
    let many: String = (0..2_000).map(|i| format!(" n{i}")).collect();
    assert_eq!(client.ask(format!("get{many}\r\n").as_bytes()).unwrap(), "END\r\n");
}

/// Slots move from node to node while a client counts in them.
#[test]
fn a_client_does_not_notice_that_slots_are_handed_over() {
    let mut fleet = Fleet::start(2);
    let site = fleet.site();
    let mut client = site.client();
    let keys: Vec<String> = (0..50).map(|i| format!("count-{i}")).collect();
    let sets: String = keys.iter().map(|key| format!("set {key} 0 0 1\r\n0\r\n")).collect();
    assert_eq!(client.ask(sets.as_bytes()).unwrap(), "STORED\r\n".repeat(keys.len()));
    let incrs: String = keys.iter().map(|key| format!("incr {key} 1\r\n")).collect();
    fleet.replicate();
    let ids = [fleet.id(0), fleet.id(1)];
    for round in 1..=6 {
        client.send(incrs.as_bytes()).unwrap();
        let [from, to] = if round % 2 == 0 { [ids[0], ids[1]] } else { [ids[1], ids[0]] };
        let slots = fleet.slots_of(from);
        fleet.apply(vec![Change::SetPrimary { slots, primary: to, previous: Previous::InSync }]);
        client.send(incrs.as_bytes()).unwrap();
        let expected: String = [2 * round - 1, 2 * round]
            .map(|number| format!("{number}\r\n").repeat(keys.len()))
            .concat();
        let got = client.read_exact(expected.len()).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), expected, "round {round}");
    }
}

#[test]
fn a_node_that_is_gone_is_waited_for_until_another_has_its_slots() {
    let mut fleet = Fleet::start(2);
    let site = fleet.site();
    let [here, there] = [0, 1].map(|index| Fleet::key(2, index, 0));
    let mut client = site.client();
    let gone = fleet.kill(1);
    site.wait_links(1);
    let asked =
        format!("set {here} 0 0 1\r\nx\r\nset {there} 0 0 1\r\ny\r\nget {here} {there}\r\n");
    client.send(asked.as_bytes()).unwrap();
    assert_eq!(client.read_line().unwrap().trim_end(), "STORED");
    let slots = fleet.slots_of(gone);
    fleet.apply(vec![
        Change::Abandon { slots: slots.clone() },
        Change::SetPrimary { slots, primary: fleet.id(0), previous: Previous::Gone },
        Change::RemoveNode { node: gone },
    ]);
    assert_eq!(client.read_line().unwrap().trim_end(), "STORED");
    let expected = format!("VALUE {here} 0 1\r\nx\r\nVALUE {there} 0 1\r\ny\r\nEND\r\n");
    assert_eq!(client.read_exact(expected.len()).unwrap(), expected.as_bytes());
    site.wait_reached();
    let stats = client.ask(b"stats\r\n").unwrap();
    assert!(stats.contains("STAT curr_items 2\r\n"), "{stats}");
}

#[test]
fn without_a_live_copy_a_client_is_told_so_in_step() {
    let mut fleet = Fleet::start(2);
    let site = Site::start(fleet.backend(Duration::from_millis(300)));
    site.wait_reached();
    fleet.kill(1);
    site.wait_links(1);
    let [here, there] = [0, 1].map(|index| Fleet::key(2, index, 0));
    let mut client = site.client();
    let asked = format!("set {there} 0 0 1\r\nx\r\nbogus\r\nget {there}\r\n");
    let reply = client.ask(asked.as_bytes()).unwrap();
    let refused = "SERVER_ERROR no live copy of the slot\r\n";
    assert_eq!(reply, format!("{refused}ERROR\r\n{refused}"));
    assert_eq!(site.metric("memtide_fleet_requests_total", &["no_copy"]), 2.0);
    let patient = Site::start(fleet.backend(PATIENCE));
    patient.wait_links(1);
    let set = format!("set {here} 0 0 1\r\nx\r\n");
    assert_eq!(patient.client().ask(set.as_bytes()).unwrap(), "STORED\r\n");
}

#[test]
fn a_drain_lets_what_was_asked_be_answered_first() {
    let mut fleet = Fleet::start(2);
    let site = fleet.site();
    let there = Fleet::key(2, 1, 0);
    let mut client = site.client();
    let gone = fleet.kill(1);
    site.wait_links(1);
    client.send(format!("set {there} 0 0 1\r\nx\r\n").as_bytes()).unwrap();
    wait_until("it was asked", PATIENCE, || {
        (site.metric("memtide_fleet_requests_outstanding", &[]) > 0.0).then_some(())
    });
    site.drain.begin(tokio::time::Instant::now() + PATIENCE);
    let slots = fleet.slots_of(gone);
    fleet.apply(vec![
        Change::Abandon { slots: slots.clone() },
        Change::SetPrimary { slots, primary: fleet.id(0), previous: Previous::Gone },
    ]);
    let (rest, ending) = client.read_to_end().unwrap();
    assert_eq!((rest.as_slice(), ending), (b"STORED\r\n".as_slice(), Ending::CloseNotify));
    site.join();
}

#[test]
fn who_sends_no_more_is_answered_to_the_end() {
    let fleet = Fleet::start(3);
    let site = fleet.site();
    let mut client = site.client();
    client.send(&b"incr n 1\r\n".repeat(1_000)).unwrap();
    client.finish_sending().unwrap();
    let (replies, _) = client.read_to_end().unwrap();
    assert_eq!(String::from_utf8_lossy(&replies), "NOT_FOUND\r\n".repeat(1_000));
}

/// Clients that go away in the middle, over and over, leave nothing behind and disturb nobody.
#[test]
fn clients_that_leave_their_replies_disturb_nobody() {
    let fleet = Fleet::start(3);
    let site = fleet.site();
    let mut steady = site.client();
    let value = "s".repeat(10_000);
    let set = format!("set secret 0 0 {}\r\n{value}\r\n", value.len());
    assert_eq!(steady.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    let deadline = Instant::now() + Duration::from_secs(60);
    for round in 0..40 {
        assert!(Instant::now() < deadline, "slow");
        let mut leaver = site.client();
        leaver.send(&b"get secret\r\n".repeat(500)).unwrap();
        drop(leaver);
        assert_eq!(
            steady.ask(format!("set n 0 0 2\r\n{round:02}\r\n").as_bytes()).unwrap(),
            "STORED\r\n"
        );
        let reply = format!("VALUE n 0 2\r\n{round:02}\r\nEND\r\n");
        assert_eq!(steady.ask(b"get n\r\n").unwrap(), reply);
    }
    wait_until("all are gone", PATIENCE, || {
        (site.observer().usage().connections == 1).then_some(())
    });
}

#[test]
fn the_read_optimized_port_answers_gets_and_all_else() {
    let fleet = Fleet::start(2);
    let site = fleet.site();
    let mut client = site.read_client();
    let asked = b"set a 0 0 1\r\nx\r\nget a b\r\nmg a v\r\ngat 0 a\r\n";
    let expected = "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nVA 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n";
    assert_eq!(client.ask(asked).unwrap(), expected);
}

#[test]
fn a_proxy_without_a_topology_is_not_ready_and_takes_up_work_with_the_first() {
    let fleet = Fleet::start(1);
    let (sender, topologies) =
        tokio::sync::watch::channel(std::sync::Arc::new(memtide_topology::Topology::empty()));
    let memtide_proxy::Backend::Fleet(mut backend) = fleet.backend(Duration::from_secs(30)) else {
        panic!("it is one");
    };
    backend.topologies = topologies;
    let site = Site::start(memtide_proxy::Backend::Fleet(backend));
    assert_eq!(site.observer().check_fleet(), Err("slot 0 has no primary".to_owned()));
    let mut client = site.client();
    client.send(b"set a 0 0 1\r\nx\r\n").unwrap();
    sender.send_replace(fleet.topology.clone());
    assert_eq!(client.read_line().unwrap().trim_end(), "STORED");
    // Nobody tells it more, and it goes on.
    drop(sender);
    assert_eq!(client.ask(b"get a\r\n").unwrap(), "VALUE a 0 1\r\nx\r\nEND\r\n");
}
