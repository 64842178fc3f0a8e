//! What the roles share.

pub mod drain;

/// The TLS configuration in force.
pub trait TlsConfigs: Send + Sync {
    /// For the next handshake.
    fn current(&self) -> std::sync::Arc<rustls::ServerConfig>;
}

/// Where the listeners get it.
pub type TlsSource = std::sync::Arc<dyn TlsConfigs>;
