//! What the command line comes to: checked, resolved, and ready to be run.

mod fail_on;
mod pids;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::arguments::Arguments;
use crate::drive::nanos;
use crate::endpoint::Endpoint;
use crate::hooks::{self, Hook};
use crate::run::RunSettings;
use crate::workload::trace::{TraceSettings, TraceTiming};
use crate::workload::{LoadSettings, Profile, Spacing, quantity};

pub use fail_on::FailOn;
pub use verify::VerifyPlan;

/// Connections that one process opens at most: ports and descriptors end there anyway.
const CONNECTIONS_MAX: u32 = 60_000;
/// Requests in flight on one connection, at most.
const PIPELINE_MAX: u32 = 10_000;
/// Generating threads, at most.
const THREADS_MAX: u32 = 256;
/// The same with --verify, whose counters have room for no more.
const VERIFY_THREADS_MAX: u32 = 128;
/// How requests are spaced, if not said otherwise.
const ARRIVALS_DEFAULT: &str = "poisson";
/// Rounds of a comparison, if not said otherwise.
const ROUNDS_DEFAULT: u32 = 5;
/// What is measured, if not said otherwise.
const DURATION_DEFAULT: &str = "10s";
/// The longest time of anything.
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A load test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is loaded, each with the processes that are looked at.
    pub targets: Vec<Target>,
    /// When requests are due.
    pub pace: Pace,
    /// What is asked.
    pub work: Work,
    /// Seed of all that is random.
    pub seed: u64,
    /// What is done during the run.
    pub hooks: Vec<Hook>,
    /// Whose events go into the report.
    pub admin: Option<String>,
    /// Rounds of a comparison; `None` for one run.
    pub rounds: Option<u32>,
    /// What makes the exit code 1.
    pub fail_on: FailOn,
    /// Where the result is written as JSON.
    pub json: Option<PathBuf>,
    /// Where it is written as a page.
    pub html: Option<PathBuf>,
    /// The plan, as pairs to be shown.
    pub shown: Vec<(String, String)>,
}

/// An endpoint, how it is loaded, and its processes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The load of it.
    pub run: RunSettings,
    /// The processes whose CPU time and memory are read.
    pub server_pids: Vec<u32>,
}

/// When requests are due.
#[derive(Clone, Debug)]
pub enum Pace {
    /// As soon as there is room: closed loop.
    Max,
    /// At a rate, whatever the endpoint does: open loop.
    Rate(Profile, Spacing),
    /// When the trace has them: open loop.
    Trace,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Work {
    /// At random by the settings; and whether all keys are stored before.
    Load {
        /// The settings.
        settings: Arc<LoadSettings>,
        /// Whether all keys are stored before.
        is_filled: bool,
    },
    /// What a trace has.
    Trace {
        /// The CSV.
        file: PathBuf,
        /// How it is replayed.
        settings: TraceSettings,
    },
    /// So that consistency can be checked.
    Verify(VerifyPlan),
}

impl Plan {
    /// Checks and resolves the command line.
    ///
    /// # Errors
    /// The first mistake, in one line that names the flag.
    pub fn resolve(arguments: &Arguments) -> anyhow::Result<Self> {
        let pace = pace(arguments)?;
        let work = work(arguments, &pace)?;
        let mut targets = Vec::new();
        for words in &arguments.endpoint {
            let endpoint = Arc::new(Endpoint::resolve(words, &arguments.connection)?);
            let run = run_settings(arguments, endpoint, !matches!(pace, Pace::Max))?;
            targets.push(Target { run, server_pids: Vec::new() });
        }
        pids::give(&arguments.report.server_pid, &mut targets)?;
        let rounds = rounds(arguments, &targets)?;
        let seed = arguments.load.seed.unwrap_or_else(fresh_seed);
        let hooks = hooks::plan(&arguments.load.at)?;
        let duration = targets[0].run.duration;
        if let Some(late) = hooks.iter().find(|hook| nanos(hook.at) >= duration) {
            bail!("--at {:?}: the run is over by then; see --duration", late.at);
        }
        let (json, html) = (&arguments.report.json, &arguments.report.html);
        if json.is_some() && json == html {
            bail!("--json and --html: give them files of their own");
        }
        let mut plan = Self {
            targets,
            pace,
            work,
            seed,
            hooks,
            admin: arguments.report.admin.clone(),
            rounds,
            fail_on: FailOn::read(arguments.report.fail_on.as_deref())?,
            json: arguments.report.json.clone(),
            html: arguments.report.html.clone(),
            shown: Vec::new(),
        };
        plan.shown = plan.described(arguments);
        Ok(plan)
    }

    /// Whether the endpoint may answer whatever it likes.
    #[must_use]
    pub fn is_any_reply(&self) -> bool {
        matches!(&self.work, Work::Load { settings, .. } if settings.is_any_reply)
    }

    fn described(&self, arguments: &Arguments) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut pair = |name: &str, text: String| pairs.push((name.to_owned(), text));
        pair(
            "rate",
            match &self.pace {
                Pace::Max => "max (closed loop)".to_owned(),
                Pace::Rate(..) => {
                    let load = &arguments.load;
                    let rate = load.profile.as_deref().or(load.rate.as_deref());
                    let spacing = load.arrivals.as_deref().unwrap_or(ARRIVALS_DEFAULT);
                    format!("{}, {spacing}", rate.unwrap_or_default())
                }
                Pace::Trace => "the trace's".to_owned(),
            },
        );
        let connection = &arguments.connection;
        pair("connections", connection.connections.to_string());
        if connection.connect_per_request {
            let sessions = if connection.no_resumption { "full handshakes" } else { "resumption" };
            pair("connection per request", sessions.to_owned());
        } else {
            pair("pipeline", connection.pipeline.to_string());
        }
        if connection.idle_connections > 0 {
            pair("idle connections", connection.idle_connections.to_string());
        }
        pair("threads", connection.threads.to_string());
        pair("warm-up", warmup_text(arguments).to_owned());
        let whole_trace = "until the trace ends";
        let default = if arguments.work.trace.is_some() { whole_trace } else { DURATION_DEFAULT };
        pair("duration", arguments.load.duration.as_deref().unwrap_or(default).to_owned());
        pair("timeout", connection.timeout.clone());
        match &self.work {
            Work::Load { settings, is_filled } => {
                pairs.extend(settings.described());
                pairs.push(("fill".to_owned(), if *is_filled { "yes" } else { "no" }.to_owned()));
            }
            Work::Trace { file, .. } => {
                let speed = arguments.work.trace_speed.unwrap_or(1.0);
                pairs.push(("trace".to_owned(), file.display().to_string()));
                if matches!(self.pace, Pace::Trace) {
                    pairs.push(("trace speed".to_owned(), speed.to_string()));
                }
            }
            Work::Verify(verify) => pairs.extend(verify.described()),
        }
        pairs.push(("seed".to_owned(), self.seed.to_string()));
        pairs
    }
}

fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    // Short enough to be typed again.
    RandomState::new().hash_one(0_u8) % 1_000_000_000
}

fn time(flag: &str, text: &str) -> anyhow::Result<Duration> {
    let time = quantity::time(text).with_context(|| format!("--{flag} {text}"))?;
    if time > TIME_MAX {
        bail!("--{flag} {text}: more than 30 days");
    }
    Ok(time)
}

fn run_settings(
    arguments: &Arguments,
    endpoint: Arc<Endpoint>,
    is_open_loop: bool,
) -> anyhow::Result<RunSettings> {
    let connection = &arguments.connection;
    let within = |flag: &str, n: u32, min: u32, max: u32| {
        if (min..=max).contains(&n) { Ok(n) } else { bail!("--{flag} {n}: give {min} to {max}") }
    };
    let connections = within("connections", connection.connections, 1, CONNECTIONS_MAX)?;
    let threads = within("threads", connection.threads, 1, THREADS_MAX)?;
    if arguments.work.verify && threads > VERIFY_THREADS_MAX {
        bail!("--threads {threads}: with --verify at most {VERIFY_THREADS_MAX}");
    }
    if threads > connections {
        bail!("--threads {threads}: more than there are connections ({connections})");
    }
    let duration = match &arguments.load.duration {
        None if arguments.work.trace.is_some() => TIME_MAX,
        given => time("duration", given.as_deref().unwrap_or(DURATION_DEFAULT))?,
    };
    let timeout = time("timeout", &connection.timeout)?;
    if duration.is_zero() || timeout.is_zero() {
        bail!("--duration and --timeout must be more than 0");
    }
    if connection.connect_per_request && connection.pipeline != 1 {
        bail!("--pipeline: with --connect-per-request a connection carries one request");
    }
    let idle = within("idle-connections", connection.idle_connections, 0, CONNECTIONS_MAX)?;
    Ok(RunSettings {
        endpoint,
        connections,
        idle_connections: idle,
        pipeline: within("pipeline", connection.pipeline, 1, PIPELINE_MAX)?,
        threads,
        is_connect_per_request: connection.connect_per_request,
        timeout: nanos(timeout),
        warmup: nanos(time("warmup", warmup_text(arguments))?),
        duration: nanos(duration),
        is_open_loop,
    })
}

/// A trace is replayed from its first line on; all else gets warm.
fn warmup_text(arguments: &Arguments) -> &str {
    let default = if arguments.work.trace.is_some() { "0" } else { "2s" };
    arguments.load.warmup.as_deref().unwrap_or(default)
}

fn work(arguments: &Arguments, pace: &Pace) -> anyhow::Result<Work> {
    let work = &arguments.work;
    if work.verify {
        if work.trace.is_some() {
            bail!("--verify: with --trace there is nothing to check, as it says what is stored");
        }
        return Ok(Work::Verify(VerifyPlan::resolve(work)?));
    }
    if let Some(file) = &work.trace {
        without_use_with_trace(arguments)?;
        let timing = match pace {
            Pace::Trace => {
                TraceTiming::recorded(work.trace_speed.unwrap_or(1.0)).context("--trace-speed")?
            }
            Pace::Max | Pace::Rate(..) => TraceTiming::ByPlan,
        };
        let settings = TraceSettings::new(timing, work.look_aside);
        return Ok(Work::Trace { file: file.clone(), settings });
    }
    Ok(Work::Load { settings: Arc::new(LoadSettings::resolve(work)?), is_filled: work.fill })
}

fn pace(arguments: &Arguments) -> anyhow::Result<Pace> {
    let load = &arguments.load;
    let spacing = load.arrivals.as_deref().unwrap_or(ARRIVALS_DEFAULT);
    let spacing: Spacing = spacing.parse().with_context(|| format!("--arrivals {spacing}"))?;
    let is_max = match load.rate.as_deref() {
        None => load.profile.is_none(),
        rate => rate == Some("max"),
    };
    if is_max && load.arrivals.is_some() {
        bail!("--arrivals: only with a --rate or --profile");
    }
    if let Some(steps) = &load.profile {
        if load.rate.is_some() {
            bail!("--profile: it is the rate; leave out --rate");
        }
        let profile = steps.parse().with_context(|| format!("--profile {steps}"))?;
        return Ok(Pace::Rate(profile, spacing));
    }
    match load.rate.as_deref() {
        Some("max") => Ok(Pace::Max),
        Some(rate) => {
            let named = || format!("--rate {rate}");
            let per_second = quantity::rate(rate).with_context(named)?;
            Ok(Pace::Rate(Profile::constant(per_second).with_context(named)?, spacing))
        }
        None if arguments.work.trace.is_some() => Ok(Pace::Trace),
        None => Ok(Pace::Max),
    }
}

/// The trace says what is asked.
fn without_use_with_trace(arguments: &Arguments) -> anyhow::Result<()> {
    let work = &arguments.work;
    let is_paced = arguments.load.rate.is_some() || arguments.load.profile.is_some();
    let without_use = [
        ("keys", work.keys.is_some()),
        ("key-size", work.key_size.is_some()),
        ("value-size", work.value_size.is_some()),
        ("popularity", work.popularity.is_some()),
        ("mix", work.mix.is_some()),
        ("multiget", work.multiget.is_some()),
        ("ttl", work.ttl.is_some()),
        ("fill", work.fill),
        ("shape", work.shape.is_some()),
        ("any-reply", work.any_reply),
        ("trace-speed", is_paced && work.trace_speed.is_some()),
    ];
    match without_use.iter().find(|(_, is_given)| *is_given) {
        Some(("trace-speed", _)) => bail!("--trace-speed: not with --rate or --profile"),
        Some((flag, _)) => bail!("--{flag}: not with --trace, which says what is asked"),
        None => Ok(()),
    }
}

fn rounds(arguments: &Arguments, targets: &[Target]) -> anyhow::Result<Option<u32>> {
    let report = &arguments.report;
    if !report.compare {
        if targets.len() > 1 {
            bail!("--endpoint: several of them need --compare");
        }
        if report.rounds.is_some() {
            bail!("--rounds: only with --compare");
        }
        return Ok(None);
    }
    if targets.len() < 2 {
        bail!("--compare: give two --endpoint or more");
    }
    let rounds = report.rounds.unwrap_or(ROUNDS_DEFAULT);
    if rounds == 0 {
        bail!("--rounds 0: give 1 or more");
    }
    if arguments.work.verify {
        bail!("--compare: not with --verify; check one endpoint after the other");
    }
    if !arguments.load.at.is_empty() || report.admin.is_some() {
        bail!("--compare: not with --at or --admin, which are of one endpoint");
    }
    let mut names: Vec<_> = targets.iter().map(|it| &it.run.endpoint.name).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
        bail!("--endpoint: two are called {}; name them: NAME=HOST:PORT", twice[0]);
    }
    Ok(Some(rounds))
}
