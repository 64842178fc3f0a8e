#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| memtide_protocol::fuzzing::parse_stream(data));
