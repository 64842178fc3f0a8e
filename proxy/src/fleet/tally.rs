//! What a reply says about its command, for the counters: the node that executed it has counted
//! more exactly, but for itself.

use memtide_execute::{CommandCounters, Executed};
use memtide_protocol::{Command, Direction, MetaArithmetic, Retrieve, StoreVerb};

/// What a command is to the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Not counted by its reply.
    Nothing,
    /// `flush_all`.
    Flush,
    /// A key of `get` and `gets`, or of `gat` and `gats`.
    Retrieve { touches: bool },
    /// A classic storage command.
    Store { compares: bool },
    /// `delete`.
    Delete,
    /// `incr`, `decr`.
    Count { is_decrement: bool },
    /// `touch`.
    Touch,
    /// `mg`.
    MetaGet { touches: bool, vivifies: bool },
    /// `ms`.
    MetaStore { compares: bool },
    /// `md`.
    MetaDelete,
    /// `ma`.
    MetaCount { is_decrement: bool },
}

impl Tally {
    pub const fn of(command: &Command<'_>) -> Self {
        match command {
            Command::Retrieve(Retrieve { touch, .. }) => {
                Self::Retrieve { touches: touch.is_some() }
            }
            Command::Store(store) => {
                Self::Store { compares: matches!(store.verb, StoreVerb::Cas(_)) }
            }
            Command::Delete(_) => Self::Delete,
            Command::Arithmetic(count) => Self::Count { is_decrement: is_down(count.direction) },
            Command::Touch(_) => Self::Touch,
            Command::MetaGet(get) => {
                Self::MetaGet { touches: get.touch.is_some(), vivifies: get.vivify.is_some() }
            }
            Command::MetaSet(set) => Self::MetaStore { compares: set.compare_cas.is_some() },
            Command::MetaDelete(_) => Self::MetaDelete,
            Command::MetaArithmetic(MetaArithmetic { direction, .. }) => {
                Self::MetaCount { is_decrement: is_down(*direction) }
            }
            _ => Self::Nothing,
        }
    }

    /// Whether it is one of several parts of a retrieval, whose replies end in `END`.
    pub const fn is_retrieval(self) -> bool {
        matches!(self, Self::Retrieve { .. })
    }

    /// Counts a reply; `is_last` where it ends the command.
    pub fn count(
        self,
        reply: &[u8],
        is_last: bool,
        counters: &CommandCounters,
        executed: &mut Executed,
    ) {
        if self == Self::Nothing {
            return count_error(reply, counters);
        }
        if matches!(
            self,
            Self::MetaGet { .. }
                | Self::MetaStore { .. }
                | Self::MetaDelete
                | Self::MetaCount { .. }
        ) {
            counters.cmd_meta.add(1);
        }
        if is_error(reply) {
            if reply.starts_with(b"SERVER_ERROR object too large") {
                counters.store_too_large.add(1);
            } else if reply.starts_with(b"SERVER_ERROR out of memory storing") {
                counters.store_no_memory.add(1);
            }
            return count_error(reply, counters);
        }
        match self {
            Self::Retrieve { .. } => executed.reads += u64::from(is_last),
            Self::MetaGet { .. } => executed.reads += 1,
            _ => executed.writes += 1,
        }
        self.count_outcome(reply, counters);
    }

    fn count_outcome(self, reply: &[u8], counters: &CommandCounters) {
        match self {
            Self::Nothing | Self::Flush => {}
            Self::Retrieve { touches } => {
                count_lookup(touches, reply.starts_with(b"VALUE"), counters);
            }
            Self::MetaGet { touches, vivifies } => {
                let is_made = vivifies && is_won(reply);
                let is_hit = !reply.is_empty() && !reply.starts_with(b"EN") && !is_made;
                count_lookup(touches, is_hit, counters);
            }
            Self::Store { compares } | Self::MetaStore { compares } => {
                counters.cmd_set.add(1);
                if compares {
                    match reply.first_chunk() {
                        Some(b"ST" | b"HD") => counters.cas_hits.add(1),
                        Some(b"EX") => counters.cas_badval.add(1),
                        Some(b"NO" | b"NF") => counters.cas_misses.add(1),
                        // A meta command says nothing where it stored; `noreply` never does.
                        _ if self == (Self::MetaStore { compares }) => counters.cas_hits.add(1),
                        _ => {}
                    }
                }
            }
            Self::Delete | Self::MetaDelete => match reply.first_chunk() {
                Some(b"DE" | b"HD") => counters.delete_hits.add(1),
                Some(b"NO" | b"NF") => counters.delete_misses.add(1),
                None if self == Self::MetaDelete => counters.delete_hits.add(1),
                _ => {}
            },
            Self::Touch => match reply.first_chunk() {
                Some(b"TO") => count_lookup(true, true, counters),
                Some(b"NO") => count_lookup(true, false, counters),
                _ => counters.cmd_touch.add(1),
            },
            Self::Count { is_decrement } => match reply.first() {
                Some(b'N') => count_arithmetic(is_decrement, false, counters),
                Some(_) => count_arithmetic(is_decrement, true, counters),
                None => {}
            },
            Self::MetaCount { is_decrement } => match reply.first_chunk() {
                Some(b"NF") => count_arithmetic(is_decrement, false, counters),
                Some(b"EX" | b"NS") => {}
                _ => count_arithmetic(is_decrement, true, counters),
            },
        }
    }
}

const fn is_down(direction: Direction) -> bool {
    matches!(direction, Direction::Decrement)
}

fn is_error(reply: &[u8]) -> bool {
    [&b"SERVER_ERROR"[..], b"CLIENT_ERROR", b"ERROR"].iter().any(|word| reply.starts_with(word))
}

/// Counts an error line, if it is one.
pub fn count_error(reply: &[u8], counters: &CommandCounters) {
    if reply.starts_with(b"SERVER_ERROR") {
        counters.server_errors.add(1);
    } else if is_error(reply) {
        counters.client_errors.add(1);
    }
}

fn count_lookup(touches: bool, is_hit: bool, counters: &CommandCounters) {
    let (command, outcome) = match (touches, is_hit) {
        (true, true) => (&counters.cmd_touch, &counters.touch_hits),
        (true, false) => (&counters.cmd_touch, &counters.touch_misses),
        (false, true) => (&counters.cmd_get, &counters.get_hits),
        (false, false) => (&counters.cmd_get, &counters.get_misses),
    };
    command.add(1);
    outcome.add(1);
}

fn count_arithmetic(is_decrement: bool, is_hit: bool, counters: &CommandCounters) {
    match (is_decrement, is_hit) {
        (false, true) => counters.incr_hits.add(1),
        (false, false) => counters.incr_misses.add(1),
        (true, true) => counters.decr_hits.add(1),
        (true, false) => counters.decr_misses.add(1),
    }
}

/// Whether the flags of a meta reply's line end with the client having won.
fn is_won(reply: &[u8]) -> bool {
    let line = reply.split(|&byte| byte == b'\r').next().unwrap_or_default();
    line.ends_with(b" W")
}
