//! The command line of `memtide loadtest`, as given; [`crate::plan`] checks it and draws it together.

use std::path::PathBuf;

use clap::Args;

/// Load a memcached endpoint, measure it, and check its consistency
#[derive(Args, Clone, Debug, Default)]
pub struct Arguments {
    /// What to load: HOST:PORT, tls://HOST:PORT or plain://HOST:PORT, with NAME= before it to name
    /// it in reports; several with --compare
    #[arg(long, value_name = "ENDPOINT", default_value = "localhost:11211")]
    pub endpoint: Vec<String>,

    #[command(flatten, next_help_heading = "Connection")]
    #[expect(missing_docs, reason = "its help is its fields'")]
    pub connection: ConnectionArguments,

    #[command(flatten, next_help_heading = "Load")]
    #[expect(missing_docs, reason = "its help is its fields'")]
    pub load: LoadArguments,

    #[command(flatten, next_help_heading = "Work")]
    #[expect(missing_docs, reason = "its help is its fields'")]
    pub work: WorkArguments,

    #[command(flatten, next_help_heading = "Report")]
    #[expect(missing_docs, reason = "its help is its fields'")]
    pub report: ReportArguments,
}

/// How to connect.
#[derive(Args, Clone, Debug, Default)]
pub struct ConnectionArguments {
    /// CAs to verify the endpoint with, PEM; several add up
    #[arg(long, value_name = "PEM")]
    pub ca: Vec<PathBuf>,

    /// Take any certificate
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,

    /// No TLS, where the endpoint does not say tls://
    #[arg(long)]
    pub plain: bool,

    /// The name to ask for and verify, if not the endpoint's host
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,

    /// Client certificate, PEM
    #[arg(long, value_name = "PEM", requires = "client_key")]
    pub client_cert: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "PEM", requires = "client_cert")]
    pub client_key: Option<PathBuf>,

    /// Only this version of TLS: 1.2 or 1.3
    #[arg(long, value_name = "VERSION")]
    pub tls_version: Option<String>,

    /// Connections in all
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub connections: u32,

    /// Requests in flight on a connection, at most
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pipeline: u32,

    /// Generating threads; the connections are spread over them
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: u32,

    /// A new connection for every request
    #[arg(long)]
    pub connect_per_request: bool,

    /// Make full TLS handshakes only
    #[arg(long)]
    pub no_resumption: bool,

    /// Connections that are opened first, and stay idle
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub idle_connections: u32,

    /// Give a connection up when a reply takes longer: 500ms, 5s
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub timeout: String,
}

/// How much, and for how long.
#[derive(Args, Clone, Debug, Default)]
pub struct LoadArguments {
    /// Requests per second (20k), whatever the endpoint does; or max, where each reply calls the
    /// next [default: max; with --trace the trace's]
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,

    /// Spacing of requests: poisson or uniform [default: poisson]
    #[arg(long, value_name = "SPACING")]
    pub arrivals: Option<String>,

    /// Rates over time: 0:10k,60s:200k,120s:20k are steps; 0:10k,60s:~200k climbs from 10k
    /// evenly
    #[arg(long, value_name = "STEPS")]
    pub profile: Option<String>,

    /// What is measured [default: 10s; with --trace until its end]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,

    /// What goes before it, unmeasured [default: 2s; with --trace none]
    #[arg(long, value_name = "TIME")]
    pub warmup: Option<String>,

    /// Run a shell command at a moment of the run, and mark it in the report; several
    #[arg(long, num_args = 2, value_names = ["TIME", "COMMAND"])]
    pub at: Vec<String>,

    /// Seed of all that is random; a fresh one is printed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// What is asked.
#[derive(Args, Clone, Debug, Default)]
pub struct WorkArguments {
    /// Keys in all [default: 100k; 1000 with --verify]
    #[arg(long, value_name = "N")]
    pub keys: Option<String>,

    /// Bytes of a key: 16, 8-40, facebook [default: 16]
    #[arg(long, value_name = "SIZES")]
    pub key_size: Option<String>,

    /// Bytes of a value: 100, 10-4k, twitter, facebook [default: 100]
    #[arg(long, value_name = "SIZES")]
    pub value_size: Option<String>,

    /// Which keys are asked for: uniform, or zipf:EXPONENT [default: uniform]
    #[arg(long, value_name = "SHAPE")]
    pub popularity: Option<String>,

    /// Commands and their shares [default: get=90,set=10]
    #[arg(long, value_name = "SHARES")]
    pub mix: Option<String>,

    /// Keys in a get, gets or gat: 16, 1-24 [default: 1]
    #[arg(long, value_name = "SIZES")]
    pub multiget: Option<String>,

    /// Seconds to live of what is stored: 60-3600; 0 is for ever [default: 0]
    #[arg(long, value_name = "SIZES")]
    pub ttl: Option<String>,

    /// Follow a miss with a set of that key
    #[arg(long)]
    pub look_aside: bool,

    /// Store every key once before the run
    #[arg(long)]
    pub fill: bool,

    /// A published cache: twitter (OSDI 2020), facebook (SIGMETRICS 2012); other flags override
    /// what it sets
    #[arg(long, value_name = "NAME")]
    pub shape: Option<String>,

    /// Replay a CSV: timestamp,key,key_size,value_size,client,op,ttl
    #[arg(long, value_name = "CSV")]
    pub trace: Option<PathBuf>,

    /// Replay it this many times as fast as it was recorded
    #[arg(long, value_name = "FACTOR", requires = "trace")]
    pub trace_speed: Option<f64>,

    /// Take values of whatever key for those asked for: for a server of canned replies, which shows
    /// what all but the cache costs
    #[arg(long)]
    pub any_reply: bool,

    /// Check the consistency of all replies
    #[arg(long)]
    pub verify: bool,

    /// With --verify: a reply that takes longer is a violation, too: 500ms, 2s
    #[arg(long, value_name = "TIME", requires = "verify")]
    pub reply_within: Option<String>,
}

/// What is told.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArguments {
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the result as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// memtide's admin HTTP: its events go into the report
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,

    /// A process of the endpoint whose CPU time and memory are read, [NAME=]PID; several
    #[arg(long, value_name = "PID")]
    pub server_pid: Vec<String>,

    /// Load several endpoints in turn, and compare
    #[arg(long)]
    pub compare: bool,

    /// Rounds of a comparison [default: 5]
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,

    /// Exit with 1 when any of these occurred: errors,stale,reset
    #[arg(long, value_name = "KINDS")]
    pub fail_on: Option<String>,
}
