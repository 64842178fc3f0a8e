//! CPU time and memory of processes and their descendants, from /proc.

mod ledger;
mod parse;
mod processes;

pub use parse::Malformed;
use parse::ProcessStat;
pub use processes::{Processes, ProcfsError, Usage, bytes_per_idle_connection, server_facts};
