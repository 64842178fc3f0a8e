//! What a request costs to make, without a connection: nanoseconds per `LoadTraffic::next` and
//! per draw, with `cargo run --release -p memtide-loadtest --example workload_cost`.
#![expect(clippy::print_stdout, reason = "it is run for what it prints")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use memtide_loadtest::arguments::WorkArguments;
use memtide_loadtest::drive::Traffic;
use memtide_loadtest::workload::{
    Arrivals, LoadSettings, LoadTraffic, Popularity, PopularitySampler, Profile, Spacing, rng,
};

const DRAWS: u32 = 5_000_000;

fn main() {
    for (popularity, keys) in [
        (Popularity::Uniform, 1_000_000),
        (Popularity::Zipf(0.99), 1_000_000),
        (Popularity::Zipf(1.2), 1_000_000),
        (Popularity::Zipf(0.99), 3_000_000_000),
    ] {
        let sampler = PopularitySampler::new(popularity, keys);
        let mut rng = rng(1, 1);
        measured(&format!("draw {popularity:?} of {keys}"), || {
            black_box(sampler.draw(&mut rng));
        });
    }
    for spacing in [Spacing::Poisson, Spacing::Uniform] {
        let profile = Profile::constant(1e6).expect("a rate above 0");
        let mut arrivals = Arrivals::new(&profile, spacing, 0, 1, 1);
        measured(&format!("arrival {spacing:?}"), || {
            black_box(arrivals.next());
        });
    }
    for (popularity, mix, shape) in [
        ("uniform", "get=1", None),
        ("uniform", "get=90,set=10", None),
        ("zipf:0.99", "get=1", None),
        ("zipf:0.99", "get=90,set=10", None),
        ("zipf:1.2", "get=80,set=20", Some("twitter")),
        ("zipf:0.99", "get=30,set=1", Some("facebook")),
    ] {
        let work = WorkArguments {
            keys: Some("1M".to_owned()),
            popularity: Some(popularity.to_owned()),
            mix: Some(mix.to_owned()),
            shape: shape.map(str::to_owned),
            ..WorkArguments::default()
        };
        let settings = Arc::new(LoadSettings::resolve(&work).expect("flags that make sense"));
        let mut traffic = LoadTraffic::new(settings, 0, 1, 1);
        let mut out = Vec::with_capacity(2 << 20);
        measured(&format!("next {mix} {popularity} {}", shape.unwrap_or("")), || {
            out.clear();
            black_box(traffic.next(0, 0, &mut out));
        });
    }
}

fn measured(what: &str, mut work: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let began = Instant::now();
        for _ in 0..DRAWS {
            work();
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(DRAWS));
    }
    println!("{best:7.1} ns  {what}");
}
