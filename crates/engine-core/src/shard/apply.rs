//! Changes that the primary of a slot made, on a node that holds a copy.

use super::write::NewItem;
use super::{Call, Env, Removal, Shard};
use crate::budget::NoRoom;
use crate::change::ItemState;
use crate::item::mark;
use crate::key::Key;

impl Shard {
    /// Gives the call's key this item. Changes nothing when it fails.
    pub(crate) fn apply_item(
        &mut self,
        call: &mut Call<'_>,
        item: &ItemState<'_>,
    ) -> Result<(), NoRoom> {
        let mark_if = |is_set: bool, mark: u8| if is_set { mark } else { 0 };
        let value = item.value.contiguous();
        let new = NewItem {
            value: &value,
            client_flags: item.client_flags,
            exptime: item.exptime,
            marks: mark_if(item.is_stale, mark::STALE)
                | mark_if(item.is_token_sent, mark::TOKEN_SENT),
            cas: Some(item.cas),
        };
        let old = self.find(call.env, &call.key);
        let slot = call.env.geometry.home(call.key.hash()).slot;
        self.counted(slot, |shard| shard.write(call, &new, old.as_ref())).map(|_| ())
    }

    /// Leaves a key without an item.
    pub(crate) fn apply_removal(&mut self, env: &Env, key: &Key<'_>) {
        if let Some(spot) = self.find(env, key) {
            self.counted(spot.slot, |shard| shard.unlink(env, &spot, Removal::ByPrimary));
        }
    }

    /// The slot is now where its primary was after the changes applied.
    pub(crate) fn set_version(&mut self, slot: usize, version: u64) {
        self.versions[slot] = version;
    }
}
