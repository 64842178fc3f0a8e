use std::collections::{BTreeMap, VecDeque};

use super::saved::Saved;
use super::{Grant, Report, Succession};
use crate::limits::{
    GRANT_SLACK_NS, GRANT_TERM_NS, HEADROOM_PART, PROXIES_MAX, PROXY_SILENT_NS_MAX, REPORTS_KEPT,
    UNCONFIRMED_MAX,
};
use crate::water::{Rest, Want, divide};

/// What the scaler knows a proxy by; another process is another proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(pub u64);

/// Divides a cache's limit among its proxies. See the module.
#[derive(Debug)]
pub struct Allocator {
    limit: Option<u64>,
    /// Whose grants these are.
    scaler: u64,
    /// When the first report came.
    began: Option<u64>,
    proxies: BTreeMap<ProxyId, Seat>,
    saved: Saved,
    /// Until when proxies were given their parts of the limit, as they were divided then.
    given_until: u64,
}

#[derive(Debug)]
struct Seat {
    succession: Option<Succession>,
    heard_at: u64,
    /// The newest report.
    report: u64,
    /// What its part of the limit gave it since then, in 1/10^9 units; `None` where that says nothing
    /// of what it may have used.
    given: Option<u128>,
    /// Its part in units per second, as it was divided last. Together they are the limit, but for what
    /// those may use that are not heard.
    part: u64,
    /// In units per second, in the last reports.
    wanted: [u64; REPORTS_KEPT],
    weight: u32,
    /// It went without for half of the time: how much it wants is not known.
    is_starved: bool,
    /// Grants that may be in force: the newest that was confirmed, and those after it.
    grants: VecDeque<Given>,
    last: u64,
}

/// A grant as it counts against the limit.
#[derive(Clone, Copy, Debug)]
struct Given {
    number: u64,
    rate: Option<u64>,
    fallback: Option<u64>,
    until: u64,
}

impl Allocator {
    /// Of so many units per second; `None` is no limit. `scaler` is random.
    #[must_use]
    pub const fn new(limit: Option<u64>, scaler: u64) -> Self {
        let proxies = BTreeMap::new();
        Self { limit, scaler, began: None, proxies, saved: Saved::new(), given_until: 0 }
    }

    /// From now on divides that. A proxy gets its part with its next grant; one that is cut off goes
    /// on with what it has, which counts against the new limit.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        if self.limit != limit {
            self.limit = limit;
            self.saved = Saved::new();
            self.proxies.values_mut().for_each(|seat| seat.given = None);
        }
    }

    /// The proxy is known to have ended: what it had is free.
    pub fn forget(&mut self, proxy: ProxyId) {
        self.proxies.remove(&proxy);
    }

    /// How many proxies share the limit, those that are cut off included.
    #[must_use]
    pub fn proxies(&self) -> usize {
        self.proxies.len()
    }

    /// Takes in a proxy's report and gives the answer; `None` where the report is older than one that
    /// was answered, or its process has ended, or there are too many proxies.
    pub fn report(&mut self, now: u64, proxy: ProxyId, report: &Report) -> Option<Grant> {
        // The scaler cannot tell one that has ended from one that is cut off.
        self.proxies.retain(|id, seat| {
            *id == proxy || now.saturating_sub(seat.heard_at) < PROXY_SILENT_NS_MAX
        });
        if let Some(succession) = report.succession
            && !self.succeed(proxy, succession)
        {
            return None;
        }
        if !self.proxies.contains_key(&proxy) && self.proxies.len() == PROXIES_MAX {
            return None;
        }
        let began = *self.began.get_or_insert(now);
        let is_foreign = report.confirmed > 0 && report.scaler != self.scaler;
        self.pass(now);
        let seat = self.proxies.entry(proxy).or_insert_with(Seat::new);
        let given = seat.given.filter(|_| !seat.is_silent(now));
        if !seat.hear(now, report, is_foreign) {
            return None;
        }
        seat.given = self.limit.map(|_| 0);
        if let (Some(limit), Some(given)) = (self.limit, given) {
            self.saved.add(limit, given, report.demand.used_units);
        }
        let is_settling = is_foreign && now.saturating_sub(began) < GRANT_TERM_NS;
        let held = report.rate.filter(|_| is_settling).unwrap_or(u64::MAX);
        let (rate, fallback) = match self.limit {
            None => (None, None),
            Some(limit) => {
                let rate = self.part_of(proxy, limit, now).min(held);
                (Some(rate), Some(rate.min(limit / self.proxies.len() as u64)))
            }
        };
        let (scaler, limit) = (self.scaler, self.limit);
        let given = self.proxies.get_mut(&proxy).map(|seat| seat.give(now, rate, fallback));
        given.map(|grant| Grant { scaler, limit, ..grant })
    }

    /// What is in force, or may be: never more than the limit and a 32nd of it that was saved, but for
    /// what was given under a higher one and is not yet confirmed to be replaced.
    #[must_use]
    pub fn outstanding(&self, now: u64) -> u64 {
        self.proxies.values().map(|seat| seat.outstanding(now)).fold(0, u64::saturating_add)
    }

    /// Frees what earlier processes of the line had; `false` where this is one of them, whose report
    /// came late.
    fn succeed(&mut self, proxy: ProxyId, now: Succession) -> bool {
        let of_line = |seat: &Seat| seat.succession.filter(|it| it.line == now.line);
        let is_past =
            self.proxies.values().filter_map(of_line).any(|it| it.generation > now.generation);
        if !is_past {
            self.proxies.retain(|id, seat| {
                *id == proxy || of_line(seat).is_none_or(|it| it.generation >= now.generation)
            });
        }
        !is_past
    }

    /// Proxies are given what the limit gives until now.
    fn pass(&mut self, now: u64) {
        let passed = u128::from(now.saturating_sub(self.given_until));
        self.given_until = now.max(self.given_until);
        for seat in self.proxies.values_mut() {
            let more = passed * u128::from(seat.part);
            seat.given = seat.given.map(|given| given.saturating_add(more));
        }
    }

    /// What that proxy may have: its part by demand of the limit, of what was saved besides where not
    /// all have what they want, and no more than is free. All parts are noted.
    fn part_of(&mut self, proxy: ProxyId, limit: u64, now: u64) -> u64 {
        let (mut wants, mut own, mut set_aside) = (Vec::new(), 0, 0_u64);
        let mut taken = 0_u64;
        for (id, seat) in &self.proxies {
            let outstanding = seat.outstanding(now);
            if *id != proxy {
                taken = taken.saturating_add(outstanding);
            }
            if seat.is_silent(now) {
                set_aside = set_aside.saturating_add(outstanding);
                continue;
            }
            if *id == proxy {
                own = wants.len();
            }
            wants.push((seat.want(), seat.is_starved));
        }
        let budget = limit.saturating_sub(set_aside);
        let weights: u64 = wants.iter().map(|(want, _)| u64::from(want.weight)).sum();
        let headroom = budget / HEADROOM_PART / (wants.len() as u64).max(1);
        let wants: Vec<_> = wants
            .into_iter()
            .map(|(want, is_starved)| {
                let equal = if is_starved { share(budget, want.weight, weights) } else { 0 };
                Want { units: want.units.saturating_add(headroom).max(equal), ..want }
            })
            .collect();
        // What was saved is for those who go short: one alone never does by grants.
        let wanted = wants.iter().fold(0, |sum: u64, want| sum.saturating_add(want.units));
        let is_short = wanted > budget && self.proxies.len() > 1;
        let (total, most) = match is_short {
            true => (self.saved.spend(limit), Saved::in_force_max(limit)),
            false => (limit, limit),
        };
        let granted = total.saturating_sub(set_aside);
        let parts = divide(granted, &wants, Rest::HalfEqually);
        let heard = self.proxies.values_mut().filter(|seat| !seat.is_silent(now));
        for (seat, part) in heard.zip(&parts) {
            seat.part = scaled(*part, budget, granted);
        }
        let part = parts.get(own).copied().unwrap_or(0);
        part.min(most.saturating_sub(taken))
    }
}

impl Seat {
    const fn new() -> Self {
        Self {
            succession: None,
            heard_at: 0,
            report: 0,
            given: None,
            part: 0,
            wanted: [0; REPORTS_KEPT],
            weight: 1,
            is_starved: false,
            grants: VecDeque::new(),
            last: 0,
        }
    }

    /// Whether the report is a new one.
    fn hear(&mut self, now: u64, report: &Report, is_foreign: bool) -> bool {
        if report.number <= self.report {
            return false;
        }
        (self.report, self.heard_at) = (report.number, now);
        self.succession = report.succession;
        self.weight = report.demand.weight.max(1);
        self.is_starved = report.demand.dry_ns >= (report.elapsed_ns / 2).max(1);
        self.wanted.rotate_right(1);
        self.wanted[0] = wanted(report);
        if is_foreign {
            self.take_over(now, report);
        } else if report.confirmed <= self.last {
            // A number that was not given yet would confirm what is to come.
            self.grants.retain(|given| given.number >= report.confirmed);
        }
        true
    }

    /// What it has of another scaler counts until it confirms one of ours.
    fn take_over(&mut self, now: u64, report: &Report) {
        let until = now.saturating_add(GRANT_TERM_NS + GRANT_SLACK_NS);
        let Report { rate, fallback, .. } = *report;
        let given = Given { number: 0, rate, fallback, until };
        match self.grants.front_mut().filter(|given| given.number == 0) {
            Some(foreign) => *foreign = given,
            None => self.grants.push_front(given),
        }
    }

    fn give(&mut self, now: u64, rate: Option<u64>, fallback: Option<u64>) -> Grant {
        self.last += 1;
        self.forget_past_terms(now);
        let until = now.saturating_add(GRANT_TERM_NS + GRANT_SLACK_NS);
        self.grants.push_back(Given { number: self.last, rate, fallback, until });
        let (number, report, term_ns) = (self.last, self.report, GRANT_TERM_NS);
        Grant { scaler: 0, number, report, rate, fallback, term_ns, limit: None }
    }

    /// Of grants whose term is over only the largest fallback counts. A term is shorter than
    /// [`UNCONFIRMED_MAX`] reports, so this bounds what is remembered of a proxy that hears nothing.
    fn forget_past_terms(&mut self, now: u64) {
        while self.grants.len() > 1 && now >= self.grants[1].until {
            let Some(past) = self.grants.pop_front() else { return };
            self.grants[0].fallback = self.grants[0].fallback.max(past.fallback);
        }
        while self.grants.len() >= UNCONFIRMED_MAX {
            // Reports came faster than they should: the oldest is taken into the one after it.
            let Some(oldest) = self.grants.pop_front() else { return };
            let next = &mut self.grants[0];
            next.rate = next.rate.max(oldest.rate);
            next.fallback = next.fallback.max(oldest.fallback);
        }
    }

    /// The most that may be in force. What was given without a limit cannot be counted.
    fn outstanding(&self, now: u64) -> u64 {
        let of = |given: &Given| match now < given.until {
            true => given.rate.max(given.fallback).unwrap_or(0),
            false => given.fallback.unwrap_or(0),
        };
        self.grants.iter().map(of).max().unwrap_or(0)
    }

    /// Whether it has missed two reports: its wish counts no more, what it has does.
    const fn is_silent(&self, now: u64) -> bool {
        now.saturating_sub(self.heard_at) > GRANT_TERM_NS / 2
    }

    fn want(&self) -> Want {
        let max = self.wanted.into_iter().max().unwrap_or(0);
        let mean = self.wanted.iter().map(|it| it / REPORTS_KEPT as u64).sum::<u64>();
        // Where commands come by chance the largest of a few counts is well above what is used.
        let units = max / 3 + mean / 3 * 2;
        Want { units, weight: self.weight }
    }
}

/// What a proxy would use, in units per second: what it used and refused, and up to as much again by
/// the part of the time that it went short.
fn wanted(report: &Report) -> u64 {
    let elapsed = u128::from(report.elapsed_ns);
    if elapsed == 0 {
        return 0;
    }
    let demand = &report.demand;
    let asked = u128::from(demand.used_units) + u128::from(demand.refused_units);
    let rate = asked * 1_000_000_000 / elapsed;
    let dry = u128::from(demand.dry_ns).min(elapsed);
    u64::try_from(rate + rate * dry / elapsed).unwrap_or(u64::MAX)
}

fn share(of: u64, weight: u32, weights: u64) -> u64 {
    scaled(of, u64::from(weight), weights)
}

/// `units * by / of`.
fn scaled(units: u64, by: u64, of: u64) -> u64 {
    let scaled = u128::from(units) * u128::from(by) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}
