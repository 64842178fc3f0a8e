//! From an accepted socket to a served connection, on one core or on several in turn.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use rustls::HandshakeKind;
use tokio::net::TcpStream;
use tokio::sync::mpsc::WeakSender;

use crate::announced::{self, Announced};
use crate::connection::{Connection, End};
use crate::core::Core;
use crate::farewell;
use crate::fleet;
use crate::shared::Place;
use crate::transport::{Detached, Greeting, Transport};

/// What comes to a core.
pub enum Arrival {
    /// A socket that this core accepted, and watches.
    Accepted(TcpStream, Guest),
    /// A socket that another core accepted.
    Sent(std::net::TcpStream, Guest),
    /// A client whom another core has served until now.
    Moved(Detached, Guest),
}

/// Which of the endpoint's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// 11211.
    Primary,
    /// 11212.
    ReadOptimized,
}

/// Who a client is.
pub struct Guest {
    /// Where it came to.
    pub port: Port,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// It comes from a balancer, which is yet to say for whom.
    pub is_announced: bool,
    /// Its place among the connections.
    pub place: Place,
}

/// Serves who arrived until the connection ends or moves on.
pub async fn welcome(core: Rc<Core>, arrival: Arrival) {
    // What a connection needs only at its begin and end is boxed: the rest stays for its life.
    let arrived = match arrival {
        Arrival::Accepted(stream, guest) => Box::pin(admit(&core, stream, guest)).await,
        Arrival::Sent(stream, guest) => match TcpStream::from_std(stream) {
            Ok(stream) => Box::pin(admit(&core, stream, guest)).await,
            Err(error) => return lost(&guest, &error),
        },
        Arrival::Moved(detached, guest) => match Transport::attach(detached) {
            Ok(transport) => Some((transport, guest)),
            Err(error) => return lost(&guest, &error),
        },
    };
    if let Some((transport, guest)) = arrived {
        serve(core, transport, guest).await;
    }
}

async fn serve(core: Rc<Core>, mut transport: Transport, mut guest: Guest) {
    loop {
        let now = core.clock.age_secs(std::time::Instant::now());
        let registered = core.registry.register(now);
        let end;
        (end, transport) = match &core.fleet {
            None => Connection::serve(transport, Rc::clone(&core), registered).await,
            Some(fleet) => {
                let way = (Rc::clone(&core), Rc::clone(fleet));
                let is_read_optimized = guest.port == Port::ReadOptimized;
                fleet::Connection::serve(transport, way, registered, is_read_optimized).await
            }
        };
        let End::Moves(to) = end else {
            return Box::pin(farewell::part(&core, guest.peer, end, transport)).await;
        };
        match hand_on(&core, to, transport, guest) {
            None => return,
            Some(stays) => (transport, guest) = stays,
        }
    }
}

/// Hands a connection to another core; gives it back where that takes none.
fn hand_on(
    core: &Core,
    to: usize,
    transport: Transport,
    guest: Guest,
) -> Option<(Transport, Guest)> {
    let Some(sender) = core.peers.get(to).and_then(WeakSender::upgrade) else {
        return Some((transport, guest));
    };
    let Ok(permit) = sender.try_reserve() else { return Some((transport, guest)) };
    match transport.detach() {
        Ok(detached) => {
            core.counters.traffic.connections_moved.add(1);
            permit.send(Arrival::Moved(detached, guest));
        }
        Err(error) => lost(&guest, &error),
    }
    None
}

fn lost(guest: &Guest, error: &io::Error) {
    tracing::warn!(peer = %guest.peer, %error, "failed to move a connection to another core");
}

/// `None` where there is nobody to serve.
async fn admit(core: &Core, mut stream: TcpStream, mut guest: Guest) -> Option<(Transport, Guest)> {
    let opening = tokio::time::timeout(core.shared.config.handshake_timeout, async {
        if guest.is_announced && !announce(core, &mut stream, &mut guest).await? {
            return Ok(None);
        }
        open(core, stream, guest.peer).await
    });
    let opened = tokio::select! {
        opened = opening => opened,
        () = core.shared.drain.draining() => return None,
    };
    let transport = match opened {
        Ok(Ok(transport)) => transport?,
        Ok(Err(error)) => return refuse(core, guest.peer, &error.to_string()),
        Err(_) => return refuse(core, guest.peer, "the handshake took too long"),
    };
    if guest.place.is_served() {
        return Some((transport, guest));
    }
    farewell::reject(transport).await;
    None
}

/// Hears from a balancer for whom it comes, and asks the door; `false` where that one stays out.
async fn announce(core: &Core, stream: &mut TcpStream, guest: &mut Guest) -> io::Result<bool> {
    match announced::read(stream).await? {
        Announced::Nobody => return Ok(false),
        Announced::Balancer => return Ok(true),
        // All that is known of it is where it comes from.
        Announced::Unnamed => {}
        Announced::Client(peer) => guest.peer = peer,
    }
    let entered = core.shared.let_in_announced(guest);
    if let Err(why) = entered {
        core.client_log.refused(guest.peer, why.name());
    }
    Ok(entered.is_ok())
}

fn refuse(core: &Core, peer: SocketAddr, why: &str) -> Option<(Transport, Guest)> {
    core.counters.traffic.handshakes_failed.add(1);
    core.client_log.handshake_failed(peer, why);
    None
}

/// `None` where there was nobody to shake hands with.
async fn open(core: &Core, stream: TcpStream, peer: SocketAddr) -> io::Result<Option<Transport>> {
    let mut transport = Transport::accept(stream, core.tls.server_config())?;
    let greeting = poll_fn(|cx| {
        let scratch = &mut *core.scratch.borrow_mut();
        transport.poll_greeting(cx, &mut scratch.wire)
    });
    let greeting = match greeting.await {
        // So balancers end a check of health.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        greeting => greeting?,
    };
    match greeting {
        Greeting::Tls => {}
        Greeting::Nothing => return Ok(None),
        Greeting::Plaintext(first) => {
            core.counters.traffic.plaintext_connections.add(1);
            core.client_log.plaintext(peer);
            farewell::refuse_plaintext(transport, first).await;
            return Ok(None);
        }
    }
    core.shared.handshake_turn().await;
    let handshake = poll_fn(|cx| {
        let scratch = &mut *core.scratch.borrow_mut();
        transport.poll_handshake(cx, &mut scratch.wire)
    });
    let kind = handshake.await?;
    core.shared.spread.shook_hands(core.index);
    match kind {
        Some(HandshakeKind::Resumed) => core.counters.traffic.handshakes_resumed.add(1),
        _ => core.counters.traffic.handshakes_full.add(1),
    }
    Ok(Some(transport))
}
