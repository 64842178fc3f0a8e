//! Processes that wait to be nodes, and what nodes say of themselves, by a scaler in the test's hand.

use std::net::SocketAddr;

use crate::hub::{Hub, SEED, default_zone, proxy_ca};
use memtide_control::{Capacity, Registration, Session};
use memtide_testkit::{Client, PATIENCE, RoleProcess, Signal, TlsClient, http_get, wait_until};
use memtide_topology::{Change, Epoch, Previous, SlotId};
use serde_json::Value;

const SPARE: &[&str] = &["--spare", "--memory", "64m", "--memory-max", "128m", "--cpus", "0.5"];

fn wait_ready(process: &RoleProcess) {
    let is_ready = || (process.get("/readyz").status == 200).then_some(());
    wait_until("it is ready", PATIENCE, is_ready);
}

/// A node that has all slots, and its stream.
fn only_node(hub: &mut Hub) -> (RoleProcess, Session) {
    let engine = hub.spawn("engine", &["--memory", "64m"]);
    let (session, registration) = hub.came();
    let primary = hub.take(&session, &registration);
    let slots = SlotId::all().collect();
    hub.apply(vec![Change::SetPrimary { slots, primary, previous: Previous::Gone }]);
    wait_ready(&engine);
    (engine, session)
}

/// The admin HTTP of a process that has said so often that it listens.
fn admin_of(process: &RoleProcess, times: usize) -> SocketAddr {
    let mut seen = 0;
    let found = process.logs().find(PATIENCE, |line| {
        let event: Value = serde_json::from_str(line).ok()?;
        seen += usize::from(event["message"] == "listening");
        (seen == times).then(|| event["admin"].as_str()?.parse().ok()).flatten()
    });
    found.unwrap_or_else(|| panic!("{}", process.logs().text()))
}

fn assert_waits(admin: SocketAddr) {
    let reply = http_get(admin, "/readyz");
    assert_eq!((reply.status, reply.body.as_str()), (503, "a spare that waits to be taken\n"));
    let reply = http_get(admin, "/readyz?spares");
    assert_eq!((reply.status, reply.body.as_str()), (200, "a spare that waits to be taken\n"));
    assert_eq!(http_get(admin, "/healthz").status, 200);
}

/// It registers as no node.
fn assert_spare(registration: &Registration) {
    assert_eq!((registration.is_spare, registration.node), (true, None));
    assert_eq!(registration.adopted.epoch, Epoch::ZERO);
    let own = format!("{}/", registration.address);
    assert!(registration.instance.starts_with(&own), "{}", registration.instance);
}

#[test]
fn a_spare_waits_says_so_and_ends_when_it_is_told_to() {
    let mut hub = Hub::start();
    let mut spare = hub.spawn("engine", SPARE);
    let (_session, registration) = hub.came();
    assert_spare(&registration);
    assert_eq!((registration.memory_max, registration.zone), (64 << 20, default_zone()));
    let capacity = Capacity { memory: 128 << 20, cpu: 500, ecpu: 75_000, network: 0 };
    assert_eq!(registration.capacity, capacity);
    assert_waits(spare.admin_address());
    spare.signal(Signal::TERM);
    assert!(spare.wait_exit(PATIENCE).success(), "{}", spare.logs().text());
    let text = spare.logs().text();
    assert_eq!(text.matches("waits until the scaler takes it").count(), 1, "{text}");
}

#[test]
fn a_spare_that_was_taken_and_drained_is_a_new_spare() {
    let mut hub = Hub::start();
    let mut spare = hub.spawn("engine", SPARE);
    let mut before: Option<Registration> = None;
    // One that loses its stream comes back as the node that it was, as long as it has not heard that it is none.
    let mut sessions = Vec::new();
    for time in 1..=3 {
        let (session, registration) = hub.came();
        assert_spare(&registration);
        if let Some(before) = before.replace(registration.clone()) {
            assert_ne!(before.process, registration.process);
            assert_ne!(before.instance, registration.instance, "no name is used twice");
        }
        let admin = admin_of(&spare, time);
        assert_waits(admin);
        let node = hub.take(&session, &registration);
        let is_ready = || (http_get(admin, "/readyz").status == 200).then_some(());
        wait_until("it is a node", PATIENCE, is_ready);
        hub.drain(node, admin);
        sessions.push(session);
    }
    let (_session, registration) = hub.came();
    assert_spare(&registration);
    let name = std::fs::read_to_string(format!("/proc/{}/comm", spare.pid())).unwrap();
    assert_eq!(name, "memtide\n", "as it was called before");
    spare.signal(Signal::TERM);
    assert!(spare.wait_exit(PATIENCE).success(), "{}", spare.logs().text());
}

#[test]
fn a_spare_that_is_cast_out_comes_back_and_one_that_is_refused_ends() {
    let mut hub = Hub::start();
    let mut spare = hub.spawn("engine", SPARE);
    let (session, registration) = hub.came();
    let node = hub.take(&session, &registration);
    hub.wait_heard(spare.admin_address());
    // Not drained before: what it had is given up.
    hub.apply(vec![Change::RemoveNode { node }]);
    let (session, registration) = hub.came();
    assert_spare(&registration);
    session.refuse("this cache has no use for it");
    assert_eq!(spare.wait_exit(PATIENCE).code(), Some(78), "{}", spare.logs().text());
    let text = spare.logs().text();
    assert_eq!(text.matches("starts over as a spare").count(), 1, "{text}");
}

/// The stream that it waits on is lost, and it has another one.
#[test]
fn a_spare_outlives_its_stream() {
    let mut hub = Hub::start();
    let spare = hub.spawn("engine", SPARE);
    let (session, first) = hub.came();
    drop(session);
    let (_session, again) = hub.came();
    assert_eq!((again.process, again.instance), (first.process, first.instance));
    let waits = || {
        let reply = spare.get("/readyz");
        (reply.body == "a spare that waits to be taken\n").then_some(())
    };
    wait_until("it says that it waits, and not that the first stream was lost", PATIENCE, waits);
}

#[test]
fn a_node_that_is_no_spare_ends_when_it_is_drained() {
    let mut hub = Hub::start();
    let mut process = hub.spawn("engine", &["--instance", "pod-3", "--memory", "64m"]);
    let (session, registration) = hub.came();
    assert_eq!((registration.instance.as_str(), registration.is_spare), ("pod-3", false));
    assert_eq!(registration.capacity.memory, 64 << 20);
    let node = hub.take(&session, &registration);
    wait_ready(&process);
    hub.drain(node, process.admin_address());
    assert!(process.wait_exit(PATIENCE).success(), "{}", process.logs().text());
}

/// Nor does it know whether there is a limit: commands wait until it is told, and are not refused.
#[test]
fn a_proxy_that_was_not_told_what_it_may_use_has_its_clients_wait() {
    let mut hub = Hub::start();
    hub.set_grants(false);
    let _node = only_node(&mut hub);
    let proxy = hub.spawn("proxy", &["--read-port", "0"]);
    hub.wait_demands(1);
    let mut client = Client::tls(proxy.address(), &TlsClient::new(&proxy_ca(&hub)));
    client.send(b"set key 0 0 1\r\nx\r\n").unwrap();
    // A second: whoever is over a limit is refused after a fifth of it.
    hub.wait_demands(5);
    assert_eq!(proxy.get("/readyz").status, 503);
    hub.set_grants(true);
    assert_eq!(client.read_line().unwrap(), "STORED");
    wait_ready(&proxy);
}

#[test]
fn a_node_says_which_slots_take_the_most() {
    let mut hub = Hub::start();
    let _node = only_node(&mut hub);
    let proxy = hub.spawn("proxy", &["--read-port", "0"]);
    wait_ready(&proxy);
    let mut client = Client::tls(proxy.address(), &TlsClient::new(&proxy_ca(&hub)));
    let hot = SlotId::of(SEED.hash(b"hot"));
    let set = format!("set hot 0 0 5000\r\n{}\r\n", "x".repeat(5000));
    let said = wait_until("it is said of the hot slot", PATIENCE, || {
        for _ in 0..50 {
            assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
        }
        assert_eq!(client.ask(b"set cool 0 0 1\r\nx\r\n").unwrap(), "STORED\r\n");
        Some(hub.slot_uses()).filter(|uses| !uses.is_empty())
    });
    assert_eq!(said[0].slot, hot, "{said:?}");
    assert!(said[0].ecpu > 0 && (5000..5200).contains(&said[0].bytes), "{said:?}");
    let idle = wait_until("it is said that it idles", PATIENCE, || {
        Some(hub.slot_uses()).filter(Vec::is_empty)
    });
    assert!(idle.is_empty());
}
