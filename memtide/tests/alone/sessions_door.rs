//! Who is let in at all: networks, connections and handshakes of an address.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};

use memtide_testkit::{Client, Memtide, MemtideBuilder, PATIENCE, Server, wait_until};

fn memtide() -> MemtideBuilder {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(["--memory", "16m"])
}

/// Waits until a connection is closed by the server before anything is said.
fn assert_closed(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

fn refused(memtide: &Memtide, reason: &str) -> Option<f64> {
    let series = format!("memtide_connections_refused_total{{reason=\"{reason}\"}}");
    memtide.metrics().get(&series)
}

#[test]
fn only_clients_of_allowed_networks_are_let_in_at_each_port() {
    let other = ["--allow", "192.0.2.0/24", "--read-allow", "192.0.2.0/24,127.0.0.0/8"];
    let memtide = memtide().args(other).start();
    assert_closed(memtide.address());
    assert_closed(memtide.address());
    let mut client = Client::tls(memtide.read_address(), memtide.tls());
    assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
    assert_eq!(refused(&memtide, "network"), Some(2.0));
    let handshakes = memtide.metrics().get("memtide_tls_handshakes_total{outcome=\"failed\"}");
    assert_eq!(handshakes, Some(0.0), "none was begun");
    let logged = memtide.logs().find(PATIENCE, |line| {
        (line.contains("refused a connection") && line.contains("network")).then_some(())
    });
    assert!(logged.is_some());
}

#[test]
fn the_read_port_is_as_open_as_the_other_where_nothing_is_said_of_it() {
    let memtide = memtide().args(["--allow", "192.0.2.7"]).start();
    assert_closed(memtide.read_address());
}

#[test]
fn a_network_of_ipv4_is_the_same_when_it_is_written_as_mapped() {
    let mapped = ["--allow", "::ffff:127.0.0.0/104", "--read-allow", "::ffff:192.0.2.0/120"];
    let memtide = memtide().args(mapped).start();
    assert_eq!(memtide.connect().ask(b"get a\r\n").unwrap(), "END\r\n");
    assert_closed(memtide.read_address());
}

#[test]
fn an_address_has_so_many_connections_and_gets_their_places_back() {
    let memtide = memtide().args(["--address-connections-max", "2"]).start();
    let mut clients = [memtide.connect(), memtide.connect()];
    assert_closed(memtide.address());
    for client in &mut clients {
        assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n", "the others are not touched");
    }
    assert_eq!(refused(&memtide, "address_connections"), Some(1.0));
    assert_eq!(memtide.metrics().get("memtide_connections"), Some(2.0));
    let [_keeps, goes] = clients;
    drop(goes);
    wait_until("a place", PATIENCE, || {
        let mut client = Client::try_tls(memtide.address(), memtide.tls()).ok()?;
        client.ask(b"get a\r\n").ok().filter(|reply| reply == "END\r\n")
    });
}

#[test]
fn an_address_that_knocks_too_often_is_refused_until_a_while_has_passed() {
    let memtide = memtide().args(["--address-handshakes-per-second", "3"]).start();
    let mut first = memtide.connect();
    wait_until("a refusal", PATIENCE, || {
        // Quicker than it may, however slow the answer to the question below is.
        (0..5).for_each(|_| drop(TcpStream::connect(memtide.address()).unwrap()));
        refused(&memtide, "address_rate").filter(|count| *count > 0.0)
    });
    assert_eq!(first.ask(b"get a\r\n").unwrap(), "END\r\n");
    wait_until("the next to be let in", PATIENCE, || {
        let mut client = Client::try_tls(memtide.address(), memtide.tls()).ok()?;
        client.ask(b"get a\r\n").ok()
    });
}

#[test]
fn those_who_would_wait_too_long_for_a_handshake_are_refused_at_once() {
    let slow = ["--handshakes-per-second", "1", "--handshake-timeout", "5s"];
    let memtide = memtide().args(slow).start();
    let hello = |address| {
        use std::io::Write as _;
        let mut stream = TcpStream::connect(address).unwrap();
        // The begin of a TLS record, so that it queues for a handshake.
        stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
        stream
    };
    let mut waiting = Vec::new();
    wait_until("a refusal", PATIENCE, || {
        waiting.push(hello(memtide.address()));
        refused(&memtide, "handshakes").filter(|count| *count > 0.0)
    });
    drop(waiting);
    wait_until("the next to be let in", PATIENCE, || {
        let mut client = Client::try_tls(memtide.address(), memtide.tls()).ok()?;
        client.ask(b"get a\r\n").ok()
    });
}
