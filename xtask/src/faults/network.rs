use std::thread;
use std::time::Duration;

use memtide_testkit::{Member, ZonedFleet};

use super::Scene;
use super::members::{AWAY, any_node, away_for_long, killed};
use super::recovery::{Recovery, lost_and_back, until_whole};

/// The zones of the fleet; clients are as near to all as before.
const ZONES: [u8; 3] = [0, 1, 2];
/// Each way.
const FAR: Duration = Duration::from_millis(50);
/// Each way, too.
const FARTHER: Duration = Duration::from_millis(100);
/// How long a load goes on while zones are far.
const FAR_FOR: Duration = Duration::from_secs(20);

/// Both are up all the time, as each is heard by all others: the fleet is not whole before they hear each other.
pub fn nodes_parted(scene: &mut Scene) -> Recovery {
    let [one, other] = [Member::Node(0), Member::Node(1)].map(Member::host);
    away_for_long(
        &mut scene.fleet,
        |fleet| fleet.hosts().cut_between(one, other),
        |fleet| fleet.hosts().mend_between(one, other),
    )
}

pub fn node_deaf(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    let fleet = &mut scene.fleet;
    lost_and_back(fleet, AWAY, |fleet| fleet.deafen(victim), |fleet| fleet.undeafen(victim))
}

pub fn node_mute(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    let fleet = &mut scene.fleet;
    lost_and_back(fleet, AWAY, |fleet| fleet.mute(victim), |fleet| fleet.unmute(victim))
}

pub fn proxy_deaf(scene: &mut Scene) -> Recovery {
    let victim = Member::Proxy(0);
    away_for_long(&mut scene.fleet, |fleet| fleet.deafen(victim), |fleet| fleet.undeafen(victim))
}

pub fn proxy_mute(scene: &mut Scene) -> Recovery {
    let victim = Member::Proxy(0);
    away_for_long(&mut scene.fleet, |fleet| fleet.mute(victim), |fleet| fleet.unmute(victim))
}

pub fn far(scene: &mut Scene) -> Recovery {
    at_a_distance(&mut scene.fleet, FAR, |_| {
        thread::sleep(FAR_FOR);
        Recovery::default()
    })
}

pub fn far_node_killed(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    at_a_distance(&mut scene.fleet, FAR, |fleet| killed(fleet, victim))
}

pub fn farther_node_killed(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    at_a_distance(&mut scene.fleet, FARTHER, |fleet| killed(fleet, victim))
}

/// Does it while frames take so long from one zone to another, each way; the fleet is whole before, and after.
fn at_a_distance(
    fleet: &mut ZonedFleet,
    one_way: Duration,
    act: impl FnOnce(&mut ZonedFleet) -> Recovery,
) -> Recovery {
    fleet.hosts().delay_between(&ZONES, one_way);
    fleet.wait_answered(200);
    fleet.wait_whole();
    let recovery = act(fleet);
    fleet.wait_whole();
    let near = until_whole(fleet, |fleet| {
        fleet.hosts().delay_between(&ZONES, Duration::ZERO);
        fleet.wait_answered(200);
    });
    Recovery { again: recovery.again.or(Some(near)), ..recovery }
}
