//! From an accepted socket to a served connection: plaintext check, handshake, and the farewell.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::connection::{Connection, End};
use crate::core::Core;
use crate::limits;
use crate::listener::Accepted;
use crate::registry::Kick;
use crate::transport::Transport;

/// First byte of a TLS record that carries a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";
const PLAINTEXT: &[u8] = b"CLIENT_ERROR this port speaks TLS only\r\n";
const PLAINTEXT_BINARY: &[u8] =
    b"CLIENT_ERROR this port speaks TLS only, and the binary protocol is not supported\r\n";

/// Serves one accepted socket to its end.
pub async fn admit(core: Rc<Core>, accepted: Accepted) {
    let Accepted { stream, peer, place } = accepted;
    let timeout = core.shared.config.handshake_timeout;
    let draining = core.shared.drain.draining();
    // What a connection needs only at its begin and end is boxed: the rest stays for its life.
    let handshaken = {
        let handshake = Box::pin(tokio::time::timeout(timeout, handshake(&core, stream, peer)));
        tokio::select! {
            result = handshake => result,
            () = draining => return,
        }
    };
    let transport = match handshaken {
        Ok(Ok(Some(transport))) => transport,
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return refuse(&core, peer, &error.to_string()),
        Err(_) => return refuse(&core, peer, "the handshake took too long"),
    };
    if !place.is_served() {
        return Box::pin(reject(transport)).await;
    }
    let now = core.clock.age_secs(std::time::Instant::now());
    let registered = core.registry.register(now);
    let (end, transport) = Connection::serve(transport, Rc::clone(&core), registered).await;
    Box::pin(part(&core, peer, end, transport)).await;
}

fn refuse(core: &Core, peer: SocketAddr, why: &str) {
    core.counters.handshakes_failed.add(1);
    core.client_log.handshake_failed(peer, why);
}

/// `None` where there was nobody to shake hands with.
async fn handshake(
    core: &Core,
    stream: std::net::TcpStream,
    peer: SocketAddr,
) -> io::Result<Option<Transport>> {
    let stream = TcpStream::from_std(stream)?;
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] != TLS_HANDSHAKE {
        core.counters.plaintext_connections.add(1);
        core.client_log.plaintext(peer);
        let line = if first[0] == 0x80 { PLAINTEXT_BINARY } else { PLAINTEXT };
        linger(stream, line).await;
        return Ok(None);
    }
    core.shared.handshake_turn().await;
    let acceptor = TlsAcceptor::from(core.tls.server_config());
    let (stream, tls) = acceptor.accept(stream).await?.into_inner();
    match tls.handshake_kind() {
        Some(HandshakeKind::Resumed) => core.counters.handshakes_resumed.add(1),
        _ => core.counters.handshakes_full.add(1),
    }
    Ok(Some(Transport::new(stream, tls)))
}

/// Tells a client that there are too many of them.
async fn reject(mut transport: Transport) {
    if transport.queue(TOO_MANY).is_ok() {
        farewell(transport).await;
    }
}

async fn part(core: &Core, peer: SocketAddr, end: End, transport: Transport) {
    match end {
        End::Kicked(Kick::Stall) => {
            core.counters.stall_kicks.add(1);
            core.client_log.stalled(peer);
        }
        End::Kicked(Kick::Idle) => {
            core.counters.idle_kicks.add(1);
            farewell(transport).await;
        }
        End::Failed(error) if error.kind() == io::ErrorKind::InvalidData => {
            core.client_log.broke_tls(peer, &error);
            farewell(transport).await;
        }
        End::Failed(error) => tracing::debug!(%peer, %error, "connection failed"),
        End::Peer | End::Session | End::Kicked(_) => farewell(transport).await,
    }
}

/// Sends what is queued and the TLS goodbye, and closes without a reset.
async fn farewell(mut transport: Transport) {
    transport.queue_close();
    let sent = std::future::poll_fn(|cx| transport.poll_flush(cx));
    if let Ok(Ok(())) = tokio::time::timeout(limits::LINGER_MAX, sent).await {
        linger(transport.into_stream(), b"").await;
    }
}

/// Sends `last`, ends our side at once, and reads what the peer still sends for a moment: closing
/// a socket with unread bytes would reset it, and the reset may overtake our last words.
async fn linger(mut stream: TcpStream, last: &[u8]) {
    let talk = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        let mut dropped = vec![0; 4096];
        let mut budget = limits::LINGER_BYTES_MAX;
        loop {
            match stream.read(&mut dropped).await? {
                0 => return io::Result::Ok(()),
                count if count >= budget => return Ok(()),
                count => budget -= count,
            }
        }
    };
    let wait: Duration = limits::LINGER_MAX;
    // Whatever fails here, the connection is over.
    let _ = tokio::time::timeout(wait, talk).await;
}
