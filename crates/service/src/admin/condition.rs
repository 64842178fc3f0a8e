use std::fmt;

/// Something that a process looks at to know whether new clients should be sent to it: a line of
/// `/readyz?verbose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What should be so, as a lowercase fragment.
    pub what: &'static str,
    /// Why it is not, as a lowercase fragment.
    pub state: Result<(), String>,
    /// Whether the process is not ready without it; the others are for people.
    pub is_needed: bool,
}

impl Condition {
    /// One without which the process is not ready.
    #[must_use]
    pub const fn needed(what: &'static str, state: Result<(), String>) -> Self {
        Self { what, state, is_needed: true }
    }

    /// One that is good to know.
    #[must_use]
    pub const fn wished(what: &'static str, state: Result<(), String>) -> Self {
        Self { what, state, is_needed: false }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, state, is_needed } = self;
        match (state, is_needed) {
            (Ok(()), _) => write!(f, "ok: {what}"),
            (Err(why), true) => write!(f, "not ready: {what}: {why}"),
            (Err(why), false) => write!(f, "ready without: {what}: {why}"),
        }
    }
}
