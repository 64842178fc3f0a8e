use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use memtide_service::config::{
    ConfigError, Given, addresses, duration, host, memory, one_of, show_size, size,
};
use memtide_service::logging::{self, LogFormat};
use memtide_service::tls::{Identity, TlsSettings};

use super::{Host, show};

/// Least memory for items: below it the index of the slots alone would fill it.
const MEMORY_MIN: u64 = 16 << 20;
/// An item must fit into the memory with some others.
const ITEMS_IN_MEMORY_MIN: u64 = 8;
/// More of the allowed memory than this leaves connections and the process itself too little.
const MEMORY_SHARE_WARN: u64 = 90;

/// A configuration that can be meant.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// As text, to be shown.
    pub shown: String,
    /// What is allowed and yet unwise: sentences for the log.
    pub warnings: Vec<String>,
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
    /// Whether somebody asked for so many connections; a default may be cut to what is possible.
    pub is_connections_max_given: bool,
    pub handshakes_per_second_max: Option<NonZeroU32>,
    pub threads: usize,
    pub idle_timeout: Option<Duration>,
    pub handshake_timeout: Duration,
    pub drain_timeout: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
}

/// Reads what was given, on this `host`.
pub fn resolve(given: &Given, on: &Host) -> Result<ServeConfig, ConfigError> {
    let (memory_max, warnings) = memory_max(given, on)?;
    let bind = given.read("bind", addresses)?;
    let advertise = match given.text("advertise") {
        Some(_) => given.read("advertise", host)?,
        None => on.name.clone(),
    };
    let idle_timeout = given.read("idle-timeout", duration)?;
    let mut config = ServeConfig {
        shown: String::new(),
        warnings,
        name: given.read("name", cache_name)?,
        port: given.read("port", port)?,
        read_port: read_port(given)?,
        admin: admin_beside(given, &bind)?,
        tls: tls(given, on, &bind)?,
        bind,
        advertise,
        memory_max,
        item_size_max: item_size_max(given, memory_max)?,
        data_storage_min: given.read("data-storage-min", size)?,
        connections_max: count(given, "connections-max", 1, 1 << 24)?,
        is_connections_max_given: given.origin("connections-max").is_some(),
        handshakes_per_second_max: given.read("handshakes-per-second", |text| {
            let rate = one_of(text, 0, 10_000_000)?;
            Ok(u32::try_from(rate).ok().and_then(NonZeroU32::new))
        })?,
        threads: match given.text("threads") {
            Some(_) => count(given, "threads", 1, 1024)?,
            None => on.cores,
        },
        idle_timeout: (!idle_timeout.is_zero()).then_some(idle_timeout),
        handshake_timeout: given.read("handshake-timeout", at_least_100_ms)?,
        drain_timeout: given.read("drain-timeout", at_most_a_day)?,
        log_format: given.read("log-format", log_format)?,
        log_filter: given.read("log-level", log_filter)?,
    };
    config.shown = show::show(given, &config, on);
    Ok(config)
}

/// The admin address; also what `healthcheck` asks.
pub fn admin(given: &Given) -> Result<SocketAddr, ConfigError> {
    given.read("admin", |text| {
        text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:9150".into())
    })
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

fn memory_max(given: &Given, on: &Host) -> Result<(u64, Vec<String>), ConfigError> {
    let allowed = on.memory.as_ref();
    let bytes = given.read("memory", |text| memory(text, allowed.map(|memory| memory.bytes)))?;
    let mut warnings = Vec::new();
    if let Some(allowed) = allowed {
        let there_is = format!("{} ({})", show_size(allowed.bytes), allowed.limited_by);
        if bytes > allowed.bytes {
            let problem = format!("more than there is, {there_is}; give less, or a share: 60%");
            return Err(given.complain("memory", &problem));
        }
        if u128::from(bytes) * 100 > u128::from(allowed.bytes) * u128::from(MEMORY_SHARE_WARN) {
            warnings.push(format!(
                "--memory {} leaves connections and the process itself little of {there_is}",
                show_size(bytes)
            ));
        }
    }
    if bytes < MEMORY_MIN {
        let least = show_size(MEMORY_MIN);
        let problem = match allowed {
            Some(allowed) if given.text("memory").is_some_and(|text| text.ends_with('%')) => {
                format!(
                    "of {} ({}) is less than {least}, too little for a cache; give more",
                    show_size(allowed.bytes),
                    allowed.limited_by
                )
            }
            _ => format!("less than {least}, too little for a cache; give more"),
        };
        return Err(given.complain("memory", &problem));
    }
    Ok((bytes, warnings))
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
    Ok(TlsSettings { identity, client_ca: path("tls-client-ca") })
}

fn read_port(given: &Given) -> Result<u16, ConfigError> {
    let (primary, read) = (given.read("port", port)?, given.read("read-port", port)?);
    if read != 0 && read == primary {
        return Err(given.complain("read-port", "the same as --port; give another one"));
    }
    Ok(read)
}

fn port(text: &str) -> Result<u16, String> {
    one_of(text, 0, 65_535).and_then(|port| u16::try_from(port).map_err(|e| e.to_string()))
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

fn at_most_a_day(text: &str) -> Result<Duration, String> {
    let limit = duration(text)?;
    if limit > Duration::from_secs(24 * 60 * 60) {
        return Err("give at most a day, 24h".into());
    }
    Ok(limit)
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    text.parse().map_err(|_| "give auto, text or json".into())
}

fn log_filter(text: &str) -> Result<String, String> {
    logging::check_filter(text).map(|()| text.to_owned()).map_err(|_| {
        "give error, warn, info, debug or trace, or a list such as info,memtide_proxy=debug".into()
    })
}

fn count(given: &Given, name: &str, least: u64, most: u64) -> Result<usize, ConfigError> {
    given.read(name, |text| {
        one_of(text, least, most).and_then(|n| usize::try_from(n).map_err(|e| e.to_string()))
    })
}
