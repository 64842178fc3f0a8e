use core::time::Duration;

use memtide_topology::NODES_MAX;

use crate::Resource;

/// How much room a fleet is to have, and how patient the planner is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Of memory that was granted and may be used: of nodes that hold copies, seven eighths.
    pub memory: Band,
    /// Of what nodes can do a second: ECPUs, CPU and network.
    pub work: Band,
    /// The operator's maximum: never are more nodes wanted than this, those that drain included.
    pub nodes_max: usize,
    /// Never fewer than this stay.
    pub nodes_min: usize,
    /// Never is a node granted less than this.
    pub memory_min: u64,
    /// A fleet is above its band for so long before nodes are added, unless it is saturated.
    pub confirm: Duration,
    /// Beside the time in which nodes can be had, how far ahead the load is foretold: what it takes to
    /// see it and to move the data.
    pub lead: Duration,
    /// What comes in so much time while a fleet fills has room in the memory that is there: what it takes to hear of it,
    /// to decide and to have more in place. What is granted then is for four times as long.
    pub fill_lead: Duration,
    /// The rest has carried the peak of so much of the past before a node is given back.
    pub in_after: Duration,
    /// The longest that this becomes where what was given back was needed again.
    pub in_after_max: Duration,
    /// Between a node that was added and the next that is given back, at least.
    pub cool_down: Duration,
    /// Of the nodes, at most this part is given back at a time, or one of each zone.
    pub drain_part: usize,
    /// A step is given up after so much more than it was said to take.
    pub overdue: Duration,
    /// What has failed is not tried again for so long; twice as long each time it fails again.
    pub backoff: Duration,
    /// The longest that this becomes.
    pub backoff_max: Duration,
    /// A slot that takes this part of what its node can do, in thousandths, is to have one to itself.
    pub lone_slot: u64,
    /// Most slots that one plan has copied to get them off nodes that are hotter than others; sixteen times as many where their
    /// copies take over.
    pub moves_max: usize,
}

/// How much of something is to be in use, in thousandths.
///
/// `target <= high <= saturated`: a fleet above `high` is made so large that `target` is in use; one is
/// made smaller only where no more than `target` will be. So what was just done never calls for its reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// So much is in use after a change.
    pub target: u64,
    /// Above this there is too little.
    pub high: u64,
    /// From here on nobody knows how much is wanted, as what is asked for is not seen.
    pub saturated: u64,
}

impl Policy {
    /// How much of a resource is to be in use.
    #[must_use]
    pub const fn band(&self, resource: Resource) -> Band {
        match resource {
            Resource::Memory => self.memory,
            Resource::Ecpu | Resource::Cpu | Resource::Network => self.work,
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // Growing in place takes no time, so there may be little room.
            memory: Band { target: 800, high: 915, saturated: 980 },
            // A third more than is used: what comes in the seconds that a node takes to be of use.
            work: Band { target: 600, high: 750, saturated: 930 },
            nodes_max: NODES_MAX,
            nodes_min: 1,
            memory_min: 64 << 20,
            confirm: Duration::from_secs(2),
            lead: Duration::from_secs(10),
            // A report and a look take up to 300 ms, two writes to a disk that is busy as much again (docs/design/0016).
            fill_lead: Duration::from_secs(1),
            in_after: Duration::from_secs(120),
            in_after_max: Duration::from_secs(1_920),
            cool_down: Duration::from_secs(60),
            drain_part: 4,
            overdue: Duration::from_secs(30),
            backoff: Duration::from_secs(5),
            backoff_max: Duration::from_secs(300),
            lone_slot: 400,
            moves_max: 32,
        }
    }
}
