//! The command of a request, executed on the items.

use memtide_engine_core::{Found, Item, Key, Lookup, Now, Store};
use memtide_execute::{CommandCounters, Executed, ItemExecutor, Retrieved};
use memtide_protocol::encode::{self, Status};
use memtide_protocol::{Command, Limits, Refusal, Step, parse};
use memtide_topology::{HashSeed, KeyHash, SlotId};

/// For a request that is no command on one key.
const NOT_ONE_KEY: &[u8] = b"SERVER_ERROR a node takes one whole command on one key\r\n";
/// For a request whose key is not of the slot that it came for.
const OTHER_KEY: &[u8] = b"SERVER_ERROR the request's hash is not its key's\r\n";
/// For a copy that is to be changed.
const NOT_A_READ: &[u8] = b"SERVER_ERROR a copy answers plain reads only\r\n";
/// For a node that is asked what only a slot can be.
pub const NOT_OF_A_NODE: &[u8] = b"SERVER_ERROR a node as a whole answers stats only\r\n";
/// For a node of which too many requests wait.
pub const OVERLOADED: &[u8] = b"SERVER_ERROR too many requests wait for a node's copies\r\n";

/// Executes commands at one second.
pub struct Runner<'a> {
    /// Where the items are.
    pub store: &'a Store,
    /// The cache's.
    pub seed: HashSeed,
    /// The protocol's.
    pub limits: Limits,
    /// Commands are counted here.
    pub counters: &'a CommandCounters,
    /// The second.
    pub now: Now,
}

/// What a command was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The key that its reply depends on; `None` for the whole slot, and for none.
    pub key: Option<KeyHash>,
    /// See [`Kind`].
    pub kind: Kind,
}

/// What a command does beside its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Confined,
    /// It may have evicted items of other slots.
    MayEvict,
}

impl Runner<'_> {
    /// Executes the command of a request for this slot and key, and appends the reply.
    pub fn run(&self, (slot, hash): (SlotId, KeyHash), bytes: &[u8], out: &mut Vec<u8>) -> Ran {
        let refused = |error: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(error);
            Ran { key: None, kind: Kind::Confined }
        };
        match parse(bytes, &self.limits) {
            Step::Command { consumed, command: Command::FlushAll { noreply } }
                if consumed == bytes.len() =>
            {
                self.flush(slot, noreply, out)
            }
            Step::Command { consumed, command } if consumed == bytes.len() => {
                match self.key_of(&command) {
                    Some(of_key) if of_key == hash => self.execute(&command, hash, out),
                    Some(_) => refused(OTHER_KEY, out),
                    None => refused(NOT_ONE_KEY, out),
                }
            }
            Step::Refused { refusal, .. } => match self.may_refuse(&refusal, hash) {
                true => self.refuse(&refusal, hash, out),
                false => refused(OTHER_KEY, out),
            },
            _ => refused(NOT_ONE_KEY, out),
        }
    }

    /// Executes a command that changes nothing, on a copy or at the primary.
    pub fn read(&self, (slot, hash): (SlotId, KeyHash), bytes: &[u8], out: &mut Vec<u8>) {
        let is_read = match parse(bytes, &self.limits) {
            Step::Command { command: Command::Retrieve(get), .. } => get.touch.is_none(),
            Step::Command { command: Command::MetaGet(get), .. } => {
                get.touch.is_none() && get.vivify.is_none() && get.recache.is_none()
            }
            _ => false,
        };
        match is_read {
            true => drop(self.run((slot, hash), bytes, out)),
            false => out.extend_from_slice(NOT_A_READ),
        }
    }

    /// Looks at the item of a command's key, and leaves it as it is.
    pub fn peek<R>(&self, bytes: &[u8], with: impl FnOnce(Option<Item<'_>>) -> R) -> R {
        let key = match parse(bytes, &self.limits) {
            Step::Command { command, .. } => command.first_key().map(|key| key.bytes()),
            _ => None,
        };
        let key = key.as_ref().and_then(|key| Key::new(key, self.seed.hash(key)));
        let Some(key) = key else { return with(None) };
        let unbumped = Lookup { no_bump: true, ..Lookup::default() };
        self.store.lookup(key, &unbumped, self.now, |found| match found {
            Found::Hit(hit) => with(Some(hit.item)),
            Found::Miss => with(None),
        })
    }

    /// The hash of a command's only key.
    fn key_of(&self, command: &Command<'_>) -> Option<KeyHash> {
        if let Command::Retrieve(get) = command
            && get.keys().nth(1).is_some()
        {
            return None;
        }
        command.first_key().map(|key| self.seed.hash(&key.bytes()))
    }

    fn execute(&self, command: &Command<'_>, hash: KeyHash, out: &mut Vec<u8>) -> Ran {
        let mut executed = Executed::default();
        let mut executor = self.executor(&mut executed);
        let kind = match command {
            Command::Retrieve(get) => {
                executor.retrieve((get, Some(hash)), Retrieved::default(), out);
                Kind::Confined
            }
            other => {
                executor.execute(other, Some(hash), out);
                match other {
                    Command::MetaGet(get) if get.vivify.is_none() => Kind::Confined,
                    _ => Kind::MayEvict,
                }
            }
        };
        Ran { key: Some(hash), kind }
    }

    fn flush(&self, slot: SlotId, noreply: bool, out: &mut Vec<u8>) -> Ran {
        self.store.flush_slot(slot);
        if !noreply {
            encode::status(out, Status::Ok);
        }
        Ran { key: None, kind: Kind::Confined }
    }

    /// Whether what a refusal removes is of this key.
    fn may_refuse(&self, refusal: &Refusal<'_>, hash: KeyHash) -> bool {
        refusal.unlink.is_none_or(|key| self.seed.hash(&key.bytes()) == hash)
    }

    fn refuse(&self, refusal: &Refusal<'_>, hash: KeyHash, out: &mut Vec<u8>) -> Ran {
        let mut executed = Executed::default();
        self.executor(&mut executed).refuse(refusal, out);
        Ran { key: Some(hash), kind: Kind::Confined }
    }

    fn executor<'e>(&'e self, executed: &'e mut Executed) -> ItemExecutor<'e> {
        ItemExecutor {
            limits: self.limits,
            store: self.store,
            seed: self.seed,
            counters: self.counters,
            now: self.now,
            executed,
        }
    }
}
