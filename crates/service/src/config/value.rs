//! The syntaxes of values. Each function says of a text that is none what is wrong and what to give.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use crate::logging::{self, LogFormat};

/// `--memory`: an amount, or a share of what the host allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In percent, 1 to 100.
    Share(u8),
    /// In bytes.
    Bytes(u64),
}

/// An amount of bytes: `512m`, `2GiB`, `1GB`, `1048576`. Units of one letter are binary, as
/// memcached's are; `KiB` to `TiB` too; `KB` to `TB` are powers of 1,000.
///
/// # Errors
/// When it is none.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("not a size; give for example 512m or 2GiB".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "not a size; give for example 512m or 2GiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too large a size; at most 16383 TiB".to_owned())
}

/// A size as people read it, at most one digit rounded down: `1.5 GiB`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = bytes % unit * 10 / unit;
            let tenths = if tenths == 0 { String::new() } else { format!(".{tenths}") };
            format!("{}{tenths} {name}", bytes / unit)
        }
        None => format!("{bytes} bytes"),
    }
}

/// `60%`, or a [`size`].
///
/// # Errors
/// When it is neither.
pub fn memory(text: &str) -> Result<Memory, String> {
    match text.strip_suffix('%') {
        Some(share) => match share.trim_end().parse() {
            Ok(share @ 1..=100) => Ok(Memory::Share(share)),
            _ => Err("not a share; give 1% to 100%".to_owned()),
        },
        None => size(text)
            .map(Memory::Bytes)
            .map_err(|_| "not an amount of memory; give for example 60%, 512m or 2GiB".to_owned()),
    }
}

/// A time: `500ms`, `30s`, `5m`, `1h`; a number alone is seconds, as for memcached.
///
/// # Errors
/// When it is none, or beyond a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a time; give for example 500ms, 30s or 5m".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit.trim_start() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit_ms) {
        Some(ms) if ms <= 365 * 24 * 3_600_000 => Ok(Duration::from_millis(ms)),
        _ => Err("too long a time; give at most a year (8760h)".to_owned()),
    }
}

/// A TCP port; 0 lets the system choose.
///
/// # Errors
/// When it is none.
pub fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "not a port; give 0 (any free one) to 65535".to_owned())
}

/// A whole number of `range`.
///
/// # Errors
/// When it is none.
pub fn number<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let (min, max) = (range.start(), range.end());
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("not a number in range; give {min} to {max}")),
    }
}

/// Addresses of interfaces, joined by commas; none at all is an empty list.
///
/// # Errors
/// When one of them is no address.
pub fn ips(text: &str) -> Result<Vec<IpAddr>, String> {
    let mut ips = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let ip = part.parse().map_err(|_| {
            format!("{part:?} is not an IP address; give for example 127.0.0.1 or 127.0.0.1,::1")
        })?;
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    Ok(ips)
}

/// An address and a port.
///
/// # Errors
/// When it is none.
pub fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "not an address and port; give for example 127.0.0.1:9150 or [::]:9150".to_owned()
    })
}

/// A path; none where the text is empty.
///
/// # Errors
/// Never: every text is a path.
pub fn path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A host name or an IP address, without scheme and port.
///
/// # Errors
/// When no certificate could be for it.
pub fn host(text: &str) -> Result<String, String> {
    let host = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    rustls::pki_types::ServerName::try_from(host).map(|_| host.to_owned()).map_err(|_| {
        "not a host; give a name or an IP address, without port: cache.example.net".to_owned()
    })
}

/// `auto`, `text` or `json`.
///
/// # Errors
/// When it is none of them.
pub fn log_format(text: &str) -> Result<LogFormat, String> {
    text.parse().map_err(|_| "not a log format; give auto, text or json".to_owned())
}

/// A level, or tracing's directives.
///
/// # Errors
/// When it is neither.
pub fn filter(text: &str) -> Result<String, String> {
    match logging::check_filter(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(_) => {
            Err("not a log level; give error, warn, info, debug or trace, or directives such \
                       as info,memtide_proxy=debug"
                .to_owned())
        }
    }
}
