//! Reports to test with and to look at: made up, but as a run on a fleet that changes tells them.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    CommandRow, Ended, EndpointFacts, ErrorCount, GeneratorFacts, Latency, Mark, MarkSource,
    Report, Second, ServerFacts, Totals, TroubleCount,
};
use crate::measure::{CommandKind, Outcome, Trouble};
use crate::verify::{Misses, Verdict, Violation, ViolationCount, ViolationKind};

/// What a made-up run is like.
pub(super) struct Sample {
    pub name: &'static str,
    pub measured_s: u32,
    pub is_open_loop: bool,
    pub rate: f64,
    /// The median latency in quiet seconds.
    pub quiet_us: f64,
    pub marks: Vec<Mark>,
}

impl Sample {
    /// A run of a minute, with a node killed, a drain, and a step to a rate that is throttled.
    pub(super) fn eventful() -> Self {
        Self {
            name: "memtide",
            measured_s: 60,
            is_open_loop: true,
            rate: 50_000.0,
            quiet_us: 110.0,
            marks: vec![
                mark(0.0, MarkSource::Profile, "50k/s"),
                mark(12.0, MarkSource::Hook, "kill -9 $(cat /run/memtide/node-3.pid)"),
                mark(12.4, MarkSource::Endpoint, "failover of 5,461 slots to node 5"),
                mark(14.1, MarkSource::Endpoint, "node 7 joined in zone b"),
                mark(30.0, MarkSource::Profile, "80k/s"),
                mark(31.2, MarkSource::Endpoint, "throttle: ECPU limit exceeded"),
                mark(45.0, MarkSource::Hook, "memtide cache drain node-2"),
            ],
        }
    }

    /// A quiet run without marks.
    pub(super) fn quiet(name: &'static str, measured_s: u32, quiet_us: f64) -> Self {
        Self { name, measured_s, is_open_loop: true, rate: 20_000.0, quiet_us, marks: Vec::new() }
    }

    /// Tells the run; what is random in it follows from `seed`.
    pub(super) fn report(&self, seed: u64) -> Report {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let timeline: Vec<Second> = (0..self.measured_s + 2)
            .map(|index| self.second(f64::from(index) - 2.0, &mut random))
            .collect();
        let totals = totals(&timeline);
        let commands = self.commands(&totals);
        Report {
            version: "0.1.0".to_owned(),
            began_at_ms: 1_772_368_205_000,
            endpoint: EndpointFacts {
                name: self.name.to_owned(),
                address: "cache.example:11211".to_owned(),
                transport: "TLS 1.3, TLS13_AES_128_GCM_SHA256".to_owned(),
                server_version: "1.6.45-memtide".to_owned(),
            },
            plan: self.plan(),
            is_open_loop: self.is_open_loop,
            measured_s: f64::from(self.measured_s),
            ended: Ended::Completed,
            latency: self.latency(totals.replies, self.spread()),
            connecting: scaled(totals.connections, 900.0, 1.0),
            commands,
            percentiles: self.percentiles(totals.replies),
            distrust: Vec::new(),
            cautions: Vec::new(),
            errors: errors(totals.errors),
            troubles: Vec::new(),
            totals,
            timeline,
            marks: self.marks.clone(),
            generator: GeneratorFacts {
                cpu_us_per_reply: 4.21,
                busiest_thread: 0.43,
                waited_for_core: 0.12,
                lag: scaled(1000, 3.0, 1.0),
            },
            server: Some(ServerFacts {
                cpu_us_per_reply: self.quiet_us / 20.0,
                cores_busy: 0.92,
                resident_bytes: 412_000_000,
                resident_peak_bytes: 501_000_000,
                bytes_per_idle_connection: Some(9_400.0),
            }),
            evictions: Some(18_231),
            verdict: None,
        }
    }

    fn plan(&self) -> Vec<(String, String)> {
        let rate = if self.is_open_loop { "50k/s, poisson" } else { "max" };
        [
            ("rate", rate),
            ("duration", "60s after 2s of warm-up"),
            ("connections", "50, pipeline 1, 1 thread"),
            ("keys", "100,000 of 16 bytes, zipf 0.99"),
            ("values", "twitter (mean 230 bytes)"),
            ("mix", "get 90%, set 10%"),
            ("seed", "1729"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// How much worse the tail of this run is than that of a quiet one.
    fn spread(&self) -> f64 {
        if self.marks.is_empty() { 1.0 } else { 60.0 }
    }

    /// The rate asked for: the last step of the profile that has begun, read from its mark.
    fn target(&self, at_s: f64) -> f64 {
        let mut steps = self.marks.iter().filter(|mark| mark.source == MarkSource::Profile);
        let current = steps.rfind(|mark| mark.at_s <= at_s);
        let thousands = current.and_then(|mark| mark.text.strip_suffix("k/s")?.parse::<f64>().ok());
        thousands.map_or(self.rate, |thousands| thousands * 1000.0)
    }

    fn second(&self, at_s: f64, random: &mut Xoshiro256PlusPlus) -> Second {
        let target = self.target(at_s);
        let noise = random.random_range(0.97..1.03);
        let shock: f64 = self
            .marks
            .iter()
            .filter(|mark| mark.source != MarkSource::Profile)
            .map(|mark| at_s + 1.0 - mark.at_s)
            .filter(|after| *after > 0.0 && *after < 6.0)
            .map(|after| 30.0 / after)
            .sum();
        let is_throttled = target > 70_000.0 && at_s > 31.0 && at_s < 40.0;
        let loss = if shock > 10.0 { 0.82 } else { 1.0 };
        let replies = whole(target * noise * loss);
        Second {
            at_s,
            length_s: 1.0,
            target_rate: self.is_open_loop.then_some(target),
            requests: whole(target * noise),
            replies,
            errors: if is_throttled { replies / 9 } else { 0 },
            troubles: 0,
            resets: 0,
            misses: replies / 25,
            latency: scaled(replies, self.quiet_us * noise, 1.0 + shock),
            generator_busy: 0.4 * noise * target / self.rate,
            waited_for_core: 0.05 * noise,
            lag_p99_us: 8.0 * noise * noise,
            is_trusted: true,
        }
    }

    fn latency(&self, count: u64, spread: f64) -> Latency {
        scaled(count, self.quiet_us, spread)
    }

    fn commands(&self, totals: &Totals) -> Vec<CommandRow> {
        let row = |command, outcome, count, spread| CommandRow {
            command,
            outcome,
            latency: self.latency(count, spread),
        };
        let mut rows = vec![
            row(CommandKind::Get, Outcome::Hit, totals.hits, self.spread()),
            row(CommandKind::Get, Outcome::Miss, totals.misses, self.spread() * 0.9),
            row(CommandKind::Set, Outcome::Stored, totals.replies / 10, self.spread() * 1.2),
        ];
        if totals.errors > 0 {
            rows.push(row(CommandKind::Get, Outcome::Error, totals.errors, 1.0));
        }
        rows
    }

    fn percentiles(&self, count: u64) -> Vec<(f64, f64)> {
        let nines: f64 = if count > 500_000 { 6.0 } else { 4.5 };
        let steps = 10.0 * nines;
        let mut points = Vec::new();
        let mut step = 0.0;
        while step <= steps {
            let fraction = 1.0 - 10f64.powf(-step / 10.0);
            points.push((fraction, curve((step / 10.0).min(5.0), self.quiet_us, self.spread())));
            step += 1.0;
        }
        points.push((1.0, curve(5.0, self.quiet_us, self.spread())));
        points
    }
}

/// A mark.
pub(super) fn mark(at_s: f64, source: MarkSource, text: &str) -> Mark {
    Mark { at_s, source, text: text.to_owned() }
}

/// Makes `report` one that nobody should believe.
pub(super) fn distrusted(mut report: Report) -> Report {
    report.distrust = vec![
        "the generator's busiest thread used 99.2% of a core".to_owned(),
        "4.1% of the requests were written more than 1 ms after they were due".to_owned(),
    ];
    for second in report.timeline.iter_mut().filter(|second| second.at_s >= 1.0) {
        second.is_trusted = false;
        second.generator_busy = 0.99;
        second.lag_p99_us = 24_000.0;
    }
    report
}

/// Gives `report` connections that broke at 12 s.
pub(super) fn with_resets(mut report: Report) -> Report {
    let example = "connection reset by peer (os error 104)".to_owned();
    report.troubles = vec![
        TroubleCount { trouble: Trouble::Reset, count: 16, example },
        TroubleCount { trouble: Trouble::Timeout, count: 2, example: "no reply in 5s".to_owned() },
    ];
    report.totals.lost = 18;
    for second in report.timeline.iter_mut().filter(|second| second.at_s == 12.0) {
        (second.troubles, second.resets) = (18, 16);
    }
    report
}

/// Gives `report` a verdict: with a stale read, or one that passes.
pub(super) fn checked(mut report: Report, is_violated: bool) -> Report {
    let excerpt = [
        "  3011.201-3011.402 ms worker 4: set key-00017 v412 -> STORED",
        "  3011.640-3011.702 ms worker 9: get key-00017 -> v412",
        "> 3012.008-3012.120 ms worker 2: get key-00017 -> v398",
    ];
    let violation = Violation {
        kind: ViolationKind::StaleRead,
        key: "key-00017".to_owned(),
        at_ns: 3_012_120_000,
        what: "worker 2 read v398, which v412 had replaced".to_owned(),
        excerpt: excerpt.map(str::to_owned).to_vec(),
    };
    let count = ViolationCount { kind: ViolationKind::StaleRead, count: 3 };
    report.verdict = Some(Verdict {
        operations: 1_882_210,
        keys: 1000,
        reads: 1_203_000,
        no_reply: 18,
        refused: 68_245,
        misses: Misses {
            total: 4120,
            never_stored: 1000,
            deleted: 3102,
            expired: 0,
            evicted: 18,
            evictions_needed: 18,
        },
        undecided_keys: 0,
        is_cut_short: false,
        violation_counts: if is_violated { vec![count] } else { Vec::new() },
        examples: if is_violated { vec![violation] } else { Vec::new() },
        longest_reply_us: 41_200,
        check_s: 1.42,
    });
    report
}

fn errors(count: u64) -> Vec<ErrorCount> {
    let line = "SERVER_ERROR throttled: ECPU limit exceeded".to_owned();
    if count == 0 { Vec::new() } else { vec![ErrorCount { line, count }] }
}

fn totals(timeline: &[Second]) -> Totals {
    let sum = |field: fn(&Second) -> u64| -> u64 {
        timeline.iter().filter(|second| second.at_s >= 0.0).map(field).sum()
    };
    let (requests, replies, misses) = (sum(|s| s.requests), sum(|s| s.replies), sum(|s| s.misses));
    Totals {
        scheduled: requests,
        unsent: 0,
        requests,
        replies,
        replies_in_time: replies,
        lost: 0,
        errors: sum(|s| s.errors),
        hits: replies * 9 / 10 - misses,
        misses,
        bytes_sent: replies * 52,
        bytes_received: replies * 241,
        connections: 50,
        resumed: 49,
    }
}

/// The latency of `count` replies at `nines` nines: flat, then with a tail.
fn curve(nines: f64, quiet_us: f64, spread: f64) -> f64 {
    let tail = (nines - 0.8).max(0.0);
    quiet_us * (0.8 + 0.35 * nines + 0.9 * spread * tail * tail)
}

fn scaled(count: u64, quiet_us: f64, spread: f64) -> Latency {
    Latency {
        count,
        min_us: quiet_us * 0.4,
        mean_us: quiet_us * 1.1,
        p50_us: curve(0.3, quiet_us, spread.sqrt()),
        p90_us: curve(1.0, quiet_us, spread),
        p99_us: curve(2.0, quiet_us, spread),
        p999_us: curve(3.0, quiet_us, spread),
        p9999_us: curve(4.0, quiet_us, spread),
        max_us: curve(5.0, quiet_us, spread),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates of a sample are small and positive"
)]
fn whole(x: f64) -> u64 {
    x as u64
}
