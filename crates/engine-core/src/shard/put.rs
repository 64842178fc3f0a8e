use super::write::NewItem;
use super::{Call, Env, Removal, Shard, Spot};
use crate::budget::NoRoom;
use crate::item::mark;
use crate::key::Key;
use crate::ops::{Put, PutMode};
use crate::outcome::PutOutcome;
use crate::time::{Expiry, Now};

/// What the item that is there makes of a put.
enum Decision<'a> {
    Refuse(PutOutcome),
    Store(NewItem<'a>),
    /// Store with the value of the item that is there before or after the new one's.
    Extend(NewItem<'a>),
}

impl Shard {
    /// Runs a put whose own value is not too large.
    pub(crate) fn put(&mut self, call: &mut Call<'_>, op: &Put<'_>) -> Result<PutOutcome, NoRoom> {
        let old = self.find_live(call.env, &call.key, call.now);
        let decision = match &old {
            Some(old) => self.decide_over(call, op, old),
            None => decide_missing(op),
        };
        let joined;
        let new = match decision {
            Decision::Refuse(outcome) => return Ok(outcome),
            Decision::Store(new) => new,
            Decision::Extend(new) => {
                joined = self.join(op, old.as_ref());
                NewItem { value: &joined, ..new }
            }
        };
        let cas = self.store(call, &new, old.as_ref())?;
        let value_len = u32::try_from(new.value.len()).expect("the item's size was checked");
        Ok(PutOutcome::Stored { cas, value_len })
    }

    fn join(&self, op: &Put<'_>, old: Option<&Spot>) -> Vec<u8> {
        let old = old.map(|old| self.value(old)).unwrap_or_default();
        let mut joined = Vec::with_capacity(old.len() + op.value.len());
        if op.mode == PutMode::Prepend {
            joined.extend_from_slice(op.value);
        }
        old.chunks().for_each(|chunk| joined.extend_from_slice(chunk));
        if op.mode == PutMode::Append {
            joined.extend_from_slice(op.value);
        }
        joined
    }

    /// After a put that failed for size or memory: nobody may read the old value.
    pub(crate) fn remove_after_failure(&mut self, env: &Env, key: &Key<'_>, now: Now) {
        if let Some(spot) = self.find_live(env, key, now) {
            self.remove(env, &spot, Removal::Deleted);
        }
    }

    /// memcached.c, `do_store_item`, with an item to replace or compare with.
    fn decide_over<'a>(&mut self, call: &Call<'_>, op: &Put<'a>, old: &Spot) -> Decision<'a> {
        let there = old.header;
        let compare = op.cas_compare.unwrap_or(0);
        match op.mode {
            PutMode::Add => {
                // "promote to head of LRU", without the mark of a fetch.
                let mut header = there;
                header.bump(call.now);
                self.write_header(old, &header);
                Decision::Refuse(PutOutcome::NotStored)
            }
            PutMode::Set | PutMode::Replace => {
                if op.cas_compare.is_none() || (compare != 0 && compare == there.cas) {
                    Decision::Store(new_item(op, op.expiry))
                } else if op.invalidate && compare != 0 && compare < there.cas {
                    let marks = mark::STALE | there.marks & mark::TOKEN_SENT;
                    let exptime = there.exptime;
                    Decision::Store(NewItem { exptime, marks, ..new_item(op, op.expiry) })
                } else {
                    Decision::Refuse(PutOutcome::Exists)
                }
            }
            PutMode::Append | PutMode::Prepend => {
                if compare != 0 && compare != there.cas {
                    return Decision::Refuse(PutOutcome::Exists);
                }
                let client_flags = there.client_flags(self.bytes(old));
                let value_len = there.value_len as usize + op.value.len();
                if !call.env.geometry.item_fits(call.key.bytes().len(), client_flags, value_len) {
                    return Decision::Refuse(PutOutcome::NotStored);
                }
                let exptime = there.exptime;
                Decision::Extend(NewItem { client_flags, exptime, ..new_item(op, op.expiry) })
            }
        }
    }
}

/// memcached.c, `do_store_item`, without an item to replace or compare with.
fn decide_missing<'a>(op: &Put<'a>) -> Decision<'a> {
    match op.mode {
        PutMode::Set | PutMode::Replace if op.cas_compare.is_some() => {
            Decision::Refuse(PutOutcome::NotFound)
        }
        PutMode::Set | PutMode::Add => Decision::Store(new_item(op, op.expiry)),
        PutMode::Replace => Decision::Refuse(PutOutcome::NotStored),
        PutMode::Append | PutMode::Prepend => match op.vivify {
            Some(expiry) => Decision::Store(new_item(op, expiry)),
            None => Decision::Refuse(PutOutcome::NotStored),
        },
    }
}

fn new_item<'a>(op: &Put<'a>, expiry: Expiry) -> NewItem<'a> {
    NewItem {
        client_flags: op.client_flags,
        exptime: expiry.exptime(),
        cas: op.cas_override,
        ..NewItem::plain(op.value)
    }
}
