use std::collections::VecDeque;

use super::{Grant, Report, Succession};
use crate::limits::UNCONFIRMED_MAX;
use crate::pool::Demand;

/// A proxy's side: what it may use now.
///
/// ```text
///  no grant (rate 0) -- take --> granted until the term is over --> fallback
///                                   ^------------ take ----------------+
/// ```
#[derive(Debug, Default)]
pub struct Holding {
    grant: Option<(Grant, u64)>,
    /// Reports that are not answered, and when they were sent.
    sent: VecDeque<(u64, u64)>,
    last: u64,
    succession: Option<Succession>,
    reported_at: Option<u64>,
}

impl Holding {
    /// No grant yet: nothing may be used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same of a process that follows others.
    #[must_use]
    pub fn of(succession: Option<Succession>) -> Self {
        Self { succession, ..Self::default() }
    }

    /// The report to send now.
    pub fn report(&mut self, now: u64, demand: Demand) -> Report {
        self.last += 1;
        if self.sent.len() == UNCONFIRMED_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((self.last, now));
        let elapsed_ns = self.reported_at.map_or(0, |at| now.saturating_sub(at));
        self.reported_at = Some(now);
        let (number, succession) = (self.last, self.succession);
        let report = Report { number, succession, elapsed_ns, demand, ..Report::default() };
        let Some((grant, _)) = self.grant else { return report };
        Report {
            confirmed: grant.number,
            scaler: grant.scaler,
            rate: self.rate(now),
            fallback: grant.fallback,
            ..report
        }
    }

    /// A grant has come. One that answers no later report than that in force, or one that is not
    /// remembered any more, is left.
    pub fn take(&mut self, grant: Grant) {
        let is_newer = self.grant.is_none_or(|(before, _)| grant.report > before.report);
        let sent = self.sent.iter().find(|(number, _)| *number == grant.report);
        let (true, Some(&(_, sent_at))) = (is_newer, sent) else { return };
        self.sent.retain(|(number, _)| *number >= grant.report);
        self.grant = Some((grant, sent_at.saturating_add(grant.term_ns)));
    }

    /// Whether any grant has ever come.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.grant.is_some()
    }

    /// The limit that is shared, as the newest grant has it.
    #[must_use]
    pub fn limit(&self) -> Option<u64> {
        self.grant.and_then(|(grant, _)| grant.limit)
    }

    /// Units per second that may be used now; `None` is without a limit.
    #[must_use]
    pub fn rate(&self, now: u64) -> Option<u64> {
        match &self.grant {
            None => Some(0),
            Some((grant, until)) if now < *until => grant.rate,
            Some((grant, _)) => grant.fallback,
        }
    }

    /// When [`Self::rate`] changes by itself, where it will.
    #[must_use]
    pub fn until(&self, now: u64) -> Option<u64> {
        self.grant.map(|(_, until)| until).filter(|until| now < *until)
    }
}
