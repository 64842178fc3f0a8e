//! Everything that can be configured: the table, and where the values come from.

mod resolve;
mod show;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use memtide_service::config::{Given, Setting};
use memtide_service::host::{self, AllowedMemory};
use memtide_service::limits::CONFIG_BYTES_MAX;

pub use self::resolve::{ServeConfig, admin};
use crate::cli::Flags;
use crate::failure::Failure;

macro_rules! setting {
    ($name:literal, $value:literal, $default:expr, $help:literal) => {
        Setting { name: $name, value_name: $value, default: $default, help: $help }
    };
}

/// All settings of `serve`, by flag name.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting!("config", "FILE", None, "TOML file with any of these settings"),
    setting!("name", "NAME", Some("default"), "The cache's name"),
    setting!("bind", "ADDRESSES", None, "IP addresses to listen on, parted by commas; all where none is given"),
    setting!("port", "PORT", Some("11211"), "Primary port (TLS); 0 takes a free one"),
    setting!("read-port", "PORT", Some("11212"), "Read-optimized port (TLS); 0 takes a free one"),
    setting!("admin", "ADDRESS:PORT", Some("127.0.0.1:9150"), "Admin HTTP: /metrics, /healthz, /readyz, /v1/cache, /v1/events"),
    setting!("advertise", "HOST", None, "Host name that clients are told; this host's where none is given"),
    setting!("data-dir", "DIR", Some("memtide-data"), "Directory for what memtide makes itself, such as its certificates"),
    setting!("tls-cert", "FILE", None, "PEM certificate chain of the server; made in the data directory where none is given"),
    setting!("tls-key", "FILE", None, "PEM private key that belongs to it"),
    setting!("tls-client-ca", "FILE", None, "PEM CAs; clients must then show a certificate that one of them issued"),
    setting!("memory", "SIZE", Some("60%"), "Memory for items and their index: 512m, 2GiB, or a share of what this host or cgroup allows"),
    setting!("item-size-max", "SIZE", Some("1m"), "Largest item as memcached counts it"),
    setting!("data-storage-min", "SIZE", Some("1g"), "Data is metered as at least this much"),
    setting!("connections-max", "COUNT", Some("10000"), "Most client connections at one time"),
    setting!("handshakes-per-second", "COUNT", Some("0"), "Most TLS handshakes a second, others wait; 0 is no limit"),
    setting!("threads", "COUNT", None, "Most threads that serve; one a core where none is given"),
    setting!("idle-timeout", "DURATION", Some("0"), "Close connections after this much silence; 0 never does"),
    setting!("handshake-timeout", "DURATION", Some("10s"), "Longest TLS handshake"),
    setting!("drain-timeout", "DURATION", Some("30s"), "Longest drain after SIGTERM"),
    setting!("log-format", "FORMAT", Some("auto"), "text, json, or auto: text on a terminal"),
    setting!("log-level", "FILTER", Some("info"), "error, warn, info, debug, trace, or a list such as info,memtide_proxy=debug"),
];

/// What this host is, as far as a configuration depends on it.
#[derive(Clone, Debug)]
pub struct Host {
    /// `None` where it does not say.
    pub memory: Option<AllowedMemory>,
    pub cores: usize,
    pub name: String,
}

impl Host {
    fn this() -> Self {
        Self { memory: host::allowed_memory(), cores: host::cores(), name: host::name() }
    }
}

/// What was given for each setting, unread.
pub fn gather(flags: &Flags) -> Result<Given, Failure> {
    let environment =
        |name: &str| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let by_flag = flags.iter().find(|(name, _)| *name == "config").map(|(_, path)| path.clone());
    let path = by_flag.or_else(|| environment("MEMTIDE_CONFIG"));
    let text = path.as_deref().map(read_file).transpose()?;
    let file = path.as_deref().map(Path::new).zip(text.as_deref());
    let given = Given::gather(SETTINGS, "MEMTIDE", flags, &environment, file)?;
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

/// Gathers and reads all settings.
pub fn load(flags: &Flags) -> Result<ServeConfig, Failure> {
    Ok(resolve::resolve(&gather(flags)?, &Host::this())?)
}

#[cfg(test)]
mod tests;
