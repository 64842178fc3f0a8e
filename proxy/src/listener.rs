//! The listening sockets, and the spread of what they accept over the cores.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use memtide_service::logging::{Admit, Limiter};
use socket2::TcpKeepalive;
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

/// Accepts until the drain begins; the socket closes with the return.
pub async fn accept_loop(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    cores: Vec<mpsc::Sender<Accepted>>,
) {
    let mut draining = shared.drain.draining();
    let mut errors = Limiter::new(limits::ACCEPT_ERRORS_LOGGED_MAX, Duration::from_secs(60));
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
                if let Admit::Log { suppressed } = errors.admit(Instant::now()) {
                    tracing::warn!(%error, suppressed, "failed to accept a connection");
                }
                // Out of descriptors or memory: the listener stays, and tries again a little later.
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
    // A socket for both families sees IPv4 peers as mapped; people do not.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
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
