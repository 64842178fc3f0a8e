use std::collections::BTreeMap;

use memtide_topology::SlotId;

use super::effect::{Asked, ProxyLink};

/// Who refused a request of a round refuses the later ones of it too, so that none overtakes it.
/// Round 0 is of those whose order does not matter.
#[derive(Debug, Default)]
pub(super) struct Fences(BTreeMap<(ProxyLink, SlotId), u32>);

impl Fences {
    pub(super) fn refused(&mut self, asked: &Asked) {
        if asked.round == 0 {
            return;
        }
        let round = self.0.entry((asked.link, asked.slot)).or_default();
        *round = asked.round.max(*round);
    }

    pub(super) fn is_refused(&self, asked: &Asked) -> bool {
        let refused = self.0.get(&(asked.link, asked.slot));
        asked.round > 0 && refused.is_some_and(|round| asked.round <= *round)
    }

    /// The link is gone, and with it all that was sent before the refusal.
    pub(super) fn forget(&mut self, link: ProxyLink) {
        let first = SlotId::new(0).expect("there is a slot");
        let mut rest = self.0.split_off(&(link, first));
        if let Some(next) = link.checked_add(1) {
            self.0.append(&mut rest.split_off(&(next, first)));
        }
    }
}
