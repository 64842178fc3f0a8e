//! The next commands of a pipeline, parsed before the first of them is executed, so that the
//! waits for the memory that they will touch overlap.

use memtide_engine_core::PREFETCH_MAX;
use memtide_protocol::{Step, parse};
use memtide_topology::KeyHash;

use crate::execute::Executor;

/// Commands that are parsed ahead at most, the one to be executed next included.
pub(super) const AHEAD_MAX: usize = PREFETCH_MAX;

/// What stands at one place of the input.
#[derive(Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) step: Step<'a>,
    /// Of the key of a command on one key, and of a retrieval's first.
    pub(super) hash: Option<KeyHash>,
}

/// Commands that follow each other in the input and are not executed yet.
pub(super) struct Ahead<'a> {
    /// Made when there is the first: most clients wait for each reply.
    followers: Option<[Option<Planned<'a>>; AHEAD_MAX - 1]>,
    at: usize,
}

impl<'a> Ahead<'a> {
    pub(super) const fn new() -> Self {
        Self { followers: None, at: 0 }
    }

    /// What stands at the start of `input`, which begins where the last one ended.
    ///
    /// Looks at up to `max` commands when none is left that was looked at before.
    #[inline]
    pub(super) fn next(
        &mut self,
        input: &'a [u8],
        max: usize,
        executor: &Executor<'_>,
    ) -> Planned<'a> {
        if let Some(followers) = &mut self.followers {
            let follower = followers.get_mut(self.at).and_then(Option::take);
            self.at += 1;
            if let Some(follower) = follower {
                return follower;
            }
        }
        let first = plan(input, executor);
        match first.step {
            Step::Command { consumed, .. } if consumed < input.len() && max > 1 => {
                self.look(first.hash, &input[consumed..], (max, executor));
            }
            _ => {}
        }
        first
    }

    /// How many commands came to execution of those looked at together; `None` where all did.
    pub(super) fn reached(&self) -> Option<usize> {
        let is_left = self.followers.iter().flatten().any(Option::is_some);
        is_left.then_some(self.at + 1)
    }

    /// Plans the commands in `rest`, up to the first place where there is none: only behind a
    /// command is it known where the next one starts.
    fn look(
        &mut self,
        first: Option<KeyHash>,
        mut rest: &'a [u8],
        (max, executor): (usize, &Executor<'_>),
    ) {
        let mut hashes = [KeyHash::from_bits(0); AHEAD_MAX];
        let mut count = 0;
        let mut add = |hash: Option<KeyHash>| {
            if let Some(hash) = hash {
                hashes[count] = hash;
                count += 1;
            }
        };
        add(first);
        self.at = 0;
        let followers = self.followers.get_or_insert([None; AHEAD_MAX - 1]);
        for follower in &mut followers[..max - 1] {
            let planned = plan(rest, executor);
            *follower = Some(planned);
            add(planned.hash);
            match planned.step {
                Step::Command { consumed, .. } if consumed < rest.len() => rest = &rest[consumed..],
                _ => break,
            }
        }
        executor.prefetch(&hashes[..count]);
    }
}

#[inline]
fn plan<'a>(input: &'a [u8], executor: &Executor<'_>) -> Planned<'a> {
    let step = parse(input, executor.limits());
    let hash = match &step {
        Step::Command { command, .. } => executor.hash(command),
        _ => None,
    };
    Planned { step, hash }
}
