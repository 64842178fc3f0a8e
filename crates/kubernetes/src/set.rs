//! A `StatefulSet` whose pods are nodes of a zone: what its pods are called, what they can do, and to how many it
//! is scaled. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use memtide_control::Capacity;
use memtide_limits::units;
use memtide_scaler::Supply;
use memtide_service::config;
use memtide_topology::Zone;

use crate::limits::{READY_IN, READY_IN_MAX};

/// What a `StatefulSet` says of its pods: what they give to `memtide engine`.
pub mod annotation {
    /// `--memory-max`; must be there.
    pub const MEMORY_MAX: &str = "node.memtide/memory-max";
    /// `--memory`: what a node begins with, and is granted at least.
    pub const MEMORY: &str = "node.memtide/memory";
    /// `--cpus`.
    pub const CPUS: &str = "node.memtide/cpus";
    /// `--ecpu-max`.
    pub const ECPU_MAX: &str = "node.memtide/ecpu-max";
    /// `--network-max`.
    pub const NETWORK_MAX: &str = "node.memtide/network-max";
    /// How long it takes until a new pod has joined.
    pub const READY_IN: &str = "node.memtide/ready-in";
}

/// Memory that a node begins with where nothing is said.
const MEMORY_MIN: u64 = 64 << 20;
/// ECPUs a second of a thousandth of a core, where nothing is said: what a node says of itself then.
const ECPU_PER_CPU: u64 = 150;

/// A `StatefulSet` and the zone of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The failure domain that all of its pods are in.
    pub zone: Zone,
    /// What it is called; no two of one provisioner alike.
    pub name: String,
}

/// What was seen of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many pods it is to have.
    pub replicas: u32,
    capacity: Capacity,
    memory_min: u64,
    ready_in: Duration,
}

/// What is to be done to end a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToEnd {
    /// Its set is to have so many.
    Scale(u32),
    /// Nothing: its set is not to have it any more, and it may yet be there.
    Wait,
    /// Nothing: others are above it that stay, so it does too, and waits to be used again.
    Keep,
}

impl Set {
    /// What its pod of this number is called.
    pub fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.name)
    }

    /// The number of a pod; `None` where it is none of its own.
    pub fn ordinal(&self, pod: &str) -> Option<u32> {
        let ordinal = pod.strip_prefix(&self.name)?.strip_prefix('-')?.parse().ok()?;
        (self.pod(ordinal) == pod).then_some(ordinal)
    }

    /// What can be had of it, where it may have so many pods.
    pub fn supply(&self, seen: &Seen, pods_max: u32) -> Supply {
        Supply {
            kind: self.name.clone(),
            zone: self.zone.clone(),
            capacity: seen.capacity,
            memory_min: seen.memory_min,
            nodes: pods_max,
            ready_in: seen.ready_in,
            names: (0..pods_max).map(|ordinal| self.pod(ordinal)).collect(),
            there: (0..seen.replicas).rev().map(|ordinal| self.pod(ordinal)).collect(),
        }
    }
}

impl Seen {
    /// Reads one.
    ///
    /// # Errors
    /// What is missing or wrong, in a line.
    pub fn read(set: &StatefulSet) -> Result<Self, String> {
        let spec = set.spec.as_ref();
        let start = spec.and_then(|spec| spec.ordinals.as_ref()).and_then(|it| it.start);
        if start.is_some_and(|start| start != 0) {
            return Err("spec.ordinals.start must be 0: pods are counted from there".to_owned());
        }
        // The API server fills in 1 where none is given.
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let none = BTreeMap::new();
        let said = Annotations(set.metadata.annotations.as_ref().unwrap_or(&none));
        let Some(memory) = said.read(annotation::MEMORY_MAX, units::size)? else {
            let name = annotation::MEMORY_MAX;
            return Err(format!("it has no annotation {name}; give what its pods have there"));
        };
        let memory_min = said.read(annotation::MEMORY, units::size)?.unwrap_or(MEMORY_MIN);
        if memory_min > memory {
            return Err(format!("annotation {}: more than memory-max", annotation::MEMORY));
        }
        let cpu = said.read(annotation::CPUS, thousandths)?.unwrap_or(0);
        let ecpu = said.read(annotation::ECPU_MAX, units::count)?;
        let network = said.read(annotation::NETWORK_MAX, units::size)?.unwrap_or(0);
        let ready_in = said.read(annotation::READY_IN, config::duration)?.unwrap_or(READY_IN);
        Ok(Self {
            replicas: u32::try_from(replicas).unwrap_or(0),
            capacity: Capacity { memory, cpu, ecpu: ecpu.unwrap_or(cpu * ECPU_PER_CPU), network },
            memory_min,
            ready_in: ready_in.min(READY_IN_MAX),
        })
    }
}

struct Annotations<'a>(&'a BTreeMap<String, String>);

impl Annotations<'_> {
    fn read<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let text = self.0.get(name).filter(|text| !text.is_empty());
        let wrong = |text: &str, why: &str| format!("annotation {name}: \"{text}\": {why}");
        text.map(|text| read(text).map_err(|why| wrong(text, &why))).transpose()
    }
}

/// Cores with up to three decimals.
fn thousandths(text: &str) -> Result<u64, String> {
    let wrong = |_| "give a share of a core, such as 1 or 0.5".to_owned();
    units::count(&format!("{}k", text.trim())).map_err(wrong)
}

/// To how many a set is scaled that has so many, so that it has this pod; `None` where it has it.
pub const fn to_start(replicas: u32, ordinal: u32) -> Option<u32> {
    if replicas > ordinal { None } else { Some(ordinal + 1) }
}

/// What is done to end a pod of a set that has so many. Pods go from the last on, so a pod goes only together
/// with all above it, and only where all of these are being `ending` as well.
pub fn to_end(replicas: u32, ordinal: u32, ending: &BTreeSet<u32>) -> ToEnd {
    if replicas <= ordinal {
        return ToEnd::Wait;
    }
    if !(ordinal + 1..replicas).all(|above| ending.contains(&above)) {
        return ToEnd::Keep;
    }
    let below = (0..ordinal).rev().take_while(|below| ending.contains(below));
    ToEnd::Scale(below.last().unwrap_or(ordinal))
}

#[cfg(test)]
mod tests;
