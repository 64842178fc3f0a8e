//! The spread of the connections over the cores, and their way from one to another.
//!
//! `plan` decides; [`run`] measures the cores for it and publishes orders; a connection that has
//! just answered a request looks whether its core has an order, and moves. Connections that say
//! nothing stay where they are and cost nothing.

mod machine;
mod plan;

use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::RuntimeMetrics;

use crate::core::Core;
use crate::counters::Counter;
use machine::{IdleCpus, Schedstat};
use plan::{Load, Move, Planner, TICK_MILLIS};

/// What a new connection adds to its core's busy share until it is measured, in thousandths of a
/// tick: a handshake is about 150 us.
const HANDSHAKE_SHARE: u32 = 3;

/// The state of the spread, which all cores read.
#[derive(Debug)]
pub struct Spread {
    /// The first so many cores serve.
    serving: AtomicUsize,
    /// The number of the current tick.
    tick: AtomicU32,
    cores: Box<[CoreSpread]>,
}

/// One core's part, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CoreSpread {
    thread: OnceLock<(RuntimeMetrics, Schedstat)>,
    /// Of the last tick, and what new connections add since.
    busy: AtomicU32,
    /// Connections that had a request or a handshake in a tick, summed over the ticks; the core
    /// writes it.
    active: Counter,
    /// 0, or to which core and how many connections are to move: see [`Order`].
    order: AtomicU64,
}

/// An order to a core's connections, as it lies in an atomic.
#[derive(Clone, Copy)]
struct Order {
    to: usize,
    left: u32,
}

impl Order {
    /// Not counted down.
    const ALL: u32 = u32::MAX;

    fn pack(self) -> u64 {
        if self.left == 0 { 0 } else { (self.to as u64) << 32 | u64::from(self.left) }
    }

    fn unpack(bits: u64) -> Option<Self> {
        let left = u32::try_from(bits & u64::from(u32::MAX)).expect("masked");
        let to = usize::try_from(bits >> 32).expect("it was one");
        (left > 0).then_some(Self { to, left })
    }

    fn taken(self) -> Self {
        Self { left: if self.left == Self::ALL { Self::ALL } else { self.left - 1 }, ..self }
    }
}

impl Spread {
    /// For so many cores, of which one serves at first.
    pub fn new(cores: usize) -> Self {
        Self {
            serving: AtomicUsize::new(1),
            tick: AtomicU32::new(0),
            cores: (0..cores).map(|_| CoreSpread::default()).collect(),
        }
    }

    /// A core has begun to run, on the thread that calls this.
    pub fn started(&self, core: usize, metrics: RuntimeMetrics) {
        self.cores[core].thread.get_or_init(|| (metrics, Schedstat::of_this_thread()));
    }

    /// How many cores serve.
    pub fn serving(&self) -> usize {
        self.serving.load(Ordering::Relaxed)
    }

    /// The core for a new connection: the one with the least to do among those that serve.
    pub fn place(&self) -> usize {
        let serving = &self.cores[..self.serving()];
        let busy = serving.iter().map(|core| core.busy.load(Ordering::Relaxed));
        let core = busy.enumerate().min_by_key(|&(_, busy)| busy).map_or(0, |(core, _)| core);
        self.cores[core].busy.fetch_add(HANDSHAKE_SHARE, Ordering::Relaxed);
        core
    }

    /// This core has shaken hands with a client, which is work as a request is.
    pub fn shook_hands(&self, core: usize) {
        self.cores[core].active.add(1);
    }

    /// A connection of this core has a request; `seen` is the connection's own memory of the tick
    /// in which it had one last.
    pub fn saw(&self, core: usize, seen: &mut u32) {
        let tick = self.tick.load(Ordering::Relaxed);
        if *seen != tick {
            *seen = tick;
            self.cores[core].active.add(1);
        }
    }

    /// Whether a connection of this core is to move, and where to. Each answer counts one.
    pub fn take_order(&self, core: usize) -> Option<usize> {
        let order = &self.cores[core].order;
        if order.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let take = |bits| Order::unpack(bits).map(|order| order.taken().pack());
        let taken = order.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Order::unpack(taken).map(|order| order.to)
    }

    fn carry_out(&self, serving: usize, moves: &[Move]) {
        // An order to a core that serves is for one tick: whoever is active shows up in it.
        for core in &self.cores[..serving] {
            core.order.store(0, Ordering::Relaxed);
        }
        self.serving.store(serving, Ordering::Relaxed);
        for &Move { from, to, connections } in moves {
            let order = Order { to, left: connections.unwrap_or(Order::ALL) };
            self.cores[from].order.store(order.pack(), Ordering::Relaxed);
        }
    }
}

/// Measures the cores and moves connections, on the core that calls it, for good.
pub async fn run(core: Rc<Core>) {
    let spread = &core.shared.spread;
    let mut planner = Planner::new(spread.cores.len());
    let mut meters: Vec<_> = spread.cores.iter().map(|_| Meter::default()).collect();
    let mut loads = vec![Load::default(); meters.len()];
    let mut idle_cpus = IdleCpus::default();
    let mut interval = tokio::time::interval(Duration::from_millis(TICK_MILLIS));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        interval.tick().await;
        let now = Instant::now();
        let passed = now.duration_since(last).max(Duration::from_millis(1));
        last = now;
        for ((core, meter), load) in spread.cores.iter().zip(&mut meters).zip(&mut loads) {
            *load = meter.read(core, passed);
            core.busy.store(load.busy, Ordering::Relaxed);
        }
        spread.tick.fetch_add(1, Ordering::Relaxed);
        let idle = if planner.wants_idle_cpus() { idle_cpus.sample(now) } else { Some(0) };
        let moves = planner.tick(&loads, idle);
        spread.carry_out(planner.serving(), &moves);
    }
}

/// What a core's running sums were when they were read last.
#[derive(Debug, Default)]
struct Meter {
    busy: Duration,
    active: u64,
    /// `None` where it was not hot, and so not asked for.
    waited: Option<Duration>,
}

impl Meter {
    fn read(&mut self, core: &CoreSpread, passed: Duration) -> Load {
        let Some((metrics, schedstat)) = core.thread.get() else { return Load::default() };
        let share = |now: Duration, then: Duration| {
            let share = now.saturating_sub(then).as_micros() * 1000 / passed.as_micros();
            u32::try_from(share.min(1000)).expect("at most 1000")
        };
        let (busy, active) = (metrics.worker_total_busy_duration(0), core.active.load());
        let mut load = Load {
            busy: share(busy, self.busy),
            active: u32::try_from(active.saturating_sub(self.active)).unwrap_or(u32::MAX),
            starved: 0,
        };
        let waited = if load.is_hot() { schedstat.waited() } else { None };
        if let (Some(now), Some(then)) = (waited, self.waited) {
            load.starved = share(now, then);
        }
        *self = Self { busy, active, waited };
        load
    }
}

#[cfg(test)]
mod journey;
#[cfg(test)]
mod tests;
