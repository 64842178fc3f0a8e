//! Sockets of one host beside those of its loopback interface.
//!
//! Who listens on a loopback address with TCP also listens on a Unix socket in the abstract
//! namespace with a name made of that address, and who dials such an address tries that name first.
//! Both kinds of names belong to a network namespace, so that they are there for the same processes.
//! A message costs the kernel about half of what it costs with TCP (docs/design/0014). Both ends belong
//! to one user; they prove by TLS, with both certificates, who they are, and go on without it: nobody
//! but the kernel can come between them.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::stream::Stream;

/// The user that the kernel tells of whom it has no number for: see user_namespaces(7).
const NOBODY: u32 = 65_534;

/// Accepts the links of an address, of both kinds.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    unix: Option<UnixListener>,
}

/// Where an accepted link comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// That address.
    Tcp(SocketAddr),
    /// A process of this host.
    Local,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Local => f.write_str("this host"),
        }
    }
}

impl Listener {
    /// Around a listener that does not block. Where the name of its Unix socket is somebody else's,
    /// it does without.
    ///
    /// # Errors
    /// Where the runtime does not take the listener.
    pub fn new(tcp: std::net::TcpListener) -> io::Result<Self> {
        let tcp = TcpListener::from_std(tcp)?;
        let name = name_beside(&tcp.local_addr()?);
        Ok(Self { tcp, unix: name.and_then(|name| UnixListener::bind(name).ok()) })
    }

    /// The next link.
    ///
    /// # Errors
    /// Where there are no descriptors left.
    pub async fn accept(&self) -> io::Result<(Stream, Origin)> {
        let Some(unix) = &self.unix else { return self.accept_tcp().await };
        tokio::select! {
            accepted = self.accept_tcp() => accepted,
            accepted = accept_unix(unix) => accepted,
        }
    }

    async fn accept_tcp(&self) -> io::Result<(Stream, Origin)> {
        let (stream, from) = self.tcp.accept().await?;
        Ok((stream.into(), Origin::Tcp(from)))
    }
}

async fn accept_unix(listener: &UnixListener) -> io::Result<(Stream, Origin)> {
    loop {
        let (stream, _) = listener.accept().await?;
        if is_of_this_user(&stream) {
            return Ok((stream.into(), Origin::Local));
        }
    }
}

/// Connects to `host:port`, over the Unix socket beside it where there is one.
///
/// # Errors
/// As [`TcpStream::connect`].
pub async fn dial(address: &str) -> io::Result<Stream> {
    match dial_local(address).await {
        Some(stream) => Ok(stream.into()),
        None => Ok(TcpStream::connect(address).await?.into()),
    }
}

/// Whoever is faster may have any name of the abstract namespace: one of another user is not asked.
/// He could prove nothing, but keep the caller waiting.
async fn dial_local(address: &str) -> Option<UnixStream> {
    let name = name_beside(&address.parse().ok()?)?;
    let stream = UnixStream::connect(name).await.ok()?;
    is_of_this_user(&stream).then_some(stream)
}

/// Whether the other end is. Who is nobody cannot tell: so are called all users of other user
/// namespaces.
fn is_of_this_user(stream: &UnixStream) -> bool {
    user().is_some_and(|mine| stream.peer_cred().is_ok_and(|theirs| theirs.uid() == mine))
}

/// The user of this process, by a number that is his alone.
fn user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw()).filter(|user| *user != NOBODY)
}

/// The path by which the standard library knows a name of the abstract namespace.
fn name_beside(address: &SocketAddr) -> Option<String> {
    let has_name = address.ip().is_loopback() && user().is_some();
    has_name.then(|| format!("\0memtide-node/{address}"))
}
