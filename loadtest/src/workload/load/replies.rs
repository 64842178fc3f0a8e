use super::{LoadRequest, LoadTraffic};
use crate::drive::{Lane, Progress};
use crate::measure::{CommandKind, Outcome};
use crate::reply::{Event, MetaCode};

impl LoadTraffic {
    /// The reply to a command that gets one line.
    pub(super) fn heard_line(
        &mut self,
        lane: Lane,
        request: &LoadRequest,
        event: &Event<'_>,
    ) -> Progress {
        let Some(outcome) = outcome_of_line(request.command, event) else {
            return Progress::OutOfStep;
        };
        self.plan_follow_ups(lane, request, outcome);
        Progress::Done { outcome, hits: 0, misses: 0 }
    }

    /// The reply to a meta command, each of which asks for its key back: only a reply without one
    /// (a miss) is taken on trust.
    pub(super) fn heard_meta(
        &mut self,
        lane: Lane,
        request: &LoadRequest,
        event: &Event<'_>,
    ) -> Progress {
        use CommandKind::{Ma, Md, Mg, Ms};
        let Event::Meta { code, flags, .. } = event else { return Progress::OutOfStep };
        let is_done = matches!(code, MetaCode::Hd | MetaCode::Va);
        let is_in_step = match key_of(flags) {
            Some(key) => self.writer.is_name(request.command, request.id, key),
            None => !is_done,
        };
        let outcome = match (request.command, code) {
            _ if !is_in_step => return Progress::OutOfStep,
            (Mg, MetaCode::Va) => Outcome::Hit,
            (Mg, MetaCode::En) => Outcome::Miss,
            (Ms, MetaCode::Hd) => Outcome::Stored,
            (Md, MetaCode::Hd) => Outcome::Deleted,
            (Ma, MetaCode::Va) => Outcome::Number,
            (Ms | Md | Ma, MetaCode::Nf) => Outcome::NotFound,
            (Ms | Ma, MetaCode::Ns) => Outcome::NotStored,
            (Ms | Md | Ma, MetaCode::Ex) => Outcome::Exists,
            _ => return Progress::OutOfStep,
        };
        self.plan_follow_ups(lane, request, outcome);
        let (hits, misses) = match outcome {
            Outcome::Hit => (1, 0),
            Outcome::Miss => (0, 1),
            _ => (0, 0),
        };
        Progress::Done { outcome, hits, misses }
    }
}

/// What a reply of one line says to a classic command that is no retrieval; `None` when it is no reply
/// to that.
pub(in super::super) fn outcome_of_line(
    command: CommandKind,
    event: &Event<'_>,
) -> Option<Outcome> {
    use CommandKind::{Add, Append, Cas, Decr, Delete, Incr, Prepend, Replace, Set, Touch};
    Some(match (command, event) {
        (Set | Add | Replace | Append | Prepend | Cas, Event::Stored) => Outcome::Stored,
        (Set | Add | Replace | Append | Prepend, Event::NotStored) => Outcome::NotStored,
        (Cas, Event::Exists) => Outcome::Exists,
        (Cas | Incr | Decr | Delete | Touch, Event::NotFound) => Outcome::NotFound,
        (Incr | Decr, Event::Number(_)) => Outcome::Number,
        (Delete, Event::Deleted) => Outcome::Deleted,
        (Touch, Event::Touched) => Outcome::Touched,
        _ => return None,
    })
}

/// The key among return flags: `c12 kfoo`.
fn key_of(flags: &[u8]) -> Option<&[u8]> {
    flags.split(|&byte| byte == b' ').find_map(|flag| flag.strip_prefix(b"k"))
}
