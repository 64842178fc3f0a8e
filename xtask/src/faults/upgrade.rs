use memtide_testkit::Member;

use super::Scene;
use super::members::restarted;
use super::recovery::Recovery;

/// The scaler that stands by, the one that leads, the nodes, the proxies: each ends by SIGTERM, which drains it, and is
/// followed by another binary, before the next. Gives the longest times of any.
pub fn all(scene: &mut Scene) -> Recovery {
    let fleet = &mut scene.fleet;
    fleet.upgrade_to(scene.upgrade_to.clone());
    let leader = fleet.wait_leader(None);
    let standby = Member::scalers().filter(|it| *it != leader);
    let scalers: Vec<_> = standby.chain([leader]).collect();
    let mut longest = Recovery::default();
    for member in scalers.into_iter().chain(Member::nodes()).chain(Member::proxies()) {
        let recovery = restarted(fleet, member);
        longest.without = longest.without.max(recovery.without);
        longest.again = longest.again.max(recovery.again);
        fleet.wait_answered(100);
    }
    longest
}
