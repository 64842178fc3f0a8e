use std::thread;
use std::time::{Duration, Instant};

use memtide_testkit::{Member, PATIENCE, ZonedFleet, wait_until};

use super::Scene;
use super::members::AWAY;
use super::recovery::{Recovery, until_whole};

/// How long etcd has no majority.
const NO_MAJORITY: Duration = Duration::from_secs(60);

pub fn member_lost(scene: &mut Scene) -> Recovery {
    let fleet = &mut scene.fleet;
    let victim = wait_until("a member of etcd leads", PATIENCE, || fleet.etcd().leader());
    let without = until_whole(fleet, |fleet| {
        fleet.etcd_mut().kill(victim);
        fleet.etcd().wait_well();
    });
    thread::sleep(AWAY.saturating_sub(without));
    let again = until_whole(fleet, |fleet| {
        fleet.etcd_mut().restart(victim);
        fleet.etcd().wait_well();
    });
    Recovery { without: Some(without), again: Some(again) }
}

/// Changes wait meanwhile, and it is said; what clients ask does not.
pub fn majority_lost(scene: &mut Scene) -> Recovery {
    let fleet = &mut scene.fleet;
    let leader = fleet.wait_leader(None);
    let began = Instant::now();
    let lost = [1, 2];
    lost.iter().for_each(|member| fleet.etcd_mut().kill(*member));
    for scaler in Member::scalers() {
        wait_until("it says that etcd is away", PATIENCE, || {
            let verbose = fleet.role(scaler).get("/readyz?verbose");
            let says = verbose.body.contains("not ready: etcd answers");
            (verbose.status == 503 && says).then_some(())
        });
    }
    let refused = fleet.cache(leader, &["replicas", "0"]);
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && reason.contains("etcd is away"), "{reason}");
    fleet.wait_answered(500);
    thread::sleep(NO_MAJORITY.saturating_sub(began.elapsed()));
    fleet.wait_answered(500);
    let again = until_whole(fleet, |fleet| {
        lost.iter().for_each(|member| fleet.etcd_mut().restart(*member));
    });
    let leader = fleet.wait_leader(None);
    let topology = fleet.json(leader, "/v1/topology").expect("it leads");
    assert_eq!(topology["replicas_wanted"], 1, "what was refused was not done");
    Recovery { without: None, again: Some(again) }
}

/// More is promised than six nodes can do, so that spares are taken; then less, so that they wait again.
pub fn leader_scaling(scene: &mut Scene) -> Recovery {
    let fleet = &mut scene.fleet;
    let leader = fleet.wait_leader(None);
    promise(fleet, leader, "6500");
    wait_until("slots move to new nodes", PATIENCE * 2, || moved(fleet, leader).then_some(()));
    let began = Instant::now();
    fleet.kill(leader);
    let next = fleet.wait_leader(None);
    wait_until("there are nine nodes", PATIENCE * 4, || (fleet.count("up") == 9).then_some(()));
    fleet.wait_whole();
    let without = Some(began.elapsed());
    let again = Some(until_whole(fleet, |fleet| fleet.begin(leader)));
    fleet.wait_answered(500);
    promise(fleet, next, "0");
    wait_until("there are six nodes", PATIENCE * 4, || (fleet.count("up") == 6).then_some(()));
    fleet.wait_whole();
    Recovery { without, again }
}

fn promise(fleet: &ZonedFleet, leader: Member, ecpus: &str) {
    let done = fleet.cache(leader, &["limits", "set", "--ecpu-per-second-min", ecpus]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Whether more than six nodes have slots, and not all are where they belong.
fn moved(fleet: &ZonedFleet, leader: Member) -> bool {
    let (Some(nodes), Some(migrations)) =
        (fleet.json(leader, "/v1/nodes"), fleet.json(leader, "/v1/migrations"))
    else {
        return false;
    };
    let nodes = nodes["nodes"].as_array().into_iter().flatten();
    let with_slots = nodes.filter(|node| node["primary_slots"].as_u64() > Some(0)).count();
    with_slots > 6 && migrations["remaining_slots"].as_u64() > Some(0)
}
