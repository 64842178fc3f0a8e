//! A socket and its TLS state, of either side.
//!
//! rustls is driven by hand: what has gathered is encrypted at once and leaves in one write, and a
//! link that is idle owns no read buffer.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::Connection;
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::error::LinkEnd;
use crate::limits::READ_BYTES_MAX;
use crate::socket::{SocketWriter, append_plaintext};
use crate::stream::Stream;

thread_local! {
    /// What came from a socket, before it is decrypted; no link keeps anything in it.
    static ENCRYPTED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into());
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: Stream,
    pub(crate) tls: Connection,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Plaintext may have been appended.
    Bytes,
    /// The peer has said its last; plaintext may have been appended.
    Closed,
}

impl Transport {
    pub(crate) fn new(stream: Stream, mut tls: Connection) -> Self {
        // The outbox bounds what waits, and is handed over as a whole.
        tls.set_buffer_limit(None);
        Self { stream, tls }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Reads the socket once, and appends the plaintext to `plain`.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Poll<Result<Received, LinkEnd>> {
        ENCRYPTED.with_borrow_mut(|encrypted| {
            let mut buffer = ReadBuf::new(encrypted);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let mut rest = buffer.filled();
            if rest.is_empty() {
                return Poll::Ready(Ok(Received::Closed));
            }
            while !rest.is_empty() {
                if self.tls.read_tls(&mut rest)? == 0 {
                    return Poll::Ready(Ok(Received::Closed));
                }
                let state = self.tls.process_new_packets()?;
                let bytes = state.plaintext_bytes_to_read();
                append_plaintext(self.tls.reader(), bytes, plain)?;
                if state.peer_has_closed() {
                    return Poll::Ready(Ok(Received::Closed));
                }
            }
            Poll::Ready(Ok(Received::Bytes))
        })
    }

    /// Encrypts; [`Transport::poll_flush`] sends it.
    pub(crate) fn queue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(bytes)
    }

    /// Sends all that was queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let mut socket = SocketWriter { stream: &mut self.stream, cx };
            match self.tls.write_tls(&mut socket) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye, as far as the socket takes it now.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.tls.send_close_notify();
        // Whether it arrives changes nothing.
        let _ = self.poll_flush(cx);
        Poll::Ready(())
    }
}
