//! The listening sockets, and the spread of what they accept over the cores.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::sync::mpsc;

use crate::limits;
use crate::shared::{Place, Shared};

/// A client that was accepted and not yet spoken to.
pub struct Accepted {
    /// Its socket, not blocking.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Its place among the connections.
    pub place: Place,
}

/// An address that could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {source}")]
pub struct ListenError {
    /// Which.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Binds and listens; port 0 takes a free one.
///
/// # Errors
/// The operating system's, with the address.
pub fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let bound = || -> io::Result<std::net::TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // The IPv4 wildcard is bound by itself, so that both show in the list of addresses.
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        Ok(socket.into())
    };
    bound().map_err(|source| ListenError { address, source })
}

/// Accepts until the drain begins; the socket closes with the return.
pub async fn accept_loop(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    cores: Vec<mpsc::Sender<Accepted>>,
) {
    let mut draining = shared.drain.draining();
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "failed to watch a listener");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut draining => return,
        };
        match accepted {
            Ok((stream, peer)) => match stream.into_std() {
                Ok(stream) => hand_over(&shared, &cores, stream, peer).await,
                Err(error) => tracing::debug!(%peer, %error, "failed to take over a connection"),
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: the listener stays, and tries again a little later.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// accept(2) reports errors that the new socket had already.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn hand_over(
    shared: &Arc<Shared>,
    cores: &[mpsc::Sender<Accepted>],
    stream: TcpStream,
    peer: SocketAddr,
) {
    shared.connections_total.fetch_add(1, Ordering::Relaxed);
    let core = shared.least_loaded_core();
    let Some(place) = shared.admit(core) else { return };
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%peer, %error, "failed to prepare a connection");
        return;
    }
    // A core that has gone takes its sockets with it: the process ends.
    let _ = cores[core].send(Accepted { stream, peer, place }).await;
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_IDLE)
        .with_interval(limits::KEEPALIVE_INTERVAL);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
