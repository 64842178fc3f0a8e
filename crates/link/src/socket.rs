//! What rustls, driven by hand, needs of a tokio socket; for links and for clients' connections.

use std::io::{self, IoSlice, Read as _, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::Reader;
use tokio::io::AsyncWrite;

/// Appends the plaintext that waits, of so many bytes, to `plain`.
///
/// # Errors
/// Where the TLS state does not give it.
pub fn append_plaintext(
    mut reader: Reader<'_>,
    mut bytes: usize,
    plain: &mut Vec<u8>,
) -> io::Result<()> {
    plain.reserve(bytes);
    while bytes > 0 {
        let at = plain.len();
        plain.resize(at + bytes, 0);
        let got = reader.read(&mut plain[at..])?;
        plain.truncate(at + got);
        bytes = if got == 0 { 0 } else { bytes - got };
    }
    Ok(())
}

/// A socket as rustls wants it: a blocking-style writer that says `WouldBlock`, and has the task
/// woken when that is over.
#[derive(Debug)]
pub struct SocketWriter<'a, 'cx, S> {
    /// Where to.
    pub stream: &'a mut S,
    /// Whom to wake.
    pub cx: &'a mut Context<'cx>,
}

impl<S> SocketWriter<'_, '_, S> {
    fn or_would_block(poll: Poll<io::Result<usize>>) -> io::Result<usize> {
        match poll {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for SocketWriter<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::or_would_block(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // send(2) does less than writev(2).
        if let [slice] = slices {
            return self.write(slice);
        }
        Self::or_would_block(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
