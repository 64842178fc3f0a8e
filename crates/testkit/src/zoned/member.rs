use std::fmt;

/// The zones that the fleet is in, by their numbers.
pub(super) const ZONES: [&str; 3] = ["a", "b", "c"];
/// Where clients are.
const OUTSIDE: u8 = 3;
const SCALERS: usize = 2;
const PROXIES: usize = 2;
const NODES: usize = 6;
const SPARES: usize = 3;

/// Somebody of a [`super::ZonedFleet`], on a host of its own. In zone a are scaler 0, nodes 0 and 3; in b scaler 1,
/// proxy 0, nodes 1 and 4; in c proxy 1, nodes 2 and 5; in each a member of etcd and a spare of the same number as the
/// zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// A member of etcd.
    Etcd(usize),
    /// A scaler.
    Scaler(usize),
    /// A proxy.
    Proxy(usize),
    /// A node.
    Node(usize),
    /// A process that waits to be a node.
    Spare(usize),
    /// Where loads come from.
    Clients,
}

impl Member {
    /// All that there may be, by their hosts.
    pub(super) fn all() -> Vec<Self> {
        let mut all: Vec<Self> = (0..ZONES.len()).map(Self::Etcd).collect();
        all.extend(Self::of_fleet());
        all.extend((0..SPARES).map(Self::Spare));
        all.push(Self::Clients);
        all
    }

    /// Scalers, proxies and nodes.
    pub(super) fn of_fleet() -> impl Iterator<Item = Self> {
        Self::scalers().chain(Self::proxies()).chain(Self::nodes())
    }

    /// The scalers.
    pub fn scalers() -> impl Iterator<Item = Self> {
        (0..SCALERS).map(Self::Scaler)
    }

    /// The proxies.
    pub fn proxies() -> impl Iterator<Item = Self> {
        (0..PROXIES).map(Self::Proxy)
    }

    /// The nodes.
    pub fn nodes() -> impl Iterator<Item = Self> {
        (0..NODES).map(Self::Node)
    }

    /// The processes that wait to be nodes, where there are any.
    pub fn spares() -> impl Iterator<Item = Self> {
        (0..SPARES).map(Self::Spare)
    }

    /// Its host.
    ///
    /// # Panics
    /// Where there is none of this number.
    #[must_use]
    pub fn host(self) -> u8 {
        let at = Self::all().into_iter().position(|it| it == self).expect("there is such a member");
        u8::try_from(at).expect("there are few")
    }

    /// The number of its zone.
    #[must_use]
    pub fn zone(self) -> u8 {
        let zone = match self {
            Self::Etcd(number) | Self::Scaler(number) | Self::Spare(number) => number,
            Self::Proxy(number) => number + 1,
            Self::Node(number) => number % ZONES.len(),
            Self::Clients => return OUTSIDE,
        };
        u8::try_from(zone).expect("there are few")
    }

    /// The name of its zone.
    pub(super) fn zone_name(self) -> &'static str {
        ZONES.get(usize::from(self.zone())).expect("it is in a zone of the fleet")
    }

    /// The subcommand of memtide that it is.
    pub(super) fn role(self) -> &'static str {
        match self {
            Self::Scaler(_) => "scaler",
            Self::Proxy(_) => "proxy",
            Self::Node(_) | Self::Spare(_) => "engine",
            Self::Etcd(_) | Self::Clients => panic!("{self} is no role of memtide"),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Etcd(number) => write!(f, "etcd-{number}"),
            Self::Scaler(number) => write!(f, "scaler-{number}"),
            Self::Proxy(number) => write!(f, "proxy-{number}"),
            Self::Node(number) => write!(f, "node-{number}"),
            Self::Spare(number) => write!(f, "spare-{number}"),
            Self::Clients => f.write_str("clients"),
        }
    }
}
