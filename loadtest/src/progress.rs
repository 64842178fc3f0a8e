//! What is seen of a run while it lasts: one line that changes on a terminal, elsewhere lines that
//! stay, each whole in itself: `loadtest measuring 12s/60s rate=50012/s target=50000/s p50=98us ...`

mod line;
#[cfg(test)]
mod tests;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::line::{Cadence, Failures, Span};
use crate::report::Second;

/// The live display of one run, on standard error.
#[derive(Debug)]
pub struct Progress {
    total_s: f64,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Terminal { bar: ProgressBar, so_far: Failures },
    Lines { cadence: Cadence, untold: Span, fill: Fill },
}

/// How far the fill came that plain lines tell of.
#[derive(Clone, Copy, Debug, Default)]
struct Fill {
    tenths: u64,
    /// Not all keys were stored when it was told last.
    is_underway: bool,
}

impl Progress {
    /// Begins the display of a run whose measured part takes `total`.
    #[must_use]
    pub fn new(total: Duration, is_terminal: bool) -> Self {
        let display = if is_terminal {
            Display::Terminal { bar: bar(total), so_far: Failures::default() }
        } else {
            let cadence = Cadence::new(total.as_secs_f64());
            Display::Lines { cadence, untold: Span::default(), fill: Fill::default() }
        };
        Self { total_s: total.as_secs_f64(), display }
    }

    /// `done` of `keys` keys are stored by `--fill`, before the warm-up. To be called as often as
    /// pleases: a plain line comes with every tenth.
    pub fn filling(&mut self, done: u64, keys: u64) {
        match &mut self.display {
            Display::Terminal { bar, .. } => {
                bar.set_prefix("fill");
                bar.set_length(keys.max(1));
                bar.set_position(done);
                bar.set_message(line::fill_message(done, keys));
            }
            Display::Lines { fill, .. } => {
                let tenths = done * 10 / keys.max(1);
                fill.is_underway = done < keys;
                if tenths > fill.tenths {
                    fill.tenths = tenths;
                    tell(&line::fill_line(done, keys));
                }
            }
        }
    }

    /// A second of the run is over.
    pub fn second(&mut self, second: &Second) {
        match &mut self.display {
            Display::Terminal { bar, so_far } => {
                so_far.add(second);
                let mut span = Span::default();
                span.add(second);
                bar.set_prefix(span.phase());
                bar.set_length(millis(self.total_s));
                bar.set_position(millis(span.end_s()));
                bar.set_message(line::message(&span, self.total_s, *so_far));
            }
            Display::Lines { cadence, untold, fill } => {
                untold.add(second);
                // The rest of a fill that was interrupted is no second of the run.
                if std::mem::take(&mut fill.is_underway) {
                    *untold = Span::default();
                    return;
                }
                if cadence.is_due(untold.end_s()) {
                    tell(&line::line(untold, self.total_s));
                    *untold = Span::default();
                }
            }
        }
    }

    /// Something happened that the report will mark.
    pub fn note(&mut self, text: &str) {
        let line = line::note_line(text);
        match &self.display {
            Display::Terminal { bar, .. } => bar.suspend(|| tell(&line)),
            Display::Lines { .. } => tell(&line),
        }
    }

    /// The run is over: what was not yet told is told, and the terminal's line is taken away.
    pub fn finish(self) {
        match self.display {
            Display::Terminal { bar, .. } => bar.finish_and_clear(),
            Display::Lines { untold, .. } if untold.is_empty() => {}
            Display::Lines { untold, .. } => tell(&line::line(&untold, self.total_s)),
        }
    }
}

fn bar(total: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix:9} {msg} {wide_bar}")
        .expect("the template names only what indicatif knows");
    let length = millis(total.as_secs_f64());
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix("connect");
    bar
}

/// Whole milliseconds; 0 for what is below.
fn millis(s: f64) -> u64 {
    let millis = Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::MAX).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[expect(clippy::print_stderr, reason = "the display is for the user who waits")]
fn tell(line: &str) {
    eprintln!("{line}");
}
