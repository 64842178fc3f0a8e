//! From a figure to its place on an axis, and where an axis has its ticks.

/// A straight or logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
    is_log: bool,
}

impl Scale {
    /// A straight axis from `domain` to the coordinates in `range`.
    pub(super) fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range, is_log: false }
    }

    /// A logarithmic axis; `domain` is above 0.
    pub(super) fn log(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range, is_log: true }
    }

    /// Where `value` is; what lies outside the axis is at its nearer end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let of = |v: f64| if self.is_log { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let (low, high) = (of(self.domain.0), of(self.domain.1));
        let part = if high > low { (of(value) - low) / (high - low) } else { 0.0 };
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        self.range.0 + part * (self.range.1 - self.range.0)
    }

    /// The ends of the domain.
    pub(super) fn domain(&self) -> (f64, f64) {
        self.domain
    }

    /// The ends of the range.
    pub(super) fn range(&self) -> (f64, f64) {
        self.range
    }
}

/// From 0 to at least `max` in about `wanted` steps of 1, 2 or 5 times a power of ten.
pub(super) fn linear_ticks(max: f64, wanted: f64) -> Vec<f64> {
    let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
    let rough = max / wanted;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(power * 10.0);
    let mut ticks = vec![0.0];
    let mut index = 1.0;
    while ticks.last().is_some_and(|last| *last < max * 0.999) {
        ticks.push(index * step);
        index += 1.0;
    }
    ticks
}

/// Ticks that enclose `low ..= high`, both above 0: powers of ten, and 2 and 5 times them where
/// these are few.
pub(super) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let parts: &[f64] = if decades > 3.2 {
        &[1.0]
    } else if decades > 1.6 {
        &[1.0, 3.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut all = Vec::new();
    let mut power = 10f64.powf(low.log10().floor());
    while power <= high * 10.0 {
        all.extend(parts.iter().map(|part| part * power));
        power *= 10.0;
    }
    let begin = all.iter().rposition(|tick| *tick <= low * 1.001).unwrap_or(0);
    let end = all.iter().position(|tick| *tick >= high * 0.999).unwrap_or(all.len() - 1);
    all[begin..=end.max((begin + 1).min(all.len() - 1))].to_vec()
}

/// Ticks within `low ..= high` seconds, at most about `wanted`, at round times.
pub(super) fn time_ticks(low: f64, high: f64, wanted: f64) -> Vec<f64> {
    let step = round_seconds((high - low) / wanted);
    let mut tick = (low / step).ceil() * step;
    let mut ticks = Vec::new();
    while tick <= high + step * 1e-6 {
        ticks.push(if tick == 0.0 { 0.0 } else { tick });
        tick += step;
    }
    ticks
}

/// The shortest round length of time that is not below `at_least` seconds.
pub(super) fn round_seconds(at_least: f64) -> f64 {
    const ROUND: [f64; 16] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
        7200.0, 21600.0,
    ];
    let days = (at_least / 86_400.0).ceil() * 86_400.0;
    ROUND.into_iter().find(|step| *step >= at_least).unwrap_or(days)
}

/// A time on an axis that ends at `high` seconds: `90 s`, `12:30`, `2:15 h`.
pub(super) fn time_label(at_s: f64, high: f64) -> String {
    let sign = if at_s < 0.0 { "−" } else { "" };
    let whole = at_s.abs().round();
    if high <= 180.0 {
        return format!("{sign}{whole:.0} s");
    }
    let (minutes, seconds) = ((whole / 60.0).floor(), whole % 60.0);
    if high <= 7200.0 {
        return format!("{sign}{minutes:.0}:{seconds:02.0}");
    }
    format!("{sign}{:.0}:{:02.0} h", (minutes / 60.0).floor(), minutes % 60.0)
}

/// A moment, to a tenth of a second, in the words of an axis that ends at `high` seconds.
pub(super) fn moment_label(at_s: f64, high: f64) -> String {
    if high <= 180.0 {
        return format!("{at_s:.1} s").replacen('-', "−", 1);
    }
    let tenth = ((at_s.abs() - at_s.abs().floor()) * 10.0).floor();
    let whole = at_s.abs().floor().copysign(at_s);
    format!("{}.{tenth:.0}", time_label(whole, high.min(7200.0)))
}

/// How many nines a percentile has, -log10(1 - p): the place of a fraction on the percentile axis.
pub(super) fn nines(fraction: f64) -> f64 {
    if fraction >= 1.0 { f64::INFINITY } else { -(1.0 - fraction).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_axis_begins_at_0_and_encloses_its_figures() {
        assert_eq!(linear_ticks(52_000.0, 4.0), [0.0, 20_000.0, 40_000.0, 60_000.0]);
        assert_eq!(linear_ticks(1.0, 4.0), [0.0, 0.5, 1.0]);
        assert_eq!(linear_ticks(0.0, 4.0), linear_ticks(f64::NAN, 4.0));
    }

    #[test]
    fn a_logarithmic_axis_encloses_its_figures() {
        assert_eq!(log_ticks(50.0, 900.0), [50.0, 100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(log_ticks(45.0, 90_000.0), [10.0, 100.0, 1000.0, 10_000.0, 100_000.0]);
        let one_value = log_ticks(100.0, 100.0);
        assert!(one_value.len() >= 2 && one_value[0] <= 100.0, "{one_value:?}");
    }

    #[test]
    fn a_time_axis_has_round_times() {
        assert_eq!(time_ticks(-2.0, 60.0, 8.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(time_ticks(-2.0, 3600.0, 8.0).len(), 7);
        let labels = [-2.0, 90.0].map(|at| time_label(at, 180.0));
        assert_eq!(labels, ["−2 s", "90 s"]);
        assert_eq!(time_label(750.0, 3600.0), "12:30");
        assert_eq!(time_label(8100.0, 10_000.0), "2:15 h");
        assert_eq!(moment_label(12.42, 60.0), "12.4 s");
        assert_eq!(moment_label(-1.5, 60.0), "−1.5 s");
        assert_eq!(moment_label(119.96, 3600.0), "1:59.9");
        assert_eq!(moment_label(8100.0, 10_000.0), "135:00.0");
    }

    #[test]
    fn figures_outside_an_axis_are_at_its_ends() {
        let log = Scale::log((10.0, 1000.0), (100.0, 0.0));
        let at = [0.0, 10.0, 100.0, 1e6, f64::NAN].map(|v| log.at(v));
        assert_eq!(at, [100.0, 100.0, 50.0, 0.0, 100.0]);
    }
}
