//! One look at a running memtide: its admin HTTP is asked for all parts at once, and none is waited for longer
//! than the others.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::de::DeserializeOwned;

use super::metrics::Metrics;
use super::page;
use crate::cache::ask::{Ask, Asked, exchange};

/// Longest wait for a part of a look.
pub const PART_WAIT: Duration = Duration::from_secs(3);
/// So much longer its thread waits: what comes a little late is of the next look.
const GRACE: Duration = Duration::from_secs(1);
/// So many events are looked at.
const EVENTS: u64 = 100;
/// Of so much of the past is the usage asked for; counts of hours before do not change.
const USAGE_SECONDS: u64 = 2 * 3600;
/// What is read of `/metrics`.
const METRICS: [&str; 16] = [
    "memtide_commands_total",
    "memtide_command_duration_seconds_bucket",
    "memtide_cache_used_bytes",
    "memtide_connections ",
    "memtide_delayed_commands_total",
    "memtide_ecpu_units_total",
    "memtide_fleet_topology_epoch",
    "memtide_item_commands_total",
    "memtide_items_evicted_total",
    "memtide_memory_",
    "memtide_throttled_commands_total",
    "memtide_topology_",
    "memtide_usage_failing",
    "memtide_ecpu_per_second_",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
];

/// Why a part is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A process of this role does not tell it.
    NotHere,
    /// It does, to others.
    Refused(String),
    /// It could not be had.
    Failed(String),
}

/// A part, and when it was told, on the clock of [`Looker::look`].
#[derive(Clone, Debug, PartialEq)]
pub struct Heard<T> {
    pub at: Duration,
    pub page: T,
}

/// A part, or why it is not there.
pub type Told<T> = Result<Heard<T>, Lack>;

/// All that is told at about one time.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it was over.
    pub at: Duration,
    pub cache: Told<page::Cache>,
    pub limits: Told<page::Limits>,
    pub nodes: Told<page::Nodes>,
    pub topology: Told<page::Topology>,
    pub migrations: Told<page::Migrations>,
    pub usage: Told<page::Usage>,
    pub events: Told<page::Events>,
    pub metrics: Told<Metrics>,
    /// The lines of `/readyz?verbose`.
    pub ready: Told<Vec<String>>,
}

impl Look {
    /// Why all that could be told is not, where nothing is.
    pub fn trouble(&self) -> Option<&Lack> {
        // The last two are told to strangers too, and by every role.
        let all = [
            self.events.as_ref().err(),
            self.metrics.as_ref().err(),
            self.ready.as_ref().err(),
            self.cache.as_ref().err(),
            self.nodes.as_ref().err(),
        ];
        let is_refused = matches!(self.events, Err(Lack::Refused(_)));
        let is_all = is_refused || all.iter().all(Option::is_some);
        let mut lacks = all.into_iter().flatten();
        lacks.find(|lack| is_all && **lack != Lack::NotHere)
    }
}

/// An answer: its status and its text, or why there is none.
type Answer = (Duration, Result<(u16, String), String>);

/// Asks again and again. A part that has not answered is not asked anew before it has, so that one that hangs
/// costs a thread and not one with each look.
pub struct Looker {
    asked: Arc<Asked>,
    began: Instant,
    wait: Duration,
    under_way: Vec<(Part, Receiver<Answer>)>,
    topology: Option<Heard<page::Topology>>,
    /// The clock there, and how far its events are.
    told: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Cache,
    Limits,
    Nodes,
    Topology,
    Migrations,
    Usage,
    Events,
    Metrics,
    Ready,
}

impl Looker {
    /// Waits for `wait` at most with each look.
    pub fn new(asked: Asked, wait: Duration) -> Self {
        let (asked, began) = (Arc::new(asked), Instant::now());
        Self { asked, began, wait, under_way: Vec::new(), topology: None, told: None }
    }

    /// Looks.
    pub fn look(&mut self) -> Look {
        let all = [
            Part::Cache,
            Part::Limits,
            Part::Nodes,
            Part::Migrations,
            Part::Usage,
            Part::Events,
            Part::Metrics,
            Part::Ready,
        ];
        for part in all {
            self.send(part);
        }
        // It names the cache where nothing else does, and is long.
        if self.topology.is_none() {
            self.send(Part::Topology);
        }
        let deadline = Instant::now() + self.wait;
        let look = Look {
            cache: json(self.receive(Part::Cache, deadline)),
            limits: json(self.receive(Part::Limits, deadline)),
            nodes: json(self.receive(Part::Nodes, deadline)),
            topology: self.topology(deadline),
            migrations: json(self.receive(Part::Migrations, deadline)),
            usage: json(self.receive(Part::Usage, deadline)),
            events: json(self.receive(Part::Events, deadline)),
            metrics: self
                .receive(Part::Metrics, deadline)
                .map(|it| it.map(|text| Metrics::parse(&text, &METRICS))),
            ready: self
                .receive(Part::Ready, deadline)
                .map(|it| it.map(|text| text.lines().map(str::to_owned).collect())),
            at: self.began.elapsed(),
        };
        if let Ok(Heard { page, .. }) = &look.events {
            self.told = Some((page.now_ms, page.next));
        }
        look
    }

    fn topology(&mut self, deadline: Instant) -> Told<page::Topology> {
        if let Some(known) = &self.topology {
            return Ok(known.clone());
        }
        let told = json(self.receive(Part::Topology, deadline));
        self.topology = told.as_ref().ok().cloned();
        told
    }

    fn path(&self, part: Part) -> String {
        let path = match part {
            Part::Cache => "/v1/cache",
            Part::Limits => "/v1/cache/limits",
            Part::Nodes => "/v1/nodes",
            Part::Topology => "/v1/topology",
            Part::Migrations => "/v1/migrations",
            Part::Usage => {
                let here = || SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
                let now = self.told.map_or_else(here, |(now_ms, _)| now_ms / 1_000);
                return format!("/v1/cache/usage?from={}", now.saturating_sub(USAGE_SECONDS));
            }
            Part::Events => {
                let next = self.told.map_or(0, |(_, next)| next);
                return format!("/v1/events?after={}", next.saturating_sub(EVENTS));
            }
            Part::Metrics => "/metrics",
            Part::Ready => "/readyz?verbose",
        };
        path.to_owned()
    }

    fn send(&mut self, part: Part) {
        if self.under_way.iter().any(|(it, _)| *it == part) {
            return;
        }
        let (sender, receiver) = mpsc::channel();
        let (asked, path) = (Arc::clone(&self.asked), self.path(part));
        let (began, wait) = (self.began, self.wait);
        thread::spawn(move || {
            let asked_at = Instant::now();
            let answer = exchange(&asked, &Ask::get(path), wait + GRACE);
            let is_late = asked_at.elapsed() >= wait;
            let answer = answer.map(|reply| (reply.status, reply.body));
            let answer = answer.map_err(|error| if is_late { late(wait) } else { error });
            // Nobody may be waiting any more.
            let _ = sender.send((began.elapsed(), answer));
        });
        self.under_way.push((part, receiver));
    }

    fn receive(&mut self, part: Part, deadline: Instant) -> Told<String> {
        let Some(place) = self.under_way.iter().position(|(it, _)| *it == part) else {
            return Err(Lack::NotHere);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = self.under_way[place].1.recv_timeout(left);
        if answer != Err(RecvTimeoutError::Timeout) {
            self.under_way.swap_remove(place);
        }
        let (at, reply) = answer.map_err(|_| Lack::Failed(late(self.wait)))?;
        let (status, page) = reply.map_err(Lack::Failed)?;
        let line = page.lines().next().unwrap_or_default();
        match status {
            200 => Ok(Heard { at, page }),
            503 if part == Part::Ready => Ok(Heard { at, page }),
            404 => Err(Lack::NotHere),
            401 | 403 => Err(Lack::Refused(line.to_owned())),
            _ => Err(Lack::Failed(format!("answered with {status}: {line:.200}"))),
        }
    }
}

fn late(wait: Duration) -> String {
    format!("no answer within {wait:?}")
}

impl<T> Heard<T> {
    fn map<U>(self, of: impl FnOnce(T) -> U) -> Heard<U> {
        Heard { at: self.at, page: of(self.page) }
    }
}

fn json<T: DeserializeOwned>(told: Told<String>) -> Told<T> {
    let Heard { at, page } = told?;
    let page = serde_json::from_str(&page);
    let page = page.map_err(|_| Lack::Failed("the answer is not understood".to_owned()))?;
    Ok(Heard { at, page })
}

#[cfg(test)]
mod tests;
