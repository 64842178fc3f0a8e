//! A scaler whose data directory is not the newest of its fleet.

use std::collections::BTreeSet;

use memtide_control::{Adopted, fleet_of};
use memtide_topology::{Epoch, Topology};

use crate::limits::STRANGERS_TOLD_MAX;

/// What it means that a peer has adopted something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is stored here.
    Known,
    /// The peer is of another fleet, and this one is at work: it is the peer that is wrong here.
    Stranger,
    /// It is of this fleet and never was stored here; or there is nothing here, and a fleet at work that
    /// may be the one that this was. Epochs from here would be used twice.
    Behind(String),
}

/// What to do about it, for people.
const REMEDY: &str = "stop this scaler, put the fleet's newest data directory in place and start it \
    again; until then nothing changes hands, and clients are served as before";

/// Judges what a peer has adopted by what is stored.
pub fn judge(stored: &Topology, who: &str, adopted: Adopted) -> Judged {
    let (fleet, epoch) = (adopted.fleet, adopted.epoch.number());
    let ours = stored.epoch().number();
    if adopted.is_nothing() || fleet == fleet_of(stored) && epoch <= ours {
        return Judged::Known;
    }
    if fleet == fleet_of(stored) {
        return Judged::Behind(format!(
            "{who} has epoch {epoch} of the topology, and the newest stored here is {ours}: this data directory is an older one; {REMEDY}"
        ));
    }
    let was_never_held = stored.slots().all(|(_, config)| config.epoch == Epoch::ZERO);
    if !was_never_held {
        return Judged::Stranger;
    }
    Judged::Behind(format!(
        "{who} has epoch {epoch} of a fleet of which nothing is stored here: this data directory is another one; {REMEDY}; to begin anew instead, end all nodes and proxies of that fleet first"
    ))
}

/// Peers of other fleets that were told of: they come again and again.
#[derive(Debug, Default)]
pub struct Strangers(BTreeSet<String>);

impl Strangers {
    /// Whether it is news that this one has come.
    pub fn is_news(&mut self, who: &str) -> bool {
        self.0.len() < STRANGERS_TOLD_MAX && self.0.insert(who.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use memtide_topology::{
        CacheId, Change, HashSeed, NodeId, NodeInfo, Previous, SlotId, Update, Zone,
    };

    use super::*;

    fn begun(seed: u64) -> Topology {
        Topology::new(CacheId::default(), HashSeed::new(seed, 2), 0).unwrap()
    }

    fn after(topology: &Topology, change: Change) -> Topology {
        topology.apply(&Update { parent: topology.epoch(), changes: vec![change] }).unwrap()
    }

    fn at_work(seed: u64) -> Topology {
        let begun = begun(seed);
        let zone = Zone::new("a").unwrap();
        let address = "127.0.0.1:7".to_owned();
        let info = NodeInfo { address, zone, memory_max: 1 << 30, is_draining: false };
        let node = NodeId::new(begun.epoch().next().number());
        let joined = after(&begun, Change::AddNode { node, info });
        let (slots, previous) = (SlotId::all().collect(), Previous::Gone);
        after(&joined, Change::SetPrimary { slots, primary: node, previous })
    }

    #[test]
    fn who_is_ahead_shows_an_older_directory_and_who_is_not_shows_nothing() {
        let stored = at_work(1);
        let fleet = fleet_of(&stored);
        let judged = |epoch| judge(&stored, "n", Adopted { fleet, epoch });
        assert_eq!(judged(stored.epoch()), Judged::Known);
        let Judged::Behind(why) = judged(stored.epoch().next()) else { panic!("not behind") };
        assert!(why.starts_with("n has epoch 3 of the topology, and the newest stored here is 2"));
        assert_eq!(judge(&stored, "n", Adopted::default()), Judged::Known);
    }

    #[test]
    fn another_fleet_is_a_stranger_at_work_and_a_reason_to_stop_before() {
        let other = Adopted::of(&at_work(9));
        assert_eq!(judge(&at_work(1), "n", other), Judged::Stranger);
        let Judged::Behind(why) = judge(&begun(1), "n", other) else { panic!("not behind") };
        assert!(why.contains("nothing is stored here"), "{why}");
    }

    #[test]
    fn a_stranger_is_news_once_and_there_are_not_too_many() {
        let mut strangers = Strangers::default();
        assert_eq!([strangers.is_news("a"), strangers.is_news("a")], [true, false]);
        let news = (0..10 * STRANGERS_TOLD_MAX).filter(|it| strangers.is_news(&it.to_string()));
        assert_eq!(news.count(), STRANGERS_TOLD_MAX - 1);
    }
}
