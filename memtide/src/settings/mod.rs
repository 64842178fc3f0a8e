//! Everything that can be configured: the table, and where the values come from.

mod apart;
mod capacity;
mod door;
mod endpoint;
mod etcd;
mod fleet;
mod limits;
mod read;
mod scaling;
mod show;
mod table;
mod wire;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use memtide_service::config::{Given, Schema};
use memtide_service::host::{self, AllowedMemory};
use memtide_service::limits::CONFIG_BYTES_MAX;

pub use self::apart::{EngineConfig, Parent, ScalerConfig};
pub use self::endpoint::EndpointConfig;
pub use self::etcd::EtcdGiven;
pub use self::fleet::{Backend, Join, Processes};
pub use self::limits::{LimitsGiven, metered_bytes_min};
pub use self::read::{Common, admin};
pub use self::scaling::{Program, Provision};
pub use self::wire::program;
use crate::cli::Flags;
use crate::failure::Failure;

/// What a process of memtide is, as far as its settings go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All in one: proxy and engine, or proxy, scaler and engine processes.
    Serve,
    /// Takes clients, for nodes elsewhere.
    Proxy,
    /// A node.
    Engine,
    /// Says who holds what.
    Scaler,
    /// `memtide cache`, which asks one of the others.
    Cache,
}

impl Role {
    /// As the subcommand is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Proxy => "proxy",
            Self::Engine => "engine",
            Self::Scaler => "scaler",
            Self::Cache => "cache",
        }
    }

    /// What it is, in a line.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Serve => "All in one: proxy and engine in this process, or engines in their own",
            Self::Proxy => "Take clients, for the nodes of a fleet",
            Self::Engine => "Be a node of a fleet",
            Self::Scaler => "Say who holds what in a fleet, and make up for nodes that are lost",
            Self::Cache => "Look at and change a running cache",
        }
    }

    /// Those that run until they are stopped.
    pub fn run() -> impl Iterator<Item = Self> {
        [Self::Serve, Self::Proxy, Self::Engine, Self::Scaler].into_iter()
    }

    /// The settings that it has.
    pub const fn schema(self) -> Schema {
        Schema { settings: table::SETTINGS, prefix: "MEMTIDE", role: self.name() }
    }
}

/// What this host is, as far as a configuration depends on it.
#[derive(Clone, Debug)]
pub struct Host {
    /// `None` where it does not say.
    pub memory: Option<AllowedMemory>,
    pub cores: usize,
    /// What there is of cores, in thousandths.
    pub cpu_millis: u64,
    pub name: String,
}

impl Host {
    fn this() -> Self {
        Self {
            memory: host::allowed_memory(),
            cores: host::cores(),
            cpu_millis: host::cpu_millis(),
            name: host::name(),
        }
    }
}

/// What was given for each setting of a role, unread.
pub fn gather(role: Role, flags: &Flags) -> Result<Given, Failure> {
    // What is no text is to be complained of, and not passed over.
    let environment =
        |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let by_flag = flags.iter().find(|(name, _)| *name == "config").map(|(_, path)| path.clone());
    let path = by_flag.or_else(|| environment("MEMTIDE_CONFIG").filter(|path| !path.is_empty()));
    let text = path.as_deref().map(read_file).transpose()?;
    let file = path.as_deref().map(Path::new).zip(text.as_deref());
    let given = Given::gather(role.schema(), flags, &environment, file)?;
    if path.as_deref() != given.text("config") {
        let problem = "a configuration file cannot name another one; remove the line";
        return Err(given.complain("config", problem).into());
    }
    Ok(given)
}

fn read_file(path: &str) -> Result<String, Failure> {
    let line = |why: &str| format!("configuration file {path}: {why}");
    let wrong = |why: &str| Failure::Configuration(line(why));
    let length = fs::metadata(path).map(|metadata| metadata.len());
    if length.is_ok_and(|length| length > CONFIG_BYTES_MAX) {
        return Err(wrong("larger than 1 MiB, which is no configuration; correct --config"));
    }
    fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => wrong("there is no such file; correct --config or make it"),
        ErrorKind::IsADirectory => wrong("a directory; correct --config to name a file"),
        ErrorKind::InvalidData => wrong("not UTF-8, which is no configuration; correct --config"),
        _ => Failure::Environment(line(&format!(
            "failed to read: {error}; give the user that memtide runs as permission"
        ))),
    })
}

/// The settings of `serve` or `proxy`, gathered and read.
pub fn load_endpoint(role: Role, flags: &Flags) -> Result<EndpointConfig, Failure> {
    let mut config = endpoint::resolve(&gather(role, flags)?, &Host::this())?;
    config.common.warnings.extend(unknown_variables(role));
    Ok(config)
}

/// The settings of `engine`, gathered and read.
pub fn load_engine(flags: &Flags) -> Result<EngineConfig, Failure> {
    let mut config = apart::resolve_engine(&gather(Role::Engine, flags)?, &Host::this())?;
    // A child has its parent's environment, who has told of it.
    if config.parent.is_none() {
        config.common.warnings.extend(unknown_variables(Role::Engine));
    }
    Ok(config)
}

/// The settings of `scaler`, gathered and read.
pub fn load_scaler(flags: &Flags) -> Result<ScalerConfig, Failure> {
    let mut config = apart::resolve_scaler(&gather(Role::Scaler, flags)?)?;
    config.common.warnings.extend(unknown_variables(Role::Scaler));
    Ok(config)
}

/// Variables that look as if they were to set something, a sentence each.
fn unknown_variables(role: Role) -> Vec<String> {
    let names: Vec<String> =
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    role.schema().unknown_variables(names.iter().map(String::as_str), is_of_programs)
}

/// Those that programs around memtide go by: its tests, and examples of clients.
fn is_of_programs(name: &str) -> bool {
    name.starts_with("MEMTIDE_TEST_")
        || ["MEMTIDE_REQUIRE_CLIENTS", "MEMTIDE_HOST", "MEMTIDE_CA"].contains(&name)
}

#[cfg(test)]
mod tests;
