//! Actions as they are written down.

use memtide_planner::{Action, StepId};
use memtide_topology::{Epoch, NodeId, SlotId, Zone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The same as [`Action`], in plain words and numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    Grow { node: u64, from: u64, to: u64 },
    Shrink { node: u64, from: u64, to: u64 },
    Add { offer: u32, zone: String, nodes: u32, memory: u64 },
    Isolate { slot: u16, offer: u32, zone: String, memory: u64 },
    Move { slots: Vec<u16>, to: u64 },
    Drain { node: u64 },
    Stay { node: u64 },
}

/// For `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(action: &Action, to: S) -> Result<S::Ok, S::Error> {
    let written = match action {
        Action::Grow { node, from, to } => {
            Written::Grow { node: node.number(), from: *from, to: *to }
        }
        Action::Shrink { node, from, to } => {
            Written::Shrink { node: node.number(), from: *from, to: *to }
        }
        Action::Add { offer, zone, nodes, memory } => {
            let zone = zone.name().to_owned();
            Written::Add { offer: *offer, zone, nodes: *nodes, memory: *memory }
        }
        Action::Isolate { slot, offer, zone, memory } => {
            let (slot, zone) = (slot.number(), zone.name().to_owned());
            Written::Isolate { slot, offer: *offer, zone, memory: *memory }
        }
        Action::Move { slots, to } => {
            let slots = slots.iter().map(|slot| slot.number()).collect();
            Written::Move { slots, to: to.number() }
        }
        Action::Drain { node } => Written::Drain { node: node.number() },
        Action::Stay { node } => Written::Stay { node: node.number() },
        Action::GiveUp { .. } => {
            return Err(serde::ser::Error::custom("what is given up at once is not kept"));
        }
    };
    written.serialize(to)
}

/// For `#[serde(with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Action, D::Error> {
    let zone = |name: &str| Zone::new(name).ok_or_else(|| de::Error::custom("no zone"));
    let slot = |number| SlotId::new(number).ok_or_else(|| de::Error::custom("no slot"));
    Ok(match Written::deserialize(from)? {
        Written::Grow { node, from, to } => Action::Grow { node: NodeId::new(node), from, to },
        Written::Shrink { node, from, to } => Action::Shrink { node: NodeId::new(node), from, to },
        Written::Add { offer, zone: name, nodes, memory } => {
            Action::Add { offer, zone: zone(&name)?, nodes, memory }
        }
        Written::Isolate { slot: number, offer, zone: name, memory } => {
            Action::Isolate { slot: slot(number)?, offer, zone: zone(&name)?, memory }
        }
        Written::Move { slots, to } => {
            let slots = slots.into_iter().map(slot).collect::<Result<_, _>>()?;
            Action::Move { slots, to: NodeId::new(to) }
        }
        Written::Drain { node } => Action::Drain { node: NodeId::new(node) },
        Written::Stay { node } => Action::Stay { node: NodeId::new(node) },
    })
}

/// Names of steps, for `#[serde(with)]`: the epoch and the number.
pub(crate) mod id {
    use super::{Deserialize, Deserializer, Epoch, Serialize, Serializer, StepId};

    pub(crate) fn serialize<S: Serializer>(id: &StepId, to: S) -> Result<S::Ok, S::Error> {
        (id.parent.number(), id.number).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StepId, D::Error> {
        let (parent, number) = Deserialize::deserialize(from)?;
        Ok(StepId { parent: Epoch::new(parent), number })
    }
}

/// Zones by their names, for `#[serde(with)]`.
pub(crate) mod zone {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Zone, de};

    pub(crate) fn serialize<S: Serializer>(zone: &Zone, to: S) -> Result<S::Ok, S::Error> {
        zone.name().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Zone, D::Error> {
        let name = String::deserialize(from)?;
        Zone::new(&name).ok_or_else(|| de::Error::custom("no zone"))
    }
}
