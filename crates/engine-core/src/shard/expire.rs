//! Expired items are found without a lookup: a segment knows when looking through it is worth it.

use super::{Env, Removal, Shard};
use crate::item::{Header, mark};
use crate::segment::SegmentId;
use crate::stats::Maintained;
use crate::time::Now;

/// A segment is looked through again when this part of its live bytes has expired.
const WORTH_DIVISOR: u32 = 8;

impl Shard {
    /// A step of background work.
    pub(crate) fn maintain(&mut self, env: &Env, now: Now) -> Maintained {
        let before = self.counts.expired;
        let mut scanned = self.expire_step(env, now);
        if scanned.is_none() && self.is_sparse(env) {
            scanned = self.compact_step(env, now);
        }
        let scanned_bytes = scanned.unwrap_or(0);
        let expired = self.counts.expired - before;
        Maintained { expired, scanned_bytes, ..Maintained::default() }
    }

    /// Looks through the next segment that is due; returns its bytes, or `None` when none is.
    pub(crate) fn expire_step(&mut self, env: &Env, now: Now) -> Option<u64> {
        if self.next_scan > now.unix_secs() {
            return None;
        }
        self.settle_promoted();
        let last = self.segments.last_number();
        for _ in 0..last {
            self.scan_number = if self.scan_number >= last { 1 } else { self.scan_number + 1 };
            if let Some((id, segment)) = self.segments.with_records(self.scan_number)
                && segment.scan_at <= now.unix_secs()
            {
                let bytes = u64::from(segment.used);
                self.expire_segment(env, id, now);
                return Some(bytes);
            }
        }
        let scans = self.segments.iter().map(|(_, segment)| segment.scan_at);
        self.next_scan = scans.min().unwrap_or(u32::MAX);
        None
    }

    /// Removes the expired items of a segment but those of copies, and says when to look again.
    fn expire_segment(&mut self, env: &Env, id: SegmentId, now: Now) {
        let used = self.segments.at(id).used as usize;
        let mut ends = Ends::default();
        let mut offset = self.segments.at(id).records_at as usize;
        while offset < used {
            let bytes = &self.segments.at(id).data[offset..];
            let header = Header::read(bytes);
            let is_live = !header.has(mark::DEAD) && header.exptime != 0;
            if is_live && self.is_of_copy(env, &header, bytes) {
                // Its primary says when it goes.
            } else if is_live && header.is_expired(now) {
                let spot = self.spot_of(env, (id, offset), &header, bytes);
                self.remove(env, &spot, Removal::ExpiredInBackground);
                if self.segments.at(id).items == 0 {
                    // Freed, or kept for the rest of a record that starts elsewhere.
                    self.segments.at_mut(id).scan_at = u32::MAX;
                    return;
                }
            } else if is_live {
                ends.add(header.exptime - now.unix_secs(), header.record_len());
            }
            offset += header.record_len();
        }
        let segment = self.segments.at_mut(id);
        let wait = ends.seconds_until(segment.live / WORTH_DIVISOR);
        segment.scan_at = wait.map_or(u32::MAX, |wait| now.unix_secs().saturating_add(wait));
    }
}

/// Bytes that expire, by the power of two of the seconds until then.
#[derive(Default)]
struct Ends {
    bytes: [u32; 32],
}

impl Ends {
    fn add(&mut self, seconds: u32, len: usize) {
        let bytes = &mut self.bytes[seconds.max(1).ilog2() as usize];
        *bytes = bytes.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Seconds until this many bytes have expired, or all that ever will; `None` when none will.
    fn seconds_until(&self, worth: u32) -> Option<u32> {
        let mut sum = 0u32;
        let mut wait = None;
        for (power, bytes) in (1u32..).zip(self.bytes) {
            if bytes > 0 {
                sum = sum.saturating_add(bytes);
                wait = Some(1u32.checked_shl(power).unwrap_or(u32::MAX));
                if sum >= worth {
                    break;
                }
            }
        }
        wait
    }
}

#[cfg(test)]
impl Shard {
    pub(crate) fn expire_all(&mut self, env: &Env, now: Now) {
        for number in 1..=self.segments.last_number() {
            if let Some((id, _)) = self.segments.with_records(number) {
                self.expire_segment(env, id, now);
            }
        }
    }
}
