//! A fleet in three zones with a real etcd, over which a zone is lost, a proxy hears or is heard one way only, and zones
//! are far from each other, under load.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::time::Duration;

use memtide_testkit::{Member, PATIENCE, Verdict, Via, ZonedFleet, ZonedSettings, wait_until};

const ZONES: [u8; 3] = [0, 1, 2];
/// The one that is lost: it has a scaler, a proxy, two nodes and a member of etcd.
const LOST: u8 = 1;

/// Clients of the other proxy noticed nothing but slow replies.
fn assert_unnoticed(verdicts: &[(Via, Verdict)], is_asked: impl Fn(Via) -> bool) {
    let asked: Vec<_> = verdicts.iter().filter(|(via, _)| is_asked(*via)).collect();
    assert!(!asked.is_empty());
    for (via, verdict) in asked {
        println!("{via:?}: {} us", verdict.count("verdict/longest_reply_us"));
        verdict.assert_unnoticed();
    }
}

#[test]
fn a_zone_a_way_and_nearness_may_be_lost_and_no_write_is() {
    let program = env!("CARGO_BIN_EXE_memtide").into();
    let mut fleet = ZonedFleet::start(ZonedSettings { program, has_spares: false });
    a_zone_is_cut_off(&mut fleet);
    a_proxy_hears_or_is_heard_one_way(&mut fleet);
    zones_are_far_and_a_node_is_killed(&mut fleet);
}

fn a_zone_is_cut_off(fleet: &mut ZonedFleet) {
    let load = fleet.load::<&str>(&[]);
    fleet.cut_zone_off(LOST);
    // All that was there is elsewhere, too.
    fleet.wait_whole();
    assert_eq!(fleet.count("up"), 4);
    fleet.wait_answered(200);
    fleet.reconnect_zone(LOST);
    fleet.wait_whole();
    fleet.wait_answered(200);
    let verdicts = load.finish();
    assert_unnoticed(&verdicts, |via| via == Via::Proxy(1));
    // Of the proxy that was cut off, too, no connection broke, and nothing was lost.
    verdicts.iter().for_each(|(_, verdict)| verdict.assert_consistent());
}

fn a_proxy_hears_or_is_heard_one_way(fleet: &mut ZonedFleet) {
    let load = fleet.load::<&str>(&[]);
    let proxy = Member::Proxy(0);
    let is_known = |fleet: &ZonedFleet| {
        let leader = fleet.leader()?;
        let nodes = fleet.json(leader, "/v1/nodes")?;
        Some(nodes["proxies"].as_array()?.len())
    };
    wait_until("both proxies are known", PATIENCE, || (is_known(fleet) == Some(2)).then_some(()));
    fleet.deafen(proxy);
    wait_until("it is gone", PATIENCE, || (is_known(fleet) == Some(1)).then_some(()));
    fleet.undeafen(proxy);
    fleet.wait_whole();
    fleet.wait_answered(200);
    fleet.mute(proxy);
    wait_until("it is gone again", PATIENCE, || (is_known(fleet) == Some(1)).then_some(()));
    fleet.unmute(proxy);
    fleet.wait_whole();
    fleet.wait_answered(200);
    let verdicts = load.finish();
    assert_unnoticed(&verdicts, |via| via == Via::Proxy(1));
    verdicts.iter().for_each(|(_, verdict)| verdict.assert_consistent());
}

fn zones_are_far_and_a_node_is_killed(fleet: &mut ZonedFleet) {
    let load = fleet.load::<&str>(&[]);
    fleet.hosts().delay_between(&ZONES, Duration::from_millis(50));
    fleet.wait_answered(200);
    let victim = Member::Node(0);
    fleet.kill(victim);
    fleet.wait_whole();
    fleet.begin(victim);
    fleet.wait_whole();
    fleet.wait_answered(200);
    assert_unnoticed(&load.finish(), |_| true);
}
