//! The settings that make a fleet: how many nodes, in which zones, and whom to join.

use memtide_service::config::{ConfigError, Given, host, one_of, show_size};
use memtide_topology::{REPLICAS_MAX, Zone};

use super::read::MEMORY_MIN;
use super::scaling::{self, Scaling};

/// Node processes of one `serve`.
const PROCESSES_MAX: u64 = 1000;
/// Scalers of one fleet that are tried in turn.
const JOIN_MAX: usize = 16;

/// Where the items of an endpoint are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In this process.
    Embedded,
    /// In processes that this one starts.
    Processes(Processes),
    /// In nodes of the fleet that this process joins.
    Joined(Join),
}

/// Node processes that `serve` starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// How many, at the start where [`Self::scaling`] changes it.
    pub count: usize,
    /// Given to them in turn; not empty.
    pub zones: Vec<Zone>,
    /// Copies of each slot beside its primary; `None` where nobody said.
    pub replicas: Option<u8>,
    /// For the items of each, in bytes.
    pub node_memory_max: u64,
    /// How their number and memory follow the load; `None` where they are as they are.
    pub scaling: Option<Box<Scaling>>,
}

/// The fleet that a process joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Scalers as `host:port`, to be tried in turn; not empty.
    pub scalers: Vec<String>,
    /// Where this process is.
    pub zone: Option<Zone>,
}

impl Backend {
    /// What one node has of `memory_max`; `None` where this process does not know.
    pub const fn node_memory_max(&self, memory_max: u64) -> Option<u64> {
        match self {
            Self::Embedded => Some(memory_max),
            Self::Processes(processes) => Some(processes.node_memory_max),
            Self::Joined(_) => None,
        }
    }
}

impl Processes {
    /// As many as there can be.
    pub fn count_max(&self) -> usize {
        self.scaling.as_ref().map_or(self.count, |scaling| scaling.policy.nodes_max)
    }

    /// What a node begins with, in bytes.
    pub fn node_memory_min(&self) -> u64 {
        self.scaling.as_ref().map_or(self.node_memory_max, |scaling| scaling.policy.memory_min)
    }
}

/// What `serve` is told of its nodes.
pub fn nodes(given: &Given, memory_max: u64) -> Result<Backend, ConfigError> {
    let counts = given.read("nodes", counts)?;
    let zones = zones(given)?;
    let replicas = replicas(given)?;
    let Some((count, count_max)) = counts else {
        let problem = "the embedded node is one; give --nodes processes=N too";
        return match (zones.is_empty(), replicas) {
            (false, _) => Err(given.complain("zones", problem)),
            (true, Some(1..)) => Err(given.complain("replicas", problem)),
            (true, None | Some(0)) => scaling::refuse_spares(
                given,
                "the embedded node is one; give --nodes processes=A..B too",
            )
            .map(|()| Backend::Embedded),
        };
    };
    if u64::from(replicas.unwrap_or_default()) >= count {
        let problem = format!(
            "{count} nodes hold at most {} replicas; give less, or more --nodes",
            count - 1
        );
        return Err(given.complain("replicas", &problem));
    }
    if zones.len() as u64 > count {
        let problem = format!("more zones than --nodes has processes, {count}; give fewer");
        return Err(given.complain("zones", &problem));
    }
    let most = count_max.unwrap_or(count);
    let node_memory_max = memory_max / most;
    if node_memory_max < MEMORY_MIN {
        let (each, least) = (show_size(node_memory_max), show_size(MEMORY_MIN));
        let problem =
            format!("{each} for each of {most} nodes, and {least} is the least; give more");
        return Err(given.complain("memory", &problem));
    }
    let zones = if zones.is_empty() { vec![default_zone()] } else { zones };
    let as_usize = |count| usize::try_from(count).expect("a thousand is a usize");
    let scaling = match count_max {
        Some(most) => {
            let nodes = (as_usize(count), as_usize(most));
            Some(Box::new(scaling::of_processes(given, nodes, zones.len(), node_memory_max)?))
        }
        None => {
            scaling::refuse_spares(
                given,
                "there are always as many nodes; give --nodes processes=A..B",
            )?;
            None
        }
    };
    let count = as_usize(count);
    Ok(Backend::Processes(Processes { count, zones, replicas, node_memory_max, scaling }))
}

/// How many nodes are in processes, and where that changes, how many at most; `None` of an embedded one.
fn counts(text: &str) -> Result<Option<(u64, Option<u64>)>, String> {
    let wrong = || {
        format!("give embedded, or processes=N or processes=A..B with 1 to {PROCESSES_MAX} of them")
    };
    let count = |text: &str| one_of(text, 1, PROCESSES_MAX).map_err(|_| wrong());
    if text.trim() == "embedded" {
        return Ok(None);
    }
    let counts = text.trim().strip_prefix("processes=").ok_or_else(wrong)?;
    let Some((least, most)) = counts.split_once("..") else {
        return Ok(Some((count(counts)?, None)));
    };
    let (least, most) = (count(least)?, count(most)?);
    if least > most {
        return Err(format!("more at the start than at most; give processes={most}..{least}"));
    }
    Ok(Some((least, Some(most))))
}

fn default_zone() -> Zone {
    Zone::new("default").expect("it is a word")
}

/// Copies of each slot beside its primary. `None` where nobody said: then a cache keeps what it
/// was told while it ran.
pub fn replicas(given: &Given) -> Result<Option<u8>, ConfigError> {
    let replicas = given.read("replicas", |text| {
        let count = one_of(text, 0, u64::from(REPLICAS_MAX))?;
        u8::try_from(count).map_err(|error| error.to_string())
    })?;
    Ok(given.is_given("replicas").then_some(replicas))
}

/// The zones of the node processes; none where none is given.
fn zones(given: &Given) -> Result<Vec<Zone>, ConfigError> {
    given.read("zones", |text| {
        let mut zones = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let zone = zone(name)?;
            if zones.contains(&zone) {
                return Err(format!("{name} is named twice; name each zone once"));
            }
            zones.push(zone);
        }
        Ok(zones)
    })
}

/// One zone.
pub fn zone(name: &str) -> Result<Zone, String> {
    let wrong = || format!("give 1 to {} printable characters without spaces", Zone::LEN_MAX);
    if name.contains(',') {
        return Err("give one zone".to_owned());
    }
    Zone::new(name).ok_or_else(wrong)
}

/// Whom to join, and the zone of who joins.
pub fn join(given: &Given) -> Result<Join, ConfigError> {
    if given.text("join").is_none() {
        let problem = "give the scaler to join, such as --join scaler.example:11213";
        return Err(given.complain("join", problem));
    }
    let scalers = given.read("join", |text| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let scalers = parts.map(host_and_port).collect::<Result<Vec<_>, _>>()?;
        match scalers.len() {
            0 => Err("give the scaler to join, such as scaler.example:11213".to_owned()),
            1..=JOIN_MAX => Ok(scalers),
            _ => Err(format!("give at most {JOIN_MAX} scalers")),
        }
    })?;
    let zone = given.text("zone").map(|_| given.read("zone", zone)).transpose()?;
    Ok(Join { scalers, zone })
}

fn host_and_port(text: &str) -> Result<String, String> {
    let wrong = || format!("{text}: give a host and a port, such as scaler.example:11213");
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = one_of(port, 1, 65_535).map_err(|_| wrong())?;
    let is_ipv6_without_brackets = name.contains(':') && !name.starts_with('[');
    let name = host(name).ok().filter(|_| !is_ipv6_without_brackets).ok_or_else(wrong)?;
    Ok(if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") })
}
