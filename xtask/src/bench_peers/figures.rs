use super::load::{Comparison, Run};
use super::measure::Measure;

/// A figure or a ratio over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The median, but for what grows only once.
    pub value: f64,
    /// Whether it is from runs that are believed. A latency of which no run is believed is drawn
    /// from all: what spoilt them spoilt those of the other servers of the round alike, or nearly.
    pub is_believed: bool,
}

impl Comparison {
    /// The place of the endpoint of this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.endpoints.iter().position(|it| it.endpoint.name == name)
    }

    /// What an endpoint measured, in the unit of the JSON.
    pub fn measured(&self, endpoint: usize, measure: Measure) -> Option<Drawn> {
        match measure {
            Measure::IdleConnection => self.most(endpoint, measure.figure()),
            Measure::CpuPerRequest | Measure::CpuPerKey => {
                self.median(endpoint, measure.figure()).map(believed)
            }
            Measure::P50 | Measure::P99 | Measure::P999 => {
                let of = |is_in: &dyn Fn(&Run) -> bool| {
                    let runs = self.counted(endpoint).filter(|run| is_in(run));
                    runs.filter_map(|run| run.figures.get(measure.figure()).copied()).collect()
                };
                first_of([of(&is_believed), of(&|_| true)])
            }
        }
    }

    /// How an endpoint stands to another: the median of the ratios within the rounds, whose runs
    /// are close in time.
    pub fn ratio(&self, endpoint: usize, to: usize, measure: Measure) -> Option<Drawn> {
        let name = measure.figure();
        if measure == Measure::IdleConnection {
            let (own, other) = (self.most(endpoint, name)?, self.most(to, name)?);
            return quotient(own.value, other.value).map(believed);
        }
        let pairs = |is_in: &dyn Fn(&Run) -> bool| {
            let pair = |run: &Run| {
                let other = self.counted(to).find(|it| it.round == run.round && is_in(it))?;
                quotient(*run.figures.get(name)?, *other.figures.get(name)?)
            };
            let runs = self.counted(endpoint).filter(|run| is_in(run));
            runs.filter_map(pair).collect::<Vec<_>>()
        };
        if measure.is_latency() {
            first_of([pairs(&is_believed), pairs(&|_| true)])
        } else {
            median(pairs(&|_| true)).map(believed)
        }
    }

    /// How many runs of an endpoint count, how many of them have a latency that is not believed,
    /// and why the first has not.
    pub fn distrust(&self, endpoint: usize) -> (usize, usize, Option<&str>) {
        let spoilt = || self.counted(endpoint).filter(|run| !is_believed(run));
        let why = spoilt().find_map(|run| run.distrust.first().map(String::as_str));
        (self.counted(endpoint).count(), spoilt().count(), why)
    }

    /// The median of what a late generator does not spoil.
    pub fn median(&self, endpoint: usize, name: &str) -> Option<f64> {
        median(self.values(endpoint, name))
    }

    /// Memory that a connection of an earlier round has left to the next grows no second time, so
    /// that the most is what it costs.
    fn most(&self, endpoint: usize, name: &str) -> Option<Drawn> {
        self.values(endpoint, name).into_iter().reduce(f64::max).map(believed)
    }

    fn values(&self, endpoint: usize, name: &str) -> Vec<f64> {
        self.counted(endpoint).filter_map(|run| run.figures.get(name).copied()).collect()
    }

    fn counted(&self, endpoint: usize) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.is_counted && run.endpoint == endpoint)
    }
}

fn is_believed(run: &Run) -> bool {
    run.distrust.is_empty()
}

const fn believed(value: f64) -> Drawn {
    Drawn { value, is_believed: true }
}

/// The median of what is believed, else that of all.
fn first_of([of_believed, of_all]: [Vec<f64>; 2]) -> Option<Drawn> {
    let drawn = |value, is_believed| Drawn { value, is_believed };
    let of_believed = median(of_believed).map(|value| drawn(value, true));
    of_believed.or_else(|| median(of_all).map(|value| drawn(value, false)))
}

/// The middle, or the mean of the two middle ones; `None` of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let is_odd = values.len() % 2 == 1;
    Some(if is_odd { upper } else { f64::midpoint(values[middle - 1], upper) })
}

fn quotient(of: f64, to: f64) -> Option<f64> {
    (to > 0.0).then(|| of / to)
}
