//! Nothing that a client sends ends the process, or leaves memory behind.
//!
//! `MEMTIDE_TEST_SEED` replays the bytes.

use std::collections::BTreeMap;

use memtide_testkit::{
    Client, CommandStream, Memtide, PATIENCE, Rng, Server, seed_from_environment, wait_until,
};

const CONNECTIONS: u64 = 1_000;

/// How many at one time, so that the test needs few descriptors.
const AT_ONCE: usize = 125;

/// How much more than after a first round the process may hold when all of the others have gone.
const RESIDUE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[test]
fn random_bytes_neither_crash_it_nor_leave_memory_behind() {
    let seed = seed_from_environment();
    println!("replay with MEMTIDE_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    // What the first connections make it allocate for good is no leak.
    make_noise(&memtide, &mut rng, AT_ONCE);
    let before = memtide.rss_bytes();
    for _ in 0..CONNECTIONS / AT_ONCE as u64 {
        make_noise(&memtide, &mut rng, AT_ONCE);
    }
    // Freed memory goes back to the system from time to time, not at once.
    let what = format!("memory to be given back, MEMTIDE_TEST_SEED={seed}");
    wait_until(&what, PATIENCE, || {
        let residue = memtide.rss_bytes().saturating_sub(before);
        (residue < RESIDUE_BYTES_MAX).then_some(())
    });
    let log = memtide.logs().text();
    assert!(!log.contains("panicked"), "MEMTIDE_TEST_SEED={seed}\n{log}");
    assert_eq!(memtide.connect().ask(b"set k 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
}

/// Opens that many connections, sends all of them random bytes, and waits until they are forgotten.
fn make_noise(memtide: &Memtide, rng: &mut Rng, count: usize) {
    let mut clients: Vec<Client> = (0..count)
        .map(|_| if rng.percent(10) { Client::tcp(memtide.address()) } else { memtide.connect() })
        .collect();
    for client in &mut clients {
        for _ in 0..1 + rng.below(4) {
            let bytes = noise(rng);
            // A server that has heard enough has closed.
            if client.send(&bytes).is_err() {
                break;
            }
        }
    }
    drop(clients);
    wait_until("all connections to be forgotten", PATIENCE, || {
        (memtide.metrics().get("memtide_connections") == Some(0.0)).then_some(())
    });
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    const WORDS: [&str; 22] = [
        "get",
        "gets",
        "set",
        "mg",
        "ms",
        "md",
        "ma",
        "gat",
        "cas",
        "append",
        "flush_all",
        "stats",
        "key",
        "0",
        "1",
        "-1",
        "65536",
        "99999999999999999999",
        "noreply",
        "v",
        "b",
        "q",
    ];
    match rng.below(4) {
        0 => {
            let len = rng.below(4_000);
            rng.bytes(len)
        }
        1 => {
            let mut text = String::new();
            for _ in 0..rng.below(300) {
                let word = *rng.pick(&WORDS);
                let end = *rng.pick(&[" ", " ", "  ", "\r\n", "\n"]);
                text.push_str(word);
                text.push_str(end);
            }
            text.into_bytes()
        }
        2 => mutated(rng),
        _ => {
            // A data block that never ends.
            let len = 1 + rng.below(100_000);
            let mut bytes = format!("set key 0 0 {}\r\n", len + 1).into_bytes();
            bytes.extend(rng.bytes(len));
            bytes
        }
    }
}

/// Sound commands with a few wrong bytes.
fn mutated(rng: &mut Rng) -> Vec<u8> {
    let mut stream = CommandStream::new(rng.next_u64());
    let seen = BTreeMap::new();
    let mut bytes: Vec<u8> = (0..20).flat_map(|_| stream.next_unit().render(&seen)).collect();
    for _ in 0..rng.below(20) {
        let at = rng.below(bytes.len());
        bytes[at] = rng.bytes(1)[0];
    }
    bytes
}

/// The admin port too survives what is not HTTP.
#[test]
fn random_bytes_do_not_hurt_the_admin_port() {
    let seed = seed_from_environment();
    println!("replay with MEMTIDE_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let before = memtide.rss_bytes();
    for _ in 0..300 {
        let mut client = Client::tcp(memtide.admin_address());
        let start = *rng.pick(&[
            &b""[..],
            b"GET /metrics HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n",
        ]);
        let len = rng.below(20_000);
        let bytes = [start, &rng.bytes(len)].concat();
        // The server may close before it has read all.
        drop(client.send(&bytes));
    }
    assert_eq!(memtide.get("/healthz").status, 200, "MEMTIDE_TEST_SEED={seed}");
    let residue = memtide.rss_bytes().saturating_sub(before);
    assert!(residue < RESIDUE_BYTES_MAX, "{residue} bytes stayed, MEMTIDE_TEST_SEED={seed}");
    let log = memtide.logs().text();
    assert!(!log.contains("panicked"), "MEMTIDE_TEST_SEED={seed}\n{log}");
}

/// Connections that come and go fast are all counted, and all forgotten.
#[test]
fn connections_that_come_and_go_are_counted() {
    const EACH: u32 = 500;
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let (address, tls) = (memtide.address(), memtide.tls().clone());
    let coming: Vec<_> = (0..4)
        .map(|_| {
            let tls = tls.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    let mut client = Client::tls(address, &tls);
                    if number % 2 == 0 {
                        assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
                    }
                }
            })
        })
        .collect();
    for thread in coming {
        thread.join().unwrap();
    }
    wait_until("all connections to be forgotten", PATIENCE, || {
        (memtide.metrics().get("memtide_connections") == Some(0.0)).then_some(())
    });
    let metrics = memtide.metrics();
    assert_eq!(metrics.get("memtide_connections_accepted_total"), Some(f64::from(4 * EACH)));
    assert_eq!(metrics.sum("memtide_tls_handshakes_total"), Some(f64::from(4 * EACH)));
}
