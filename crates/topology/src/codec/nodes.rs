use std::collections::{BTreeMap, BTreeSet};

use super::bytes::{Reader, put_count, put_number, put_text};
use super::{DecodeError, IdGap};
use crate::limits::{ADDRESS_BYTES_MAX, NODES_MAX};
use crate::{NodeId, NodeInfo, Zone};

/// Appends nodes, at most [`NODES_MAX`], with the zones that they are in.
pub(super) fn put(out: &mut Vec<u8>, nodes: &BTreeMap<NodeId, NodeInfo>) {
    let zones: BTreeSet<&Zone> = nodes.values().map(|node| &node.zone).collect();
    put_count(out, zones.len());
    zones.iter().for_each(|zone| put_text(out, zone.name()));
    let zones: BTreeMap<&Zone, usize> = zones.into_iter().zip(0..).collect();
    put_count(out, nodes.len());
    let mut gap = IdGap::default();
    for (id, node) in nodes {
        put_number(out, gap.of(*id));
        put_text(out, &node.address);
        put_count(out, zones[&node.zone]);
        put_number(out, node.memory_max);
        out.push(u8::from(node.is_draining));
    }
}

pub(super) fn take(reader: &mut Reader<'_>) -> Result<BTreeMap<NodeId, NodeInfo>, DecodeError> {
    let mut zones = Vec::new();
    for _ in 0..reader.count(NODES_MAX, "number of zones")? {
        let zone = Zone::new(reader.text(Zone::LEN_MAX, "zone name")?);
        zones.push(zone.ok_or(DecodeError::Text { what: "zone name" })?);
    }
    let mut nodes = BTreeMap::new();
    let mut gap = IdGap::default();
    for _ in 0..reader.count(NODES_MAX, "number of nodes")? {
        let id = gap.take(reader)?;
        let address = reader.text(ADDRESS_BYTES_MAX, "address")?.to_owned();
        let zone = reader.number()?;
        let max = zones.len().saturating_sub(1);
        let found = usize::try_from(zone).ok().and_then(|zone| zones.get(zone));
        let zone = found.ok_or(DecodeError::AboveMax { what: "zone", number: zone, max })?.clone();
        let memory_max = reader.number()?;
        let is_draining = reader.count(1, "draining")? == 1;
        nodes.insert(id, NodeInfo { address, zone, memory_max, is_draining });
    }
    Ok(nodes)
}
