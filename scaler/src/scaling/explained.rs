//! What the scaler decides by itself, for operators.

use std::time::Duration;

use memtide_executor::{DecidedStep, Decision, Executor, Fate};
use memtide_planner::{Figures, Need, Policy, Resource};
use serde::Serialize;

/// `GET /v1/scaling`.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// Most nodes that there may be.
    nodes_max: usize,
    nodes_min: usize,
    /// Nodes that hold slots or will.
    nodes: usize,
    spares: usize,
    resources: Vec<Of>,
    under_way: Vec<UnderWay>,
    /// The newest first.
    decisions: Vec<Decided>,
}

/// A resource: what is in use and what there is, in its unit: bytes, ECPUs a second, thousandths of a core,
/// bytes a second.
#[derive(Clone, Debug, Serialize)]
struct Of {
    resource: &'static str,
    load: u64,
    foretold: u64,
    /// `null` where nodes do not say what they can do.
    capacity: Option<u64>,
    /// Below so much there is too little.
    least: u64,
    /// So much there would be.
    wanted: u64,
    promised: u64,
    /// So much is kept of a fleet that is too large; `null` before the load is known for long enough.
    kept: Option<u64>,
    target_permille: u64,
    high_permille: u64,
}

#[derive(Clone, Debug, Serialize)]
struct UnderWay {
    step: String,
    what: String,
    for_ms: u64,
    /// Names of nodes that are waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instances: Vec<String>,
    given_up: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Decided {
    decision: u64,
    ago_ms: u64,
    epoch: u64,
    summary: String,
    steps: Vec<StepOf>,
}

#[derive(Clone, Debug, Serialize)]
struct StepOf {
    step: String,
    what: String,
    why: String,
    /// under_way, done, failed, given_up.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl Explained {
    /// As it is now.
    pub(super) fn of(executor: &Executor, now: Duration, spares: usize) -> Self {
        let (figures, policy) = (executor.figures(), executor.policy());
        let under_way = executor.record().steps.iter().map(|kept| UnderWay {
            step: kept.id.to_string(),
            what: kept.action.to_string(),
            for_ms: executor.since(kept.id).map_or(0, |since| ms(now.saturating_sub(since))),
            instances: kept.instances.clone(),
            given_up: kept.is_given_up,
        });
        Self {
            nodes_max: policy.nodes_max,
            nodes_min: policy.nodes_min,
            nodes: figures.nodes,
            spares,
            resources: Resource::ALL.map(|it| of(figures, policy, it)).to_vec(),
            under_way: under_way.collect(),
            decisions: executor.decisions().map(|it| decided(it, now)).collect(),
        }
    }

    /// What is told as metrics: of each resource its name, load and capacity.
    pub fn resources(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        self.resources.iter().map(|it| (it.resource, it.load, it.capacity.unwrap_or(0)))
    }

    /// Steps that are under way, and spares that wait.
    pub const fn counts(&self) -> (usize, usize) {
        (self.under_way.len(), self.spares)
    }
}

fn of(figures: &Figures, policy: &Policy, resource: Resource) -> Of {
    let Need { load, foretold, capacity, least, wanted, kept, promised, .. } =
        *figures.of(resource);
    let band = policy.band(resource);
    Of {
        resource: resource.name(),
        load,
        foretold,
        capacity,
        least,
        wanted,
        promised,
        kept,
        target_permille: band.target,
        high_permille: band.high,
    }
}

fn decided(it: &Decision, now: Duration) -> Decided {
    Decided {
        decision: it.number,
        ago_ms: ms(now.saturating_sub(it.at)),
        epoch: it.parent.number(),
        summary: it.to_string(),
        steps: it.steps.iter().map(step).collect(),
    }
}

fn step(it: &DecidedStep) -> StepOf {
    let (outcome, after_ms, failure) = match &it.fate {
        Fate::UnderWay => ("under_way", None, None),
        Fate::Done(after) => ("done", Some(ms(*after)), None),
        Fate::Failed(why) => ("failed", None, Some(why.clone())),
        Fate::GivenUp(after) => ("given_up", Some(ms(*after)), None),
    };
    let (step, what) = (it.id.to_string(), it.action.to_string());
    StepOf { step, what, why: it.why.to_string(), outcome, after_ms, failure }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
