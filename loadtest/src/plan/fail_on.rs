use anyhow::bail;

use crate::measure::Trouble;
use crate::report::{Ended, Report};

/// What makes the exit code 1: `--fail-on errors,stale,reset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailOn {
    /// Error replies, and connections that broke for whatever reason.
    pub errors: bool,
    /// What `--verify` finds, and keys that it could not decide.
    pub stale: bool,
    /// Connections that were reset or cut.
    pub reset: bool,
}

impl FailOn {
    /// Reads the words of the flag.
    ///
    /// # Errors
    /// An unknown word.
    pub fn read(words: Option<&str>) -> anyhow::Result<Self> {
        let mut fail_on = Self::default();
        for word in words.into_iter().flat_map(|words| words.split(',')) {
            match word.trim() {
                "errors" => fail_on.errors = true,
                "stale" => fail_on.stale = true,
                "reset" => fail_on.reset = true,
                other => bail!("--fail-on {other}: only errors, stale and reset are known"),
            }
        }
        Ok(fail_on)
    }

    /// Why this run has failed, in a few words; nothing when it has not.
    #[must_use]
    pub fn reasons(self, report: &Report) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Ended::Failed(why) = &report.ended {
            reasons.push(why.clone());
        }
        let troubles = |is_of: fn(Trouble) -> bool| -> u64 {
            let of_kind = report.troubles.iter().filter(|it| is_of(it.trouble));
            of_kind.map(|it| it.count).sum()
        };
        let is_reset = |trouble| matches!(trouble, Trouble::Reset | Trouble::Truncated);
        let (resets, broken) = (troubles(is_reset), troubles(|_| true));
        if self.errors && report.totals.errors > 0 {
            reasons.push(format!("{} error replies", report.totals.errors));
        }
        if self.errors && broken > 0 {
            reasons.push(format!("{broken} broken connections"));
        } else if self.reset && resets > 0 {
            reasons.push(format!("{resets} connections reset or cut"));
        }
        if let Some(verdict) = report.verdict.as_ref().filter(|_| self.stale) {
            if !verdict.is_clean() {
                reasons.push(format!("{} violations of consistency", verdict.violations()));
            }
            let garbled = troubles(|trouble| trouble == Trouble::Garbled);
            if garbled > 0 {
                reasons
                    .push(format!("{garbled} times a reply that is none or that nobody asked for"));
            }
            if verdict.operations == 0 {
                reasons.push("nothing was checked".to_owned());
            }
            if verdict.undecided_keys > 0 {
                reasons.push(format!("{} keys that could not be checked", verdict.undecided_keys));
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_words() {
        let all = FailOn { errors: true, stale: true, reset: true };
        assert_eq!(FailOn::read(Some("errors, stale,reset")).unwrap(), all);
        assert_eq!(FailOn::read(None).unwrap(), FailOn::default());
        let error = FailOn::read(Some("errors,slow")).unwrap_err().to_string();
        assert_eq!(error, "--fail-on slow: only errors, stale and reset are known");
    }
}
