//! A slot on a scripted node, as docs/design/0007 has it: executes in order, knows retries,
//! refuses by round and epoch.

use memtide_routing::Kind;
use memtide_topology::{Answer, Epoch, NodeId, Request, RequestId};

/// What the router brings about.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub ticket: u64,
    pub kind: Kind,
}

/// One mutation.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// `None` for those of another proxy.
    pub request: Option<(RequestId, u64)>,
    pub version: u64,
}

/// The outcome of a request: how many entries the slot had after it.
pub type Outcome = usize;

/// A reply that waits for its entry to be committed.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: RequestId,
    link: u64,
    round: u32,
    len: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Part {
    /// As the node's topology says.
    pub epoch: Epoch,
    pub primary: Option<NodeId>,
    pub is_in_sync: bool,
    /// In which epoch it serves.
    pub serving: Option<Epoch>,
    /// What it executed and did not commit is lost: another node has taken over.
    pub is_cut: bool,
    pub log: Vec<Entry>,
    pub committed: usize,
    waiting: Vec<Waiting>,
    pub held: Vec<(u64, Request<Command>)>,
    /// The newest link and the highest round of it that was refused.
    refused: (u64, u32),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    Now(Answer<Outcome>),
    /// When this many entries are committed.
    Later(usize),
    Never,
}

const HELD_MAX: usize = 5;
const RECORDS_MAX: usize = 12;

impl Part {
    /// What the node answers to a request over this link.
    pub fn request(&mut self, me: NodeId, link: u64, request: Request<Command>) -> Reply {
        let is_fenced = request.round != 0 && self.refused.0 == link;
        if is_fenced && request.round <= self.refused.1 {
            return self.refuse(link, &request);
        }
        if request.command.kind == Kind::ReadAnyCopy && self.may_read(me, request.epoch) {
            let version = self.log.last().map_or(0, |entry| entry.version);
            return Reply::Now(Answer::Done { outcome: self.committed, version });
        }
        match self.serving {
            Some(epoch) if epoch == request.epoch && epoch == self.epoch => {
                self.execute(link, &request)
            }
            None if self.primary == Some(me)
                && request.epoch <= self.epoch
                && self.held.len() < HELD_MAX =>
            {
                self.held.push((link, request));
                Reply::Never
            }
            _ => self.refuse(link, &request),
        }
    }

    /// Stops serving: what waits is given up, with an answer or without; what is held is refused.
    /// Says which may be done.
    pub fn step_down(&mut self, is_silent: bool) -> Vec<(u64, RequestId, bool)> {
        self.serving = None;
        self.is_cut = false;
        let mut refused = Vec::new();
        for waiting in core::mem::take(&mut self.waiting) {
            self.fence(waiting.link, waiting.round);
            if !is_silent {
                refused.push((waiting.link, waiting.id, true));
            }
        }
        for (link, request) in core::mem::take(&mut self.held) {
            self.fence(link, request.round);
            refused.push((link, request.id, false));
        }
        refused
    }

    /// Those whose entries are committed now, with the version.
    pub fn commit(&mut self, len: usize) -> Vec<(u64, RequestId, Answer<Outcome>)> {
        self.committed = self.committed.max(len);
        let committed = self.committed;
        let log = &self.log;
        let mut done = Vec::new();
        self.waiting.retain(|waiting| {
            let is_done = waiting.len <= committed;
            if is_done {
                let version = log[..waiting.len].last().map_or(0, |entry| entry.version);
                let answer = Answer::Done { outcome: waiting.len, version };
                done.push((waiting.link, waiting.id, answer));
            }
            !is_done
        });
        done
    }

    /// Appends an entry as the primary.
    pub fn append(&mut self, request: Option<(RequestId, u64)>) {
        let last = self.log.last().map_or(0, |entry| entry.version);
        let version = last.max(self.epoch.number() << 32) + 1;
        self.log.push(Entry { request, version });
    }

    fn may_read(&self, me: NodeId, epoch: Epoch) -> bool {
        epoch <= self.epoch && (self.is_in_sync || self.primary == Some(me))
    }

    fn execute(&mut self, link: u64, request: &Request<Command>) -> Reply {
        let id = request.id;
        let mut len = self.log.len();
        if request.command.kind == Kind::Mutation {
            let is_it = |entry: &Entry| entry.request.is_some_and(|(known, _)| known == id);
            let first = len.saturating_sub(RECORDS_MAX);
            let found = self.log[first..].iter().position(is_it).filter(|_| request.is_retry);
            let forgotten = self.log[..first].last().map_or(0, |entry| entry.version);
            if let Some(at) = found {
                len = first + at + 1;
            } else if request.is_retry && request.seen < forgotten {
                return Reply::Now(Answer::Unknown);
            } else {
                self.append(Some((id, request.command.ticket)));
                len = self.log.len();
            }
        }
        self.waiting.push(Waiting { id, link, round: request.round, len });
        Reply::Later(len)
    }

    fn refuse(&mut self, link: u64, request: &Request<Command>) -> Reply {
        self.fence(link, request.round);
        Reply::Now(Answer::Moved { epoch: self.epoch, primary: self.primary, may_be_done: false })
    }

    fn fence(&mut self, link: u64, round: u32) {
        // Of an earlier link nothing can come any more.
        self.refused = self.refused.max((link, round));
    }
}
