//! What is to be seen, as plain data.

use std::time::Duration;

use super::page::{Event, Range, Running, Slots};

/// All of it. A number that is not known is `None`, and shown as a dash.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Screen {
    pub title: Title,
    /// What is wrong, the worst first.
    pub troubles: Vec<String>,
    pub data: Bounded,
    pub ecpu: Load,
    pub traffic: Traffic,
    pub latency: Latency,
    pub slots: Option<Slots>,
    pub nodes: Section<Vec<Node>>,
    pub migrations: Section<Moves>,
    pub events: Section<Vec<Event>>,
}

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Title {
    pub cache: Option<String>,
    pub role: &'static str,
    /// Of the admin HTTP.
    pub address: String,
    /// What clients connect to.
    pub endpoint: Option<String>,
    pub uptime: Option<Duration>,
    /// When this was so, in milliseconds since 1970 by the clock there.
    pub at_ms: Option<u64>,
    /// What rates are averages over.
    pub span: Option<Duration>,
    pub epoch: Option<u64>,
    pub replicas: Option<u64>,
}

/// What is used of what may be; a limit of 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounded {
    pub used: Option<u64>,
    pub limit: Option<Range>,
}

/// ECPUs a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    pub now: Option<f64>,
    pub limit: Option<Range>,
    /// One for each look, the newest last.
    pub history: Vec<Option<f64>>,
    /// Whose they are.
    pub of: &'static str,
}

/// A second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    pub commands: Option<f64>,
    /// Of the keys asked for, how many were found; `None` where none was asked for.
    pub hit_ratio: Option<f64>,
    pub delayed: Option<f64>,
    pub throttled: Option<f64>,
    pub overloaded: Option<f64>,
    pub evicted: Option<f64>,
    /// Open, and how many may be.
    pub connections: Option<(u64, u64)>,
}

/// Of the commands between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// Nothing is heard of it yet.
    #[default]
    Unknown,
    /// This process takes no clients.
    NotMeasured,
    Measured {
        read: Quantiles,
        write: Quantiles,
    },
}

/// Seconds; infinite above the last bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Commands.
    pub count: Option<f64>,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
}

/// A part of the screen, which may be missing or old.
#[derive(Clone, Debug, PartialEq)]
pub struct Section<T> {
    pub body: Option<T>,
    /// Why it is not of now, and how old it is where it is there.
    pub lack: Option<(String, Option<Duration>)>,
}

impl<T> Default for Section<T> {
    fn default() -> Self {
        Self { body: None, lack: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub id: String,
    pub instance: Option<String>,
    pub zone: String,
    pub state: String,
    pub is_draining: bool,
    pub address: String,
    /// As primary, as a copy, and those that it learns.
    pub slots: [u64; 3],
    pub items: Option<u64>,
    pub memory_used: Option<u64>,
    pub memory_max: u64,
    pub requests: Option<f64>,
    /// 1 is a core.
    pub cpu: Option<f64>,
}

/// Slots on the move.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moves {
    /// Not yet where they belong.
    pub remaining: u64,
    /// The most that were, since all were where they belonged.
    pub began: u64,
    /// How many less a second.
    pub rate: Option<f64>,
    pub running: Vec<Running>,
}
