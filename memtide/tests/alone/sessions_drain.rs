//! Stopping: what is in flight is answered, and nothing new begins.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memtide_testkit::{
    Client, Ending, Memtide, MemtideBuilder, PATIENCE, Server, Signal, wait_until,
};

fn memtide() -> MemtideBuilder {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide"))
}

/// How long the server must take no byte before a client counts as stalled.
const STALL: Duration = Duration::from_millis(300);

/// A connection in the middle of a command, which holds the drain.
fn unfinished_set(memtide: &Memtide) -> Client {
    let mut client = memtide.connect();
    // One record: the server that has answered the get has the half command too.
    client.send(b"get a\r\nset a 0 0 10\r\n01234").unwrap();
    assert_eq!(client.read_line().unwrap(), "END");
    client
}

fn is_refusing(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

#[test]
fn sigterm_answers_what_is_in_flight_and_exits_with_0() {
    let mut memtide = memtide().start();
    assert_eq!(memtide.get("/readyz").status, 200);
    assert_eq!(memtide.get("/healthz").status, 200);
    let mut idle = memtide.connect();
    assert_eq!(idle.ask(b"set b 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    let mut in_flight = unfinished_set(&memtide);

    memtide.signal(Signal::TERM);
    wait_until("readiness to go off", PATIENCE, || {
        (memtide.get("/readyz").status == 503).then_some(())
    });
    assert_eq!(memtide.get("/healthz").status, 200, "it is not ill");
    for address in [memtide.address(), memtide.read_address()] {
        wait_until("the ports to close", PATIENCE, || is_refusing(address).then_some(()));
    }
    let (bytes, ending) = idle.read_to_end().unwrap();
    assert_eq!((bytes.len(), ending), (0, Ending::CloseNotify));

    in_flight.send(b"56789\r\n").unwrap();
    let (reply, ending) = in_flight.read_to_end().unwrap();
    assert_eq!(reply, b"STORED\r\n");
    assert_eq!(ending, Ending::CloseNotify);
    assert_eq!(memtide.wait_exit(PATIENCE).code(), Some(0), "{}", memtide.logs().text());
}

#[test]
fn sigint_drains_too() {
    let mut memtide = memtide().start();
    let mut client = memtide.connect();
    assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
    memtide.signal(Signal::INT);
    assert_eq!(client.read_to_end().unwrap().1, Ending::CloseNotify);
    assert_eq!(memtide.wait_exit(PATIENCE).code(), Some(0));
}

/// However much is pipelined, what a drain cuts off it cuts off between two replies.
#[test]
fn a_drain_cuts_no_reply_in_two() {
    const VALUE_BYTES: usize = 50_000;
    let mut memtide = memtide().start();
    let mut client = memtide.connect();
    let value = "v".repeat(VALUE_BYTES);
    client.ask(format!("set a 0 0 {VALUE_BYTES}\r\n{value}\r\n").as_bytes()).unwrap();
    let requests = "get a\r\n".repeat(500);
    client.send(requests.as_bytes()).unwrap();
    // It is in the middle of them: not all fit into what the kernel holds.
    client.fill(1).unwrap();
    memtide.signal(Signal::TERM);
    let (replies, ending) = client.read_to_end().unwrap();
    let reply = format!("VALUE a 0 {VALUE_BYTES}\r\n{value}\r\nEND\r\n");
    assert_eq!(ending, Ending::CloseNotify);
    assert!(!replies.is_empty());
    assert_eq!(replies.len() % reply.len(), 0, "{} bytes", replies.len());
    assert!(replies.chunks(reply.len()).all(|one| one == reply.as_bytes()));
    assert_eq!(memtide.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_second_signal_stops_at_once() {
    let mut memtide = memtide().args(["--drain-timeout", "600s"]).start();
    let mut in_flight = unfinished_set(&memtide);
    memtide.signal(Signal::TERM);
    wait_until("the drain to begin", PATIENCE, || {
        (memtide.get("/readyz").status == 503).then_some(())
    });
    memtide.signal(Signal::TERM);
    let status = memtide.wait_exit(PATIENCE);
    assert!(in_flight.read_to_end().is_ok());
    assert_ne!(status.code(), Some(0), "requests were cut off: {status}");
}

#[test]
fn a_drain_ends_at_its_deadline() {
    let mut memtide = memtide().args(["--drain-timeout", "1s"]).start();
    let mut in_flight = unfinished_set(&memtide);
    memtide.signal(Signal::TERM);
    memtide.wait_exit(PATIENCE);
    assert!(in_flight.read_to_end().is_ok());
}

/// Neither a client that reads nothing nor one that never finishes its handshake holds a drain for
/// longer than its deadline.
#[test]
fn clients_that_do_nothing_cannot_hold_a_drain() {
    let mut memtide = memtide().args(["--drain-timeout", "2s"]).start();
    let mut half_shaken = Client::tcp(memtide.address());
    half_shaken.send(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let mut stalled = memtide.connect();
    let value = "v".repeat(1_000_000);
    stalled.ask(format!("set a 0 0 1000000\r\n{value}\r\n").as_bytes()).unwrap();
    let request = format!("get{}\r\n", " a".repeat(100));
    stalled.send_until_stalled(request.as_bytes(), request.len(), STALL).unwrap();
    memtide.signal(Signal::TERM);
    memtide.wait_exit(PATIENCE);
}

/// A client that ends its side still gets all replies.
#[test]
fn a_client_that_ends_its_side_gets_its_replies() {
    let memtide = memtide().start();
    let mut client = memtide.connect();
    let value = "v".repeat(100_000);
    client.send(format!("set a 0 0 100000\r\n{value}\r\n").as_bytes()).unwrap();
    client.send("get a\r\n".repeat(50).as_bytes()).unwrap();
    client.finish_sending().unwrap();
    let (replies, ending) = client.read_to_end().unwrap();
    let reply = format!("VALUE a 0 100000\r\n{value}\r\nEND\r\n");
    assert_eq!(replies.len(), "STORED\r\n".len() + 50 * reply.len());
    assert_eq!(ending, Ending::CloseNotify);
}
