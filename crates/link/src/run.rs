//! A link at work.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use memtide_wire::{WireError, frame_len};
use rustix::net::sockopt;

use crate::error::LinkEnd;
use crate::handshake::Link;
use crate::limits::{IDLE_BYTES_KEPT, STEPS_PER_TURN_MAX};
use crate::outbox::{Outbox, State};
use crate::transport::Received;

/// What a link's owner allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a frame that the peer may send, its header included.
    pub frame_bytes_max: usize,
    /// Queued bytes from which on the peer is not listened to, until it has taken some: for who
    /// answers. `usize::MAX` for links between equals, of which two that wait for each other would
    /// do so for ever.
    pub unsent_bytes_max: usize,
}

impl Link {
    /// Has the kernel keep about so many bytes each way, instead of what it finds good for throughput:
    /// whatever is said waits behind them.
    ///
    /// # Errors
    /// When the system refuses; then the link is as it was.
    pub fn bound_socket(&self, bytes: usize) -> io::Result<()> {
        let stream = self.transport.stream();
        sockopt::set_socket_send_buffer_size(stream, bytes)?;
        sockopt::set_socket_recv_buffer_size(stream, bytes)?;
        Ok(())
    }

    /// Reads and writes until the connection ends.
    ///
    /// `take` is shown all bytes that were not consumed yet and returns how many it consumes: whole
    /// frames only, but not necessarily all of them, and the rest is shown again once less than
    /// `unsent_bytes_max` is queued, or more has come. It may push to the outbox.
    pub async fn run(
        self,
        bounds: Bounds,
        outbox: &Outbox,
        mut take: impl FnMut(&[u8]) -> Result<usize, WireError>,
    ) -> LinkEnd {
        let is_untaken = !self.plain.is_empty();
        let mut running = Running { link: self, bounds, outbox, spare: Vec::new(), is_untaken };
        let end = poll_fn(|cx| running.poll(cx, &mut take)).await;
        poll_fn(|cx| running.link.transport.poll_close(cx)).await;
        // Who pushes from now on learns that nothing arrives.
        outbox.close();
        end
    }
}

struct Running<'o> {
    link: Link,
    bounds: Bounds,
    outbox: &'o Outbox,
    /// A buffer to be exchanged for the outbox's.
    spare: Vec<u8>,
    /// There may be a whole frame that was not consumed.
    is_untaken: bool,
}

impl Running<'_> {
    /// Ready when the link has ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&[u8]) -> Result<usize, WireError>,
    ) -> Poll<LinkEnd> {
        self.outbox.begin_turn();
        let mut is_more = true;
        for _ in 0..STEPS_PER_TURN_MAX {
            match self.step(cx, take) {
                Ok(true) => {}
                Ok(false) => {
                    is_more = false;
                    break;
                }
                Err(end) => return Poll::Ready(end),
            }
        }
        if is_more {
            // After all that is ready by then, sockets included.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        self.outbox.end_turn(cx.waker());
        Poll::Pending
    }

    /// Sends what has gathered, reads once, and has taken what came; says whether there may be more
    /// to do at once.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&[u8]) -> Result<usize, WireError>,
    ) -> Result<bool, LinkEnd> {
        self.check()?;
        let is_sent = match self.poll_send(cx) {
            Poll::Ready(sent) => sent.map(|()| true)?,
            Poll::Pending => false,
        };
        if is_sent && self.outbox.state() == State::Finishing {
            return Err(LinkEnd::Ours);
        }
        let mut received = Poll::Pending;
        let was_untaken = self.is_untaken;
        if !self.is_untaken && self.is_listening() {
            received = self.link.transport.poll_receive(cx, &mut self.link.plain)?;
            self.is_untaken = received.is_ready();
        }
        let has_taken = self.is_untaken && self.is_listening() && self.take(take)?;
        self.check()?;
        // What is left may be the begin of a frame, as of one that came right behind the greeting: then the socket, which
        // nobody has looked at, is to say when there is more.
        let is_to_receive = was_untaken && !self.is_untaken;
        match received {
            Poll::Ready(Received::Closed) => Err(LinkEnd::Closed),
            Poll::Ready(Received::Bytes) => Ok(true),
            Poll::Pending => Ok(has_taken || is_to_receive || (is_sent && !self.outbox.is_empty())),
        }
    }

    fn check(&self) -> Result<(), LinkEnd> {
        match self.outbox.state() {
            State::Open | State::Finishing => Ok(()),
            State::Closed => Err(LinkEnd::Ours),
            State::Overflown(bytes) => Err(LinkEnd::Overflow(bytes)),
        }
    }

    fn is_listening(&self) -> bool {
        self.outbox.queued_bytes() < self.bounds.unsent_bytes_max
    }

    /// Ready when the socket has all that had gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkEnd>> {
        let transport = &mut self.link.transport;
        ready!(transport.poll_flush(cx))?;
        self.outbox.set_under_way(0);
        if self.outbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let mut bytes = self.outbox.take(core::mem::take(&mut self.spare));
        self.outbox.set_under_way(bytes.len());
        transport.queue(&mut bytes)?;
        bytes.shrink_to(IDLE_BYTES_KEPT);
        self.spare = bytes;
        ready!(transport.poll_flush(cx))?;
        self.outbox.set_under_way(0);
        Poll::Ready(Ok(()))
    }

    /// Says whether anything was consumed.
    fn take(
        &mut self,
        take: &mut impl FnMut(&[u8]) -> Result<usize, WireError>,
    ) -> Result<bool, LinkEnd> {
        let plain = &mut self.link.plain;
        let consumed = take(plain)?;
        plain.drain(..consumed);
        let first = frame_len(plain, self.bounds.frame_bytes_max)?;
        self.is_untaken = first.is_some_and(|len| len <= plain.len());
        if plain.is_empty() {
            plain.shrink_to(IDLE_BYTES_KEPT);
        }
        Ok(consumed > 0)
    }
}
