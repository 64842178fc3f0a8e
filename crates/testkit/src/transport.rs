use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ClientConnection;

use crate::client::READ_PATIENCE;
use crate::{ClientError, Ending, TlsClient};

/// Bytes taken from the socket at a time.
const READ_CHUNK_BYTES: usize = 64 * 1024;

/// A non-blocking TCP socket with or without TLS over it, and what has arrived on it.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    received: Vec<u8>,
    taken: usize,
    ending: Option<Ending>,
    /// The socket took less than it was offered.
    is_write_blocked: bool,
}

/// Whether something came about before the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Something,
    Nothing,
}

impl Transport {
    pub(crate) fn connect(address: SocketAddr, tls: Option<&TlsClient>) -> Self {
        let socket = TcpStream::connect_timeout(&address, READ_PATIENCE)
            .unwrap_or_else(|error| panic!("failed to connect to {address}: {error}"));
        socket.set_nodelay(true).expect("a TCP socket can be told not to delay");
        socket.set_nonblocking(true).expect("a socket can be made non-blocking");
        Self {
            socket,
            tls: tls.map(|client| Box::new(client.connection())),
            received: Vec::new(),
            taken: 0,
            ending: None,
            is_write_blocked: false,
        }
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a connected socket has an address")
    }

    pub(crate) fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref()
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls().is_some_and(|tls| tls.is_handshaking())
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.received[self.taken..]
    }

    pub(crate) fn skip(&mut self, len: usize) {
        self.taken += len;
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
    }

    /// Hands over as much as is taken at once, without waiting.
    pub(crate) fn offer(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        if let Some(tls) = &mut self.tls {
            let mut accepted = tls.writer().write(bytes)?;
            self.write_records()?;
            if accepted == 0 && !self.wants_write() {
                // There is room now, and nothing that a wait would end with.
                accepted = self.tls_writer_takes(bytes)?;
                self.write_records()?;
            }
            return Ok(accepted);
        }
        match self.socket.write(bytes) {
            Ok(accepted) => Ok(accepted),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_write_blocked = true;
                Ok(0)
            }
            Err(error) => self.fail(error).map(|()| 0),
        }
    }

    fn tls_writer_takes(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        Ok(self.tls.as_mut().map_or(Ok(0), |tls| tls.writer().write(bytes))?)
    }

    /// Writes out what the TLS session holds back.
    pub(crate) fn flush(&mut self, deadline: Instant) -> Result<(), ClientError> {
        while self.wants_write() {
            self.write_records()?;
            if self.wants_write() {
                self.progress(deadline)?;
            }
        }
        Ok(())
    }

    /// Waits until more can be written, and reads nothing.
    pub(crate) fn push(&mut self, deadline: Instant) -> Result<Readiness, ClientError> {
        if self.wait_for(PollFlags::OUT, deadline)?.is_empty() {
            return Ok(Readiness::Nothing);
        }
        self.is_write_blocked = false;
        self.write_records()?;
        Ok(Readiness::Something)
    }

    /// Waits until something can be read, or written where something waits to be, and does it.
    pub(crate) fn progress(&mut self, deadline: Instant) -> Result<(), ClientError> {
        if let Some(ending) = &self.ending {
            return Err(ClientError::Ended { ending: ending.clone(), unread: self.escaped() });
        }
        let writes = if self.wants_write() || self.is_write_blocked {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        let ready = self.wait_for(PollFlags::IN | writes, deadline)?;
        if ready.is_empty() {
            return Err(ClientError::Deadline { unread: self.escaped() });
        }
        if ready.contains(PollFlags::OUT) {
            self.is_write_blocked = false;
            self.write_records()?;
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.take_in()?;
        }
        Ok(())
    }

    pub(crate) fn finish_sending(&mut self, deadline: Instant) -> Result<(), ClientError> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.flush(deadline)?;
        Ok(self.socket.shutdown(Shutdown::Write)?)
    }

    fn wants_write(&self) -> bool {
        self.tls().is_some_and(|tls| tls.wants_write())
    }

    fn write_records(&mut self) -> Result<(), ClientError> {
        while self.wants_write() {
            let Some(tls) = &mut self.tls else { break };
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return self.fail(error),
            }
        }
        Ok(())
    }

    fn take_in(&mut self) -> Result<(), ClientError> {
        match self.read_some() {
            Ok(0) => self.ending = self.ending.take().or(Some(Ending::Eof)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return self.fail(error),
        }
        Ok(())
    }

    /// One read from the socket; 0 is its end.
    fn read_some(&mut self) -> io::Result<usize> {
        if let Some(tls) = &mut self.tls {
            let len = tls.read_tls(&mut self.socket)?;
            self.decrypt();
            return Ok(len);
        }
        let mut chunk = vec![0; READ_CHUNK_BYTES];
        let len = self.socket.read(&mut chunk)?;
        self.received.extend_from_slice(&chunk[..len]);
        Ok(len)
    }

    fn decrypt(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        let outcome = tls.process_new_packets();
        let mut plain = Vec::new();
        // Ends in WouldBlock while the connection lives; what was read before it stays.
        drop(tls.reader().read_to_end(&mut plain));
        self.received.extend_from_slice(&plain);
        match outcome {
            Err(error) => self.ending = Some(Ending::Tls(error)),
            Ok(state) if state.peer_has_closed() => self.ending = Some(Ending::CloseNotify),
            Ok(_) => {}
        }
    }

    fn wait_for(&self, events: PollFlags, deadline: Instant) -> Result<PollFlags, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("a patience is short");
        let mut watched = [PollFd::from_borrowed_fd(self.socket.as_fd(), events)];
        poll(&mut watched, Some(&timeout)).map_err(io::Error::from)?;
        Ok(watched[0].revents())
    }

    /// A socket error: an ended connection, where it is that, with what arrived before.
    fn fail(&mut self, error: io::Error) -> Result<(), ClientError> {
        let is_end = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
        );
        if !is_end {
            return Err(error.into());
        }
        // What the server said before it closed is still to be read.
        while matches!(self.read_some(), Ok(1..)) {}
        let ending = self.ending.get_or_insert(Ending::Reset).clone();
        Err(ClientError::Ended { ending, unread: self.escaped() })
    }

    fn escaped(&self) -> String {
        let unread = self.unread();
        let shown = &unread[unread.len().saturating_sub(400)..];
        shown.escape_ascii().to_string()
    }
}
