//! Tests that look inside; each file says what it checks.

mod check;
mod semantics;
