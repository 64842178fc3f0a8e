use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;

/// What gRPC is called in the TLS handshake.
const ALPN: &[u8] = b"h2";

/// How etcd knows who asks, and who asks knows etcd. Clones are the same: what is put in force is for all of them.
#[derive(Clone, Debug, Default)]
pub struct Access(Arc<ArcSwap<Shown>>);

/// What is shown to a member.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// To members that speak TLS: whom to trust, and what to show.
    pub tls: Option<Arc<ClientConfig>>,
    /// Where etcd asks for a user.
    pub credentials: Option<Credentials>,
}

/// A user of etcd.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// And password.
    pub password: String,
}

impl Access {
    /// With this in force.
    #[must_use]
    pub fn new(shown: Shown) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(shown.for_grpc())))
    }

    /// Puts this in force: for the next connection, and the next token. What is open goes on until etcd refuses what is
    /// asked over it, and a token until etcd takes it no more; so both may be put in force before etcd has them.
    pub fn renew(&self, shown: Shown) {
        self.0.store(Arc::new(shown.for_grpc()));
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<Shown> {
        self.0.load_full()
    }
}

impl Shown {
    fn for_grpc(mut self) -> Self {
        self.tls = self.tls.map(|tls| {
            let mut tls = ClientConfig::clone(&tls);
            tls.alpn_protocols = vec![ALPN.to_vec()];
            Arc::new(tls)
        });
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
