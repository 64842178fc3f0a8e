//! One connection before the load: whether the endpoint is there, is what it is said to be, and
//! who it is. What is wrong gets one line here, instead of a run full of errors.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustls::{ClientConnection, StreamOwned};

use super::{Endpoint, TlsPeer};
use crate::reply::{Event, Found, read};

/// What an endpoint says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// `plain`, or TLS version and cipher suite.
    pub transport: String,
    /// The answer to `version`.
    pub server_version: String,
}

impl Preflight {
    /// Connects, shakes hands and asks `version`; with `is_any_reply` no version is needed.
    ///
    /// # Errors
    /// One line: what did not work, and what to look at.
    pub fn of(endpoint: &Endpoint, timeout: Duration, is_any_reply: bool) -> anyhow::Result<Self> {
        let mut talk = Talk::begin(endpoint, timeout)?;
        let transport = talk.transport();
        let address = &endpoint.address;
        let hint = match endpoint.tls {
            None => format!("; for a TLS endpoint give tls://{address}, or leave out --plain"),
            Some(_) => String::new(),
        };
        let no_memcached = || format!("{address}: no memcached's reply to `version`{hint}");
        let reply = talk.ask(b"version\r\n").with_context(no_memcached)?;
        match read(&reply) {
            Ok(Found::Event(_, Event::Version(version))) => Ok(Self {
                transport,
                server_version: String::from_utf8_lossy(version).into_owned(),
            }),
            _ if is_any_reply => Ok(Self { transport, server_version: "not told".to_owned() }),
            Ok(Found::Event(_, Event::Error(line))) => {
                bail!("{address}: it answers {}{hint}", String::from_utf8_lossy(line))
            }
            _ => Err(anyhow!(no_memcached())),
        }
    }
}

/// A number of `stats`, such as `evictions`; `None` where the endpoint does not tell it.
///
/// # Errors
/// When the endpoint cannot be asked.
pub fn server_statistic(
    endpoint: &Endpoint,
    name: &str,
    timeout: Duration,
) -> anyhow::Result<Option<u64>> {
    let mut talk = Talk::begin(endpoint, timeout)?;
    let reply = talk.ask_until(b"stats\r\n", b"END\r\n")?;
    let reply = String::from_utf8_lossy(&reply);
    let words = |line: &str| {
        let (found, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        if found == name { value.parse().ok() } else { None }
    };
    Ok(reply.lines().find_map(words))
}

/// The most that is read of a reply.
const REPLY_BYTES_MAX: usize = 1 << 20;

enum Talk {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Talk {
    fn begin(endpoint: &Endpoint, timeout: Duration) -> anyhow::Result<Self> {
        let address = &endpoint.address;
        let stream = TcpStream::connect_timeout(&endpoint.socket, timeout)
            .with_context(|| format!("{address}: failed to connect"))?;
        stream.set_read_timeout(Some(timeout)).context("failed to set a timeout")?;
        stream.set_write_timeout(Some(timeout)).context("failed to set a timeout")?;
        match &endpoint.tls {
            None => Ok(Self::Plain(stream)),
            Some(peer) => shake_hands(stream, peer, address),
        }
    }

    fn transport(&self) -> String {
        let Self::Tls(stream) = self else { return "plain".to_owned() };
        let version = match stream.conn.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let suite = stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
        let suite = suite.and_then(|suite| suite.as_str()).unwrap_or_default();
        format!("{version}, {suite}")
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        self.ask_until(request, b"\n")
    }

    fn ask_until(&mut self, request: &[u8], end: &[u8]) -> io::Result<Vec<u8>> {
        let stream: &mut dyn ReadWrite = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
        };
        stream.write_all(request)?;
        stream.flush()?;
        let mut reply = Vec::new();
        let mut part = [0; 4096];
        while !reply.ends_with(end) {
            match stream.read(&mut part)? {
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed")),
                got => reply.extend_from_slice(&part[..got]),
            }
            if reply.len() > REPLY_BYTES_MAX {
                return Err(io::Error::other("the reply has no end"));
            }
        }
        Ok(reply)
    }
}

trait ReadWrite: Read + Write {}
impl<S: Read + Write> ReadWrite for S {}

fn shake_hands(mut stream: TcpStream, peer: &TlsPeer, address: &str) -> anyhow::Result<Talk> {
    let mut tls = ClientConnection::new(Arc::clone(&peer.config), peer.server_name.clone())
        .with_context(|| format!("{address}: failed to begin TLS"))?;
    while tls.is_handshaking() {
        if let Err(error) = tls.complete_io(&mut stream) {
            return Err(anyhow!("{address}: {}", handshake_failure(&error, address)));
        }
    }
    Ok(Talk::Tls(Box::new(StreamOwned::new(tls, stream))))
}

/// What a failed handshake means to who set up the test.
fn handshake_failure(error: &io::Error, address: &str) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(InvalidCertificate(_)) => format!(
            "its certificate is refused: {error}; give its CA with --ca, its name with \
             --server-name, or take any with --insecure"
        ),
        Some(InvalidMessage(_)) => {
            format!(
                "it does not speak TLS; for a plain endpoint give plain://{address}, or --plain"
            )
        }
        Some(AlertReceived(_)) => {
            format!("it refuses the TLS handshake: {error}; does it want --client-cert?")
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!(
                "it closed during the TLS handshake; for a plain endpoint give plain://{address}, \
                 or --plain"
            )
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}
