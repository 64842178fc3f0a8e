//! A client connection as a hand-written future: read once, execute all, write once.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::carry::Carry;
use crate::core::{Core, Scratch};
use crate::limits;
use crate::registry::{Kick, Registered};
use memtide_execute::Executed;

use crate::session::{Progress, Session};
use crate::throttle::Standing;
use crate::transport::{Received, Transport};

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// The client closed it.
    Peer,
    /// The client said `quit`, or lost its framing and was told so.
    Session,
    /// We asked it to.
    Kicked(Kick),
    /// It goes on with this core.
    Moves(usize),
    /// The socket or the TLS layer failed.
    Failed(io::Error),
}

/// What a connection comes to without waiting for its socket or a kick.
pub enum Turn {
    /// It is over.
    Ended(End),
    /// There may be more to do, and others are to be let first.
    Over,
}

/// One client after its handshake.
pub struct Connection {
    transport: Transport,
    session: Session,
    core: Rc<Core>,
    registered: Registered,
    standing: Standing,
    carry: Carry,
    /// The batch whose replies are not all sent.
    batch: Option<(Instant, Executed)>,
    /// What to do when all is sent.
    ending: Option<End>,
    peer_is_done: bool,
    /// The last execution did all that a turn may.
    is_turn_over: bool,
    /// Whether it executed anything since it was polled.
    has_served: bool,
    /// For [`Spread::saw`](crate::spread::Spread::saw).
    seen_tick: u32,
}

impl Connection {
    /// Serves until the connection ends; says why, and gives the transport back.
    pub async fn serve(
        transport: Transport,
        core: Rc<Core>,
        registered: Registered,
    ) -> (End, Transport) {
        let mut connection = Self {
            transport,
            session: Session::default(),
            standing: core.throttle.standing(),
            core,
            registered,
            carry: Carry::default(),
            batch: None,
            ending: None,
            peer_is_done: false,
            is_turn_over: false,
            has_served: false,
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
        let Self { mut session, core, transport, .. } = connection;
        session.abandon(&core.counters);
        (end, transport)
    }

    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        let core = Rc::clone(&self.core);
        let scratch = &mut *core.scratch.borrow_mut();
        // Nothing of another connection may be left, however its turn ended.
        scratch.plain.clear();
        scratch.replies.clear();
        self.has_served = false;
        match self.take_early(scratch).and_then(|()| self.drive(cx, scratch)) {
            Ok(poll) => poll,
            Err(error) => Poll::Ready(Turn::Ended(End::Failed(error))),
        }
    }

    fn take_early(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        if self.session.is_fresh() {
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
            let kick = self.registered.poll_kick(cx);
            if self.transport.wants_write() {
                if self.transport.poll_flush(cx)?.is_pending() {
                    return Ok(self.stalled(kick));
                }
                if self.registered.is_stalled.take() {
                    self.registered.moved_bytes(self.core.clock.age_secs(Instant::now()));
                    self.standing.has_read();
                }
            }
            self.settle_batch();
            if let Some(end) = self.ending.take() {
                return Ok(Poll::Ready(Turn::Ended(end)));
            }
            if self.standing.is_held(cx) {
                return Ok(self.held(cx));
            }
            if executions_left == 0 || std::mem::take(&mut self.is_turn_over) {
                return Ok(Poll::Ready(Turn::Over));
            }
            executions_left -= 1;
            if self.carry.is_ready() {
                self.execute(scratch)?;
                continue;
            }
            if self.peer_is_done {
                return Ok(Poll::Ready(Turn::Ended(End::Peer)));
            }
            match self.transport.poll_receive(cx, &mut scratch.wire, &mut scratch.plain) {
                Poll::Pending => return Ok(self.idle(kick)),
                Poll::Ready(received) => self.received(received, scratch)?,
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
        self.standing.has_read();
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

    /// The limit holds it back, so that nothing is read. Who has closed meanwhile is not waited for
    /// longer than others wait to be refused.
    fn held(&self, cx: &mut Context<'_>) -> Poll<Turn> {
        let is_overdue = self.standing.is_held_for_long(Instant::now());
        if is_overdue && (self.peer_is_done || self.transport.has_peer_closed(cx)) {
            return Poll::Ready(Turn::Ended(End::Peer));
        }
        Poll::Pending
    }

    /// Nothing to read and nothing to send. A drain lets an unfinished command arrive, and so does
    /// the way to another core.
    fn idle(&self, kick: Kick) -> Poll<Turn> {
        let is_between_commands = self.carry.is_empty() && !self.session.is_swallowing();
        match kick {
            Kick::None | Kick::Stall if self.has_served && is_between_commands => {
                match self.core.shared.spread.take_order(self.core.index) {
                    Some(to) => Poll::Ready(Turn::Ended(End::Moves(to))),
                    None => Poll::Pending,
                }
            }
            Kick::None | Kick::Stall => Poll::Pending,
            Kick::Drain if !is_between_commands => Poll::Pending,
            Kick::Drain | Kick::Idle => Poll::Ready(Turn::Ended(End::Kicked(kick))),
        }
    }

    fn settle_batch(&mut self) {
        if let Some((started, batch)) = self.batch.take() {
            let took = started.elapsed();
            self.core.counters.read_latency.record(took, batch.reads);
            self.core.counters.write_latency.record(took, batch.writes);
        }
    }

    /// Executes what `carry` and then `scratch.plain` hold, up to the output's bound, and queues
    /// the replies. What is left of the input becomes `carry`.
    fn execute(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let started = Instant::now();
        self.registered.moved_bytes(self.core.clock.age_secs(started));
        self.core.shared.spread.saw(self.core.index, &mut self.seen_tick);
        self.has_served = true;
        let Some(is_carried) = self.carry.merge(&mut scratch.plain) else { return Ok(()) };
        let input = self.carry.input(is_carried, &scratch.plain);
        let mut batch = Executed::default();
        let now_secs = self.core.clock.unix_secs(started);
        let (toll, held_since) = self.standing.toll(started);
        let mut executor = self.core.executor(now_secs, &mut batch).with_toll(toll);
        let metered = &self.core.counters.traffic.ecpu_units;
        let before = metered.load();
        let (consumed, progress) = self.session.advance(input, &mut scratch.replies, &mut executor);
        self.standing.bill(metered.load() - before, started);
        let needed = match progress {
            Progress::NeedsMore { needed } => needed,
            Progress::OutputFull | Progress::Held => 0,
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
        self.core.counters.traffic.bytes_written.add(scratch.replies.len() as u64);
        let queued = self.transport.queue(&scratch.replies);
        scratch.trim();
        self.batch = Some((held_since.unwrap_or(started), batch));
        queued
    }
}
