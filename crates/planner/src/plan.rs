use core::fmt;
use core::time::Duration;

use memtide_limits::units::show_size;
use memtide_topology::{Epoch, NodeId, SlotId, Zone};

use crate::{Figures, Resource};

/// What is to be done, in this order: where a step cannot be done, those after it are not done either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The topology that it was made of.
    pub parent: Epoch,
    /// When.
    pub at: Duration,
    /// What to do; nothing, mostly.
    pub steps: Vec<Step>,
    /// What cannot be done, and is said once.
    pub notes: Vec<Note>,
    /// What it was made on.
    pub figures: Figures,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which: no other step ever has this.
    pub id: StepId,
    /// What.
    pub action: Action,
    /// Why.
    pub why: Why,
}

/// What a step is known by. Who does one again that was done does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// The topology that its plan was made of.
    pub parent: Epoch,
    /// Its place among all steps that were made of that topology, from 1.
    pub number: u32,
}

/// What to do. All but the two that add nodes say what should be, and not what to change, and may be done
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let a node hold more, up to its host's share, in place.
    Grow {
        /// Which.
        node: NodeId,
        /// Bytes that it may hold now.
        from: u64,
        /// Bytes that it is to be granted.
        to: u64,
    },
    /// Take memory back that a node does not need.
    Shrink {
        /// Which.
        node: NodeId,
        /// Bytes that it may hold now.
        from: u64,
        /// Bytes that it is to be granted.
        to: u64,
    },
    /// Start nodes, which join by themselves.
    Add {
        /// Of which offer.
        offer: u32,
        /// Where.
        zone: Zone,
        /// How many.
        nodes: u32,
        /// Bytes that each is to be granted.
        memory: u64,
    },
    /// Start a node for a slot alone. Once it has joined, a plan moves the slot there.
    Isolate {
        /// Which.
        slot: SlotId,
        /// Of which offer.
        offer: u32,
        /// Where.
        zone: Zone,
        /// Bytes that it is to be granted: little more than the slot has, so that it gets no others.
        memory: u64,
    },
    /// Have a node become the primary of slots.
    Move {
        /// Which.
        slots: Vec<SlotId>,
        /// Who.
        to: NodeId,
    },
    /// Have a node give up its slots, leave and be given back.
    Drain {
        /// Which.
        node: NodeId,
    },
    /// Have a node that was to leave stay.
    Stay {
        /// Which.
        node: NodeId,
    },
    /// Wait for a step no longer: what it still brings is taken for what it is when it comes.
    GiveUp {
        /// Which.
        step: StepId,
    },
}

/// Why something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// More of something is in use, or will be, than is to be.
    Above(Resource),
    /// All of something is in use: how much is wanted is not known.
    Saturated(Resource),
    /// A limit's minimum promises more of something than there is.
    Promised(Resource),
    /// Memory fills by so many bytes a second: it would be full before more could be had.
    Filling(u64),
    /// A node holds this part of what it may, in thousandths, while the fleet has room.
    Fuller {
        /// Who.
        node: NodeId,
        /// So much.
        permille: u64,
    },
    /// There are fewer nodes, or fewer zones with nodes, than there are to be.
    TooFew,
    /// The rest can carry all that was asked for in the last minutes.
    Spare,
    /// A slot takes so much of what a node can do, in thousandths.
    LoneSlot {
        /// Which.
        slot: SlotId,
        /// So much.
        permille: u64,
    },
    /// A slot that had a node to itself needs none any more.
    SlotCooled(SlotId),
    /// A node does more of what it can do than others do, in thousandths.
    Uneven {
        /// Who.
        node: NodeId,
        /// So much.
        permille: u64,
    },
    /// It has taken so much longer than it should that others are asked.
    Overdue {
        /// How long.
        after: Duration,
    },
}

/// What the planner would do and cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// More of a resource is needed, and the operator's maximum of nodes is reached.
    NodesMax(Resource),
    /// More of a resource is needed, and no nodes can be had where they would help.
    NoNodes(Resource),
    /// A slot alone takes more than any node is to do: more nodes do not help it.
    SlotTooHot(SlotId),
}

impl Action {
    /// Its name, for events and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Grow { .. } => "grow",
            Self::Shrink { .. } => "shrink",
            Self::Add { .. } => "add",
            Self::Isolate { .. } => "isolate",
            Self::Move { .. } => "move",
            Self::Drain { .. } => "drain",
            Self::Stay { .. } => "stay",
            Self::GiveUp { .. } => "give_up",
        }
    }

    /// Whether slots get other holders by it.
    pub(crate) const fn moves_slots(&self) -> bool {
        !matches!(self, Self::Grow { .. } | Self::Shrink { .. } | Self::GiveUp { .. })
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.parent, self.number)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grow { node, from, to } => {
                write!(f, "grow {node} from {} to {}", show_size(*from), show_size(*to))
            }
            Self::Shrink { node, from, to } => {
                write!(f, "shrink {node} from {} to {}", show_size(*from), show_size(*to))
            }
            Self::Add { zone, nodes, memory, .. } => {
                write!(f, "add {nodes} nodes of {} in zone {zone}", show_size(*memory))
            }
            Self::Isolate { slot, zone, memory, .. } => {
                let (slot, memory) = (slot.number(), show_size(*memory));
                write!(f, "add a node of {memory} in zone {zone} for slot {slot} alone")
            }
            Self::Move { slots, to } if slots.len() == 1 => {
                write!(f, "move slot {} to {to}", slots[0].number())
            }
            Self::Move { slots, to } => write!(f, "move {} slots to {to}", slots.len()),
            Self::Drain { node } => write!(f, "drain {node}"),
            Self::Stay { node } => write!(f, "keep {node}"),
            Self::GiveUp { step } => write!(f, "wait no longer for {step}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(resource) => write!(f, "{resource} is above what is to be in use"),
            Self::Saturated(resource) => write!(f, "all {resource} is in use"),
            Self::Promised(resource) => {
                write!(f, "a limit's minimum promises more {resource} than there is")
            }
            Self::Filling(rate) => write!(f, "memory fills by {} a second", show_size(*rate)),
            Self::Fuller { node, permille } => {
                write!(f, "{node} is full to {}% while others have room", permille / 10)
            }
            Self::TooFew => f.write_str("there are too few nodes, or zones with nodes"),
            Self::Spare => f.write_str("the rest carries what was asked for lately"),
            Self::LoneSlot { slot, permille } => {
                write!(f, "slot {} takes {}% of a node", slot.number(), permille / 10)
            }
            Self::SlotCooled(slot) => {
                write!(f, "slot {} needs no node to itself any more", slot.number())
            }
            Self::Uneven { node, permille } => {
                write!(f, "{node} does {}% of what it can while others do less", permille / 10)
            }
            Self::Overdue { after } => write!(f, "it was not done after {} s", after.as_secs()),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodesMax(resource) => {
                write!(f, "more {resource} is needed, and there may be no more nodes")
            }
            Self::NoNodes(resource) => {
                write!(f, "more {resource} is needed, and no node can be had where it would help")
            }
            Self::SlotTooHot(slot) => write!(
                f,
                "slot {} takes more than a node is to do: more nodes do not help it",
                slot.number()
            ),
        }
    }
}

/// As `memtide cache scaling explain` says it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, because {}", self.id, self.action, self.why)
    }
}
