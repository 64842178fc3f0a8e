//! `--at TIME 'command'`: shell commands at moments of a run, and the marks that they leave.

mod plan;
mod running;

pub use plan::{Hook, HookError, plan};
pub use running::Hooks;
