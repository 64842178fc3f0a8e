use std::str::FromStr;

use thiserror::Error;

use super::random::below;
use crate::measure::CommandKind;

/// Commands and their shares: `get=90,set=10`.
///
/// `cas` is a `gets`, followed by a `cas` with the token that came back, on the same connection.
/// `incr`, `decr` and `ma` have keys of their own, with numbers in them. `append` and `prepend` add
/// a few bytes at a time, and now and then are followed by a `set`, so that values stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Each command with the sum of the shares up to its own, rising.
    upto: Vec<(u64, CommandKind)>,
}

/// What is no mix of commands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MixError {
    #[error("{0:?} is no share of a command: give shares as in get=90,set=10")]
    #[expect(missing_docs, reason = "says it")]
    Share(String),
    #[error("{0:?} is no command here: it is one of {names}", names = command_names())]
    #[expect(missing_docs, reason = "says it")]
    Command(String),
    #[error("{0} has two shares")]
    #[expect(missing_docs, reason = "says it")]
    Twice(&'static str),
    /// All shares are 0.
    #[error("all shares are 0: at least one command needs more")]
    Nothing,
}

impl Mix {
    /// The command that these random bits choose.
    #[must_use]
    pub fn at(&self, bits: u64) -> CommandKind {
        let (total, last) = *self.upto.last().expect("a mix has a command");
        let point = below(bits, total);
        self.upto.iter().find(|(upto, _)| point < *upto).map_or(last, |&(_, command)| command)
    }

    /// The commands of the mix, in its order, without those whose share is 0.
    pub fn commands(&self) -> impl Iterator<Item = CommandKind> + '_ {
        self.upto.iter().map(|&(_, command)| command)
    }

    /// Whether some of it counts: `incr`, `decr`, `ma`.
    #[must_use]
    pub fn has_counters(&self) -> bool {
        self.commands().any(is_counter)
    }
}

/// Whether the command's item is a number.
pub(super) fn is_counter(command: CommandKind) -> bool {
    matches!(command, CommandKind::Incr | CommandKind::Decr | CommandKind::Ma)
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut upto: Vec<(u64, CommandKind)> = Vec::new();
        let mut seen = Vec::new();
        let mut total = 0_u64;
        for part in text.split(',') {
            let not_a_share = || MixError::Share(part.to_owned());
            let (name, share) = part.split_once('=').ok_or_else(not_a_share)?;
            let command = command_of(name).ok_or_else(|| MixError::Command(name.to_owned()))?;
            // 32 bits, so that no sum of shares overflows.
            let share: u32 = match share.bytes().all(|byte| byte.is_ascii_digit()) {
                true => share.parse().map_err(|_| not_a_share())?,
                false => return Err(not_a_share()),
            };
            if seen.contains(&command) {
                return Err(MixError::Twice(command.name()));
            }
            seen.push(command);
            if share > 0 {
                total += u64::from(share);
                upto.push((total, command));
            }
        }
        if upto.is_empty() { Err(MixError::Nothing) } else { Ok(Self { upto }) }
    }
}

fn command_of(name: &str) -> Option<CommandKind> {
    CommandKind::ALL.into_iter().find(|command| command.name() == name)
}

fn command_names() -> String {
    CommandKind::ALL.map(CommandKind::name).join(", ")
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::random::rng;
    use super::*;

    #[test]
    fn commands_come_in_their_shares() {
        let mix: Mix = "get=6,set=3,mg=0,delete=1".parse().expect("a mix");
        let mut rng = rng(1, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..100_000 {
            *counts.entry(mix.at(rng.next_u64())).or_insert(0_u32) += 1;
        }
        let share = |command| counts.get(&command).copied().unwrap_or(0);
        assert!(share(CommandKind::Get).abs_diff(60_000) < 800, "{counts:?}");
        assert!(share(CommandKind::Set).abs_diff(30_000) < 800, "{counts:?}");
        assert!(share(CommandKind::Delete).abs_diff(10_000) < 500, "{counts:?}");
        assert_eq!(share(CommandKind::Mg), 0);
    }

    #[test]
    fn every_command_has_its_name() {
        for command in CommandKind::ALL {
            let mix: Mix = format!("{}=1", command.name()).parse().expect("a mix");
            assert_eq!(mix.at(u64::MAX), command);
            assert_eq!(mix.has_counters(), ["incr", "decr", "ma"].contains(&command.name()));
        }
    }

    #[test]
    fn what_is_no_mix_is_told() {
        for (text, told) in [
            ("", "\"\" is no share of a command: give shares as in get=90,set=10"),
            ("get", "\"get\" is no share of a command: give shares as in get=90,set=10"),
            ("get=1,", "\"\" is no share of a command: give shares as in get=90,set=10"),
            ("get=0.5", "\"get=0.5\" is no share of a command: give shares as in get=90,set=10"),
            ("get=+5", "\"get=+5\" is no share of a command: give shares as in get=90,set=10"),
            ("get=", "\"get=\" is no share of a command: give shares as in get=90,set=10"),
            ("get=1,get=2", "get has two shares"),
            ("get=0", "all shares are 0: at least one command needs more"),
            (
                "fetch=1",
                "\"fetch\" is no command here: it is one of get, gets, gat, set, add, replace, \
                 append, prepend, cas, incr, decr, delete, touch, mg, ms, md, ma",
            ),
        ] {
            assert_eq!(text.parse::<Mix>().expect_err(text).to_string(), told);
        }
    }
}
