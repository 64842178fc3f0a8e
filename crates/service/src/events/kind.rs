use serde::{Deserialize, Serialize};

/// What kind of thing happened; a word for programs, the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The process takes clients from now on.
    Listening,
    /// New TLS material is in force.
    TlsReloaded,
    /// New TLS files were refused; what was in force stays.
    TlsReloadFailed,
    /// Items are evicted because the memory limit is reached; told again after a while without.
    EvictionsBegan,
    /// A core gives no sign of life.
    CoreFailed,
    /// A core that gave none does again.
    CoreRecovered,
    /// A node process of ours was started.
    NodeStarted,
    /// A node process of ours has ended, and is replaced.
    NodeEnded,
    /// The process takes no clients any more, and answers what it has.
    DrainBegan,
    /// The drain took too long; connections were dropped.
    DrainOverdue,
    /// A node was added to the topology.
    NodeJoined,
    /// A node that was lost is heard again.
    NodeReturned,
    /// A node has closed its control stream.
    NodeGone,
    /// Nothing was heard of a node.
    NodeSilent,
    /// The process of a node is known to have ended.
    NodeDead,
    /// A node is to give up its slots.
    NodeDraining,
    /// A node is to stay after all.
    NodeUndrained,
    /// A node wants to give up its slots, and nobody could take them.
    NodeDrainRefused,
    /// A node has left the topology.
    NodeLeft,
    /// Another number of replicas is wanted.
    ReplicasSet,
    /// Slots have got their first owners.
    SlotsFounded,
    /// Copies took over from primaries that are down.
    SlotsFailedOver,
    /// Slots wait for a node that is down, or do not any more.
    SlotsUnserved,
    /// Slots start empty, because nobody had them any more.
    SlotsLost,
    /// Slots are to be copied or moved.
    MigrationBegan,
    /// All slots are where they belong.
    MigrationEnded,
    /// A primary and a copy of its slots cannot reach each other.
    CopyCutOff,
    /// A copy has another history than its primary, and is copied anew.
    CopyDiverged,
    /// A node is to take over a slot of which it has a part.
    CopyIncomplete,
    /// A part of a change of the topology did not fit, and is planned again.
    UpdateRefused,
    /// The topology could not be stored; it is tried again.
    StoreFailed,
    /// The topology can be stored again.
    StoreRecovered,
    /// What is stored is not the newest of the fleet: nothing is changed any more.
    StoreBehind,
    /// etcd does not answer: nothing is changed until it does.
    StoreAway,
    /// It answers again.
    StoreBack,
    /// This scaler leads from now on.
    ScalerLeads,
    /// Another one leads.
    ScalerStandsBy,
    /// A node or proxy of another fleet has come, and was turned away.
    FleetStranger,
    /// The fleet has another number of nodes than before.
    FleetScaled,
    /// The scaler changes the fleet by itself, and why.
    ScalingDecided,
    /// All that was decided at a time has been done, or has failed.
    ScalingEnded,
    /// Something that was decided could not be done.
    ScalingFailed,
    /// More is needed, and cannot be had.
    ScalingShort,
    /// The owner has set other limits.
    LimitsChanged,
    /// Most of what a limit allows is used.
    LimitNear,
    /// Less of it is used again.
    LimitEased,
    /// Commands are held back or refused for a limit.
    ThrottlingBegan,
    /// None were for a while.
    ThrottlingEnded,
    /// The certificate in force ends soon, or has.
    CertificateExpires,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words_of_one_case() {
        let word = serde_json::to_string(&EventKind::TlsReloadFailed).unwrap();
        assert_eq!(word, r#""tls_reload_failed""#);
    }
}
