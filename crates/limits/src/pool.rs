use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memtide_topology::EcpuUnits;

use crate::bucket::Bucket;
use crate::limits::{
    BURST_NS_MAX, DRY_NS_MAX, DRY_NS_MIN, HELD_NS_MAX, LEASE_WAIT_PART, LEASES_NS_MAX, LENT_NS_MAX,
    SEAT_NS_MAX, UNTOLD_NS_MAX,
};

/// A proxy's bucket, shared by its cores.
///
/// A core does not look here for a command, but for a lease: some units at once, of which it then
/// pays by itself. So the lock is taken some thousand times a second in all, however many commands
/// there are.
///
/// ```text
/// charged <= rate * time + BURST + LEASES + LENT + the last command of each core, and its last one lent to
/// ```
///
/// While there is less than all leases hold, cores draw by the number of connections that
/// want something. Apart from that, units are lent for connections that have had less than others: whoever had
/// more waits until that is paid, too.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
    /// When it was first told what may be used, something or anything; [`UNTOLD`] before.
    told_at: AtomicU64,
}

const UNTOLD: u64 = u64::MAX;

/// What a proxy's cores wanted since they were asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Units charged.
    pub used_units: u64,
    /// Units that refused commands would have cost at the least.
    pub refused_units: u64,
    /// Time during which connections had to do without: while a part of those that want something is
    /// held back, that part of the time.
    pub dry_ns: u64,
    /// Connections that want something now, and at least 1.
    pub weight: u32,
}

/// What a core has to say when it comes for a lease.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask {
    pub core: usize,
    /// What is left of the last lease; what the core owes where it is negative.
    pub left: i64,
    /// What is left of what it might lend.
    pub lent_left: i64,
    /// Units charged since the core was here last; negative where more was given back that had been
    /// charged in advance.
    pub used: i64,
    /// See [`Demand::refused_units`].
    pub refused: u64,
    /// How many connections of the core want something.
    pub active: u32,
    /// How many of these are held back.
    pub held: u32,
}

/// What a core goes away with. It may besides charge `lent` for those that have had less than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// There is no limit.
    Unlimited,
    /// Units to spend.
    Units { units: u64, lent: u64 },
    /// Nothing: ask again at `until`.
    Dry { until: u64, lent: u64 },
}

#[derive(Debug)]
struct State {
    buckets: Option<Buckets>,
    seats: Box<[Seat]>,
    demand: Demand,
    /// Of what [`Demand::used_units`] has said before, what was given back since.
    given_back: u64,
    dry: Option<Dry>,
}

/// What there is, and of that what may be lent in advance.
#[derive(Debug)]
struct Buckets {
    units: Bucket,
    lent: Bucket,
}

/// A core, as it was here last.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    at: Option<u64>,
    active: u32,
    held: u32,
    /// While units are short: the core's part of what came, less what it drew and owed.
    balance: i64,
}

/// The cores do without since then; they were told to come again at `until`.
#[derive(Clone, Copy, Debug)]
struct Dry {
    since: u64,
    until: u64,
}

impl Pool {
    /// For so many cores, with a full bucket; a rate of `None` is no limit, one of 0 is not known yet.
    #[must_use]
    pub fn new(rate: Option<u64>, cores: usize, now: u64) -> Self {
        let state = State {
            buckets: rate.map(|rate| Buckets::new(rate, now)),
            seats: vec![Seat::default(); cores.max(1)].into(),
            demand: Demand::default(),
            given_back: 0,
            dry: None,
        };
        let told_at = if rate == Some(0) { UNTOLD } else { now };
        Self { state: Mutex::new(state), told_at: AtomicU64::new(told_at) }
    }

    /// Changes the rate in place. Cores act on it when their leases are used up, and at the latest
    /// after [`crate::limits::LEASE_TERM_NS_MAX`]. A debt stays; where there was no limit, the bucket
    /// begins empty, so that a change gives nobody a burst.
    pub fn set_rate(&self, now: u64, rate: Option<u64>) {
        let mut state = self.state();
        if rate != Some(0) && self.told_at.load(Ordering::Relaxed) == UNTOLD {
            self.told_at.store(now, Ordering::Relaxed);
        }
        match (&mut state.buckets, rate) {
            (Some(buckets), Some(rate)) => {
                buckets.units.set_rate(now, rate);
                buckets.lent.set_rate(now, rate);
            }
            (buckets, None) => *buckets = None,
            (buckets, Some(rate)) => {
                let mut new = Buckets::new(rate, now);
                new.units.take(now, u64::MAX);
                *buckets = Some(new);
            }
        }
    }

    /// The rate in force, in units per second.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.state().buckets.as_ref().map(|buckets| buckets.units.rate())
    }

    /// Whether it was told what may be used.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told_at.load(Ordering::Relaxed) != UNTOLD
    }

    /// Until when a command is held back that was read then, before it is refused; later while nothing was told, as it is
    /// not known then that there is too little, nor that there is a limit.
    pub(crate) fn held_until(&self, read_at: u64, now: u64) -> u64 {
        match self.told_at.load(Ordering::Relaxed) {
            // It is looked again then.
            UNTOLD => read_at.saturating_add(UNTOLD_NS_MAX).min(now.saturating_add(HELD_NS_MAX)),
            told_at => read_at.max(told_at).saturating_add(HELD_NS_MAX),
        }
    }

    /// What was wanted since the last call.
    #[must_use]
    pub fn demand(&self, now: u64) -> Demand {
        let mut state = self.state();
        state.count_dry(now);
        let active = state.seats_taken(now).map(|seat| seat.active).fold(0, u32::saturating_add);
        Demand { weight: active.max(1), ..std::mem::take(&mut state.demand) }
    }

    pub(crate) fn draw(&self, now: u64, ask: &Ask) -> Drawn {
        let mut state = self.state();
        state.settle(now, ask);
        state.draw(now, ask)
    }

    /// As [`Self::draw`], and nothing is drawn.
    pub(crate) fn settle(&self, now: u64, ask: &Ask) {
        self.state().settle(now, ask);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets {
    fn new(rate: u64, now: u64) -> Self {
        Self {
            units: Bucket::new(rate, BURST_NS_MAX, now),
            lent: Bucket::new(rate, LENT_NS_MAX, now),
        }
    }
}

impl State {
    fn settle(&mut self, now: u64, ask: &Ask) {
        let used = self.demand.used_units.saturating_add_signed(ask.used.max(0));
        let back = self.given_back.saturating_add(ask.used.min(0).unsigned_abs());
        // What is given back after it was told is not told of what comes next.
        let paid = back.min(used);
        (self.demand.used_units, self.given_back) = (used - paid, back - paid);
        self.demand.refused_units = self.demand.refused_units.saturating_add(ask.refused);
        self.take_seat(now, ask);
        self.count_dry(now);
        let Some(Buckets { units, lent }) = &mut self.buckets else { return };
        put_back(units, now, ask.left);
        put_back(lent, now, ask.lent_left);
    }

    fn draw(&mut self, now: u64, ask: &Ask) -> Drawn {
        let cores = self.seats.len() as u64;
        let part = self.part_of(ask.active, now);
        let Some(Buckets { units, lent }) = &mut self.buckets else { return Drawn::Unlimited };
        let total = units_in(units.rate(), LEASES_NS_MAX);
        let most = (total / cores).max(EcpuUnits::ONE.units());
        let lent = lent.take(now, most);
        let is_short = units.balance(now) < signed(total);
        let seat = self.seats.get_mut(ask.core).filter(|_| is_short && part.all > part.own);
        let may = seat.as_ref().map_or(most, |seat| most.min(unsigned(seat.balance)));
        let taken = units.take(now, may);
        if let Some(seat) = seat {
            seat.balance -= signed(taken);
        }
        if taken > 0 {
            self.dry = None;
            return Drawn::Units { units: taken, lent };
        }
        let enough = most.div_ceil(LEASE_WAIT_PART);
        let wait = units.ns_until(now, enough).unwrap_or(DRY_NS_MAX);
        let wait = wait.clamp(DRY_NS_MIN, DRY_NS_MAX);
        let until = now.saturating_add(wait);
        let since = self.dry.map_or(now, |dry| dry.since);
        self.dry = Some(Dry { since, until });
        Drawn::Dry { until, lent }
    }

    /// Notes who is here, and gives the core its part of what came since it was here last.
    fn take_seat(&mut self, now: u64, ask: &Ask) {
        let Some(before) = self.seats.get(ask.core).copied() else { return };
        if let Some(seat) = self.seats.get_mut(ask.core) {
            *seat = Seat { at: Some(now), active: ask.active, held: ask.held, ..before };
        }
        let part = self.part_of(ask.active, now);
        let Some(Buckets { units, .. }) = &mut self.buckets else { return };
        let total = signed(units_in(units.rate(), LEASES_NS_MAX));
        let passed = now.saturating_sub(before.at.unwrap_or(now)).min(SEAT_NS_MAX);
        let came = signed(part.of(units_in(units.rate(), passed)));
        let is_short = units.balance(now) < total;
        if let Some(seat) = self.seats.get_mut(ask.core) {
            let balance = seat.balance.saturating_add(came).saturating_add(ask.left);
            seat.balance = if is_short { balance.min(total) } else { 0 };
        }
    }

    /// Which part of what is there a core gets that has so many connections.
    fn part_of(&self, active: u32, now: u64) -> Part {
        let all = self.seats_taken(now).map(|seat| u64::from(seat.active.max(1))).sum();
        Part { own: u64::from(active.max(1)), all }
    }

    fn seats_taken(&self, now: u64) -> impl Iterator<Item = &Seat> {
        self.seats
            .iter()
            .filter(move |seat| seat.at.is_some_and(|at| now.saturating_sub(at) <= SEAT_NS_MAX))
    }

    /// Counts the time of doing without; where nobody has come again, it ended by itself.
    fn count_dry(&mut self, now: u64) {
        let Some(dry) = self.dry else { return };
        let end = dry.until.saturating_add(DRY_NS_MAX);
        let passed = now.min(end).saturating_sub(dry.since);
        let held = self.seats_taken(now).map(|seat| u64::from(seat.held)).sum();
        let active: u64 =
            self.seats_taken(now).map(|seat| u64::from(seat.active.max(seat.held))).sum();
        self.demand.dry_ns += Part { own: held, all: active.max(1) }.of(passed);
        self.dry = (now <= end).then_some(Dry { since: now.max(dry.since), ..dry });
    }
}

#[derive(Clone, Copy, Debug)]
struct Part {
    own: u64,
    all: u64,
}

impl Part {
    fn of(self, units: u64) -> u64 {
        let part = u128::from(units) * u128::from(self.own) / u128::from(self.all.max(self.own));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

fn put_back(bucket: &mut Bucket, now: u64, left: i64) {
    match u64::try_from(left) {
        Ok(left) => bucket.give_back(now, left),
        Err(_) => bucket.charge(now, EcpuUnits::from_units(left.unsigned_abs())),
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

fn unsigned(units: i64) -> u64 {
    u64::try_from(units).unwrap_or(0)
}

/// What a rate gives in this time, rounded down.
pub(crate) fn units_in(rate: u64, ns: u64) -> u64 {
    u64::try_from(u128::from(rate) * u128::from(ns) / 1_000_000_000).unwrap_or(u64::MAX)
}
