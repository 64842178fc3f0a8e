use anyhow::bail;

use super::recovery::Recovery;
use super::{Scene, coordination, members, network, upgrade};

/// Something that is done to a fleet.
pub struct Fault {
    /// What it is asked for by.
    pub name: &'static str,
    /// What is done, in words.
    pub what: &'static str,
    /// The proxies whose clients may notice.
    pub notice: Notice,
    /// Whether commands may be refused: another scaler has to lead before slots fail over, which takes longer than a
    /// request waits.
    pub may_refuse: bool,
    /// Whether clients reach proxy 0 also while its zone is cut off.
    pub is_split: bool,
    /// Whether it is done to a fleet that may take spares as nodes.
    pub has_spares: bool,
    /// Does it, and waits until the fleet is whole again.
    pub act: fn(&mut Scene) -> Recovery,
}

/// What clients of which proxies may notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nobody anything but slow replies.
    Nobody,
    /// Clients of proxy 0 that it is not there: no connection is broken, but commands may be refused, or wait as long as it
    /// is away.
    Away,
    /// Clients of proxy 0 that it has died.
    Died,
    /// Clients of each proxy that it says goodbye, and is followed by another.
    Upgraded,
}

/// All of them, in the order in which they are done.
pub const FAULTS: &[Fault] = &[
    plain("node-killed", "SIGKILL of a node, which is begun again", members::node_killed),
    plain(
        "nodes-killed",
        "the same of two nodes of different zones, one after the other",
        members::nodes_killed,
    ),
    plain("node-stopped", "SIGSTOP of a node for 10 s", members::node_stopped),
    plain(
        "node-restarted",
        "SIGTERM of a node, which gives its slots away, and is begun again",
        members::node_restarted,
    ),
    plain(
        "slots-moved",
        "all slots are moved to a node, then to one of another zone; a node ends and begins",
        members::slots_moved,
    ),
    plain("node-cut", "a node is cut off for 10 s", members::node_cut),
    plain("nodes-parted", "two nodes hear nothing of each other for 10 s", network::nodes_parted),
    plain("node-deaf", "a node hears nothing, and is heard, for 10 s", network::node_deaf),
    plain("node-mute", "a node is not heard, and hears, for 10 s", network::node_mute),
    plain(
        "standby-killed",
        "SIGKILL of the scaler that stands by, which is begun again",
        members::standby_killed,
    ),
    plain(
        "leader-killed",
        "SIGKILL of the scaler that leads, which is begun again",
        members::leader_killed,
    ),
    plain("leader-stopped", "SIGSTOP of the scaler that leads for 10 s", members::leader_stopped),
    plain("leader-cut", "the scaler that leads is cut off for 10 s", members::leader_cut),
    noticed(
        "proxy-killed",
        "SIGKILL of a proxy, which is begun again",
        Notice::Died,
        members::proxy_killed,
    ),
    noticed(
        "proxy-deaf",
        "a proxy hears nothing of the fleet, and is heard, for 10 s",
        Notice::Away,
        network::proxy_deaf,
    ),
    noticed(
        "proxy-mute",
        "a proxy is not heard by the fleet, and hears, for 10 s",
        Notice::Away,
        network::proxy_mute,
    ),
    plain(
        "etcd-member",
        "SIGKILL of the member of etcd that leads, which is begun again after 10 s",
        coordination::member_lost,
    ),
    plain(
        "etcd-majority",
        "SIGKILL of two members of etcd, which are begun again after a minute",
        coordination::majority_lost,
    ),
    noticed(
        "zone-killed",
        "SIGKILL of all in zone b (a scaler, a proxy, two nodes, a member of etcd), which is begun again",
        Notice::Died,
        members::zone_killed,
    ),
    noticed("zone-cut", "zone b is cut off for 10 s", Notice::Away, members::zone_cut),
    Fault {
        is_split: true,
        ..noticed(
            "zone-split",
            "the same, and clients reach the proxies on both sides",
            Notice::Away,
            members::zone_cut,
        )
    },
    Fault {
        may_refuse: true,
        ..noticed(
            "leaders-zone-killed",
            "SIGKILL of all in zone b, whose scaler leads, which is begun again",
            Notice::Died,
            members::leaders_zone_killed,
        )
    },
    Fault {
        may_refuse: true,
        ..noticed(
            "leaders-zone-cut",
            "zone b, whose scaler leads, is cut off for 10 s",
            Notice::Away,
            members::leaders_zone_cut,
        )
    },
    plain("far", "a round trip of 100 ms between zones, for 20 s", network::far),
    plain(
        "far-node-killed",
        "SIGKILL of a node while a round trip between zones takes 100 ms",
        network::far_node_killed,
    ),
    plain(
        "farther-node-killed",
        "the same while it takes 200 ms, 100 ms each way",
        network::farther_node_killed,
    ),
    noticed(
        "upgrade",
        "every scaler, node and proxy in turn: SIGTERM, and another binary is begun",
        Notice::Upgraded,
        upgrade::all,
    ),
    Fault {
        has_spares: true,
        ..plain(
            "leader-scaling",
            "SIGKILL of the scaler that leads while slots move to new nodes, which is begun again",
            coordination::leader_scaling,
        )
    },
];

const fn plain(name: &'static str, what: &'static str, act: fn(&mut Scene) -> Recovery) -> Fault {
    noticed(name, what, Notice::Nobody, act)
}

const fn noticed(
    name: &'static str,
    what: &'static str,
    notice: Notice,
    act: fn(&mut Scene) -> Recovery,
) -> Fault {
    Fault { name, what, notice, may_refuse: false, is_split: false, has_spares: false, act }
}

/// Those of these names, or all.
///
/// # Errors
/// A name that none has.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Fault>> {
    if let Some(name) = names.iter().find(|name| FAULTS.iter().all(|fault| fault.name != **name)) {
        let known: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
        bail!("--only {name}: no such fault; there are {}", known.join(", "));
    }
    let is_wanted = |fault: &&Fault| names.is_empty() || names.iter().any(|it| it == fault.name);
    Ok(FAULTS.iter().filter(is_wanted).collect())
}
