//! Whether a latency says something of the endpoint, or of a generator that was late itself.
//!
//! A request that is written late because the generator was busy, and a reply that waits in the
//! socket for it, lengthen the latency by the generator's own delay. Both are seen in how late
//! it comes to requests that are due (its lag), in how little it waits (how busy it is), and in
//! how long it could run and had no core (how starved it is). docs/benchmarks.md tells the rule.

use crate::measure::Counts;
use crate::report::format::micros;
use crate::report::{Latency, Second};

/// A thread that waits less than this part of its time is the bottleneck, or nearly.
const BUSY_MAX: f64 = 0.95;
/// A thread that has no core for this part of its time measures the other processes here.
const STARVED_MAX: f64 = 0.2;
/// A lag that is lost in the noise of any network, in microseconds.
const LAG_P99_US_MIN: f64 = 250.0;
/// As large a part of the latency's 99th percentile may be the generator's lag.
const LAG_PART_MAX: f64 = 0.25;
/// As many of the seconds may be spoilt.
const SPOILT_SECONDS_MAX: f64 = 0.1;
/// As many of the requests that were due may go unsent, because all connections were busy.
const UNSENT_MAX: f64 = 0.001;

/// Whether the latency of this second is to be believed.
pub(super) fn is_second_trusted(second: &Second, is_open_loop: bool) -> bool {
    if second.generator_busy > BUSY_MAX || second.waited_for_core > STARVED_MAX {
        return false;
    }
    !is_open_loop || !is_lag_large(second.lag_p99_us, second.latency.p99_us)
}

fn is_lag_large(lag_p99_us: f64, latency_p99_us: f64) -> bool {
    lag_p99_us > LAG_P99_US_MIN.max(latency_p99_us * LAG_PART_MAX)
}

/// Why the latencies of the run are not to be believed; nothing where they are.
pub(super) fn distrust(
    measured: &[&Second],
    counts: &Counts,
    lag: &Latency,
    latency: &Latency,
    is_open_loop: bool,
) -> Vec<String> {
    let mut reasons = Vec::new();
    let part = |matches: &dyn Fn(&Second) -> bool| {
        let count = measured.iter().filter(|second| matches(second)).count();
        super::collect::ratio(count as u64, measured.len() as u64)
    };
    let busy = part(&|second| second.generator_busy > BUSY_MAX);
    if busy > SPOILT_SECONDS_MAX {
        reasons.push(format!(
            "the generator was saturated in {:.0}% of the seconds: it, not the endpoint, set the \
             pace; give it more --threads or a machine of its own, or a lower --rate",
            busy * 100.0
        ));
    }
    let starved = part(&|second| second.waited_for_core > STARVED_MAX);
    if starved > SPOILT_SECONDS_MAX {
        reasons.push(format!(
            "the generator had no core to run on for more than {:.0}% of the time in {:.0}% of the \
             seconds: other processes here took them; give it a core of its own",
            STARVED_MAX * 100.0,
            starved * 100.0
        ));
    }
    if !is_open_loop {
        return reasons;
    }
    if is_lag_large(lag.p99_us, latency.p99_us) {
        reasons.push(format!(
            "the generator fell behind its schedule: 1% of the requests were written {} late or \
             later though a connection was free, which is too much beside a p99 of {}; give it a \
             core of its own{}",
            micros(lag.p99_us),
            micros(latency.p99_us),
            if busy > 0.0 { ", or more --threads" } else { "" }
        ));
    }
    let unsent = counts.unsent;
    if super::collect::ratio(unsent, counts.scheduled) > UNSENT_MAX {
        reasons.push(format!(
            "{unsent} of {} requests that were due were never sent, as every connection was \
             waiting: the endpoint did not keep up with the rate",
            counts.scheduled
        ));
    }
    reasons
}

/// What is to be kept in mind of latencies that are to be believed otherwise.
pub(super) fn cautions(
    counts: &Counts,
    lag: &Latency,
    latency: &Latency,
    is_open_loop: bool,
) -> Vec<String> {
    let mut cautions = Vec::new();
    if is_open_loop {
        let tails = [
            ("p99.9", lag.p999_us, latency.p999_us),
            ("p99.99", lag.p9999_us, latency.p9999_us),
            ("max", lag.max_us, latency.max_us),
        ];
        if let Some((name, lag_us, _)) = tails.iter().find(|(_, lag, it)| is_lag_large(*lag, *it)) {
            cautions.push(format!(
                "from {name} on the latency may be the generator's own: its lag there is {}",
                micros(*lag_us)
            ));
        }
    }
    if counts.lost > 0 {
        cautions.push(format!("{} requests without a reply are in no percentile", counts.lost));
    }
    cautions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(busy: f64, lag_p99_us: f64, p99_us: f64) -> Second {
        let latency = Latency { p99_us, ..Latency::default() };
        Second { generator_busy: busy, lag_p99_us, latency, ..Second::default() }
    }

    #[test]
    fn a_second_is_believed_while_the_generator_is_in_time() {
        for (second, is_open_loop, expected) in [
            (second(0.5, 100.0, 200.0), true, true),
            (second(0.97, 10.0, 200.0), true, false),
            (second(0.97, 0.0, 200.0), false, false),
            (second(0.5, 300.0, 400.0), true, false),
            (second(0.5, 300.0, 400.0), false, true),
            (second(0.5, 300.0, 5_000.0), true, true),
        ] {
            assert_eq!(is_second_trusted(&second, is_open_loop), expected, "{second:?}");
        }
        let starved = Second { waited_for_core: 0.3, ..second(0.5, 10.0, 200.0) };
        assert!(!is_second_trusted(&starved, false) && !is_second_trusted(&starved, true));
    }

    #[test]
    fn cautions_name_the_tail_that_may_be_ours_and_what_is_missing() {
        let latency = |p999_us, max_us| Latency { p999_us, max_us, ..Latency::default() };
        let counts = |lost| Counts { lost, ..Counts::default() };
        let all = |counts, lag, latency| cautions(&counts, &lag, &latency, true);
        assert!(all(counts(0), latency(100.0, 900.0), latency(500.0, 9_000.0)).is_empty());
        let of_tail = all(counts(0), latency(100.0, 900.0), latency(500.0, 1_000.0));
        assert_eq!(of_tail.len(), 1);
        assert!(of_tail[0].starts_with("from max on"), "{of_tail:?}");
        let lost = all(counts(7), latency(0.0, 0.0), latency(1.0, 1.0));
        assert_eq!(lost, ["7 requests without a reply are in no percentile"]);
    }

    #[test]
    fn a_run_says_why_it_is_not_believed() {
        let check = |seconds: &[Second], counts: Counts, expected: &[&str]| {
            let seconds: Vec<_> = seconds.iter().collect();
            let lag = Latency { p99_us: seconds[0].lag_p99_us, ..Latency::default() };
            let reasons = distrust(&seconds, &counts, &lag, &seconds[0].latency, true);
            assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
            for (reason, expected) in reasons.iter().zip(expected) {
                assert!(reason.contains(expected), "{reason}");
            }
        };
        let counts = |scheduled, unsent| Counts { scheduled, unsent, ..Counts::default() };
        let good = second(0.5, 50.0, 200.0);
        check(std::slice::from_ref(&good), counts(1000, 0), &[]);
        check(std::slice::from_ref(&good), counts(1000, 2), &["2 of 1000 requests that were due"]);
        check(&[second(1.0, 50.0, 200.0)], counts(1, 0), &["saturated in 100%"]);
        check(&[second(0.5, 900.0, 1000.0)], counts(1, 0), &["fell behind its schedule"]);
        let starved = Second { waited_for_core: 0.3, ..good.clone() };
        check(&[starved], counts(1, 0), &["had no core to run on"]);
        let mut many = vec![good; 30];
        many.push(second(1.0, 50.0, 200.0));
        check(&many, counts(1, 0), &[]);
    }
}
