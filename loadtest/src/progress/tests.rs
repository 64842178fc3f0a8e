use super::line::{Cadence, Failures, Span, fill_line, line, message, note_line};
use super::millis;
use crate::report::{Latency, Second};

fn second(at_s: f64, p99_us: f64) -> Second {
    Second {
        at_s,
        length_s: 1.0,
        target_rate: Some(50_000.0),
        requests: 50_012,
        replies: 50_012,
        latency: Latency { count: 50_012, p50_us: 98.2, p99_us, ..Latency::default() },
        is_trusted: true,
        ..Second::default()
    }
}

fn span(seconds: &[Second]) -> Span {
    let mut span = Span::default();
    seconds.iter().for_each(|second| span.add(second));
    span
}

#[test]
fn a_line_tells_a_second_whole() {
    let told = line(&span(&[second(11.0, 1230.0)]), 60.0);
    assert_eq!(
        told,
        "loadtest measuring 12s/60s rate=50012/s target=50000/s p50=98.2us p99=1.23ms errors=0 resets=0 broken=0"
    );
}

#[test]
fn a_line_of_several_seconds_bounds_their_latency_and_adds_up_their_errors() {
    let mut seconds = [second(10.0, 400.0), second(11.0, 9000.0), second(12.0, 500.0)];
    seconds[1].replies = 20_012;
    (seconds[0].errors, seconds[1].errors, seconds[1].resets) = (3, 4, 2);
    (seconds[0].troubles, seconds[2].troubles) = (400, 50);
    let told = line(&span(&seconds), 60.0);
    assert_eq!(
        told,
        "loadtest measuring 13s/60s rate=40012/s target=50000/s p50<=98.2us p99<=9.00ms errors=7 resets=2 broken=450"
    );
}

#[test]
fn no_latency_is_told_while_the_generator_is_late() {
    let mut late = second(10.0, 400.0);
    late.is_trusted = false;
    let span = span(&[late, second(11.0, 400.0)]);
    for told in [line(&span, 60.0), message(&span, 60.0, Failures::default())] {
        assert!(told.contains("generator late"), "{told}");
        assert!(!told.contains("p99") && !told.contains("p50"), "{told}");
    }
}

#[test]
fn warm_up_and_closed_loop_are_told_as_such() {
    let mut first = second(-2.0, 400.0);
    first.target_rate = None;
    let told = line(&span(&[first]), 10.0);
    assert!(told.starts_with("loadtest warm-up 1s-left rate=50012/s p50="), "{told}");
}

#[test]
fn a_time_is_told_as_far_as_it_is_known() {
    let ends = |at_s: f64, total_s: f64| {
        let told = line(&span(&[second(at_s, 400.0)]), total_s);
        told.split(' ').take(3).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ends(-1.2, 10.0), "loadtest warm-up 0s-left");
    assert_eq!(ends(3.0, 2_592_000.0), "loadtest measuring 4s");
    assert_eq!(ends(-0.5, 0.5), "loadtest warm-up 0s-left");
    assert_eq!(ends(0.2, 1.5), "loadtest measuring 1.2s/1.5s");
}

#[test]
fn a_second_without_replies_has_no_latency() {
    let told = line(&span(&[Second { is_trusted: true, length_s: 1.0, ..Second::default() }]), 9.0);
    assert_eq!(told, "loadtest measuring 1s/9s rate=0/s latency=none errors=0 resets=0 broken=0");
}

#[test]
fn the_terminal_shows_the_second_and_what_went_wrong_so_far() {
    let mut seconds = [second(10.0, 400.0), second(11.0, 1230.0)];
    (seconds[0].errors, seconds[1].errors) = (1000, 234);
    let mut so_far = Failures::default();
    seconds.iter().for_each(|second| so_far.add(second));
    let told = message(&span(&seconds[1..]), 60.0, so_far);
    assert_eq!(told, "12s/60s 50k/s of 50k/s  p50 98.2us p99 1.23ms  errors 1.23k");
    assert!(told.len() <= 80 - 12, "{}", told.len());
    seconds[1].troubles = 450;
    so_far.add(&seconds[1]);
    let told = message(&span(&seconds[1..]), 60.0, so_far);
    assert_eq!(told, "12s/60s 50k/s of 50k/s  p99 1.23ms  errors 1.47k broken 450");
    seconds[1].is_trusted = false;
    let told = message(&span(&seconds[1..]), 3600.0, so_far);
    assert!(told.contains("generator late") && told.len() <= 80 - 12, "{told}");
}

fn told_at(total_s: f64, ends_s: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut cadence = Cadence::new(total_s);
    ends_s.filter(|end_s| cadence.is_due(*end_s)).collect()
}

#[test]
fn a_short_run_has_a_line_each_second() {
    let ends = || (-1..=30).map(f64::from);
    assert_eq!(told_at(30.0, ends()).len(), ends().count());
}

#[test]
fn a_long_run_has_fewer_lines_as_it_goes_on() {
    let told = told_at(3600.0, (-1..=3600).map(f64::from));
    let firsts: Vec<f64> = (-1..=10).map(f64::from).collect();
    assert_eq!(told[..12], firsts);
    assert_eq!(told[12..16], [15.0, 20.0, 25.0, 30.0]);
    assert!(told.windows(2).any(|pair| pair == [60.0, 70.0]));
    assert!(told.windows(2).any(|pair| pair == [600.0, 660.0]));
    assert_eq!(told.len(), 12 + 10 + 54 + 50);
}

#[test]
fn a_second_that_ends_late_delays_no_later_line() {
    let ends = [9.98, 10.99, 12.02, 16.7, 17.1, 19.98, 21.0, 24.96];
    assert_eq!(told_at(60.0, ends.into_iter()), [9.98, 16.7, 19.98, 24.96]);
}

#[test]
fn notes_and_fill_are_single_lines() {
    assert_eq!(note_line("kill\n-9"), "loadtest mark kill\\n-9");
    assert_eq!(fill_line(500, 1000), "loadtest fill keys=500/1000");
    assert_eq!((millis(-1.0), millis(1.5)), (0, 1500));
}
