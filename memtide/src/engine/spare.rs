//! A process that waits to be taken as a node, and waits again when it is none any more.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use memtide_engine::Ended;
use rustix::thread::set_name;

use crate::failure::Failure;

/// Signals that came before are noticed in this time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Before one that was cast out asks again, so that one which that happens to again and again keeps nobody
/// busy.
const PAUSE_CAST_OUT: Duration = Duration::from_secs(1);

/// How long a spare that has ended so waits before it starts over; `None` where it does not. One that was never
/// taken is refused for what it was told, such as the cache's name: that would be so again.
pub fn starts_over_after(ended: &Ended, was_taken: bool) -> Option<Duration> {
    match ended {
        Ended::Drained => Some(PAUSE_MIN),
        Ended::Removed | Ended::Refused(_) if was_taken => Some(PAUSE_CAST_OUT),
        Ended::Removed | Ended::Refused(_) | Ended::Stopped | Ended::Panicked => None,
    }
}

/// Begins this program anew in this process, as it was started: nothing of what it was is left, as no descriptor
/// outlives it. Returns where that cannot be done.
pub fn start_over() -> io::Error {
    let mut words = std::env::args_os();
    // The same program, even if there is another one by its name now.
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).exec()
}

/// Where it was begun anew, its name is that of the path, which says nothing.
pub fn set_its_name() -> Result<(), Failure> {
    set_name(c"memtide").map_err(|error| {
        Failure::Environment(format!("failed to give this process its name: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_starts_over_unless_it_would_end_the_same_way() {
        let refused = || Ended::Refused("another cache".to_owned());
        let again = |ended| (starts_over_after(&ended, false), starts_over_after(&ended, true));
        assert_eq!(again(Ended::Drained), (Some(PAUSE_MIN), Some(PAUSE_MIN)));
        assert_eq!(again(Ended::Removed), (None, Some(PAUSE_CAST_OUT)));
        assert_eq!(again(refused()), (None, Some(PAUSE_CAST_OUT)));
        assert_eq!(again(Ended::Stopped), (None, None));
        assert_eq!(again(Ended::Panicked), (None, None));
    }
}
