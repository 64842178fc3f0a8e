//! What a load test saw of a fleet.

use std::process::Command;
use std::thread;
use std::time::Duration;

use memtide_testkit::{Fleet, Loading, Verdict};
use serde::Serialize;
use serde_json::Value;

use super::Arguments;

/// Bytes of a value; with its key and what an item costs, 1 KB is a little more.
pub const VALUE_BYTES: u32 = 1024;

/// A stretch of time under load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// How long it was.
    pub seconds: f64,
    /// Requests that were written.
    pub requests: u64,
    /// Error replies, broken connections, and requests without a reply.
    pub errors: u64,
    /// Of the keys asked for, those that were there.
    pub hit_ratio: f64,
    /// Half of the replies came within this since they were due.
    pub p50_us: f64,
    /// 99% did.
    pub p99_us: f64,
    /// 99.9% did.
    pub p999_us: f64,
    /// All did.
    pub max_us: f64,
    /// Whether the generator was in time for it.
    pub is_believed: bool,
}

/// As fast as it is taken.
pub const FAST: [&str; 2] = ["--pipeline", "16"];

/// The words of a load that fits what [`fill`] has stored.
fn words(arguments: &Arguments) -> Vec<String> {
    let keys = u64::from(arguments.mib) * 1024 * 1024 / u64::from(VALUE_BYTES);
    let words = ["--mix", "get=90,set=10", "--seed", "1", "--value-size"];
    let words = words.into_iter().map(str::to_owned);
    words.chain([VALUE_BYTES.to_string(), "--keys".to_owned(), keys.to_string()]).collect()
}

/// Stores every key once.
///
/// # Panics
/// When the load does not begin.
pub fn fill(fleet: &Fleet, arguments: &Arguments) {
    fill_with(fleet, arguments, &FAST);
}

/// The same with other words than [`FAST`].
///
/// # Panics
/// As [`fill`].
pub fn fill_with(fleet: &Fleet, arguments: &Arguments, more: &[&str]) {
    let mut words = words(arguments);
    words.extend(["--fill", "--warmup", "0"].map(str::to_owned));
    words.extend(more.iter().map(|&word| word.to_owned()));
    // It is asked for replies once everything is stored.
    let loading = start(fleet, words);
    drop(loading.finish());
}

/// Loads a fleet at the rate for as long as `meanwhile` takes.
///
/// # Panics
/// When the load does not begin, or gives no result.
pub fn during<R>(fleet: &Fleet, arguments: &Arguments, meanwhile: impl FnOnce() -> R) -> (R, Seen) {
    let (done, verdict) = told_during(fleet, arguments, meanwhile);
    (done, seen(&verdict))
}

/// The same, with all that the load test tells.
///
/// # Panics
/// As [`during`].
pub fn told_during<R>(
    fleet: &Fleet,
    arguments: &Arguments,
    meanwhile: impl FnOnce() -> R,
) -> (R, Verdict) {
    let mut words = words(arguments);
    words.extend(["--warmup", "1s", "--rate"].map(str::to_owned));
    words.push(arguments.rate.clone());
    let loading = start(fleet, words);
    let done = meanwhile();
    (done, loading.finish())
}

/// The same while nothing else happens.
///
/// # Panics
/// As [`during`].
pub fn alone(fleet: &Fleet, arguments: &Arguments) -> Seen {
    let time = Duration::from_secs(u64::from(arguments.seconds));
    during(fleet, arguments, || thread::sleep(time)).1
}

/// Begins a load test with these words.
///
/// # Panics
/// When it does not begin.
pub fn start(fleet: &Fleet, words: Vec<String>) -> Loading {
    let endpoint = format!("localhost:{}", fleet.memtide().address().port());
    Loading::start(Command::new(fleet.program()), &endpoint, fleet.memtide().ca_file(), words)
}

/// What the report of a load test says.
pub fn seen(verdict: &Verdict) -> Seen {
    let json = &verdict.json;
    let latency = json.get("latency").or_else(|| json.get("untrusted_latency"));
    let micros = |name: &str| latency.and_then(|it| it[name].as_f64()).unwrap_or(f64::NAN);
    let count = |path: &str| verdict.count(path);
    let troubles = json["troubles"].as_array().into_iter().flatten();
    let troubles: u64 = troubles.filter_map(|it| it["count"].as_u64()).sum();
    let (hits, misses) = (count("totals/hits"), count("totals/misses"));
    Seen {
        seconds: json["measured_s"].as_f64().unwrap_or(f64::NAN),
        requests: count("totals/requests"),
        errors: count("totals/errors") + count("totals/lost") + troubles,
        hit_ratio: ratio(hits, hits + misses),
        p50_us: micros("p50_us"),
        p99_us: micros("p99_us"),
        p999_us: micros("p999_us"),
        max_us: micros("max_us"),
        is_believed: json["distrust"].as_array().is_some_and(Vec::is_empty),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A whole number at this path; 0 where there is none.
pub fn number(json: &Value, path: &str) -> u64 {
    json.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}
