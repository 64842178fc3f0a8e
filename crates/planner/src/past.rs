use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use memtide_topology::{Epoch, NodeId, SlotId};

use crate::{Action, Amounts, Note, Observation, Policy, Resource, StepId};

/// Loads closer together than this are kept as one, the highest of them.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// A slope is taken of so many loads.
const SLOPE_SAMPLES: usize = 10;

/// So many ECPUs a second are work: where there was none before, nobody knows what they take of CPU and network.
const ECPU_MIN: u64 = 1_000;

/// What the planner remembers between two plans.
///
/// Nothing of it has to outlive the scaler: a new one, [`Past::default`], is only more patient. No node is given
/// back before it has seen the load for [`Policy::in_after`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The load, oldest first.
    samples: VecDeque<(Duration, Amounts)>,
    began: Option<Duration>,
    /// Since when there is too little of something.
    pub(crate) short_since: Option<Duration>,
    /// Since when nodes are above their band while others are not.
    pub(crate) hot_since: BTreeMap<NodeId, Duration>,
    /// Since when a node is fuller than is to be, while the fleet has room.
    pub(crate) full_since: Option<Duration>,
    /// Since when slots with nodes to themselves do not need them.
    pub(crate) cool_since: BTreeMap<SlotId, Duration>,
    pub(crate) out_at: Option<Duration>,
    pub(crate) in_at: Option<Duration>,
    /// Who was up, and when one of these was lost last that was not to leave.
    up: BTreeSet<NodeId>,
    lost_at: Option<Duration>,
    /// Who is to leave by a plan.
    pub(crate) given_back: BTreeSet<NodeId>,
    /// What [`Policy::in_after`] has become.
    in_after: Option<Duration>,
    /// Of offers and of nodes that failed to grow: until when, and how long that was.
    offers_off: BTreeMap<u32, (Duration, Duration)>,
    growth_off: BTreeMap<NodeId, (Duration, Duration)>,
    /// What of it was work when no slot moved, as moving them takes CPU and network.
    settled: Option<Amounts>,
    noted: BTreeSet<Note>,
    numbered: (Epoch, u32),
}

impl Past {
    /// Takes what was observed.
    pub(crate) fn follow(&mut self, seen: &Observation, policy: &Policy, load: Amounts) {
        self.began.get_or_insert(seen.at);
        match self.samples.back_mut() {
            Some((at, last)) if *at + SAMPLE_EVERY > seen.at => {
                Resource::ALL.iter().for_each(|it| last[*it] = last[*it].max(load[*it]));
            }
            _ => self.samples.push_back((seen.at, load)),
        }
        let oldest = seen.at.saturating_sub(self.in_after(policy));
        while self.samples.front().is_some_and(|(at, _)| *at < oldest) {
            self.samples.pop_front();
        }
        if !seen.is_moving() {
            self.settled = Some(load);
        }
        let nodes = seen.topology.nodes().keys().copied();
        let up = nodes.filter(|node| seen.up(*node).is_some()).collect();
        let before = core::mem::replace(&mut self.up, up);
        if before.difference(&self.up).any(|node| !self.given_back.contains(node)) {
            self.lost_at = Some(seen.at);
        }
        self.given_back.retain(|node| self.up.contains(node));
        seen.failed.iter().for_each(|it| self.fails(it.at, &it.action, policy));
        // Who was well for as long as the longest wait begins anew.
        let is_recent = |until: Duration| until + policy.backoff_max > seen.at;
        self.offers_off.retain(|_, (until, _)| is_recent(*until));
        self.growth_off.retain(|_, (until, _)| is_recent(*until));
        self.hot_since.retain(|node, _| seen.up(*node).is_some());
        let numbers = seen.under_way.iter().map(|it| it.id);
        for id in numbers.chain(seen.failed.iter().map(|it| it.id)) {
            self.numbered = self.numbered.max((id.parent, id.number));
        }
        let parent = seen.topology.epoch();
        if self.numbered.0 < parent {
            self.numbered = (parent, 0);
        }
    }

    /// A step has failed: what it asked is not asked again for a while.
    pub(crate) fn fails(&mut self, at: Duration, action: &Action, policy: &Policy) {
        let again = |before: Option<&(Duration, Duration)>| {
            let wait = before.map_or(policy.backoff, |(_, wait)| *wait * 2);
            let wait = wait.min(policy.backoff_max);
            (at + wait, wait)
        };
        match *action {
            Action::Add { offer, .. } | Action::Isolate { offer, .. } => {
                self.offers_off.insert(offer, again(self.offers_off.get(&offer)));
            }
            Action::Grow { node, .. } => {
                self.growth_off.insert(node, again(self.growth_off.get(&node)));
            }
            _ => {}
        }
    }

    /// The load with what moving slots takes of CPU and network taken out: while they move, these are
    /// taken to go with the ECPUs as they did before.
    pub(crate) fn without_moves(&self, load: Amounts, is_moving: bool) -> Amounts {
        let Some(settled) = self.settled.filter(|_| is_moving) else { return load };
        // Of a fleet that nobody asks anything, all of it is the moves'.
        let (before, now) = (settled.ecpu.max(1), load.ecpu.max(1));
        let of = |resource| match settled[resource] {
            0 if now > ECPU_MIN => load[resource],
            settled => load[resource].min(crate::amounts::scaled(settled, now, before)),
        };
        Amounts { cpu: of(Resource::Cpu), network: of(Resource::Network), ..load }
    }

    /// The most of a resource that was in use in as much of the past as counts for giving back; `None`
    /// where that is not known for so long.
    pub(crate) fn peak(&self, now: Duration, policy: &Policy, resource: Resource) -> Option<u64> {
        let is_long = self.began? + self.in_after(policy) <= now;
        let most = self.samples.iter().map(|(_, load)| load[resource]).max();
        most.filter(|_| is_long)
    }

    /// By how much a resource's load grows a second, if it does. It is the median of the slopes between all pairs
    /// of loads, and the lower one of that of all and of the later half: a step is no slope.
    pub(crate) fn growth(&self, resource: Resource) -> f64 {
        let all: Vec<(f64, f64)> = self
            .samples
            .iter()
            .rev()
            .take(SLOPE_SAMPLES)
            .rev()
            .map(|(at, load)| (at.as_secs_f64(), load[resource] as f64))
            .collect();
        if all.len() < SLOPE_SAMPLES {
            return 0.0;
        }
        slope(&all).min(slope(&all[SLOPE_SAMPLES / 2..])).max(0.0)
    }

    pub(crate) fn in_after(&self, policy: &Policy) -> Duration {
        self.in_after.unwrap_or(policy.in_after)
    }

    /// Nodes are added. Where some were given back not long before, the next ones are kept for longer:
    /// the load comes and goes.
    pub(crate) fn goes_out(&mut self, now: Duration, policy: &Policy) {
        let wait = self.in_after(policy);
        if let Some(at) = self.in_at.take() {
            let is_lost = self.lost_at.is_some_and(|lost| lost >= at);
            let is_regretted = at + wait * 3 > now && !is_lost;
            let wait = if is_regretted { wait * 2 } else { wait / 2 };
            self.in_after = Some(wait.clamp(policy.in_after, policy.in_after_max));
        }
        self.out_at = Some(now);
    }

    pub(crate) fn is_offer_off(&self, now: Duration, offer: u32) -> bool {
        self.offers_off.get(&offer).is_some_and(|(until, _)| *until > now)
    }

    pub(crate) fn is_growth_off(&self, now: Duration, node: NodeId) -> bool {
        self.growth_off.get(&node).is_some_and(|(until, _)| *until > now)
    }

    /// The next step's name.
    pub(crate) fn next_id(&mut self) -> StepId {
        self.numbered.1 += 1;
        StepId { parent: self.numbered.0, number: self.numbered.1 }
    }

    /// Those that were not said by the plan before.
    pub(crate) fn news(&mut self, notes: BTreeSet<Note>) -> Vec<Note> {
        let news = notes.difference(&self.noted).copied().collect();
        self.noted = notes;
        news
    }
}

/// The median of the slopes between all pairs of points (Theil and Sen).
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, later)| {
        points[..at].iter().map(move |earlier| (later.1 - earlier.1) / (later.0 - earlier.0))
    });
    let mut slopes: Vec<f64> = pairs.collect();
    slopes.sort_by(f64::total_cmp);
    let middle = slopes.len() / 2;
    slopes.get(middle).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(loads: impl IntoIterator<Item = u64>) -> Past {
        let samples = loads.into_iter().enumerate().map(|(at, ecpu)| {
            (Duration::from_secs(at as u64), Amounts { ecpu, ..Amounts::default() })
        });
        Past { samples: samples.collect(), ..Past::default() }
    }

    #[test]
    fn what_moves_take_is_no_load_also_where_nobody_asks_anything() {
        let check = |before: (u64, u64), now: (u64, u64), cpu: u64| {
            let of = |(ecpu, cpu)| Amounts { ecpu, cpu, ..Amounts::default() };
            let past = Past { settled: Some(of(before)), ..Past::default() };
            assert_eq!(past.without_moves(of(now), true).cpu, cpu, "{before:?}, {now:?}");
            assert_eq!(past.without_moves(of(now), false).cpu, now.1);
        };
        check((10_000, 100), (10_000, 900), 100);
        check((10_000, 100), (20_000, 900), 200);
        check((10_000, 100), (20_000, 150), 150);
        check((0, 8), (0, 1_010), 8);
        check((0, 8), (30_000, 400), 400);
        check((0, 0), (0, 900), 0);
        check((0, 0), (1_000, 900), 0);
        check((0, 0), (30_000, 400), 400);
        check((5, 0), (30_000, 400), 400);
    }

    #[test]
    fn a_ramp_grows_and_a_step_does_not() {
        let check = |loads: Vec<u64>, growth: f64| {
            let found = past(loads.clone()).growth(Resource::Ecpu);
            assert!((found - growth).abs() < 1e-6, "{loads:?}: {found}");
        };
        check((0..20).map(|at| 100 + at * 7).collect(), 7.0);
        check((0..20).map(|at| 1_000 - at * 7).collect(), 0.0);
        check((0..9).collect(), 0.0);
        for after in 1..10 {
            let step = (0..10).map(|at| if at >= 10 - after { 5_000 } else { 100 });
            check(step.collect(), 0.0);
        }
    }
}
