//! What `serve` says of its node processes, and what it has them do.

use memtide_testkit::{Client, Fleet, PATIENCE, Signal, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");

/// A node whose slots are all copies has items, and adds none.
#[test]
fn an_item_counts_once_however_many_copies_it_has_and_wherever_they_are() {
    let fleet = Fleet::start(PROGRAM, 2, "a,b", 1);
    let memtide = fleet.memtide();
    let mut client = Client::tls(memtide.address(), memtide.tls());
    for number in 0..100 {
        let set = format!("set key-{number} 0 0 1000\r\n{}\r\n", "x".repeat(1_000));
        assert_eq!(client.ask(set.as_bytes()).unwrap(), "STORED\r\n");
    }
    fleet.cache(&["slots", "move", "0-16383", "--to", &fleet.nodes()[0].node]);
    fleet.wait_settled(2);
    let usage = wait_until("all items to be counted", PATIENCE, || {
        let usage = fleet.json("/v1/cache")["usage"].clone();
        (usage["items"] == 100).then_some(usage)
    });
    let bytes = usage["data_storage_bytes"].as_u64().unwrap();
    assert!((100_000..130_000).contains(&bytes), "{usage}");
    wait_until("data to be metered over time", PATIENCE, || {
        let usage = fleet.json("/v1/cache")["usage"].clone();
        (usage["data_storage_gb_hours"].as_f64()? > 0.0).then_some(())
    });
    let nodes = wait_until("both to have said what they have", PATIENCE, || {
        let nodes = fleet.json("/v1/nodes")["nodes"].as_array()?.clone();
        let all = |it: &str| nodes.iter().filter_map(|node| node[it].as_u64()).sum::<u64>();
        ((all("items"), all("copy_items"), all("cmd_set")) == (200, 100, 100)).then_some(nodes)
    });
    for node in nodes {
        for figure in ["bytes_in", "bytes_out"] {
            assert!(node[figure].as_u64().unwrap() > 100_000, "{figure}: {node}");
        }
    }
    let metrics = memtide.get("/metrics").body;
    assert!(metrics.contains("\nmemtide_items 100\n"), "{metrics}");
}

#[test]
fn certificates_of_the_fleet_are_read_again_by_all_processes_of_serve() {
    let fleet = Fleet::start(PROGRAM, 1, "a", 0);
    let memtide = fleet.memtide();
    let before = memtide.logs().len();
    memtide.signal(Signal::HUP);
    let mut left = 3;
    let read = memtide.logs().find_after(before, PATIENCE, |line| {
        left -= u8::from(line.contains("read the certificates of the fleet again"));
        (left == 0).then_some(())
    });
    assert!(read.is_some(), "{left} of scaler, proxy and node did not: {}", memtide.logs().text());
}
