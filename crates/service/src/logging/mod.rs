//! Logs: tracing to standard error, text on a terminal and JSON otherwise.

mod limiter;
mod marked;

use std::{io::IsTerminal, panic, str::FromStr};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt};

pub use self::limiter::{Admit, Limiter};
use self::marked::Marked;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("not auto, text or json"),
        }
    }
}

/// Whether `directives` can be a filter, as in `info` or `info,memtide_proxy=debug`.
///
/// # Errors
/// What is wrong, as a fragment.
pub fn check_filter(directives: &str) -> Result<(), String> {
    // A word alone would be taken for a target, and silence all others.
    let is_level_or_rule = |directive: &str| {
        directive.contains(['=', '[']) || directive.trim().parse::<LevelFilter>().is_ok()
    };
    if let Some(word) = directives.split(',').find(|directive| !is_level_or_rule(directive)) {
        return Err(format!("{word:?} is no level"));
    }
    EnvFilter::try_new(directives).map(|_| ()).map_err(|error| error.to_string())
}

/// Sends the events of this process to standard error from now on, and panics with them.
///
/// `directives` must have passed [`check_filter`]. Call it once; a second call changes nothing.
/// Where `role` is not empty, each line says it: of a process whose lines stand among another's.
pub fn install(format: LogFormat, directives: &str, role: &str) {
    let is_json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only where a subscriber is installed already, as in tests.
    let _ = if is_json {
        let json = fmt::format().json().flatten_event(true);
        let lines = json.with_current_span(false).with_span_list(false);
        let fields = fmt::format::JsonFields::new();
        let marked = Marked::new(lines, role, is_json);
        builder.fmt_fields(fields).event_format(marked).try_init()
    } else {
        let is_terminal = std::io::stderr().is_terminal();
        let marked = Marked::new(fmt::format(), role, is_json);
        builder.with_ansi(is_terminal).event_format(marked).try_init()
    };
    panic::set_hook(Box::new(log_panic));
}

/// A panic is a bug of ours: it is logged like any other line, so that it reaches those who read
/// logs and not the terminal.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(
        location,
        thread = thread.name().unwrap_or("unnamed"),
        backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured)
            .then(|| backtrace.to_string()),
        "panic: {}",
        panic.payload_as_str().unwrap_or("no message"),
    );
}
