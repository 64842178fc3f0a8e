//! The settings of `engine` and `scaler`: the roles behind the endpoint.

use std::net::IpAddr;

use memtide_control::Capacity;
use memtide_limits::units::show_count;
use memtide_service::config::{ConfigError, Given, addresses, host, show_size};
use memtide_topology::NODES_MAX;
use memtide_wire::Versions;

use super::etcd::{self, EtcdGiven};
use super::fleet::{self, Join};
use super::limits::{self, LimitsGiven};
use super::read::{Common, ITEMS_IN_MEMORY_MIN, common, count, item_size_max, port};
use super::scaling::{self, Scaling};
use super::{Host, capacity, show, wire};

/// A node.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    pub common: Common,
    pub join: Join,
    /// All interfaces where it is `None`.
    pub bind: Option<IpAddr>,
    pub port: u16,
    /// The host at which proxies and nodes reach it.
    pub advertise: String,
    /// What it begins with.
    pub memory_max: u64,
    /// What it can do at most.
    pub capacity: Capacity,
    /// What it is called; `None` where nobody said.
    pub instance: Option<String>,
    /// It waits to be taken as a node.
    pub is_spare: bool,
    /// What is spoken with nodes and proxies.
    pub versions: Versions,
    pub item_size_max: u32,
    pub parent: Option<Parent>,
}

/// The process that started a node, and will report its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub pid: u32,
    /// By which the scaler knows which of the parent's children registers.
    pub token: u64,
}

/// The scaler.
#[derive(Clone, Debug)]
pub struct ScalerConfig {
    pub common: Common,
    /// All interfaces where it is `None`.
    pub bind: Option<IpAddr>,
    pub port: u16,
    /// `None` where nobody said.
    pub replicas: Option<u8>,
    /// Nodes that must be there before a new cache begins.
    pub nodes_min: usize,
    /// How the fleet follows the load; `None` where others start and drain its nodes.
    pub scaling: Option<Scaling>,
    pub limits: LimitsGiven,
    pub item_size_max: u32,
    /// Where it agrees with other scalers; `None` of one that is alone.
    pub etcd: Option<EtcdGiven>,
    /// The host at which it is reached; `None` where nobody said.
    pub advertise: Option<String>,
}

/// Reads the settings of a node, on this `host`.
pub fn resolve_engine(given: &Given, on: &Host) -> Result<EngineConfig, ConfigError> {
    let mut common = common(given)?;
    let (memory_max, capacity) = capacity::node(given, on, &mut common.warnings)?;
    let item_size_max = item_size_max(given, Some(capacity.memory))?;
    // Who may be granted more begins with room for the largest item.
    let memory_min = u64::from(item_size_max) * ITEMS_IN_MEMORY_MIN;
    let memory_max = memory_max.max(memory_min.min(capacity.memory));
    let bind = one_address(given)?;
    let advertise = match (given.text("advertise"), bind) {
        (Some(_), _) => given.read("advertise", host)?,
        (None, Some(ip)) if !ip.is_unspecified() => ip.to_string(),
        (None, _) => on.name.clone(),
    };
    let mut config = EngineConfig {
        join: fleet::join(given)?,
        bind,
        port: given.read("port", port)?,
        advertise,
        memory_max,
        capacity,
        instance: capacity::instance(given)?,
        is_spare: capacity::is_spare(given)?,
        versions: wire::versions(given)?,
        item_size_max,
        parent: given.text("parent").map(|_| given.read("parent", parent)).transpose()?,
        common,
    };
    config.common.shown = show::show(given, |name| match name {
        "advertise" if !given.is_given(name) => Some(config.advertise.clone()),
        "memory" => Some(show_size(memory_max)),
        "memory-max" => Some(show_size(capacity.memory)),
        "cpus" if !given.is_given(name) => Some(show_cores(capacity.cpu)),
        "ecpu-max" if !given.is_given(name) => Some(show_count(capacity.ecpu)),
        "network-max" if capacity.network == 0 => Some("unknown".to_owned()),
        _ => show::of_common(name, given, &config.common),
    });
    Ok(config)
}

/// Reads the settings of the scaler.
pub fn resolve_scaler(given: &Given) -> Result<ScalerConfig, ConfigError> {
    let replicas = fleet::replicas(given)?;
    let nodes_min = count(given, "nodes-min", 1, NODES_MAX as u64)?;
    let mut config = ScalerConfig {
        bind: one_address(given)?,
        port: given.read("port", port)?,
        replicas,
        nodes_min,
        scaling: scaling::of_scaler(given, nodes_min, replicas)?,
        limits: limits::limits(given)?,
        item_size_max: item_size_max(given, None)?,
        etcd: etcd::etcd(given)?,
        advertise: given.text("advertise").map(|_| given.read("advertise", host)).transpose()?,
        common: common(given)?,
    };
    config.common.shown = show::show(given, |name| match name {
        "nodes-max" if config.scaling.is_none() => {
            Some("others start and drain the nodes".to_owned())
        }
        "etcd" if config.etcd.is_none() => Some("this scaler is the only one".to_owned()),
        _ => show::of_common(name, given, &config.common),
    });
    Ok(config)
}

/// Thousandths, as people give cores.
fn show_cores(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn one_address(given: &Given) -> Result<Option<IpAddr>, ConfigError> {
    given.read("bind", |text| match addresses(text)?[..] {
        [] => Ok(None),
        [address] => Ok(Some(address)),
        _ => Err("give one address, or none for all interfaces".to_owned()),
    })
}

fn parent(text: &str) -> Result<Parent, String> {
    let parse = || {
        let (pid, token) = text.split_once('/')?;
        Some(Parent { pid: pid.parse().ok()?, token: token.parse().ok()? })
    };
    parse().ok_or_else(|| "only memtide serve gives this; leave it out".to_owned())
}
