//! One TLS connection's bytes: socket to plaintext and back, through buffers that its core shares.
//!
//! The handshake is tokio-rustls'; after it rustls is driven by hand, so that an idle connection
//! owns no read buffer, and a batch of commands costs one read and one write of the socket.

use std::io::{self, IoSlice, Read as _, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection after its handshake.
pub struct Transport {
    stream: TcpStream,
    tls: Box<ServerConnection>,
}

/// What [`Transport::poll_receive`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Plaintext may have been appended.
    Bytes,
    /// The peer sent its last byte; plaintext may have been appended.
    Closed,
}

impl Transport {
    /// Takes over a connection when its handshake is done.
    pub fn new(stream: TcpStream, mut tls: ServerConnection) -> Self {
        // The session bounds its output itself, and must be able to hand over a whole item.
        tls.set_buffer_limit(None);
        Self { stream, tls: Box::new(tls) }
    }

    /// Appends plaintext that came together with the end of the handshake.
    ///
    /// # Errors
    /// None in practice: reading what is buffered does not touch the socket.
    pub fn take_early(&mut self, plain: &mut Vec<u8>) -> io::Result<()> {
        let state = self.tls.process_new_packets().map_err(io::Error::other)?;
        append_plaintext(&mut self.tls, state.plaintext_bytes_to_read(), plain)
    }

    /// Reads the socket once, into `wire`, and appends the plaintext to `plain`.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` where the peer breaks TLS; the alert for it is queued.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Poll<io::Result<Received>> {
        let mut buffer = ReadBuf::new(wire);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let mut rest: &[u8] = buffer.filled();
        if rest.is_empty() {
            return Poll::Ready(Ok(Received::Closed));
        }
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            let state = self
                .tls
                .process_new_packets()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            append_plaintext(&mut self.tls, state.plaintext_bytes_to_read(), plain)?;
            if state.peer_has_closed() {
                return Poll::Ready(Ok(Received::Closed));
            }
        }
        Poll::Ready(Ok(Received::Bytes))
    }

    /// Encrypts `replies`; [`Transport::poll_flush`] sends them.
    ///
    /// # Errors
    /// None in practice: the buffer has no limit of its own.
    pub fn queue(&mut self, replies: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(replies)
    }

    /// Queues the TLS goodbye.
    pub fn queue_close(&mut self) {
        self.tls.send_close_notify();
    }

    /// Whether something waits to be sent.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Sends all that was queued.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// Gives the socket back.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

fn append_plaintext(
    tls: &mut ServerConnection,
    mut bytes: usize,
    plain: &mut Vec<u8>,
) -> io::Result<()> {
    plain.reserve(bytes);
    while bytes > 0 {
        let at = plain.len();
        plain.resize(at + bytes, 0);
        let got = tls.reader().read(&mut plain[at..])?;
        plain.truncate(at + got);
        bytes = if got == 0 { 0 } else { bytes - got };
    }
    Ok(())
}

/// A socket as rustls wants it: a blocking-style writer that says `WouldBlock`.
struct SocketWriter<'a, 'cx> {
    stream: &'a mut TcpStream,
    cx: &'a mut Context<'cx>,
}

impl SocketWriter<'_, '_> {
    fn or_would_block(poll: Poll<io::Result<usize>>) -> io::Result<usize> {
        match poll {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for SocketWriter<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::or_would_block(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::or_would_block(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
