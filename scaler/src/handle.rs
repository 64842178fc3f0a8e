use std::sync::Arc;

use memtide_limits::{Grant, ProxyId, Report};
use memtide_manager::{Operation, Refused};
use memtide_topology::{Epoch, NodeId, Topology};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time;

use crate::ends::Lead;
use crate::limits::OPERATE_TIME_MAX;
use crate::{Explained, ProxyCounts, Status};

/// A scaler, for those in its process; may be used from any thread.
#[derive(Clone, Debug)]
pub struct ScalerHandle {
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
    pub(crate) topologies: watch::Receiver<Arc<Topology>>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) counts: ProxyCounts,
    pub(crate) scaling: watch::Receiver<Option<Arc<Explained>>>,
    pub(crate) lead: Lead,
}

/// What those in the process want of the scaler's loop.
#[derive(Debug)]
pub enum Ask {
    Dead(NodeId),
    ChildEnded(u64),
    Operate(Operation, Reply),
    Demand(ProxyId, Report, GrantTo),
}

/// Where grants to a proxy of this process go.
pub type GrantTo = watch::Sender<Option<Grant>>;

/// Answered once what was asked for is stored, as far as it changes anything at once.
pub type Reply = oneshot::Sender<Result<Epoch, OperateError>>;

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operated {
    /// What it changes at once is stored; what it leads to has begun.
    Stored(Epoch),
    /// It was accepted, and storing it takes longer.
    Accepted,
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// It cannot be.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Somebody else has stored something that it does not fit to.
    #[error(
        "the topology was changed at the same time, and this was not done; look, and ask again"
    )]
    Overtaken,
    /// Nothing is stored any more; why.
    #[error("{0}")]
    Behind(String),
    /// There is nobody to do it.
    #[error("the scaler has stopped")]
    Stopped,
}

impl ScalerHandle {
    /// What is stored: what nodes and proxies are told.
    #[must_use]
    pub fn topologies(&self) -> watch::Receiver<Arc<Topology>> {
        self.topologies.clone()
    }

    /// The fleet as it was a moment ago.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// The same, and when there is another.
    #[must_use]
    pub fn statuses(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// What it decides of the fleet by itself; `None` where it does not, or has not looked yet.
    #[must_use]
    pub fn scaling(&self) -> Option<Arc<Explained>> {
        self.scaling.borrow().clone()
    }

    /// The data, each item once, for which nodes have room; 0 where room is made as it is needed.
    #[must_use]
    pub fn room(&self) -> u64 {
        let follows = self.scaling.borrow().is_some();
        if follows { 0 } else { self.status().data_bytes_max() }
    }

    /// What proxies that join from outside have counted.
    #[must_use]
    pub fn proxy_counts(&self) -> ProxyCounts {
        self.counts.clone()
    }

    /// The process of a node is known to have ended: what it alone held is given up.
    pub fn dead(&self, node: NodeId) {
        // A scaler that has stopped has no use for it.
        let _ = self.asks.send(Ask::Dead(node));
    }

    /// The process that was started with this token is known to have ended, whichever node it was, if
    /// any. A token is never used for another process.
    pub fn child_ended(&self, parent_token: u64) {
        let _ = self.asks.send(Ask::ChildEnded(parent_token));
    }

    /// A proxy of this process wants a part of the limit of ECPUs; the answer goes to `to`.
    pub fn demand(&self, proxy: ProxyId, report: Report, to: &watch::Sender<Option<Grant>>) {
        let _ = self.asks.send(Ask::Demand(proxy, report, to.clone()));
    }

    /// Does what an operator wants; waits until it is stored, for [`OPERATE_TIME_MAX`] at most. On any
    /// runtime with a clock.
    ///
    /// # Errors
    /// Where it cannot be done.
    pub async fn operate(&self, operation: Operation) -> Result<Operated, OperateError> {
        let (reply, replied) = oneshot::channel();
        let asked = self.asks.send(Ask::Operate(operation, reply));
        asked.map_err(|_| OperateError::Stopped)?;
        match time::timeout(OPERATE_TIME_MAX, replied).await {
            Err(_) => Ok(Operated::Accepted),
            Ok(Err(_)) => Err(OperateError::Stopped),
            Ok(Ok(answer)) => Ok(Operated::Stored(answer?)),
        }
    }
}
