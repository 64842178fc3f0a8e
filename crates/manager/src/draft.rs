//! An update that is being made, part by part.

use std::sync::Arc;

use memtide_topology::{ApplyError, Change, Topology, Update};

/// The changes so far, and what they lead to.
#[derive(Debug)]
pub(crate) struct Draft {
    base: Arc<Topology>,
    changes: Vec<Change>,
    next: Option<Topology>,
}

impl Draft {
    pub(crate) const fn new(base: Arc<Topology>) -> Self {
        Self { base, changes: Vec::new(), next: None }
    }

    /// What the changes so far make of the topology.
    pub(crate) fn topology(&self) -> &Topology {
        self.next.as_ref().unwrap_or(&self.base)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a part, if it fits behind those before it: all of it, or nothing.
    pub(crate) fn add(&mut self, part: Vec<Change>) -> Result<(), ApplyError> {
        if part.is_empty() {
            return Ok(());
        }
        let before = self.changes.len();
        self.changes.extend(part);
        let update = Update { parent: self.base.epoch(), changes: self.changes.clone() };
        match self.base.apply(&update) {
            Ok(next) => self.next = Some(next),
            Err(error) => {
                self.changes.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The update, if there is anything to change.
    pub(crate) fn finish(self) -> Option<(Update, Arc<Topology>)> {
        let next = self.next?;
        Some((Update { parent: self.base.epoch(), changes: self.changes }, Arc::new(next)))
    }
}
