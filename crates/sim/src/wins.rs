//! Keys on which clients share the work: who misses has an empty item made, and is the one to store it;
//! who reads what soon expires may be the one to store it anew.
//!
//! An empty item is told by its CAS unique. In the history, each has a token as if it had been stored.

use std::collections::{BTreeMap, BTreeSet};

use memtide_loadtest::verify::{Action, History, Token, Verb};

use crate::checks::Checks;
use crate::item::Reply;
use crate::store::{Asks, Command};

/// Whether a key is one of these.
pub const fn is_shared(key: u32) -> bool {
    key % 8 == 6
}

/// What is known of empty items.
#[derive(Default)]
pub struct Wins {
    /// Their tokens, by key and CAS unique, and whether it is known who made them.
    items: BTreeMap<(u32, u64), (Token, bool)>,
    /// Who has won.
    won: BTreeSet<(u32, u64)>,
    /// Tokens of those that may have been made by requests without an answer.
    unanswered: BTreeMap<u32, Vec<Token>>,
}

impl Wins {
    /// What a command and its reply are in the history; `next` is a token that nobody has.
    pub fn told(
        &mut self,
        command: Command,
        reply: &Reply,
        next: Token,
        checks: &mut Checks,
    ) -> (Action, Reply) {
        let Command { key, action, asks } = command;
        let (Reply::Won { tokens, cas } | Reply::Hit { tokens, cas }) = reply else {
            return (action, reply.clone());
        };
        let (at, cas) = ((key, *cas), *cas);
        let is_won = matches!(reply, Reply::Won { .. });
        if is_won && !self.won.insert(at) {
            checks.violated(|| format!("the item of key {key} with CAS unique {cas} is won twice"));
        }
        if !tokens.is_empty() {
            return (action, reply.clone());
        }
        let (token, is_known) = self.items.entry(at).or_insert((next, false));
        match asks {
            Asks::Vivify { ttl } if is_won => {
                *is_known = true;
                let action = Action::Store { verb: Verb::Add, token: *token, ttl };
                (action, Reply::Stored { cas })
            }
            _ => (action, Reply::Hit { tokens: vec![*token], cas }),
        }
    }

    /// A command has no answer: what it is in the history.
    pub fn untold(&mut self, command: Command, next: Token) -> Action {
        let Command { key, action, asks } = command;
        let Asks::Vivify { ttl } = asks else { return action };
        self.unanswered.entry(key).or_default().push(next);
        Action::Store { verb: Verb::Add, token: next, ttl }
    }

    /// Finds who made the items of which that is not known. Where it may have been one of several, the
    /// key's history is given up; where it was nobody, says so.
    pub fn settle(&self, history: &mut History) -> Option<String> {
        let mut orphans: BTreeMap<u32, Vec<Token>> = BTreeMap::new();
        for ((key, _), (token, _)) in self.items.iter().filter(|(_, (_, is_known))| !is_known) {
            orphans.entry(*key).or_default().push(*token);
        }
        for (key, tokens) in orphans {
            match (tokens.as_slice(), self.unanswered.get(&key).map(Vec::as_slice)) {
                ([item], Some([unanswered])) => rename(history, *unanswered, *item),
                (items, Some(unanswered)) if items.len() <= unanswered.len() => {
                    history.operations_mut().retain(|operation| operation.key != key);
                }
                _ => return Some(format!("I2: nobody made an empty item of key {key}")),
            }
        }
        None
    }
}

fn rename(history: &mut History, from: Token, to: Token) {
    for operation in history.operations_mut() {
        if let Action::Store { token, .. } = &mut operation.action
            && *token == from
        {
            *token = to;
        }
    }
}
