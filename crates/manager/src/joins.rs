//! New nodes that wait for the commit that adds them.

use std::collections::VecDeque;

use memtide_topology::{ApplyError, Change, Epoch, NodeId, NodeInfo, Topology};

use crate::draft::Draft;
use crate::{Registration, Session, Unwelcome};

/// In the order of their registration.
#[derive(Debug, Default)]
pub(crate) struct Joins(VecDeque<(Session, NodeInfo)>);

impl Joins {
    /// One process has an address: what waits with the same is an earlier try of it.
    pub(crate) fn add(&mut self, session: Session, registration: Registration) {
        let Registration { zone, address, memory_max, .. } = registration;
        self.0.retain(|(of, info)| *of != session && info.address != address);
        let info = NodeInfo { address, zone, memory_max, is_draining: false };
        self.0.push_back((session, info));
    }

    pub(crate) fn session_ends(&mut self, session: Session) {
        self.0.retain(|(of, _)| *of != session);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the first that fits. Its id is the number of the epoch that adds it, so an update adds one,
    /// and no id is ever used twice.
    pub(crate) fn put_first(
        &mut self,
        draft: &mut Draft,
        epoch: Epoch,
    ) -> Vec<(Session, Unwelcome)> {
        let node = NodeId::new(epoch.number());
        let mut unwelcome = Vec::new();
        while let Some((session, info)) = self.0.front() {
            match draft.add(vec![Change::AddNode { node, info: info.clone() }]) {
                Ok(()) => break,
                Err(ApplyError::Refused { refusal, .. }) => {
                    unwelcome.push((*session, Unwelcome::Refused(refusal)));
                    self.0.pop_front();
                }
                Err(_) => break,
            }
        }
        unwelcome
    }

    /// Who of those that wait was added by the step to a topology.
    pub(crate) fn take_added(
        &mut self,
        before: &Topology,
        after: &Topology,
    ) -> Vec<(Session, NodeId)> {
        let new = after.nodes().iter().filter(|(node, _)| !before.nodes().contains_key(node));
        let taken = new.filter_map(|(node, info)| {
            let at = self.0.iter().position(|(_, joining)| joining == info)?;
            self.0.remove(at).map(|(session, _)| (session, *node))
        });
        taken.collect()
    }
}
