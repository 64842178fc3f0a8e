//! Everything that can be configured, and what it means.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use memtide_service::config::{ConfigError, Given, Setting, duration, memory, one_of, size};
use memtide_service::host;
use memtide_service::limits::CONFIG_BYTES_MAX;
use memtide_service::logging::{self, LogFormat};
use memtide_service::tls::{Identity, TlsSettings};

use crate::cli::Flags;
use crate::failure::Failure;

/// Least memory for items: below it the index of the slots alone would fill it.
const MEMORY_MIN: u64 = 16 << 20;
/// An item must fit into the memory with some others.
const ITEMS_IN_MEMORY_MIN: u64 = 8;

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
    setting!("read-port", "PORT", Some("11212"), "Read-optimized port (TLS)"),
    setting!("admin", "ADDRESS:PORT", Some("127.0.0.1:9150"), "Admin HTTP: /metrics, /healthz, /readyz, /v1/cache"),
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
    setting!("threads", "COUNT", None, "Threads that serve; one a core where none is given"),
    setting!("idle-timeout", "DURATION", Some("0"), "Close connections after this much silence; 0 never does"),
    setting!("handshake-timeout", "DURATION", Some("10s"), "Longest TLS handshake"),
    setting!("drain-timeout", "DURATION", Some("30s"), "Longest drain after SIGTERM"),
    setting!("log-format", "FORMAT", Some("auto"), "text, json, or auto: text on a terminal"),
    setting!("log-level", "FILTER", Some("info"), "error, warn, info, debug, trace, or a list such as info,memtide_proxy=debug"),
];

/// A configuration that can be meant.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// As text, to be shown.
    pub shown: String,
    pub name: String,
    pub bind: Vec<IpAddr>,
    pub port: u16,
    pub read_port: u16,
    pub admin: SocketAddr,
    pub advertise: String,
    pub tls: TlsSettings,
    pub memory_max: u64,
    pub item_size_max: u32,
    pub data_storage_min: u64,
    pub connections_max: usize,
    pub handshakes_per_second_max: Option<NonZeroU32>,
    pub threads: usize,
    pub idle_timeout: Option<Duration>,
    pub handshake_timeout: Duration,
    pub drain_timeout: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
}

/// What was given for each setting, unread.
pub fn gather(flags: &Flags) -> Result<Given, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
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
    let cannot = |why: &str| Failure::Environment(format!("configuration file {path}: {why}"));
    let length = fs::metadata(path).map(|metadata| metadata.len());
    if length.is_ok_and(|length| length > CONFIG_BYTES_MAX) {
        return Err(cannot("larger than 1 MiB; this is no configuration"));
    }
    fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => cannot("there is no such file"),
        ErrorKind::InvalidData => cannot("not UTF-8; this is no configuration"),
        _ => cannot(&format!("failed to read: {error}")),
    })
}

/// Gathers and reads all settings.
pub fn load(flags: &Flags) -> Result<ServeConfig, Failure> {
    Ok(resolve(&gather(flags)?)?)
}

fn resolve(given: &Given) -> Result<ServeConfig, ConfigError> {
    let port = |text: &str| {
        one_of(text, 0, 65_535).and_then(|port| u16::try_from(port).map_err(|e| e.to_string()))
    };
    let allowed = host::allowed_memory().map(|memory| memory.bytes);
    let memory_max = given.read("memory", |text| memory(text, allowed))?;
    check_memory(given, memory_max, allowed)?;
    let idle_timeout = given.read("idle-timeout", duration)?;
    Ok(ServeConfig {
        shown: given.to_string(),
        name: given.read("name", cache_name)?,
        bind: given.read("bind", addresses)?,
        port: given.read("port", port)?,
        read_port: read_port(given, port)?,
        admin: admin(given)?,
        advertise: given.text("advertise").map_or_else(host::name, str::to_owned),
        tls: tls(given)?,
        memory_max,
        item_size_max: item_size_max(given, memory_max)?,
        data_storage_min: given.read("data-storage-min", size)?,
        connections_max: count(given, "connections-max", 1, 1 << 24)?,
        handshakes_per_second_max: given.read("handshakes-per-second", |text| {
            let rate = one_of(text, 0, 10_000_000)?;
            Ok(u32::try_from(rate).ok().and_then(NonZeroU32::new))
        })?,
        threads: match given.text("threads") {
            Some(_) => count(given, "threads", 1, 1024)?,
            None => host::cores(),
        },
        idle_timeout: (!idle_timeout.is_zero()).then_some(idle_timeout),
        handshake_timeout: given.read("handshake-timeout", at_least_100_ms)?,
        drain_timeout: given.read("drain-timeout", duration)?,
        log_format: given.read("log-format", |text| text.parse().map_err(str::to_owned))?,
        log_filter: given
            .read("log-level", |text| logging::check_filter(text).map(|()| text.to_owned()))?,
    })
}

/// The admin address; also what `healthcheck` asks.
pub fn admin(given: &Given) -> Result<SocketAddr, ConfigError> {
    given.read("admin", |text| {
        text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:9150".into())
    })
}

fn check_memory(given: &Given, bytes: u64, allowed: Option<u64>) -> Result<(), ConfigError> {
    if bytes < MEMORY_MIN {
        return Err(given.complain("memory", "less than 16 MiB does not hold a cache; give more"));
    }
    match allowed {
        Some(allowed) if bytes > allowed => {
            let problem = format!(
                "this host or its cgroup allows {} MiB; give less, or a share such as 60%",
                allowed >> 20
            );
            Err(given.complain("memory", &problem))
        }
        _ => Ok(()),
    }
}

fn item_size_max(given: &Given, memory_max: u64) -> Result<u32, ConfigError> {
    let bytes = given.read("item-size-max", size)?;
    // memcached's own bounds for -I.
    if !(1024..=1 << 30).contains(&bytes) {
        return Err(given.complain("item-size-max", "give a size from 1k to 1g"));
    }
    if bytes > memory_max / ITEMS_IN_MEMORY_MIN {
        let problem = "more than an eighth of --memory; give less, or more memory";
        return Err(given.complain("item-size-max", problem));
    }
    u32::try_from(bytes).map_err(|_| given.complain("item-size-max", "give a size up to 1g"))
}

fn tls(given: &Given) -> Result<TlsSettings, ConfigError> {
    let path = |name| given.text(name).map(PathBuf::from);
    let identity = match (path("tls-cert"), path("tls-key")) {
        (Some(cert), Some(key)) => Identity::Given { cert, key },
        (None, None) => {
            let dir = PathBuf::from(given.text("data-dir").unwrap_or_default()).join("tls");
            let mut names = vec![host::name()];
            names.extend(given.text("advertise").map(str::to_owned));
            Identity::Made { dir, names }
        }
        (Some(_), None) => {
            return Err(given.complain("tls-cert", "a certificate needs --tls-key too"));
        }
        (None, Some(_)) => {
            return Err(given.complain("tls-key", "a key needs --tls-cert too"));
        }
    };
    Ok(TlsSettings { identity, client_ca: path("tls-client-ca") })
}

fn read_port(
    given: &Given,
    port: impl Fn(&str) -> Result<u16, String>,
) -> Result<u16, ConfigError> {
    let (primary, read) = (given.read("port", &port)?, given.read("read-port", &port)?);
    if read != 0 && read == primary {
        return Err(given.complain("read-port", "the same as --port; give another one"));
    }
    Ok(read)
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parse = |part: &str| part.parse().map_err(|_| format!("{part} is no IP address"));
    parts.map(parse).collect()
}

fn cache_name(text: &str) -> Result<String, String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(is_word) {
        return Err("give 1 to 40 letters, digits and hyphens".into());
    }
    Ok(text.to_owned())
}

fn at_least_100_ms(text: &str) -> Result<Duration, String> {
    let limit = duration(text)?;
    if limit < Duration::from_millis(100) {
        return Err("less than 100ms closes honest clients; give more".into());
    }
    Ok(limit)
}

fn count(given: &Given, name: &str, least: u64, most: u64) -> Result<usize, ConfigError> {
    given.read(name, |text| {
        one_of(text, least, most).and_then(|n| usize::try_from(n).map_err(|e| e.to_string()))
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
