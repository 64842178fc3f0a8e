//! `cargo +nightly fuzz run parse_stream -- -dict=fuzz/parse_stream.dict -max_len=4096`
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| memtide_protocol::fuzzing::parse_stream(data));
