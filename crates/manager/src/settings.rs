use core::time::Duration;

use memtide_topology::{Pace, SlotId};

/// How patient the manager is, and how much it does at a time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A node of which nothing was heard for this long is silent, and its slots fail over.
    pub silence_max: Duration,
    /// A manager that is started waits for this much longer than [`Settings::silence_max`] for each node
    /// that it knows, times their number: they all come back at once, and each takes its time of a
    /// scaler that is busy with the others.
    pub return_grace: Duration,
    /// A node whose control stream has ended has this long to register again before they do.
    pub gone_grace: Duration,
    /// Nodes that a cache without owners waits for before its slots are given out.
    pub nodes_min: usize,
    /// How long it waits for them at most, from the first.
    pub founding_grace: Duration,
    /// How long a manager that is started with a cache without owners waits at least: those of a cache
    /// that had some, and whose data directory is not this one, come back meanwhile.
    pub founding_wait: Duration,
    /// For how long changes of the nodes gather before slots are placed anew; a lost copy is replaced
    /// at once.
    pub gather_nodes: Duration,
    /// For how long reports gather before they are stored, unless something else is.
    pub gather_reports: Duration,
    /// For how long events of single slots gather, after the first.
    pub gather_events: Duration,
    /// Between two updates that have slots placed, at least: each costs every node and proxy a look at
    /// what has changed, so that few large ones disturb less than many small ones.
    pub step_interval: Duration,
    /// How long it waits after a commit that has failed.
    pub retry_after: Duration,
    /// Between two looks at the time, at most.
    pub tick: Duration,
    /// A slot that was handed over keeps its copies for this long: the source has to consent first.
    pub handover_grace: Duration,
    /// How long a drained node that holds nothing stays in the topology, after it has adopted that:
    /// proxies that are behind are still sent on by it.
    pub linger: Duration,
    /// A node that comes back after it was lost gets no slots for this long; twice as long each time
    /// that it is lost soon again, up to [`Settings::probation_max`].
    pub probation: Duration,
    /// The longest probation; who was up for longer than this is trusted again.
    pub probation_max: Duration,
    /// A silent node that holds nothing is taken out of the topology after this long.
    pub forget_after: Duration,
    /// How much is changed at a time to get slots where they belong. [`Pace::slots_max`] also bounds
    /// the copies of slots that one update drops: the larger the slots, the longer their nodes take.
    pub pace: Pace,
    /// The slots that are managed: all of them, but in simulations. In ascending order.
    pub slots: Vec<SlotId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            silence_max: Duration::from_millis(750),
            // Twice what a TLS handshake and a registration take a scaler; see docs/design/0010.
            return_grace: Duration::from_millis(4),
            gone_grace: Duration::from_millis(200),
            nodes_min: 1,
            founding_grace: Duration::from_secs(5),
            founding_wait: Duration::ZERO,
            gather_nodes: Duration::from_millis(200),
            gather_reports: Duration::from_millis(10),
            gather_events: Duration::from_secs(1),
            step_interval: Duration::from_millis(25),
            retry_after: Duration::from_millis(50),
            tick: Duration::from_millis(50),
            handover_grace: Duration::from_millis(300),
            linger: Duration::from_secs(2),
            probation: Duration::from_secs(1),
            probation_max: Duration::from_secs(60),
            forget_after: Duration::from_secs(600),
            // Each slot of a step waits for all of them, so few; but more than copies complete in one.
            pace: Pace { slots_max: 128, learners_max: 4_096 },
            slots: SlotId::all().collect(),
        }
    }
}
