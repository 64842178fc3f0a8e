use super::write::NewItem;
use super::{Call, Env, Shard, Spot};
use crate::budget::NoRoom;
use crate::geometry::Home;
use crate::item::{Header, mark};
use crate::key::Key;
use crate::limits::PREFETCH_ITEM_BYTES;
use crate::ops::{Lookup, Recache};
use crate::outcome::Hit;
use crate::prefetch;
use crate::time::{Expiry, Now};
use memtide_topology::KeyHash;

impl Shard {
    /// Asks for the words of the index where the search for a key starts.
    #[inline]
    pub(crate) fn prefetch_index(&self, env: &Env, hash: KeyHash) {
        let Home { table, tag, .. } = env.geometry.home(hash);
        self.tables[table].prefetch(tag);
    }

    /// Asks for the start of the item that a key is likely to have.
    #[inline]
    pub(crate) fn prefetch_item(&self, env: &Env, hash: KeyHash) {
        let Home { table, tag, .. } = env.geometry.home(hash);
        self.tables[table].find(tag, |loc| {
            let (segment, offset) = env.geometry.place(loc);
            let bytes = &self.segments.at(segment).data[offset..];
            prefetch::lines(&bytes[..bytes.len().min(PREFETCH_ITEM_BYTES)]);
            true
        });
    }

    /// What a lookup finds without creating anything.
    #[inline]
    pub(crate) fn lookup(
        &mut self,
        env: &Env,
        key: &Key<'_>,
        op: &Lookup,
        now: Now,
    ) -> Option<Hit<'_>> {
        let spot = self.find_live(env, key, now)?;
        let before = spot.header;
        let mut header = before;
        if let Some(expiry) = op.touch {
            header.set_expiry(expiry);
        }
        let mut is_won = op.recache.is_some_and(|recache| wins(&recache, &before, &header));
        if op.takes_token {
            is_won |= header.has(mark::STALE) && !header.has(mark::TOKEN_SENT);
        }
        let mut is_mutation = is_won || op.touch.is_some();
        if is_mutation && self.roles.is_copy(spot.slot) {
            // Its primary decides over expiry and tokens.
            (header.exptime, is_won, is_mutation) = (before.exptime, false, false);
        }
        if is_won {
            header.set(mark::TOKEN_SENT);
        }
        if !op.no_bump {
            header.set(mark::FETCHED);
            header.bump(now);
        }
        self.write_header(&spot, &header);
        if is_mutation {
            self.advance_looked_up(&spot);
        }
        Some(Hit {
            item: self.view(spot.segment, spot.offset, &header, now),
            ttl_before: before.ttl(now),
            last_access_age: now.unix_secs().saturating_sub(before.last_access),
            was_fetched: before.has(mark::FETCHED),
            is_vivified: false,
            is_won,
            is_already_won: before.has(mark::TOKEN_SENT),
        })
    }

    /// Creates the empty item of mg N, whose token goes to this command.
    pub(crate) fn vivify(
        &mut self,
        call: &mut Call<'_>,
        expiry: Expiry,
        op: &Lookup,
    ) -> Result<(), NoRoom> {
        let fetched = if op.no_bump { 0 } else { mark::FETCHED };
        let new = NewItem {
            exptime: expiry.exptime(),
            marks: mark::TOKEN_SENT | fetched,
            cas: op.cas_override,
            ..NewItem::plain(&[])
        };
        self.store(call, &new, None)?;
        Ok(())
    }

    /// The item that [`Shard::vivify`] has just made.
    pub(crate) fn vivified(&self, env: &Env, key: &Key<'_>, now: Now) -> Option<Hit<'_>> {
        let spot: Spot = self.find(env, key)?;
        Some(Hit {
            item: self.view(spot.segment, spot.offset, &spot.header, now),
            ttl_before: None,
            last_access_age: 0,
            was_fetched: false,
            is_vivified: true,
            is_won: true,
            is_already_won: false,
        })
    }

    /// Gives an item another expiry and counts a fetch; `false` where there is none.
    pub(crate) fn touch(&mut self, env: &Env, key: &Key<'_>, expiry: Expiry, now: Now) -> bool {
        let op = Lookup { touch: Some(expiry), ..Lookup::default() };
        self.lookup(env, key, &op, now).is_some()
    }
}

/// Whether mg R wins: nobody has, and the item ends before the time asked for.
fn wins(recache: &Recache, before: &Header, after: &Header) -> bool {
    let exptime = if recache.after_touch { after.exptime } else { before.exptime };
    !before.has(mark::TOKEN_SENT) && exptime != 0 && exptime < recache.before.exptime()
}
