//! The settings of `serve` and `proxy`: the roles that clients connect to.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use memtide_planner::Policy;
use memtide_proxy::DoorSettings;
use memtide_service::config::{ConfigError, Given, addresses, duration, host, one_of};
use memtide_service::tls::{Identity, TlsSettings};
use memtide_wire::Versions;

use super::door;
use super::fleet::{self, Backend};
use super::limits::{self, LimitsGiven};
use super::read::{
    Common, admin, at_least_100_ms, common, count, guard_file, item_size_max, memory_range, port,
};
use super::{Host, Role, scaling, show, wire};

/// A configuration that can be meant.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub common: Common,
    pub backend: Backend,
    pub bind: Vec<IpAddr>,
    pub port: u16,
    pub read_port: u16,
    pub advertise: String,
    pub tls: TlsSettings,
    /// For the items of all nodes that this process has or starts; 0 where it has none.
    pub memory_max: u64,
    /// How the memory of the node in this process follows the data, up to [`Self::memory_max`]; `None` where it is as it is.
    pub growth: Option<Policy>,
    /// What is spoken with nodes.
    pub versions: Versions,
    pub item_size_max: u32,
    /// None of a proxy, which hears of them from its scaler.
    pub limits: LimitsGiven,
    pub connections_max: usize,
    /// Whether somebody asked for so many connections; a default may be cut to what is possible.
    pub is_connections_max_given: bool,
    pub handshakes_per_second_max: Option<NonZeroU32>,
    pub door: DoorSettings,
    pub threads: usize,
    pub idle_timeout: Option<Duration>,
    pub handshake_timeout: Duration,
}

/// Reads what was given, on this `host`.
pub fn resolve(given: &Given, on: &Host) -> Result<EndpointConfig, ConfigError> {
    let mut common = common(given)?;
    let is_serve = given.schema().role == Role::Serve.name();
    let (memory_least, memory_max) = match is_serve {
        true => memory_range(given, on, &mut common.warnings)?,
        false => (None, 0),
    };
    let backend = match is_serve {
        true => fleet::nodes(given, memory_max)?,
        false => Backend::Joined(fleet::join(given)?),
    };
    let growth = memory_least.map(|least| growth(given, &backend, (least, memory_max)));
    let growth = growth.transpose()?;
    let bind = given.read("bind", addresses)?;
    common.admin = admin_beside(given, &bind)?;
    let advertise = match given.text("advertise") {
        Some(_) => given.read("advertise", host)?,
        None => on.name.clone(),
    };
    let idle_timeout = given.read("idle-timeout", duration)?;
    let mut config = EndpointConfig {
        port: given.read("port", port)?,
        read_port: read_port(given)?,
        tls: tls(given, on, &bind)?,
        bind,
        advertise,
        memory_max,
        growth,
        versions: wire::versions(given)?,
        item_size_max: item_size_max(given, backend.node_memory_max(memory_max))?,
        limits: if is_serve { limits::limits(given)? } else { LimitsGiven::default() },
        connections_max: count(given, "connections-max", 1, 1 << 24)?,
        is_connections_max_given: given.is_given("connections-max"),
        handshakes_per_second_max: given.read("handshakes-per-second", |text| {
            let rate = one_of(text, 0, 10_000_000)?;
            Ok(u32::try_from(rate).ok().and_then(NonZeroU32::new))
        })?,
        door: door::door(given)?,
        threads: match given.text("threads") {
            Some(_) => count(given, "threads", 1, 1024)?,
            None => on.cores,
        },
        idle_timeout: (!idle_timeout.is_zero()).then_some(idle_timeout),
        handshake_timeout: given.read("handshake-timeout", at_least_100_ms)?,
        backend,
        common,
    };
    config.common.shown = show::show(given, |name| show::of_endpoint(name, given, &config, on));
    Ok(config)
}

/// How the memory of a node in this process grows; others are granted theirs by the scaler.
fn growth(
    given: &Given,
    backend: &Backend,
    (least, most): (u64, u64),
) -> Result<Policy, ConfigError> {
    if *backend != Backend::Embedded {
        let problem = "node processes begin with as little as can be by themselves; give the most \
                       of all of them, and --nodes processes=A..B";
        return Err(given.complain("memory", problem));
    }
    scaling::of_embedded(given, least, most)
}

impl EndpointConfig {
    /// Bytes that the node in this process begins with.
    pub fn memory_least(&self) -> u64 {
        self.growth.as_ref().map_or(self.memory_max, |policy| policy.memory_min)
    }
}

/// The admin address, which must not be one of the endpoint's.
fn admin_beside(given: &Given, bind: &[IpAddr]) -> Result<SocketAddr, ConfigError> {
    let admin = admin(given)?;
    let is_shared = |ip: &IpAddr| *ip == admin.ip() || ip.is_unspecified();
    let meets = bind.is_empty() || admin.ip().is_unspecified() || bind.iter().any(is_shared);
    for name in ["port", "read-port"] {
        let port = given.read(name, port)?;
        if meets && port != 0 && port == admin.port() {
            return Err(given.complain("admin", &format!("the port of --{name}; give another one")));
        }
    }
    Ok(admin)
}

fn tls(given: &Given, on: &Host, bind: &[IpAddr]) -> Result<TlsSettings, ConfigError> {
    let path = |name| given.text(name).map(PathBuf::from);
    let identity = match (path("tls-cert"), path("tls-key")) {
        (Some(cert), Some(key)) => Identity::Given { cert, key },
        (None, None) => {
            let dir = PathBuf::from(given.text("data-dir").unwrap_or_default()).join("tls");
            let mut names = vec![on.name.clone()];
            if given.text("advertise").is_some() {
                names.push(given.read("advertise", host)?);
            }
            names.extend(bind.iter().filter(|ip| !ip.is_unspecified()).map(ToString::to_string));
            Identity::Made { dir, names }
        }
        (Some(_), None) => {
            return Err(given.complain("tls-cert", "a certificate needs --tls-key too"));
        }
        (None, Some(_)) => {
            return Err(given.complain("tls-key", "a key needs --tls-cert too"));
        }
    };
    Ok(TlsSettings { identity, client_ca: guard_file(given, "tls-client-ca")? })
}

fn read_port(given: &Given) -> Result<u16, ConfigError> {
    let (primary, read) = (given.read("port", port)?, given.read("read-port", port)?);
    if read != 0 && read == primary {
        return Err(given.complain("read-port", "the same as --port; give another one"));
    }
    Ok(read)
}
