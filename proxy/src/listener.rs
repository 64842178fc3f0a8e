//! The listening sockets, and the spread of what they accept over the cores.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use memtide_service::logging::{Admit, Limiter};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::admission::{Arrival, Guest, Port};
use crate::core::Core;
use crate::limits;

/// Accepts until the drain begins; the socket closes with the return, and then the ways to all cores, `cores`: each drains its
/// connections when none is left. `core` is the one that calls.
pub async fn accept_loop(
    (listener, port): (std::net::TcpListener, Port),
    core: Rc<Core>,
    cores: Vec<mpsc::Sender<Arrival>>,
) {
    let mut draining = core.shared.drain.draining();
    let mut errors = Limiter::new(limits::ACCEPT_ERRORS_LOGGED_MAX, Duration::from_secs(60));
    let mut refusals = Limiter::new(limits::REFUSALS_LOGGED_MAX, Duration::from_secs(60));
    let listener = match prepare(&listener).and_then(|()| TcpListener::from_std(listener)) {
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
            Ok((stream, peer)) => {
                // A socket for both families sees IPv4 peers as mapped; people do not.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                match core.shared.let_in(port, peer) {
                    Ok(Some(guest)) => hand_over(&core, &cores, stream, guest).await,
                    Ok(None) => {}
                    Err(why) => {
                        if let Admit::Log { suppressed } = refusals.admit(Instant::now()) {
                            let reason = why.name();
                            tracing::warn!(%peer, reason, suppressed, "refused a connection");
                        }
                    }
                }
            }
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

/// Accepted sockets inherit these options from their listener, as Linux has it.
fn prepare(listener: &std::net::TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_IDLE)
        .with_interval(limits::KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)
}

/// accept(2) reports errors that the new socket had already.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn hand_over(core: &Core, cores: &[mpsc::Sender<Arrival>], stream: TcpStream, guest: Guest) {
    let to = core.shared.spread.place();
    let peer = guest.peer;
    let arrival = if to == core.index {
        Arrival::Accepted(stream, guest)
    } else {
        match stream.into_std() {
            Ok(stream) => Arrival::Sent(stream, guest),
            Err(error) => return tracing::debug!(%peer, %error, "failed to hand over a connection"),
        }
    };
    // A core that has gone takes its sockets with it: the process ends.
    let _ = cores[to].send(arrival).await;
}
