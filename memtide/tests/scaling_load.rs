//! Fleets that follow their load by themselves, and nobody notices.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod scaled;

use memtide_testkit::{Client, PATIENCE, TlsClient, wait_until};
use scaled::{ANSWERED, Cloud};

/// ECPUs a second of a node: few, so that a load that any machine can make fills several.
const NODE_ECPUS: &str = "200";

/// From what one node could do to what four can.
const RAMP: [&str; 8] =
    ["--keys", "300", "--connections", "8", "--pipeline", "4", "--profile", "0:20,10s:~300"];

#[test]
fn nodes_come_with_the_load_and_go_with_it() {
    let cloud = Cloud::start(NODE_ECPUS);
    let scaler = cloud.scaler();
    let first = scaler.until_settled(2);
    let little = ["--keys", "300", "--connections", "4", "--rate", "30"];
    let steady = cloud.load_with(&little);
    steady.wait_answered(ANSWERED);
    assert_eq!(scaler.until_settled(2).len(), first.len());

    let ramp = cloud.load_with(&RAMP);
    scaler.until("four nodes at least, with their slots", |look| {
        (look.nodes.len() >= 4 && look.is_whole()).then_some(())
    });
    ramp.wait_answered(ANSWERED);
    let decided = scaler.decisions();
    assert!(decided.contains("ecpu"), "{decided}");
    ramp.finish().assert_unnoticed();

    scaler.until_settled(2);
    wait_until("no process is left over", PATIENCE, || {
        ((cloud.running().len(), cloud.kept()) == (2, 2)).then_some(())
    });
    steady.wait_answered(ANSWERED);
    steady.finish().assert_unnoticed();
    let decided = scaler.decisions();
    assert!(decided.contains("the rest carries what was asked for lately"), "{decided}");
}

/// So much that two nodes of 64 MiB are nearly full of it and of a copy of it.
const ITEMS: usize = 530;
const ITEM_BYTES: usize = 100 << 10;

fn fill(client: &mut Client) {
    let value = "x".repeat(ITEM_BYTES);
    for number in 0..ITEMS {
        let set = format!("set large-{number} 0 0 {ITEM_BYTES}\r\n{value}\r\n");
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
}

fn empty(client: &mut Client) {
    for number in 0..ITEMS {
        let delete = format!("delete large-{number}\r\n");
        assert_eq!(client.ask(delete.as_bytes()).unwrap(), "DELETED\r\n", "{number}");
    }
}

#[test]
fn spares_are_taken_when_the_cache_is_full_and_wait_again_when_it_is_not() {
    let cloud = Cloud::without_nodes();
    let engine = |words: &[&str]| cloud.engine(&[words, &["--memory", "64m"]].concat());
    let _nodes = [engine(&["--zone", "a"]), engine(&["--zone", "b"])];
    let spares = ["a", "b"].map(|zone| engine(&["--spare", "--zone", zone]));
    cloud.wait_ready();
    let scaler = cloud.scaler();
    let both_wait = |what: &str| {
        wait_until(what, PATIENCE * 4, || {
            (scaler.json("/v1/scaling")["spares"] == 2).then_some(())
        });
    };
    both_wait("both spares wait");
    let first = scaler.until_settled(2);
    let load = cloud.load();
    let mut client = Client::tls(cloud.proxy.address(), &TlsClient::new(&cloud.ca_file()));
    for _ in 0..2 {
        fill(&mut client);
        scaler.until_settled(4);
        let decided = scaler.decisions();
        assert!(decided.contains("memory is above what is to be in use"), "{decided}");
        load.wait_answered(ANSWERED);
        for number in 0..ITEMS {
            let reply = client.ask(format!("mg large-{number} s\r\n").as_bytes()).unwrap();
            assert_eq!(reply, format!("HD s{ITEM_BYTES}\r\n"), "large-{number}");
        }
        empty(&mut client);
        let left = scaler.until_settled(2);
        let ids = |nodes: &[scaled::Seen]| nodes.iter().map(|it| it.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&left), ids(&first), "those that others have started stay");
        both_wait("both spares wait again");
        load.wait_answered(ANSWERED);
    }
    load.finish().assert_unnoticed();
    for spare in spares {
        let text = spare.logs().text();
        assert_eq!(text.matches("starts over as a spare").count(), 2, "{text}");
    }
}
