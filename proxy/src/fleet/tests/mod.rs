#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod bounds;
mod rig;

use memtide_routing::Settings;
use memtide_topology::{Answer, Epoch, NodeId, SlotId};
use memtide_wire::Reach;

use crate::session::tests::{Bench, pipeline};
use rig::{Rig, SEED, topology};

/// The number-th key whose slot belongs to the node, where three share the slots.
fn key_of(node: u64, number: usize) -> String {
    let is_of =
        |key: &String| u64::from(SlotId::of(SEED.hash(key.as_bytes())).number() % 3) + 1 == node;
    (0..).map(|i| format!("k{i}")).filter(is_of).nth(number).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_fleet_answers_and_bills_as_an_embedded_node_does() {
    let commands = pipeline();
    let mut alone = Bench::new();
    let expected: Vec<u8> = commands.iter().flat_map(|command| alone.send(command).0).collect();
    for group in [1, 3, 16, commands.len()] {
        let mut rig = Rig::new(3);
        let client = rig.client();
        commands.chunks(group).for_each(|group| rig.send(client, &group.concat()));
        assert_eq!(rig.replies(client), text(&expected), "{group} at once");
        assert_eq!(rig.ecpu_units(), alone.ecpu_units(), "{group} at once");
        let [here, there] = [&rig.shared, &alone.shared].map(|shared| shared.totals());
        assert_eq!(here.traffic.commands, there.traffic.commands);
        let cached = |items: &memtide_execute::CommandTotals| {
            let i = *items;
            [i.cmd_get, i.cmd_set, i.cmd_flush, i.cmd_meta, i.get_hits, i.get_misses, i.incr_hits]
        };
        assert_eq!(cached(&here.items), cached(&there.items));
        let errors =
            |items: &memtide_execute::CommandTotals| (items.client_errors, items.server_errors);
        assert_eq!(errors(&here.items), errors(&there.items));
        assert_eq!(here.items.store_too_large, there.items.store_too_large);
        let count = |latency: &crate::counters::LatencyTotals| latency.buckets.iter().sum::<u64>();
        assert_eq!(
            count(&here.read_latency) + count(&here.write_latency),
            0,
            "the rig sends nothing"
        );
    }
}

/// Every outcome of every command that has a reply, quiet meta commands among them.
const OUTCOMES: &[u8] = b"set a 0 0 1\r\n1\r\nadd a 0 0 1\r\n2\r\nreplace b 0 0 1\r\n3\r\n\
    get a\r\nget b\r\ngets a b a\r\ngat 100 a b\r\ntouch a 0\r\ntouch b 0\r\nincr a 1\r\n\
    incr b 1\r\ndecr a 1\r\ndecr b 1\r\nset t 0 0 1\r\nx\r\nincr t 1\r\nma t\r\n\
    cas a 0 0 1 9999\r\n2\r\ncas b 0 0 1 9\r\n2\r\nms c 1 E77\r\nx\r\ncas c 0 0 1 77\r\ny\r\n\
    ms d 1 q\r\nx\r\nms d 1 C5 q\r\nx\r\nms e 1 C5 q\r\nx\r\nms d 1 ME q\r\nx\r\n\
    ms f 1 E5 q\r\nx\r\nms f 1 C5 q\r\ny\r\nmg a\r\nmg b q\r\nmg b\r\nmg a v q\r\nmg v N30\r\n\
    mg v N30\r\nmg w N30 T30 v\r\nmg a T30\r\nmd f q\r\nmd f q\r\nmd d C1 q\r\nmd a\r\nma n\r\n\
    ma n N0 q\r\nma n MD q\r\nma n C1 q\r\nma m MD q\r\ndelete d\r\ndelete d\r\nbogus\r\n\
    get\r\nflush_all\r\nmg\r\n";

#[test]
fn what_replies_tell_is_counted_as_an_embedded_node_counts_it() {
    let (mut alone, mut rig) = (Bench::new(), Rig::new(3));
    let client = rig.client();
    let expected = text(&alone.send(OUTCOMES).0);
    assert_eq!(rig.ask(client, OUTCOMES), expected);
    assert_eq!(rig.shared.totals().items, alone.shared.totals().items);
}

#[test]
fn any_split_of_a_refused_value_gives_the_same_replies_and_the_same_bill() {
    let mut stream = b"set a 0 0 1\r\nx\r\nset a 0 0 1048577\r\n".to_vec();
    let start = stream.len();
    stream.extend(std::iter::repeat_n(b'x', 1_048_577));
    stream.extend_from_slice(b"\r\nget a\r\nset b 0 0 3000000 noreply\r\n");
    stream.extend(std::iter::repeat_n(b'x', 3_000_000));
    stream.extend_from_slice(b"\r\nmn\r\n");
    let mut alone = Bench::new();
    let expected = text(&alone.send(&stream).0);
    assert_eq!(expected, "STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\nMN\r\n");
    for split in [5, 17, start - 1, start, start + 7, stream.len() - 5, stream.len()] {
        for is_prompt in [true, false] {
            let mut rig = Rig::new(3);
            rig.nodes.values_mut().for_each(|node| node.is_prompt = is_prompt);
            let client = rig.client();
            rig.send(client, &stream[..split]);
            rig.send(client, &stream[split..]);
            rig.nodes.values_mut().for_each(|node| node.is_prompt = true);
            rig.settle();
            assert_eq!(rig.replies(client), expected, "split at {split}");
            assert_eq!(rig.ecpu_units(), alone.ecpu_units(), "split at {split}, {is_prompt}");
        }
    }
}

#[test]
fn replies_keep_the_order_of_the_commands_whichever_node_is_slow() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    let keys: Vec<String> = (0..9_u8).map(|i| key_of(u64::from(i % 3) + 1, i.into())).collect();
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(rig.ask(client, format!("set {key} 0 0 1\r\n{i}\r\n").as_bytes()), "STORED\r\n");
    }
    rig.node(1).is_prompt = false;
    let gets: String = keys.iter().map(|key| format!("mg {key} v\r\n")).collect();
    let got = rig.ask(client, format!("{gets}mn\r\nversion\r\n").as_bytes());
    assert_eq!(got, "", "the first one is of the slow node");
    rig.answer(1);
    rig.settle();
    assert_eq!(rig.replies(client), "VA 1\r\n0\r\nVA 1\r\n1\r\nVA 1\r\n2\r\n");
    rig.answer(1);
    rig.settle();
    assert_eq!(rig.replies(client), "VA 1\r\n3\r\nVA 1\r\n4\r\nVA 1\r\n5\r\n");
    rig.answer(1);
    rig.settle();
    let rest = "VA 1\r\n6\r\nVA 1\r\n7\r\nVA 1\r\n8\r\nMN\r\nVERSION 1.6.45\r\n";
    assert_eq!(rig.replies(client), rest);
    assert_eq!(rig.switch.lane(rig.clients[client].lane).held_bytes(), 0);
}

/// What was told gives its room back, though something waits all the time.
#[test]
fn replies_before_their_turn_are_kept_no_longer_than_needed() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    let [slow, fast] = [1, 2].map(|node| key_of(node, 0));
    let value = "v".repeat(1_900);
    for key in [&slow, &fast] {
        rig.send(client, format!("set {key} 0 0 1900\r\n{value}\r\n").as_bytes());
    }
    rig.replies(client);
    rig.node(1).is_prompt = false;
    let (get_slow, get_fast) = (format!("mg {slow} s\r\n"), format!("mg {fast} v\r\n"));
    // Until their size is known, few are asked at a time.
    rig.ask(client, get_fast.repeat(200).as_bytes());
    let asked = [&get_slow, &get_fast.repeat(100), &get_slow, &get_fast.repeat(10)];
    assert_eq!(rig.ask(client, asked.map(String::as_str).concat().as_bytes()), "");
    let held = |rig: &Rig| rig.switch.lane(rig.clients[client].lane).held_bytes();
    assert!(held(&rig) > 110 * 1_900);
    rig.answer(1);
    rig.settle();
    let (of_slow, of_fast) = ("HD s1900\r\n", format!("VA 1900\r\n{value}\r\n"));
    assert_eq!(rig.replies(client), format!("{of_slow}{}", of_fast.repeat(100)));
    assert!(held(&rig) < 12 * 1_900, "{} bytes are held", held(&rig));
    rig.answer(1);
    rig.settle();
    assert_eq!(rig.replies(client), format!("{of_slow}{}", of_fast.repeat(10)));
}

#[test]
fn a_multiget_gathers_its_keys_in_order_from_all_nodes() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    let mut expected = String::new();
    for i in 0..300 {
        if i % 3 > 0 {
            rig.send(client, format!("set k{i} {i} 0 3\r\n{i:03}\r\n").as_bytes());
            expected.push_str(&format!("VALUE k{i} {i} 3\r\n{i:03}\r\n"));
        }
    }
    rig.replies(client);
    let line: String = (0..300).map(|i| format!(" k{i}")).collect();
    let line = format!("get{line}\r\n");
    let before = rig.ecpu_units();
    for slow in [0, 1, 2, 3] {
        rig.nodes.values_mut().for_each(|node| node.is_prompt = node.id.number() != slow);
        rig.send(client, line.as_bytes());
        while slow > 0 && rig.clients[client].replies.len() < expected.len() {
            rig.answer(slow);
            rig.settle();
        }
        assert_eq!(rig.replies(client), format!("{expected}END\r\n"));
    }
    assert_eq!(rig.ecpu_units() - before, 4 * 300 * 1024);
}

#[test]
fn a_multiget_of_which_a_part_is_refused_ends_in_an_error_and_not_in_a_miss() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    let [a, b, c] = [1, 2, 3].map(|node| key_of(node, 0));
    for key in [&a, &b, &c] {
        rig.send(client, format!("set {key} 0 0 1\r\nx\r\n").as_bytes());
    }
    rig.replies(client);
    rig.unlink(2);
    rig.send(client, format!("get {a} {b} {c}\r\nget {c}\r\n").as_bytes());
    let first = format!("VALUE {a} 0 1\r\nx\r\n");
    assert_eq!(rig.replies(client), first);
    rig.wait(5_000);
    let rest = format!("SERVER_ERROR no live copy of the slot\r\nVALUE {c} 0 1\r\nx\r\nEND\r\n");
    assert_eq!(rig.replies(client), rest);
}

#[test]
fn a_broken_link_is_waited_for_and_a_mutation_tried_again_as_a_retry() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    let key = key_of(1, 0);
    rig.node(1).is_prompt = false;
    let line = format!("incr {key} 1\r\n");
    assert_eq!(rig.ask(client, line.as_bytes()), "");
    rig.node(1).listen();
    assert!(!rig.node(1).questions[0].is_retry);
    rig.unlink(1);
    rig.wait(1_000);
    assert_eq!(rig.replies(client), "");
    rig.link(1);
    rig.wait(100);
    rig.node(1).listen();
    assert!(rig.node(1).questions[0].is_retry);
    rig.answer(1);
    rig.settle();
    assert_eq!(rig.replies(client), "NOT_FOUND\r\n");
    let fleet = rig.shared.totals().fleet;
    assert_eq!((fleet.asked, fleet.sent, fleet.done, fleet.links_lost), (1, 2, 1, 1));
}

#[test]
fn a_request_without_an_outcome_is_refused_in_step_and_only_where_a_reply_is_wanted() {
    let check = |lines: &str, is_sent: bool, expected: &str| {
        let mut rig = Rig::new(3);
        let client = rig.client();
        rig.node(1).is_prompt = false;
        if !is_sent {
            rig.unlink(1);
        }
        let lines = lines.replace("KEY", &key_of(1, 0));
        rig.send(client, format!("{lines}mn\r\n").as_bytes());
        rig.wait(4_999);
        assert_eq!(rig.replies(client), "", "{lines}");
        rig.wait(1);
        assert_eq!(rig.replies(client), format!("{expected}MN\r\n"), "{lines}");
        assert_eq!(rig.shared.totals().items.server_errors, 1, "{lines}");
        let bytes = lines.len() + expected.len();
        assert!(bytes < 1024 && rig.ecpu_units() == 2 * 1024, "{}", rig.ecpu_units());
    };
    check("get KEY\r\n", true, "SERVER_ERROR no answer in time, nothing was done\r\n");
    check("set KEY 0 0 1\r\nx\r\n", true, "SERVER_ERROR outcome unknown\r\n");
    check("set KEY 0 0 1 noreply\r\nx\r\n", true, "");
    check("ms KEY 1 q\r\nx\r\n", true, "SERVER_ERROR outcome unknown\r\n");
    check("get KEY\r\n", false, "SERVER_ERROR no live copy of the slot\r\n");
    check("set KEY 0 0 1\r\nx\r\n", false, "SERVER_ERROR no live copy of the slot\r\n");
    check("delete KEY noreply\r\n", false, "");
}

#[test]
fn what_has_moved_is_asked_of_the_new_primary() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    rig.node(1).is_prompt = false;
    let key = key_of(1, 0);
    assert_eq!(rig.ask(client, format!("set {key} 0 0 1\r\nx\r\n").as_bytes()), "");
    rig.answer_with(1, |_| Answer::Moved {
        epoch: Epoch::new(2),
        primary: Some(NodeId::new(2)),
        may_be_done: false,
    });
    rig.settle();
    assert_eq!(rig.replies(client), "STORED\r\n");
    assert_eq!(rig.node(2).executed.len(), 1);
    let fleet = rig.shared.totals().fleet;
    assert_eq!((fleet.moved, fleet.behind), (1, 1));
    rig.switch.adopt(rig.now, topology(2, &[1, 2, 3], &[2, 2, 3]));
    assert_eq!(
        rig.ask(client, format!("get {key}\r\n").as_bytes()),
        format!("VALUE {key} 0 1\r\nx\r\nEND\r\n")
    );
}

#[test]
fn an_answer_for_a_client_that_has_gone_reaches_nobody() {
    let mut rig = Rig::new(1);
    let first = rig.client();
    assert_eq!(rig.ask(first, b"set secret 0 0 3\r\nabc\r\n"), "STORED\r\n");
    rig.node(1).is_prompt = false;
    rig.send(first, b"get secret\r\nmg secret v\r\nget secret secret\r\n");
    let before = rig.ecpu_units();
    rig.leave(first);
    assert_eq!(rig.ecpu_units() - before, 4 * 1024, "what was asked is billed");
    let second = rig.client();
    assert_eq!(rig.clients[second].lane, rig.clients[first].lane, "it has the place");
    rig.send(second, &b"get a\r\n".repeat(9));
    rig.answer_all(1);
    rig.settle();
    assert_eq!(rig.replies(second), "END\r\n".repeat(9));
    assert_eq!(rig.switch.router.outstanding(), 0);
    assert_eq!(rig.switch.lane(rig.clients[second].lane).held_bytes(), 0);
}

#[test]
fn flush_all_flushes_every_slot_once_and_nothing_overtakes_it() {
    let mut rig = Rig::new(3);
    let [client, other] = [rig.client(), rig.client()];
    let sets: String = (0..50).map(|i| format!("set k{i} 0 0 1 noreply\r\nx\r\n")).collect();
    let all: String = (0..50).map(|i| format!(" k{i}")).collect();
    let line = format!("{sets}flush_all\r\nget{all}\r\nset a 0 0 1\r\nx\r\n");
    rig.node(2).is_prompt = false;
    rig.send(client, line.as_bytes());
    assert_eq!(rig.replies(client), "");
    assert_eq!(rig.ask(other, b"mn\r\n"), "MN\r\n");
    rig.node(2).is_prompt = true;
    rig.settle();
    assert_eq!(rig.replies(client), "OK\r\nEND\r\nSTORED\r\n");
    let flushes = |rig: &Rig| {
        let all = rig.nodes.values().flat_map(|node| &node.executed);
        all.filter(|command| command.starts_with(b"flush_all")).count()
    };
    assert_eq!(flushes(&rig), 16_384);
    assert_eq!(rig.ask(client, b"flush_all noreply\r\nget a\r\n"), "END\r\n");
    assert_eq!(rig.shared.totals().items.cmd_flush, 2);
    // A node that is away has its slots' flush refused, and so the whole.
    rig.unlink(3);
    rig.send(client, b"flush_all\r\nmn\r\n");
    rig.wait(5_000);
    assert_eq!(rig.replies(client), "SERVER_ERROR no live copy of the slot\r\nMN\r\n");
}

#[test]
fn flushes_that_wait_for_another_are_one() {
    let mut rig = Rig::new(1);
    let clients: Vec<usize> = (0..9).map(|_| rig.client()).collect();
    rig.node(1).is_prompt = false;
    for &client in &clients {
        rig.send(client, b"flush_all\r\n");
    }
    assert!(rig.switch.router.outstanding() <= 512);
    rig.leave(clients[0]);
    rig.leave(clients[8]);
    rig.node(1).is_prompt = true;
    rig.settle();
    for &client in &clients[1..8] {
        assert_eq!(rig.replies(client), "OK\r\n");
    }
    assert_eq!(rig.node(1).executed.len(), 2 * 16_384);
}

#[test]
fn stats_are_the_sums_of_all_nodes() {
    let mut rig = Rig::new(3);
    let client = rig.client();
    for node in 1..=3 {
        let key = key_of(node, 0);
        rig.send(client, format!("set {key} 0 0 1\r\nx\r\nget {key}\r\n").as_bytes());
    }
    rig.replies(client);
    let stats = rig.ask(client, b"stats\r\n");
    for line in ["STAT cmd_get 3", "STAT curr_items 3", "STAT threads 1", "STAT version 1.6.45"] {
        assert!(stats.contains(&format!("{line}\r\n")), "{line} in {stats}");
    }
    assert!(stats.ends_with("END\r\n"));
    assert_eq!(rig.ask(client, b"stats reset\r\n"), "RESET\r\n");
    rig.unlink(2);
    let refused = "SERVER_ERROR a node is not available\r\nMN\r\n";
    assert_eq!(rig.ask(client, b"stats\r\nmn\r\n"), refused);
}

/// The router hears of the time only when it is called.
#[test]
fn what_follows_a_long_silence_has_all_its_time() {
    for command in ["stats\r\n", "flush_all\r\n", "get a\r\n", "stats reset\r\n"] {
        let mut rig = Rig::new(1);
        let client = rig.client();
        rig.wait(60_000);
        rig.node(1).is_prompt = false;
        rig.send(client, command.as_bytes());
        rig.wait(4_900);
        assert_eq!(rig.replies(client), "", "{command}");
        rig.node(1).is_prompt = true;
        rig.settle();
        let reply = rig.replies(client);
        assert!(!reply.is_empty() && !reply.contains("ERROR"), "{reply}");
    }
}

#[test]
fn a_topology_that_is_older_changes_nothing() {
    let mut rig = Rig::new(2);
    let client = rig.client();
    rig.switch.adopt(rig.now, topology(5, &[1, 2], &[2]));
    rig.switch.adopt(rig.now, topology(4, &[1, 2], &[1]));
    rig.send(client, b"get a\r\nstats\r\n");
    assert_eq!((rig.node(1).executed.len(), rig.node(2).executed.len()), (0, 2));
}

#[test]
fn gets_of_the_read_optimized_port_go_to_any_copy_and_all_else_to_the_primary() {
    let mut rig = Rig::new(1);
    let client = rig.client();
    rig.clients[client].is_read_optimized = true;
    rig.node(1).is_prompt = false;
    rig.send(client, b"get a\r\ngets a b\r\nmg a v\r\nset a 0 0 1\r\nx\r\ngat 0 a\r\ndelete a\r\n");
    rig.node(1).listen();
    let reached: Vec<Reach> = rig.node(1).questions.iter().map(|question| question.reach).collect();
    let (copy, primary) = (Reach::Copy, Reach::Primary);
    assert_eq!(reached, [copy, copy, copy, primary, primary, primary, primary]);
    // What the client does not know to be done, a copy need not know either.
    rig.send(client, b"get a\r\n");
    rig.node(1).is_prompt = true;
    rig.settle();
    rig.node(1).is_prompt = false;
    rig.send(client, b"get a b\r\nset a 0 0 1 noreply\r\nx\r\nget a\r\n");
    rig.node(1).listen();
    let reached: Vec<Reach> = rig.node(1).questions.iter().map(|question| question.reach).collect();
    assert_eq!(reached, [copy, copy, primary, primary]);
}

#[test]
fn before_the_first_topology_commands_wait_and_are_refused_at_last() {
    let mut rig = Rig::unfounded(Settings::default());
    let client = rig.client();
    assert_eq!(rig.ask(client, b"set a 0 0 1\r\nx\r\n"), "");
    rig.wait(3_000);
    rig.switch.adopt(rig.now, topology(1, &[1], &[1]));
    rig.link(1);
    rig.settle();
    assert_eq!(rig.replies(client), "STORED\r\n");

    let mut rig = Rig::unfounded(Settings::default());
    let client = rig.client();
    let lines =
        b"set a 0 0 1\r\nx\r\nget a b\r\nset a 0 0 1 noreply\r\nx\r\nflush_all\r\nstats\r\nmn\r\n";
    assert_eq!(rig.ask(client, lines), "");
    rig.wait(6_000);
    rig.wait(6_000);
    let refused = "SERVER_ERROR no live copy of the slot\r\n".repeat(4);
    assert_eq!(rig.replies(client), format!("{refused}MN\r\n"));
}

/// Whatever order the nodes answer in, and however the pipelines are cut.
#[test]
fn replies_are_the_same_in_any_order_of_answers() {
    let commands = pipeline();
    let mut alone = Bench::new();
    let expected: Vec<u8> = commands.iter().flat_map(|command| alone.send(command).0).collect();
    for seed in 1..5_u64 {
        let mut random = seed;
        let mut next = |bound: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).unwrap() % bound
        };
        let mut rig = Rig::new(3);
        rig.nodes.values_mut().for_each(|node| node.is_prompt = false);
        let client = rig.client();
        let mut stream = commands.concat();
        loop {
            let part = stream.len().min(next(5_000));
            rig.send(client, &stream.drain(..part).collect::<Vec<u8>>());
            for _ in 0..next(40) {
                let id = next(3) as u64 + 1;
                if !rig.node(id).questions.is_empty() {
                    rig.answer(id);
                }
            }
            rig.settle();
            let is_quiet = rig.nodes.values().all(|node| node.questions.is_empty());
            if stream.is_empty() && is_quiet && rig.clients[client].carry.is_empty() {
                break;
            }
            if stream.is_empty() {
                for id in 1..=3 {
                    rig.answer_all(id);
                }
            }
        }
        assert_eq!(rig.replies(client), text(&expected), "seed {seed}");
        assert_eq!(rig.ecpu_units(), alone.ecpu_units(), "seed {seed}");
        assert_eq!(rig.switch.lane(rig.clients[client].lane).held_bytes(), 0);
    }
}
