use std::str::FromStr;

use thiserror::Error;

use super::quantity::{self, QuantityError};
use crate::drive::Nanos;

pub(super) const NANOS_PER_SEC: f64 = 1e9;

/// Requests per second over time: constant between steps, or climbing evenly to one.
///
/// `0:10k,60s:200k,120s:20k` is 10,000 a second for the first minute, 200,000 in the second and
/// 20,000 from then on. `0:10k,60s:~200k` climbs from 10,000 to 200,000 over the first minute, and
/// stays there.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// At least one; the first at 0, their times not falling.
    steps: Vec<ProfileStep>,
    /// The pieces between the steps, and the one after the last, that has no end.
    pieces: Vec<Piece>,
}

/// A point of a profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProfileStep {
    /// When the rate is reached.
    pub at: Nanos,
    /// Requests per second from here on, up to the next step's climb.
    pub rate: f64,
    /// Whether the rate climbs or falls to it evenly from the step before.
    pub is_ramp: bool,
}

/// A time in which the rate runs straight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    pub from: Nanos,
    /// Seconds; infinite of the last.
    pub length_s: f64,
    /// Requests per second at its begin.
    pub rate: f64,
    /// Change of the rate per second.
    pub slope: f64,
}

/// What is no profile, with its faulty part.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProfileError {
    #[error("{0:?} is no step: give TIME:RATE or TIME:~RATE, as in 0:10k,60s:~200k")]
    #[expect(missing_docs, reason = "says it")]
    NoStep(String),
    #[error("in step {step:?}, {problem}")]
    #[expect(missing_docs, reason = "says it")]
    Quantity { step: String, problem: QuantityError },
    #[error("the first step, {0:?}, must be at 0 and no climb: 0:RATE")]
    #[expect(missing_docs, reason = "says it")]
    First(String),
    #[error("step {0:?} must come after the one before it")]
    #[expect(missing_docs, reason = "says it")]
    Order(String),
    #[error("all rates are 0: nothing would be asked")]
    #[expect(missing_docs, reason = "says it")]
    Nothing,
}

impl Profile {
    /// One rate for all time, in requests per second above 0.
    ///
    /// # Errors
    /// When it is 0.
    pub fn constant(rate: f64) -> Result<Self, ProfileError> {
        Self::of_steps(vec![ProfileStep { at: 0, rate, is_ramp: false }])
    }

    /// Requests per second at that time.
    #[must_use]
    pub fn rate_at(&self, at: Nanos) -> f64 {
        let after = self.pieces.partition_point(|piece| piece.from <= at);
        let piece = &self.pieces[after - 1];
        piece.rate + piece.slope * ((at - piece.from) as f64 / NANOS_PER_SEC)
    }

    /// The highest rate of all, in requests per second.
    #[must_use]
    pub fn peak_rate(&self) -> f64 {
        self.steps.iter().map(|step| step.rate).fold(0.0, f64::max)
    }

    /// Its steps in the order of time, the first at 0.
    #[must_use]
    pub fn steps(&self) -> &[ProfileStep] {
        &self.steps
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    fn of_steps(steps: Vec<ProfileStep>) -> Result<Self, ProfileError> {
        if steps.iter().all(|step| step.rate <= 0.0) {
            return Err(ProfileError::Nothing);
        }
        let mut pieces: Vec<Piece> = steps
            .windows(2)
            .filter(|pair| pair[0].at < pair[1].at)
            .map(|pair| {
                let length_s = (pair[1].at - pair[0].at) as f64 / NANOS_PER_SEC;
                let climb = if pair[1].is_ramp { pair[1].rate - pair[0].rate } else { 0.0 };
                Piece { from: pair[0].at, length_s, rate: pair[0].rate, slope: climb / length_s }
            })
            .collect();
        let last = steps[steps.len() - 1];
        let (length_s, slope) = (f64::INFINITY, 0.0);
        pieces.push(Piece { from: last.at, length_s, rate: last.rate, slope });
        Ok(Self { steps, pieces })
    }
}

impl ProfileStep {
    /// In a few words, for a mark: `rate 200k/s`, `ramp reaches 200k/s`.
    #[must_use]
    pub fn text(&self) -> String {
        let rate = quantity::rate_text(self.rate);
        if self.is_ramp { format!("ramp reaches {rate}/s") } else { format!("rate {rate}/s") }
    }
}

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let mut steps: Vec<ProfileStep> = Vec::new();
        for part in text.split(',') {
            let step = step(part)?;
            match steps.last() {
                None if step.at != 0 || step.is_ramp => {
                    return Err(ProfileError::First(part.to_owned()));
                }
                // A fall right at the end of a climb.
                Some(last) if last.at == step.at && last.is_ramp && !step.is_ramp => {}
                Some(last) if last.at >= step.at => {
                    return Err(ProfileError::Order(part.to_owned()));
                }
                _ => {}
            }
            steps.push(step);
        }
        Self::of_steps(steps)
    }
}

fn step(part: &str) -> Result<ProfileStep, ProfileError> {
    let (at, rate) = part.split_once(':').ok_or_else(|| ProfileError::NoStep(part.to_owned()))?;
    let in_step = |problem| ProfileError::Quantity { step: part.to_owned(), problem };
    let at = quantity::time(at).map_err(in_step)?;
    let (is_ramp, rate) = match rate.strip_prefix('~') {
        Some(rate) => (true, rate),
        None => (false, rate),
    };
    let rate = quantity::rate(rate).map_err(in_step)?;
    Ok(ProfileStep {
        at: Nanos::try_from(at.as_nanos()).expect("a time is read into 64 bits"),
        rate,
        is_ramp,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn steps_hold_and_ramps_climb_evenly() {
        let profile: Profile = "0:10k,60s:200k,2m:20k,130:~40k,130:0".parse().expect("a profile");
        for (at_s, rate) in [
            (0, 10e3),
            (59, 10e3),
            (60, 200e3),
            (119, 200e3),
            (120, 20e3),
            (125, 30e3),
            (130, 0.0),
            (1_000_000, 0.0),
        ] {
            assert_eq!(profile.rate_at(at_s * SECOND), rate, "{at_s}");
        }
        assert_eq!(profile.peak_rate(), 200e3);
        let texts: Vec<String> = profile.steps().iter().map(ProfileStep::text).collect();
        assert_eq!(
            texts,
            ["rate 10k/s", "rate 200k/s", "rate 20k/s", "ramp reaches 40k/s", "rate 0/s"]
        );
    }

    #[test]
    fn a_ramp_stays_where_it_ends() {
        let profile: Profile = "0:0,10s:~5".parse().expect("a profile");
        assert_eq!(profile.rate_at(5 * SECOND), 2.5);
        assert_eq!(profile.rate_at(50 * SECOND), 5.0);
    }

    #[test]
    fn a_malformed_profile_is_told_with_its_faulty_part() {
        for (text, told) in [
            ("", "\"\" is no step: give TIME:RATE or TIME:~RATE, as in 0:10k,60s:~200k"),
            ("10k", "\"10k\" is no step: give TIME:RATE or TIME:~RATE, as in 0:10k,60s:~200k"),
            ("0:10k,", "\"\" is no step: give TIME:RATE or TIME:~RATE, as in 0:10k,60s:~200k"),
            (
                "0:10k,1x:2k",
                "in step \"1x:2k\", \"1x\" is no time: give seconds, or a unit as in 500ms, 10s, \
                 2m, 1h",
            ),
            (
                "0:10k,1s:2x",
                "in step \"1s:2x\", \"2x\" is no rate: give requests per second, 500, 20k or 1.5M",
            ),
            ("1s:10k", "the first step, \"1s:10k\", must be at 0 and no climb: 0:RATE"),
            ("0:~10k", "the first step, \"0:~10k\", must be at 0 and no climb: 0:RATE"),
            ("0:1,60s:2,50s:3", "step \"50s:3\" must come after the one before it"),
            ("0:1,60s:2,60s:3", "step \"60s:3\" must come after the one before it"),
            ("0:0,60s:0", "all rates are 0: nothing would be asked"),
        ] {
            assert_eq!(text.parse::<Profile>().expect_err(text).to_string(), told);
        }
        assert!(Profile::constant(0.0).is_err());
    }
}
