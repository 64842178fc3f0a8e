use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;
use ureq::Agent;

use super::follow::{Follower, Heard, Page};
use crate::report::Mark;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// An admin HTTP answers at once; the end of a run waits for the last answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Bytes of an answer; more than all events that a memtide remembers, at their longest.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Why an admin HTTP cannot be asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EventsError {
    #[error("--admin {0}: no URL; give http://HOST:PORT, as in http://127.0.0.1:9150")]
    Url(String),
    #[error("--admin {0}: the admin port speaks plain HTTP; give http://HOST:PORT")]
    Https(String),
    #[error("--admin {url}: no answer: {reason}; is it the --admin address of a running memtide?")]
    NoAnswer { url: String, reason: String },
    #[error("--admin {0}: what answers is no memtide; give the --admin address of one")]
    Stranger(String),
    #[error("--admin {url}: failed to start a thread: {reason}")]
    Thread { url: String, reason: String },
}

/// Asks for events on a thread of its own.
#[derive(Debug)]
pub struct Poller {
    /// What its marks' times are counted from.
    origin: Instant,
    /// Both are `None` where there are no events to be had.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Vec<Mark>>>,
}

impl Poller {
    /// Asks a first time, and then about once a second until [`Self::finish`]; events from now on
    /// become marks. It waits for the first answer: not to be called while the load runs.
    ///
    /// `note` gets lines for people: that this memtide has no events to tell, or answers no more.
    ///
    /// # Errors
    /// When the URL is none, or no memtide answers there.
    pub fn start(
        url: &str,
        mut note: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, EventsError> {
        let url = url.trim_end_matches('/');
        if url.starts_with("https://") {
            return Err(EventsError::Https(url.to_owned()));
        }
        if url.strip_prefix("http://").is_none_or(str::is_empty) {
            return Err(EventsError::Url(url.to_owned()));
        }
        let source = Source { url: url.to_owned(), agent: agent(), origin: Instant::now() };
        let follower = match source.ask(0) {
            Ok((page, _)) => Follower::new(&page),
            Err(AskError::NoEvents) => {
                note(&format!(
                    "--admin {url}: this memtide is too old to tell events, or that is not its \
                     --admin address; the report has none of it"
                ));
                return Ok(Self { origin: source.origin, stop: None, thread: None });
            }
            Err(AskError::Url) => return Err(EventsError::Url(url.to_owned())),
            Err(AskError::Stranger) => return Err(EventsError::Stranger(url.to_owned())),
            Err(AskError::NoAnswer(reason)) => {
                return Err(EventsError::NoAnswer { url: url.to_owned(), reason });
            }
        };
        let (origin, (stop, stopped)) = (source.origin, mpsc::channel());
        let mut poll = Poll { source, follower, marks: Vec::new(), is_answering: true, note };
        let run = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                poll.ask();
            }
            poll.ask();
            poll.marks
        };
        let thread = thread::Builder::new().name("events".to_owned()).spawn(run);
        let thread = thread.map_err(|error| EventsError::Thread {
            url: url.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { origin, stop: Some(stop), thread: Some(thread) })
    }

    /// Asks a last time, and gives the marks in the order of their time, which is counted from
    /// `measured`: the begin of the measured part.
    #[must_use]
    pub fn finish(self, measured: Instant) -> Vec<Mark> {
        drop(self.stop);
        // A panic has told of itself.
        let mut marks = self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default();
        let shift_s = seconds_from(measured, self.origin);
        marks.iter_mut().for_each(|mark| mark.at_s += shift_s);
        marks.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        marks
    }
}

/// The thread's state.
struct Poll<N> {
    source: Source,
    follower: Follower,
    marks: Vec<Mark>,
    /// Whether the last answer came: the first that does not is told of.
    is_answering: bool,
    note: N,
}

impl<N: FnMut(&str)> Poll<N> {
    fn ask(&mut self) {
        match self.source.ask(self.follower.after()) {
            Ok((page, at_s)) => {
                self.is_answering = true;
                match self.follower.hear(page, at_s) {
                    Heard::Marks(marks) => self.marks.extend(marks),
                    Heard::Restarted(mark) => {
                        self.marks.push(mark);
                        // Once: a second restart within this moment is seen at the next turn.
                        if let Ok((page, at_s)) = self.source.ask(0)
                            && let Heard::Marks(marks) = self.follower.hear(page, at_s)
                        {
                            self.marks.extend(marks);
                        }
                    }
                }
            }
            Err(error) if self.is_answering => {
                self.is_answering = false;
                let (url, reason) = (&self.source.url, error.reason());
                (self.note)(&format!("--admin {url}: no events for now: {reason}"));
            }
            Err(_) => {}
        }
    }
}

/// Where events come from.
struct Source {
    url: String,
    agent: Agent,
    origin: Instant,
}

/// Why there is no page.
enum AskError {
    Url,
    /// It answers, and knows nothing of events.
    NoEvents,
    /// It answers, and nothing that memtide would.
    Stranger,
    NoAnswer(String),
}

impl AskError {
    fn reason(self) -> String {
        match self {
            Self::Url => "no URL".to_owned(),
            Self::NoEvents => "it answers 404".to_owned(),
            Self::Stranger => "what answers is no memtide".to_owned(),
            Self::NoAnswer(reason) => reason,
        }
    }
}

impl Source {
    /// The events after this one, and when by this source's time they were told: half way between
    /// question and answer.
    fn ask(&self, after: u64) -> Result<(Page, f64), AskError> {
        let url = format!("{}/v1/events?after={after}", self.url);
        let asked_s = self.run_s();
        let mut answer = self.agent.get(&url).call().map_err(no_answer)?;
        let at_s = f64::midpoint(asked_s, self.run_s());
        match answer.status().as_u16() {
            200 => {}
            401 => {
                let reason = "it asks for a token, and the load test has none to show";
                return Err(AskError::NoAnswer(reason.to_owned()));
            }
            404 => return Err(AskError::NoEvents),
            _ => return Err(AskError::Stranger),
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let page = serde_json::from_str(&body.map_err(no_answer)?);
        Ok((page.map_err(|_| AskError::Stranger)?, at_s))
    }

    /// Now, in seconds.
    fn run_s(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }
}

/// How many seconds `to` is after `from`; below 0 where it is before.
fn seconds_from(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
        - from.saturating_duration_since(to).as_secs_f64()
}

/// An agent that connects anew for each question, as memtide's admin HTTP wants it, and asks no
/// proxy of the environment.
fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(ANSWER_TIME_MAX))
        .http_status_as_error(false)
        .max_idle_connections(0)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into()
}

fn no_answer(error: ureq::Error) -> AskError {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => AskError::Url,
        ureq::Error::Protocol(_) | ureq::Error::BodyExceedsLimit(_) => AskError::Stranger,
        // The chain says the address again.
        ureq::Error::Io(error) => AskError::NoAnswer(error.to_string()),
        error => AskError::NoAnswer(error.to_string()),
    }
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
