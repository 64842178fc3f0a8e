//! What a request costs from its bytes to those of its reply, without TLS and the kernel. A row
//! repeats its work [`REPEATS`] times.
#![allow(missing_docs, unused_qualifications, reason = "gungraun's macros write such code")]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use memtide_gates::{ITEMS, REPEATS, VALUE, get, multiget_16, require_valgrind, set};
use memtide_proxy::bench::{BareSession, Meter};

fn meter_and_bytes() -> (Meter, Vec<u64>) {
    (Meter::default(), (0..REPEATS as u64).map(|at| 37 * at).collect())
}

#[library_benchmark]
#[bench::command(meter_and_bytes())]
fn charge((meter, bytes): (Meter, Vec<u64>)) -> (Meter, Vec<u64>) {
    for &bytes in &bytes {
        meter.charge(black_box(1), black_box(bytes));
    }
    (meter, bytes)
}

library_benchmark_group!(name = meter, benchmarks = charge);

/// A session on a store that is filled, and what its client sends.
struct Client {
    session: BareSession,
    requests: Vec<Vec<u8>>,
    /// Bytes of the reply to each.
    reply_bytes: usize,
}

const VALUE_BLOCK_BYTES: usize =
    "VALUE user:00000000000 0 100\r\n".len() + VALUE.len() + "\r\n".len();
const GET_REPLY_BYTES: usize = VALUE_BLOCK_BYTES + "END\r\n".len();
const SET_REPLY_BYTES: usize = "STORED\r\n".len();

fn client(request: impl Fn(usize) -> Vec<u8>, reply_bytes: usize) -> Client {
    let mut session = BareSession::new();
    for number in 0..ITEMS {
        assert_eq!(session.serve(&set(number)), b"STORED\r\n");
    }
    Client { session, requests: (0..REPEATS).map(request).collect(), reply_bytes }
}

fn gets() -> Client {
    client(get, GET_REPLY_BYTES)
}

fn sets() -> Client {
    client(set, SET_REPLY_BYTES)
}

/// Nine gets and a set in ten, as the loads of docs/benchmarks.md have it.
fn pipelines_of_16() -> Client {
    let is_set = |at: usize| at % 10 == 9;
    let one = |number, at| if is_set(at) { set(number) } else { get(number) };
    let pipeline = |number| (0..16).flat_map(|at| one(16 * number + at, at)).collect();
    let reply_bytes =
        (0..16).map(|at| if is_set(at) { SET_REPLY_BYTES } else { GET_REPLY_BYTES }).sum();
    client(pipeline, reply_bytes)
}

fn multigets_of_16() -> Client {
    client(|number| multiget_16(16 * number), 16 * VALUE_BLOCK_BYTES + "END\r\n".len())
}

#[library_benchmark]
#[bench::get(gets())]
#[bench::set(sets())]
#[bench::pipeline_16(pipelines_of_16())]
#[bench::multiget_16(multigets_of_16())]
fn serve(mut client: Client) -> Client {
    for request in &client.requests {
        let replies = client.session.serve(black_box(request));
        assert_eq!(black_box(replies).len(), client.reply_bytes);
    }
    client
}

library_benchmark_group!(name = session, benchmarks = serve);

main!(setup = require_valgrind(); library_benchmark_groups = meter, session);
