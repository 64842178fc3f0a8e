//! A socket and what guards it, of either side.
//!
//! rustls is driven by hand: what has gathered is encrypted at once and leaves in one write, and a
//! link that is idle owns no read buffer.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memtide_wire::PrefaceError;
use rustls::Connection;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::error::LinkEnd;
use crate::limits::{IDLE_BYTES_KEPT, READ_BYTES_MAX};
use crate::socket::{SocketWriter, append_plaintext};
use crate::stream::Stream;

thread_local! {
    /// What came from a socket, before it is decrypted; no link keeps anything in it.
    static INCOMING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES_MAX].into());
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: Stream,
    guard: Guard,
}

/// What keeps others from reading and writing.
#[derive(Debug)]
enum Guard {
    Tls(Box<Connection>),
    /// The kernel, of a socket within a host whose ends have proved by TLS who they are.
    Host {
        certificates: Vec<CertificateDer<'static>>,
        /// What was queued.
        unsent: Vec<u8>,
        /// Bytes of it that the socket has.
        sent: usize,
    },
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
        Self { stream, guard: Guard::Tls(tls.into()) }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(&self.guard, Guard::Tls(tls) if tls.is_handshaking())
    }

    pub(crate) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        match &self.guard {
            Guard::Tls(tls) => tls.peer_certificates().unwrap_or_default(),
            Guard::Host { certificates, .. } => certificates,
        }
    }

    /// Goes on without TLS, of which all was received and sent, and nothing is left in `plain`.
    pub(crate) fn leave_tls(&mut self, plain: &[u8]) -> Result<(), PrefaceError> {
        if !plain.is_empty() {
            return Err(PrefaceError::Foreign);
        }
        let certificates = self.peer_certificates().to_vec();
        self.guard = Guard::Host { certificates, unsent: Vec::new(), sent: 0 };
        Ok(())
    }

    /// Reads the socket once, and appends the plaintext to `plain`.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        plain: &mut Vec<u8>,
    ) -> Poll<Result<Received, LinkEnd>> {
        INCOMING.with_borrow_mut(|incoming| {
            let mut buffer = ReadBuf::new(incoming);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Received::Closed));
            }
            match &mut self.guard {
                Guard::Tls(tls) => Poll::Ready(decrypt(tls, bytes, plain)),
                Guard::Host { .. } => {
                    plain.extend_from_slice(bytes);
                    Poll::Ready(Ok(Received::Bytes))
                }
            }
        })
    }

    /// Takes all of it, and leaves an empty buffer; [`Transport::poll_flush`] sends it.
    pub(crate) fn queue(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.guard {
            Guard::Tls(tls) => tls.writer().write_all(bytes)?,
            Guard::Host { unsent, .. } if unsent.is_empty() => core::mem::swap(unsent, bytes),
            Guard::Host { unsent, .. } => unsent.append(bytes),
        }
        bytes.clear();
        Ok(())
    }

    /// Sends all that was queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_unsent() {
            if ready!(self.poll_write(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn has_unsent(&self) -> bool {
        match &self.guard {
            Guard::Tls(tls) => tls.wants_write(),
            Guard::Host { unsent, .. } => !unsent.is_empty(),
        }
    }

    /// Writes once.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &mut self.guard {
            Guard::Tls(tls) => {
                match tls.write_tls(&mut SocketWriter { stream: &mut self.stream, cx }) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    written => Poll::Ready(written),
                }
            }
            Guard::Host { unsent, sent, .. } => {
                let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &unsent[*sent..]))?;
                *sent += written;
                if *sent == unsent.len() {
                    unsent.clear();
                    unsent.shrink_to(IDLE_BYTES_KEPT);
                    *sent = 0;
                }
                Poll::Ready(Ok(written))
            }
        }
    }

    /// Says goodbye, as far as the socket takes it now.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Guard::Tls(tls) = &mut self.guard {
            tls.send_close_notify();
        }
        // Whether it arrives changes nothing.
        let _ = self.poll_flush(cx);
        Poll::Ready(())
    }
}

fn decrypt(
    tls: &mut Connection,
    mut encrypted: &[u8],
    plain: &mut Vec<u8>,
) -> Result<Received, LinkEnd> {
    while !encrypted.is_empty() {
        if tls.read_tls(&mut encrypted)? == 0 {
            return Ok(Received::Closed);
        }
        let state = tls.process_new_packets()?;
        let bytes = state.plaintext_bytes_to_read();
        append_plaintext(tls.reader(), bytes, plain)?;
        if state.peer_has_closed() {
            return Ok(Received::Closed);
        }
    }
    Ok(Received::Bytes)
}
