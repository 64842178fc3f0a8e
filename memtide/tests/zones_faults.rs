//! A fleet in three zones with a real etcd, over which a zone is lost, a proxy hears or is heard one way only, and zones
//! are far from each other, under load.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::time::Duration;

use memtide_testkit::{Member, PATIENCE, Via, ZonedFleet, ZonedSettings, wait_until};

const ZONES: [u8; 3] = [0, 1, 2];
/// The one that is lost: it has a scaler, a proxy, two nodes and a member of etcd.
const LOST: u8 = 1;
/// Its scaler.
const LOST_SCALER: Member = Member::Scaler(1);
/// Its proxy, and the other one's load.
const PROXY: Member = Member::Proxy(0);
const OTHER: Via = Via::Proxy(1);

#[test]
fn a_zone_a_way_and_nearness_may_be_lost_and_no_write_is() {
    let program = env!("CARGO_BIN_EXE_memtide").into();
    let mut fleet = ZonedFleet::start(ZonedSettings { program, has_spares: false });
    if fleet.leader() == Some(LOST_SCALER) {
        fleet.end(LOST_SCALER);
        fleet.begin(LOST_SCALER);
    }
    fleet.wait_whole();
    // Clients are on both sides of what is cut: the one knows what the other has been told.
    fleet.lay_cable(PROXY);
    let load = fleet.load(&[OTHER, Via::Balancer], 200);

    fleet.cut_zone_off(LOST);
    // All that was there is elsewhere, too.
    fleet.wait_whole();
    wait_until("whoever is left to be up", PATIENCE, || (fleet.count("up") == 4).then_some(()));
    fleet.wait_answered(100);
    // What was there is asked for, too: by clients who know what the others were told.
    fleet.wait_refused(PROXY);
    fleet.reconnect_zone(LOST);
    fleet.wait_whole();

    fleet.deafen(PROXY);
    wait_proxies(&fleet, 1);
    fleet.undeafen(PROXY);
    wait_proxies(&fleet, 2);
    fleet.mute(PROXY);
    wait_proxies(&fleet, 1);
    fleet.unmute(PROXY);
    wait_proxies(&fleet, 2);

    fleet.hosts().delay_between(&ZONES, Duration::from_millis(50));
    fleet.wait_answered(100);
    fleet.kill(Member::Node(0));
    fleet.wait_whole();
    fleet.wait_answered(100);

    for (via, verdict) in load.finish() {
        println!("{via:?}: {} us", verdict.count("verdict/longest_reply_us"));
        // Also of the proxy that was cut off no connection broke, and nothing was lost; commands were refused.
        if via == OTHER { verdict.assert_unnoticed() } else { verdict.assert_consistent() }
    }
}

/// Waits until the scaler that leads hears so many proxies.
fn wait_proxies(fleet: &ZonedFleet, count: usize) {
    let heard = || fleet.json(fleet.leader()?, "/v1/nodes")?["proxies"].as_array().map(Vec::len);
    wait_until("so many proxies are heard", PATIENCE, || (heard() == Some(count)).then_some(()));
}
