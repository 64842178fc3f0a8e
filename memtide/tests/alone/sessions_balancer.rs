//! Behind a balancer, which names each client in a header of the PROXY protocol.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use memtide_testkit::{Client, Memtide, MemtideBuilder, PATIENCE, Server as _, wait_until};
use socket2::{Domain, Socket, Type};

/// Where connections of the balancer come from; those of clients come from 127.0.0.1.
const BALANCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

fn memtide() -> MemtideBuilder {
    let words = ["--memory", "16m", "--proxy-protocol-from", "127.0.0.9"];
    Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(words)
}

/// HAProxy before one port.
struct Balancer {
    process: Child,
    address: SocketAddr,
    _scratch: tempfile::TempDir,
}

impl Balancer {
    fn start(to: SocketAddr) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("haproxy.cfg");
        // It listens from the beginning, as HAProxy is given it: nothing has to try whether it does.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let settings = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n\
             listen cache\n bind fd@0\n source {BALANCER}\n server memtide {to} send-proxy-v2\n"
        );
        std::fs::write(&path, settings).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&path).stdin(OwnedFd::from(listener));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = command
            .spawn()
            .unwrap_or_else(|error| panic!("no haproxy ({error}): apt-get install haproxy"));
        Self { process, address, _scratch: scratch }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection as the balancer makes it.
fn connect_from_balancer(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((BALANCER, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the server closes.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}, after {text:?}"),
    }
    text
}

fn refused(memtide: &Memtide, reason: &str) -> Option<f64> {
    memtide.metrics().get(&format!("memtide_connections_refused_total{{reason=\"{reason}\"}}"))
}

#[test]
fn clients_come_through_haproxy_and_beside_it() {
    let memtide = memtide().args(["--address-connections-max", "2"]).start();
    let balancer = Balancer::start(memtide.address());
    let mut through = Client::tls(balancer.address, memtide.tls());
    assert_eq!(through.ask(b"set a 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
    let mut beside = memtide.connect();
    assert_eq!(beside.ask(b"get a\r\n").unwrap(), "VALUE a 0 1\r\nx\r\nEND\r\n");
    // Both are of 127.0.0.1, which has no third place, by either way.
    assert!(Client::try_tls(balancer.address, memtide.tls()).is_err());
    assert_eq!(refused(&memtide, "address_connections"), Some(1.0));
    drop(through);
    wait_until("its place", PATIENCE, || {
        let mut client = Client::try_tls(balancer.address, memtide.tls()).ok()?;
        client.ask(b"get b\r\n").ok().filter(|reply| reply == "END\r\n")
    });
}

#[test]
fn the_networks_that_are_allowed_are_those_of_clients() {
    let only = ["--allow", "192.0.2.0/24,2001:db8::/32"];
    let memtide = memtide().args(only).start();
    let balancer = Balancer::start(memtide.address());
    let is_refused = |count: f64| (refused(&memtide, "network") == Some(count)).then_some(());
    assert!(Client::try_tls(balancer.address, memtide.tls()).is_err());
    wait_until("it to be refused", PATIENCE, || is_refused(1.0));
    let logged = memtide.logs().find(PATIENCE, |line| {
        (line.contains("refused a connection") && line.contains("127.0.0.1:")).then_some(())
    });
    assert!(logged.is_some(), "{}", memtide.logs().text());
    // What a balancer says of a client is believed.
    for (family, addresses) in [
        (0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4][..]),
        (0x21, &[&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 32]].concat()),
    ] {
        let mut stream = connect_from_balancer(memtide.address());
        stream.write_all(&header(0x21, family, addresses)).unwrap();
        // No TLS: the answer says that it was let in.
        stream.write_all(b"get a\r\n").unwrap();
        let answer = String::from_utf8(rest(stream)).unwrap();
        assert!(answer.contains("TLS"), "{answer}");
    }
    assert_eq!(refused(&memtide, "network"), Some(1.0));
    // One without an address counts as one of the balancer's, which is not allowed.
    let mut stream = connect_from_balancer(memtide.address());
    stream.write_all(&header(0x21, 0, &[])).unwrap();
    assert_eq!(rest(stream), b"");
    wait_until("one without an address to be refused", PATIENCE, || is_refused(2.0));
}

fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap();
    let begin = [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length.to_be_bytes()];
    [begin.concat().as_slice(), rest].concat()
}

#[test]
fn what_is_no_header_is_refused_and_only_balancers_may_send_one() {
    let memtide = memtide().start();
    let tcp4 = [192, 0, 2, 7, 10, 0, 0, 1, 1, 2, 3, 4];
    for bad in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 258 772\r\nget a\r\n".to_vec(),
        b"get a\r\nget b\r\nget c\r\n".to_vec(),
        header(0x31, 0x11, &tcp4),
        header(0x2f, 0x11, &tcp4),
        header(0x21, 0x11, &tcp4[..11]),
        header(0x21, 0x21, &tcp4),
        header(0x21, 0x11, &[0; 60_000]),
    ] {
        let mut stream = connect_from_balancer(memtide.address());
        // It may be closed before all is written.
        let _ = stream.write_all(&bad);
        assert_eq!(rest(stream), b"", "{:?}", &bad[..16.min(bad.len())]);
    }
    wait_until("all to be counted", PATIENCE, || {
        let failed = memtide.metrics().get("memtide_tls_handshakes_total{outcome=\"failed\"}");
        (failed == Some(7.0)).then_some(())
    });
    let logged = memtide.logs().find(PATIENCE, |line| {
        (line.contains("PROXY protocol") && line.contains("127.0.0.9:")).then_some(())
    });
    assert!(logged.is_some(), "{}", memtide.logs().text());
    // A check of health: nothing, or a header without a client.
    drop(connect_from_balancer(memtide.address()));
    let mut check = connect_from_balancer(memtide.address());
    check.write_all(&header(0x20, 0, &[])).unwrap();
    drop(check);
    // And as HAProxy makes it: reset.
    for begin in [Vec::new(), header(0x20, 0, &[])] {
        let mut check = connect_from_balancer(memtide.address());
        check.write_all(&begin).unwrap();
        socket2::SockRef::from(&check).set_linger(Some(Duration::ZERO)).unwrap();
    }
    // A client that names another one is not heard.
    let mut stream = TcpStream::connect(memtide.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&header(0x21, 0x11, &tcp4)).unwrap();
    assert!(rest(stream).starts_with(b"CLIENT_ERROR this port speaks TLS only"));
    let mut client = memtide.connect();
    assert_eq!(client.ask(b"get a\r\n").unwrap(), "END\r\n");
    wait_until("the others to be gone", PATIENCE, || {
        (memtide.metrics().get("memtide_connections") == Some(1.0)).then_some(())
    });
    let failed = memtide.metrics().get("memtide_tls_handshakes_total{outcome=\"failed\"}");
    assert_eq!(failed, Some(7.0), "{}", memtide.logs().text());
}
