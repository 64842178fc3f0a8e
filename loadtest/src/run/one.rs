//! One run of a plan on one of its endpoints, with all that surrounds the load.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::surroundings::Surroundings;
use super::{RunSettings, Workload, measure, report};
use crate::drive::{Pacing, Traffic};
use crate::endpoint::{Preflight, server_statistic};
use crate::measure::Seconds;
use crate::plan::{Pace, Plan, Target, VerifyPlan, Work};
use crate::report::{Ended, Report};
use crate::verify::{self, Verdict, VerifySettings, VerifyTraffic};
use crate::workload::trace::{TraceReader, TraceSettings, TraceTraffic};
use crate::workload::{Arrivals, Fill, LoadSettings, LoadTraffic, Profile};

/// Whether the endpoint is there, and is what it is said to be.
///
/// # Errors
/// One line, when it is not.
pub fn preflight(plan: &Plan, target: &Target) -> anyhow::Result<Preflight> {
    let timeout = Duration::from_nanos(target.run.timeout);
    Preflight::of(&target.run.endpoint, timeout, plan.is_any_reply())
}

/// How long the endpoint is asked for its statistics after a Ctrl-C.
const LAST_WORD_PATIENCE: Duration = Duration::from_secs(1);

/// Makes the run and its report.
///
/// # Errors
/// One line, when the endpoint cannot be loaded at all.
pub fn run(plan: &Plan, target: &Target, stop: &AtomicBool) -> anyhow::Result<Report> {
    let settings = &target.run;
    let preflight = preflight(plan, target)?;
    let evictions = || if plan.is_any_reply() { None } else { evictions(settings, stop) };
    let evictions_before = evictions();
    let mut watch = Surroundings::new(plan, target)?;
    let run = Run { plan, settings, stop };
    let (mut report, verdict) = match &plan.work {
        Work::Load { settings, is_filled } => (run.load(settings, *is_filled, &mut watch)?, None),
        Work::Trace { file, settings } => (run.trace(file, settings, &mut watch)?, None),
        Work::Verify(verify) => run.verify(verify, &mut watch)?,
    };
    report.evictions =
        evictions_before.zip(evictions()).and_then(|(before, after)| after.checked_sub(before));
    watch.finish();
    report.endpoint.transport = preflight.transport;
    report.endpoint.server_version = preflight.server_version;
    report.verdict = verdict;
    Ok(report)
}

/// A run of a plan on one endpoint.
struct Run<'r> {
    plan: &'r Plan,
    settings: &'r RunSettings,
    stop: &'r AtomicBool,
}

impl Run<'_> {
    fn load(
        &self,
        load: &Arc<LoadSettings>,
        is_filled: bool,
        watch: &mut Surroundings<'_>,
    ) -> anyhow::Result<Report> {
        let (seed, threads) = (self.plan.seed, self.settings.threads);
        watch.fill_total = Fill::stores(load);
        let fill = |thread| is_filled.then(|| Fill::new(Arc::clone(load), thread, threads, seed));
        let traffic = |thread| {
            let lanes = self.settings.lanes_of(thread);
            Ok(LoadTraffic::new(Arc::clone(load), thread, lanes, seed))
        };
        Ok(self.drive(&fill, &traffic, watch)?.0)
    }

    fn trace(
        &self,
        file: &Path,
        trace: &TraceSettings,
        watch: &mut Surroundings<'_>,
    ) -> anyhow::Result<Report> {
        let traffic = |thread| trace_traffic(file, trace, self.settings, thread);
        let (mut report, traffic) = self.drive(&|_| None::<Fill>, &traffic, watch)?;
        if let Some(failure) = traffic.iter().find_map(TraceTraffic::failure) {
            report.ended = Ended::Failed(failure.to_string());
        }
        Ok(report)
    }

    fn verify(
        &self,
        verify: &VerifyPlan,
        watch: &mut Surroundings<'_>,
    ) -> anyhow::Result<(Report, Option<Verdict>)> {
        let threads = self.settings.threads;
        let traffic = |thread| {
            Ok(VerifyTraffic::new(VerifySettings {
                seed: self.plan.seed,
                keys: verify.keys,
                value_bytes: verify.value_bytes,
                threads,
                thread,
                lanes: self.settings.lanes_of(thread),
                operations_max: verify.operations_max / threads as usize,
            }))
        };
        let (report, traffic) = self.drive(&|_| None::<Fill>, &traffic, watch)?;
        watch.note("checking the history");
        let histories: Vec<_> = traffic.into_iter().map(VerifyTraffic::into_history).collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seed = self.plan.seed;
        let verdict = verify::check_within(&histories, seed, cores, verify.reply_within);
        Ok((report, Some(verdict)))
    }

    /// Drives the load and makes the report of it; the traffic comes back.
    fn drive<F: Traffic + Send, T: Traffic + Send>(
        &self,
        fill: &dyn Fn(u32) -> Option<F>,
        traffic: &dyn Fn(u32) -> anyhow::Result<T>,
        watch: &mut Surroundings<'_>,
    ) -> anyhow::Result<(Report, Vec<T>)> {
        let workload = Workload { fill, traffic, pacing: pacing(self.plan, self.settings) };
        let mut measured = measure(self.settings, &workload, self.stop, watch)?;
        let traffic = std::mem::take(&mut measured.traffic);
        let is_stopped = self.stop.load(Ordering::Relaxed);
        let facts = watch.facts(self.plan, &measured, is_stopped);
        Ok((report(self.settings, measured, facts), traffic))
    }
}

/// What the endpoint says it has evicted; `None` where it does not say.
fn evictions(settings: &RunSettings, stop: &AtomicBool) -> Option<u64> {
    let timeout = Duration::from_nanos(settings.timeout);
    let is_stopped = stop.load(Ordering::Relaxed);
    let patience = if is_stopped { timeout.min(LAST_WORD_PATIENCE) } else { timeout };
    server_statistic(&settings.endpoint, "evictions", patience).ok().flatten()
}

/// A thread's share of a trace.
fn trace_traffic(
    file: &Path,
    trace: &TraceSettings,
    settings: &RunSettings,
    thread: u32,
) -> anyhow::Result<TraceTraffic<BufReader<File>>> {
    let (reader, lanes) = (TraceReader::open(file)?, settings.lanes_of(thread));
    let traffic = TraceTraffic::new(trace.clone(), reader, (thread, settings.threads), lanes);
    match traffic.failure() {
        Some(failure) => Err(failure.clone().into()),
        None => Ok(traffic),
    }
}

/// When requests are due on each thread: the warm-up at the profile's first rate, then the profile.
fn pacing(
    plan: &Plan,
    settings: &RunSettings,
) -> Arc<dyn Fn(u32, Seconds) -> Pacing + Send + Sync> {
    let (seed, threads) = (plan.seed, settings.threads);
    match plan.pace.clone() {
        Pace::Max => Arc::new(|_, _| Pacing::Closed),
        Pace::Trace => Arc::new(|_, seconds| Pacing::Traffic(seconds.start)),
        Pace::Rate(profile, spacing) => Arc::new(move |thread, seconds| {
            let warmup = Profile::constant(profile.rate_at(0)).ok();
            let warmup = warmup
                .into_iter()
                .flat_map(move |it| Arrivals::new(&it, spacing, thread, threads, seed ^ 1))
                .map(move |at| seconds.start + at)
                .take_while(move |&at| at < seconds.measured);
            let measured = Arrivals::new(&profile, spacing, thread, threads, seed)
                .map(move |at| seconds.measured + at);
            Pacing::Open(Box::new(warmup.chain(measured)))
        }),
    }
}
