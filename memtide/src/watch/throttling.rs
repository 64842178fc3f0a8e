use std::time::Duration;

use memtide_service::events::EventKind;
use tokio::time::Instant;

/// Without a throttled command for this long it is over.
const QUIET: Duration = Duration::from_secs(10);

/// Whether commands are held back or refused.
#[derive(Debug, Default)]
pub struct Throttling {
    count: u64,
    /// When there were more than at the look before; `None` while it is over.
    last: Option<Instant>,
    /// The count before it began.
    before: u64,
}

impl Throttling {
    /// What is to be told where so many commands were throttled since the start.
    pub fn news(&mut self, count: u64, now: Instant) -> Option<(EventKind, String)> {
        let before = std::mem::replace(&mut self.count, count);
        if count > before {
            let began = self.last.replace(now).is_none();
            self.before = if began { before } else { self.before };
            let text = || "commands are held back or refused for the limit of ECPUs".to_owned();
            return began.then(|| (EventKind::ThrottlingBegan, text()));
        }
        self.last.take_if(|last| now.duration_since(*last) >= QUIET)?;
        let text =
            format!("{} commands were held back or refused", count.saturating_sub(self.before));
        Some((EventKind::ThrottlingEnded, text))
    }
}
