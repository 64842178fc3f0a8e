//! The words of the live display, and how often a plain line is due.

use crate::report::{Second, format};

/// Seconds that are told together.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    seconds: u64,
    begin_s: f64,
    end_s: f64,
    length_s: f64,
    target_rate: Option<f64>,
    replies: u64,
    errors: u64,
    resets: u64,
    /// The highest of the seconds' medians: the median of all is not above it.
    p50_us: f64,
    /// The same for the 99th percentile.
    p99_us: f64,
    has_latency: bool,
    is_late: bool,
}

impl Span {
    /// Takes a second in, later than those before.
    pub(super) fn add(&mut self, second: &Second) {
        if self.seconds == 0 {
            self.begin_s = second.at_s;
        }
        self.seconds += 1;
        self.end_s = second.at_s + second.length_s;
        self.length_s += second.length_s;
        self.target_rate = second.target_rate;
        self.replies += second.replies;
        self.errors += second.errors;
        self.resets += second.resets;
        self.has_latency |= second.latency.count > 0;
        self.p50_us = self.p50_us.max(second.latency.p50_us);
        self.p99_us = self.p99_us.max(second.latency.p99_us);
        self.is_late |= !second.is_trusted;
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.seconds == 0
    }

    /// When its last second ended, since the measured part began.
    pub(super) fn end_s(&self) -> f64 {
        self.end_s
    }

    /// The part of the run in which its first second lies.
    pub(super) fn phase(&self) -> &'static str {
        if self.begin_s < -0.001 { "warm-up" } else { "measuring" }
    }

    fn rate(&self) -> f64 {
        if self.length_s > 0.0 { self.replies as f64 / self.length_s } else { 0.0 }
    }
}

/// What went wrong since the display began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    errors: u64,
    resets: u64,
}

impl Failures {
    /// Takes a second in.
    pub(super) fn add(&mut self, second: &Second) {
        self.errors += second.errors;
        self.resets += second.resets;
    }
}

/// When plain lines are due: each second of the first ten and of runs up to 30 s, then every 5 s up
/// to a minute, every 10 s up to ten minutes, and every minute.
#[derive(Debug)]
pub(super) struct Cadence {
    total_s: f64,
    due_s: f64,
}

impl Cadence {
    /// The cadence of a run of `total_s`.
    pub(super) fn new(total_s: f64) -> Self {
        Self { total_s, due_s: f64::NEG_INFINITY }
    }

    /// Whether a line is due at `now_s` since the measured part began; it then counts as told.
    pub(super) fn is_due(&mut self, now_s: f64) -> bool {
        let now_s = now_s.round();
        if now_s < self.due_s {
            return false;
        }
        let step_s = match now_s {
            _ if self.total_s <= 30.0 => 1.0,
            s if s < 10.0 => 1.0,
            s if s < 60.0 => 5.0,
            s if s < 600.0 => 10.0,
            _ => 60.0,
        };
        self.due_s = ((now_s / step_s).floor() + 1.0) * step_s;
        true
    }
}

/// A plain line. Where it tells several seconds, the latencies are bounds: the worst second's.
pub(super) fn line(span: &Span, total_s: f64) -> String {
    let mut out = format!(
        "loadtest {} {:.0}s/{:.0}s rate={:.0}/s",
        span.phase(),
        span.end_s,
        total_s,
        span.rate()
    );
    if let Some(target) = span.target_rate {
        out.push_str(&format!(" target={target:.0}/s"));
    }
    if span.is_late {
        out.push_str(" latency=unknown(generator late)");
    } else if span.has_latency {
        let is = if span.seconds > 1 { "<=" } else { "=" };
        let (p50, p99) = (together(span.p50_us), together(span.p99_us));
        out.push_str(&format!(" p50{is}{p50} p99{is}{p99}"));
    } else {
        out.push_str(" latency=none");
    }
    out.push_str(&format!(" errors={} resets={}", span.errors, span.resets));
    out
}

/// What stands beside the bar of a terminal, in 67 characters as long as nothing goes wrong: the
/// second's rate and latency, and what went wrong so far.
pub(super) fn message(span: &Span, total_s: f64, so_far: Failures) -> String {
    let mut out = format!("{:.0}/{total_s:.0} s {}", span.end_s, format::short_rate(span.rate()));
    if let Some(target) = span.target_rate {
        out.push_str(&format!(" of {}", format::short_rate(target)));
    }
    if span.is_late {
        out.push_str("  generator late: no latency");
    } else if span.has_latency {
        let (p50, p99) = (together(span.p50_us), together(span.p99_us));
        out.push_str(&format!("  p50 {p50} p99 {p99}"));
    }
    let (errors, resets) = (format::count(so_far.errors), format::count(so_far.resets));
    out.push_str(&format!("  errors {errors} resets {resets}"));
    out
}

/// A plain line of the fill.
pub(super) fn fill_line(done: u64, keys: u64) -> String {
    format!("loadtest fill keys={done}/{keys}")
}

/// What stands beside the bar during the fill.
pub(super) fn fill_message(done: u64, keys: u64) -> String {
    format!("{} of {} keys", format::count(done), format::count(keys))
}

/// A line that tells a mark.
pub(super) fn note_line(text: &str) -> String {
    format!("loadtest mark {}", format::one_line(text))
}

/// A time without the blank before its unit.
fn together(us: f64) -> String {
    format::micros(us).replace(' ', "")
}
