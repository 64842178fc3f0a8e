use super::{Comparison, draw};
use crate::report::{Ended, Report};

/// An endpoint, from 0 as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointIndex(pub usize);

/// The order of runs: all endpoints in every round, forth in odd rounds and back in even ones, so
/// that what drifts (heat, neighbours, a filling cache) burdens all alike.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many endpoints.
    pub endpoints: usize,
    /// How many rounds.
    pub rounds: u32,
}

impl Rounds {
    /// The endpoints in the order of this round, from 1.
    pub fn order(&self, round: u32) -> impl Iterator<Item = EndpointIndex> + use<> {
        let last = self.endpoints.saturating_sub(1);
        let is_forth = round % 2 == 1;
        (0..self.endpoints).map(move |at| EndpointIndex(if is_forth { at } else { last - at }))
    }

    /// Makes all runs, each by `run_one` with its endpoint and round (from 1), and compares them.
    ///
    /// It stops after a run that was interrupted or failed, and before the next once
    /// `is_interrupted`; the comparison is then of what there is, and says so.
    ///
    /// # Errors
    /// That of a run in the first round: an endpoint that never answered is a mistake. One in a
    /// later round ends the comparison as [`Ended::Failed`].
    pub fn run(
        &self,
        is_interrupted: impl Fn() -> bool,
        mut run_one: impl FnMut(&EndpointIndex, u32) -> anyhow::Result<Report>,
    ) -> anyhow::Result<Comparison> {
        let mut runs = Vec::new();
        let mut ended = Ended::Completed;
        'rounds: for round in 1..=self.rounds {
            for endpoint in self.order(round) {
                if is_interrupted() {
                    ended = Ended::Interrupted;
                    break 'rounds;
                }
                match run_one(&endpoint, round) {
                    Ok(report) => {
                        let how = report.ended.clone();
                        runs.push((round, endpoint, report));
                        if let Some(why) = stops(how, round) {
                            ended = why;
                            break 'rounds;
                        }
                    }
                    Err(_) if is_interrupted() => {
                        ended = Ended::Interrupted;
                        break 'rounds;
                    }
                    Err(error) if round == 1 => return Err(error),
                    Err(error) => {
                        ended = Ended::Failed(format!("round {round}: {error:#}"));
                        break 'rounds;
                    }
                }
            }
        }
        Ok(draw::comparison(*self, ended, runs))
    }
}

/// Whether there is no point in another run after one that ended like this.
fn stops(how: Ended, round: u32) -> Option<Ended> {
    match how {
        Ended::Completed | Ended::TraceEnded => None,
        Ended::Interrupted => Some(Ended::Interrupted),
        Ended::Failed(why) => Some(Ended::Failed(format!("round {round}: {why}"))),
    }
}
