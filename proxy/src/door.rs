//! Who is let in, decided when a connection is accepted: before a byte is read, a handshake computed
//! or a core troubled. Of a connection from a balancer it is decided when its header was read.

mod addresses;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::{IpNet, Ipv4Net};

pub use self::addresses::Seat;
use self::addresses::{Counted, Rated};
use crate::admission::Port;

/// Who may come in. The default lets everybody in.
#[derive(Clone, Debug, Default)]
pub struct DoorSettings {
    /// Networks whose clients may come to the primary port; all where there is none.
    pub allow: Vec<IpNet>,
    /// The same of the read-optimized port.
    pub read_allow: Vec<IpNet>,
    /// Networks of balancers: who comes from there says with a header of the PROXY protocol, version 2, for
    /// whom, and that client is asked about. Nobody else may send one.
    pub balancers: Vec<IpNet>,
    /// Most connections of one address at a time; of IPv6, of one network of 64 bits.
    pub address_connections_max: Option<NonZeroUsize>,
    /// Most new connections of one address in a second.
    pub address_handshakes_per_second_max: Option<NonZeroU32>,
}

/// Why a connection was closed as soon as it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It comes from a network that may not.
    Network,
    /// Its address has opened too many in a second.
    AddressRate,
    /// Its address has too many open.
    AddressConnections,
    /// So many wait for their handshake that it would not get one in time.
    Handshakes,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Network, Self::AddressRate, Self::AddressConnections, Self::Handshakes];

    /// As metrics and logs call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::AddressRate => "address_rate",
            Self::AddressConnections => "address_connections",
            Self::Handshakes => "handshakes",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Door {
    allow: Vec<IpNet>,
    read_allow: Vec<IpNet>,
    balancers: Vec<IpNet>,
    rated: Option<Rated>,
    counted: Option<Arc<Counted>>,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Door {
    /// A door that is watched so.
    pub fn new(settings: DoorSettings) -> Self {
        let canonical = |networks: Vec<IpNet>| networks.into_iter().map(canonical).collect();
        Self {
            allow: canonical(settings.allow),
            read_allow: canonical(settings.read_allow),
            balancers: canonical(settings.balancers),
            rated: settings.address_handshakes_per_second_max.map(Rated::new),
            counted: settings.address_connections_max.map(|max| Arc::new(Counted::new(max))),
            refused: [const { AtomicU64::new(0) }; Refusal::ALL.len()],
        }
    }

    /// Lets a connection in, or says why not; the cheapest question first.
    ///
    /// # Errors
    /// Why not. It is not counted yet: see [`Self::refuse`].
    pub fn enter(&self, port: Port, ip: IpAddr) -> Result<Option<Seat>, Refusal> {
        let ip = ip.to_canonical();
        let allow = match port {
            Port::Primary => &self.allow,
            Port::ReadOptimized => &self.read_allow,
        };
        if !allow.is_empty() && !allow.iter().any(|network| network.contains(&ip)) {
            return Err(Refusal::Network);
        }
        let seat = self.counted.as_ref().map(|counted| counted.take(ip));
        let seat = seat.map(|seat| seat.ok_or(Refusal::AddressConnections)).transpose()?;
        if self.rated.as_ref().is_some_and(|rated| !rated.admits(ip)) {
            return Err(Refusal::AddressRate);
        }
        Ok(seat)
    }

    /// Whether a balancer comes from there.
    pub fn is_balancer(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.balancers.iter().any(|network| network.contains(&ip))
    }

    /// Counts a refusal.
    pub fn refuse(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many were refused, and why.
    pub fn refused(&self) -> [(Refusal, u64); Refusal::ALL.len()] {
        Refusal::ALL.map(|why| (why, self.refused[why as usize].load(Ordering::Relaxed)))
    }
}

/// A network of IPv4-mapped addresses (RFC 4291, section 2.5.5.2) is the network of IPv4 that it maps,
/// as such an address is that of IPv4.
fn canonical(network: IpNet) -> IpNet {
    let IpAddr::V4(ip) = network.network().to_canonical() else { return network };
    let length = match network {
        IpNet::V4(network) => Some(network.prefix_len()),
        // A shorter one has its mapped addresses among others, and is of IPv6.
        IpNet::V6(network) => network.prefix_len().checked_sub(96),
    };
    let mapped = length.and_then(|length| Ipv4Net::new(ip, length).ok());
    mapped.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_port_has_its_networks_and_none_is_all() {
        let net = |text: &str| text.parse().unwrap();
        let door = Door::new(DoorSettings {
            allow: vec![net("10.0.0.0/8"), net("fd00::/8"), net("192.0.2.7/32")],
            ..DoorSettings::default()
        });
        let check = |port, from: &str, is_let_in: bool| {
            assert_eq!(door.enter(port, ip(from)).is_ok(), is_let_in, "{port:?} {from}");
        };
        for from in ["10.0.0.1", "10.255.255.255", "fd12::1", "192.0.2.7"] {
            check(Port::Primary, from, true);
        }
        for from in ["11.0.0.0", "9.255.255.255", "::1", "127.0.0.1", "192.0.2.8", "::a00:1"] {
            check(Port::Primary, from, false);
            check(Port::ReadOptimized, from, true);
        }
    }

    #[test]
    fn addresses_and_networks_of_ipv4_are_the_same_when_they_are_mapped() {
        let check = |network: &str, from: &str, is_let_in: bool| {
            let allow = vec![network.parse().unwrap()];
            let door = Door::new(DoorSettings { allow, ..DoorSettings::default() });
            let entered = door.enter(Port::Primary, ip(from)).is_ok();
            assert_eq!(entered, is_let_in, "{from} at {network}");
        };
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:0:0/96", "0.0.0.0/0"] {
            check(network, "10.1.2.3", true);
            check(network, "::ffff:10.1.2.3", true);
            check(network, "fd00::1", false);
        }
        for network in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:11.1.2.3/128"] {
            check(network, "11.0.0.0", false);
            check(network, "::ffff:11.0.0.0", false);
        }
        check("::ffff:10.1.2.3/128", "10.1.2.3", true);
        // Of IPv6, though mapped addresses would be among them.
        for network in ["::/0", "::/64"] {
            check(network, "::ffff:10.1.2.3", false);
            check(network, "10.1.2.3", false);
            check(network, "::1", true);
        }
    }

    #[test]
    fn an_address_counts_once_however_it_is_written() {
        let door = Door::new(DoorSettings {
            address_connections_max: NonZeroUsize::new(1),
            ..DoorSettings::default()
        });
        let _seat = door.enter(Port::Primary, ip("192.0.2.1")).unwrap();
        let again = door.enter(Port::Primary, ip("::ffff:192.0.2.1"));
        assert_eq!(again.err(), Some(Refusal::AddressConnections));
        assert!(door.enter(Port::Primary, ip("::ffff:192.0.2.2")).is_ok());
    }

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let settings = DoorSettings {
            address_connections_max: NonZeroUsize::new(2),
            ..DoorSettings::default()
        };
        let door = Door::new(settings);
        let enter = |from: &str| door.enter(Port::Primary, ip(from));
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").err(), Some(Refusal::AddressConnections));
        let _other = enter("192.0.2.2").unwrap();
        drop(first);
        let _third = enter("192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").err(), Some(Refusal::AddressConnections));
        // Whoever has a network of 64 bits has all of its addresses.
        let _six = [enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap()];
        assert_eq!(enter("2001:db8::3").err(), Some(Refusal::AddressConnections));
        assert!(enter("2001:db8:0:1::1").is_ok());
        door.refuse(Refusal::AddressConnections);
        assert_eq!(door.refused()[2], (Refusal::AddressConnections, 1));
    }

    #[test]
    fn an_address_that_knocks_too_often_is_refused_and_others_are_not() {
        let settings = DoorSettings {
            address_handshakes_per_second_max: NonZeroU32::new(3),
            ..DoorSettings::default()
        };
        let door = Door::new(settings);
        let refused = |from: &str| {
            let all = (0..50).map(|_| door.enter(Port::Primary, ip(from)));
            all.filter(|it| it.as_ref().err() == Some(&Refusal::AddressRate)).count()
        };
        assert!(refused("192.0.2.1") >= 40, "50 at once, and 3 a second");
        assert!(door.enter(Port::Primary, ip("192.0.2.2")).is_ok());
        assert!(refused("2001:db8::1") >= 40);
        assert!(door.enter(Port::Primary, ip("2001:db8::2")).is_err());
    }
}
