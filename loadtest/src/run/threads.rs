//! The generating threads: started together, led step by step, and their traffic taken back.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Context as _, anyhow};

use crate::drive::{Nanos, Pacing, PhaseEnd, PhaseSettings, Traffic, Worker, WorkerSettings, run};
use crate::measure::{Meter, Seconds, Slice, Tally};

/// What a thread does, step by step; it waits for the next.
enum Step {
    /// Opens its connections.
    Connect,
    /// Stores the keys.
    Fill(Seconds, Sender<Slice>),
    /// Warm-up and measured part.
    Load(Seconds, Sender<Slice>),
}

/// What a step gave.
#[derive(Debug)]
pub(super) enum Done {
    /// Connections stand.
    Connected(Box<Tally>),
    /// The phase is over.
    Phase(PhaseEnd),
}

/// What makes the traffic of a thread, and when it is due.
pub(super) struct Job<F, T> {
    /// Stores all keys before the load; nothing is stored without.
    pub fill: Option<F>,
    /// The load.
    pub traffic: T,
    /// When it is due, given the times of the run.
    pub pacing: Box<dyn FnOnce(Seconds) -> Pacing + Send>,
}

/// Threads that wait for their next step.
pub(super) struct Threads<'scope, T> {
    threads: Vec<Thread<'scope, T>>,
    done: Receiver<anyhow::Result<Done>>,
}

struct Thread<'scope, T> {
    steps: Sender<Step>,
    handle: ScopedJoinHandle<'scope, Option<T>>,
}

impl<'scope, T: Traffic + Send + 'scope> Threads<'scope, T> {
    /// Starts a thread for each job.
    ///
    /// # Errors
    /// When the system refuses one.
    pub fn start<'env, F: Traffic + Send + 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        jobs: Vec<(WorkerSettings, Job<F, T>)>,
        stop: &'scope AtomicBool,
    ) -> anyhow::Result<Self> {
        let (done_sender, done) = channel();
        let mut threads = Vec::new();
        for (number, (worker, job)) in (0..).zip(jobs) {
            let (steps, next) = channel();
            let done = done_sender.clone();
            let body = move || {
                let word = Word { done: done.clone(), is_kept: false };
                let traffic = Body { number, stop, next, done }.run(worker, job);
                word.keep();
                traffic
            };
            let handle = std::thread::Builder::new()
                .name(format!("load-{number}"))
                .spawn_scoped(scope, body)
                .context("failed to start a thread")?;
            threads.push(Thread { steps, handle });
        }
        Ok(Self { threads, done })
    }

    /// Has all open their connections.
    ///
    /// # Errors
    /// The first connection that fails.
    pub fn connect(&self) -> anyhow::Result<Tally> {
        self.threads.iter().for_each(|it| drop(it.steps.send(Step::Connect)));
        let mut sum = Tally::default();
        for done in self.wait() {
            if let Done::Connected(tally) = done? {
                sum.add(&tally);
            }
        }
        Ok(sum)
    }

    /// Begins to store the keys; the slices end when all are stored.
    pub fn fill(&self, start: Nanos) -> Receiver<Slice> {
        let seconds = Seconds { start, measured: start, end: Nanos::MAX };
        let (sender, slices) = channel();
        for thread in &self.threads {
            let _ = thread.steps.send(Step::Fill(seconds, sender.clone()));
        }
        slices
    }

    /// Begins the load; the slices end with it.
    pub fn load(&self, seconds: Seconds) -> Receiver<Slice> {
        let (sender, slices) = channel();
        for thread in &self.threads {
            let _ = thread.steps.send(Step::Load(seconds, sender.clone()));
        }
        slices
    }

    /// Waits until all have ended their phase.
    ///
    /// # Errors
    /// Of the first thread that failed.
    pub fn ended(&self) -> anyhow::Result<Vec<PhaseEnd>> {
        let mut ends = Vec::new();
        for done in self.wait() {
            if let Done::Phase(end) = done? {
                ends.push(end);
            }
        }
        Ok(ends)
    }

    fn wait(&self) -> impl Iterator<Item = anyhow::Result<Done>> {
        let gone = || Err(anyhow!("a generating thread ended early"));
        self.threads.iter().map(move |_| self.done.recv().unwrap_or_else(|_| gone()))
    }

    /// Ends the threads, and gives their traffic back.
    pub fn finish(self) -> Vec<T> {
        let handles: Vec<_> = self.threads.into_iter().map(|it| it.handle).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok().flatten()).collect()
    }
}

/// That a thread which panics says so: else who waits for its step would wait for ever, as the other
/// threads wait for theirs.
struct Word {
    done: Sender<anyhow::Result<Done>>,
    is_kept: bool,
}

impl Word {
    /// The thread ended as it should.
    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.done.send(Err(anyhow!("a generating thread panicked")));
        }
    }
}

/// A thread.
struct Body<'scope> {
    number: u32,
    stop: &'scope AtomicBool,
    next: Receiver<Step>,
    done: Sender<anyhow::Result<Done>>,
}

impl Body<'_> {
    fn run<F: Traffic, T: Traffic>(self, worker: WorkerSettings, job: Job<F, T>) -> Option<T> {
        let Job { mut fill, mut traffic, pacing } = job;
        let mut pacing = Some(pacing);
        let mut worker = match Worker::new(worker) {
            Ok(worker) => worker,
            Err(error) => {
                let _ = self.done.send(Err(error));
                return None;
            }
        };
        while let Ok(step) = self.next.recv() {
            let done = match step {
                Step::Connect => {
                    worker.connect_all(self.stop).map(|it| Done::Connected(Box::new(it)))
                }
                Step::Fill(seconds, slices) => {
                    let fill = fill.as_mut().expect("it is asked for where there is one");
                    self.phase(&mut worker, fill, Pacing::Closed, (seconds, slices))
                }
                Step::Load(seconds, slices) => {
                    let pacing = pacing.take().map_or(Pacing::Closed, |pacing| pacing(seconds));
                    self.phase(&mut worker, &mut traffic, pacing, (seconds, slices))
                }
            };
            let is_failed = done.is_err();
            if self.done.send(done).is_err() || is_failed {
                break;
            }
        }
        Some(traffic)
    }

    fn phase<T: Traffic>(
        &self,
        worker: &mut Worker,
        traffic: &mut T,
        pacing: Pacing,
        (seconds, slices): (Seconds, Sender<Slice>),
    ) -> anyhow::Result<Done> {
        let mut meter = Meter::new(seconds, self.number, slices);
        let settings = PhaseSettings { pacing, until: seconds.end, stop: self.stop };
        let end = run(worker, traffic, &mut meter, settings)?;
        meter.finish(worker.now());
        Ok(Done::Phase(end))
    }
}
