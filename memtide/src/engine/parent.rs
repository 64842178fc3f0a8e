use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::thread::set_name;

use crate::failure::Failure;
use crate::settings::Parent;

/// Sees to it that this process ends with the one that started it, whose end nobody would tell the
/// scaler.
pub fn follow(parent: Parent) -> Result<(), Failure> {
    let cannot = |error: rustix::io::Errno| {
        Failure::Environment(format!("failed to follow the parent process: {error}"))
    };
    // It was started by a path that says nothing.
    set_name(c"memtide").map_err(cannot)?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(cannot)?;
    // One that ended before is not told of any more.
    let now = getppid().map(Pid::as_raw_nonzero).and_then(|pid| u32::try_from(pid.get()).ok());
    if now == Some(parent.pid) {
        return Ok(());
    }
    Err(Failure::Environment("the process that started this node has ended".to_owned()))
}
