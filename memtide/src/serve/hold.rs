//! Holds the proxy and the node of this process to the cache's limits, as they change.
//!
//! ```text
//! KeptLimits, the only proxy: follow ------------------------------> Limiter
//! scaler <-- report, 5 a second -- Holding (pure) -- its rate now -> Limiter
//!        --- grant ------------------>
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use memtide_limits::limits::{DATA_STORAGE_MAX_BYTES_MIN, REPORT_INTERVAL_NS};
use memtide_limits::{Grant, Holding, Limits, Report, Succession};
use memtide_proxy::Limiter;
use memtide_topology::EcpuUnits;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::behind::Behind;
use crate::limits::KeptLimits;

/// How a proxy among others comes by its part of the limit.
pub struct Granting {
    /// Whom this process follows.
    pub succession: Option<Succession>,
    /// Says what it wants.
    pub report: Box<dyn Fn(Report) + Send + Sync>,
    /// The newest answer.
    pub grants: watch::Receiver<Option<Grant>>,
}

/// What the task below knows; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_granted: AtomicBool,
    /// The cache's limit in ECPUs per second; 0 is none.
    ecpu_per_second_max: AtomicU64,
}

/// What a node in this process may have, but for the limits.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// All of it from the start.
    Fixed(u64),
    /// So much at most.
    Grows(u64),
}

/// What holds.
pub struct Hold {
    limiter: Limiter,
    pub held: Held,
}

impl Held {
    /// Whether clients can be served.
    ///
    /// # Errors
    /// What is missing, as a fragment.
    pub fn ready(&self) -> Result<(), String> {
        let is_granted = self.0.is_granted.load(Ordering::Relaxed);
        let why = || "waits for its part of the limit of ECPUs".to_owned();
        is_granted.then_some(()).ok_or_else(why)
    }

    /// The cache's limit of ECPUs per second, as it was heard last; 0 is none.
    pub fn ecpu_per_second_max(&self) -> u64 {
        self.0.ecpu_per_second_max.load(Ordering::Relaxed)
    }
}

impl Hold {
    /// Who shares the limit with nobody has all of it from the start.
    pub fn new(limiter: Limiter, granting: Option<&Granting>) -> Self {
        let held = Held::default();
        held.0.is_granted.store(granting.is_none(), Ordering::Relaxed);
        Self { limiter, held }
    }

    /// Runs for ever, by grants where others share the limit, and by the limits themselves where none
    /// does.
    pub async fn run(self, granting: Option<Granting>, limits: Option<KeptLimits>, memory: Memory) {
        match (granting, limits) {
            (Some(granting), _) => self.share(granting).await,
            (None, Some(limits)) => self.follow(&limits, memory).await,
            (None, None) => {}
        }
    }

    async fn follow(&self, limits: &KeptLimits, memory: Memory) {
        let mut changes = limits.follow();
        loop {
            let now = *changes.borrow_and_update();
            self.set(units(&now), units(&now));
            self.limiter.set_metered_bytes_min(limits.metered_bytes_min());
            // It is there: this process has no scaler.
            match memory {
                Memory::Fixed(most) => {
                    let _ = self.limiter.set_memory_max(memory_max(most, &now));
                }
                Memory::Grows(most) => self.limiter.set_memory_ceiling(memory_max(most, &now)),
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn share(&self, Granting { succession, report, mut grants }: Granting) {
        let mut holding = Holding::of(succession);
        let mut reports = interval(Duration::from_nanos(REPORT_INTERVAL_NS));
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_fed = true;
        loop {
            let term = holding
                .until(now())
                .map_or(Duration::MAX, |until| Duration::from_nanos(until.saturating_sub(now())));
            tokio::select! {
                _ = reports.tick() => report(holding.report(now(), self.limiter.demand())),
                changed = grants.changed(), if is_fed => {
                    is_fed = changed.is_ok();
                    let grant = *grants.borrow_and_update();
                    grant.into_iter().for_each(|grant| holding.take(grant));
                }
                // From then on it is less.
                () = sleep(term) => {}
            }
            self.set(holding.rate(now()), holding.limit());
            if holding.is_granted() && holding.rate(now()) != Some(0) {
                self.held.0.is_granted.store(true, Ordering::Relaxed);
            }
        }
    }

    fn set(&self, rate: Option<u64>, cache_max: Option<u64>) {
        self.limiter.set_ecpu_units_per_second(rate, cache_max);
        let ecpus = cache_max.unwrap_or_default() / EcpuUnits::ONE.units();
        self.held.0.ecpu_per_second_max.store(ecpus, Ordering::Relaxed);
    }
}

/// What a proxy may use before it is told: the limit, or nothing where it shares it with others.
pub fn units_at_start(behind: &Behind, limits: Option<&KeptLimits>) -> Option<u64> {
    match behind {
        Behind::Embedded => limits.and_then(|limits| units(&limits.now())),
        Behind::Joined { .. } | Behind::Processes { .. } => Some(0),
    }
}

/// What a node that has all of the cache holds at most.
pub fn memory_max(given: u64, limits: &Limits) -> u64 {
    limits.data_storage.max().map_or(given, |max| max.max(DATA_STORAGE_MAX_BYTES_MIN).min(given))
}

/// In 1/1024 ECPU per second.
fn units(limits: &Limits) -> Option<u64> {
    let max = limits.ecpu_per_second.max();
    max.map(|ecpus| ecpus.saturating_mul(EcpuUnits::ONE.units()))
}

/// On the clock of leases, which goes on while the machine is suspended.
fn now() -> u64 {
    u64::try_from(memtide_scaler::now().as_nanos()).unwrap_or(u64::MAX)
}
