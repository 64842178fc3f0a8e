//! What must hold for any input, as functions that panic where it does not.
//!
//! The fuzz targets under `fuzz/` and the replay of their corpus call these.

use crate::encode::{ItemMeta, Marks, MetaStatus, Ttl};
use crate::limits::{LINE_BYTES_MAX, RETRIEVE_LINE_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{Command, Limits, Step, encode, parse, request};

/// The item limit that fuzzing parses with: small, so that random lengths are on both sides of it.
pub const LIMITS: Limits = Limits { item_bytes_max: 512 };

/// A stream of commands: every step makes progress and keeps to its bounds, every command survives
/// being written and read again, and the stream parses alike however it is split.
///
/// The first byte of `data` chooses the splits, the rest is the stream.
///
/// # Panics
/// Where that does not hold.
pub fn parse_stream(data: &[u8]) {
    let Some((&seed, stream)) = data.split_first() else { return };
    let whole = walk(stream, |at| at.max(stream.len()));
    let mut state = u64::from(seed) + 1;
    let pieces = walk(stream, |at| {
        // Knuth's MMIX generator; its high bits choose the size of the next piece.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        at + 1 + usize::from(seed % 64) * usize::try_from(state >> 60).unwrap_or(0)
    });
    assert_eq!(whole, pieces, "a split changes what is read");
}

/// Reads a stream that arrives in pieces, as a session does, and returns its steps: the last one
/// closes, or is what is missing at the end.
///
/// `arrive` says, for a count of bytes that have arrived, up to where the next read reaches.
///
/// # Panics
/// Where a step breaks an invariant.
pub fn walk(stream: &[u8], mut arrive: impl FnMut(usize) -> usize) -> Vec<Step<'_>> {
    let (mut at, mut arrived, mut swallow) = (0, 0, 0);
    let mut steps = Vec::new();
    loop {
        let dropped = (arrived - at).min(usize::try_from(swallow).unwrap_or(usize::MAX));
        at += dropped;
        swallow -= dropped as u64;
        let input = &stream[at..arrived];
        let step = parse(input, &LIMITS);
        check(input, &step);
        match step {
            Step::Incomplete { needed } if arrived < stream.len() => {
                let next = arrive(arrived).clamp(arrived + 1, stream.len());
                check_needed(&stream[at..next], needed);
                arrived = next;
                continue;
            }
            Step::Command { consumed, .. } => at += consumed,
            Step::Refused { consumed, swallow: more, .. } => {
                at += consumed;
                swallow = more;
            }
            Step::Incomplete { .. } | Step::Close { .. } => {
                steps.push(step);
                return steps;
            }
        }
        steps.push(step);
    }
}

/// A step as text: first the bytes consumed, then `+` and the bytes to swallow.
#[must_use]
pub fn describe(step: &Step) -> String {
    match step {
        Step::Incomplete { needed } => format!("needs {needed}"),
        Step::Command { consumed, command } => format!("{consumed} {command:?}"),
        Step::Refused { consumed, swallow, refusal } => {
            let silent = if refusal.is_silent { ", silent" } else { "" };
            let unlink = refusal.unlink.map(|key| format!(", unlink {:?}", key.bytes()));
            let unlink = unlink.unwrap_or_default();
            format!("{consumed} +{swallow} {}{silent}{unlink}", refusal.error)
        }
        Step::Close { error: Some(error) } => format!("close {error}"),
        Step::Close { error: None } => "close".to_owned(),
    }
}

/// Fewer bytes than were asked for are not enough.
fn check_needed(input: &[u8], needed: usize) {
    if input.len() < needed {
        let step = parse(input, &LIMITS);
        let is_close = matches!(step, Step::Close { .. });
        assert!(is_close || matches!(step, Step::Incomplete { .. }), "{needed} were not needed");
    }
}

fn check(input: &[u8], step: &Step) {
    match step {
        Step::Incomplete { needed } => {
            assert!(*needed > input.len(), "needs {needed} of {}", input.len());
            let most = RETRIEVE_LINE_BYTES_MAX + 1 + LIMITS.item_bytes_max as usize;
            assert!(*needed <= most, "needs {needed}");
        }
        Step::Command { consumed, command } => {
            assert!((1..=input.len()).contains(consumed), "{consumed} of {}", input.len());
            check_command(command);
        }
        Step::Refused { consumed, swallow, refusal } => {
            assert!((1..=input.len()).contains(consumed), "{consumed} of {}", input.len());
            assert!(*swallow <= u64::from(VALUE_BYTES_MAX) + 2, "swallows {swallow}");
            assert!(!refusal.error.text().contains(['\r', '\n']));
        }
        Step::Close { .. } => {}
    }
}

/// parse(encode(c)) == c, and every reply to `c` is written without a panic.
fn check_command(command: &Command) {
    let mut bytes = Vec::new();
    request::command(&mut bytes, command);
    // A line near its limit may be over it once its numbers and spaces are written out anew.
    if memchr::memchr(b'\n', &bytes) < Some(LINE_BYTES_MAX) {
        let consumed = bytes.len();
        assert_eq!(parse(&bytes, &LIMITS), Step::Command { consumed, command: *command });
    }
    replies(command, &mut bytes);
}

fn replies(command: &Command, out: &mut Vec<u8>) {
    let item = ItemMeta {
        client_flags: u32::MAX,
        cas: u64::MAX,
        ttl: Ttl::Secs(u32::MAX),
        last_access_secs: u32::MAX,
        hit_before: true,
        value_len: usize::MAX,
    };
    let marks = Marks { won: true, stale: true, win_sent: true };
    match command {
        Command::MetaGet(command) => {
            let _ = encode::meta_get_hit(out, command, &item, marks);
            encode::meta_get_miss(out, command);
        }
        Command::MetaSet(command) => {
            encode::meta_set(out, command, MetaStatus::Exists, u64::MAX, usize::MAX);
        }
        Command::MetaDelete(command) => encode::meta_delete(out, command, MetaStatus::Exists),
        Command::MetaArithmetic(command) => {
            encode::meta_arithmetic_done(out, command, u64::MAX, u64::MAX, Ttl::Never);
            encode::meta_arithmetic_failed(out, command, MetaStatus::NotFound);
        }
        _ => {}
    }
}
