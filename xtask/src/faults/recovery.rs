use std::thread;
use std::time::{Duration, Instant};

use memtide_testkit::ZonedFleet;

/// Commands that each proxy answers between a fault and its end, at least.
const ANSWERED: u32 = 500;

/// How long it took until the fleet was whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovery {
    /// From the fault, without whoever was lost.
    pub without: Option<Duration>,
    /// From when it was there again, with it.
    pub again: Option<Duration>,
}

/// Has something be lost and come back: after the fleet is whole without it, and after so long at the earliest.
pub fn lost_and_back(
    fleet: &mut ZonedFleet,
    at_least: Duration,
    lose: impl FnOnce(&mut ZonedFleet),
    come_back: impl FnOnce(&mut ZonedFleet),
) -> Recovery {
    let began = Instant::now();
    lose(fleet);
    fleet.wait_whole();
    let without = Some(began.elapsed());
    thread::sleep(at_least.saturating_sub(began.elapsed()));
    fleet.wait_answered(ANSWERED);
    let again = Some(until_whole(fleet, come_back));
    Recovery { without, again }
}

/// Has something be away for so long, by which the fleet is not asked to be whole.
pub fn away(
    fleet: &mut ZonedFleet,
    time: Duration,
    lose: impl FnOnce(&mut ZonedFleet),
    come_back: impl FnOnce(&mut ZonedFleet),
) -> Recovery {
    lose(fleet);
    thread::sleep(time);
    Recovery { without: None, again: Some(until_whole(fleet, come_back)) }
}

/// Does it, and says how long it took from then until the fleet was whole.
pub fn until_whole(fleet: &mut ZonedFleet, act: impl FnOnce(&mut ZonedFleet)) -> Duration {
    let began = Instant::now();
    act(fleet);
    fleet.wait_whole();
    began.elapsed()
}
