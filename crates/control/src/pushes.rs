//! What a scaler says on one stream, in the order in which it counts.

use std::sync::Arc;

use memtide_limits::DataPart;
use memtide_topology::Topology;
use tokio::sync::watch;

use crate::fleet_of;
use crate::limits::REASON_BYTES_MAX;
use crate::schema::{self, ScalerSays, scaler_says};
use crate::session::Order;
use crate::talk::{Say, Talk};

/// What is to go out on a stream: the welcome, then topologies, and last of all the refusal; so a node
/// that has left the topology sees it.
pub struct Pushes {
    welcome: Option<ScalerSays>,
    /// Of a proxy; only the newest counts.
    pub grant: Option<ScalerSays>,
    /// Of a node, once it is welcome; only the newest counts.
    data_part: Option<ScalerSays>,
    /// Of a proxy; only the newest counts.
    pub written: Option<ScalerSays>,
    /// Only the newest counts.
    in_doubt: Option<ScalerSays>,
    /// Of a proxy; only the newest count.
    pub tickets: Option<ScalerSays>,
    refusal: Option<ScalerSays>,
    /// Whether the refusal was sent.
    pub is_over: bool,
    topologies: watch::Receiver<Arc<Topology>>,
    /// What the peer has been sent last; `None` where it is to get all.
    pub from: Option<Arc<Topology>>,
    /// Whether the peer gets topologies.
    is_welcome: bool,
}

impl Pushes {
    /// To a proxy, which gets topologies from the start.
    pub fn of_proxy(talk: &Talk) -> Self {
        Self { is_welcome: true, ..Self::new(talk) }
    }

    /// To a node, once it is welcome.
    pub fn new(talk: &Talk) -> Self {
        let topologies = talk.topologies.clone();
        let mut pushes = Self {
            welcome: None,
            grant: None,
            data_part: None,
            written: None,
            in_doubt: None,
            tickets: None,
            refusal: None,
            is_over: false,
            topologies,
            from: None,
            is_welcome: false,
        };
        if *talk.in_doubt.borrow() {
            pushes.in_doubt(true);
        }
        pushes
    }

    /// Another scaler may lead, or none can.
    pub fn in_doubt(&mut self, is_so: bool) {
        let in_doubt = scaler_says::Says::InDoubt(schema::InDoubt { is_so });
        self.in_doubt = Some(ScalerSays { says: Some(in_doubt) });
    }

    /// Takes an order in; whether it is the last.
    pub fn order(&mut self, order: Order) -> bool {
        let says = |says| Some(ScalerSays { says: Some(says) });
        match order {
            Order::Welcome(node) => {
                let node = node.number();
                self.is_welcome = true;
                self.welcome = says(scaler_says::Says::Welcome(schema::Welcome { node }));
                false
            }
            Order::DataPart(DataPart { bytes, keeps_held }) => {
                let part = schema::DataPart { bytes, keeps_held };
                self.data_part = says(scaler_says::Says::DataPart(part));
                false
            }
            Order::Refuse(mut why) | Order::TurnAway(mut why) => {
                why.truncate(why.floor_char_boundary(REASON_BYTES_MAX));
                let topology = self.topologies.borrow();
                let (fleet, epoch) = (fleet_of(&topology), topology.epoch().number());
                let refused = schema::Refused { why, fleet, epoch };
                drop(topology);
                self.refusal = says(scaler_says::Says::Refused(refused));
                true
            }
        }
    }

    /// Sends one message; waits until there is one and the stream has room for it. `false` where the
    /// stream, or what it is fed from, has ended. Nothing is lost where the future is dropped.
    pub async fn next(&mut self, talk: &Talk, say: &Say) -> bool {
        while !self.has_message() && !self.has_topology() {
            tokio::select! {
                () = say.closed() => return false,
                changed = self.topologies.changed(), if self.is_welcome => {
                    if changed.is_err() {
                        return false;
                    }
                }
            }
        }
        let Ok(room) = say.reserve().await else { return false };
        if let Some(first) = self.next_message() {
            room.send(Ok(first));
            return true;
        }
        if !self.has_topology()
            && let Some(refusal) = self.refusal.take()
        {
            room.send(Ok(refusal));
            self.is_over = true;
            return true;
        }
        let topology = Arc::clone(&self.topologies.borrow_and_update());
        let says = match &self.from {
            None => scaler_says::Says::Whole(talk.encodings.whole(&topology)),
            Some(from) => scaler_says::Says::Difference(talk.encodings.difference(from, &topology)),
        };
        self.from = Some(topology);
        room.send(Ok(ScalerSays { says: Some(says) }));
        true
    }

    const fn has_message(&self) -> bool {
        let is_told = self.welcome.is_some() || self.grant.is_some() || self.data_part.is_some();
        let is_told = is_told || self.in_doubt.is_some();
        let is_shared = self.written.is_some() || self.tickets.is_some();
        is_told || is_shared || self.refusal.is_some()
    }

    fn next_message(&mut self) -> Option<ScalerSays> {
        let first = self.welcome.take().or_else(|| self.grant.take());
        let first = first.or_else(|| self.data_part.take()).or_else(|| self.written.take());
        let first = first.or_else(|| self.in_doubt.take());
        first.or_else(|| self.tickets.take())
    }

    /// Whether there is a topology that the peer has not been sent.
    fn has_topology(&self) -> bool {
        let newest = self.topologies.borrow().epoch();
        self.is_welcome && self.from.as_ref().is_none_or(|from| from.epoch() < newest)
    }
}
