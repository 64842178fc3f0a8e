use super::write::NewItem;
use super::{Call, Removal, Shard, Spot};
use crate::budget::NoRoom;
use crate::item::mark;
use crate::ops::Delete;
use crate::outcome::DeleteOutcome;

impl Shard {
    /// proto_parser.c, `process_mdelete_cmd`.
    pub(crate) fn delete(
        &mut self,
        call: &mut Call<'_>,
        op: &Delete,
    ) -> Result<DeleteOutcome, NoRoom> {
        let Some(old) = self.find_live(call.env, &call.key, call.now) else {
            return Ok(DeleteOutcome::NotFound);
        };
        if op.cas_compare.is_some_and(|cas| cas != old.header.cas) {
            return Ok(DeleteOutcome::Exists);
        }
        if op.remove_value {
            // Invalidation gives a new CAS unique; the empty value alone keeps the old one.
            let kept = if op.invalidate { None } else { Some(old.header.cas) };
            let new = NewItem {
                client_flags: op.client_flags,
                exptime: op.touch.unwrap_or_default().exptime(),
                marks: if op.invalidate { mark::STALE } else { 0 },
                cas: op.cas_override.or(kept),
                ..NewItem::plain(&[])
            };
            self.store(call, &new, Some(&old))?;
        } else if op.invalidate {
            self.invalidate(&old, op);
        } else {
            self.remove(call.env, &old, Removal::Deleted);
        }
        Ok(DeleteOutcome::Deleted)
    }

    /// Marks an item stale and gives its token back, so that the next mg wins it.
    fn invalidate(&mut self, old: &Spot, op: &Delete) {
        let mut header = old.header;
        header.cas = op.cas_override.unwrap_or(self.versions[old.slot] + 1);
        header.set(mark::STALE);
        header.clear(mark::TOKEN_SENT);
        if let Some(expiry) = op.touch {
            header.set_expiry(expiry);
        }
        self.write_header(old, &header);
        self.advance_item(old.slot, (old.segment, old.offset));
    }
}
