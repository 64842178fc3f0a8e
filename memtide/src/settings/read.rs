//! The settings that several roles have, and what their texts can mean.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use memtide_service::config::{ConfigError, Given, duration, memory, one_of, show_size, size};
use memtide_service::logging::{self, LogFormat};

use super::Host;

/// Least memory for items: below it the index of the slots alone would fill it.
pub const MEMORY_MIN: u64 = 16 << 20;
/// An item must fit into the memory with some others.
pub const ITEMS_IN_MEMORY_MIN: u64 = 8;
/// More of the allowed memory than this leaves connections and the process itself too little.
const MEMORY_SHARE_WARN: u64 = 90;

/// What every role has.
#[derive(Clone, Debug)]
pub struct Common {
    /// The configuration as text, to be shown.
    pub shown: String,
    /// What is allowed and yet unwise: sentences for the log.
    pub warnings: Vec<String>,
    /// As the subcommand is called.
    pub role: &'static str,
    pub name: String,
    pub admin: SocketAddr,
    /// Of the token that the admin HTTP asks for.
    pub admin_token: Option<PathBuf>,
    /// The CAs whose clients may ask it for everything; with them it speaks TLS.
    pub admin_client_ca: Option<PathBuf>,
    /// What memtide makes and keeps itself.
    pub data_dir: PathBuf,
    /// `<data-dir>/fleet`: what the scaler keeps.
    pub fleet_dir: PathBuf,
    /// Certificates that roles know each other by.
    pub fleet_tls: PathBuf,
    pub drain_timeout: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
}

/// Reads what every role has; `shown` is for who knows the rest.
pub fn common(given: &Given) -> Result<Common, ConfigError> {
    let data_dir = PathBuf::from(given.text("data-dir").unwrap_or_default());
    let fleet_dir = data_dir.join("fleet");
    let fleet_tls = given.text("fleet-tls").map_or_else(|| fleet_dir.join("tls"), PathBuf::from);
    Ok(Common {
        shown: String::new(),
        warnings: Vec::new(),
        role: given.schema().role,
        name: given.read("name", cache_name)?,
        admin: guarded_admin(given)?,
        admin_token: guard_file(given, "admin-token-file")?,
        admin_client_ca: guard_file(given, "admin-client-ca")?,
        data_dir,
        fleet_dir,
        fleet_tls,
        drain_timeout: given.read("drain-timeout", at_most_a_day)?,
        log_format: given.read("log-format", log_format)?,
        log_filter: given.read("log-level", log_filter)?,
    })
}

/// A file without which somebody is let in. A name that came out empty, such as of a variable that is
/// not set, is a mistake.
pub fn guard_file(given: &Given, name: &str) -> Result<Option<PathBuf>, ConfigError> {
    let read = |text: &str| match text.is_empty() {
        true => Err("give a file, or leave it out".to_owned()),
        false => Ok(PathBuf::from(text)),
    };
    given.text(name).map(|_| given.read(name, read)).transpose()
}

/// The admin address; also what `healthcheck` asks.
pub fn admin(given: &Given) -> Result<SocketAddr, ConfigError> {
    given.read("admin", |text| {
        text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:9150".into())
    })
}

/// The same, for who answers there: strangers reach it only where they are asked for a token or a
/// certificate.
fn guarded_admin(given: &Given) -> Result<SocketAddr, ConfigError> {
    let address = admin(given)?;
    let is_asked_for = ["admin-token-file", "admin-client-ca"].map(|it| given.text(it).is_some());
    if address.ip().to_canonical().is_loopback() || is_asked_for.contains(&true) {
        return Ok(address);
    }
    let problem = "other hosts could look at this cache and change it there; give --admin-token-file \
                   FILE too, which is made where there is none, or --admin-client-ca FILE, or an \
                   address of this host alone, such as 127.0.0.1:9150";
    Err(given.complain("admin", problem))
}

/// Bytes for items, and what is unwise about them.
pub fn memory_max(
    given: &Given,
    on: &Host,
    warnings: &mut Vec<String>,
) -> Result<u64, ConfigError> {
    memory_of(given, on, warnings, |text| text)
}

/// The same of a node that may begin with less, and grow: what it begins with, if that is said, and the most.
pub fn memory_range(
    given: &Given,
    on: &Host,
    warnings: &mut Vec<String>,
) -> Result<(Option<u64>, u64), ConfigError> {
    if !given.text("memory").is_some_and(|text| text.contains("..")) {
        return Ok((None, memory_max(given, on, warnings)?));
    }
    let first = |both: &str| both.find("..").unwrap_or(both.len());
    let least = memory_of(given, on, &mut Vec::new(), |both| &both[..first(both)])?;
    let most = memory_of(given, on, warnings, |both| both[first(both)..].trim_start_matches('.'))?;
    if least > most {
        let [least, most] = [least, most].map(show_size);
        let problem =
            format!("more at the start than at most, {least} and {most}; give less first");
        return Err(given.complain("memory", &problem));
    }
    Ok((Some(least), most))
}

fn memory_of(
    given: &Given,
    on: &Host,
    warnings: &mut Vec<String>,
    part: impl Fn(&str) -> &str,
) -> Result<u64, ConfigError> {
    let allowed = on.memory.as_ref();
    let read = |text: &str| memory(part(text), allowed.map(|memory| memory.bytes));
    let bytes = given.read("memory", read)?;
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
            Some(allowed) if given.text("memory").is_some_and(|text| part(text).ends_with('%')) => {
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
    Ok(bytes)
}

/// The largest item, where `memory_max` of a node is known.
pub fn item_size_max(given: &Given, memory_max: Option<u64>) -> Result<u32, ConfigError> {
    let bytes = given.read("item-size-max", size)?;
    // memcached's own bounds for -I.
    if !(1024..=1 << 30).contains(&bytes) {
        return Err(given.complain("item-size-max", "give a size from 1k to 1g"));
    }
    if memory_max.is_some_and(|memory_max| bytes > memory_max / ITEMS_IN_MEMORY_MIN) {
        let problem =
            "more than an eighth of the memory that a node may take; give less, or more memory";
        return Err(given.complain("item-size-max", problem));
    }
    u32::try_from(bytes).map_err(|_| given.complain("item-size-max", "give a size up to 1g"))
}

/// A port; 0 is a free one.
pub fn port(text: &str) -> Result<u16, String> {
    one_of(text, 0, 65_535).and_then(|port| u16::try_from(port).map_err(|e| e.to_string()))
}

fn cache_name(text: &str) -> Result<String, String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.is_empty() || text.len() > 40 || !text.bytes().all(is_word) {
        return Err("give 1 to 40 letters, digits and hyphens".into());
    }
    Ok(text.to_owned())
}

/// A duration that honest clients keep.
pub fn at_least_100_ms(text: &str) -> Result<Duration, String> {
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

/// A whole number in bounds.
pub fn count(given: &Given, name: &str, least: u64, most: u64) -> Result<usize, ConfigError> {
    given.read(name, |text| {
        one_of(text, least, most).and_then(|n| usize::try_from(n).map_err(|e| e.to_string()))
    })
}
