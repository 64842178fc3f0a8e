//! How a connection ends: what the client is told, and a close that does not overtake it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::connection::End;
use crate::core::Core;
use crate::limits;
use crate::registry::Kick;
use crate::transport::Transport;

const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";
const PLAINTEXT: &[u8] = b"CLIENT_ERROR this port speaks TLS only\r\n";
const PLAINTEXT_BINARY: &[u8] =
    b"CLIENT_ERROR this port speaks TLS only, and the binary protocol is not supported\r\n";

/// First byte of a request of memcached's binary protocol.
const BINARY_REQUEST: u8 = 0x80;

/// Tells a client that there are too many of them.
pub async fn reject(mut transport: Transport) {
    if transport.queue(TOO_MANY).is_ok() {
        say_goodbye(transport).await;
    }
}

/// Tells a client that began with this byte that there is TLS only.
pub async fn refuse_plaintext(transport: Transport, first: u8) {
    let line = if first == BINARY_REQUEST { PLAINTEXT_BINARY } else { PLAINTEXT };
    linger(transport.into_stream(), line).await;
}

/// Ends a connection for this reason.
pub async fn part(core: &Core, peer: SocketAddr, end: End, mut transport: Transport) {
    match end {
        End::Kicked(Kick::Stall) => {
            core.counters.traffic.stall_kicks.add(1);
            core.client_log.stalled(peer);
        }
        End::Kicked(Kick::Idle) => {
            core.counters.traffic.idle_kicks.add(1);
            say_goodbye(transport).await;
        }
        End::Failed(error) if error.kind() == io::ErrorKind::InvalidData => {
            core.client_log.broke_tls(peer, &error);
            say_goodbye(transport).await;
        }
        End::Failed(error) => tracing::debug!(%peer, %error, "connection failed"),
        // It sends no more, so there is nothing that a close could overtake.
        End::Peer => {
            send_goodbye(&mut transport).await;
        }
        End::Session | End::Kicked(_) | End::Moves(_) => say_goodbye(transport).await,
    }
}

/// Sends what is queued and the TLS goodbye, and closes without a reset.
async fn say_goodbye(mut transport: Transport) {
    if send_goodbye(&mut transport).await {
        linger(transport.into_stream(), b"").await;
    }
}

/// Whether all was sent.
async fn send_goodbye(transport: &mut Transport) -> bool {
    transport.queue_close();
    let sent = std::future::poll_fn(|cx| transport.poll_flush(cx));
    matches!(tokio::time::timeout(limits::LINGER_MAX, sent).await, Ok(Ok(())))
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
    // Whatever fails here, the connection is over.
    let _ = tokio::time::timeout(limits::LINGER_MAX, talk).await;
}
