//! From a socket to a link: TLS, then a preface in each direction, and where both speak a version that has one a
//! greeting, then within a host the end of TLS.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::Poll;

use memtide_wire::{Frame, Greeting, Preface, PrefaceError};
use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use crate::error::{LinkEnd, LinkError};
use crate::limits::{HANDSHAKE_MAX, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, UNACKNOWLEDGED_MAX};
use crate::stream::Stream;
use crate::transport::{Received, Transport};

/// What is sent last by TLS where a link goes on without it.
const LAST_OF_TLS: u8 = 1;
/// What is sent first without TLS.
const FIRST_WITHOUT_TLS: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Dialer,
    Acceptor,
}

/// How this side introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// What it says to everybody.
    pub preface: Preface,
    /// What it says besides to those who speak a version that has it.
    pub greeting: Greeting,
}

/// A connection whose ends know each other, before [`Link::run`].
#[derive(Debug)]
pub struct Link {
    pub(crate) transport: Transport,
    /// What came behind the preface.
    pub(crate) plain: Vec<u8>,
    peer: Preface,
    version: u16,
}

/// Makes a link of a socket that was connected: shakes hands, checks that the peer's certificate
/// has this name, introduces this side and hears who the peer is.
///
/// # Errors
/// Where the peer is not who it should be, speaks no version that this side does, is of another fleet,
/// or takes longer than [`HANDSHAKE_MAX`].
pub async fn connect(
    stream: impl Into<Stream>,
    tls: Arc<ClientConfig>,
    expected: ServerName<'static>,
    me: &Introduction,
) -> Result<Link, LinkError> {
    let tls = ClientConnection::new(tls, expected).map_err(LinkError::Tls)?;
    in_time(begin(Transport::new(stream.into(), tls.into()), me, Side::Dialer)).await
}

/// Makes a link of a socket that was accepted. Whether the peer needs a certificate is for `tls` to
/// say; whose it is, [`Link::peer_certificates`] tells.
///
/// # Errors
/// As [`connect`].
pub async fn accept(
    stream: impl Into<Stream>,
    tls: Arc<ServerConfig>,
    me: &Introduction,
) -> Result<Link, LinkError> {
    let tls = ServerConnection::new(tls).map_err(LinkError::Tls)?;
    in_time(begin(Transport::new(stream.into(), tls.into()), me, Side::Acceptor)).await
}

impl Link {
    /// How the peer has introduced itself.
    #[must_use]
    pub const fn peer(&self) -> &Preface {
        &self.peer
    }

    /// The version of the node protocol that both speak.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// What the peer has proved to be; empty where it needed not.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.transport.peer_certificates()
    }
}

async fn in_time<T>(begin: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
    tokio::time::timeout(HANDSHAKE_MAX, begin).await.unwrap_or(Err(LinkError::Slow))
}

async fn begin(
    mut transport: Transport,
    Introduction { preface: me, greeting }: &Introduction,
    side: Side,
) -> Result<Link, LinkError> {
    transport.set_options().map_err(LinkEnd::from)?;
    let mut plain = Vec::new();
    transport.shake_hands(&mut plain).await?;
    let leaves_tls = matches!(transport.stream(), Stream::Unix(_));
    let mut preface = Vec::new();
    Preface { leaves_tls, ..me.clone() }.encode(&mut preface);
    transport.queue(&mut preface).map_err(LinkEnd::from)?;
    transport.flush().await?;
    let peer = loop {
        if let Some((peer, len)) = Preface::decode(&plain)? {
            plain.drain(..len);
            break peer;
        }
        transport.receive(&mut plain).await?;
    };
    let version = match me.versions.agree(peer.versions) {
        Ok(version) => version,
        Err(error) => return Err(transport.refuse(error.into()).await),
    };
    // Who is of another cache is turned away by whoever has dialled or accepted, who says so.
    if version >= Greeting::SINCE && peer.cache == me.cache {
        greet(&mut transport, &mut plain, *greeting).await?;
    }
    if leaves_tls && peer.leaves_tls {
        leave_tls(&mut transport, &mut plain, side).await?;
    }
    Ok(Link { transport, plain, peer, version })
}

/// Says which fleet this side is of, and hears that the peer is of no other.
async fn greet(
    transport: &mut Transport,
    plain: &mut Vec<u8>,
    mine: Greeting,
) -> Result<(), LinkError> {
    let mut frame = Vec::new();
    mine.encode(&mut frame);
    transport.queue(&mut frame).map_err(LinkEnd::from)?;
    transport.flush().await?;
    let theirs = loop {
        if let Some((frame, rest)) = Frame::split(plain, Greeting::BYTES_MAX)? {
            let (theirs, rest) = (Greeting::decode(&frame)?, rest.len());
            plain.drain(..plain.len() - rest);
            break theirs;
        }
        transport.receive(plain).await?;
    };
    match mine.fits(theirs) {
        true => Ok(()),
        false => {
            let (theirs, ours) = (theirs.fleet, mine.fleet);
            Err(transport.refuse(LinkError::Fleet { theirs, ours }).await)
        }
    }
}

/// Goes on without TLS on a socket that nobody but the kernel can come between.
///
/// Only if both sides said that they have such a socket: one who stands between two would have one of
/// another kind on either side. In turns, so that TLS never reads what is not its own: nobody sends
/// without TLS until the other side has read its last of TLS.
async fn leave_tls(
    transport: &mut Transport,
    plain: &mut Vec<u8>,
    side: Side,
) -> Result<(), LinkError> {
    match side {
        Side::Dialer => {
            transport.send(LAST_OF_TLS).await?;
            transport.expect(LAST_OF_TLS, plain).await?;
            transport.leave_tls(plain)?;
            transport.send(FIRST_WITHOUT_TLS).await?;
        }
        Side::Acceptor => {
            transport.expect(LAST_OF_TLS, plain).await?;
            transport.send(LAST_OF_TLS).await?;
            transport.leave_tls(plain)?;
            transport.expect(FIRST_WITHOUT_TLS, plain).await?;
        }
    }
    Ok(())
}

impl Transport {
    /// Small frames leave at once, and a host that vanished is noticed: both only matter between hosts.
    fn set_options(&self) -> io::Result<()> {
        let Stream::Tcp(stream) = self.stream() else { return Ok(()) };
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(stream, true)?;
        sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
        let millis = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(stream, millis)?;
        Ok(())
    }

    async fn shake_hands(&mut self, plain: &mut Vec<u8>) -> Result<(), LinkEnd> {
        while self.is_handshaking() {
            self.flush().await?;
            if let Err(error) = self.receive(plain).await {
                // The alert; whether it arrives changes nothing.
                let _ = poll_fn(|cx| Poll::Ready(self.poll_flush(cx).is_ready())).await;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn send(&mut self, byte: u8) -> Result<(), LinkEnd> {
        self.queue(&mut vec![byte])?;
        self.flush().await
    }

    /// Hears this byte next.
    async fn expect(&mut self, byte: u8, plain: &mut Vec<u8>) -> Result<(), LinkError> {
        while plain.is_empty() {
            self.receive(plain).await?;
        }
        match plain.remove(0) == byte {
            true => Ok(()),
            false => Err(LinkError::Preface(PrefaceError::Foreign)),
        }
    }

    async fn flush(&mut self) -> Result<(), LinkEnd> {
        Ok(poll_fn(|cx| self.poll_flush(cx)).await?)
    }

    /// Reads once; an end is an error.
    async fn receive(&mut self, plain: &mut Vec<u8>) -> Result<(), LinkEnd> {
        let had = plain.len();
        match poll_fn(|cx| self.poll_receive(cx, plain)).await? {
            Received::Closed if plain.len() == had => Err(LinkEnd::Closed),
            _ => Ok(()),
        }
    }

    /// Closes in an orderly way, so that the peer reads how this side has introduced itself and says why by
    /// itself.
    async fn refuse(&mut self, error: LinkError) -> LinkError {
        poll_fn(|cx| self.poll_close(cx)).await;
        error
    }
}
