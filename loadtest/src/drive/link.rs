//! One connection to the endpoint: TCP, or TLS with rustls driven by hand, without ever blocking.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustls::{ClientConnection, HandshakeKind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::drive::Nanos;
use crate::endpoint::{Endpoint, TlsPeer};
use crate::measure::Trouble;

/// The most that is read of a socket at once.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    stage: Stage,
    began: Nanos,
    /// Requests that are not yet handed to TLS or the socket.
    pub out: Vec<u8>,
    /// Bytes of `out` that the socket has taken, without TLS.
    sent: usize,
    /// Reply bytes that do not make a whole event yet.
    pub carry: Vec<u8>,
    /// With fewer bytes than these in `carry`, there is no whole event.
    pub needed: usize,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// TCP is being set up.
    Connecting,
    /// TLS is.
    Handshaking,
    /// Requests can be sent.
    Open,
}

/// Why a connection is of no use any more.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pub trouble: Trouble,
    pub text: String,
}

impl Broken {
    pub fn new(trouble: Trouble, text: impl ToString) -> Self {
        Self { trouble, text: text.to_string() }
    }

    fn of(error: &io::Error, otherwise: Trouble) -> Self {
        let trouble = match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Trouble::Reset,
            _ => otherwise,
        };
        Self::new(trouble, error)
    }
}

/// What reading the socket once gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Perhaps plaintext; and there may be more in the socket.
    Some,
    /// Perhaps plaintext; the socket is empty, unless an end of the stream waits in it.
    All,
    /// No plaintext; the socket was empty.
    Nothing,
    /// The peer said goodbye, for TLS with a close_notify; perhaps plaintext before.
    Goodbye,
    /// The stream ended without TLS's close_notify.
    Cut,
}

/// Buffers that all connections of a thread share.
#[derive(Debug)]
pub(super) struct Scratch {
    wire: Vec<u8>,
    /// What [`Link::receive`] got.
    pub plain: Vec<u8>,
}

impl Scratch {
    pub fn new() -> Self {
        Self { wire: Vec::with_capacity(READ_BYTES_MAX), plain: Vec::with_capacity(READ_BYTES_MAX) }
    }
}

impl Link {
    /// Begins a connection; [`Self::advance`] carries it on when its socket is ready.
    pub fn dial(endpoint: &Endpoint, now: Nanos) -> Result<Self, Broken> {
        let broken = |error: io::Error| Broken::new(Trouble::Connect, error);
        let domain = Domain::for_address(endpoint.socket);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP));
        let socket = socket.map_err(broken)?;
        socket.set_tcp_nodelay(true).map_err(broken)?;
        match socket.connect(&endpoint.socket.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(broken(error)),
        }
        let tls = endpoint.tls.as_ref().map(client).transpose()?;
        Ok(Self {
            stream: socket.into(),
            tls,
            stage: Stage::Connecting,
            began: now,
            out: Vec::new(),
            sent: 0,
            carry: Vec::new(),
            needed: 0,
        })
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When it was begun.
    pub fn began(&self) -> Nanos {
        self.began
    }

    /// Whether its TLS session was resumed.
    pub fn is_resumed(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Carries connecting and shaking hands as far as they go without waiting.
    pub fn advance(&mut self) -> Result<Stage, Broken> {
        if self.stage == Stage::Connecting {
            let error = self.stream.take_error().unwrap_or_else(Some);
            if let Some(error) = error {
                return Err(Broken::new(Trouble::Connect, error));
            }
            if self.stream.peer_addr().is_err() {
                return Ok(Stage::Connecting);
            }
            self.stage = if self.tls.is_some() { Stage::Handshaking } else { Stage::Open };
        }
        if self.stage == Stage::Handshaking {
            self.shake_hands()?;
        }
        Ok(self.stage)
    }

    fn shake_hands(&mut self) -> Result<(), Broken> {
        let broken = |error: io::Error| {
            let Broken { trouble, text } = Broken::of(&error, Trouble::Handshake);
            Broken { trouble, text: format!("TLS handshake: {text}") }
        };
        let tls = self.tls.as_mut().expect("only TLS has this stage");
        loop {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(broken(error)),
                }
            }
            if !tls.is_handshaking() {
                self.stage = Stage::Open;
                return Ok(());
            }
            match tls.read_tls(&mut self.stream) {
                Ok(0) => return Err(Broken::new(Trouble::Handshake, "closed in the handshake")),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(broken(error)),
            }
            if let Err(error) = tls.process_new_packets() {
                return Err(Broken::new(Trouble::Handshake, error));
            }
        }
    }

    /// Sends what is in `out`, as far as the socket takes it; the rest goes when it is writable.
    pub fn flush(&mut self) -> Result<(), Broken> {
        let broken = |error: io::Error| Broken::of(&error, Trouble::Truncated);
        let Some(tls) = &mut self.tls else {
            while self.sent < self.out.len() {
                match (&self.stream).write(&self.out[self.sent..]) {
                    Ok(written) => self.sent += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(broken(error)),
                }
            }
            self.out.clear();
            self.sent = 0;
            return Ok(());
        };
        if !self.out.is_empty() {
            tls.writer().write_all(&self.out).map_err(broken)?;
            self.out.clear();
        }
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }

    /// Reads the socket once; the plaintext is in `scratch` alone.
    pub fn receive(&mut self, scratch: &mut Scratch) -> Result<Received, Broken> {
        scratch.plain.clear();
        let into = if self.tls.is_some() { &mut scratch.wire } else { &mut scratch.plain };
        into.clear();
        let got = loop {
            match rustix::io::read(&self.stream, spare_capacity(into)) {
                Ok(got) => break got,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Nothing),
                Err(error) => return Err(Broken::of(&error.into(), Trouble::Truncated)),
            }
        };
        let is_full = got == into.capacity();
        match &mut self.tls {
            None if got == 0 => return Ok(Received::Goodbye),
            None => {}
            Some(tls) => {
                if decrypt(tls, &scratch.wire, &mut scratch.plain)? {
                    return Ok(Received::Goodbye);
                }
                if got == 0 {
                    return Ok(Received::Cut);
                }
            }
        }
        Ok(if is_full { Received::Some } else { Received::All })
    }

    /// Says TLS's goodbye, if the socket takes it at once.
    pub fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Who leaves does not wait.
            let _ = tls.write_tls(&mut self.stream);
        }
    }
}

fn client(peer: &TlsPeer) -> Result<Box<ClientConnection>, Broken> {
    let mut tls = ClientConnection::new(Arc::clone(&peer.config), peer.server_name.clone())
        .map_err(|error| Broken::new(Trouble::Handshake, error))?;
    // What is in flight is bounded by the pipeline.
    tls.set_buffer_limit(None);
    Ok(Box::new(tls))
}

/// Whether the peer has said goodbye. What came with the handshake is taken too.
fn decrypt(
    tls: &mut ClientConnection,
    mut wire: &[u8],
    plain: &mut Vec<u8>,
) -> Result<bool, Broken> {
    let broken = |error: io::Error| Broken::of(&error, Trouble::Truncated);
    loop {
        if !wire.is_empty() {
            tls.read_tls(&mut wire).map_err(broken)?;
        }
        let state = tls
            .process_new_packets()
            .map_err(|error| Broken::new(Trouble::Truncated, format!("TLS: {error}")))?;
        let mut waiting = state.plaintext_bytes_to_read();
        while waiting > 0 {
            let at = plain.len();
            plain.resize(at + waiting, 0);
            let got = tls.reader().read(&mut plain[at..]).map_err(broken)?;
            plain.truncate(at + got);
            waiting -= got.max(1);
        }
        if state.peer_has_closed() || wire.is_empty() {
            return Ok(state.peer_has_closed());
        }
    }
}
