use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memtide_testkit::{Fleet, http_get, wait_until};
use serde::Serialize;
use serde_json::Value;

use super::super::load::number;

/// Between two looks; the time until something holds is known as exactly.
const INTERVAL: Duration = Duration::from_millis(200);
/// Longest wait for what a fleet does by itself: nodes that were needed again soon after are given back late.
const PATIENCE: Duration = Duration::from_secs(900);

/// What a fleet is at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// That are up, and not told to leave.
    pub nodes: usize,
    /// Bytes that nodes are granted.
    pub granted: u64,
    /// Bytes that they have in use.
    pub used: u64,
    /// Slots that are not yet where they belong.
    pub remaining: u64,
    /// Steps of decisions that are not done yet.
    pub under_way: usize,
    /// The number of the newest decision.
    pub decision: u64,
    /// ECPUs a second that are used, and that there is room for.
    pub ecpu: (u64, u64),
    /// Items that all nodes so far have evicted.
    pub evicted: u64,
}

/// Looks at a fleet for as long as it is there.
#[derive(Debug)]
pub struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sample {
    /// Whether the fleet is what it is to be, with all data where it belongs.
    pub const fn is_settled(&self) -> bool {
        self.remaining == 0 && self.under_way == 0
    }

    fn of(admin: SocketAddr, evicted: &mut BTreeMap<String, u64>) -> Option<Self> {
        let json = |path: &str| serde_json::from_str::<Value>(&http_get(admin, path).body).ok();
        // Nodes first: slots that are to go to those of them that are new are counted then.
        let nodes = json("/v1/nodes")?;
        let (migrations, scaling) = (json("/v1/migrations")?, json("/v1/scaling")?);
        let nodes: Vec<&Value> = nodes["nodes"].as_array()?.iter().collect();
        for node in &nodes {
            let count = number(node, "/evicted");
            evicted.insert(node["id"].as_str()?.to_owned(), count);
        }
        let is_there = |node: &&&Value| node["state"] == "up" && node["draining"] == false;
        let sum = |name: &str| nodes.iter().map(|node| number(node, name)).sum();
        let mut resources = scaling["resources"].as_array()?.iter();
        let ecpu = resources.find(|it| it["resource"] == "ecpu")?;
        Some(Self {
            at_ms: now_ms(),
            nodes: nodes.iter().filter(is_there).count(),
            granted: sum("/memory_max_bytes"),
            used: sum("/memory_used_bytes"),
            remaining: migrations["remaining_slots"].as_u64()?,
            under_way: scaling["under_way"].as_array()?.len(),
            decision: number(&scaling, "/decisions/0/decision"),
            ecpu: (number(ecpu, "/load"), number(ecpu, "/capacity")),
            evicted: evicted.values().sum(),
        })
    }
}

impl Watch {
    /// Begins.
    pub fn start(fleet: &Fleet) -> Self {
        let admin = fleet.memtide().admin_address();
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = mpsc::channel::<()>();
        let taken = Arc::clone(&samples);
        let thread = thread::spawn(move || {
            let mut evicted = BTreeMap::new();
            loop {
                let sample = Sample::of(admin, &mut evicted);
                lock(&taken).extend(sample);
                // Nothing is ever sent: the other end goes.
                if stopped.recv_timeout(INTERVAL) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self { samples, stop: Some(stop), thread: Some(thread) }
    }

    /// The newest.
    pub fn now(&self) -> Sample {
        wait_until("the fleet says what it is", PATIENCE, || lock(&self.samples).last().cloned())
    }

    /// Waits for a moment from now on of which this holds.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait(&self, what: &str, is_it: impl Fn(&Sample) -> bool) -> Sample {
        let mut seen = lock(&self.samples).len();
        wait_until(what, PATIENCE, || {
            let samples = lock(&self.samples);
            let found = samples[seen..].iter().find(|it| is_it(it)).cloned();
            seen = samples.len();
            found
        })
    }

    /// All of it.
    pub fn finish(mut self) -> Vec<Sample> {
        self.end();
        std::mem::take(&mut *lock(&self.samples))
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A fleet that did not answer ended it; then there are no samples, which is told.
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds between two moments.
#[expect(clippy::cast_precision_loss, reason = "milliseconds are far below 2^52")]
pub fn seconds(from_ms: u64, to_ms: u64) -> f64 {
    to_ms.saturating_sub(from_ms) as f64 / 1e3
}

fn lock(samples: &Mutex<Vec<Sample>>) -> MutexGuard<'_, Vec<Sample>> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}
