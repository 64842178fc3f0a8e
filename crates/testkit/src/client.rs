use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustls::{HandshakeKind, ProtocolVersion};

use crate::transport::{Readiness, Transport};
use crate::{Rng, TlsClient};

/// How long a read waits. Longer than any server needs on a busy machine; only failures take it.
pub(crate) const READ_PATIENCE: Duration = Duration::from_secs(20);

/// A blocking client over TCP or TLS. Every read has a deadline, and every write reads at the same
/// time, so that a pipeline of any length cannot block both ends.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    patience: Duration,
}

/// How the server ended a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// TLS: it said so before it closed.
    CloseNotify,
    /// The stream ended. Over TLS that is a truncation.
    Eof,
    /// The connection was reset, as it is when the server closes with bytes of ours unread.
    Reset,
    /// TLS failed; a certificate that does not verify, an alert from the server.
    Tls(rustls::Error),
}

/// A read or write that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing more arrived in time.
    #[error("nothing more within {READ_PATIENCE:?}, unread so far: {unread:?}")]
    Deadline {
        /// What did arrive, as text with escapes.
        unread: String,
    },
    /// The server ended the connection.
    #[error("connection ended ({ending:?}), unread so far: {unread:?}")]
    Ended {
        /// How.
        ending: Ending,
        /// What did arrive, as text with escapes.
        unread: String,
    },
    /// The socket failed in another way.
    #[error("socket failed")]
    Io(#[from] io::Error),
}

impl Client {
    /// Connects without TLS.
    ///
    /// # Panics
    /// When nothing listens there.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::over(address, None)
    }

    /// Connects and finishes the TLS handshake.
    ///
    /// # Panics
    /// When nothing listens there or the handshake fails.
    #[must_use]
    pub fn tls(address: SocketAddr, client: &TlsClient) -> Self {
        Self::try_tls(address, client)
            .unwrap_or_else(|error| panic!("failed to shake hands with {address}: {error}"))
    }

    /// As [`Client::tls`], for handshakes that may fail.
    ///
    /// # Errors
    /// How the server or the verification ended it. With TLS 1.3 a server refuses a client's
    /// certificate after this has returned: the first read tells.
    ///
    /// # Panics
    /// When nothing listens there.
    pub fn try_tls(address: SocketAddr, client: &TlsClient) -> Result<Self, ClientError> {
        let mut connected = Self::tls_unshaken(address, client);
        let deadline = Instant::now() + connected.patience;
        while connected.transport.is_handshaking() {
            connected.transport.progress(deadline)?;
        }
        connected.transport.flush(deadline)?;
        Ok(connected)
    }

    /// Connects for TLS and sends nothing yet, not even the client's hello.
    ///
    /// # Panics
    /// When nothing listens there.
    #[must_use]
    pub fn tls_unshaken(address: SocketAddr, client: &TlsClient) -> Self {
        Self::over(address, Some(client))
    }

    fn over(address: SocketAddr, tls: Option<&TlsClient>) -> Self {
        Self { transport: Transport::connect(address, tls), patience: READ_PATIENCE }
    }

    /// Lets every later read wait this long.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The client's end of the connection, which is how the server's log names it.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.transport.local_address()
    }

    /// Whether the handshake was a full one or resumed an earlier session.
    #[must_use]
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.transport.tls()?.handshake_kind()
    }

    /// The version of TLS that was agreed on.
    #[must_use]
    pub fn tls_version(&self) -> Option<ProtocolVersion> {
        self.transport.tls()?.protocol_version()
    }

    /// The DER of the server's own certificate.
    #[must_use]
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        Some(self.transport.tls()?.peer_certificates()?.first()?.to_vec())
    }

    /// Sends all of `bytes`, taking in whatever arrives meanwhile.
    ///
    /// # Errors
    /// When the server ends the connection before it took them, or takes none for too long.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let mut left = bytes;
        while !left.is_empty() {
            let deadline = Instant::now() + self.patience;
            let accepted = self.transport.offer(left)?;
            left = &left[accepted..];
            if accepted == 0 {
                self.transport.progress(deadline)?;
            }
        }
        self.transport.flush(Instant::now() + self.patience)
    }

    /// Sends `bytes` over and over without reading anything, until the server has taken none for
    /// `stall` or `bytes_max` were sent. Returns how many bytes it took.
    ///
    /// # Errors
    /// When the server ends the connection.
    pub fn send_until_stalled(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        stall: Duration,
    ) -> Result<usize, ClientError> {
        let mut sent = 0;
        while sent < bytes_max {
            let accepted = self.transport.offer(&bytes[sent % bytes.len()..])?;
            sent += accepted;
            if accepted == 0 && self.transport.push(Instant::now() + stall)? == Readiness::Nothing {
                break;
            }
        }
        Ok(sent)
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// When they do not arrive.
    pub fn read_exact(&mut self, len: usize) -> Result<Vec<u8>, ClientError> {
        self.fill(len)?;
        let bytes = self.unread()[..len].to_vec();
        self.skip(len);
        Ok(bytes)
    }

    /// The next line without its `\r\n`, as text.
    ///
    /// # Errors
    /// When it does not arrive.
    pub fn read_line(&mut self) -> Result<String, ClientError> {
        let bytes = self.read_until(b"\r\n")?;
        Ok(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned())
    }

    /// Everything up to and with the next `end`.
    ///
    /// # Errors
    /// When it does not arrive.
    pub fn read_until(&mut self, end: &[u8]) -> Result<Vec<u8>, ClientError> {
        let mut searched = 0;
        loop {
            let unread = &self.unread()[searched..];
            if let Some(at) = unread.windows(end.len()).position(|window| window == end) {
                return self.read_exact(searched + at + end.len());
            }
            searched = self.unread().len().saturating_sub(end.len() - 1);
            self.fill(self.unread().len() + 1)?;
        }
    }

    /// Sends `request`, and returns all that is answered to it, found out by a `mn` behind it. The
    /// reply must hold no line `MN` of its own.
    ///
    /// # Errors
    /// When the connection ends or answers no `mn`.
    pub fn ask(&mut self, request: &[u8]) -> Result<String, ClientError> {
        let mut bytes = request.to_vec();
        bytes.extend_from_slice(b"mn\r\n");
        self.send(&bytes)?;
        Ok(String::from_utf8_lossy(&self.read_reply()?).into_owned())
    }

    /// What comes before the next line `MN`, the reply to a `mn` that was sent.
    ///
    /// # Errors
    /// When that does not arrive.
    pub fn read_reply(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut reply = Vec::new();
        loop {
            reply.extend(self.read_until(b"MN\r\n")?);
            let end = reply.len() - 4;
            if end == 0 || reply[end - 1] == b'\n' {
                reply.truncate(end);
                return Ok(reply);
            }
        }
    }

    /// Sends commands, each with a `mn` behind it, in parts of random lengths; [`Client::read_reply`]
    /// then gives the reply to each.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_in_parts(
        &mut self,
        commands: &[Vec<u8>],
        rng: &mut Rng,
    ) -> Result<(), ClientError> {
        let bytes: Vec<u8> =
            commands.iter().flat_map(|command| [command, &b"mn\r\n"[..]].concat()).collect();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let len = if rng.percent(50) { rest.len() } else { 1 + rng.below(rest.len()) };
            let (part, left) = rest.split_at(len);
            self.send(part)?;
            rest = left;
        }
        Ok(())
    }

    /// Everything until the server ends the connection, and how it did.
    ///
    /// # Errors
    /// When it does not end it.
    pub fn read_to_end(&mut self) -> Result<(Vec<u8>, Ending), ClientError> {
        let ending = loop {
            match self.fill(self.unread().len() + 1) {
                Ok(()) => {}
                Err(ClientError::Ended { ending, .. }) => break ending,
                Err(error) => return Err(error),
            }
        };
        let bytes = self.unread().to_vec();
        self.skip(bytes.len());
        Ok((bytes, ending))
    }

    /// Waits until at least `len` bytes are there to be read.
    ///
    /// # Errors
    /// When they do not arrive.
    pub fn fill(&mut self, len: usize) -> Result<(), ClientError> {
        self.fill_within(len, self.patience)
    }

    /// As [`Client::fill`], waiting only this long for each part.
    ///
    /// # Errors
    /// When they do not arrive.
    pub fn fill_within(&mut self, len: usize, patience: Duration) -> Result<(), ClientError> {
        let mut deadline = Instant::now() + patience;
        while self.unread().len() < len {
            let before = self.unread().len();
            self.transport.progress(deadline)?;
            if self.unread().len() > before {
                deadline = Instant::now() + patience;
            }
        }
        Ok(())
    }

    /// What has arrived and was not read; [`Client::fill`] waits for more.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.transport.unread()
    }

    /// Drops that many bytes of [`Client::unread`].
    pub fn skip(&mut self, len: usize) {
        self.transport.skip(len);
    }

    /// Closes the sending side: over TLS with a close_notify, then the socket's.
    ///
    /// # Errors
    /// When the connection has ended already.
    pub fn finish_sending(&mut self) -> Result<(), ClientError> {
        self.transport.finish_sending(Instant::now() + self.patience)
    }
}
