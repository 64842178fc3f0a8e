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
        let settings = ReplicationSettings {
            lease: Duration::from_millis(lease),
            lease_margin: Duration::from_millis(lease / 10),
            beacon_interval: Duration::from_millis(lease / 5),
            records_per_slot_max: if is_planned { 64 } else { *rng.pick(&[64, 64, 8]) },
            held_per_slot_max: *rng.pick(&[1024, 2]),
            ..ReplicationSettings::default()
        };
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
            silence_max: *rng.pick(&[150, 300, 1_000]) * MS,
        };
        if is_deposed { plan.of_deposed() } else { plan }
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
