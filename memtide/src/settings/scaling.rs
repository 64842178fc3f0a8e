//! How a fleet follows the load: the settings of those that have a scaler.

use std::collections::BTreeSet;
use std::time::Duration;

use memtide_planner::Policy;
use memtide_service::config::{ConfigError, Given, duration, one_of, size};
use memtide_topology::{NODES_MAX, Zone};

use super::read::{ITEMS_IN_MEMORY_MIN, count};

/// Spares in a zone.
const SPARES_MAX: u64 = 1000;
/// Words of a command.
const WORDS_MAX: usize = 64;
/// `StatefulSet`s of a scaler.
const SETS_MAX: usize = 64;

/// How a fleet follows the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaling {
    pub policy: Policy,
    pub spares_per_zone: u32,
    /// What starts nodes; `None` where it is this program, or others do.
    pub provision: Option<Provision>,
}

/// What starts and ends nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provision {
    /// An operator's program.
    Program(Program),
    /// Kubernetes: pods of these `StatefulSet`s, each of a zone.
    Kubernetes(Vec<(Zone, String)>),
}

/// A program that starts and ends nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Not empty, and neither is its first word.
    pub words: Vec<String>,
    pub time_max: Duration,
}

/// What a scaler by itself is told, with this least number of nodes and copies beside the primary.
pub fn of_scaler(
    given: &Given,
    nodes_min: usize,
    replicas: Option<u8>,
) -> Result<Option<Scaling>, ConfigError> {
    let nodes_max = count(given, "nodes-max", 0, NODES_MAX as u64)?;
    let provision = match (program(given)?, kubernetes(given)?) {
        (Some(_), Some(_)) => {
            let problem = "nodes are started by one of the two; leave --provision out";
            return Err(given.complain("kubernetes-statefulsets", problem));
        }
        (program, sets) => {
            program.map(Provision::Program).or_else(|| sets.map(Provision::Kubernetes))
        }
    };
    let spares_per_zone = spares(given)?;
    let in_after = in_after(given)?;
    if nodes_max == 0 {
        let problem = "the scaler leaves the nodes as they are; give --nodes-max too";
        match provision {
            None => {}
            Some(Provision::Program(_)) => return Err(given.complain("provision", problem)),
            Some(Provision::Kubernetes(_)) => {
                return Err(given.complain("kubernetes-statefulsets", problem));
            }
        }
        return refuse_spares(given, problem).map(|()| None);
    }
    if provision.is_none() {
        refuse_spares(
            given,
            "nobody would start them; give --provision or --kubernetes-statefulsets too",
        )?;
    }
    let nodes_min = nodes_min.max(1 + usize::from(replicas.unwrap_or_default()));
    if nodes_max < nodes_min {
        let problem =
            format!("at least {nodes_min} nodes are needed (--nodes-min, --replicas); give more");
        return Err(given.complain("nodes-max", &problem));
    }
    let memory_min = memory_min(given, u64::MAX)?;
    let policy = Policy { nodes_min, nodes_max, memory_min, ..patience(in_after) };
    Ok(Some(Scaling { policy, spares_per_zone, provision }))
}

/// What `serve` is told, which has so many node processes at least and at most, each with so much memory at most.
pub fn of_processes(
    given: &Given,
    (nodes_min, nodes_max): (usize, usize),
    zones: usize,
    node_memory_max: u64,
) -> Result<Scaling, ConfigError> {
    let spares_per_zone = spares(given)?;
    let room = (nodes_max - nodes_min) / zones;
    if usize::try_from(spares_per_zone).unwrap_or(usize::MAX) > room {
        let problem = format!(
            "--nodes has room for {room} in each zone beside the {nodes_min} of the start; give fewer, or more --nodes"
        );
        return Err(given.complain("spares", &problem));
    }
    let memory_min = memory_min(given, node_memory_max)?;
    let policy = Policy { nodes_min, nodes_max, memory_min, ..patience(in_after(given)?) };
    Ok(Scaling { policy, spares_per_zone, provision: None })
}

/// What the node in the process of `serve` is told, which begins with so much memory.
pub fn of_embedded(given: &Given, least: u64, most: u64) -> Result<Policy, ConfigError> {
    let item = given.read("item-size-max", size)?;
    let memory_min = least.max(item.saturating_mul(ITEMS_IN_MEMORY_MIN)).min(most);
    Ok(Policy { nodes_min: 1, nodes_max: 1, memory_min, ..patience(in_after(given)?) })
}

/// Where nobody would start spares, none can be wanted.
pub fn refuse_spares(given: &Given, problem: &str) -> Result<(), ConfigError> {
    match spares(given)? {
        0 => Ok(()),
        _ => Err(given.complain("spares", problem)),
    }
}

/// The least that a node is granted: the largest item must fit into it with some others.
fn memory_min(given: &Given, node_memory_max: u64) -> Result<u64, ConfigError> {
    let item = given.read("item-size-max", size)?;
    let least = Policy::default().memory_min.max(item.saturating_mul(ITEMS_IN_MEMORY_MIN));
    Ok(least.min(node_memory_max))
}

fn patience(in_after: Duration) -> Policy {
    Policy {
        in_after,
        in_after_max: in_after.saturating_mul(16),
        cool_down: in_after / 2,
        ..Policy::default()
    }
}

fn in_after(given: &Given) -> Result<Duration, ConfigError> {
    given.read("scale-in-after", |text| {
        let after = duration(text)?;
        let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
        bounds.contains(&after).then_some(after).ok_or_else(|| "give 1s to 24h".to_owned())
    })
}

fn spares(given: &Given) -> Result<u32, ConfigError> {
    given.read("spares", |text| {
        one_of(text, 0, SPARES_MAX).and_then(|n| u32::try_from(n).map_err(|e| e.to_string()))
    })
}

/// `StatefulSet`s, a zone each, or several of one.
fn kubernetes(given: &Given) -> Result<Option<Vec<(Zone, String)>>, ConfigError> {
    let Some(_) = given.text("kubernetes-statefulsets") else { return Ok(None) };
    if cfg!(not(feature = "kubernetes")) {
        let problem = "this memtide was built without Kubernetes; take one with the cargo feature `kubernetes`, as the container image is";
        return Err(given.complain("kubernetes-statefulsets", problem));
    }
    let set = |pair: &str| {
        let (zone, name) = pair.trim().split_once('=')?;
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = |byte: u8| is_letter(byte) || byte == b'-' || byte == b'.';
        let has_ends = name.bytes().next().is_some_and(is_letter) && !name.ends_with(['-', '.']);
        (has_ends && name.bytes().all(is_name)).then_some(())?;
        Some((Zone::new(zone)?, name.to_owned()))
    };
    let sets = given.read("kubernetes-statefulsets", |text| {
        let sets: Option<Vec<_>> = text.split(',').map(set).collect();
        let sets = sets.ok_or("give zones and names, such as eu-1a=memtide-node-eu-1a")?;
        let names: BTreeSet<&String> = sets.iter().map(|(_, name)| name).collect();
        match (names.len() == sets.len(), sets.len() <= SETS_MAX) {
            (true, true) => Ok(sets),
            (false, _) => Err("a name is there twice".to_owned()),
            (_, false) => Err(format!("give at most {SETS_MAX}")),
        }
    })?;
    Ok(Some(sets))
}

fn program(given: &Given) -> Result<Option<Program>, ConfigError> {
    let time_max = given.read("provision-timeout", |text| {
        let limit = duration(text)?;
        let bounds = Duration::from_secs(1)..=Duration::from_secs(60 * 60);
        bounds.contains(&limit).then_some(limit).ok_or_else(|| "give 1s to 1h".to_owned())
    })?;
    let Some(_) = given.text("provision") else { return Ok(None) };
    let words = given.read("provision", |text| {
        let words: Vec<_> = text.split(',').map(|word| word.trim().to_owned()).collect();
        match &words[..] {
            [program, ..] if program.is_empty() => {
                Err("give a program, such as ./nodes.sh".to_owned())
            }
            words if words.len() > WORDS_MAX => Err(format!("give at most {WORDS_MAX} words")),
            _ => Ok(words),
        }
    })?;
    Ok(Some(Program { words, time_max }))
}
