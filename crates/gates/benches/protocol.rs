//! What parsing and encoding cost. A row repeats its work [`REPEATS`] times.
#![allow(missing_docs, unused_qualifications, reason = "gungraun's macros write such code")]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use memtide_gates::{REPEATS, VALUE, get, key, multiget_16, require_valgrind, set};
use memtide_protocol::encode::{ItemMeta, Marks, Status, Ttl, meta_get_hit, status, value_header};
use memtide_protocol::{Command, Limits, MetaGet, Step};

fn requests(write: impl Fn(usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..REPEATS).map(write).collect()
}

fn meta_get() -> Vec<Vec<u8>> {
    requests(|number| format!("mg {} v f c t k O{number}\r\n", key(number)).into_bytes())
}

fn meta_set() -> Vec<Vec<u8>> {
    requests(|number| {
        let line = format!("ms {} {} T3600 F7 c k O{number}\r\n", key(number), VALUE.len());
        [line.as_bytes(), &VALUE, b"\r\n"].concat()
    })
}

// The keys of a multiget are told apart one by one, when they are looked up: that is in the row.
#[library_benchmark]
#[bench::get(requests(get))]
#[bench::multiget_16(requests(multiget_16))]
#[bench::set(requests(set))]
#[bench::meta_get(meta_get())]
#[bench::meta_set(meta_set())]
fn parse_requests(requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let limits = Limits::default();
    for request in &requests {
        match black_box(memtide_protocol::parse(black_box(request), &limits)) {
            Step::Command { command: Command::Retrieve(retrieve), .. } => {
                retrieve.keys().for_each(|key| _ = black_box(key));
            }
            Step::Command { .. } => {}
            step => panic!("no command: {step:?}"),
        }
    }
    requests
}

library_benchmark_group!(name = parse, benchmarks = parse_requests);

/// A buffer that never grows.
fn buffer() -> Vec<u8> {
    Vec::with_capacity(64 << 10)
}

fn keys_and_buffer() -> (Vec<String>, Vec<u8>) {
    ((0..REPEATS).map(key).collect(), buffer())
}

#[library_benchmark]
#[bench::value(keys_and_buffer())]
fn encode_value((keys, mut out): (Vec<String>, Vec<u8>)) -> (Vec<String>, Vec<u8>) {
    for key in &keys {
        value_header(&mut out, black_box(key.as_bytes()), 0, VALUE.len(), None);
        out.extend_from_slice(black_box(&VALUE));
        out.extend_from_slice(b"\r\n");
        status(&mut out, Status::End);
    }
    (keys, out)
}

#[library_benchmark]
#[bench::status(buffer())]
fn encode_status(mut out: Vec<u8>) -> Vec<u8> {
    const STATUSES: [Status; 4] =
        [Status::Stored, Status::NotFound, Status::Deleted, Status::NotStored];
    for at in 0..REPEATS {
        status(&mut out, black_box(STATUSES[at % STATUSES.len()]));
    }
    out
}

fn meta_request() -> (&'static MetaGet<'static>, Vec<u8>) {
    let limits = Limits::default();
    match memtide_protocol::parse(b"mg user:00000000001 v f c t k O77\r\n", &limits) {
        Step::Command { command: Command::MetaGet(get), .. } => {
            (Box::leak(Box::new(get)), buffer())
        }
        step => panic!("no mg: {step:?}"),
    }
}

#[library_benchmark]
#[bench::meta_hit(meta_request())]
fn encode_meta((get, mut out): (&'static MetaGet<'static>, Vec<u8>)) -> Vec<u8> {
    let item = ItemMeta {
        client_flags: 7,
        cas: 123_456,
        ttl: Ttl::Secs(3599),
        last_access_secs: 10,
        hit_before: true,
        value_len: VALUE.len(),
    };
    for _ in 0..REPEATS {
        let marks = Marks::default();
        let with_value = meta_get_hit(&mut out, black_box(get), black_box(&item), marks);
        assert!(with_value, "v was asked for");
        out.extend_from_slice(black_box(&VALUE));
        out.extend_from_slice(b"\r\n");
    }
    out
}

library_benchmark_group!(name = encode, benchmarks = [encode_value, encode_status, encode_meta]);

main!(setup = require_valgrind(); library_benchmark_groups = parse, encode);
