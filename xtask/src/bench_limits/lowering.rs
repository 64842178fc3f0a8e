//! Requests while the limit of data is lowered under them.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use memtide_testkit::{Memtide, wait_until};
use serde::Serialize;

use super::Arguments;
use super::site::{Growth, load, set_limit};
use crate::bench_fleet::{Seen, seen};
use crate::tell;

/// Bytes that are stored at first, and left in the end.
const STORED: u64 = 512 << 20;
const LEFT: u64 = 64 << 20;
const VALUE_BYTES: u64 = 1_024;

/// One stretch of time.
#[derive(Debug, Serialize)]
pub struct Row {
    pub what: &'static str,
    pub seen: Seen,
    /// Items evicted a second.
    pub evicted: f64,
    /// From when the limit was lowered until no more was held, in seconds; 0 where it was not.
    pub took: f64,
}

/// Before, while it is lowered step by step, when it is at once, and after.
pub fn measure(program: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let server = Memtide::builder(program).args(["--memory", "1g"]).start();
    let time = Duration::from_secs(u64::from(arguments.seconds));
    let lower = |bytes: u64| {
        let bytes = bytes.to_string();
        set_limit(program, server.admin_address(), ["--data-storage-max", &bytes])
    };
    let rest = || -> anyhow::Result<f64> {
        thread::sleep(time);
        Ok(0.0)
    };
    let mut rows = Vec::new();
    let mut stretch = |what, run: &mut dyn FnMut() -> anyhow::Result<f64>| -> anyhow::Result<()> {
        tell(&format!("the limit of data: {what}"));
        rows.push(during(program, arguments, &server, (what, run))?);
        Ok(())
    };
    fill(program, &server);
    stretch("before", &mut || rest())?;
    stretch("lowered from 512 to 64 MiB in 20 steps", &mut || {
        for step in 1..=20 {
            lower(STORED - (STORED - LEFT) * step / 20)?;
            thread::sleep(time / 20);
        }
        Ok(0.0)
    })?;
    lower(0)?;
    fill(program, &server);
    stretch("lowered from 512 to 64 MiB at once", &mut || {
        let began = Instant::now();
        lower(LEFT)?;
        wait_until("the data to be evicted", 10 * time, || {
            let used = server.metrics().get("memtide_memory_used_bytes");
            (used <= Some(f64::from(64 << 20))).then_some(())
        });
        let took = began.elapsed();
        thread::sleep(time.saturating_sub(took));
        Ok(took.as_secs_f64())
    })?;
    stretch("after", &mut || rest())?;
    Ok(rows)
}

/// Stores every key once.
fn fill(program: &Path, server: &Memtide) {
    let words = words();
    let words = words.iter().map(String::as_str);
    let more = ["--fill", "--pipeline", "16", "--warmup", "0", "--rate", "100"];
    drop(load(program, server, words.chain(more)).finish());
}

fn words() -> Vec<String> {
    let keys = (STORED / VALUE_BYTES).to_string();
    let words = ["--mix", "get=90,set=10", "--value-size", "1024", "--keys", &keys];
    words.map(str::to_owned).to_vec()
}

fn during(
    program: &Path,
    arguments: &Arguments,
    server: &Memtide,
    (what, run): (&'static str, &mut dyn FnMut() -> anyhow::Result<f64>),
) -> anyhow::Result<Row> {
    let words = words();
    let words = words.iter().map(String::as_str);
    let loading = load(program, server, words.chain(["--rate", arguments.rate.as_str()]));
    let (growth, took) = Growth::while_running(&[server.admin_address()], run);
    let seen = seen(&loading.finish());
    Ok(Row { what, seen, evicted: growth.per_second("memtide_items_evicted_total"), took: took? })
}
