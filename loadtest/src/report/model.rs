use serde::Serialize;

use crate::measure::{CommandKind, Outcome, Trouble};

/// The result of a run on one endpoint: what `--json` writes, and what text and page are made from.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// memtide's version.
    pub version: String,
    /// When the measured part began, as milliseconds since 1970.
    pub began_at_ms: u64,
    /// What was loaded.
    pub endpoint: EndpointFacts,
    /// The plan, as pairs to be shown: ("connections", "50"), ("rate", "10k/s, poisson"), ...
    pub plan: Vec<(String, String)>,
    /// Whether the rate was kept whatever the endpoint did; else each reply called the next request.
    pub is_open_loop: bool,
    /// How long was measured, without warm-up.
    pub measured_s: f64,
    /// Why it ended.
    pub ended: Ended,
    /// Sums over the measured part.
    pub totals: Totals,
    /// The latency of all replies together.
    pub latency: Latency,
    /// From the begin of a connection to when it could be used, TLS handshake included.
    pub connecting: Latency,
    /// The same by command and outcome; only those that occurred.
    pub commands: Vec<CommandRow>,
    /// The latency's curve: (fraction of replies, microseconds), rising in both.
    pub percentiles: Vec<(f64, f64)>,
    /// Why no latency of this report should be believed; empty when they should.
    pub distrust: Vec<String>,
    /// Error replies by their line, the most frequent first; the rest under "(others)".
    pub errors: Vec<ErrorCount>,
    /// Broken connections by kind; those that did not occur are left out.
    pub troubles: Vec<TroubleCount>,
    /// A row for every second of the run, warm-up included.
    pub timeline: Vec<Second>,
    /// What happened during the run: hooks, events of the endpoint, steps of the profile.
    pub marks: Vec<Mark>,
    /// What the load cost here.
    pub generator: GeneratorFacts,
    /// What it cost the endpoint's processes, where `--server-pid` named them.
    pub server: Option<ServerFacts>,
    /// What the endpoint says of itself before and after, with `stats`; evictions among it.
    pub evictions: Option<u64>,
    /// The checker's verdict, with `--verify`.
    pub verdict: Option<crate::verify::Verdict>,
}

/// What was loaded.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointFacts {
    /// The name given to it, or its address.
    pub name: String,
    /// Host and port, as given.
    pub address: String,
    /// What the connections speak: `plain`, or TLS version and cipher suite.
    pub transport: String,
    /// What it answers to `version`.
    pub server_version: String,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "how", content = "why")]
pub enum Ended {
    /// After its duration.
    Completed,
    /// With the trace.
    TraceEnded,
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// By something that makes going on pointless, in one line.
    Failed(String),
}

/// Sums over the measured part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// Requests that were due by the schedule; equal to `requests` in a closed loop.
    pub scheduled: u64,
    /// Of these, those that were never sent, because every connection was waiting.
    pub unsent: u64,
    /// Requests written, with those that followed from replies.
    pub requests: u64,
    /// Whole replies, error replies included.
    pub replies: u64,
    /// Of these, those that came before the measured part ended: throughput is made from them.
    pub replies_in_time: u64,
    /// Requests whose connection ended before their reply.
    pub lost: u64,
    /// Error replies.
    pub errors: u64,
    /// Keys asked for that were there.
    pub hits: u64,
    /// Keys asked for that were not.
    pub misses: u64,
    /// Bytes of requests, before TLS.
    pub bytes_sent: u64,
    /// Bytes of replies, after TLS.
    pub bytes_received: u64,
    /// Connections made.
    pub connections: u64,
    /// Of these, TLS handshakes that resumed a session.
    pub resumed: u64,
}

/// A latency in microseconds. In an open loop it runs from the time at which the request was due,
/// in a closed one from when it was written, to its last byte's arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Replies counted.
    pub count: u64,
    #[expect(missing_docs, reason = "the usual names")]
    pub min_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub mean_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub p50_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub p90_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub p99_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub p999_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub p9999_us: f64,
    #[expect(missing_docs, reason = "the usual names")]
    pub max_us: f64,
}

/// The replies of one command with one outcome.
#[derive(Clone, Debug, Serialize)]
pub struct CommandRow {
    #[expect(missing_docs, reason = "says it")]
    pub command: CommandKind,
    #[expect(missing_docs, reason = "says it")]
    pub outcome: Outcome,
    #[expect(missing_docs, reason = "says it")]
    pub latency: Latency,
}

/// How often an error line came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// The line, `SERVER_ERROR out of memory storing object`.
    pub line: String,
    #[expect(missing_docs, reason = "says it")]
    pub count: u64,
}

/// How often connections broke in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TroubleCount {
    #[expect(missing_docs, reason = "says it")]
    pub trouble: Trouble,
    /// Connections.
    pub count: u64,
    /// What the first of them said.
    pub example: String,
}

/// A second of the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Second {
    /// Its begin, in seconds since the measured part began; below 0 in the warm-up.
    pub at_s: f64,
    /// How long it really was.
    pub length_s: f64,
    /// Requests per second that the profile asked for at its begin; `None` in a closed loop.
    pub target_rate: Option<f64>,
    /// Requests written.
    pub requests: u64,
    /// Whole replies.
    pub replies: u64,
    /// Error replies.
    pub errors: u64,
    /// Connections that broke.
    pub troubles: u64,
    /// Of these, resets.
    pub resets: u64,
    /// Misses.
    pub misses: u64,
    /// The latency of the replies in it.
    pub latency: Latency,
    /// The generator's busiest thread, 1 is a whole core.
    pub generator_busy: f64,
    /// Part of the time in which the generator's busiest/most starved thread could run and had no core, 0 to 1.
    pub waited_for_core: f64,
    /// How late the generator was for what was due, 99th percentile.
    pub lag_p99_us: f64,
    /// Whether the latency of this second is to be believed.
    pub is_trusted: bool,
}

/// Something that happened at a moment of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mark {
    /// In seconds since the measured part began; below 0 in the warm-up.
    pub at_s: f64,
    /// Who says so.
    pub source: MarkSource,
    /// What, in a few words.
    pub text: String,
}

/// Who says that something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkSource {
    /// A command of `--at`.
    Hook,
    /// The endpoint, at `--admin`.
    Endpoint,
    /// A step of `--profile`.
    Profile,
}

/// What the load cost here, and how well its schedule was kept.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GeneratorFacts {
    /// CPU time of the generating threads for each reply.
    pub cpu_us_per_reply: f64,
    /// The busiest thread over the measured part, 1 is a whole core.
    pub busiest_thread: f64,
    /// Part of the time in which the generator's busiest/most starved thread could run and had no core, 0 to 1.
    pub waited_for_core: f64,
    /// How late requests were written for other reasons than a busy connection.
    pub lag: Latency,
}

/// What a run cost the endpoint's processes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerFacts {
    /// User and system time for each reply.
    pub cpu_us_per_reply: f64,
    /// Cores that were busy on average.
    pub cores_busy: f64,
    /// Sum of the processes' resident memory at the end.
    pub resident_bytes: u64,
    /// Sum of the processes' peaks of resident memory, over their lives.
    pub resident_peak_bytes: u64,
    /// Growth of resident memory for each idle connection, where there were any.
    pub bytes_per_idle_connection: Option<f64>,
}
