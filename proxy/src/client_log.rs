//! What clients do wrong, logged at a bounded rate: one bad client must not fill a disk.

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memtide_service::logging::{Admit, Limiter};

/// Lines of each kind and core in a minute.
const LINES_PER_MINUTE: u32 = 20;

/// The clients' mistakes on one core. A limiter a kind, so that one does not silence another.
#[derive(Debug)]
pub struct ClientLog {
    plaintext: RefCell<Limiter>,
    handshake: RefCell<Limiter>,
    refused: RefCell<Limiter>,
    stalled: RefCell<Limiter>,
    broken: RefCell<Limiter>,
}

impl Default for ClientLog {
    fn default() -> Self {
        let limiter = || RefCell::new(Limiter::new(LINES_PER_MINUTE, Duration::from_secs(60)));
        Self {
            plaintext: limiter(),
            handshake: limiter(),
            refused: limiter(),
            stalled: limiter(),
            broken: limiter(),
        }
    }
}

impl ClientLog {
    /// A client spoke plaintext to a TLS port.
    pub fn plaintext(&self, peer: SocketAddr) {
        warn(&self.plaintext, peer, &"client spoke plaintext to a TLS port, closed");
    }

    /// A handshake failed.
    pub fn handshake_failed(&self, peer: SocketAddr, why: &str) {
        warn(&self.handshake, peer, &format_args!("TLS handshake failed: {why}"));
    }

    /// A client that a balancer has named may not come in.
    pub fn refused(&self, peer: SocketAddr, reason: &str) {
        warn(&self.refused, peer, &format_args!("refused a connection: {reason}"));
    }

    /// A client did not read its replies.
    pub fn stalled(&self, peer: SocketAddr) {
        warn(&self.stalled, peer, &"client left its replies unread for too long, closed");
    }

    /// A client broke TLS after the handshake.
    pub fn broke_tls(&self, peer: SocketAddr, error: &std::io::Error) {
        warn(&self.broken, peer, &format_args!("client broke the TLS protocol, closed: {error}"));
    }
}

fn warn(limiter: &RefCell<Limiter>, peer: SocketAddr, what: &dyn fmt::Display) {
    if let Admit::Log { suppressed } = limiter.borrow_mut().admit(Instant::now()) {
        tracing::warn!(%peer, suppressed, "{what}");
    }
}
