use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Lines of `inner` that say whose they are.
pub(super) struct Marked<F> {
    inner: F,
    /// What the line begins with, in place of its first `skipped` bytes.
    mark: String,
    skipped: usize,
}

impl<F> Marked<F> {
    /// Nothing is added for an empty role.
    pub(super) fn new(inner: F, role: &str, is_json: bool) -> Self {
        match (role, is_json) {
            ("", _) => Self { inner, mark: String::new(), skipped: 0 },
            // A JSON object begins with its brace.
            (role, true) => Self { inner, mark: format!("{{\"role\":\"{role}\","), skipped: 1 },
            (role, false) => Self { inner, mark: format!("[{role}] "), skipped: 0 },
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for Marked<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.skipped == 0 {
            writer.write_str(&self.mark)?;
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&self.mark)?;
        writer.write_str(line.get(self.skipped..).unwrap_or_default())
    }
}
