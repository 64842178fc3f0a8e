//! What all cores share: configuration, the store, the counters' owners and the way to stop.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use memtide_engine_core::{Now, Store, StoreConfig, StoreStats};
use memtide_protocol::encode;
use memtide_service::drain::DrainWatch;
use memtide_topology::HashSeed;

use crate::admission::{Guest, Port};
use crate::config::{Backend, EmbeddedBackend, ProxyConfig};
use crate::counters::{CoreCounters, Totals};
use crate::door::{Door, DoorSettings, Refusal, Seat};
use crate::fleet::View;
use crate::limits;
use crate::spread::Spread;
use crate::stats::{self, Summary};
use crate::throttle::EcpuLimit;

/// See the module.
pub struct Shared {
    /// As the program resolved it.
    pub config: ProxyConfig,
    nodes: Nodes,
    /// Whether to stop.
    pub drain: DrainWatch,
    /// One a core.
    pub counters: Vec<Arc<CoreCounters>>,
    /// Open connections within the maximum.
    open_connections: AtomicUsize,
    /// What the cache may use.
    pub ecpu_limit: EcpuLimit,
    /// Which cores serve.
    pub spread: Spread,
    /// When each core's ticker ran last, in milliseconds of uptime.
    ticked_millis: Vec<AtomicU64>,
    /// Connections accepted.
    pub connections_total: AtomicU64,
    /// Connections over the maximum.
    pub connections_rejected: AtomicU64,
    /// Connections that are being told of the maximum.
    pub rejecting: AtomicUsize,
    /// The first address of the primary port, as bound.
    pub primary_port: std::sync::OnceLock<u16>,
    started: Instant,
    /// Who is let in.
    pub door: Door,
    handshakes: Option<DefaultDirectRateLimiter>,
    /// Connections that wait for their turn.
    handshakes_waiting: AtomicUsize,
    /// What `stats reset` forgot.
    stats_baseline: Mutex<(Totals, StoreStats)>,
    /// Byte-seconds of stored data, metered.
    metered: Mutex<Metered>,
}

/// Where the items are.
enum Nodes {
    Embedded(Box<Embedded>),
    Fleet(View),
}

/// The node in this process.
pub struct Embedded {
    /// Its items.
    pub store: Store,
    /// What places them.
    pub seed: HashSeed,
    /// Data is metered as at least so many bytes.
    pub metered_bytes_min: AtomicU64,
}

/// The integral of the stored bytes over time.
#[derive(Debug)]
struct Metered {
    byte_millis: u128,
    /// Up to when time is counted.
    sampled: Instant,
}

impl Metered {
    /// Counts these bytes from the last sample until now. Takes whole milliseconds; what is left
    /// over counts with the next sample, so that frequent samples lose nothing.
    fn sample(&mut self, bytes: u64, now: Instant) {
        let millis = now.saturating_duration_since(self.sampled).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.byte_millis += u128::from(bytes) * u128::from(millis);
        self.sampled += Duration::from_millis(millis);
    }
}

/// An accepted connection's place, given back on drop.
pub struct Place {
    shared: Arc<Shared>,
    is_served: bool,
    /// Its place among those of its address, where these are counted.
    seat: Option<Seat>,
}

impl Place {
    /// Whether the connection is within the maximum; otherwise it is to be told so.
    pub fn is_served(&self) -> bool {
        self.is_served
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Shared { open_connections, rejecting, .. } = &*self.shared;
        let taken = if self.is_served { open_connections } else { rejecting };
        taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one who waits, also where it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// The state of a proxy that is about to start.
    pub fn new(config: ProxyConfig, drain: DrainWatch) -> Self {
        let nodes = match &config.backend {
            &Backend::Embedded(embedded) => {
                let EmbeddedBackend { memory_max, memory_capacity, seed, .. } = embedded;
                let store = StoreConfig::new(memory_max, seed);
                let item_size_max = config.item_size_max;
                let store = Store::new(StoreConfig { item_size_max, memory_capacity, ..store });
                if embedded.memory_ceiling > 0 {
                    store.set_memory_ceiling(embedded.memory_ceiling);
                }
                let metered_bytes_min = AtomicU64::new(embedded.metered_bytes_min);
                Nodes::Embedded(Box::new(Embedded { store, seed, metered_bytes_min }))
            }
            Backend::Fleet(_) => Nodes::Fleet(View::new(config.threads)),
        };
        let quota = |rate: NonZeroU32| RateLimiter::direct(Quota::per_second(rate));
        Self {
            nodes,
            drain,
            counters: (0..config.threads).map(|_| Arc::default()).collect(),
            ecpu_limit: EcpuLimit::new(config.ecpu_units_per_second_max, config.threads),
            spread: Spread::new(config.threads),
            open_connections: AtomicUsize::new(0),
            ticked_millis: (0..config.threads).map(|_| AtomicU64::new(0)).collect(),
            connections_total: AtomicU64::new(0),
            connections_rejected: AtomicU64::new(0),
            rejecting: AtomicUsize::new(0),
            primary_port: std::sync::OnceLock::new(),
            started: Instant::now(),
            door: Door::new(DoorSettings::default()),
            handshakes: config.handshakes_per_second_max.map(quota),
            handshakes_waiting: AtomicUsize::new(0),
            stats_baseline: Mutex::default(),
            metered: Mutex::new(Metered { byte_millis: 0, sampled: Instant::now() }),
            config,
        }
    }

    /// Takes a place for a connection, or one to be told that there is none; `None` where too many
    /// are being told already.
    ///
    /// Only the accepting thread calls this, so no count can grow between the check and the step.
    ///
    /// # Errors
    /// Why it is to be closed unheard; it is counted.
    pub fn let_in(
        self: &Arc<Self>,
        port: Port,
        peer: SocketAddr,
    ) -> Result<Option<Guest>, Refusal> {
        self.connections_total.fetch_add(1, Ordering::Relaxed);
        let is_announced = self.door.is_balancer(peer.ip());
        let entered = if self.is_crowded() {
            Err(Refusal::Handshakes)
        } else if is_announced {
            Ok(None)
        } else {
            self.door.enter(port, peer.ip())
        };
        let seat = entered.inspect_err(|why| self.door.refuse(*why))?;
        Ok(self.place(seat).map(|place| Guest { port, peer, is_announced, place }))
    }

    /// Lets one in whom a balancer has named.
    ///
    /// # Errors
    /// As [`Self::let_in`].
    pub fn let_in_announced(&self, guest: &mut Guest) -> Result<(), Refusal> {
        let entered = self.door.enter(guest.port, guest.peer.ip());
        guest.place.seat = entered.inspect_err(|why| self.door.refuse(*why))?;
        Ok(())
    }

    fn place(self: &Arc<Self>, seat: Option<Seat>) -> Option<Place> {
        let place = |is_served| Place { shared: Arc::clone(self), is_served, seat };
        if self.connections_open() < self.config.connections_max {
            self.open_connections.fetch_add(1, Ordering::Relaxed);
            return Some(place(true));
        }
        self.connections_rejected.fetch_add(1, Ordering::Relaxed);
        if self.rejecting.load(Ordering::Relaxed) >= limits::REJECTIONS_MAX {
            return None;
        }
        self.rejecting.fetch_add(1, Ordering::Relaxed);
        Some(place(false))
    }

    /// Open client connections.
    pub fn connections_open(&self) -> usize {
        self.open_connections.load(Ordering::Relaxed)
    }

    /// Whether as many wait for a handshake as get one in the time that one may take.
    fn is_crowded(&self) -> bool {
        let rate = self.config.handshakes_per_second_max.map_or(0, NonZeroU32::get);
        let millis = self.config.handshake_timeout.as_millis();
        rate > 0 && {
            let waiting = self.handshakes_waiting.load(Ordering::Relaxed) as u128;
            waiting * 1_000 >= u128::from(rate) * millis
        }
    }

    /// Waits for the rate limit of handshakes.
    pub async fn handshake_turn(&self) {
        let Some(limiter) = &self.handshakes else { return };
        let _waiting = Waiting::of(&self.handshakes_waiting);
        let clock = governor::clock::DefaultClock::default();
        while let Err(later) = limiter.check() {
            use governor::clock::Clock as _;
            tokio::time::sleep(later.wait_time_from(clock.now())).await;
        }
    }

    /// The node in this process, where there is one.
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.nodes {
            Nodes::Embedded(node) => Some(node),
            Nodes::Fleet(_) => None,
        }
    }

    /// What its store holds and has done; nothing where there is none.
    pub fn store_stats(&self) -> StoreStats {
        self.embedded().map(|node| node.store.stats()).unwrap_or_default()
    }

    /// What is seen of the fleet, where there is one.
    pub fn view(&self) -> Option<&View> {
        match &self.nodes {
            Nodes::Embedded(_) => None,
            Nodes::Fleet(view) => Some(view),
        }
    }

    /// A step of background expiry; `true` when there is more to do.
    pub fn maintain(&self, unix_secs: u32) -> bool {
        let now = Now::from_unix_secs(unix_secs);
        let maintain = |store: &Store| store.maintain(now, limits::MAINTAIN_STEP_BYTES).is_behind;
        self.embedded().is_some_and(|node| maintain(&node.store))
    }

    /// Samples the stored data; returns what is metered so far, in byte-milliseconds. The data of a
    /// fleet is metered where its nodes report it.
    pub fn sample_data(&self) -> u128 {
        let metered = |node: &Embedded| {
            node.store.stats().bytes.max(node.metered_bytes_min.load(Ordering::Relaxed))
        };
        let bytes = self.embedded().map_or(0, metered);
        let mut metered = self.metered.lock().unwrap_or_else(PoisonError::into_inner);
        metered.sample(bytes, Instant::now());
        metered.byte_millis
    }

    /// Metered data in byte-seconds: the integral of the stored bytes, or of the minimum.
    pub fn metered_byte_seconds(&self) -> u64 {
        u64::try_from(self.sample_data() / 1000).unwrap_or(u64::MAX)
    }

    /// A core's sign of life.
    pub fn ticked(&self, core: usize) {
        self.ticked_millis[core].store(self.uptime_millis(), Ordering::Relaxed);
    }

    /// Whether every core gave a sign of life lately.
    pub fn check_cores(&self) -> Result<(), String> {
        let now = self.uptime_millis();
        let millis_max = u64::try_from(limits::CORE_SILENCE_MAX.as_millis()).unwrap_or(u64::MAX);
        for (core, ticked) in self.ticked_millis.iter().enumerate() {
            let silent_millis = now.saturating_sub(ticked.load(Ordering::Relaxed));
            if silent_millis > millis_max {
                return Err(format!("core {core} has been silent for {silent_millis} ms"));
            }
        }
        Ok(())
    }

    fn uptime_millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long the proxy has run.
    pub fn uptime_secs(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// All cores' counters.
    pub fn totals(&self) -> Totals {
        Totals::sum(self.counters.iter().map(AsRef::as_ref))
    }

    /// `stats reset`: later `stats` count from here. Metrics and metering are not touched.
    pub fn reset_stats(&self) {
        let baseline = (self.totals(), self.store_stats());
        *self.stats_baseline.lock().unwrap_or_else(PoisonError::into_inner) = baseline;
    }

    /// What `stats reset` forgot.
    pub fn stats_baseline(&self) -> (Totals, StoreStats) {
        *self.stats_baseline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply to `config get cluster`: this endpoint.
    pub fn write_cluster_config(&self, out: &mut Vec<u8>) {
        let port = self.primary_port.get().copied().unwrap_or_default();
        encode::config_cluster(out, 1, &self.config.advertise, "", port);
    }

    /// The reply to `stats` with an in-process node.
    pub fn write_stats(&self, now_secs: u32, out: &mut Vec<u8>) {
        // The baseline first: a reset in between must not be ahead of what is counted.
        let (baseline, before) = self.stats_baseline();
        let Totals { items, traffic, .. } = self.totals().since(&baseline);
        let now = self.store_stats();
        let summary = Summary::of_store(&items, &now, &before);
        stats::write(self, now_secs, (&summary, &traffic), out);
    }

    /// The reply to `stats` with what the nodes of a fleet have told.
    pub fn write_fleet_stats(&self, of_nodes: &Summary, out: &mut Vec<u8>) {
        let baseline = self.stats_baseline().0;
        let Totals { items, traffic, .. } = self.totals().since(&baseline);
        let mut summary = of_nodes.clone();
        summary.add_own(&items);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_secs = u32::try_from(unix.as_secs()).unwrap_or(u32::MAX);
        stats::write(self, now_secs, (&summary, &traffic), out);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_metered_alike_however_often_it_is_sampled() {
        let start = Instant::now();
        let integral = |step_micros: u64| {
            let mut metered = Metered { byte_millis: 0, sampled: start };
            for micros in (0..=1_000_000).step_by(usize::try_from(step_micros).unwrap()) {
                metered.sample(1 << 30, start + Duration::from_micros(micros));
            }
            metered.byte_millis
        };
        let expected = 1000 << 30;
        assert_eq!([integral(1_000_000), integral(2_500), integral(100)], [expected; 3]);
    }
}
