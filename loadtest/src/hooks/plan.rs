use std::time::Duration;

use thiserror::Error;

use crate::workload::quantity;

/// A command and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When it begins, since the measured part did.
    pub at: Duration,
    /// For `sh -c`.
    pub command: String,
}

/// Why `--at` is not to be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HookError {
    #[error("--at {0:?}: no time; give the time since the run began first: --at 10s 'command'")]
    Time(String),
    #[error("--at {0}: which command? give it behind the time: --at {0} 'command'")]
    NoCommand(String),
}

/// Reads the words of all `--at`: TIME, COMMAND, TIME, COMMAND, ...; sorted by time.
///
/// # Errors
/// The first that is not to be understood.
pub fn plan(words: &[String]) -> Result<Vec<Hook>, HookError> {
    let mut hooks = Vec::with_capacity(words.len() / 2);
    for pair in words.chunks(2) {
        let time = &pair[0];
        let at = quantity::time(time).map_err(|_| HookError::Time(time.clone()))?;
        let command = pair.get(1).filter(|command| !command.trim().is_empty());
        let command = command.ok_or_else(|| HookError::NoCommand(time.clone()))?.clone();
        hooks.push(Hook { at, command });
    }
    hooks.sort_by_key(|hook| hook.at);
    Ok(hooks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(words: &[&str]) -> Result<Vec<(u128, String)>, String> {
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        let hooks = plan(&words).map_err(|error| error.to_string())?;
        Ok(hooks.into_iter().map(|hook| (hook.at.as_millis(), hook.command)).collect())
    }

    #[test]
    fn hooks_come_in_the_order_of_their_times() {
        let words = ["1.5m", "c", "500ms", "a", "10", "b; b", "0s", "z", "1h", "d"];
        let expected = [(0, "z"), (500, "a"), (10_000, "b; b"), (90_000, "c"), (3_600_000, "d")];
        assert_eq!(planned(&words), Ok(expected.map(|(at, it)| (at, it.to_owned())).to_vec()));
        assert_eq!(planned(&[]), Ok(Vec::new()));
    }

    #[test]
    fn a_mistake_gets_one_line() {
        let hint = "no time; give the time since the run began first: --at 10s 'command'";
        for time in ["kill it", "", "s", "1.2.3s", "-1s", "10 s", "5d", "99999999999999999999h"] {
            assert_eq!(planned(&[time, "x"]), Err(format!("--at {time:?}: {hint}")));
        }
        let hint = "which command? give it behind the time: --at 10s 'command'";
        assert_eq!(planned(&["10s", " "]), Err(format!("--at 10s: {hint}")));
        assert_eq!(planned(&["1s", "x", "10s"]), Err(format!("--at 10s: {hint}")));
    }
}
