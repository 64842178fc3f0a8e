use std::time::Duration;

use memtide_scaler::Order;
use memtide_topology::Zone;

/// A process that ran this long has not failed to start: the next one may start at once.
const STEADY: Duration = Duration::from_secs(10);
/// The wait after the first of several that ended sooner; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Which node processes run, and which are to be started when.
///
/// ```text
///         next_start               ended, failed
/// Waits --------------> Runs(token) ------------> Waits until a backoff has passed
///   |                    |      | ended, drained
///   | end            end |      v
///   +-------> (gone)     |    (gone), or as if it had failed: `After`
///                        v
///                   Ends(token) --ended--> (gone)
/// ```
/// A seat is for a node that was ordered; each process on it has a token of its own. Pure: the time of a call
/// is an argument, counted from whatever moment.
#[derive(Debug)]
pub struct Roster {
    seats: Vec<Seat>,
    next_token: u64,
    drained: Drained,
}

/// What becomes of the seat of a process that has ended with success: it had given up its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// There are always as many: that is how to renew one.
    IsReplaced,
    /// It was one too many.
    IsGone,
}

#[derive(Debug)]
struct Seat {
    order: Order,
    state: State,
    /// How many in a row ended before they were [`STEADY`].
    quick_ends: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waits {
        until: Duration,
    },
    Runs {
        token: u64,
        since: Duration,
    },
    /// It was told to; what is left of it at that time is killed.
    Ends {
        token: u64,
        kill_at: Option<Duration>,
    },
}

/// A process that is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    pub token: u64,
    pub order: Order,
}

/// What becomes of a seat whose process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Another one is started, once this has passed.
    Replaced(Duration),
    /// There is no such seat any more.
    Gone,
}

/// Whether there is anything to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// No process runs for this instance.
    Done,
    /// This one is to be told to end.
    Begins(u64),
    /// This one was told before.
    GoesOn(u64),
}

impl Roster {
    /// A seat for each order, which waits to be started. Tokens count up from `first_token`.
    pub fn new(orders: Vec<Order>, drained: Drained, first_token: u64) -> Self {
        let mut roster = Self { seats: Vec::new(), next_token: first_token, drained };
        orders.into_iter().for_each(|order| roster.add(order));
        roster
    }

    /// Another seat, which waits to be started.
    pub fn add(&mut self, order: Order) {
        let state = State::Waits { until: Duration::ZERO };
        self.seats.push(Seat { order, state, quick_ends: 0 });
    }

    /// The seat of an instance: what was ordered, and whether it was told to end.
    pub fn find(&self, instance: &str) -> Option<(&Order, bool)> {
        let seat = self.seats.iter().find(|seat| seat.order.instance == instance)?;
        Some((&seat.order, matches!(seat.state, State::Ends { .. })))
    }

    /// The zones of all seats.
    pub fn zones(&self) -> Vec<Zone> {
        self.seats.iter().map(|seat| seat.order.zone.clone()).collect()
    }

    /// What a process that is started for an instance from now on begins with.
    pub fn set_memory(&mut self, instance: &str, memory: u64) {
        let seats = self.seats.iter_mut().filter(|seat| seat.order.instance == instance);
        seats.for_each(|seat| seat.order.memory = memory);
    }

    /// The next process to start now; it counts as running from here on.
    pub fn next_start(&mut self, now: Duration) -> Option<Start> {
        let is_due =
            |seat: &&mut Seat| matches!(seat.state, State::Waits { until } if until <= now);
        let seat = self.seats.iter_mut().find(is_due)?;
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        seat.state = State::Runs { token, since: now };
        Some(Start { token, order: seat.order.clone() })
    }

    /// An instance is not wanted any more. A process of it that has not ended by `kill_at` is to be killed.
    pub fn end(&mut self, instance: &str, kill_at: Duration) -> Ending {
        let Some(at) = self.seats.iter().position(|seat| seat.order.instance == instance) else {
            return Ending::Done;
        };
        match self.seats[at].state {
            State::Waits { .. } => {
                self.seats.remove(at);
                Ending::Done
            }
            State::Runs { token, .. } => {
                self.seats[at].state = State::Ends { token, kill_at: Some(kill_at) };
                Ending::Begins(token)
            }
            State::Ends { token, .. } => Ending::GoesOn(token),
        }
    }

    /// The next process that was to end and has not: it is to be killed now. Each is given once.
    pub fn next_kill(&mut self, now: Duration) -> Option<u64> {
        self.seats.iter_mut().find_map(|seat| match &mut seat.state {
            State::Ends { token, kill_at } if kill_at.is_some_and(|at| at <= now) => {
                *kill_at = None;
                Some(*token)
            }
            _ => None,
        })
    }

    /// The process with this token has ended, with success or not, or could not be started. `None` for a token that
    /// runs on no seat.
    pub fn ended(&mut self, now: Duration, token: u64, is_success: bool) -> Option<After> {
        let is_its = |seat: &Seat| match seat.state {
            State::Runs { token: its, .. } | State::Ends { token: its, .. } => its == token,
            State::Waits { .. } => false,
        };
        let at = self.seats.iter().position(is_its)?;
        let is_gone = is_success && self.drained == Drained::IsGone;
        let State::Runs { since, .. } = self.seats[at].state else { return self.gone(at) };
        if is_gone {
            return self.gone(at);
        }
        let seat = &mut self.seats[at];
        let backoff = if now.saturating_sub(since) >= STEADY {
            seat.quick_ends = 0;
            Duration::ZERO
        } else {
            let doubled = BACKOFF_MIN.saturating_mul(1 << seat.quick_ends.min(16));
            seat.quick_ends += 1;
            doubled.min(BACKOFF_MAX)
        };
        seat.state = State::Waits { until: now + backoff };
        Some(After::Replaced(backoff))
    }

    fn gone(&mut self, at: usize) -> Option<After> {
        self.seats.remove(at);
        Some(After::Gone)
    }

    /// When [`Self::next_start`] or [`Self::next_kill`] has something again, if nothing ends before.
    pub fn next_timeout(&self) -> Option<Duration> {
        let until = |seat: &Seat| match seat.state {
            State::Waits { until } => Some(until),
            State::Runs { .. } => None,
            State::Ends { kill_at, .. } => kill_at,
        };
        self.seats.iter().filter_map(until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn order(zone: &str, number: usize) -> Order {
        let (instance, zone) = (format!("i-{number}"), Zone::new(zone).unwrap());
        Order { instance, kind: String::new(), zone, memory: 1, is_spare: false }
    }

    fn roster(count: usize) -> Roster {
        let zones = ["a", "b", "c"].into_iter().cycle().take(count);
        let orders = zones.enumerate().map(|(number, zone)| order(zone, number)).collect();
        Roster::new(orders, Drained::IsReplaced, 7)
    }

    fn starts(roster: &mut Roster, now: Duration) -> Vec<(u64, String)> {
        std::iter::from_fn(|| roster.next_start(now))
            .map(|start| (start.token, start.order.zone.to_string()))
            .collect()
    }

    fn backoff(after: Option<After>) -> Duration {
        let Some(After::Replaced(backoff)) = after else { panic!("{after:?}") };
        backoff
    }

    #[test]
    fn all_that_were_ordered_are_started_once() {
        let mut roster = roster(4);
        let expected = [(7, "a"), (8, "b"), (9, "c"), (10, "a")];
        let expected = expected.map(|(token, zone)| (token, zone.to_owned()));
        assert_eq!(starts(&mut roster, Duration::ZERO), expected);
        assert_eq!((starts(&mut roster, SECOND), roster.next_timeout()), (vec![], None));
    }

    #[test]
    fn one_that_ran_for_long_is_replaced_at_once_in_its_zone() {
        for is_success in [false, true] {
            let mut roster = roster(3);
            starts(&mut roster, Duration::ZERO);
            assert_eq!(backoff(roster.ended(STEADY, 8, is_success)), Duration::ZERO);
            let start = roster.next_start(STEADY).unwrap();
            assert_eq!((start.token, start.order), (10, order("b", 1)));
            assert_eq!(roster.ended(STEADY, 8, false), None, "its successor has another token");
        }
    }

    #[test]
    fn ones_that_end_at_once_are_replaced_ever_more_slowly() {
        let mut roster = roster(1);
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for token in 7..20 {
            assert_eq!(starts(&mut roster, now).len(), 1);
            let wait = backoff(roster.ended(now, token, false));
            assert_eq!(roster.next_timeout(), Some(now + wait));
            assert_eq!(roster.next_start(now + wait - Duration::from_millis(1)), None);
            waits.push(wait.as_millis());
            now += wait;
        }
        let expected =
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000];
        assert_eq!(waits, expected);
        starts(&mut roster, now);
        assert_eq!(backoff(roster.ended(now + STEADY, 20, false)), Duration::ZERO);
        starts(&mut roster, now + STEADY);
        let after = roster.ended(now + STEADY, 21, false);
        assert_eq!(backoff(after), BACKOFF_MIN, "a new row begins");
    }

    #[test]
    fn one_that_was_drained_is_gone_where_the_fleet_shrinks() {
        let mut roster = Roster::new(vec![order("a", 1), order("b", 2)], Drained::IsGone, 7);
        starts(&mut roster, Duration::ZERO);
        assert_eq!(roster.ended(STEADY, 7, true), Some(After::Gone));
        assert_eq!((roster.find("i-1"), roster.zones().len()), (None, 1));
        assert_eq!(backoff(roster.ended(STEADY, 8, false)), Duration::ZERO, "it failed");
        assert_eq!(starts(&mut roster, STEADY), [(9, "b".to_owned())]);
        assert!(roster.find("i-2").is_some());
    }

    #[test]
    fn one_that_is_added_begins_with_the_memory_that_was_said_last() {
        let mut roster = roster(0);
        roster.add(order("c", 5));
        assert_eq!(roster.find("i-5"), Some((&order("c", 5), false)));
        assert_eq!(starts(&mut roster, SECOND), [(7, "c".to_owned())]);
        roster.set_memory("i-5", 9);
        roster.ended(SECOND, 7, false).unwrap();
        assert_eq!(roster.next_start(SECOND * 2).unwrap().order.memory, 9);
    }

    #[test]
    fn one_that_is_ended_is_killed_in_the_end_and_never_replaced() {
        let mut roster = roster(3);
        starts(&mut roster, Duration::ZERO);
        assert_eq!(roster.end("i-9", SECOND), Ending::Done, "there is none");
        assert_eq!(roster.end("i-1", SECOND), Ending::Begins(8));
        assert_eq!(roster.end("i-1", SECOND * 5), Ending::GoesOn(8));
        assert_eq!((roster.next_timeout(), roster.next_kill(SECOND / 2)), (Some(SECOND), None));
        assert!(roster.find("i-1").is_some_and(|(_, is_ending)| is_ending));
        assert_eq!((roster.next_kill(SECOND), roster.next_kill(SECOND)), (Some(8), None));
        assert_eq!((roster.next_timeout(), starts(&mut roster, SECOND)), (None, vec![]));
        assert_eq!(roster.ended(SECOND, 8, false), Some(After::Gone));
        assert_eq!(roster.end("i-1", SECOND), Ending::Done);
        // One that waits for its next process needs no more than to be forgotten.
        backoff(roster.ended(SECOND, 9, false));
        assert_eq!(roster.end("i-2", SECOND), Ending::Done);
        assert_eq!((starts(&mut roster, SECOND * 60), roster.zones().len()), (vec![], 1));
    }
}
