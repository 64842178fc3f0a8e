//! The load-testing harness: open loop, honest latency, and a history checker.
//!
//! It judges memtide and any other memcached endpoint, over TLS or plain, and shares no code with
//! memtide's server but the encoder of requests: replies are read by its own [`reply`].
//!
//! - [`program`]: what `memtide loadtest` does; [`arguments`]: the command line, and [`plan`]: what it comes to.
//! - [`endpoint`]: what is loaded, and whether it is what it is said to be.
//! - [`workload`]: what is asked: keys, sizes, command mix, traces, and when: profiles, arrivals.
//! - [`drive`]: connections and the event loop that asks and hears the answers.
//! - [`measure`]: histograms and counts, by thread and second.
//! - [`verify`]: the history of a run, and the checker of its consistency.
//! - [`run`]: a run on one endpoint, from connecting to its report.
//! - [`report`]: a run's result as text, JSON and a page; [`progress`]: what is seen meanwhile.
//! - [`compare`]: the same load on several endpoints in turn, and what it costs their processes.
//! - [`hooks`], [`events`]: what is done to the endpoint during a run, and what it says happened.

pub mod arguments;
pub mod compare;
pub mod drive;
pub mod endpoint;
pub mod events;
pub mod hooks;
pub mod measure;
pub mod plan;
pub mod program;
pub mod progress;
pub mod reply;
pub mod report;
pub mod run;
pub mod verify;
pub mod workload;
