//! The slots that take the most of a node, for the scaler.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use memtide_control::SlotUse;
use memtide_engine::Observer;
use memtide_topology::{EcpuUnits, SlotId};
use tokio::time::Instant;

/// How often it is looked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Slots of which it is said.
const SLOTS_MAX: usize = 32;
/// A slot whose part of the node's work is less, as a divisor, is not worth a walk over its items: its bytes
/// are said to be those of the node's slots on average.
const WALK_DIVISOR: u64 = 50;
/// How long the bytes that were found in a walk are taken for true.
const WALK_INTERVAL: Duration = Duration::from_secs(10);

/// What slots took until the last look.
pub struct SlotUses {
    observer: Observer,
    looked_at: Instant,
    /// By slot, in 1/1024 ECPU.
    units: Vec<u64>,
    /// Bytes of slots, and when they were found out.
    bytes: BTreeMap<SlotId, (u64, Instant)>,
    /// Whether the last that was said is that no slot takes anything; or nothing was said.
    is_idle_said: bool,
}

impl SlotUses {
    pub fn new(observer: Observer, now: Instant) -> Self {
        let units = observer.slot_units().collect();
        Self { observer, looked_at: now, units, bytes: BTreeMap::new(), is_idle_said: true }
    }

    /// What is to be said now, if anything: those that took the most since the last look, of the slots that this
    /// node is the primary of. That none took anything is said once.
    pub fn look(&mut self, now: Instant) -> Option<Vec<SlotUse>> {
        let passed = now.duration_since(self.looked_at);
        if passed < LOOK_INTERVAL {
            return None;
        }
        let units: Vec<u64> = self.observer.slot_units().collect();
        let before = std::mem::replace(&mut self.units, units);
        self.looked_at = now;
        let took: Vec<u64> =
            self.units.iter().zip(before).map(|(now, before)| now.wrapping_sub(before)).collect();
        let (all, busiest) = (took.iter().sum(), self.of_own(busiest(&took)));
        let uses = self.described(now, (passed, all), &busiest);
        let is_idle = uses.is_empty();
        let is_news = !(is_idle && self.is_idle_said);
        self.is_idle_said = is_idle;
        is_news.then_some(uses)
    }

    /// Those of the slots that this node is the primary of, the first [`SLOTS_MAX`].
    fn of_own(&self, busiest: Vec<(SlotId, u64)>) -> Vec<(SlotId, u64)> {
        let (Some(me), Some(topology)) = (self.observer.id(), self.observer.topology()) else {
            return Vec::new();
        };
        let is_own = |slot: SlotId| topology.slot(slot).primary == Some(me);
        busiest.into_iter().filter(|(slot, _)| is_own(*slot)).take(SLOTS_MAX).collect()
    }

    fn described(
        &mut self,
        now: Instant,
        (passed, all): (Duration, u64),
        busiest: &[(SlotId, u64)],
    ) -> Vec<SlotUse> {
        self.bytes.retain(|slot, (_, found_at)| {
            let is_busy = busiest.iter().any(|(busy, _)| busy == slot);
            is_busy && now.duration_since(*found_at) < WALK_INTERVAL
        });
        let mean = if busiest.is_empty() { 0 } else { self.mean_bytes() };
        let uses = busiest.iter().map(|&(slot, units)| {
            let bytes = match units >= all / WALK_DIVISOR {
                false => mean,
                true => {
                    let walk = || (self.observer.slot_bytes(slot), now);
                    self.bytes.entry(slot).or_insert_with(walk).0
                }
            };
            SlotUse { slot, bytes, ecpu: ecpu_per_second(units, passed) }
        });
        uses.filter(|it| it.ecpu > 0).collect()
    }

    /// Bytes of a slot that this node is the primary of, on average.
    fn mean_bytes(&self) -> u64 {
        let (store, topology) = (self.observer.usage().store, self.observer.topology());
        let me = self.observer.id();
        let own = topology.map_or(0, |it| it.slots().filter(|(_, at)| at.primary == me).count());
        let own_bytes = store.bytes.saturating_sub(store.copy_bytes);
        own_bytes.checked_div(own as u64).unwrap_or(0)
    }
}

/// Slots that took something, by slot, the busiest first.
fn busiest(took: &[u64]) -> Vec<(SlotId, u64)> {
    let mut busy: Vec<(SlotId, u64)> =
        SlotId::all().zip(took.iter().copied()).filter(|(_, units)| *units > 0).collect();
    busy.sort_unstable_by_key(|(slot, units)| (Reverse(*units), *slot));
    busy
}

fn ecpu_per_second(units: u64, passed: Duration) -> u64 {
    let per_second = u128::from(units) * 1_000_000 / passed.as_micros().max(1);
    u64::try_from(per_second / u128::from(EcpuUnits::ONE.units())).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_come_first() {
        let mut took = vec![0; 16_384];
        (took[7], took[3], took[16_383]) = (5, 9, 5);
        let found: Vec<_> =
            busiest(&took).into_iter().map(|(slot, units)| (slot.number(), units)).collect();
        assert_eq!(found, [(3, 9), (7, 5), (16_383, 5)]);
    }

    #[test]
    fn a_rate_is_of_the_time_that_passed() {
        let check = |ecpu: u64, millis, expected| {
            assert_eq!(ecpu_per_second(ecpu * 1024, Duration::from_millis(millis)), expected);
        };
        check(1000, 1000, 1000);
        check(1000, 1250, 800);
        check(0, 1000, 0);
        check(1, 2000, 0);
        check(u64::MAX / 1024, 1, u64::MAX / 1024 * 1000);
    }
}
