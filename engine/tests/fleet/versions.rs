//! Links to a node, of processes of several versions and fleets.

use std::time::{Duration, Instant};

use memtide_service::metrics::Source as _;
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{Change, SlotId};
use memtide_wire::Versions;

use crate::client::{Client, introduction};
use crate::rig::{Fleet, SEED};

/// `memtide_node_links_total{kind="refused"}` of a node, by when it came.
fn refused(fleet: &Fleet, node: usize) -> u64 {
    let families = fleet.members[&fleet.id(node)].observer.collect();
    let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
    let line =
        |line: &str| line.strip_prefix("memtide_node_links_total{kind=\"refused\"} ")?.parse().ok();
    text.lines().find_map(line).unwrap()
}

#[test]
fn who_shares_a_version_and_the_fleet_is_served_and_others_are_refused_and_counted() {
    let fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let address = fleet.members[&fleet.id(0)].address;
    let (ours, strange) = (fleet.topology.fleet(), fleet.topology.fleet() ^ 1);
    let mut refusals = 0;
    for ((min, max), of, is_served) in [
        ((1, 1), 0, true),
        ((1, 2), ours, true),
        ((2, 9), 0, true),
        ((3, 9), ours, false),
        ((2, 2), strange, false),
        // It cannot say so: what it asks is checked by its hash.
        ((1, 1), strange, true),
    ] {
        let me = introduction(u64::from(max), Versions { min, max }, of);
        let mut client = Client::connect_as(&fleet.tls, address, me);
        if is_served {
            assert_eq!(client.run(SEED, epoch, "k", "get k\r\n"), "END\r\n", "{min} to {max}");
        } else {
            assert!(client.has_ended(), "{min} to {max}");
            refusals += 1;
            wait_until("it is counted", PATIENCE, || {
                (refused(&fleet, 0) == refusals).then_some(())
            });
        }
    }
    assert_eq!(refused(&fleet, 0), refusals);
}

/// The one that dials waits 20 ms after the first try, and twice as long after each, less up to half of it.
#[test]
fn nodes_that_share_no_version_refuse_each_other_and_try_ever_more_seldom() {
    const TRIES: u64 = 7;
    let mut fleet = Fleet::of(1, 1);
    fleet.versions = Versions { min: 3, max: 9 };
    let newer = fleet.add_node();
    let began = Instant::now();
    fleet.apply(vec![Change::AddLearner { slots: SlotId::all().collect(), node: newer }]);
    wait_until("it is refused so often", PATIENCE, || (refused(&fleet, 1) >= TRIES).then_some(()));
    let least: Duration = (0..TRIES - 1).map(|pause| Duration::from_millis(10 << pause)).sum();
    assert!(began.elapsed() > least, "{TRIES} tries in {:?}", began.elapsed());
    // Nobody holds up the others meanwhile.
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let mut client = fleet.client(fleet.id(0));
    assert_eq!(client.run(SEED, epoch, "k", "get k\r\n"), "END\r\n");
}
