//! Bounds on what clients can take: memory, time and connections.

use std::time::Duration;

use memtide_testkit::{
    Client, Ending, Memtide, MemtideBuilder, PATIENCE, Server, TlsClient, peak_rss_bytes,
    wait_until,
};

fn memtide() -> MemtideBuilder {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide"))
}

/// What one connection may make the process grow by: two of the largest items, a few buffers, and
/// room for what the allocator keeps.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// How long the server must take no byte before a client counts as stalled.
const STALL: Duration = Duration::from_secs(1);

const VALUE_BYTES: usize = 400_000;

/// A server that holds one large item, a client of it, and the reply to `get big`.
fn with_a_large_item() -> (Memtide, Client, String) {
    let memtide = memtide().start();
    let mut client = memtide.connect();
    let value: String = ('a'..='z').cycle().take(VALUE_BYTES).collect();
    let set = format!("set big 0 0 {VALUE_BYTES}\r\n{value}\r\n");
    assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    let reply = format!("VALUE big 0 {VALUE_BYTES}\r\n{value}\r\nEND\r\n");
    assert!(client.ask(b"get big\r\n").unwrap() == reply);
    (memtide, client, reply)
}

fn check_growth(memtide: &Memtide, before: u64, requests: usize) {
    let unread = u64::try_from(requests * VALUE_BYTES).unwrap();
    assert!(unread > 2 * GROWTH_BYTES_MAX, "{requests} requests would not have shown growth");
    // The kernel sums its per-CPU counts when asked, so a peak may be told a little lower later.
    let growth = peak_rss_bytes(memtide.pid()).saturating_sub(before);
    assert!(growth < GROWTH_BYTES_MAX, "{growth} bytes for {unread} bytes of unread replies");
    // Another client is served meanwhile.
    assert_eq!(memtide.connect().ask(b"get absent\r\n").unwrap(), "END\r\n");
}

/// The requests fill every buffer on their way: the server must stop reading.
#[test]
fn a_client_that_does_not_read_cannot_make_memory_grow() {
    let (memtide, mut client, reply) = with_a_large_item();
    let before = peak_rss_bytes(memtide.pid());
    // Long requests, so that not too many of them fit the kernel's buffers.
    let request = format!("get big{}\r\n", " absent".repeat(2_300));
    let bytes_max = 2_000 * request.len();
    let sent = client.send_until_stalled(request.as_bytes(), bytes_max, STALL).unwrap();
    assert!(sent < bytes_max, "the server went on reading");
    let requests = sent.div_ceil(request.len());
    check_growth(&memtide, before, requests);
    for number in 0..requests {
        assert!(client.read_exact(reply.len()).unwrap() == reply.as_bytes(), "reply {number}");
        if number == 0 {
            let rest = requests * request.len() - sent;
            client.send(&request.as_bytes()[request.len() - rest..]).unwrap();
        }
    }
    assert_eq!(client.ask(b"").unwrap(), "");
}

/// The requests are so short that the server takes them all in at once: it must stop executing.
#[test]
fn short_requests_for_large_replies_cannot_make_memory_grow() {
    const REQUESTS: usize = 1_000;
    let (memtide, mut client, reply) = with_a_large_item();
    let before = peak_rss_bytes(memtide.pid());
    client.send("get big\r\n".repeat(REQUESTS).as_bytes()).unwrap();
    client.fill(1).unwrap();
    check_growth(&memtide, before, REQUESTS);
    for number in 0..REQUESTS {
        assert!(client.read_exact(reply.len()).unwrap() == reply.as_bytes(), "reply {number}");
    }
    assert_eq!(client.ask(b"").unwrap(), "");
    // One command with as many keys.
    client.send(format!("get{}\r\n", " big".repeat(REQUESTS)).as_bytes()).unwrap();
    client.fill(1).unwrap();
    check_growth(&memtide, before, REQUESTS);
    let value = &reply[..reply.len() - "END\r\n".len()];
    for number in 0..REQUESTS {
        assert!(client.read_exact(value.len()).unwrap() == value.as_bytes(), "value {number}");
    }
    assert_eq!(client.read_line().unwrap(), "END");
}

#[test]
fn a_handshake_that_does_not_come_is_given_up() {
    let memtide = memtide().args(["--handshake-timeout", "3s"]).start();
    let mut silent = Client::tcp(memtide.address());
    let mut slow = Client::tcp(memtide.address());
    // The start of a TLS record with a ClientHello that never comes.
    slow.send(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let mut prompt = memtide.connect();
    for client in [&mut silent, &mut slow] {
        let (bytes, _) = client.read_to_end().unwrap();
        assert!(bytes.is_empty() || bytes[0] == 0x15, "nothing, or an alert: {bytes:?}");
    }
    assert_eq!(prompt.ask(b"get a\r\n").unwrap(), "END\r\n");
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let memtide = memtide().args(["--idle-timeout", "3s"]).start();
    let mut busy = memtide.connect();
    let idle = memtide.connect();
    let waiting = std::thread::spawn(move || {
        let mut idle = idle;
        idle.read_to_end().unwrap()
    });
    wait_until("the idle connection to close", PATIENCE, || {
        assert_eq!(busy.ask(b"get a\r\n").unwrap(), "END\r\n");
        waiting.is_finished().then_some(())
    });
    let (bytes, ending) = waiting.join().unwrap();
    assert_eq!((bytes.len(), ending), (0, Ending::CloseNotify));
    assert_eq!(busy.ask(b"get a\r\n").unwrap(), "END\r\n");
}

#[test]
fn one_connection_too_many_is_told_so() {
    let memtide = memtide().args(["--connections-max", "3"]).start();
    let mut clients: Vec<Client> = (0..3).map(|_| memtide.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
    }
    for address in [memtide.address(), memtide.read_address()] {
        let mut refused = Client::tls(address, memtide.tls());
        let (reply, ending) = refused.read_to_end().unwrap();
        assert_eq!(reply, b"ERROR Too many open connections\r\n");
        assert_eq!(ending, Ending::CloseNotify);
    }
    assert_eq!(memtide.metrics().get("memtide_connections_rejected_total"), Some(2.0));
    for client in &mut clients {
        assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n", "the others are not touched");
    }
    clients.pop();
    wait_until("room for a connection", PATIENCE, || {
        memtide.connect().ask(b"get a\r\n").ok().filter(|reply| reply == "END\r\n")
    });
}

#[test]
fn a_place_is_free_again_however_its_connection_ended() {
    let memtide = memtide().args(["--connections-max", "2"]).start();
    let mut keeps = memtide.connect();
    assert_eq!(keeps.ask(b"get a\r\n").unwrap(), "END\r\n");
    let endings: [fn(&Memtide); 5] = [
        |memtide| drop(memtide.connect()),
        |memtide| drop(Client::tcp(memtide.address())),
        |memtide| {
            let mut quits = memtide.connect();
            quits.send(b"quit\r\n").unwrap();
            drop(quits.read_to_end().unwrap());
        },
        |memtide| {
            let mut plain = Client::tcp(memtide.address());
            plain.send(b"get a\r\n").unwrap();
            drop(plain.read_to_end().unwrap());
        },
        |memtide| {
            let distrustful = TlsClient::new(memtide.ca_file());
            let mut half_open = Client::tls(memtide.address(), &distrustful);
            half_open.send(b"set a 0 0 100\r\nhalf").unwrap();
            half_open.finish_sending().unwrap();
        },
    ];
    for (number, end) in endings.iter().enumerate() {
        for _ in 0..5 {
            wait_until(&format!("room after ending {number}"), PATIENCE, || {
                memtide.connect().ask(b"get a\r\n").ok().filter(|reply| reply == "END\r\n")
            });
            wait_until("the place to be given back", PATIENCE, || {
                (memtide.metrics().get("memtide_connections") == Some(1.0)).then_some(())
            });
            end(&memtide);
        }
    }
}
