//! CPU time and memory of processes, from /proc.

mod parse;
mod processes;

pub use parse::{Malformed, Memory, ProcessStat, memory, run_time, stat};
pub use processes::{Processes, ProcfsError, Usage, server_facts};
