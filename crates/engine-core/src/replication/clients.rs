//! Which requests can never be asked again, by who has asked them.

use std::collections::BTreeMap;

use memtide_topology::RequestId;

/// Cores of proxies that are remembered. Of one that is forgotten too soon, requests are remembered
/// for longer.
const CLIENTS_MAX: usize = 4096;

/// Beacon intervals without a mutation, after which a core is given up: far more than the patience of a
/// proxy, whose clock may have stood still all the same.
const QUIET_INTERVALS_MAX: u32 = 600;

/// What each core of a proxy has said of its answers, here or to the primaries of which this node has
/// copies.
///
/// Requests of a core are numbered in their order, and each says below which number all have come to
/// their end. What comes of such a request by a detour is not executed: nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct Clients(BTreeMap<u64, Client>);

#[derive(Debug, Default)]
struct Client {
    /// All requests below have come to their end.
    answered: u64,
    /// Intervals since something was heard.
    quiet: u32,
}

impl Clients {
    /// A mutation was executed, and its core has said this.
    pub(super) fn hear(&mut self, id: RequestId, answered: u64) {
        if self.0.len() >= CLIENTS_MAX && !self.0.contains_key(&id.client) {
            let quietest = self.0.iter().max_by_key(|(_, client)| client.quiet);
            let quietest = quietest.map(|(client, _)| *client);
            quietest.into_iter().for_each(|client| _ = self.0.remove(&client));
        }
        let client = self.0.entry(id.client).or_default();
        client.answered = client.answered.max(answered.min(id.number));
        client.quiet = 0;
    }

    /// Whether a request has come to its end for who has asked it.
    pub(super) fn is_answered(&self, id: RequestId) -> bool {
        self.0.get(&id.client).is_some_and(|client| id.number < client.answered)
    }

    /// Whether a core was not heard of for so long that what it has asked need not be remembered, if it
    /// is known to be forgotten: it may come back.
    pub(super) fn is_given_up(&self, id: RequestId) -> bool {
        self.0.get(&id.client).is_some_and(|client| client.quiet >= QUIET_INTERVALS_MAX)
    }

    /// A beacon interval is over.
    pub(super) fn end_interval(&mut self) {
        for client in self.0.values_mut() {
            client.quiet = client.quiet.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_known_by_core() {
        let id = |client, number| RequestId { client, number };
        let mut clients = Clients::default();
        clients.hear(id(1, 20), 10);
        clients.hear(id(1, 21), 7);
        clients.hear(id(2, 5), u64::MAX);
        let answered = [id(1, 9), id(1, 10), id(2, 4), id(2, 5), id(3, 1)];
        let answered = answered.map(|id| clients.is_answered(id));
        assert_eq!(answered, [true, false, true, false, false]);
        for _ in 0..QUIET_INTERVALS_MAX {
            assert!(!clients.is_given_up(id(1, 10)));
            clients.end_interval();
        }
        assert!(clients.is_given_up(id(1, 21)) && !clients.is_answered(id(1, 10)));
    }

    #[test]
    fn there_are_never_too_many() {
        let id = |client| RequestId { client, number: 2 };
        let mut clients = Clients::default();
        clients.hear(id(0), 2);
        clients.end_interval();
        (1..=CLIENTS_MAX as u64).for_each(|client| clients.hear(id(client), 2));
        let first = RequestId { client: 0, number: 1 };
        assert!(!clients.is_answered(first), "the quietest is forgotten");
        assert_eq!(clients.0.len(), CLIENTS_MAX);
    }
}
