//! What should be so of a fleet behind an endpoint, as its topology shows it.

use memtide_service::admin::Condition;
use memtide_topology::{Epoch, SLOTS, Topology};

const SLOTS_ALL: usize = SLOTS as usize;

/// Whether somebody answers for each slot; `trouble` says why no topology has come.
pub fn every_slot_has_a_primary(
    topology: &Topology,
    trouble: impl FnOnce() -> Option<String>,
) -> Condition {
    let unowned = || topology.slots().filter(|(_, config)| config.primary.is_none()).count();
    let state = if topology.epoch() == Epoch::ZERO {
        Err(trouble().unwrap_or_else(|| "waits for the scaler".to_owned()))
    } else {
        match unowned() {
            0 => Ok(()),
            SLOTS_ALL => Err("waits for nodes".to_owned()),
            slots => Err(format!("{slots} slots have no node")),
        }
    };
    Condition::needed("every slot has a primary", state)
}

/// Whether each slot has the copies in sync that are wanted; clients are served without them.
pub fn every_slot_has_its_replicas(topology: &Topology) -> Condition {
    let wanted = usize::from(topology.replicas_wanted());
    let lacking = topology.slots().filter(|(_, config)| config.in_sync().count() < wanted).count();
    let state = match lacking {
        0 => Ok(()),
        slots => Err(format!("{slots} slots have fewer than the {wanted} wanted")),
    };
    Condition::wished("every slot has its replicas", state)
}

#[cfg(test)]
mod tests {
    use memtide_topology::{
        CacheId, Change, HashSeed, NodeId, NodeInfo, Previous, SlotId, Update, Zone,
    };

    use super::*;

    fn after(topology: &Topology, change: Change) -> Topology {
        topology.apply(&Update { parent: topology.epoch(), changes: vec![change] }).unwrap()
    }

    fn lines(topology: &Topology) -> [String; 2] {
        let unreachable = || Some("its certificate has expired".to_owned());
        let primaries = every_slot_has_a_primary(topology, unreachable);
        [primaries.to_string(), every_slot_has_its_replicas(topology).to_string()]
    }

    #[test]
    fn what_is_missing_is_named_and_counted() {
        let topology = Topology::new(CacheId::default(), HashSeed::new(1, 2), 1).unwrap();
        let unready = "not ready: every slot has a primary: ";
        let alone =
            "ready without: every slot has its replicas: 16384 slots have fewer than the 1 wanted";
        let [primaries, replicas] = lines(&topology);
        assert_eq!(primaries, format!("{unready}its certificate has expired"));
        assert_eq!(replicas, alone);
        let (zone, address) = (Zone::new("a").unwrap(), "127.0.0.1:7".to_owned());
        let info = NodeInfo { address, zone, memory_max: 1 << 30, is_draining: false };
        let node = NodeId::new(1);
        let topology = after(&topology, Change::AddNode { node, info });
        assert_eq!(lines(&topology)[0], format!("{unready}waits for nodes"));
        let own = |slots: Vec<SlotId>| Change::SetPrimary {
            slots,
            primary: node,
            previous: Previous::Gone,
        };
        let most = after(&topology, own(SlotId::all().skip(3).collect()));
        assert_eq!(lines(&most)[0], format!("{unready}3 slots have no node"));
        let all = after(&most, own(SlotId::all().take(3).collect()));
        assert_eq!(lines(&all), ["ok: every slot has a primary", alone]);
        let all = after(&all, Change::SetReplicas { replicas: 0 });
        assert_eq!(lines(&all)[1], "ok: every slot has its replicas");
    }
}
