//! What a seed stands for: how large the fleet is, and what is done to it.

use core::time::Duration;

use memtide_engine_core::replication::ReplicationSettings;
use memtide_testkit::Rng;

use crate::heap::{MS, Nanos, SECOND};

/// When the faults end.
const FAULTS_UNTIL: Nanos = 12 * SECOND;
/// Within which all is to be as it should again.
pub const RECOVERY_MAX: Nanos = 8 * SECOND;
/// The longest that a link is silent before that is noticed.
pub const SILENCE_NOTICED_MAX: Nanos = 2 * SECOND;
/// The longest lease where pairs of nodes are cut from each other: all is to be over within the patience
/// of the proxies.
const CUT_LEASE_MAX: Duration = Duration::from_millis(600);
/// Bytes of a token, of which a few make up a chunk of a copy.
const LARGE_UNIT: usize = 24 * 1024;
/// Memory that a node soon fills. What it takes for itself must be less than the part that a node with
/// copies keeps free.
const SMALL_MEMORY: u64 = 2 << 20;
/// Keys, and bytes of a token, that take more than that on a node, with what it holds of copies.
const SMALL_MEMORY_KEYS: usize = 60;
/// See [`SMALL_MEMORY_KEYS`].
const SMALL_MEMORY_UNIT: usize = 60 * 1024;
/// How long it is then watched.
pub const CALM: Nanos = SECOND;

/// What is done to a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What operators do, and nothing else: no request may fail.
    Planned,
    /// Processes end, and operators do what they do.
    Crashes,
    /// Primaries are cut off from all but proxies, and all else is well.
    Deposed,
    /// Pairs of nodes are cut from each other, one way or both ways, and everybody else hears both; now
    /// and then a slot is moved. No request may fail, nor wait for longer than [`Plan::wait_max`].
    Cut,
    /// Everything.
    All,
}

/// The run of a seed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub profile: Profile,
    /// Whether the manager is the scripted one.
    pub is_scripted: bool,
    /// Whether the nodes are real but for their sockets.
    pub has_hosts: bool,
    pub nodes: usize,
    pub zones: usize,
    pub proxies: u32,
    pub clients_per_proxy: usize,
    /// How many of a hundred clients only read.
    pub readers_percent: usize,
    pub replicas: usize,
    pub slots: u16,
    pub keys: usize,
    pub settings: ReplicationSettings,
    /// Between two requests of a client, on average.
    pub think: Nanos,
    /// Between two faults, on average.
    pub fault_interval: Nanos,
    pub faults_until: Nanos,
    pub is_evicting: bool,
    /// Bytes of a token in a value, of real nodes.
    pub unit: usize,
    /// Bytes of items and index of a node; models have no end of it.
    pub memory_max: u64,
    /// After how long without a word a node is taken for dead.
    pub silence_max: Nanos,
}

impl Plan {
    pub fn of(rng: &mut Rng) -> Self {
        let profile = match rng.below(10) {
            0..2 => Profile::Planned,
            2..4 => Profile::Crashes,
            4 => Profile::Deposed,
            _ => Profile::All,
        };
        let is_planned = profile == Profile::Planned;
        let is_deposed = profile == Profile::Deposed;
        let lease = *rng.pick(if is_deposed { &[1_000] } else { &[300, 600, 1_000] });
        let mut settings = ReplicationSettings {
            lease: Duration::from_millis(lease),
            lease_margin: Duration::from_millis(lease / 10),
            beacon_interval: Duration::from_millis(lease / 5),
            unreachable_after: Duration::from_millis(lease),
            wary_max: Duration::from_millis(lease),
            records_per_slot_max: if is_planned { 64 } else { *rng.pick(&[64, 64, 8]) },
            held_per_slot_max: *rng.pick(&[1024, 2]),
            ..ReplicationSettings::default()
        };
        if settings.held_per_slot_max < 1024 {
            settings.waiting_per_slot_max = 3;
        }
        let plan = Self {
            profile,
            is_scripted: true,
            has_hosts: false,
            nodes: 3 + rng.below(4),
            zones: 2 + rng.below(2),
            proxies: 1 + u32::try_from(rng.below(3)).expect("few"),
            clients_per_proxy: 1 + rng.below(3),
            readers_percent: 30,
            replicas: *rng.pick(&[0, 1, 1, 1, 2, 2]),
            slots: 1 + u16::try_from(rng.below(4)).expect("few"),
            keys: 5 + rng.below(8),
            settings,
            think: (10 + rng.below(50) as Nanos) * MS,
            fault_interval: (100 + rng.below(1_400) as Nanos) * MS,
            faults_until: FAULTS_UNTIL,
            is_evicting: rng.percent(25),
            unit: 8,
            memory_max: 1 << 30,
            silence_max: *rng.pick(&[150, 300, 1_000]) * MS,
        };
        if is_deposed { plan.of_deposed() } else { plan }
    }

    /// The same fleet, with nothing but cuts between nodes.
    pub fn of_cuts(self) -> Self {
        let lease = self.settings.lease.min(CUT_LEASE_MAX);
        let settings = ReplicationSettings {
            lease,
            lease_margin: lease / 10,
            beacon_interval: lease / 5,
            unreachable_after: lease,
            records_per_slot_max: 64,
            held_per_slot_max: 1024,
            waiting_per_slot_max: 1024,
            ..self.settings
        };
        Self {
            profile: Profile::Cut,
            settings,
            replicas: self.replicas.max(1),
            silence_max: SECOND,
            ..self
        }
    }

    /// The same fleet, with items so large that slots are copied in several chunks.
    pub fn of_large_items(self) -> Self {
        Self { unit: LARGE_UNIT, ..self }
    }

    /// The same fleet, with more in it than the memory of its nodes holds.
    pub fn of_small_memory(self) -> Self {
        Self {
            nodes: 3 + self.nodes % 2,
            replicas: self.replicas.max(1),
            slots: 4,
            keys: SMALL_MEMORY_KEYS,
            think: self.think.max(20 * MS),
            unit: SMALL_MEMORY_UNIT,
            memory_max: SMALL_MEMORY,
            ..self
        }
    }

    /// Whether items are evicted for want of memory.
    pub const fn is_pressed(&self) -> bool {
        self.memory_max <= SMALL_MEMORY
    }

    /// How long a request may wait for a cut to be noticed, and for the slot to go on without the copy.
    ///
    /// A copy that a cut has taken from its primary is noticed after a lease and up to two intervals; a new
    /// primary waits out a lease and a margin first, and then for the old one, which may be cut off; with two
    /// copies, the second may be lost while the first is reported. The rest is for the manager, whose
    /// storage is slow and fails.
    pub fn wait_max(&self) -> Nanos {
        let lease = Nanos::try_from(self.settings.lease.as_nanos()).expect("a second at most");
        4 * lease + 2 * SECOND
    }

    /// Many clients ask, some of the old primary, while its lease lasts.
    fn of_deposed(self) -> Self {
        Self {
            proxies: 3,
            clients_per_proxy: 3,
            readers_percent: 60,
            replicas: 1 + self.replicas / 2,
            slots: 1,
            keys: 40,
            think: 5 * MS,
            fault_interval: 2 * SECOND,
            faults_until: FAULTS_UNTIL / 2,
            is_evicting: false,
            silence_max: 60 * MS,
            ..self
        }
    }
}
