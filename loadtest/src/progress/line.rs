//! The words of the live display, and how often a plain line is due.

use crate::report::{Second, format};

/// A run of so many seconds goes on for as long as its trace has lines, which nobody knows: 30 days.
const UNKNOWN_S: f64 = 30.0 * 86_400.0;

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
    broken: u64,
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
        self.broken += second.troubles;
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
    broken: u64,
}

impl Failures {
    /// Takes a second in.
    pub(super) fn add(&mut self, second: &Second) {
        self.errors += second.errors;
        self.broken += second.troubles;
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
    let at = at(span, total_s);
    let mut out = format!("loadtest {} {at} rate={:.0}/s", span.phase(), span.rate());
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
    out.push_str(&format!(" errors={} resets={} broken={}", span.errors, span.resets, span.broken));
    out
}

/// How far the run is: what is left of the warm-up, `2s-left`; seconds of the measured part and,
/// where its length is known, of how many, `12s/60s`.
fn at(span: &Span, total_s: f64) -> String {
    if span.begin_s < -0.001 {
        return format!("{:.0}s-left", (-span.end_s).max(0.0));
    }
    // A short run has no whole seconds.
    let digits = if total_s < 5.0 && total_s.fract() > 0.001 { 1 } else { 0 };
    let end_s = span.end_s.max(0.0);
    if total_s >= UNKNOWN_S {
        return format!("{end_s:.0}s");
    }
    format!("{end_s:.digits$}s/{total_s:.digits$}s")
}

/// What stands beside the bar of a terminal, in 68 characters so that no line of 80 wraps: the
/// second's rate and latency, and what went wrong so far.
pub(super) fn message(span: &Span, total_s: f64, so_far: Failures) -> String {
    let mut out = format!("{} {}", at(span, total_s), format::short_rate(span.rate()));
    if let Some(target) = span.target_rate {
        out.push_str(&format!(" of {}", format::short_rate(target)));
    }
    if span.is_late {
        out.push_str("  generator late");
    } else if span.has_latency {
        let (p50, p99) = (together(span.p50_us), together(span.p99_us));
        // There is not room for everything at once.
        let p50 = if so_far.broken > 0 { String::new() } else { format!("p50 {p50} ") };
        out.push_str(&format!("  {p50}p99 {p99}"));
    }
    let [errors, broken] = [so_far.errors, so_far.broken].map(|n| format::short_count(n as f64));
    out.push_str(&format!("  errors {errors}"));
    if so_far.broken > 0 {
        out.push_str(&format!(" broken {broken}"));
    }
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
