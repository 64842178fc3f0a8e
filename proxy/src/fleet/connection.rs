//! A client connection in a fleet, as a hand-written future: what came is asked, what was answered
//! is sent, each in one go for each time that it is woken.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use memtide_protocol::Limits;

use super::Fleet;
use super::lanes::LaneId;
use super::session::{Desk, Progress, Session};
use crate::carry::Carry;
use crate::connection::{End, Turn};
use crate::core::{Core, Scratch};
use crate::limits;
use crate::registry::{Kick, Registered};
use crate::throttle::Standing;
use crate::transport::{Received, Transport};

/// One client after its handshake.
pub struct Connection {
    transport: Transport,
    conversation: Conversation,
    core: Rc<Core>,
    registered: Registered,
    carry: Carry,
    /// It came to the read-optimized port.
    is_read_optimized: bool,
    /// What to do when all is answered and sent.
    ending: Option<End>,
    peer_is_done: bool,
    /// The last execution did all that a turn may.
    is_turn_over: bool,
    /// Whether it asked anything since it looked for an order to move.
    has_served: bool,
    /// Replies were queued whose latency is not recorded.
    is_unrecorded: bool,
    /// For [`Spread::saw`](crate::spread::Spread::saw).
    seen_tick: u32,
}

/// The client's commands and their replies; over when dropped, however the connection ends.
struct Conversation {
    fleet: Rc<Fleet>,
    lane: LaneId,
    session: Session,
    standing: Standing,
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let Self { fleet, lane, session, standing } = self;
        let now = Instant::now();
        let billed = fleet.with(now, |switch, _| session.abandon(switch, *lane));
        standing.bill(billed, now);
    }
}

impl Connection {
    /// Serves until the connection ends; says why, and gives the transport back.
    pub async fn serve(
        transport: Transport,
        (core, fleet): (Rc<Core>, Rc<Fleet>),
        registered: Registered,
        is_read_optimized: bool,
    ) -> (End, Transport) {
        let lane = fleet.with(Instant::now(), |switch, _| switch.open_lane());
        let mut connection = Self {
            transport,
            conversation: Conversation {
                fleet,
                lane,
                session: Session::default(),
                standing: core.throttle.standing(),
            },
            core,
            registered,
            carry: Carry::default(),
            is_read_optimized,
            ending: None,
            peer_is_done: false,
            is_turn_over: false,
            has_served: false,
            is_unrecorded: false,
            seen_tick: 0,
        };
        let end = loop {
            match poll_fn(|cx| connection.poll_serve(cx)).await {
                Turn::Ended(end) => break end,
                // Not a wake-up of our own: it would come again before the core has looked at the
                // other sockets.
                Turn::Over => tokio::task::yield_now().await,
            }
        };
        (end, connection.transport)
    }

    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let core = Rc::clone(&self.core);
        let scratch = &mut *core.scratch.borrow_mut();
        // Nothing of another connection may be left, however its turn ended.
        scratch.plain.clear();
        self.conversation.watch(cx);
        match self.take_early(scratch).and_then(|()| self.drive(cx, scratch)) {
            Ok(poll) => poll,
            Err(error) => Poll::Ready(Turn::Ended(End::Failed(error))),
        }
    }

    fn take_early(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        if self.conversation.session.is_fresh() {
            let received = self.transport.take_early(&mut scratch.plain);
            // Who said nothing has not been served: a connection that could not move would try
            // again without an end.
            if !(scratch.plain.is_empty() && matches!(received, Ok(Received::Bytes))) {
                return self.received(received, scratch);
            }
        }
        Ok(())
    }

    fn drive(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> io::Result<Poll<Turn>> {
        let mut executions_left = limits::EXECUTIONS_PER_TURN_MAX;
        loop {
            self.queue_replies()?;
            let kick = self.registered.poll_kick(cx);
            if self.transport.wants_write() {
                if self.transport.poll_flush(cx)?.is_pending() {
                    return Ok(self.stalled(kick));
                }
                if self.registered.is_stalled.take() {
                    self.registered.moved_bytes(self.core.clock.age_secs(Instant::now()));
                    self.conversation.standing.has_read();
                }
            }
            if std::mem::take(&mut self.is_unrecorded) {
                self.conversation.record();
            }
            let is_answered = self.conversation.is_answered();
            if is_answered && let Some(end) = self.ending.take() {
                return Ok(Poll::Ready(Turn::Ended(end)));
            }
            if is_answered && self.peer_is_done && !self.carry.is_ready() {
                return Ok(Poll::Ready(Turn::Ended(End::Peer)));
            }
            if executions_left == 0 || std::mem::take(&mut self.is_turn_over) {
                return Ok(Poll::Ready(Turn::Over));
            }
            let is_listening = self.ending.is_none()
                && (self.carry.is_ready() || !self.peer_is_done)
                && self.conversation.has_room();
            if !is_listening {
                return Ok(self.idle(kick, is_answered));
            }
            if self.conversation.standing.is_held(cx) {
                return Ok(self.held(cx));
            }
            if self.carry.is_ready() {
                executions_left -= 1;
                self.execute(scratch)?;
                continue;
            }
            match self.transport.poll_receive(cx, &mut scratch.wire, &mut scratch.plain) {
                Poll::Pending => return Ok(self.idle(kick, is_answered)),
                Poll::Ready(received) => {
                    executions_left -= 1;
                    self.received(received, scratch)?;
                }
            }
        }
    }

    fn received(
        &mut self,
        received: io::Result<Received>,
        scratch: &mut Scratch,
    ) -> io::Result<()> {
        match received {
            Ok(received) => self.peer_is_done = received == Received::Closed,
            // The alert that rustls queued goes out with the replies to what came before.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.ending = Some(End::Failed(error));
            }
            Err(error) => return Err(error),
        }
        self.conversation.standing.has_read();
        self.execute(scratch)
    }

    /// The client does not read: only a stall ends the wait.
    fn stalled(&self, kick: Kick) -> Poll<Turn> {
        self.registered.is_stalled.set(true);
        if kick == Kick::Stall {
            Poll::Ready(Turn::Ended(End::Kicked(kick)))
        } else {
            Poll::Pending
        }
    }

    /// As [`crate::connection::Connection`]'s.
    fn held(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        let is_overdue = self.conversation.standing.is_held_for_long(Instant::now());
        if is_overdue && (self.peer_is_done || self.transport.has_peer_closed(cx)) {
            return Poll::Ready(Turn::Ended(End::Peer));
        }
        Poll::Pending
    }

    /// Nothing to read or no room for it, and nothing to send. A drain lets an unfinished command
    /// arrive and what was asked be answered, and so does the way to another core.
    fn idle(&mut self, kick: Kick, is_answered: bool) -> Poll<Turn> {
        let is_between_commands =
            is_answered && self.carry.is_empty() && !self.conversation.session.is_swallowing();
        match kick {
            _ if !is_between_commands && kick != Kick::Idle => Poll::Pending,
            Kick::None | Kick::Stall if std::mem::take(&mut self.has_served) => {
                match self.core.shared.spread.take_order(self.core.index) {
                    Some(to) => Poll::Ready(Turn::Ended(End::Moves(to))),
                    None => Poll::Pending,
                }
            }
            Kick::None | Kick::Stall => Poll::Pending,
            // Who waits for an answer, or for room, is not idle.
            Kick::Idle if !is_answered || self.carry.is_ready() => Poll::Pending,
            Kick::Drain | Kick::Idle => Poll::Ready(Turn::Ended(End::Kicked(kick))),
        }
    }

    /// Hands what was answered to the transport.
    fn queue_replies(&mut self) -> io::Result<()> {
        let Conversation { fleet, lane, standing, .. } = &mut self.conversation;
        let switch = &mut *fleet.switch.borrow_mut();
        let billed = switch.with_lane(*lane, |lane, _| lane.take_billed());
        if standing.is_limited() {
            standing.bill(billed, Instant::now());
        } else {
            standing.unlimited(billed);
        }
        let bytes = switch.lane(*lane).out_bytes();
        if bytes == 0 {
            // Commands without replies have a latency, too.
            self.is_unrecorded |= switch.lane(*lane).has_unrecorded();
            return Ok(());
        }
        self.is_unrecorded = true;
        if self.registered.is_kicked() {
            self.registered.moved_bytes(self.core.clock.age_secs(Instant::now()));
        }
        self.core.counters.traffic.bytes_written.add(bytes as u64);
        let transport = &mut self.transport;
        switch.with_lane(*lane, |lane, around| lane.take_out(around, |out| transport.queue(out)))
    }

    /// Takes in what `carry` and then `scratch.plain` hold, as far as there is room. What is left of
    /// the input becomes `carry`.
    fn execute(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let started = Instant::now();
        self.registered.moved_bytes(self.core.clock.age_secs(started));
        self.core.shared.spread.saw(self.core.index, &mut self.seen_tick);
        self.has_served = true;
        let Some(is_carried) = self.carry.merge(&mut scratch.plain) else { return Ok(()) };
        let input = self.carry.input(is_carried, &scratch.plain);
        let limits = Limits { item_bytes_max: self.core.shared.config.item_size_max };
        let is_read_optimized = self.is_read_optimized;
        let Conversation { fleet, lane, session, standing } = &mut self.conversation;
        let (toll, held_since) = standing.toll(started);
        let held_for = held_since.map_or(Duration::ZERO, |since| started.duration_since(since));
        let (consumed, progress) = fleet.with(started, |switch, now| {
            let read_at = now.saturating_sub(held_for);
            let lane = *lane;
            let mut desk = Desk { switch, lane, limits, is_read_optimized, toll, now, read_at };
            session.advance(input, &mut desk)
        });
        // What it has cost is known when the replies are here.
        standing.pay(started);
        let needed = match progress {
            Progress::NeedsMore { needed } => needed,
            Progress::NoRoom | Progress::Held => 0,
            Progress::TurnOver => {
                self.is_turn_over = true;
                0
            }
            Progress::Close => {
                self.ending.get_or_insert(End::Session);
                0
            }
        };
        self.carry.keep_rest((is_carried, consumed), needed, &mut scratch.plain);
        debug_assert!(self.carry.len() <= self.core.carry_bytes_max() + limits::READ_BYTES_MAX);
        self.core.counters.traffic.bytes_read.add(consumed as u64);
        scratch.trim();
        Ok(())
    }
}

impl Conversation {
    /// The connection is woken when something is answered, or there is room.
    fn watch(&self, cx: &Context<'_>) {
        let switch = &mut *self.fleet.switch.borrow_mut();
        switch.with_lane(self.lane, |lane, _| lane.set_waker(cx.waker()));
    }

    fn is_answered(&self) -> bool {
        self.fleet.switch.borrow().lane(self.lane).is_answered()
    }

    fn has_room(&self) -> bool {
        self.fleet.switch.borrow_mut().has_room(self.lane)
    }

    /// What was answered is sent now.
    fn record(&self) {
        let record = |switch: &mut super::switch::Switch, now| {
            switch.with_lane(self.lane, |lane, around| lane.record(now, around.counters));
        };
        self.fleet.with(Instant::now(), record);
    }
}
