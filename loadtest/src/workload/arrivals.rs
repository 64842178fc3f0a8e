use std::str::FromStr;

use rand_distr::{Distribution, Exp1};
use thiserror::Error;

use super::profile::{NANOS_PER_SEC, Piece, Profile};
use super::random::{RunRng, rng, whole};
use crate::drive::Nanos;

/// How requests are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// As those of many users who know nothing of each other.
    Poisson,
    /// Evenly.
    Uniform,
}

/// What is no spacing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no spacing of requests: give poisson or uniform")]
pub struct SpacingError(String);

impl FromStr for Spacing {
    type Err = SpacingError;

    fn from_str(text: &str) -> Result<Self, SpacingError> {
        match text {
            "poisson" => Ok(Self::Poisson),
            "uniform" => Ok(Self::Uniform),
            _ => Err(SpacingError(text.to_owned())),
        }
    }
}

/// The times at which the requests of one thread are due by a profile: each of the threads takes
/// its part of the rate, and all together follow the profile exactly.
///
/// Arrivals are steps in expected requests (the integral of the rate, which runs straight between a
/// profile's points), turned into times by its inverse: steps of 1 are spaced uniformly, steps drawn
/// from the unit exponential distribution are a Poisson process whose rate is the profile's at every
/// moment. It ends where a profile ends with the rate 0.
#[derive(Clone, Debug)]
pub struct Arrivals {
    pieces: Vec<Piece>,
    /// Index of the piece of the last arrival.
    piece: usize,
    /// Expected requests of all threads from the piece's begin to the last arrival.
    passed: f64,
    /// Expected requests of all threads to go until the next one, where it is known ahead.
    first_gap: Option<f64>,
    threads: f64,
    rng: Option<RunRng>,
}

impl Arrivals {
    /// The arrivals of thread `thread` (from 0) of `threads`, with a seed for those of a Poisson
    /// process.
    ///
    /// # Panics
    /// When there is no such thread.
    #[must_use]
    pub fn new(profile: &Profile, spacing: Spacing, thread: u32, threads: u32, seed: u64) -> Self {
        assert!(thread < threads, "thread {thread} of {threads}");
        let (rng, first_gap) = match spacing {
            Spacing::Poisson => (Some(rng(seed, ARRIVALS_STREAM | u64::from(thread))), None),
            Spacing::Uniform => (None, Some(f64::from(thread))),
        };
        Self {
            pieces: profile.pieces().to_vec(),
            piece: 0,
            passed: 0.0,
            first_gap,
            threads: f64::from(threads),
            rng,
        }
    }

    /// Expected requests of all threads between two of this one's.
    fn gap(&mut self) -> f64 {
        if let Some(first) = self.first_gap.take() {
            return first;
        }
        let unit: f64 = match &mut self.rng {
            Some(rng) => Exp1.sample(rng),
            None => 1.0,
        };
        unit * self.threads
    }
}

/// Keeps the random numbers of arrivals apart from a thread's others.
const ARRIVALS_STREAM: u64 = 1 << 32;

impl Iterator for Arrivals {
    type Item = Nanos;

    fn next(&mut self) -> Option<Nanos> {
        self.passed += self.gap();
        loop {
            let piece = self.pieces.get(self.piece)?;
            let expected = piece.expected();
            if self.passed < expected {
                return Some(piece.from + whole(piece.seconds_to(self.passed) * NANOS_PER_SEC));
            }
            self.passed -= expected;
            self.piece += 1;
        }
    }
}

impl Piece {
    /// Expected requests in it.
    fn expected(&self) -> f64 {
        if self.length_s.is_infinite() {
            return if self.rate > 0.0 { f64::INFINITY } else { 0.0 };
        }
        (self.rate + self.slope * self.length_s / 2.0) * self.length_s
    }

    /// Seconds from its begin after which so many requests are expected: the root of
    /// rate t + slope t^2 / 2 = passed, in the form that loses no digits for small slopes.
    fn seconds_to(&self, passed: f64) -> f64 {
        if passed <= 0.0 {
            return 0.0;
        }
        let root = (self.rate * self.rate + 2.0 * self.slope * passed).max(0.0).sqrt();
        (2.0 * passed / (self.rate + root)).min(self.length_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn until(arrivals: Arrivals, end_s: u64) -> Vec<Nanos> {
        arrivals.take_while(|&at| at < end_s * SECOND).collect()
    }

    fn profile(text: &str) -> Profile {
        text.parse().expect("a profile")
    }

    #[test]
    fn uniform_arrivals_of_threads_interleave_evenly() {
        let profile = profile("0:1k");
        let mut all: Vec<Nanos> = (0..4)
            .flat_map(|thread| until(Arrivals::new(&profile, Spacing::Uniform, thread, 4, 0), 1))
            .collect();
        all.sort_unstable();
        let even: Vec<Nanos> = (0..1000).map(|number| number * 1_000_000).collect();
        assert!(all.iter().zip(&even).all(|(at, even)| at.abs_diff(*even) <= 1), "{all:?}");
        assert_eq!(all.len(), 1000);
    }

    /// A ramp's rate is found in each tenth of it, and neither steps nor pauses lose a request.
    #[test]
    fn uniform_arrivals_follow_ramps_steps_and_pauses() {
        let arrivals =
            Arrivals::new(&profile("0:0,10s:~1k,20s:0,25s:300,30s:~0"), Spacing::Uniform, 0, 1, 0);
        let times: Vec<Nanos> = arrivals.collect();
        let between = |from: u64, to: u64| {
            times.iter().filter(|&&at| (from * SECOND..to * SECOND).contains(&at)).count()
        };
        for second in 0..10 {
            let expected = 100 * usize::try_from(second).expect("small") + 50;
            assert!(between(second, second + 1).abs_diff(expected) <= 1, "second {second}");
        }
        assert!(between(10, 20).abs_diff(10_000) <= 1);
        assert_eq!(between(20, 25), 0);
        assert!(between(25, 30).abs_diff(750) <= 1);
        assert_eq!(between(30, 1000), 0);
        assert!(times.is_sorted());
    }

    #[test]
    fn poisson_arrivals_have_the_profiles_rate_at_every_moment() {
        let profile = profile("0:2k,10s:20k,20s:~2k,30s:5k");
        for seed in [1, 2, 3] {
            let times: Vec<Nanos> = (0..3)
                .flat_map(|thread| {
                    until(Arrivals::new(&profile, Spacing::Poisson, thread, 3, seed), 40)
                })
                .collect();
            for (from, to, expected) in [
                (0, 10, 20e3),
                (10, 12, 2.0 * 18.2e3),
                (12, 18, 6.0 * 11e3),
                (18, 20, 2.0 * 3.8e3),
                (20, 30, 20e3),
                (30, 40, 50e3),
            ] {
                let range = from * SECOND..to * SECOND;
                let count = times.iter().filter(|&at| range.contains(at)).count() as f64;
                let off = (count - expected).abs();
                assert!(off < 5.0 * f64::sqrt(expected), "seed {seed}, {from}-{to}: {count}");
            }
        }
    }

    /// Mean, variance and lag-1 correlation of the intervals of all threads together are those of
    /// the exponential distribution.
    #[test]
    fn poisson_intervals_are_exponential_and_independent() {
        let profile = profile("0:10k");
        for threads in [1, 4] {
            let mut times: Vec<Nanos> = (0..threads)
                .flat_map(|thread| {
                    until(Arrivals::new(&profile, Spacing::Poisson, thread, threads, 7), 30)
                })
                .collect();
            times.sort_unstable();
            let gaps: Vec<f64> =
                times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 / 100_000.0).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let moment = |lag: usize| {
                let pairs = gaps.iter().zip(&gaps[lag..]);
                pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / gaps.len() as f64
            };
            assert!((mean - 1.0).abs() < 0.01, "{threads}: mean {mean}");
            assert!((moment(0) - 1.0).abs() < 0.03, "{threads}: variance {}", moment(0));
            assert!(moment(1).abs() < 0.01, "{threads}: correlation {}", moment(1));
        }
    }

    #[test]
    fn a_seed_gives_the_same_arrivals_again_and_threads_differ() {
        let profile = profile("0:1k");
        let first = |thread, seed| {
            let arrivals = Arrivals::new(&profile, Spacing::Poisson, thread, 2, seed);
            arrivals.take(50).collect::<Vec<_>>()
        };
        assert_eq!(first(0, 5), first(0, 5));
        assert_ne!(first(0, 5), first(1, 5));
        assert_ne!(first(0, 5), first(0, 6));
    }

    #[test]
    fn a_day_at_a_high_rate_loses_no_precision() {
        let profile = profile("0:1M");
        let mut arrivals = Arrivals::new(&profile, Spacing::Uniform, 0, 1, 0);
        arrivals.passed = 86_400e6;
        arrivals.first_gap = None;
        let from = 86_400 * SECOND;
        for number in 1..100_u64 {
            let at = arrivals.next().expect("it does not end");
            assert!(at.abs_diff(from + number * 1000) <= 20, "{at}");
        }
    }

    #[test]
    fn spacings_have_names() {
        assert_eq!("poisson".parse(), Ok(Spacing::Poisson));
        assert_eq!("uniform".parse(), Ok(Spacing::Uniform));
        assert_eq!(
            "even".parse::<Spacing>().expect_err("none").to_string(),
            "\"even\" is no spacing of requests: give poisson or uniform"
        );
    }
}
