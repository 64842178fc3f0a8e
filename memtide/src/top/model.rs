//! What looks at a cache come to: rates from two of them, and what is wrong. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::ask::{Heard, Lack, Look};
use super::kept::Kept;
use super::latency::between;
use super::metrics::Metrics;
use super::page;
use super::screen::{
    Bounded, Latency, Load, Moves, Node, Quantiles, Screen, Section, Title, Traffic,
};
use super::trouble;

/// Looks that a history is kept of.
const HISTORY_MAX: usize = 240;
/// The usage is written each second, at moments of its own: over less than this its rate would jump.
const USAGE_SPAN: Duration = Duration::from_secs(10);
/// Two readings of when a process was started differ by less.
const START_SECONDS: f64 = 1.5;
const SLOTS: u64 = memtide_topology::SLOTS as u64;

/// All that is remembered of the looks.
#[derive(Debug)]
pub struct Model {
    address: String,
    at: Duration,
    /// Why nothing at all was told by the newest look.
    trouble: Option<Lack>,
    cache: Kept<page::Cache>,
    limits: Kept<page::Limits>,
    pub(super) nodes: Kept<page::Nodes>,
    topology: Kept<page::Topology>,
    migrations: Kept<page::Migrations>,
    events: Kept<page::Events>,
    pub(super) metrics: Kept<Metrics>,
    pub(super) ready: Kept<Vec<String>>,
    /// The oldest first.
    usages: VecDeque<Heard<page::Usage>>,
    history: VecDeque<Option<f64>>,
    /// Slots that were to move when it began.
    began: u64,
}

impl Model {
    /// Of the memtide whose admin HTTP is at `address`.
    pub fn new(address: String) -> Self {
        Self {
            address,
            at: Duration::ZERO,
            trouble: None,
            cache: Kept::default(),
            limits: Kept::default(),
            nodes: Kept::default(),
            topology: Kept::default(),
            migrations: Kept::default(),
            events: Kept::default(),
            metrics: Kept::default(),
            ready: Kept::default(),
            usages: VecDeque::new(),
            history: VecDeque::new(),
            began: 0,
        }
    }

    /// Takes a look in.
    pub fn hear(&mut self, look: Look) {
        self.at = look.at;
        self.trouble = look.trouble().cloned();
        self.cache.hear(look.cache);
        self.limits.hear(look.limits);
        self.nodes.hear(look.nodes);
        self.topology.hear(look.topology);
        self.migrations.hear(look.migrations);
        self.events.hear(look.events);
        self.metrics.hear(look.metrics);
        self.ready.hear(look.ready);
        match look.usage {
            Ok(usage) => {
                let is_over = |it: &Heard<_>| usage.at.saturating_sub(it.at) >= USAGE_SPAN;
                while self.usages.get(1).is_some_and(is_over) {
                    self.usages.pop_front();
                }
                self.usages.push_back(usage);
            }
            // Rates over what was missed would be of no time that can be named.
            Err(_) => self.usages.clear(),
        }
        let remaining = self.migrations.page().map_or(0, |it| it.remaining_slots);
        self.began = if remaining == 0 { 0 } else { self.began.max(remaining) };
        self.history.push_back(self.ecpus());
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }

    /// What is to be seen now.
    pub fn screen(&self) -> Screen {
        let traffic = self.traffic();
        Screen {
            title: self.title(),
            troubles: trouble::of(self, self.trouble.as_ref(), &traffic),
            data: self.data(),
            ecpu: Load {
                now: self.ecpus(),
                limit: self.limits().map(|limits| limits.ecpu_per_second),
                history: self.history.iter().copied().collect(),
                of: if self.is_of_all() { "all proxies" } else { "" },
            },
            traffic,
            latency: self.latency(),
            slots: self.nodes.page().map(|nodes| nodes.slots),
            nodes: self.node_rows(),
            migrations: self.migrations.section(self.at, |page| self.moves(page)),
            events: self.events.section(self.at, |page| page.events.clone()),
        }
    }

    fn title(&self) -> Title {
        let cache = self.cache.page();
        let named = cache.map(|cache| &cache.name);
        let named = named.or_else(|| self.topology.page().map(|topology| &topology.cache));
        let at_ms = self.events.page().map(|page| page.now_ms);
        let start = self.gauge("process_start_time_seconds");
        let uptime = at_ms.zip(start).map(|(now_ms, start)| {
            let now = Duration::from_millis(now_ms).as_secs_f64();
            Duration::try_from_secs_f64(now - start).unwrap_or_default()
        });
        let spans = [self.metrics.pair().map(|it| it.2), self.nodes.pair().map(|it| it.2)];
        let span = spans.into_iter().flatten().next().map(Duration::from_secs_f64);
        Title {
            cache: named.cloned(),
            role: self.role(),
            address: self.address.clone(),
            endpoint: cache.map(|it| format!("{}:{}", it.endpoint.host, it.endpoint.port)),
            uptime,
            at_ms,
            span,
            epoch: self.nodes.page().map(|nodes| nodes.epoch),
            replicas: self.gauge("memtide_topology_replicas_wanted").map(whole),
        }
    }

    /// By what it tells.
    fn role(&self) -> &'static str {
        let has_items = self.gauge("memtide_memory_limit_bytes").is_some();
        match (self.cache.page().is_some(), self.nodes.page().is_some()) {
            (true, true) => "serve, with node processes",
            (true, false) if has_items => "serve",
            (true, false) => "proxy",
            (false, true) => "scaler",
            (false, false) if has_items => "node",
            (false, false) => "",
        }
    }

    /// Whether what this process counts itself is not all that clients do.
    fn is_of_all(&self) -> bool {
        let is_counted_here = self.cache.page().is_some();
        self.nodes.page().is_some_and(|nodes| !is_counted_here || nodes.proxies.len() > 1)
    }

    fn limits(&self) -> Option<page::Limits> {
        let of_cache = |it: &page::Cache| page::Limits {
            data_storage: it.limits.data_storage,
            ecpu_per_second: it.limits.ecpu_per_second,
        };
        self.limits.page().copied().or_else(|| self.cache.page().map(of_cache))
    }

    fn data(&self) -> Bounded {
        // A proxy by itself holds nothing and hears of nothing.
        let has_data = self.role() != "proxy";
        let told = self.cache.page().map(|cache| cache.usage.data_storage_bytes);
        let told = told.or_else(|| self.gauge("memtide_cache_used_bytes").map(whole));
        let used = told.filter(|_| has_data);
        let limit = self.limits().map(|limits| limits.data_storage);
        Bounded { used, limit: limit.filter(|_| has_data) }
    }

    fn ecpus(&self) -> Option<f64> {
        let units = if self.is_of_all() {
            self.usage_rate(|hour| hour.ecpu_units)
        } else {
            self.rate("memtide_ecpu_units_total", &[])
        };
        units.map(|units| units / 1_024.0)
    }

    fn traffic(&self) -> Traffic {
        let throttled = ("memtide_throttled_commands_total", "reason");
        let here = |reason| self.rate(throttled.0, &[(throttled.1, reason)]);
        let is_of_all = self.is_of_all();
        let (commands, refused) = if is_of_all {
            let refused = self.usage_rate(|hour| hour.throttled_commands);
            (self.usage_rate(|hour| hour.commands), refused)
        } else {
            (self.rate("memtide_commands_total", &[]), here("ecpu"))
        };
        let of_get = |status| {
            self.rate("memtide_item_commands_total", &[("command", "get"), ("status", status)])
        };
        let (hits, misses) = if is_of_all {
            (self.nodes_rate(|node| node.get_hits), self.nodes_rate(|node| node.get_misses))
        } else {
            (of_get("hit"), of_get("miss"))
        };
        let asked_for = hits.zip(misses).filter(|(hits, misses)| hits + misses > 0.0);
        let evicted = self.rate("memtide_items_evicted_total", &[]);
        let connections =
            |cache: &page::Cache| (cache.usage.connections, cache.limits.connections_max);
        Traffic {
            commands,
            hit_ratio: asked_for.map(|(hits, misses)| hits / (hits + misses)),
            delayed: self.rate("memtide_delayed_commands_total", &[]),
            throttled: refused,
            overloaded: here("capacity"),
            evicted: evicted.or_else(|| self.nodes_rate(|node| node.evicted)),
            connections: self.cache.page().map(connections),
        }
    }

    fn latency(&self) -> Latency {
        let name = "memtide_command_duration_seconds";
        let of = |metrics: &Metrics, kind| metrics.buckets(name, ("kind", kind));
        let Some(now) = self.metrics.page() else { return Latency::Unknown };
        if of(now, "read").is_empty() {
            return Latency::NotMeasured;
        }
        let between = |kind| match self.metrics.pair().filter(|_| !self.is_restarted()) {
            Some((before, now, _)) => between(&of(before, kind), &of(now, kind)),
            None => Quantiles::default(),
        };
        Latency::Measured { read: between("read"), write: between("write") }
    }

    /// Of a node in this process there is one row.
    fn node_rows(&self) -> Section<Vec<Node>> {
        let used = self.gauge("memtide_memory_used_bytes").map(whole);
        let max = self.gauge("memtide_memory_limit_bytes").map(whole);
        if let (None, Some(max)) = (self.nodes.page(), max) {
            let is_all = self.cache.page().is_some();
            let row = Node {
                id: "this".to_owned(),
                state: "up".to_owned(),
                address: self.address.clone(),
                slots: if is_all { [SLOTS, 0, 0] } else { [0; 3] },
                memory_used: used,
                memory_max: max,
                requests: self.rate("memtide_commands_total", &[]),
                cpu: self.rate("process_cpu_seconds_total", &[]),
                ..Node::default()
            };
            return self.metrics.section(self.at, |_| vec![row]);
        }
        self.nodes.section(self.at, |page| page.nodes.iter().map(|node| self.row(node)).collect())
    }

    fn row(&self, node: &page::Node) -> Node {
        let before = self.nodes.pair().and_then(|(before, _, seconds)| {
            let before = before.nodes.iter().find(|it| it.id == node.id)?;
            Some((before, seconds))
        });
        let rate = |of: fn(&page::Node) -> Option<u64>| {
            let (before, seconds) = before?;
            Some(double(of(node)?.checked_sub(of(before)?)?) / seconds)
        };
        Node {
            id: node.id.clone(),
            instance: node.instance.clone().filter(|name| !name.is_empty()),
            zone: node.zone.clone(),
            state: node.state.clone(),
            is_draining: node.draining,
            address: node.address.clone(),
            slots: [node.primary_slots, node.in_sync_slots, node.learner_slots],
            items: node.items,
            memory_used: node.memory_used_bytes,
            memory_max: node.memory_max_bytes,
            requests: rate(|node| node.requests),
            cpu: rate(|node| node.cpu_micros).map(|micros| micros / 1e6),
        }
    }

    fn moves(&self, page: &page::Migrations) -> Moves {
        let fallen = self.migrations.pair().and_then(|(before, now, seconds)| {
            let fallen = before.remaining_slots.checked_sub(now.remaining_slots)?;
            Some(double(fallen) / seconds)
        });
        Moves {
            remaining: page.remaining_slots,
            began: self.began,
            rate: fallen,
            running: page.running.clone(),
        }
    }

    pub(super) fn gauge(&self, name: &str) -> Option<f64> {
        self.metrics.page().and_then(|metrics| metrics.sum(name, &[]))
    }

    /// A second, of a counter; `None` where the process was started anew or the counter went back.
    fn rate(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let (before, now, seconds) = self.metrics.pair()?;
        let grown = now.sum(name, labels)? - before.sum(name, labels)?;
        (grown >= 0.0 && !self.is_restarted()).then(|| grown / seconds)
    }

    fn is_restarted(&self) -> bool {
        let start = |metrics: &Metrics| metrics.sum("process_start_time_seconds", &[]);
        let starts = self.metrics.pair().and_then(|(before, now, _)| start(before).zip(start(now)));
        starts.is_some_and(|(before, now)| (now - before).abs() > START_SECONDS)
    }

    /// A second, of all proxies together.
    fn usage_rate(&self, of: fn(&page::Hour) -> u64) -> Option<f64> {
        let (before, now) = (self.usages.front()?, self.usages.back()?);
        let seconds = now.at.saturating_sub(before.at).as_secs_f64();
        if seconds == 0.0 {
            return None;
        }
        let newest = before.page.hours.iter().map(|hour| hour.hour).max();
        let grown = now.page.hours.iter().map(|hour| {
            match before.page.hours.iter().find(|it| it.hour == hour.hour) {
                Some(before) => of(hour).checked_sub(of(before)),
                None if newest.is_none_or(|newest| newest < hour.hour) => Some(of(hour)),
                None => Some(0),
            }
        });
        Some(double(grown.sum::<Option<u64>>()?) / seconds)
    }

    /// A second, of all nodes that are in both looks and whose count has not gone back.
    fn nodes_rate(&self, of: fn(&page::Node) -> Option<u64>) -> Option<f64> {
        let (before, now, seconds) = self.nodes.pair()?;
        let grown = now.nodes.iter().filter_map(|node| {
            let before = before.nodes.iter().find(|it| it.id == node.id)?;
            of(node)?.checked_sub(of(before)?)
        });
        Some(double(grown.sum()) / seconds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) const fn double(number: u64) -> f64 {
    number as f64
}

/// Of a metric that counts in doubles; what is negative or no number is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests;
