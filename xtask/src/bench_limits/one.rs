//! One proxy with its items in its own process.

use std::path::Path;
use std::thread;
use std::time::Duration;

use memtide_testkit::Memtide;
use serde::Serialize;

use super::Arguments;
use super::site::{Growth, SETTLING, load, set_limit};
use crate::tell;

/// What is asked, and what one of it costs.
struct Work {
    name: &'static str,
    words: &'static [&'static str],
    ecpus: u32,
}

const WORKS: [Work; 4] = [
    Work { name: "gets of 100 B", words: &["--mix", "get=100", "--keys", "2000"], ecpus: 1 },
    Work {
        name: "gets of 100 KB",
        words: &["--mix", "get=100", "--value-size", "100k", "--keys", "500"],
        ecpus: 98,
    },
    Work { name: "sets of 100 B", words: &["--mix", "set=100", "--keys", "2000"], ecpus: 1 },
    Work {
        name: "multigets of 10",
        words: &["--mix", "get=100", "--multiget", "10", "--keys", "2000"],
        ecpus: 10,
    },
];

/// One run.
#[derive(Debug, Serialize)]
pub struct Row {
    pub work: &'static str,
    /// Of the limit.
    pub offered: u32,
    /// ECPUs metered, of those that the limit gives in that time.
    pub delivered: f64,
    /// Commands refused a second.
    pub refused: f64,
    /// TLS handshakes a second.
    pub handshakes: f64,
}

/// Each work at twice and ten times the limit.
pub fn measure(program: &Path, arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for work in &WORKS {
        for offered in [2, 10] {
            tell(&format!("{} at {offered} times the limit", work.name));
            rows.push(run(program, arguments, (work, offered))?);
        }
    }
    Ok(rows)
}

fn run(
    program: &Path,
    arguments: &Arguments,
    (work, offered): (&Work, u32),
) -> anyhow::Result<Row> {
    let server = Memtide::builder(program).args(["--memory", "512m"]).start();
    let limit = arguments.limit;
    let rate = (limit * offered / work.ecpus).max(1).to_string();
    let words = ["--fill", "--warmup", "2s", "--connections", "200", "--rate", &rate];
    let loading = load(program, &server, words.into_iter().chain(work.words.iter().copied()));
    let max = ["--ecpu-per-second-max", &limit.to_string()];
    set_limit(program, server.admin_address(), max)?;
    thread::sleep(SETTLING);
    let time = Duration::from_secs(u64::from(arguments.seconds));
    let growth = Growth::during(&[server.admin_address()], time);
    drop(loading.finish());
    Ok(Row {
        work: work.name,
        offered,
        delivered: growth.delivered(f64::from(limit)),
        refused: growth.per_second("memtide_throttled_commands_total"),
        handshakes: growth.per_second("memtide_tls_handshakes_total"),
    })
}
