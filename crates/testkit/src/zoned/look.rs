use std::net::SocketAddr;

use serde_json::Value;

use super::{CLIENT_PORT, Member, ZonedFleet};
use crate::{Client, Metrics, PATIENCE, TlsClient, wait_until};

/// Slots of a cache.
const SLOTS: u64 = 16_384;
/// Keys that are asked for to see whether a proxy serves: so many that every node has some.
const PROBES: usize = 60;

impl ZonedFleet {
    /// The scaler that leads, of those that run and are not away.
    #[must_use]
    pub fn leader(&self) -> Option<Member> {
        self.running(Member::scalers()).find(|scaler| self.leads(*scaler))
    }

    /// Waits until one leads, which is not this one.
    ///
    /// # Panics
    /// Where none does.
    #[must_use]
    pub fn wait_leader(&self, but: Option<Member>) -> Member {
        wait_until("a scaler leads", PATIENCE, || {
            let mut running = self.running(Member::scalers()).filter(|it| Some(*it) != but);
            running.find(|scaler| self.leads(*scaler))
        })
    }

    /// JSON of the admin HTTP of a process; `None` where it refuses.
    ///
    /// # Panics
    /// Where it does not run, or answers something else.
    #[must_use]
    pub fn json(&self, member: Member, path: &str) -> Option<Value> {
        let reply = self.role(member).get(path);
        (reply.status == 200).then(|| serde_json::from_str(&reply.body).expect("it is JSON"))
    }

    /// How many nodes are in this state, as the one that leads has it; none where nobody does.
    #[must_use]
    pub fn count(&self, state: &str) -> usize {
        let nodes = self.leader().and_then(|leader| self.json(leader, "/v1/nodes"));
        nodes.map_or(0, |nodes| in_state(&nodes, state))
    }

    /// Whether all that runs is well: somebody leads, all nodes that run are up, and no others; every slot has its copies,
    /// where they belong; proxies and scalers are ready.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_ready = |it: Member| self.role(it).get("/readyz").status == 200;
        self.running(Member::scalers()).any(|scaler| self.is_whole_by(scaler).unwrap_or(false))
            && self.running(Member::scalers().chain(Member::proxies())).all(is_ready)
    }

    /// Waits until [`Self::is_whole`], and each proxy has stored something on every node.
    ///
    /// # Panics
    /// With what scalers say, when it takes too long.
    pub fn wait_whole(&self) {
        wait_until("the fleet is whole", PATIENCE * 4, || {
            let is_served = || self.running(Member::proxies()).all(|proxy| self.is_served(proxy));
            (self.is_whole() && is_served()).then_some(())
        });
    }

    /// Whether a proxy stores what it is asked to, after a while at the most.
    fn is_served(&self, proxy: Member) -> bool {
        let address = SocketAddr::from((self.hosts.address(proxy.host()), CLIENT_PORT));
        let tls = TlsClient::new(self.path("ca.pem").as_ref());
        let sets: String =
            (0..PROBES).map(|key| format!("set probe-{key} 0 1 1\r\nx\r\n")).collect();
        self.hosts.inside(Member::Clients.host(), || {
            let replies = Client::tls(address, &tls).ask(sets.as_bytes());
            replies.is_ok_and(|replies| replies == "STORED\r\n".repeat(PROBES))
        })
    }

    /// Those of these that run and are not away.
    pub(super) fn running(&self, of: impl Iterator<Item = Member>) -> impl Iterator<Item = Member> {
        of.filter(|it| self.roles.contains_key(it) && !self.away.contains(it))
    }

    fn leads(&self, scaler: Member) -> bool {
        let metrics = Metrics::parse(&self.role(scaler).get("/metrics").body);
        metrics.get("memtide_scaler_leads") == Some(1.0)
    }

    /// `None` where it cannot say.
    fn is_whole_by(&self, scaler: Member) -> Option<bool> {
        let nodes = self.json(scaler, "/v1/nodes")?;
        let left = self.json(scaler, "/v1/migrations")?["remaining_slots"].as_u64()?;
        let complete = nodes["slots"]["complete"].as_u64()?;
        let running = self.running(Member::nodes()).count();
        let spares = self.running(Member::spares()).count();
        let is_up = (running..=running + spares).contains(&in_state(&nodes, "up"));
        // Also before it is seen that one is lost, or has come.
        let are_placed = nodes["nodes"].as_array()?.iter().all(|node| {
            let parts = ["primary_slots", "in_sync_slots", "learner_slots"];
            let slots: u64 = parts.iter().filter_map(|part| node[part].as_u64()).sum();
            (slots > 0) == (node["state"] == "up")
        });
        Some(is_up && are_placed && left == 0 && complete == SLOTS)
    }
}

fn in_state(nodes: &Value, state: &str) -> usize {
    let nodes = nodes["nodes"].as_array().into_iter().flatten();
    nodes.filter(|node| node["state"] == state).count()
}
