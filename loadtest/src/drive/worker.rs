//! The connections of one generating thread, and its event queue.

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;

use super::link::{Broken, Link, Scratch, Stage};
use super::{Clock, Lane, Nanos};
use crate::endpoint::Endpoint;
use crate::measure::{Tally, Trouble};

/// Connections that are being set up at once, so that no listener's queue overflows.
const CONNECTING_MAX: usize = 64;
/// Events that are taken of the queue at once.
const EVENTS_MAX: usize = 1024;

/// What a generating thread is told of its connections.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// Where to connect.
    pub endpoint: Arc<Endpoint>,
    /// Connections that carry load.
    pub lanes: u32,
    /// Connections that stay idle.
    pub idle: u32,
    /// Requests in flight on a connection, at most.
    pub pipeline: u32,
    /// Whether each request has a connection of its own.
    pub is_connect_per_request: bool,
    /// How long a reply, or a connection, is waited for.
    pub timeout: Nanos,
    /// The run's clock.
    pub clock: Clock,
}

/// The connections of one generating thread.
pub struct Worker {
    pub(super) settings: WorkerSettings,
    /// One for each lane, and behind those the idle ones; `None` where there is none just now.
    pub(super) links: Vec<Option<Link>>,
    pub(super) scratch: Scratch,
    pub(super) events: Vec<Event>,
    epoll: OwnedFd,
}

impl Worker {
    /// A thread's worker without connections. To be called on the thread.
    ///
    /// # Errors
    /// When the system refuses an event queue.
    pub fn new(settings: WorkerSettings) -> anyhow::Result<Self> {
        // So that a wait of 20 us does not become one of 70.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("failed to make an event queue")?;
        let links = (0..settings.lanes + settings.idle).map(|_| None).collect();
        let events = Vec::with_capacity(EVENTS_MAX);
        Ok(Self { settings, links, scratch: Scratch::new(), events, epoll })
    }

    /// The time on the run's clock.
    #[must_use]
    pub fn now(&self) -> Nanos {
        self.settings.clock.now()
    }

    /// Opens all connections, and says how long each took; fewer where it is stopped.
    ///
    /// # Errors
    /// The first that fails ends it: the endpoint is not ready for this load.
    pub fn connect_all(&mut self, stop: &AtomicBool) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let lanes = if self.settings.is_connect_per_request { self.settings.lanes } else { 0 };
        let mut waiting = lanes..self.settings.lanes + self.settings.idle;
        let mut connecting = 0;
        let deadline = self.settings.clock.now() + self.settings.timeout;
        let all = waiting.len();
        let failed = |broken: &Broken, opened: u64| {
            anyhow!("failed to open connection {} of {all}: {}", opened + 1, broken.text)
        };
        loop {
            while connecting < CONNECTING_MAX
                && let Some(lane) = waiting.next()
            {
                self.dial(lane).map_err(|it| failed(&it, tally.counts.connections))?;
                connecting += 1;
            }
            if connecting == 0 || stop.load(Ordering::Relaxed) {
                return Ok(tally);
            }
            let now = self.settings.clock.now();
            if now > deadline + tally.counts.connections * 1_000_000 {
                let broken = Broken::new(Trouble::Timeout, "timed out");
                return Err(failed(&broken, tally.counts.connections));
            }
            self.wait(20_000_000)?;
            for index in 0..self.events.len() {
                let event = self.events[index];
                let Some(link) = self.link_of(&event) else { continue };
                let was_open = link.stage() == Stage::Open;
                let stage = link.advance().map_err(|it| failed(&it, tally.counts.connections))?;
                let (began, is_resumed) = (link.began(), link.is_resumed());
                if stage == Stage::Open && is_closing(event.flags) {
                    let broken = self.turned_away(&event);
                    return Err(failed(&broken, tally.counts.connections));
                }
                if stage == Stage::Open && !was_open {
                    let now = self.settings.clock.now();
                    tally.connected(now.saturating_sub(began), is_resumed);
                    connecting -= 1;
                }
            }
        }
    }

    fn link_of(&mut self, event: &Event) -> Option<&mut Link> {
        let lane = usize::try_from(event.data.u64()).expect("it was a lane");
        self.links[lane].as_mut()
    }

    /// Why a connection is closed again before anything was asked on it: in the endpoint's own
    /// words, where it has some.
    fn turned_away(&mut self, event: &Event) -> Broken {
        let lane = usize::try_from(event.data.u64()).expect("it was a lane");
        let Some(link) = &mut self.links[lane] else { return Broken::new(Trouble::Closed, "") };
        let received = link.receive(&mut self.scratch);
        let mut lines = self.scratch.plain.split(|byte| byte.is_ascii_control());
        let line = lines.next().filter(|line| !line.is_empty());
        match (line, received) {
            (Some(line), _) => {
                let line = String::from_utf8_lossy(&line[..line.len().min(160)]);
                Broken::new(Trouble::Closed, format!("closed again: {line}"))
            }
            (None, Err(broken)) => broken,
            (None, Ok(_)) => Broken::new(Trouble::Closed, "closed again at once"),
        }
    }

    /// Begins a connection for this lane.
    pub(super) fn dial(&mut self, lane: Lane) -> Result<(), Broken> {
        let link = Link::dial(&self.settings.endpoint, self.settings.clock.now())?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, link.stream(), EventData::new_u64(u64::from(lane)), flags)
            .map_err(|error| Broken::new(Trouble::Connect, error))?;
        self.links[lane as usize] = Some(link);
        Ok(())
    }

    /// Fills `events` with what is ready, after this long at most.
    pub(super) fn wait(&mut self, at_most: Nanos) -> anyhow::Result<()> {
        self.events.clear();
        let timeout = Timespec {
            tv_sec: i64::try_from(at_most / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at_most % 1_000_000_000).unwrap_or_default(),
        };
        let events = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, events, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("failed to wait for events"),
        }
    }
}

/// Whether the peer has closed, or the connection is broken.
pub(super) fn is_closing(flags: EventFlags) -> bool {
    flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR)
}
