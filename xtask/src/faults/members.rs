use std::time::{Duration, Instant};

use memtide_testkit::{Member, PATIENCE, Signal, ZonedFleet, wait_until};

use super::Scene;
use super::recovery::{Recovery, away, lost_and_back, until_whole};

/// How long somebody is stopped or cut off.
pub const AWAY: Duration = Duration::from_secs(10);
/// The zone that is lost: the one in which there is one of everything.
const LOST_ZONE: u8 = 1;
/// The scaler that is lost with it, and the other one.
const INSIDE: Member = Member::Scaler(1);
const OUTSIDE: Member = Member::Scaler(0);

/// One of the nodes.
pub fn any_node(scene: &mut Scene) -> Member {
    Member::Node(scene.rng.below(Member::nodes().count()))
}

pub fn node_killed(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    killed(&mut scene.fleet, victim)
}

pub fn nodes_killed(scene: &mut Scene) -> Recovery {
    let Member::Node(first) = any_node(scene) else { unreachable!("it is a node") };
    let second = Member::Node((first + 1) % Member::nodes().count());
    let one = killed(&mut scene.fleet, Member::Node(first));
    let other = killed(&mut scene.fleet, second);
    Recovery { without: one.without.max(other.without), again: one.again.max(other.again) }
}

pub fn node_stopped(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    stopped(&mut scene.fleet, victim)
}

pub fn node_restarted(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    restarted(&mut scene.fleet, victim)
}

/// A node that comes has the slots be spread again.
pub fn slots_moved(scene: &mut Scene) -> Recovery {
    let fleet = &mut scene.fleet;
    let leader = fleet.wait_leader(None);
    let nodes = fleet.json(leader, "/v1/nodes").expect("it leads");
    let began = Instant::now();
    for zone in ["a", "b"] {
        let mut nodes = nodes["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["zone"] == zone && node["state"] == "up");
        let id = node.and_then(|node| node["id"].as_str()).expect("each zone has two");
        let moved = fleet.cache(leader, &["slots", "move", "0-16383", "--to", id]);
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
        wait_until("all slots are there", PATIENCE * 2, || {
            let nodes = fleet.json(leader, "/v1/nodes")?;
            let mut nodes = nodes["nodes"].as_array()?.iter();
            let there = nodes.find(|node| node["id"] == id)?["primary_slots"].as_u64();
            let left = fleet.json(leader, "/v1/migrations")?["remaining_slots"].as_u64();
            (there == Some(16_384) && left == Some(0)).then_some(())
        });
    }
    let without = Some(began.elapsed());
    let last = Member::nodes().last().expect("there are nodes");
    Recovery { without, ..restarted(fleet, last) }
}

pub fn node_cut(scene: &mut Scene) -> Recovery {
    let victim = any_node(scene);
    cut(&mut scene.fleet, victim)
}

pub fn standby_killed(scene: &mut Scene) -> Recovery {
    let leader = scene.fleet.wait_leader(None);
    let standby = Member::scalers().find(|it| *it != leader).expect("there are two");
    killed(&mut scene.fleet, standby)
}

pub fn leader_killed(scene: &mut Scene) -> Recovery {
    let leader = scene.fleet.wait_leader(None);
    killed(&mut scene.fleet, leader)
}

pub fn leader_stopped(scene: &mut Scene) -> Recovery {
    let leader = scene.fleet.wait_leader(None);
    stopped(&mut scene.fleet, leader)
}

pub fn leader_cut(scene: &mut Scene) -> Recovery {
    let leader = scene.fleet.wait_leader(None);
    cut(&mut scene.fleet, leader)
}

pub fn proxy_killed(scene: &mut Scene) -> Recovery {
    killed(&mut scene.fleet, Member::Proxy(0))
}

pub fn zone_killed(scene: &mut Scene) -> Recovery {
    zone_lost(&mut scene.fleet, OUTSIDE)
}

pub fn leaders_zone_killed(scene: &mut Scene) -> Recovery {
    zone_lost(&mut scene.fleet, INSIDE)
}

pub fn zone_cut(scene: &mut Scene) -> Recovery {
    zone_cut_off(&mut scene.fleet, OUTSIDE)
}

pub fn leaders_zone_cut(scene: &mut Scene) -> Recovery {
    zone_cut_off(&mut scene.fleet, INSIDE)
}

fn zone_lost(fleet: &mut ZonedFleet, leader: Member) -> Recovery {
    have_lead(fleet, leader);
    lost_and_back(
        fleet,
        Duration::ZERO,
        |fleet| fleet.kill_zone(LOST_ZONE),
        |fleet| fleet.begin_zone(LOST_ZONE),
    )
}

fn zone_cut_off(fleet: &mut ZonedFleet, leader: Member) -> Recovery {
    have_lead(fleet, leader);
    lost_and_back(
        fleet,
        AWAY,
        |fleet| fleet.cut_zone_off(LOST_ZONE),
        |fleet| fleet.reconnect_zone(LOST_ZONE),
    )
}

/// This scaler leads: where another does, that ends, and is begun again.
fn have_lead(fleet: &mut ZonedFleet, scaler: Member) {
    let leader = fleet.wait_leader(None);
    if leader != scaler {
        restarted(fleet, leader);
    }
    assert_eq!(fleet.leader(), Some(scaler));
}

/// A process is killed, and begun again once the fleet is whole without it.
pub fn killed(fleet: &mut ZonedFleet, victim: Member) -> Recovery {
    lost_and_back(fleet, Duration::ZERO, |fleet| fleet.kill(victim), |fleet| fleet.begin(victim))
}

/// A process ends by SIGTERM, and is begun again.
pub fn restarted(fleet: &mut ZonedFleet, member: Member) -> Recovery {
    let without = until_whole(fleet, |fleet| {
        let status = fleet.end(member);
        assert!(status.success(), "{member} ended with {status}");
    });
    let again = until_whole(fleet, |fleet| fleet.begin(member));
    Recovery { without: Some(without), again: Some(again) }
}

fn stopped(fleet: &mut ZonedFleet, victim: Member) -> Recovery {
    lost_and_back(
        fleet,
        AWAY,
        |fleet| fleet.signal(victim, Signal::STOP),
        |fleet| fleet.signal(victim, Signal::CONT),
    )
}

fn cut(fleet: &mut ZonedFleet, victim: Member) -> Recovery {
    lost_and_back(fleet, AWAY, |fleet| fleet.cut_off(victim), |fleet| fleet.reconnect(victim))
}

/// As [`away`], for as long as all are.
pub fn away_for_long(
    fleet: &mut ZonedFleet,
    lose: impl FnOnce(&mut ZonedFleet),
    come_back: impl FnOnce(&mut ZonedFleet),
) -> Recovery {
    away(fleet, AWAY, lose, come_back)
}
