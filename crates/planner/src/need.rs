use memtide_limits::Limits;
use memtide_topology::SLOTS;

use crate::amounts::{at_permille, permille, scaled};
use crate::fleet::whole;
use crate::past::Past;
use crate::{Amounts, Band, Observation, Policy, Resource};

/// Of the memory of a node that holds copies, this part is kept free of items (engine, `HEADROOM_DIVISOR`).
const HEADROOM_DIVISOR: u64 = 8;

/// What is left when some is given back is in use to this part of the target, in thousandths.
pub(crate) const KEPT: u64 = 920;

/// A fleet fills where this part of its memory and more comes in a second.
const FILL_PART_MIN: u64 = 64;

/// What a plan was made on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Of each resource, in the order of [`Resource::ALL`].
    pub needs: [Need; 4],
    /// Nodes that hold slots or will, those that drain not among them.
    pub nodes: usize,
    /// Nodes that there are, those included that drain, are down, or are still to come.
    pub nodes_all: usize,
}

/// How much of a resource is wanted, and how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// What is in use now, or asked for where that is known.
    pub load: u64,
    /// What is expected by the time in which more could be had.
    pub foretold: u64,
    /// What the fleet could give, with all that is under way done; `None` where that is not known.
    pub capacity: Option<u64>,
    /// Below so much capacity there is too little.
    pub least: u64,
    /// So much capacity a fleet is given that had too little.
    pub wanted: u64,
    /// So much capacity is kept when some is given back; `None` before the load is known for long enough.
    pub kept: Option<u64>,
    /// What a limit's minimum promises.
    pub promised: u64,
    /// Of memory: what is there with the slots where they are, as far as that is known.
    pub here: Option<u64>,
    /// With less than this here, memory would be full before more could be had; 0 where it does not fill.
    pub urgent: u64,
    /// So much is to be here where it fills.
    pub ahead: u64,
    /// All of it is in use.
    pub is_saturated: bool,
}

impl Need {
    /// Whether there is too little. Less than a hundredth is not worth a step.
    pub(crate) fn is_short(&self) -> bool {
        self.capacity.is_some_and(|capacity| lacks(capacity, self.least))
    }

    /// Whether it fills so quickly that memory in place cannot wait.
    pub(crate) fn is_filling(&self) -> bool {
        self.here.is_some_and(|here| lacks(here, self.urgent))
    }
}

/// Whether a capacity is below what is needed, by more than rounding.
pub(crate) const fn lacks(capacity: u64, needed: u64) -> bool {
    capacity.saturating_add(capacity / 128) < needed
}

impl Figures {
    /// Of one resource.
    #[must_use]
    pub fn of(&self, resource: Resource) -> &Need {
        let at = Resource::ALL.iter().position(|it| *it == resource);
        &self.needs[at.unwrap_or_default()]
    }
}

/// What all nodes but those with a slot of their own do together, with what clients wait for.
pub(crate) fn load(seen: &Observation) -> Amounts {
    let mut load = Amounts::default();
    let mut alone = 0;
    for node in seen.topology.nodes().keys() {
        let Some(it) = seen.up(*node) else { continue };
        if it.reserved_for.is_some() {
            alone += it.load.ecpu;
            continue;
        }
        Resource::ALL.iter().for_each(|resource| load[*resource] += it.load[*resource]);
        load.memory = load.memory.saturating_sub(it.memory_learning);
    }
    let wanted = seen.ecpu_wanted.unwrap_or(0).saturating_sub(alone);
    if wanted > load.ecpu {
        // What clients wait for will take as much of the rest.
        load.cpu = scaled(load.cpu, wanted, load.ecpu);
        load.network = scaled(load.network, wanted, load.ecpu);
        load.ecpu = wanted;
    }
    if seen.slots.len() == usize::from(SLOTS) {
        // What a lost node had is copied again.
        let bytes: u64 = seen.slots.iter().map(|it| it.bytes).sum();
        load.memory = load.memory.max(bytes.saturating_mul(copies(seen)));
    }
    load
}

/// How much of a resource is to be in use. Nodes that hold copies keep a part of their memory free.
pub(crate) fn band(seen: &Observation, policy: &Policy, resource: Resource) -> Band {
    let band = policy.band(resource);
    if resource != Resource::Memory || copies(seen) == 1 {
        return band;
    }
    let of = |part: u64| part - part / HEADROOM_DIVISOR;
    Band { target: of(band.target), high: of(band.high), saturated: of(band.saturated) }
}

/// What is needed of a resource of which the fleet can give so much.
pub(crate) fn need(
    (seen, policy): (&Observation, &Policy),
    past: &Past,
    load: Amounts,
    resource: Resource,
    capacity: Option<u64>,
) -> Need {
    let band = band(seen, policy, resource);
    let (promised, most) = bounds(seen, policy, resource);
    let load = load[resource];
    let is_saturated = capacity.is_some_and(|capacity| load >= permille(capacity, band.saturated));
    let lead = seen.offers.iter().map(|it| it.ready_in).min().unwrap_or_default() + policy.lead;
    // What is served grows as nodes come, where there was too little.
    let is_told = seen.ecpu_wanted.is_some() || resource == Resource::Memory || !seen.is_moving();
    let growth = if is_told { past.growth(resource) } else { 0.0 };
    let grown = load as f64 + growth * lead.as_secs_f64();
    // What the limit does not let be used, nobody waits for.
    let is_at_most = capacity.is_some_and(|capacity| capacity >= most);
    let is_blind =
        is_saturated && !is_at_most && (resource == Resource::Memory || seen.ecpu_wanted.is_none());
    let foretold = match capacity {
        // What cannot be seen may be any more: capacity is doubled.
        Some(capacity) if is_blind => permille(capacity.saturating_mul(2), band.target),
        _ => whole(grown).min(load.saturating_mul(2)),
    };
    let foretold = foretold.max(load);
    let of = |load: u64, part: u64| at_permille(load, part).min(most).max(promised);
    let least = of(foretold, band.high);
    let wanted = of(foretold, band.target);
    let peak = past.peak(seen.at, policy, resource);
    // The margin keeps a peak that was a little higher than others from being regretted.
    // A maximum is no reason to keep less than there is in use.
    let kept = |peak: u64| at_permille(peak.max(foretold), permille(band.target, KEPT));
    let kept = peak.map(|peak| kept(peak).max(promised));
    let (here, urgent, ahead) = (None, 0, 0);
    Need {
        load,
        foretold,
        capacity,
        least,
        wanted,
        kept,
        promised,
        here,
        urgent,
        ahead,
        is_saturated,
    }
}

impl Need {
    /// The same of memory, of which there is so much here.
    pub(crate) fn with_fill(
        self,
        (seen, policy): (&Observation, &Policy),
        here: Option<u64>,
    ) -> Self {
        let Some(room) = here else { return self };
        // Less is what items that come and go make of it.
        let rate = if seen.memory_growth < room / FILL_PART_MIN { 0 } else { seen.memory_growth };
        if rate == 0 {
            return Self { here, ..self };
        }
        let (_, most) = bounds(seen, policy, Resource::Memory);
        let band = band(seen, policy, Resource::Memory);
        let lead = u64::try_from(policy.fill_lead.as_millis()).unwrap_or(u64::MAX);
        let comes = scaled(rate, lead, 1_000);
        let of =
            |comes: u64, part: u64| at_permille(self.load.saturating_add(comes), part).min(most);
        let (urgent, ahead) = (of(comes, band.high), of(comes.saturating_mul(4), band.target));
        // A moment says little: more than twice as much is for another look.
        let ahead = ahead.min(room.saturating_mul(2));
        // What was just granted for it is not to be given back in the next look.
        let kept = self.kept.map(|kept| kept.max(ahead));
        Self { here, urgent, ahead, kept, ..self }
    }
}

/// What the limits promise of a resource, and what they let be used, as capacities.
fn bounds(seen: &Observation, policy: &Policy, resource: Resource) -> (u64, u64) {
    let Limits { data_storage: data, ecpu_per_second: ecpu } = seen.limits;
    let most = |max: u64, of: &dyn Fn(u64) -> u64| if max == 0 { u64::MAX } else { of(max) };
    match resource {
        Resource::Memory => {
            let with_copies = |bytes: u64| with_copies(bytes, copies(seen));
            (with_copies(data.min), most(data.max, &with_copies))
        }
        // The minimum can be had without the fleet having to grow for it.
        Resource::Ecpu => (
            at_permille(ecpu.min, policy.work.high),
            most(ecpu.max, &|max| at_permille(max, policy.work.target)),
        ),
        Resource::Cpu | Resource::Network => (0, u64::MAX),
    }
}

fn copies(seen: &Observation) -> u64 {
    u64::from(seen.topology.replicas_wanted()) + 1
}

/// The memory in which there is room for so much data and its copies.
fn with_copies(bytes: u64, copies: u64) -> u64 {
    let all = bytes.saturating_mul(copies);
    if copies == 1 { all } else { all.saturating_add(all / (HEADROOM_DIVISOR - 1)) }
}
