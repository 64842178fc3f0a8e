//! A run on one endpoint: threads led through connecting, filling and the load; what they count
//! drawn together; the report.

mod assemble;
mod collect;
mod one;
mod surroundings;
mod threads;
mod trust;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Instant, SystemTime};

use crate::drive::{Clock, Nanos, Pacing, PhaseEnd, Traffic, WorkerSettings};
use crate::endpoint::Endpoint;
use crate::measure::{Seconds, Slice, Tally};
use crate::report::Second;

pub use assemble::{Facts, report};
use collect::Collection;
pub use one::{preflight, run as one};
use threads::{Job, Threads};

/// How an endpoint is loaded, whatever is asked of it.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What is loaded.
    pub endpoint: Arc<Endpoint>,
    /// Connections that carry load, over all threads.
    pub connections: u32,
    /// Connections that stay idle, over all threads.
    pub idle_connections: u32,
    /// Requests in flight on a connection, at most.
    pub pipeline: u32,
    /// Generating threads.
    pub threads: u32,
    /// Whether each request has a connection of its own.
    pub is_connect_per_request: bool,
    /// How long a reply, or a connection, is waited for.
    pub timeout: Nanos,
    /// What goes before the measured part.
    pub warmup: Nanos,
    /// The measured part.
    pub duration: Nanos,
    /// Whether a rate is kept.
    pub is_open_loop: bool,
}

impl RunSettings {
    /// Connections of this thread that carry load.
    #[must_use]
    pub fn lanes_of(&self, thread: u32) -> u32 {
        share(self.connections, self.threads, thread)
    }
}

fn share(all: u32, threads: u32, thread: u32) -> u32 {
    all / threads + u32::from(thread < all % threads)
}

/// Sees a run while it goes on.
pub trait Watch {
    /// Connections stand; keys are stored next, or the load begins.
    fn connected(&mut self) -> anyhow::Result<()>;
    /// A second of storing keys.
    fn filling(&mut self, second: &Second);
    /// Storing keys is over, and this is what came of it.
    fn filled(&mut self, tally: &Tally);
    /// The load begins; its measured part at this moment.
    fn begins(&mut self, measured: Instant);
    /// The measured part begins now.
    fn measuring(&mut self);
    /// A second is whole; what is known of it beside the counts can be added.
    fn second(&mut self, second: &mut Second);
    /// The measured part is over now.
    fn measured(&mut self);
}

/// The traffic of every thread, and when it is due.
pub struct Workload<'w, F, T> {
    /// Stores all keys before the load, for this thread.
    pub fill: &'w dyn Fn(u32) -> Option<F>,
    /// The load of this thread.
    pub traffic: &'w dyn Fn(u32) -> anyhow::Result<T>,
    /// When it is due, for this thread and these times.
    pub pacing: Arc<dyn Fn(u32, Seconds) -> Pacing + Send + Sync>,
}

/// What a run gave.
#[derive(Debug)]
pub struct Measured<T> {
    /// The run's times.
    pub seconds: Seconds,
    /// When the measured part began.
    pub began_at: SystemTime,
    /// How it ended on each thread.
    pub ends: Vec<PhaseEnd>,
    /// What opening the connections was like.
    pub connecting: Tally,
    /// The traffic, back from the threads.
    pub traffic: Vec<T>,
    collection: Collection,
}

impl<T> Measured<T> {
    /// How long was measured.
    #[must_use]
    pub fn measured_s(&self) -> f64 {
        self.collection.measured_s()
    }

    /// Replies that came within the measured part.
    #[must_use]
    pub fn replies_in_time(&self) -> u64 {
        self.collection.replies_in_time
    }
}

/// Runs the load.
///
/// # Errors
/// One line, when it cannot begin, or the system fails under it.
pub fn measure<F, T>(
    settings: &RunSettings,
    workload: &Workload<'_, F, T>,
    stop: &AtomicBool,
    watch: &mut dyn Watch,
) -> anyhow::Result<Measured<T>>
where
    F: Traffic + Send,
    T: Traffic + Send,
{
    let clock = Clock::new();
    let mut jobs = Vec::new();
    for thread in 0..settings.threads {
        let pacing = Arc::clone(&workload.pacing);
        let job = Job {
            fill: (workload.fill)(thread),
            traffic: (workload.traffic)(thread)?,
            pacing: Box::new(move |seconds| pacing(thread, seconds)),
        };
        jobs.push((worker(settings, clock, thread), job));
    }
    let has_fill = jobs.iter().any(|(_, job)| job.fill.is_some());
    std::thread::scope(|scope| {
        let threads = Threads::start(scope, jobs, stop)?;
        let connecting = threads.connect()?;
        watch.connected()?;
        if has_fill {
            let seconds = Seconds { start: clock.now(), measured: clock.now(), end: Nanos::MAX };
            let mut filling = Collection::new(seconds, settings.threads as usize, false);
            for slice in threads.fill(seconds.start) {
                filling.add(&slice, |second| watch.filling(second));
            }
            threads.ended()?;
            watch.filled(&filling.total);
        }
        let start = clock.now();
        let measured = start + settings.warmup;
        let seconds = Seconds { start, measured, end: measured + settings.duration };
        let began_at = SystemTime::now() + std::time::Duration::from_nanos(settings.warmup);
        let slices = threads.load(seconds);
        watch.begins(clock.instant(measured));
        let threads_count = settings.threads as usize;
        let collection = Collection::new(seconds, threads_count, settings.is_open_loop);
        let collection = follow(&slices, collection, clock, watch);
        let ends = threads.ended()?;
        let traffic = threads.finish();
        Ok(Measured { seconds, began_at, ends, connecting, traffic, collection })
    })
}

/// Draws the slices together until there are no more, and tells when the measured part begins and
/// ends.
fn follow(
    slices: &Receiver<Slice>,
    mut collection: Collection,
    clock: Clock,
    watch: &mut dyn Watch,
) -> Collection {
    let seconds = collection.seconds();
    let mut next = [Some(seconds.measured), Some(seconds.end)];
    let tell = |next: &mut [Option<Nanos>; 2], now: Nanos, watch: &mut dyn Watch| {
        if next[0].take_if(|at| now >= *at).is_some() {
            watch.measuring();
        }
        if next[1].take_if(|at| now >= *at).is_some() {
            watch.measured();
        }
    };
    loop {
        let at = next.iter().flatten().next().copied();
        let wait = at.map_or(Nanos::MAX >> 8, |at| at.saturating_sub(clock.now()));
        match slices.recv_timeout(std::time::Duration::from_nanos(wait)) {
            Ok(slice) => collection.add(&slice, |second| watch.second(second)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        tell(&mut next, clock.now(), watch);
    }
    // A run that was stopped early has its end now.
    tell(&mut next, Nanos::MAX, watch);
    collection
}

/// The part of the connections that this thread has.
fn worker(settings: &RunSettings, clock: Clock, thread: u32) -> WorkerSettings {
    WorkerSettings {
        endpoint: Arc::clone(&settings.endpoint),
        lanes: settings.lanes_of(thread),
        idle: share(settings.idle_connections, settings.threads, thread),
        pipeline: settings.pipeline,
        is_connect_per_request: settings.is_connect_per_request,
        timeout: settings.timeout,
        clock,
    }
}
