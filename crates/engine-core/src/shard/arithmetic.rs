use super::write::NewItem;
use super::{Call, Shard, Spot};
use crate::budget::NoRoom;
use crate::geometry::memcached_item_size;
use crate::item::{Header, mark};
use crate::limits::NUMERIC_ITEM_SIZE_MAX;
use crate::number::{self, DECIMAL_LEN_MAX};
use crate::ops::{Arithmetic, VivifyNumber};
use crate::outcome::{ArithmeticOutcome, Number};

impl Shard {
    /// memcached.c, `do_add_delta`, and the item that ma creates on a miss.
    pub(crate) fn arithmetic(
        &mut self,
        call: &mut Call<'_>,
        op: &Arithmetic,
    ) -> Result<ArithmeticOutcome, NoRoom> {
        let Some(old) = self.find_live(call.env, &call.key, call.now) else {
            return match op.vivify {
                Some(vivify) => self.vivify_number(call, vivify, op),
                None => Ok(ArithmeticOutcome::NotFound),
            };
        };
        let client_flags = old.header.client_flags(self.bytes(&old));
        let value = self.value(&old).contiguous();
        // memcached looks at the size before it compares the CAS unique, and at the digits after.
        let size = memcached_item_size(call.key.bytes().len(), client_flags, value.len());
        if value.is_empty() || size > NUMERIC_ITEM_SIZE_MAX {
            return Ok(ArithmeticOutcome::NonNumeric);
        }
        if op.cas_compare.is_some_and(|cas| cas != 0 && cas != old.header.cas) {
            return Ok(ArithmeticOutcome::Exists);
        }
        let Some(before) = number::parse(&value) else {
            return Ok(ArithmeticOutcome::NonNumeric);
        };
        let after = match op.is_decrement {
            true => before.saturating_sub(op.delta),
            false => before.wrapping_add(op.delta),
        };
        let header = self.write_number(call, &old, op, after)?;
        Ok(ArithmeticOutcome::Done(Number {
            value: after,
            cas: header.cas,
            ttl_before: old.header.ttl(call.now),
            ttl: header.ttl(call.now),
            is_vivified: false,
        }))
    }

    /// Writes the new number: into the old bytes, padded with spaces, where it is no longer than
    /// the old value, and as a new item otherwise, which clears the marks.
    fn write_number(
        &mut self,
        call: &mut Call<'_>,
        old: &Spot,
        op: &Arithmetic,
        number: u64,
    ) -> Result<Header, NoRoom> {
        let mut buffer = [0; DECIMAL_LEN_MAX];
        let digits = number::format(number, &mut buffer);
        let mut header = old.header;
        if let Some(expiry) = op.touch {
            header.set_expiry(expiry);
        }
        if digits.len() > old.header.value_len as usize {
            let new = NewItem {
                client_flags: old.header.client_flags(self.bytes(old)),
                exptime: header.exptime,
                marks: header.marks & mark::KEY_BINARY,
                cas: op.cas_override,
                ..NewItem::plain(digits)
            };
            header.cas = self.store(call, &new, Some(old))?;
            return Ok(header);
        }
        header.cas = op.cas_override.unwrap_or(self.versions[old.slot] + 1);
        header.bump(call.now);
        self.write_header(old, &header);
        let padded = old.header.value_len as usize;
        if padded <= DECIMAL_LEN_MAX {
            let mut value = [b' '; DECIMAL_LEN_MAX];
            value[..digits.len()].copy_from_slice(digits);
            self.segments.write_value((old.segment, old.offset), &header, &value[..padded]);
        } else {
            let mut value = vec![b' '; padded];
            value[..digits.len()].copy_from_slice(digits);
            self.segments.write_value((old.segment, old.offset), &header, &value);
        }
        self.advance_item(old.slot, (old.segment, old.offset));
        Ok(header)
    }

    fn vivify_number(
        &mut self,
        call: &mut Call<'_>,
        vivify: VivifyNumber,
        op: &Arithmetic,
    ) -> Result<ArithmeticOutcome, NoRoom> {
        let mut buffer = [0; DECIMAL_LEN_MAX];
        let digits = number::format(vivify.initial, &mut buffer);
        let exptime = vivify.expiry.exptime();
        let new = NewItem { exptime, cas: op.cas_override, ..NewItem::plain(digits) };
        let cas = self.store(call, &new, None)?;
        Ok(ArithmeticOutcome::Done(Number {
            value: vivify.initial,
            cas,
            ttl_before: None,
            ttl: (exptime != 0).then(|| exptime.saturating_sub(call.now.unix_secs())),
            is_vivified: true,
        }))
    }
}
