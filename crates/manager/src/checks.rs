//! What nodes and operators may ask for.

use memtide_topology::{NodeId, SlotId};

use crate::{Manager, Refused, Registration, Unwelcome};

impl Manager {
    pub(crate) fn check_return(
        &self,
        node: NodeId,
        registration: &Registration,
    ) -> Result<(), Unwelcome> {
        let info = self.topology.nodes().get(&node).ok_or(Unwelcome::Left(node))?;
        if self.members.dead().contains(&node) {
            return Err(Unwelcome::Dead(node));
        }
        let said = (&registration.address, &registration.zone);
        if said == (&info.address, &info.zone) { Ok(()) } else { Err(Unwelcome::Other(node)) }
    }

    pub(crate) fn check_known(&self, node: NodeId) -> Result<(), Refused> {
        let is_known = self.topology.nodes().contains_key(&node);
        is_known.then_some(()).ok_or(Refused::NodeUnknown(node))
    }

    /// A node may go where another is up that stays.
    pub(crate) fn check_drain(&self, node: NodeId) -> Result<(), Refused> {
        self.check_known(node)?;
        let stays = |other: &&NodeId| {
            **other != node
                && !self.members.down().contains(other)
                && !self.wishes.is_draining(&self.topology, **other)
        };
        let is_last = self.topology.nodes().keys().find(stays).is_none();
        if is_last { Err(Refused::LastNode(node)) } else { Ok(()) }
    }

    pub(crate) fn check_move(&self, slots: &[SlotId], to: NodeId) -> Result<(), Refused> {
        self.check_known(to)?;
        if self.wishes.is_draining(&self.topology, to) {
            return Err(Refused::NodeDraining(to));
        }
        if self.members.down().contains(&to) {
            return Err(Refused::NodeDown(to));
        }
        let of_nobody = slots.iter().find(|slot| self.topology.slot(**slot).primary.is_none());
        match of_nobody {
            Some(slot) => Err(Refused::NoPrimary(*slot)),
            None if slots.is_empty() => Err(Refused::NoSlots),
            None => Ok(()),
        }
    }
}
