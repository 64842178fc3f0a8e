//! The history of a run, and the checker of its consistency.

use serde::Serialize;

/// What the checker found.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {}
