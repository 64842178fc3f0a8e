//! What clients do wrong, logged at a bounded rate: one bad client must not fill a disk.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Lines of each kind: this many at once, and as many again over a minute.
const LINES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("20 is not 0");

/// One limiter a kind, so that one kind does not silence another.
#[derive(Debug)]
pub struct ClientLog {
    plaintext: DefaultDirectRateLimiter,
    handshake: DefaultDirectRateLimiter,
    stalled: DefaultDirectRateLimiter,
    broken: DefaultDirectRateLimiter,
}

impl Default for ClientLog {
    fn default() -> Self {
        let limiter = || RateLimiter::direct(Quota::per_minute(LINES_PER_MINUTE));
        Self { plaintext: limiter(), handshake: limiter(), stalled: limiter(), broken: limiter() }
    }
}

impl ClientLog {
    /// A client spoke plaintext to a TLS port.
    pub fn plaintext(&self, peer: SocketAddr) {
        if self.plaintext.check().is_ok() {
            tracing::warn!(%peer, "client spoke plaintext to a TLS port, closed");
        }
    }

    /// A handshake failed.
    pub fn handshake_failed(&self, peer: SocketAddr, why: &str) {
        if self.handshake.check().is_ok() {
            tracing::warn!(%peer, why, "TLS handshake failed");
        }
    }

    /// A client did not read its replies.
    pub fn stalled(&self, peer: SocketAddr) {
        if self.stalled.check().is_ok() {
            tracing::warn!(%peer, "client left its replies unread for too long, closed");
        }
    }

    /// A client broke TLS after the handshake.
    pub fn broke_tls(&self, peer: SocketAddr, error: &std::io::Error) {
        if self.broken.check().is_ok() {
            tracing::warn!(%peer, %error, "client broke the TLS protocol, closed");
        }
    }
}
