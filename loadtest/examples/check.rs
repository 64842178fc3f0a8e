//! How fast histories are checked: `cargo run --release -p memtide-loadtest --example check --
//! [OPERATIONS] [KEYS] [THREADS] [SEED]
//! [LOST]`, where LOST of 1,000 operations get no reply.

use std::time::Instant;

use memtide_loadtest::verify::check;
use memtide_loadtest::verify::simulate::{Simulation, simulate};

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<u32>());
    let mut number = |default| numbers.next().unwrap_or(Ok(default));
    let (operations, keys) = (number(4_000_000)?, number(1_000)?);
    let (threads, seed, lost) = (number(2)?, number(1)?, number(0)?);
    let began = Instant::now();
    let history = simulate(&Simulation {
        seed: seed.into(),
        keys,
        workers: 200,
        operations,
        duration_max: 2_000_000,
        no_reply_rate: lost,
        eviction_rate: 2,
        ttl_rate: 20,
        ..Simulation::default()
    });
    println!("{} operations simulated in {:.2?}", history.len(), began.elapsed());
    let verdict = check(&[history], seed.into(), threads as usize);
    println!(
        "checked in {:.2} s on {threads} threads, {:.0} operations/s; clean: {}, undecided: {}",
        verdict.check_s,
        f64::from(operations) / verdict.check_s,
        verdict.is_clean(),
        verdict.undecided_keys
    );
    println!("{:?}", verdict.misses);
    Ok(())
}
