//! The decision which cores serve, as a pure function of what they did lately.
//!
//! A core that serves now and then pays for a sleep and a wake-up with nearly each request, which
//! costs several times the request itself; one that is half busy finds several requests each time
//! it looks. So connections gather on as few cores as carry them, and spread when these get busy
//! and the machine has an idle CPU for another: docs/design/0006.

/// A tick is how often the cores are looked at.
pub const TICK_MILLIS: u64 = 50;
/// Busy share of a tick from which a core is hot, in thousandths.
const HOT: u32 = 800;
/// Ticks in a row that make a core hot.
const HOT_TICKS: u32 = 2;
/// Idle CPUs, in thousandths of one, that another core must find.
const IDLE_WANTED: u32 = 500;
/// Share of a tick, in thousandths, that a core waited for a CPU and so is starved: then others want
/// the CPUs too, and a second thread gets a second share of them.
const STARVED: u32 = 200;
/// Idle CPUs below which the machine is full.
const IDLE_NONE: u32 = 100;
/// What the remaining cores may be busy on average after one of them retires.
const CALM: u32 = 600;
/// The same on a full machine, over all but one: there each core less is a wake-up less.
const CROWDED_OVER: u32 = 250;
/// Ticks in a row before a core retires: a second.
const CALM_TICKS: u32 = 20;
/// Busier than the calmest core by this much, a hot core gives connections away.
const UNEVEN: u32 = 300;
/// Ticks after a change in which its effect is awaited.
const SETTLE_TICKS: u32 = 2;
/// A retirement on a full machine that is undone within so many ticks was wrong.
const REGRET_TICKS: u32 = 40;
/// Longest wait for the next such try: about a minute.
const PATIENCE_TICKS_MAX: u32 = 64 * CALM_TICKS;

/// What a core did in the last tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Share of the time that it was not waiting for work, in thousandths.
    pub busy: u32,
    /// Connections that had a request, or a handshake.
    pub active: u32,
    /// Share of the time that it could run and had no CPU, in thousandths; known of hot cores.
    pub starved: u32,
}

impl Load {
    /// Whether it had work nearly all the time.
    pub fn is_hot(&self) -> bool {
        self.busy >= HOT
    }
}

/// Connections to be handed from one core to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The core that has them.
    pub from: usize,
    /// The core that takes them.
    pub to: usize,
    /// How many at most; `None` is each that shows up, for good.
    pub connections: Option<u32>,
}

/// Decides tick by tick. The cores that serve are always the first ones.
#[derive(Debug)]
pub struct Planner {
    cores: usize,
    serving: usize,
    /// For each core, the ticks in a row that it was hot.
    hot: Vec<u32>,
    calm_ticks: u32,
    crowded_ticks: u32,
    /// Ticks until a change is judged.
    settling: u32,
    /// Crowded ticks before a retirement is tried.
    patience: u32,
    /// Ticks since the last such retirement.
    since_try: Option<u32>,
}

impl Planner {
    /// One core of `cores` serves at first.
    pub fn new(cores: usize) -> Self {
        Self {
            cores,
            serving: 1,
            hot: vec![0; cores],
            calm_ticks: 0,
            crowded_ticks: 0,
            settling: 0,
            patience: CALM_TICKS,
            since_try: None,
        }
    }

    /// How many cores serve.
    pub fn serving(&self) -> usize {
        self.serving
    }

    /// Whether the next decision depends on the idle CPUs, which are not to be asked for in vain.
    pub fn wants_idle_cpus(&self) -> bool {
        self.cores > 1 && (self.serving > 1 || self.hot[0] > 0)
    }

    /// One tick: what to move, at most one order for each core that gives. `loads` has one entry a
    /// core; `idle_cpus` is in thousandths of a CPU of the machine, `None` where nobody knows, which
    /// counts as enough.
    pub fn tick(&mut self, loads: &[Load], idle_cpus: Option<u32>) -> Vec<Move> {
        for (hot, load) in self.hot.iter_mut().zip(loads) {
            *hot = if load.is_hot() { *hot + 1 } else { 0 };
        }
        self.since_try = self.since_try.map(|ticks| ticks + 1);
        if self.since_try.is_some_and(|ticks| ticks > REGRET_TICKS) {
            (self.since_try, self.patience) = (None, CALM_TICKS);
        }
        if self.settling > 0 {
            self.settling -= 1;
            return Vec::new();
        }
        let mut moves = self.widen(loads, idle_cpus);
        if moves.is_empty() {
            moves = self
                .even_out(loads)
                .or_else(|| self.narrow(loads, idle_cpus))
                .into_iter()
                .collect();
        }
        if !moves.is_empty() {
            (self.settling, self.calm_ticks, self.crowded_ticks) = (SETTLE_TICKS, 0, 0);
        }
        moves
    }

    /// Each hot core shares with one that did not serve, as far as there are idle CPUs or it has to
    /// fight for one anyway.
    fn widen(&mut self, loads: &[Load], idle_cpus: Option<u32>) -> Vec<Move> {
        let mut room = idle_cpus.map_or(usize::MAX, |idle| (idle / IDLE_WANTED) as usize);
        let mut may_share = |core: &usize| {
            let is_due = self.is_hot(*core) && loads[*core].active > 1;
            if !is_due || loads[*core].starved >= STARVED {
                return is_due;
            }
            let has_room = room > 0;
            room = room.saturating_sub(1);
            has_room
        };
        let hot = (0..self.serving).filter(|core| may_share(core));
        let pairs: Vec<_> = hot.zip(self.serving..self.cores).collect();
        if pairs.is_empty() {
            return Vec::new();
        }
        self.serving += pairs.len();
        if self.since_try.take().is_some() {
            self.patience = (2 * self.patience).min(PATIENCE_TICKS_MAX);
        }
        let half = |from: usize| Some(loads[from].active / 2);
        pairs.into_iter().map(|(from, to)| Move { from, to, connections: half(from) }).collect()
    }

    /// The hottest core gives to the calmest what makes them alike.
    fn even_out(&self, loads: &[Load]) -> Option<Move> {
        let from = (0..self.serving).max_by_key(|&core| loads[core].busy)?;
        let to = self.calmest(loads, self.serving)?;
        let (hot, calm) = (loads[from], loads[to]);
        if !self.is_hot(from) || hot.active < 2 || hot.busy < calm.busy + UNEVEN {
            return None;
        }
        let share = u64::from(hot.active) * u64::from(hot.busy - calm.busy);
        let connections = u32::try_from(share / u64::from(2 * hot.busy)).ok()?.max(1);
        Some(Move { from, to, connections: Some(connections) })
    }

    /// The last core retires when the others can do its work.
    fn narrow(&mut self, loads: &[Load], idle_cpus: Option<u32>) -> Option<Move> {
        let others = u32::try_from(self.serving - 1).ok()?;
        if others == 0 {
            return None;
        }
        let busy: u32 = loads[..self.serving].iter().map(|load| load.busy).sum();
        let count = |ticks: u32, holds: bool| if holds { ticks + 1 } else { 0 };
        let is_full = idle_cpus.is_some_and(|idle| idle < IDLE_NONE);
        self.calm_ticks = count(self.calm_ticks, busy <= CALM * others);
        self.crowded_ticks =
            count(self.crowded_ticks, is_full && busy <= 1000 * others + CROWDED_OVER);
        let is_try = self.crowded_ticks >= self.patience;
        if !is_try && self.calm_ticks < CALM_TICKS {
            return None;
        }
        if is_try {
            self.since_try = Some(0);
        }
        self.serving -= 1;
        let to = self.calmest(loads, self.serving)?;
        Some(Move { from: self.serving, to, connections: None })
    }

    fn is_hot(&self, core: usize) -> bool {
        self.hot[core] >= HOT_TICKS
    }

    fn calmest(&self, loads: &[Load], among: usize) -> Option<usize> {
        (0..among).min_by_key(|&core| loads[core].busy)
    }
}

#[cfg(test)]
mod tests;
