//! The settings that say which clients are let in.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};

use ipnet::IpNet;
use memtide_proxy::DoorSettings;
use memtide_service::config::{ConfigError, Given, one_of};

use super::read::count;

/// Networks of one port.
const NETWORKS_MAX: usize = 256;

/// Reads them.
pub fn door(given: &Given) -> Result<DoorSettings, ConfigError> {
    let of = |port| given.text(port).map(|_| given.read(port, networks)).transpose();
    let allow = of("allow")?.unwrap_or_default();
    let read_allow = of("read-allow")?.unwrap_or_else(|| allow.clone());
    let balancers = of("proxy-protocol-from")?.unwrap_or_default();
    let connections = count(given, "address-connections-max", 0, 1 << 24)?;
    let rate = given.read("address-handshakes-per-second", |text| {
        let rate = one_of(text, 0, 10_000_000)?;
        Ok(u32::try_from(rate).ok().and_then(NonZeroU32::new))
    })?;
    Ok(DoorSettings {
        allow,
        read_allow,
        balancers,
        address_connections_max: NonZeroUsize::new(connections),
        address_handshakes_per_second_max: rate,
    })
}

/// At least one: a list that came out empty, such as of a variable that is not set, is to let nobody
/// in by mistake.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let networks = parts.map(network).collect::<Result<Vec<_>, _>>()?;
    if networks.is_empty() {
        return Err("give at least one network; to let everybody in, leave it out".to_owned());
    }
    if networks.len() > NETWORKS_MAX {
        return Err(format!("give at most {NETWORKS_MAX} networks"));
    }
    Ok(networks)
}

fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| format!("{text}: give networks such as 10.0.0.0/8, or addresses"))?;
    if network.trunc() != network {
        return Err(format!(
            "{text} is an address in {}; give that, or the address alone",
            network.trunc()
        ));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses() {
        let shown = |text| {
            networks(text)
                .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(
            shown("10.0.0.0/8, fd00::/8,192.0.2.7").as_deref(),
            Ok("10.0.0.0/8 fd00::/8 192.0.2.7/32")
        );
        for empty in ["", " ", ",", " , "] {
            assert!(shown(empty).unwrap_err().contains("at least one network"), "{empty}");
        }
        let host_bits = "10.1.2.3/8 is an address in 10.0.0.0/8; give that, or the address alone";
        assert_eq!(shown("10.1.2.3/8").unwrap_err(), host_bits);
        for wrong in ["10.0.0.0/33", "x", "10.0.0.0/8 11.0.0.0/8", "10.0.0/8", "*"] {
            assert!(shown(wrong).unwrap_err().contains("such as 10.0.0.0/8"), "{wrong}");
        }
        assert!(networks(&vec!["10.0.0.1"; 257].join(",")).is_err());
    }
}
