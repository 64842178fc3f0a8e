use std::fmt;

use crate::limits::TICKET_SECRETS_MAX;

/// What a fleet's proxies make the keys of session tickets from, so that a client resumes its session at
/// whichever of them it comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketSecret([u8; Self::BYTES]);

impl TicketSecret {
    /// Of one.
    pub const BYTES: usize = 32;

    /// Of random bytes, which nobody else is to know.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Those of a message, the newest first; what is none is passed over.
    pub(crate) fn of_message(secrets: &[bytes::Bytes]) -> Vec<Self> {
        let secrets = secrets.iter().filter_map(|bytes| bytes.as_ref().try_into().ok().map(Self));
        secrets.take(TICKET_SECRETS_MAX).collect()
    }
}

/// No log is to have it.
impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(..)")
    }
}
