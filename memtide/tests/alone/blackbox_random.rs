//! memtide over TLS and Debian's memcached over TCP answer random command streams alike.
//!
//! `MEMTIDE_TEST_SEED` replays a stream; `MEMTIDE_TEST_SERVER=memcached` compares memcached with
//! itself, to test the test. See docs/testing.md.

use memtide_testkit::{
    Agreement, Client, CommandStream, Memcached, Memtide, Rng, Server, Unit, seed_from_environment,
};

/// Commands in a stream.
const UNITS: usize = 20_000;

/// Connections that take turns, so that the items are shared between cores.
const CONNECTIONS: usize = 5;

/// What the stream calls its items.
const KEYS: [&[u8]; 6] = [b"a", b"b", b"key:3", b"num", b"foo", b"Zm9v"];

/// The stream that every run repeats.
const FIXED_SEED: u64 = 11211;

#[test]
fn the_fixed_stream() {
    compare(FIXED_SEED);
}

#[test]
fn a_fresh_stream() {
    let seed = seed_from_environment();
    println!("replay with MEMTIDE_TEST_SEED={seed}");
    compare(seed);
}

fn compare(seed: u64) {
    let reference = Memcached::start();
    let is_self_test = std::env::var("MEMTIDE_TEST_SERVER").is_ok_and(|only| only == "memcached");
    let server: Box<dyn Server> = if is_self_test {
        Box::new(Memcached::start())
    } else {
        Box::new(Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start())
    };
    let connect = |server: &dyn Server| [(); CONNECTIONS].map(|()| server.connect());
    let mut clients = [connect(&reference), connect(server.as_ref())];
    for [client, ..] in &mut clients {
        // So that no item's CAS unique is 1: the stream subtracts 1, and 0 means "any".
        for key in KEYS {
            let command = [b"set ", key, b" 0 0 0\r\n\r\ndelete ", key, b"\r\n"].concat();
            assert_eq!(client.ask(&command).unwrap(), "STORED\r\nDELETED\r\n");
        }
    }
    let mut stream = CommandStream::new(seed);
    let mut agreement = Agreement::default();
    let mut held = None;
    let mut history = Vec::new();
    let mut done = 0;
    while done < UNITS {
        let batch = next_batch(&mut stream, &mut held);
        let connection = stream.rng().below(CONNECTIONS);
        let fork = stream.rng().next_u64();
        let replies = [0, 1].map(|side| {
            let rendered: Vec<_> =
                batch.iter().map(|unit| unit.render(&agreement.seen[side])).collect();
            let replies = converse(&mut clients[side][connection], &rendered, &mut Rng::new(fork));
            (rendered, replies)
        });
        for (at, unit) in batch.iter().enumerate() {
            let [(first_sent, first), (second_sent, second)] = &replies;
            history.push((first_sent[at].clone(), first[at].clone()));
            agreement.allows_short_lines = unit.has_short_lines;
            let agreed = agreement.check(unit.key, &first[at], &second[at]);
            assert!(
                agreed.is_ok(),
                "after {} commands of MEMTIDE_TEST_SEED={seed}\nsent {}\nand  {}\n{}\nbefore it, about its keys:\n{}",
                done + at,
                shown(&first_sent[at]),
                shown(&second_sent[at]),
                agreed.unwrap_err().0,
                related(&history, &first_sent[at]),
            );
        }
        done += batch.len();
    }
}

/// Up to 20 commands that go out together. One that counts is the first, one that breaks the
/// framing the last.
fn next_batch(stream: &mut CommandStream, held: &mut Option<Unit>) -> Vec<Unit> {
    let mut batch: Vec<Unit> = Vec::new();
    for _ in 0..1 + stream.rng().below(20) {
        let unit = held.take().unwrap_or_else(|| stream.next_unit());
        if unit.counts && !batch.is_empty() {
            *held = Some(unit);
            break;
        }
        let is_last = unit.breaks_framing;
        batch.push(unit);
        if is_last {
            break;
        }
    }
    batch
}

/// Sends all commands in random parts; returns the reply to each.
fn converse(client: &mut Client, commands: &[Vec<u8>], rng: &mut Rng) -> Vec<Vec<u8>> {
    client.send_in_parts(commands, rng).unwrap();
    let reply = |_| {
        client.read_reply().unwrap_or_else(|error| {
            let batch: Vec<_> = commands.iter().map(|sent| shown(sent)).collect();
            panic!("{error}, after sending\n{}", batch.join("\n"))
        })
    };
    commands.iter().map(reply).collect()
}

/// The latest commands that share a word with this one, and their replies.
fn related(history: &[(Vec<u8>, Vec<u8>)], sent: &[u8]) -> String {
    let words = |sent: &[u8]| -> Vec<Vec<u8>> {
        let line = sent.split(|&byte| byte == b'\n').next().unwrap_or_default();
        line.split(|byte| byte.is_ascii_whitespace()).skip(1).map(<[u8]>::to_vec).collect()
    };
    let wanted: Vec<_> = words(sent).into_iter().filter(|word| KEYS.contains(&&word[..])).collect();
    let of_interest = history
        .iter()
        .rev()
        .filter(|(other, _)| words(other).iter().any(|word| wanted.contains(word)));
    let lines =
        of_interest.take(25).map(|(sent, reply)| format!("  {} -> {}", shown(sent), shown(reply)));
    lines.collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn shown(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(300)];
    format!("{} ({} bytes)", head.escape_ascii(), bytes.len())
}
