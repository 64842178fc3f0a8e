mod replies;
mod retrieval;
mod writing;

use std::collections::VecDeque;
use std::sync::Arc;

use rand::Rng;

pub(super) use self::replies::outcome_of_line;
use self::retrieval::AskedKeys;
pub(super) use self::writing::Writer;
use super::mix::is_counter;
use super::random::{RunRng, below, rng};
use super::settings::LoadSettings;
use crate::drive::{Asked, Lane, Nanos, Progress, Traffic};
use crate::measure::{CommandKind, Outcome};
use crate::reply::Event;

/// An `append` or `prepend` is followed by a `set` of its key once in so many times, so that no value
/// grows for ever.
const APPENDS_TO_RESET: u64 = 64;

/// Asks one thread's share of a run's requests, at random by the settings.
///
/// In look-aside mode a miss is followed by a set of each missed key, on the same lane; and a
/// counter that is not there by a set of it. A `cas` of the mix is a `gets`, counted as such, whose
/// hit is followed by the `cas`.
#[derive(Debug)]
pub struct LoadTraffic {
    settings: Arc<LoadSettings>,
    rng: RunRng,
    lanes: Vec<LaneState>,
    writer: Writer,
}

/// What is remembered of a request to understand its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    command: CommandKind,
    /// The key; the first of several.
    id: u64,
    /// Keys of a retrieval. Those of more than one are in the lane's [`AskedKeys`].
    keys: u32,
    /// Keys of a retrieval that were there, so far.
    hits: u32,
    /// Whether a `cas` follows when the key is there.
    leads_to_cas: bool,
    /// The CAS unique that came back.
    cas: Option<u64>,
}

/// What is outstanding on a lane.
#[derive(Debug, Default)]
struct LaneState {
    multigets: AskedKeys,
    follow_ups: VecDeque<FollowUp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowUp {
    Set(u64),
    SetCounter(u64),
    Cas(u64, u64),
}

impl LoadTraffic {
    /// The traffic of thread `thread` of a run of this seed, over `lanes` connections.
    #[must_use]
    pub fn new(settings: Arc<LoadSettings>, thread: u32, lanes: u32, seed: u64) -> Self {
        Self {
            rng: rng(seed, u64::from(thread)),
            lanes: (0..lanes).map(|_| LaneState::default()).collect(),
            writer: Writer::new(Arc::clone(&settings)),
            settings,
        }
    }

    fn state(&mut self, lane: Lane) -> &mut LaneState {
        &mut self.lanes[usize::try_from(lane).expect("32 bits fit")]
    }

    /// Draws the keys of a retrieval, and remembers them where they are several.
    fn draw_keys(&mut self, lane: Lane, keys: u64) -> u64 {
        let settings = &*self.settings;
        let first = settings.popularity.draw(&mut self.rng);
        self.writer.start_names();
        self.writer.add_name(first);
        if keys > 1 {
            let multigets = &mut self.lanes[usize::try_from(lane).expect("32 bits fit")].multigets;
            multigets.push(first);
            for _ in 1..keys {
                let id = settings.popularity.draw(&mut self.rng);
                self.writer.add_name(id);
                multigets.push(id);
            }
        }
        first
    }

    fn retrieve(&mut self, lane: Lane, command: CommandKind, out: &mut Vec<u8>) -> LoadRequest {
        let is_cas = command == CommandKind::Cas;
        let keys = match self.settings.multiget {
            _ if is_cas => 1,
            span if span.min == span.max => span.min,
            span => span.at(self.rng.next_u64()),
        };
        let id = self.draw_keys(lane, keys);
        let with_cas = matches!(command, CommandKind::Gets | CommandKind::Cas);
        let touch = (command == CommandKind::Gat).then(|| self.exptime());
        self.writer.retrieve(out, with_cas, touch);
        LoadRequest {
            command: if is_cas { CommandKind::Gets } else { command },
            keys: u32::try_from(keys).expect("a line's keys"),
            leads_to_cas: is_cas,
            ..LoadRequest::of_one(command, id)
        }
    }

    fn exptime(&mut self) -> memtide_protocol::Exptime {
        let settings = &*self.settings;
        // No random number where there is no choice.
        settings.exptime(if settings.ttl.min == settings.ttl.max { 0 } else { self.rng.next_u64() })
    }

    /// What a whole reply leads to.
    fn plan_follow_ups(&mut self, lane: Lane, request: &LoadRequest, outcome: Outcome) {
        let id = request.id;
        let look_aside = self.settings.look_aside;
        let follow_up = match (request.command, outcome) {
            (CommandKind::Append | CommandKind::Prepend, Outcome::Stored) => {
                let is_reset = below(self.rng.next_u64(), APPENDS_TO_RESET) == 0;
                is_reset.then_some(FollowUp::Set(id))
            }
            (CommandKind::Gets, Outcome::Hit) if request.leads_to_cas => {
                request.cas.map(|cas| FollowUp::Cas(id, cas))
            }
            (command, Outcome::NotFound) if look_aside && is_counter(command) => {
                Some(FollowUp::SetCounter(id))
            }
            (_, Outcome::Miss) if look_aside && request.keys <= 1 => Some(FollowUp::Set(id)),
            _ => None,
        };
        self.state(lane).follow_ups.extend(follow_up);
    }
}

impl LoadRequest {
    fn of_one(command: CommandKind, id: u64) -> Self {
        Self { command, id, keys: 1, hits: 0, leads_to_cas: false, cas: None }
    }
}

impl Traffic for LoadTraffic {
    type Request = LoadRequest;

    fn next(&mut self, lane: Lane, _now: Nanos, out: &mut Vec<u8>) -> Option<Asked<LoadRequest>> {
        let command = self.settings.mix.at(self.rng.next_u64());
        let request = match command {
            CommandKind::Get | CommandKind::Gets | CommandKind::Gat | CommandKind::Cas => {
                self.retrieve(lane, command, out)
            }
            _ => {
                let id = self.settings.popularity.draw(&mut self.rng);
                let exptime = self.exptime();
                self.writer.one_key(command, id, exptime, out);
                LoadRequest::of_one(command, id)
            }
        };
        Some(Asked { command: request.command, request })
    }

    fn heard(
        &mut self,
        lane: Lane,
        request: &mut LoadRequest,
        event: &Event<'_>,
        _now: Nanos,
    ) -> Progress {
        if let Event::Error(_) = event {
            if request.keys > 1 {
                self.state(lane).multigets.forget(request.keys);
            }
            return Progress::Done { outcome: Outcome::Error, hits: request.hits, misses: 0 };
        }
        match request.command {
            CommandKind::Get | CommandKind::Gets | CommandKind::Gat => {
                self.heard_retrieval(lane, request, event)
            }
            CommandKind::Mg | CommandKind::Ms | CommandKind::Md | CommandKind::Ma => {
                self.heard_meta(lane, request, event)
            }
            _ => self.heard_line(lane, request, event),
        }
    }

    fn lost(&mut self, lane: Lane, request: LoadRequest) {
        if request.keys > 1 {
            self.state(lane).multigets.forget(request.keys);
        }
    }

    fn follow_up(
        &mut self,
        lane: Lane,
        _now: Nanos,
        out: &mut Vec<u8>,
    ) -> Option<Asked<LoadRequest>> {
        let follow_up = self.state(lane).follow_ups.pop_front()?;
        let exptime = self.exptime();
        let (command, id) = match follow_up {
            FollowUp::Set(id) => {
                self.writer.one_key(CommandKind::Set, id, exptime, out);
                (CommandKind::Set, id)
            }
            FollowUp::SetCounter(id) => {
                self.writer.set_counter(id, exptime, out);
                (CommandKind::Set, id)
            }
            FollowUp::Cas(id, cas) => {
                self.writer.cas((id, cas), exptime, out);
                (CommandKind::Cas, id)
            }
        };
        Some(Asked { command, request: LoadRequest::of_one(command, id) })
    }
}

#[cfg(test)]
mod tests;
