use std::sync::Arc;

use memtide_control::{Closed, Incoming};
use memtide_limits::Limits;
use memtide_service::events::Events;
use memtide_topology::Topology;
use tokio::sync::{mpsc, watch};

use crate::etcd::Shared;
use crate::handle::Ask;
use crate::status::nothing_yet;
use crate::{Explained, ProxyCounts, Status, clock};

/// What a scaler hears, and what others see of it: this outlasts the times for which it leads.
#[derive(Debug)]
pub struct Ends {
    pub incoming: mpsc::Receiver<Incoming>,
    pub asks: mpsc::UnboundedReceiver<Ask>,
    pub topologies: watch::Sender<Arc<Topology>>,
    pub status: watch::Sender<Arc<Status>>,
    pub explained: watch::Sender<Option<Arc<Explained>>>,
    /// What all streams end with, while nobody is heard.
    pub closed: watch::Sender<Option<Closed>>,
    pub limits: watch::Receiver<Limits>,
    pub counts: ProxyCounts,
    pub events: Events,
    pub lead: Lead,
}

/// Whether a scaler may change anything.
#[derive(Clone, Debug)]
pub enum Lead {
    /// It is the only one.
    Alone,
    /// It may be one of several.
    Shared(Shared),
}

impl Lead {
    /// Whether nobody else can lead now. Asked before anything is begun that cannot be undone: whoever was stopped
    /// for a while knows nothing of what came meanwhile.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Shared(shared) => shared.is_certain(),
        }
    }

    /// Why this one, which is at work, can change nothing now.
    pub fn doubt(&self) -> Option<String> {
        let Self::Shared(shared) = self else { return None };
        if !shared.is_at_work() || shared.is_certain() {
            return None;
        }
        let why = shared.seen().borrow().away.clone();
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("etcd is away, and nothing is changed until it is back{why}"))
    }

    /// Why this one does not work, where another may.
    pub fn standby(&self) -> Option<String> {
        let Self::Shared(shared) = self else { return None };
        (!shared.is_at_work()).then(|| shared.stands_by())
    }

    /// Why it is not known who leads.
    pub fn away(&self) -> Option<String> {
        let Self::Shared(shared) = self else { return None };
        let seen = shared.seen();
        let seen = seen.borrow();
        match &seen.away {
            Some(why) => Some(why.clone()),
            None if seen.is_read => None,
            None => Some("it has not answered yet".to_owned()),
        }
    }

    /// Whether another may lead though this one is at work.
    pub fn in_doubt(&self) -> watch::Receiver<bool> {
        match self {
            Self::Alone => watch::channel(false).1,
            Self::Shared(shared) => shared.in_doubt(),
        }
    }

    /// Why this one could not lead when it was its turn.
    pub fn trouble(&self) -> Option<String> {
        let Self::Shared(shared) = self else { return None };
        shared.trouble()
    }

    /// Whether there can be others.
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }
}

impl Ends {
    /// Nobody is heard, and nothing is known of the fleet.
    pub fn close(&self, closed: Closed) {
        self.closed.send_replace(Some(closed));
        let topology = Arc::clone(&self.topologies.borrow());
        self.status.send_replace(Arc::new(nothing_yet(topology, clock::now())));
        self.explained.send_replace(None);
    }
}
