//! What somebody would have who knew all: as few nodes as carry the moment, full to the brim, at once.

use crate::Scenario;
use crate::world::Moment;

/// Nodes of the largest size that a moment needs.
pub(crate) fn nodes(scenario: &Scenario, moment: &Moment) -> usize {
    let most = |of: fn(&memtide_planner::Amounts) -> u64| {
        scenario.sizes.iter().map(of).max().unwrap_or(1).max(1) as f64
    };
    let holders = usize::from(scenario.replicas) + 1;
    let data = moment.data.max(moment.limits.data_storage.min as f64) * holders as f64;
    let load = moment.asked.max(moment.limits.ecpu_per_second.min as f64);
    let needed = (data / most(|it| it.memory)).max(load / most(|it| it.ecpu)).ceil();
    let needed = usize::try_from(crate::world::whole(needed)).unwrap_or(usize::MAX);
    needed.max(holders).max(scenario.policy.nodes_min)
}
