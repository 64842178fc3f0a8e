use std::path::Path;

use memtide_testkit::{Verdict, Verifying};
use serde::Serialize;

use super::super::{Arguments, Seen, load};
use super::curve::Curve;
use super::watch::{Watch, now_ms, seconds};
use super::{start, wait_small};
use crate::tell;

/// Seconds that what is stored lives: longer than it takes to store it and to move it.
const TTL_S: u64 = 90;
/// Less is in no need of more nodes than there are at the start.
const MIB_MIN: u32 = 64;
/// A few keys of its own, whose history is checked.
const VERIFYING: [&str; 8] =
    ["--rate", "1k", "--connections", "8", "--pipeline", "4", "--keys", "1000"];

/// Data that came and went, with a copy of each slot.
#[derive(Debug, Serialize)]
pub struct Data {
    /// Mebibytes of values that came; each is held twice.
    pub mib: u32,
    /// How long it took to store them.
    pub filled_s: f64,
    /// From the first key on until there were twice as many nodes, with all slots where they belong.
    pub doubled_s: f64,
    /// From the last key on until nothing was under way any more.
    pub settled_s: f64,
    /// Nodes at most.
    pub nodes: usize,
    /// From when the last key had expired until there were as few nodes as at the start.
    pub back_s: f64,
    /// Items that were evicted, first by the fill and then.
    pub evicted: (u64, u64),
    /// Violations of consistency, and keys that could not be decided.
    pub violations: u64,
    /// The longest that any of its requests waited.
    pub longest_reply_ms: u64,
    /// What the load saw that was checked.
    pub load: Seen,
}

/// Stores half of what there is, waits until it has expired and the fleet is small again.
///
/// # Panics
/// Where the fleet does not do it.
pub fn measure(memtide: &Path, arguments: &Arguments) -> (Data, Curve) {
    let mib = arguments.mib.max(MIB_MIN);
    let half = Arguments { mib: mib / 2, ..arguments.clone() };
    // An eighth of it is for a node: two of them have room for less than all the data and its copies.
    let fleet = start(memtide, 4 * mib, 1, "20s");
    let (watch, mut curve) = (Watch::start(&fleet), Curve::default());
    let before = wait_small(&watch);
    let verifying = Verifying::start(fleet.program(), fleet.memtide(), VERIFYING);
    verifying.wait_answered(2_000);
    tell(&format!("storing {} MiB with a replica each, for {TTL_S} s", half.mib));
    let began_ms = now_ms();
    let ttl = TTL_S.to_string();
    load::fill_with(&fleet, &half, &[&load::FAST[..], &["--ttl", &ttl]].concat());
    let filled_ms = now_ms();
    let settled = watch.wait("the fleet has settled", |it| {
        it.nodes >= 2 * before.nodes && it.is_settled() && it.at_ms > filled_ms + 1_500
    });
    let gone_ms = filled_ms + TTL_S * 1_000;
    let small = wait_small(&watch);
    verifying.wait_answered(2_000);
    let verdict = verifying.finish();
    curve.add(&verdict);
    curve.mark(began_ms, "data comes");
    curve.mark(filled_ms, "all stored");
    curve.mark(settled.at_ms, "all moved");
    curve.mark(gone_ms, "all expired");
    curve.mark(small.at_ms, "as before");
    let samples = watch.finish();
    let after = |ms: u64| samples.iter().filter(move |it| it.at_ms > ms);
    let doubled = after(began_ms).find(|it| it.nodes >= 2 * before.nodes && it.remaining == 0);
    let nodes = samples.iter().map(|it| it.nodes).max();
    // Nodes say each second what they have evicted.
    let filled = after(filled_ms + 1_500).next().map_or(0, |it| it.evicted);
    let data = Data {
        mib: half.mib,
        filled_s: seconds(began_ms, filled_ms),
        doubled_s: doubled.map_or(f64::NAN, |it| seconds(began_ms, it.at_ms)),
        settled_s: seconds(filled_ms, settled.at_ms),
        nodes: nodes.unwrap_or_default(),
        back_s: seconds(gone_ms, small.at_ms),
        evicted: (filled, small.evicted.saturating_sub(filled)),
        violations: violations(&verdict),
        longest_reply_ms: load::number(&verdict.json, "/verdict/longest_reply_us") / 1_000,
        load: load::seen(&verdict),
    };
    tell(&format!("{:.1} s, and back in {:.1} s", data.doubled_s, data.back_s));
    curve.finish(&format!("{} MiB that come and expire, one replica", half.mib), samples);
    (data, curve)
}

/// Of consistency, and keys that could not be decided.
fn violations(verdict: &Verdict) -> u64 {
    let counts = verdict.json["verdict"]["violation_counts"].as_array();
    let counts = counts.into_iter().flatten().filter_map(|it| it["count"].as_u64());
    counts.sum::<u64>() + load::number(&verdict.json, "/verdict/undecided_keys")
}
