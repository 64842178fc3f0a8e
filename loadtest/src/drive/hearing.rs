//! What a phase does when a connection is ready: read, take in the replies, go on.

use rustix::event::epoll::EventFlags;

use super::link::{Broken, Received, Stage};
use super::phase::Phase;
use super::worker::is_closing;
use super::{Lane, Nanos, Pacing, Progress, Traffic};
use crate::measure::{Outcome, Trouble};
use crate::reply::{Event, Found, read};

impl<T: Traffic> Phase<'_, T> {
    /// Something happened on a socket.
    pub(super) fn ready(&mut self, index: usize, flags: EventFlags) {
        let Some(link) = &mut self.worker.links[index] else { return };
        let lane = Lane::try_from(index).expect("it was a lane");
        if index >= self.worker.settings.lanes as usize {
            self.idle_ready(index, is_closing(flags));
            return;
        }
        if link.stage() != Stage::Open {
            match link.advance() {
                Ok(Stage::Open) => self.opened(lane),
                Ok(_) => return,
                Err(broken) => {
                    let now = self.worker.settings.clock.now();
                    return self.broke(lane, &broken, now);
                }
            }
        }
        if flags.intersects(EventFlags::OUT) {
            let now = self.worker.settings.clock.now();
            self.flush(lane, now);
        }
        self.hear(lane, is_closing(flags));
    }

    fn opened(&mut self, lane: Lane) {
        let now = self.worker.settings.clock.now();
        let Some(link) = &self.worker.links[lane as usize] else { return };
        self.meter.tally.connected(now.saturating_sub(link.began()), link.is_resumed());
        self.flush(lane, now);
        self.offer(lane, now);
        self.settle(lane, now);
    }

    /// An idle connection has nothing to say but goodbye.
    fn idle_ready(&mut self, index: usize, is_closing: bool) {
        let Some(link) = &mut self.worker.links[index] else { return };
        let trouble = loop {
            match link.receive(&mut self.worker.scratch) {
                Ok(Received::Nothing) => return,
                Ok(Received::All) if !is_closing => return,
                Ok(Received::Some | Received::All) => {}
                Ok(Received::Goodbye) => {
                    break Broken::new(Trouble::Closed, "an idle connection was closed");
                }
                Ok(Received::Cut) => {
                    break Broken::new(Trouble::Truncated, "an idle connection was cut");
                }
                Err(broken) => break broken,
            }
        };
        self.worker.links[index] = None;
        self.meter.tally.trouble(trouble.trouble, &trouble.text);
    }

    /// Reads what came for a lane.
    fn hear(&mut self, lane: Lane, is_closing: bool) {
        loop {
            let Some(link) = &mut self.worker.links[lane as usize] else { return };
            if link.stage() != Stage::Open {
                return;
            }
            let received = link.receive(&mut self.worker.scratch);
            let now = self.worker.settings.clock.now();
            let got = self.worker.scratch.plain.len();
            self.meter.tally.counts.bytes_received += got as u64;
            let digested = if got == 0 { Ok(()) } else { self.digest(lane, now) };
            let ended = match (digested, &received) {
                (Err(broken), _) => Some(broken),
                (_, Err(broken)) => Some(broken.clone()),
                (_, Ok(Received::Goodbye)) => Some(self.farewell(lane)),
                (_, Ok(Received::Cut)) => {
                    Some(Broken::new(Trouble::Truncated, "closed without a goodbye"))
                }
                (_, Ok(Received::Some | Received::All | Received::Nothing)) => None,
            };
            if let Some(broken) = ended {
                return self.broke(lane, &broken, now);
            }
            if got > 0 {
                self.settle(lane, now);
            }
            match received {
                Ok(Received::Nothing) => return,
                Ok(Received::All) if !is_closing => return,
                // A short read of what is closing has the end behind it, and no other event comes.
                _ => {}
            }
        }
    }

    fn farewell(&self, lane: Lane) -> Broken {
        let link = self.worker.links[lane as usize].as_ref();
        if link.is_some_and(|link| !link.carry.is_empty()) {
            return Broken::new(Trouble::Truncated, "closed in the middle of a reply");
        }
        let text = match self.lanes.in_flight_on(lane) {
            0 => "closed by the endpoint",
            _ => "closed by the endpoint while requests waited",
        };
        Broken::new(Trouble::Closed, text)
    }

    /// Takes in the reply bytes in the scratch buffer.
    fn digest(&mut self, lane: Lane, now: Nanos) -> Result<(), Broken> {
        let plain = std::mem::take(&mut self.worker.scratch.plain);
        let result = self.digest_plain(lane, &plain, now);
        self.worker.scratch.plain = plain;
        result
    }

    fn digest_plain(&mut self, lane: Lane, plain: &[u8], now: Nanos) -> Result<(), Broken> {
        let Some(link) = &mut self.worker.links[lane as usize] else { return Ok(()) };
        if link.carry.is_empty() {
            let (consumed, needed) = self.events(lane, plain, now)?;
            if let Some(link) = &mut self.worker.links[lane as usize]
                && consumed < plain.len()
            {
                link.carry.extend_from_slice(&plain[consumed..]);
                link.needed = needed;
            }
            return Ok(());
        }
        link.carry.extend_from_slice(plain);
        if link.carry.len() < link.needed {
            return Ok(());
        }
        let mut carry = std::mem::take(&mut link.carry);
        let (consumed, needed) = self.events(lane, &carry, now)?;
        if let Some(link) = &mut self.worker.links[lane as usize] {
            carry.drain(..consumed);
            link.carry = carry;
            link.needed = needed;
        }
        Ok(())
    }

    /// Takes in every whole event: how many bytes they took, and how many the next needs in all.
    fn events(&mut self, lane: Lane, bytes: &[u8], now: Nanos) -> Result<(usize, usize), Broken> {
        let mut at = 0;
        while at < bytes.len() {
            match read(&bytes[at..]) {
                Ok(Found::Event(consumed, event)) => {
                    at += consumed;
                    self.event(lane, &event, now)?;
                }
                Ok(Found::Incomplete(needed)) => return Ok((at, needed)),
                Err(error) => return Err(Broken::new(Trouble::Garbled, error)),
            }
        }
        Ok((at, 0))
    }

    fn event(&mut self, lane: Lane, event: &Event<'_>, now: Nanos) -> Result<(), Broken> {
        let Some(in_flight) = self.lanes.front(lane) else {
            return Err(match event {
                Event::Error(line) => Broken::new(Trouble::Closed, String::from_utf8_lossy(line)),
                _ => Broken::new(Trouble::Garbled, "a reply that nobody asked for"),
            });
        };
        match self.traffic.heard(lane, &mut in_flight.request, event, now) {
            Progress::More => Ok(()),
            Progress::Done { outcome, hits, misses } => {
                let latency = now.saturating_sub(in_flight.due);
                let tally = &mut self.meter.tally;
                tally.replied(in_flight.command, outcome, latency);
                tally.counts.hits += u64::from(hits);
                tally.counts.misses += u64::from(misses);
                if let (Outcome::Error, Event::Error(line)) = (outcome, event) {
                    tally.error_line(line);
                }
                self.lanes.pop(lane);
                self.lanes.answered(lane);
                self.follow_up(lane, now);
                Ok(())
            }
            Progress::OutOfStep => Err(Broken::new(
                Trouble::Garbled,
                format!("no reply to a {}", in_flight.command.name()),
            )),
        }
    }

    fn follow_up(&mut self, lane: Lane, now: Nanos) {
        loop {
            let Some(link) = &mut self.worker.links[lane as usize] else { return };
            let before = link.out.len();
            let Some(asked) = self.traffic.follow_up(lane, now, &mut link.out) else { return };
            self.meter.tally.counts.bytes_sent += (link.out.len() - before) as u64;
            self.asked(lane, asked, now, now);
        }
    }

    /// Replies were heard on a lane: what it does next.
    fn settle(&mut self, lane: Lane, now: Nanos) {
        if self.worker.settings.is_connect_per_request {
            if self.lanes.in_flight_on(lane) == 0
                && let Some(mut link) = self.worker.links[lane as usize].take()
            {
                link.say_goodbye();
            }
            self.offer(lane, now);
        } else {
            self.offer(lane, now);
        }
        if matches!(self.settings.pacing, Pacing::Closed) {
            self.issue(now);
        }
        // Follow-ups wait there too.
        self.flush(lane, now);
    }
}
