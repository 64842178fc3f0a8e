use std::time::{Duration, Instant};

/// How long a test waits for something that must happen: generous, because only a failure takes
/// that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a condition that nothing announces.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits for a condition that another process brings about.
///
/// # Panics
/// When it does not hold within `patience`; the message says `what` was waited for.
pub fn wait_until<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_the_condition_found() {
        let mut looks = 0;
        let found = wait_until("the third look", PATIENCE, || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, 3);
    }

    #[test]
    #[should_panic(expected = "not within 0ns: a pig to fly")]
    fn says_what_did_not_happen() {
        wait_until("a pig to fly", Duration::ZERO, || None::<()>);
    }
}
