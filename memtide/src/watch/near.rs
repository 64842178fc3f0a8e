use std::collections::VecDeque;
use std::time::Duration;

use memtide_service::events::EventKind;
use tokio::time::Instant;

/// Of a limit: from here on it is told that much of it is used.
const NEAR_PERCENT: u128 = 75;
/// Below this it is told that less is; in between nothing is.
const EASED_PERCENT: u128 = 70;

/// Over how long work is averaged before it is compared with its limit.
const SPAN: Duration = Duration::from_secs(10);

/// Whether most of a limit is used.
#[derive(Debug, Default)]
pub struct Near(bool);

impl Near {
    /// What is to be told where `used` of `max` are; 0 is no limit.
    pub fn news(
        &mut self,
        limit: &str,
        used: u64,
        max: u64,
        unit: &str,
    ) -> Option<(EventKind, String)> {
        let percent = if max == 0 { 0 } else { u128::from(used) * 100 / u128::from(max) };
        let is_near = percent >= if self.0 { EASED_PERCENT } else { NEAR_PERCENT };
        if is_near == self.0 {
            return None;
        }
        self.0 = is_near;
        let kind = if is_near { EventKind::LimitNear } else { EventKind::LimitEased };
        let text = match max {
            0 => format!("{limit}: there is no limit any more"),
            max => format!("{limit}: {used} of {max} {unit} are used"),
        };
        Some((kind, text))
    }
}

/// What a counter was lately.
#[derive(Debug, Default)]
pub struct Used(VecDeque<(Instant, u64)>);

impl Used {
    /// How much it grows in a second, on average over the last ten; 0 until ten have been seen.
    pub fn per_second(&mut self, count: u64, now: Instant) -> u64 {
        self.0.push_back((now, count));
        // The newest that is ten seconds old stays.
        while self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN) {
            self.0.pop_front();
        }
        let Some((at, before)) = self.0.front() else { return 0 };
        let passed = now.duration_since(*at);
        if passed < SPAN {
            return 0;
        }
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let per_second = u128::from(count.saturating_sub(*before)) * 1_000 / u128::from(millis);
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }
}
