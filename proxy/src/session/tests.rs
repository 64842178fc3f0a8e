//! Sessions on a real store, without sockets.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use memtide_service::drain::Drain;
use memtide_topology::HashSeed;

use memtide_execute::Executed;

use super::*;
use crate::config::{Backend, EmbeddedBackend, ProxyConfig};
use crate::limits::READ_BYTES_MAX;
use crate::shared::Shared;

const NOW_SECS: u32 = 1_800_000_000;

/// A session with all that surrounds it in a connection.
pub struct Bench {
    pub shared: Shared,
    session: Session,
    carry: Vec<u8>,
    batch: Executed,
    /// Times that the session stopped to let others have their turn.
    turns: usize,
}

impl Bench {
    pub fn new() -> Self {
        let config = ProxyConfig {
            advertise: "cache.test".into(),
            threads: 1,
            item_size_max: 1 << 20,
            connections_max: 1,
            idle_timeout: None,
            handshake_timeout: Duration::from_secs(1),
            handshakes_per_second_max: None,
            ecpu_units_per_second_max: None,
            give_back_memory: || {},
            backend: Backend::Embedded(EmbeddedBackend {
                memory_max: 64 << 20,
                memory_ceiling: 0,
                memory_capacity: 64 << 20,
                seed: HashSeed::new(1, 2),
                metered_bytes_min: 0,
            }),
        };
        let shared = Shared::new(config, Drain::new().watch());
        Self {
            shared,
            session: Session::default(),
            carry: Vec::new(),
            batch: Executed::default(),
            turns: 0,
        }
    }

    /// Sends these bytes as one read; returns the replies, and the size of the largest batch.
    pub fn send(&mut self, bytes: &[u8]) -> (Vec<u8>, usize) {
        self.carry.extend_from_slice(bytes);
        let (mut replies, mut largest) = (Vec::new(), 0);
        loop {
            let counters = Arc::clone(&self.shared.counters[0]);
            let mut executor = Executor::new(&self.shared, &counters, NOW_SECS, &mut self.batch);
            let mut out = Vec::new();
            let (consumed, progress) = self.session.advance(&self.carry, &mut out, &mut executor);
            self.carry.drain(..consumed);
            largest = largest.max(out.len());
            replies.extend_from_slice(&out);
            match progress {
                Progress::OutputFull => assert!(!out.is_empty(), "no progress"),
                Progress::Held => panic!("there is no limit"),
                Progress::TurnOver => self.turns += 1,
                Progress::NeedsMore { needed } => {
                    assert!(needed > self.carry.len(), "{needed} are there already");
                    return (replies, largest);
                }
                Progress::Close => return (replies, largest),
            }
        }
    }

    pub fn ecpu_units(&self) -> u64 {
        self.shared.totals().traffic.ecpu_units
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Classic and meta, hits and misses, an error, a refused value and its data.
const MIXED: &[u8] = b"set a 5 0 3\r\nabc\r\nget a b\r\nms c 2 T100 c\r\nhi\r\nmg c v t f s\r\n\
    bogus\r\nset big 0 0 1048577\r\n";

#[test]
fn classic_and_meta_commands_mix_in_one_stream() {
    let mut bench = Bench::new();
    let (replies, _) = bench.send(MIXED);
    let cas = text(&replies)
        .split(" c")
        .nth(1)
        .and_then(|rest| rest.split('\r').next())
        .map(str::to_owned);
    let cas = cas.expect("ms answers with its CAS unique");
    assert_eq!(
        text(&replies),
        format!(
            "STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\nHD c{cas}\r\nVA 2 t100 f0 s2\r\nhi\r\nERROR\r\n\
             SERVER_ERROR object too large for cache\r\n"
        )
    );
    assert!(bench.session.is_swallowing());
    assert_eq!(text(&bench.send(&vec![b'x'; 1_048_577]).0), "");
    assert_eq!(text(&bench.send(b"\r\nmn\r\n").0), "MN\r\n");
}

#[test]
fn any_split_of_the_stream_gives_the_same_replies_and_the_same_bill() {
    let mut stream = MIXED.to_vec();
    stream.extend(std::iter::repeat_n(b'x', 1_048_577));
    stream.extend_from_slice(b"\r\nappend a 0 0 2\r\nde\r\nget a\r\n");
    let mut whole = Bench::new();
    let (expected, _) = whole.send(&stream);
    let boundary = MIXED.len() + 1_048_577;
    let near = (1..MIXED.len() + 2).chain(boundary - 2..stream.len());
    for split in near {
        let mut bench = Bench::new();
        let mut replies = bench.send(&stream[..split]).0;
        replies.extend(bench.send(&stream[split..]).0);
        assert_eq!(text(&replies), text(&expected), "split at {split}");
        assert_eq!(bench.ecpu_units(), whole.ecpu_units(), "split at {split}");
    }
}

#[test]
fn a_multiget_of_large_values_pauses_instead_of_piling_up() {
    let mut bench = Bench::new();
    let value = vec![b'v'; 100_000];
    let mut line = b"get".to_vec();
    for i in 0..50 {
        let mut set = format!("set k{i} 0 0 {}\r\n", value.len()).into_bytes();
        set.extend_from_slice(&value);
        set.extend_from_slice(b"\r\n");
        assert_eq!(text(&bench.send(&set).0), "STORED\r\n");
        line.extend_from_slice(format!(" k{i}").as_bytes());
    }
    line.extend_from_slice(b"\r\nmn\r\n");
    let before = bench.ecpu_units();
    let (replies, largest) = bench.send(&line);
    assert!(largest <= OUTPUT_BYTES_HIGH + value.len() + 300, "{largest} bytes at once");
    assert_eq!(replies.iter().filter(|&&byte| byte == b'v').count(), 50 * value.len());
    assert!(replies.ends_with(b"\r\nEND\r\nMN\r\n"));
    let multiget_bytes = (line.len() - 4 + replies.len() - 4) as u64;
    assert_eq!(bench.ecpu_units() - before, multiget_bytes + 1024, "one bill, and one for mn");
}

#[test]
fn a_retrieval_pauses_only_where_keys_are_left() {
    let mut bench = Bench::new();
    let value = vec![b'v'; 100 << 10];
    let mut set = format!("set k 0 0 {}\r\n", value.len()).into_bytes();
    set.extend_from_slice(&value);
    set.extend_from_slice(b"\r\n");
    bench.send(&set);
    for (line, pauses) in [("get k\r\n", 0), ("gets absent k\r\n", 0), ("get k k \r\n", 1)] {
        let counters = Arc::clone(&bench.shared.counters[0]);
        let mut executor = Executor::new(&bench.shared, &counters, NOW_SECS, &mut bench.batch);
        for _ in 0..pauses {
            let paused = bench.session.advance(line.as_bytes(), &mut Vec::new(), &mut executor);
            assert_eq!(paused, (0, Progress::OutputFull), "{line}");
        }
        let mut out = Vec::new();
        let (consumed, _) = bench.session.advance(line.as_bytes(), &mut out, &mut executor);
        assert_eq!(consumed, line.len(), "{line}");
        assert!(out.ends_with(b"v\r\nEND\r\n"), "{line}");
    }
}

/// Commands on few keys, every kind among them, with refusals, refused data and lost data blocks.
pub fn pipeline() -> Vec<Vec<u8>> {
    let mut commands: Vec<Vec<u8>> = Vec::new();
    let mut add = |text: String| commands.push(text.into_bytes());
    for i in 0..40 {
        let (key, other) = (i % 7, (i + 3) % 7);
        add(format!("set k{key} {i} 0 3\r\n{:03}\r\n", i * 7));
        add(format!("get k{other}\r\n"));
        add(format!("mg azA= b v k\r\nms azE= 1 b F{i}\r\n7\r\nincr k{key} {i}\r\n"));
        add(format!("get{}\r\n", " k0 k1 absent k2 k3 k4 k5".repeat(i % 9 + 1)));
        add(format!("gat 100 k{key} k{other}\r\nmd k{other} q\r\ntouch k{key} 50\r\n"));
        match i % 5 {
            0 => {
                let block = &"get k0\r\n".repeat(131_073)[..1_048_577];
                add(format!("set k{key} 0 0 1048577\r\n{block}\r\n"));
            }
            1 => add("get\r\nbogus k1\r\n".into()),
            2 => add("flush_all noreply\r\n".into()),
            3 => add(format!("delete k{key} noreply\r\nadd k{key} 0 0 1\r\n1\r\n")),
            _ => add("mn\r\nappend k1 0 0 2\r\nzz\r\nprepend k1 0 0 1\r\nlong\r\n".into()),
        }
    }
    commands
}

#[test]
fn a_pipeline_is_answered_and_billed_as_its_commands_one_by_one() {
    let commands = pipeline();
    let mut alone = Bench::new();
    let expected: Vec<u8> = commands.iter().flat_map(|command| alone.send(command).0).collect();
    for group in [2, 5, 16, 17, commands.len()] {
        let mut bench = Bench::new();
        let replies = commands.chunks(group).flat_map(|group| bench.send(&group.concat()).0);
        let replies: Vec<u8> = replies.collect();
        assert_eq!(text(&replies), text(&expected), "{group} at once");
        assert_eq!(bench.ecpu_units(), alone.ecpu_units(), "{group} at once");
        assert_eq!(bench.shared.totals().traffic.commands, alone.shared.totals().traffic.commands);
    }
}

#[test]
fn pipelined_large_values_and_multigets_of_them_come_in_order() {
    let mut bench = Bench::new();
    let mut expected = Vec::new();
    for i in 0..20u8 {
        let value = vec![b'a' + i; 3_000 * usize::from(i)];
        let mut set = format!("set k{i} 0 0 {}\r\n", value.len()).into_bytes();
        set.extend_from_slice(&value);
        set.extend_from_slice(b"\r\n");
        assert_eq!(text(&bench.send(&set).0), "STORED\r\n");
        expected.extend_from_slice(format!("VALUE k{i} 0 {}\r\n", value.len()).as_bytes());
        expected.extend_from_slice(&value);
        expected.extend_from_slice(b"\r\n");
    }
    let all: String = (0..20).map(|i| format!(" k{i}")).collect();
    let multiget = format!("get{all}\r\n");
    let single: String = (0..20).map(|i| format!("mg k{i} s\r\n")).collect();
    let lens: String = (0..20).map(|i| format!("HD s{}\r\n", 3_000 * i)).collect();
    expected.extend_from_slice(b"END\r\n");
    expected.extend_from_slice(lens.as_bytes());
    let stream = format!("{multiget}{single}").repeat(3);
    let (replies, largest) = bench.send(stream.as_bytes());
    assert!(replies == expected.repeat(3), "{} bytes", replies.len());
    assert!(largest <= OUTPUT_BYTES_HIGH + 3_000 * 20 + 300, "{largest} bytes at once");
}

#[test]
fn every_command_is_billed_by_its_items_or_its_bytes() {
    let check = |commands: &[u8], units: u64| {
        let mut bench = Bench::new();
        bench.send(commands);
        assert_eq!(bench.ecpu_units(), units, "{}", text(commands));
    };
    check(b"get a\r\n", 1024);
    check(b"get a b c\r\n", 3 * 1024);
    check(b"mn\r\n", 1024);
    check(b"bogus\r\n", 1024);
    check(b"quit\r\n", 1024);
    check(&[0x80; 5000], 1024);
    check(&[b'x'; 5000], 1024);
    let mut set = b"set a 0 0 3000\r\n".to_vec();
    set.extend(std::iter::repeat_n(b'x', 3000));
    set.extend_from_slice(b"\r\n");
    check(&set, (set.len() + "STORED\r\n".len()) as u64);
}

#[test]
fn a_value_that_never_came_whole_is_billed_for_what_came() {
    let mut bench = Bench::new();
    let line = b"set big 0 0 2000000\r\n";
    let (reply, _) = bench.send(line);
    bench.send(&vec![b'x'; 5000]);
    assert_eq!(bench.ecpu_units(), 0, "not over yet");
    let counters = Arc::clone(&bench.shared.counters[0]);
    bench.session.abandon(&counters);
    assert_eq!(bench.ecpu_units(), (line.len() + reply.len() + 5000) as u64);
    assert_eq!(bench.shared.totals().traffic.commands, 1);
}

#[test]
fn a_multiget_that_its_client_leaves_is_billed_for_what_was_answered() {
    let mut bench = Bench::new();
    let value = vec![b'v'; OUTPUT_BYTES_HIGH];
    let mut set = format!("set k 0 0 {}\r\n", value.len()).into_bytes();
    set.extend_from_slice(&value);
    set.extend_from_slice(b"\r\n");
    bench.send(&set);
    let before = bench.ecpu_units();
    let line = b"get k k k k\r\n";
    let counters = Arc::clone(&bench.shared.counters[0]);
    let mut executor = Executor::new(&bench.shared, &counters, NOW_SECS, &mut bench.batch);
    let mut out = Vec::new();
    let step = bench.session.advance(line, &mut out, &mut executor);
    assert_eq!(step, (0, Progress::OutputFull));
    bench.session.abandon(&counters);
    assert_eq!(bench.ecpu_units() - before, (line.len() + out.len()) as u64);
    assert_eq!(bench.shared.totals().traffic.commands, 2);
}

#[test]
fn a_pipeline_of_any_length_is_answered_in_order() {
    let mut bench = Bench::new();
    let mut stream = b"set n 0 0 1\r\n0\r\n".to_vec();
    let mut expected = String::from("STORED\r\n");
    for i in 1..=20_000 {
        stream.extend_from_slice(b"incr n 1\r\n");
        expected.push_str(&format!("{i}\r\n"));
    }
    let chunk = NonZeroUsize::new(READ_BYTES_MAX).unwrap().get();
    let replies: Vec<u8> = stream.chunks(chunk).flat_map(|read| bench.send(read).0).collect();
    assert_eq!(text(&replies), expected);
}

#[test]
fn stats_reset_forgets_counts_but_not_what_is_metered() {
    let mut bench = Bench::new();
    bench.send(b"set a 0 0 1\r\n1\r\nget a\r\nget b\r\n");
    let stat = |replies: &[u8], name: &str| {
        let line = format!("STAT {name} ");
        let found = text(replies).lines().find_map(|l| l.strip_prefix(&line).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let replies = bench.send(b"stats\r\n").0;
    assert_eq!([stat(&replies, "get_hits"), stat(&replies, "cmd_get")], ["1", "2"]);
    let before = bench.ecpu_units();
    assert_eq!(text(&bench.send(b"stats reset\r\n").0), "RESET\r\n");
    let replies = bench.send(b"stats\r\n").0;
    assert_eq!([stat(&replies, "get_hits"), stat(&replies, "curr_items")], ["0", "1"]);
    assert!(bench.ecpu_units() > before);
}

#[test]
fn config_get_cluster_names_this_endpoint() {
    let mut bench = Bench::new();
    bench.shared.primary_port.set(11211).unwrap();
    let body = "1\ncache.test||11211\n";
    let expected = format!("CONFIG cluster 0 {}\r\n{body}\r\nEND\r\n", body.len());
    assert_eq!(text(&bench.send(b"config get cluster\r\n").0), expected);
}

#[test]
fn a_turn_ends_after_so_many_commands_or_one_that_walks_the_store() {
    let check = |commands: &[u8], turns: usize| {
        let mut bench = Bench::new();
        bench.send(commands);
        assert_eq!(bench.turns, turns, "{}", text(&commands[..commands.len().min(40)]));
    };
    check(&b"mn\r\n".repeat(COMMANDS_PER_TURN_MAX), 0);
    check(&b"mn\r\n".repeat(3 * COMMANDS_PER_TURN_MAX + 1), 3);
    check(&b"delete a noreply\r\n".repeat(COMMANDS_PER_TURN_MAX + 1), 1);
    check(&b"flush_all noreply\r\n".repeat(5), 5);
    check(b"stats\r\nstats reset\r\nmn\r\n", 2);
}

#[test]
fn stats_beside_a_reset_on_another_core_never_goes_below_zero() {
    let bench = Bench::new();
    let hash = |key: &[u8]| HashSeed::new(1, 2).hash(key);
    let key = memtide_engine_core::Key::new(b"k", hash(b"k")).unwrap();
    let now = memtide_engine_core::Now::from_unix_secs(NOW_SECS);
    let rounds = 300;
    std::thread::scope(|scope| {
        let resets = scope.spawn(|| {
            for _ in 0..rounds {
                bench.shared.embedded().unwrap().store.put(
                    key,
                    &memtide_engine_core::Put::default(),
                    now,
                );
                bench.shared.reset_stats();
            }
        });
        let mut out = Vec::new();
        while !resets.is_finished() {
            out.clear();
            bench.shared.write_stats(NOW_SECS, &mut out);
            let stats = text(&out);
            let total = stats.lines().find_map(|line| line.strip_prefix("STAT total_items "));
            assert!(total.unwrap().parse::<u64>().unwrap() <= rounds, "{stats}");
        }
    });
}
