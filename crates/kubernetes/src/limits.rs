//! Every bound of what is asked of an API server.

use std::time::Duration;

/// A pod has joined in this time, where its `StatefulSet` does not say another one: an image may have to be fetched.
pub const READY_IN: Duration = Duration::from_secs(60);

/// The longest that one may say.
pub const READY_IN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What is told of an answer: the beginning of it.
pub const TOLD_LETTERS_MAX: usize = 300;

/// How long what is asked may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Longest request, but for a watch.
    pub request_max: Duration,
    /// Longest call of the provisioner: requests that fail are made again for so long.
    pub call_max: Duration,
    /// A watch is begun anew after this time, in whole seconds.
    pub watch: Duration,
    /// And is taken for dead where nothing is heard for so long after that.
    pub watch_grace: Duration,
    /// What was seen counts for so long where nothing is heard; then nothing is offered.
    pub view_age_max: Duration,
    /// Before what has failed is tried again: at first, and at most.
    pub pauses: (Duration, Duration),
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request_max: Duration::from_secs(10),
            call_max: Duration::from_secs(60),
            watch: Duration::from_secs(25),
            watch_grace: Duration::from_secs(5),
            view_age_max: Duration::from_secs(60),
            pauses: (Duration::from_millis(250), Duration::from_secs(5)),
        }
    }
}
