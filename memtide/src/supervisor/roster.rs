use std::time::Duration;

use memtide_topology::Zone;

/// A process that ran this long has not failed to start: the next one may start at once.
const STEADY: Duration = Duration::from_secs(10);
/// The wait after the first of several that ended sooner; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Which node processes run, and which are to be started when.
///
/// ```text
///            next_start                    ended
///   Waits ----------------> Runs(token) ------------> Waits until a backoff has passed
/// ```
/// A seat is a place in a zone; each process on it has a token of its own. Pure: the time of a call
/// is an argument, counted from whatever moment.
#[derive(Debug)]
pub struct Roster {
    seats: Vec<Seat>,
    next_token: u64,
}

#[derive(Debug)]
struct Seat {
    zone: Zone,
    state: State,
    /// How many in a row ended before they were [`STEADY`].
    quick_ends: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits { until: Duration },
    Runs { token: u64, since: Duration },
}

/// A process that is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub token: u64,
    pub zone: Zone,
}

impl Roster {
    /// `count` seats over the `zones` in turn, which are not empty; every one waits to be started. Tokens count up from
    /// `first_token`.
    pub fn new(count: usize, zones: &[Zone], first_token: u64) -> Self {
        let state = State::Waits { until: Duration::ZERO };
        let seats = zones.iter().cycle().take(count);
        let seats = seats.map(|zone| Seat { zone: zone.clone(), state, quick_ends: 0 }).collect();
        Self { seats, next_token: first_token }
    }

    /// The next process to start now; it counts as running from here on.
    pub fn next_start(&mut self, now: Duration) -> Option<Start> {
        let is_due =
            |seat: &&mut Seat| matches!(seat.state, State::Waits { until } if until <= now);
        let seat = self.seats.iter_mut().find(is_due)?;
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        seat.state = State::Runs { token, since: now };
        Some(Start { token, zone: seat.zone.clone() })
    }

    /// The process with this token has ended, or could not be started. Gives how long its seat waits now; `None` for a token that
    /// runs on no seat.
    pub fn ended(&mut self, now: Duration, token: u64) -> Option<Duration> {
        let runs = |seat: &Seat| match seat.state {
            State::Runs { token: its, since } if its == token => Some(since),
            _ => None,
        };
        let (seat, since) =
            self.seats.iter_mut().find_map(|seat| runs(seat).map(|since| (seat, since)))?;
        let backoff = if now.saturating_sub(since) >= STEADY {
            seat.quick_ends = 0;
            Duration::ZERO
        } else {
            let doubled = BACKOFF_MIN.saturating_mul(1 << seat.quick_ends.min(16));
            seat.quick_ends += 1;
            doubled.min(BACKOFF_MAX)
        };
        seat.state = State::Waits { until: now + backoff };
        Some(backoff)
    }

    /// When [`Self::next_start`] has something again, if nothing ends before.
    pub fn next_timeout(&self) -> Option<Duration> {
        let until = |seat: &Seat| match seat.state {
            State::Waits { until } => Some(until),
            State::Runs { .. } => None,
        };
        self.seats.iter().filter_map(until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn roster(count: usize) -> Roster {
        let zones = ["a", "b", "c"].map(|name| Zone::new(name).unwrap());
        Roster::new(count, &zones, 7)
    }

    fn starts(roster: &mut Roster, now: Duration) -> Vec<(u64, String)> {
        std::iter::from_fn(|| roster.next_start(now))
            .map(|start| (start.token, start.zone.to_string()))
            .collect()
    }

    #[test]
    fn zones_are_filled_in_turn() {
        let mut roster = roster(4);
        let expected = [(7, "a"), (8, "b"), (9, "c"), (10, "a")];
        let expected = expected.map(|(token, zone)| (token, zone.to_owned()));
        assert_eq!(starts(&mut roster, Duration::ZERO), expected);
        assert_eq!((starts(&mut roster, SECOND), roster.next_timeout()), (vec![], None));
    }

    #[test]
    fn one_that_ran_for_long_is_replaced_at_once_in_its_zone() {
        let mut roster = roster(3);
        starts(&mut roster, Duration::ZERO);
        assert_eq!(roster.ended(STEADY, 8), Some(Duration::ZERO));
        assert_eq!(starts(&mut roster, STEADY), [(10, "b".to_owned())]);
        assert_eq!(roster.ended(STEADY, 8), None, "its successor has another token");
    }

    #[test]
    fn ones_that_end_at_once_are_replaced_ever_more_slowly() {
        let mut roster = roster(1);
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for token in 7..20 {
            assert_eq!(starts(&mut roster, now).len(), 1);
            let wait = roster.ended(now, token).unwrap();
            assert_eq!(roster.next_timeout(), Some(now + wait));
            assert_eq!(roster.next_start(now + wait - Duration::from_millis(1)), None);
            waits.push(wait.as_millis());
            now += wait;
        }
        let expected =
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000];
        assert_eq!(waits, expected);
        starts(&mut roster, now);
        assert_eq!(roster.ended(now + STEADY, 20), Some(Duration::ZERO));
        starts(&mut roster, now + STEADY);
        assert_eq!(roster.ended(now + STEADY, 21), Some(BACKOFF_MIN), "a new row begins");
    }
}
