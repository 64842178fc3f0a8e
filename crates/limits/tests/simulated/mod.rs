//! Proxies with cores, connections and a scaler in virtual time: real pools, gates and grants.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use memtide_limits::limits::{GRANT_TERM_NS, REPORT_INTERVAL_NS};
use memtide_limits::{Allocator, Decision, Gate, Grant, HeldId, Holding, Pool, ProxyId, Turn};
use memtide_topology::EcpuUnits;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000_000_000;
pub const ECPU: u64 = 1024;
/// From a command that goes on to the next one.
const SERVICE_NS: u64 = 20_000;
/// Used units are summed in slices of this length.
const SLICE_NS: u64 = 10 * MS;

/// What a connection does: a command each `every_ns` if it can, of `least` units that are known
/// before and `rest` that are known afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pub every_ns: u64,
    pub least: u64,
    pub rest: u64,
    pub from_ns: u64,
    pub until_ns: u64,
    /// Commands come by chance, and none is left out because others wait: a Poisson process.
    pub is_poisson: bool,
}

impl Client {
    /// Gets of up to 1 KB, so many a second.
    pub fn small_gets(per_second: u64) -> Self {
        Self {
            every_ns: SECOND / per_second,
            least: ECPU,
            rest: 0,
            from_ns: 0,
            until_ns: u64::MAX,
            is_poisson: false,
        }
    }

    /// As `memtide loadtest --rate` does.
    pub fn by_chance(self) -> Self {
        Self { is_poisson: true, ..self }
    }

    pub fn of(self, least: u64, rest: u64) -> Self {
        Self { least, rest, ..self }
    }

    pub fn between(self, from_ns: u64, until_ns: u64) -> Self {
        Self { from_ns, until_ns, ..self }
    }
}

#[derive(Debug)]
pub struct Connection {
    client: Client,
    proxy: usize,
    core: usize,
    turn: Turn,
    due: u64,
    read_at: Option<u64>,
    asks: u64,
    pub used: u64,
    pub admitted: u64,
    pub refused: u64,
    pub held_ns_max: u64,
    pub held_ns: u64,
}

pub struct Proxy {
    pub pool: Pool,
    holding: Option<Holding>,
    gates: Vec<Gate>,
    /// When each gate is looked at next.
    wake_at: Vec<Option<u64>>,
    pub slices: Vec<u64>,
    pub is_cut_off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask { connection: usize, asks: u64 },
    Release { proxy: usize, core: usize },
    Report { proxy: usize },
    GrantCame { proxy: usize, grant: usize },
    TermOver { proxy: usize },
}

pub struct World {
    pub now: u64,
    pub proxies: Vec<Proxy>,
    pub connections: Vec<Connection>,
    pub allocator: Option<Allocator>,
    grants: Vec<Grant>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    way_ns: u64,
    /// State of the intervals' randomness: commands come at irregular times.
    random: u64,
}

impl World {
    /// One proxy that has the limit, in units per second, for itself.
    pub fn alone(rate: Option<u64>, cores: usize) -> Self {
        let mut world = Self::empty(None);
        world.add_proxy(Pool::new(rate, cores, 0), None, cores);
        world
    }

    /// Several proxies that have their grants from a scaler.
    pub fn fleet(rate: u64, proxies: usize, cores: usize) -> Self {
        let mut world = Self::empty(Some(Allocator::new(Some(rate), 1)));
        for proxy in 0..proxies {
            world.add_proxy(Pool::new(Some(0), cores, 0), Some(Holding::new()), cores);
            world.at(proxy as u64 * 7 * MS, Event::Report { proxy });
        }
        world
    }

    fn empty(allocator: Option<Allocator>) -> Self {
        Self {
            now: 0,
            proxies: Vec::new(),
            connections: Vec::new(),
            allocator,
            grants: Vec::new(),
            events: BinaryHeap::new(),
            order: 0,
            way_ns: 3 * MS,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn add_proxy(&mut self, pool: Pool, holding: Option<Holding>, cores: usize) {
        let gates = (0..cores).map(Gate::new).collect();
        let slices = Vec::new();
        let wake_at = vec![None; cores];
        self.proxies.push(Proxy { pool, holding, gates, wake_at, slices, is_cut_off: false });
    }

    /// So many connections at that core, their first commands spread over their interval.
    pub fn connect(&mut self, (proxy, core): (usize, usize), count: u64, client: Client) {
        for number in 0..count {
            let due = client.from_ns + client.every_ns * number / count;
            self.connections.push(Connection {
                client,
                proxy,
                core,
                turn: Turn::default(),
                due,
                read_at: None,
                asks: 0,
                used: 0,
                admitted: 0,
                refused: 0,
                held_ns_max: 0,
                held_ns: 0,
            });
            self.at(due, Event::Ask { connection: self.connections.len() - 1, asks: 0 });
        }
    }

    pub fn run_until(&mut self, end: u64) {
        while let Some(&Reverse((at, _, event))) = self.events.peek() {
            if at > end {
                break;
            }
            self.events.pop();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// Units used by these proxies between two times, in whole slices.
    pub fn used(&self, proxies: &[usize], (from, to): (u64, u64)) -> u64 {
        let slices = |ns: u64| usize::try_from(ns / SLICE_NS).unwrap();
        let of = |proxy: &usize| -> u64 {
            let all = &self.proxies[*proxy].slices;
            (slices(from)..slices(to)).filter_map(|slice| all.get(slice)).sum()
        };
        proxies.iter().map(of).sum()
    }

    /// What is used in that time, in thousandths of what `rate` gives in it.
    pub fn permille(&self, proxies: &[usize], span: (u64, u64), rate: u64) -> u64 {
        let given = u128::from(rate) * u128::from(span.1 - span.0) / u128::from(SECOND);
        u64::try_from(u128::from(self.used(proxies, span)) * 1_000 / given).unwrap()
    }

    /// The most that was used in any window of that length, in thousandths.
    pub fn permille_max(&self, proxies: &[usize], window: u64, rate: u64) -> u64 {
        let starts = (0..=(self.now - window) / SLICE_NS).map(|slice| slice * SLICE_NS);
        starts.map(|from| self.permille(proxies, (from, from + window), rate)).max().unwrap()
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask { connection, asks } => {
                if self.connections[connection].asks == asks {
                    self.ask(connection);
                }
            }
            Event::Release { proxy, core } => self.release(proxy, core),
            Event::Report { proxy } => self.report(proxy),
            Event::GrantCame { proxy, grant } => {
                let grant = self.grants[grant];
                let proxy_state = &mut self.proxies[proxy];
                if proxy_state.is_cut_off {
                    return;
                }
                let holding = proxy_state.holding.as_mut().unwrap();
                holding.take(grant);
                proxy_state.pool.set_rate(self.now, holding.rate(self.now));
                if let Some(until) = holding.until(self.now) {
                    self.at(until, Event::TermOver { proxy });
                }
            }
            Event::TermOver { proxy } => {
                let proxy = &self.proxies[proxy];
                let rate = proxy.holding.as_ref().unwrap().rate(self.now);
                proxy.pool.set_rate(self.now, rate);
            }
        }
    }

    fn ask(&mut self, index: usize) {
        let now = self.now;
        let connection = &mut self.connections[index];
        if now >= connection.client.until_ns {
            return;
        }
        let read_at = *connection.read_at.get_or_insert(now);
        let (proxy, core) = (connection.proxy, connection.core);
        let Proxy { pool, gates, .. } = &mut self.proxies[proxy];
        if pool.rate().is_none() {
            // Nobody is asked.
            return self.admitted(index);
        }
        let least = EcpuUnits::from_units(connection.client.least);
        let turn = (HeldId(index as u64), &mut connection.turn);
        match gates[core].ask(pool, turn, (least, read_at), now) {
            Decision::Admit => self.admitted(index),
            Decision::DelayUntil(until) => {
                assert!(until > now, "a time that is yet to come");
                let asks = self.connections[index].asks;
                self.at(until, Event::Ask { connection: index, asks });
            }
            Decision::Refuse => {
                self.connections[index].refused += 1;
                self.go_on(index);
            }
        }
        self.release(proxy, core);
    }

    fn admitted(&mut self, index: usize) {
        let now = self.now;
        let connection = &mut self.connections[index];
        let proxy = &mut self.proxies[connection.proxy];
        let gate = &mut proxy.gates[connection.core];
        let (least, rest) = (connection.client.least, connection.client.rest);
        if proxy.pool.rate().is_none() {
            Gate::lifted(&mut connection.turn, EcpuUnits::from_units(least + rest));
        } else {
            gate.charge(&mut connection.turn, EcpuUnits::from_units(rest));
        }
        connection.used += least + rest;
        connection.admitted += 1;
        let held = now - connection.read_at.unwrap();
        connection.held_ns_max = connection.held_ns_max.max(held);
        connection.held_ns += held;
        let slice = usize::try_from(now / SLICE_NS).unwrap();
        if proxy.slices.len() <= slice {
            proxy.slices.resize(slice + 1, 0);
        }
        proxy.slices[slice] += least + rest;
        self.go_on(index);
    }

    fn go_on(&mut self, index: usize) {
        let now = self.now;
        let connection = &mut self.connections[index];
        connection.read_at = None;
        connection.asks += 1;
        // xorshift64.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let every_ns = connection.client.every_ns;
        let (earliest, asks) = (now + SERVICE_NS, connection.asks);
        if connection.client.is_poisson {
            let even = f64::from(u32::try_from(self.random >> 32).unwrap()) / 2_f64.powi(32);
            let every = Duration::from_nanos(every_ns).as_secs_f64();
            let wait = Duration::from_secs_f64(-(1.0 - even).ln() * every);
            connection.due += u64::try_from(wait.as_nanos()).unwrap();
        } else {
            // From half of the interval to one and a half. What is not answered does not pile up: as
            // many commands are under way as there are connections.
            connection.due += every_ns / 2 + self.random % every_ns;
            connection.due = connection.due.max(earliest);
        }
        let due = connection.due.max(earliest);
        self.at(due, Event::Ask { connection: index, asks });
    }

    fn release(&mut self, proxy: usize, core: usize) {
        // All that may go on are woken, and run then; what they have cost may let others go on.
        loop {
            let it = &mut self.proxies[proxy];
            let next = || it.gates[core].release(&it.pool, self.now);
            let released: Vec<_> = std::iter::from_fn(next).collect();
            if released.is_empty() {
                break;
            }
            for id in released {
                let index = usize::try_from(id.0).unwrap();
                Gate::released(&mut self.connections[index].turn);
                self.admitted(index);
            }
        }
        let it = &mut self.proxies[proxy];
        let Some(at) = it.gates[core].wake_at(self.now) else { return };
        assert!(at > self.now, "a gate that lets nobody through says when to come again");
        if it.wake_at[core].is_none_or(|planned| at < planned || planned <= self.now) {
            it.wake_at[core] = Some(at);
            self.at(at, Event::Release { proxy, core });
        }
    }

    fn report(&mut self, proxy: usize) {
        let now = self.now;
        let it = &mut self.proxies[proxy];
        let demand = it.pool.demand(now);
        let report = it.holding.as_mut().unwrap().report(now, demand);
        self.at(now + REPORT_INTERVAL_NS, Event::Report { proxy });
        if self.proxies[proxy].is_cut_off {
            return;
        }
        // The report arrives after half of the way; nothing else depends on when within it.
        let allocator = self.allocator.as_mut().unwrap();
        let arrives = now + self.way_ns / 2;
        if let Some(grant) = allocator.report(arrives, ProxyId(proxy as u64), &report) {
            self.grants.push(grant);
            let grant = self.grants.len() - 1;
            self.at(now + self.way_ns, Event::GrantCame { proxy, grant });
        }
    }
}

/// Within a grant's term, a report's interval and a way everything that was is replaced.
pub const SETTLED_NS: u64 = GRANT_TERM_NS + 2 * REPORT_INTERVAL_NS;
