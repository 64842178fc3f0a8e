//! Which copies answer at all, and which of those that did not may be required again.

use std::collections::BTreeMap;

use memtide_topology::NodeId;

use super::effect::ReplicationSettings;

/// What is known of other nodes' answers to beacons, over all links that there were to each.
///
/// It counts intervals between beacons, not time: one in which this process itself was stopped is
/// one like any other, and nobody is blamed for it.
#[derive(Debug, Default)]
pub(super) struct Reach(BTreeMap<NodeId, Peer>);

#[derive(Debug, Default)]
struct Peer {
    /// It has answered in this interval.
    has_answered: bool,
    /// A slot of this node's could not go on without it in this interval.
    is_needed: bool,
    /// Intervals in a row in which it was needed and did not answer.
    missed: u32,
    /// Intervals in a row in which it answered.
    steady: u32,
    /// Intervals in a row in which it must have answered before it is required anew.
    wary: u32,
}

impl Reach {
    /// A peer has answered a beacon, whatever it has adopted.
    pub(super) fn answered(&mut self, peer: NodeId) {
        self.0.entry(peer).or_default().has_answered = true;
    }

    /// A slot cannot go on without this peer; says for how many intervals it has not answered.
    pub(super) fn need(&mut self, peer: NodeId) -> u32 {
        let peer = self.0.entry(peer).or_default();
        peer.is_needed = true;
        peer.missed
    }

    /// For how many intervals a peer has not answered though it was needed.
    pub(super) fn missed(&self, peer: NodeId) -> u32 {
        self.0.get(&peer).map_or(0, |peer| peer.missed)
    }

    /// Whether a peer that was out of reach has answered for long enough since.
    pub(super) fn is_trusted(&self, peer: NodeId) -> bool {
        self.0.get(&peer).is_none_or(|peer| peer.steady >= peer.wary)
    }

    /// An interval is over.
    pub(super) fn end_interval(&mut self, settings: &ReplicationSettings) {
        let (missed_max, wary_max) = (settings.missed_max(), settings.wary_max());
        for peer in self.0.values_mut() {
            let has_answered = core::mem::take(&mut peer.has_answered);
            let is_needed = core::mem::take(&mut peer.is_needed);
            peer.steady = if has_answered { peer.steady.saturating_add(1) } else { 0 };
            peer.missed =
                if has_answered || !is_needed { 0 } else { peer.missed.saturating_add(1) };
            if peer.missed == missed_max {
                peer.wary = (peer.wary * 2).clamp(missed_max, wary_max);
            }
            if peer.steady >= wary_max {
                peer.wary = 0;
            }
        }
    }

    /// Forgets those that are not nodes any more.
    pub(super) fn retain(&mut self, is_node: impl Fn(NodeId) -> bool) {
        self.0.retain(|peer, _| is_node(*peer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_trusted_later_each_time_that_it_was_out_of_reach() {
        let settings = ReplicationSettings::default();
        let (missed_max, wary_max) = (settings.missed_max(), settings.wary_max());
        assert_eq!((missed_max, wary_max), (5, 300));
        let peer = NodeId::new(7);
        let mut reach = Reach::default();
        let waits = |reach: &mut Reach| {
            let mut waits = 0;
            while !reach.is_trusted(peer) {
                reach.answered(peer);
                reach.end_interval(&settings);
                waits += 1;
            }
            waits
        };
        assert_eq!(waits(&mut reach), 0, "nothing speaks against it");
        let mut expected = missed_max;
        for _ in 0..7 {
            for missed in 0..missed_max {
                assert_eq!(reach.need(peer), missed);
                reach.end_interval(&settings);
            }
            assert_eq!(waits(&mut reach), expected.min(wary_max));
            expected *= 2;
        }
        (0..wary_max).for_each(|_| {
            reach.answered(peer);
            reach.end_interval(&settings);
        });
        reach.end_interval(&settings);
        assert!(reach.is_trusted(peer), "that is forgotten in time");
    }

    #[test]
    fn who_is_not_needed_misses_nothing() {
        let settings = ReplicationSettings::default();
        let peer = NodeId::new(7);
        let mut reach = Reach::default();
        for _ in 0..20 {
            reach.end_interval(&settings);
        }
        assert_eq!(reach.need(peer), 0);
        reach.end_interval(&settings);
        assert_eq!(reach.need(peer), 1);
        reach.answered(peer);
        reach.end_interval(&settings);
        assert_eq!(reach.need(peer), 0);
    }
}
