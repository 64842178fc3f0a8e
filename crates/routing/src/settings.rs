use core::time::Duration;

use memtide_topology::Zone;

/// How many bits of a request's number are its place among the outstanding ones.
pub const INDEX_BITS: u32 = 20;

/// The bounds of a [`Router`](crate::Router), and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a request may take, from its submission to its refusal.
    pub patience: Duration,
    /// How long the primary before the present one may take to answer what it was sent, before
    /// that is sent to the present one too. Well above a round trip: who lives answers or refuses.
    pub grace: Duration,
    /// The pause before the first try that nothing new suggests; doubles with each further one.
    pub pause_min: Duration,
    /// The longest pause between two tries.
    pub pause_max: Duration,
    /// Requests that may be unanswered at once, at most 2^[`INDEX_BITS`].
    pub outstanding_max: usize,
    /// Requests that may be unanswered in a slot to which nothing can be sent at the moment.
    pub queued_per_slot_max: usize,
    /// The zone of the proxy, whose copies are preferred; `None` where it has no name.
    pub zone: Option<Zone>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            grace: Duration::from_millis(200),
            pause_min: Duration::from_millis(1),
            pause_max: Duration::from_millis(64),
            outstanding_max: 65_536,
            queued_per_slot_max: 4_096,
            zone: None,
        }
    }
}

impl Settings {
    /// The pause before the next try, when `fruitless` tries came before it in vain.
    pub(crate) fn pause(&self, fruitless: u32) -> Duration {
        let doubled =
            self.pause_min.saturating_mul(1u32.checked_shl(fruitless).unwrap_or(u32::MAX));
        doubled.min(self.pause_max)
    }
}

const _: () = assert!(INDEX_BITS < u32::BITS, "a place is a u32, and one more says `none`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let settings = Settings::default();
        let pauses = [0, 1, 5, 6, 7, 31, 32, u32::MAX].map(|n| settings.pause(n).as_millis());
        assert_eq!(pauses, [1, 2, 32, 64, 64, 64, 64, 64]);
    }
}
