//! What the text of a setting can mean.

use std::net::IpAddr;
use std::time::Duration;

pub use memtide_limits::units::{show_size, size};

/// Bytes, or a share of `allowed` such as `60%`.
///
/// # Errors
/// What would be right.
pub fn memory(text: &str, allowed: Option<u64>) -> Result<u64, String> {
    let Some(share) = text.trim().strip_suffix('%') else {
        return size(text).map_err(|problem| format!("{problem}, or a share such as 60%"));
    };
    let share: u64 = share.trim().parse().map_err(|_| "give a share such as 60%".to_owned())?;
    if share == 0 || share > 100 {
        return Err("give a share from 1% to 100%".into());
    }
    let allowed = allowed.ok_or("this host does not say how much memory it has; give bytes")?;
    Ok(u64::try_from(u128::from(allowed) * u128::from(share) / 100).unwrap_or(u64::MAX))
}

/// Seconds, or a number with `ms`, `s`, `m` or `h`.
///
/// # Errors
/// What would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give seconds such as 30, or 500ms, 30s, 5m, 1h".to_owned();
    let text = text.trim();
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let millis: u64 = match &text[number.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// A host name or an IP address (IPv6 may be in brackets), without scheme and port.
///
/// # Errors
/// What would be right.
pub fn host(text: &str) -> Result<String, String> {
    let text = text.trim();
    let host = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match rustls::pki_types::ServerName::try_from(host) {
        Ok(_) => Ok(host.to_owned()),
        Err(_) => Err("give a host name or an IP address, without port".into()),
    }
}

/// IP addresses of interfaces, parted by commas; each once.
///
/// # Errors
/// What would be right.
pub fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let mut addresses = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let address = part.parse().map_err(|_| {
            format!("{part} is no IP address; give such as 127.0.0.1 or 127.0.0.1,::1")
        })?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// A whole number from `least` to `most`.
///
/// # Errors
/// What would be right.
pub fn one_of(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("give a whole number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_memory() {
        let check = |text, bytes: Option<u64>| {
            assert_eq!(memory(text, Some(1000)).ok(), bytes, "{text}");
        };
        check("60%", Some(600));
        check("100%", Some(1000));
        check("0%", None);
        check("101%", None);
        check("x%", None);
        check("64m", Some(64 << 20));
        assert!(memory("60%", None).is_err());
    }

    #[test]
    fn hosts_and_addresses() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(host(text).ok().as_deref(), expected, "{text}");
        };
        check("cache.example", Some("cache.example"));
        check("my_host", Some("my_host"));
        check("[::1]", Some("::1"));
        check("", None);
        check("a b", None);
        check("x:11211", None);
        check("tls://x", None);
        let check = |text, count: Option<usize>| {
            assert_eq!(addresses(text).ok().map(|all| all.len()), count, "{text}");
        };
        check("", Some(0));
        check("127.0.0.1, ::1,127.0.0.1", Some(2));
        check("localhost", None);
        check("127.0.0.1:80", None);
    }

    #[test]
    fn durations() {
        let check = |text, millis: Option<u64>| {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        };
        check("30", Some(30_000));
        check("500ms", Some(500));
        check("5m", Some(300_000));
        check("1h", Some(3_600_000));
        check("0", Some(0));
        check("-1", None);
        check("1d", None);
        check("99999999999999999h", None);
    }
}
