use crate::KeyHash;

/// Slots of a cache: the unit of ownership, replication and movement.
pub const SLOTS: u16 = 16_384;

/// One of the [`SLOTS`] of a cache; always below [`SLOTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(u16);

impl SlotId {
    /// The slot with this number; `None` from [`SLOTS`] on.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// The slot that owns a key: the low 14 bits of its hash.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the mask leaves 14 bits")]
    pub const fn of(hash: KeyHash) -> Self {
        Self((hash.bits() & (SLOTS as u64 - 1)) as u16)
    }

    /// The slot's number, below [`SLOTS`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Every slot in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }
}

const _: () = assert!(SLOTS.is_power_of_two(), "a slot is the low bits of a hash");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashSeed;

    #[test]
    fn a_slot_is_below_the_count() {
        assert_eq!(SlotId::new(SLOTS), None);
        assert_eq!(SlotId::new(SLOTS - 1).map(SlotId::number), Some(16_383));
        assert_eq!(SlotId::all().count(), 16_384);
    }

    #[test]
    fn keys_spread_evenly_over_slots() {
        let seed = HashSeed::new(1, 2);
        let mut keys = vec![0u32; usize::from(SLOTS)];
        for i in 0..SLOTS as u32 * 64 {
            let slot = SlotId::of(seed.hash(format!("user:{i}").as_bytes()));
            keys[usize::from(slot.number())] += 1;
        }
        let (least, most) = (keys.iter().min().unwrap(), keys.iter().max().unwrap());
        assert!(*least >= 25 && *most <= 115, "64 keys a slot expected, got {least} to {most}");
    }
}
