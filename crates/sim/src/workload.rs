//! The clients: what they ask, and what they were answered.

use std::collections::{BTreeMap, VecDeque};

use memtide_engine_core::replication::Outcome as Bytes;
use memtide_loadtest::verify::{
    Action, COUNT_UNIT, COUNTER_BASE_SHIFT, COUNTER_START, History, NO_REPLY, Operation, Outcome,
    Token, Verb,
};
use memtide_routing::{Refused, Settings};
use memtide_testkit::Rng;
use memtide_topology::SlotId;

use crate::checks::Checks;
use crate::heap::{Nanos, SECOND};
use crate::item::Reply;
use crate::plan::Plan;
use crate::store::{Asks, Command, is_counter};
use crate::wins::{Wins, is_shared};

/// All clients of a run.
pub struct Workload {
    clients: Vec<Client>,
    /// The client of a request.
    tickets: BTreeMap<u64, usize>,
    last_ticket: u64,
    /// The slot of each key.
    slots: Vec<SlotId>,
    last_token: Token,
    /// Stores to a counter, by key.
    bases: BTreeMap<u32, u64>,
    pub history: History,
    /// When a request was asked that failed.
    pub failed: Vec<Nanos>,
    /// Of these, reads that also change and whose outcome was not known any more: the key, and from
    /// when to when it was asked.
    forgotten: Vec<(u32, Nanos, Nanos)>,
    /// Of the routers.
    patience: Nanos,
    /// How long the request took that took longest, and when it was asked.
    pub slowest: (Nanos, Nanos),
    /// Whether nodes know all of the protocol.
    has_hosts: bool,
    wins: Wins,
    rng: Rng,
}

/// A connection of a client to a proxy.
struct Client {
    proxy: u32,
    under_way: VecDeque<Pending>,
    under_way_max: usize,
    /// It reads only, so that no write that waits holds its replies up.
    is_reader: bool,
    /// The CAS unique that it was told last, by key.
    uniques: BTreeMap<u32, u64>,
}

struct Pending {
    ticket: u64,
    command: Command,
    invoked: Nanos,
    answer: Option<Result<Reply, Refused>>,
}

/// What a client asks.
pub struct Ask {
    pub proxy: u32,
    pub ticket: u64,
    pub slot: SlotId,
    pub command: Command,
}

impl Workload {
    /// Clients by their proxies, and keys by their slots.
    pub fn new((proxies, plan): (&[u32], &Plan), slots: Vec<SlotId>, mut rng: Rng) -> Self {
        let client = |proxy: &u32| Client {
            proxy: *proxy,
            under_way: VecDeque::new(),
            under_way_max: 1 + rng.below(4),
            is_reader: rng.percent(plan.readers_percent),
            uniques: BTreeMap::new(),
        };
        Self {
            clients: proxies.iter().map(client).collect(),
            tickets: BTreeMap::new(),
            last_ticket: 0,
            slots,
            last_token: 0,
            bases: BTreeMap::new(),
            history: History::default(),
            failed: Vec::new(),
            forgotten: Vec::new(),
            patience: Nanos::try_from(Settings::default().patience.as_nanos()).expect("seconds"),
            slowest: (0, 0),
            has_hosts: plan.has_hosts,
            wins: Wins::default(),
            rng,
        }
    }

    pub const fn clients(&self) -> usize {
        self.clients.len()
    }

    /// The slot of a key.
    pub fn slot(&self, key: u32) -> SlotId {
        self.slots[key as usize]
    }

    /// What a client asks now, unless it has enough under way.
    pub fn ask(&mut self, now: Nanos, client: usize) -> Option<Ask> {
        let Client { under_way, under_way_max, .. } = &self.clients[client];
        if under_way.len() >= *under_way_max {
            return None;
        }
        let at = self.rng.below(self.slots.len());
        let key = u32::try_from(at).expect("few keys");
        let command = self.command(client, key);
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.tickets.insert(ticket, client);
        let client = &mut self.clients[client];
        client.under_way.push_back(Pending { ticket, command, invoked: now, answer: None });
        Some(Ask { proxy: client.proxy, ticket, slot: self.slots[at], command })
    }

    /// A request is answered; the client sees the answers in the order of its requests.
    pub fn answer(
        &mut self,
        now: Nanos,
        ticket: u64,
        result: &Result<Bytes, Refused>,
        checks: &mut Checks,
    ) {
        let Some(client) = self.tickets.remove(&ticket) else {
            return checks.violated(|| format!("I5: request {ticket} was answered twice"));
        };
        let reply = result.as_ref().map(|bytes| Reply::decode(bytes)).map_err(|refused| *refused);
        let of_client = &mut self.clients[client];
        let waiting = of_client.under_way.iter_mut().find(|pending| pending.ticket == ticket);
        let waiting = waiting.expect("it has a ticket");
        waiting.answer = Some(reply);
        self.slowest = self.slowest.max((now - waiting.invoked, waiting.invoked));
        while let Some(Pending { answer: Some(_), .. }) = self.clients[client].under_way.front() {
            let pending = self.clients[client].under_way.pop_front().expect("there is a first");
            self.see(now, client, &pending, checks);
        }
    }

    /// When the oldest request was asked that has no answer.
    pub fn oldest(&self) -> Option<Nanos> {
        let pending = self.clients.iter().filter_map(|client| client.under_way.front());
        pending.map(|pending| pending.invoked).min()
    }

    /// How many failed that may fail though nobody was down, where values are long: a retry of a read that
    /// also changes is told its value only while the item has it.
    pub fn overtaken(&self) -> usize {
        let is_overtaken = |(key, invoked, ended): &&(u32, Nanos, Nanos)| {
            let mut of_key = self.history.operations().iter().filter(|one| one.key == *key);
            of_key.any(|one| {
                let meets = one.invoked < *ended && *invoked < one.completed;
                meets && may_write(one) || may_expire_in(one, (*invoked, *ended))
            })
        };
        self.forgotten.iter().filter(is_overtaken).count()
    }

    /// No more answers come. Says what cannot have been.
    pub fn close(&mut self) -> Option<String> {
        for client in 0..self.clients.len() {
            for pending in core::mem::take(&mut self.clients[client].under_way) {
                self.record_unanswered(client, &pending);
            }
        }
        self.wins.settle(&mut self.history)
    }

    fn see(&mut self, now: Nanos, client: usize, pending: &Pending, checks: &mut Checks) {
        let command = pending.command;
        let reply = match &pending.answer {
            Some(Ok(reply)) => reply,
            Some(Err(Refused::UnknownOutcome)) | None => {
                self.failed.push(pending.invoked);
                let is_in_time = now - pending.invoked < self.patience;
                if command.has_value_and_changes() && is_in_time {
                    self.forgotten.push((command.key, pending.invoked, now));
                }
                return self.record_unanswered(client, pending);
            }
            Some(Err(_)) => {
                self.failed.push(pending.invoked);
                return self.record(client, pending, command.action, (now, Outcome::Refused));
            }
        };
        if reply.cas() != 0 {
            self.clients[client].uniques.insert(command.key, reply.cas());
        }
        self.last_token += 1;
        let (action, reply) = self.wins.told(command, reply, self.last_token, checks);
        let outcome = reply.outcome(&mut self.history);
        self.record(client, pending, action, (now, outcome));
    }

    fn record_unanswered(&mut self, client: usize, pending: &Pending) {
        self.last_token += 1;
        let action = self.wins.untold(pending.command, self.last_token);
        self.record(client, pending, action, (NO_REPLY, Outcome::NoReply));
    }

    fn record(
        &mut self,
        client: usize,
        pending: &Pending,
        action: Action,
        (completed, outcome): (Nanos, Outcome),
    ) {
        if matches!(outcome, Outcome::NoReply | Outcome::Refused) && action == Action::Get {
            return;
        }
        let worker = u32::try_from(client).expect("few clients");
        let (key, invoked) = (pending.command.key, pending.invoked);
        self.history.push(Operation { key, worker, invoked, completed, action, outcome });
    }

    fn command(&mut self, client: usize, key: u32) -> Command {
        if self.has_hosts && is_shared(key) && !self.clients[client].is_reader {
            return self.shared(client, key);
        }
        Command { key, action: self.action(client, key), asks: Asks::Nothing }
    }

    fn shared(&mut self, client: usize, key: u32) -> Command {
        let ttl = if self.rng.percent(50) { 1 + self.rng.below(3) } else { 0 };
        let ttl = u32::try_from(ttl).expect("a few seconds");
        let cas = self.clients[client].uniques.get(&key).copied().unwrap_or(0);
        let (action, asks) = match self.rng.below(100) {
            0..35 => (Action::Get, Asks::Vivify { ttl }),
            35..50 => (Action::Get, Asks::Recache),
            50..60 => (Action::Get, Asks::Nothing),
            60..70 => (Action::Delete { cas: 0 }, Asks::Nothing),
            70..75 => (Action::Touch { ttl }, Asks::Nothing),
            75..82 if cas != 0 => (Action::Cas { token: self.token(key), ttl, cas }, Asks::Nothing),
            _ => (self.store(Verb::Set, key, ttl), Asks::Nothing),
        };
        Command { key, action, asks }
    }

    fn action(&mut self, client: usize, key: u32) -> Action {
        if self.clients[client].is_reader {
            return Action::Get;
        }
        let is_counter = is_counter(key);
        let ttl = if self.rng.percent(4) { 1 + self.rng.below(3) } else { 0 };
        let ttl = u32::try_from(ttl).expect("a few seconds");
        let cas = self.clients[client].uniques.get(&key).copied().unwrap_or(0);
        match self.rng.below(100) {
            0..30 => Action::Get,
            30..32 => Action::GetAndTouch { ttl },
            32..35 => Action::Touch { ttl },
            35..42 => Action::Delete { cas: 0 },
            42..44 => Action::Delete { cas },
            44..54 if cas != 0 => Action::Cas { token: self.token(key), ttl, cas },
            44..80 if is_counter && self.rng.percent(70) => {
                let (up, down) = (64 + self.rng.below(64) as u64, 1 + self.rng.below(3) as u64);
                let is_up = self.rng.percent(80);
                Action::Count { is_up, delta: if is_up { up * COUNT_UNIT } else { down } }
            }
            54..64 if !is_counter => self.store(Verb::Append, key, ttl),
            64..70 if !is_counter => self.store(Verb::Prepend, key, ttl),
            70..88 => self.store(Verb::Set, key, ttl),
            88..94 => self.store(Verb::Add, key, ttl),
            _ => self.store(Verb::Replace, key, ttl),
        }
    }

    fn store(&mut self, verb: Verb, key: u32, ttl: u32) -> Action {
        Action::Store { verb, token: self.token(key), ttl }
    }

    fn token(&mut self, key: u32) -> Token {
        if is_counter(key) {
            let base = self.bases.entry(key).or_default();
            *base += 1;
            return (*base << COUNTER_BASE_SHIFT) + COUNTER_START;
        }
        self.last_token += 1;
        self.last_token
    }
}

/// Whether it may have stored, changed or removed a value.
const fn may_write(one: &Operation) -> bool {
    let is_write =
        !matches!(one.action, Action::Get | Action::GetAndTouch { .. } | Action::Touch { .. });
    let is_denied = matches!(one.outcome, Outcome::NotStored | Outcome::Exists | Outcome::NotFound);
    is_write && !is_denied
}

/// Whether an item that has its time to live from this may end in a stretch of time.
fn may_expire_in(one: &Operation, (from, to): (Nanos, Nanos)) -> bool {
    let ttl = match one.action {
        Action::GetAndTouch { ttl }
        | Action::Store { ttl, .. }
        | Action::Cas { ttl, .. }
        | Action::Touch { ttl } => ttl,
        Action::Get | Action::Count { .. } | Action::Delete { .. } => 0,
    };
    // Items end at a whole second.
    let latest = one.completed.saturating_add(Nanos::from(ttl + 1) * SECOND);
    ttl != 0 && one.invoked < to && from < latest
}
