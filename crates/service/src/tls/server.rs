use std::sync::Arc;

use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ProducesTickets, ServerSessionMemoryCache, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::TlsError;

/// What the reference accepts; every suite that rustls has for them is forward secret (ECDHE).
pub(super) const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// TLS 1.3 tickets sent after a full handshake. rustls sends two by default, for browsers that open
/// several connections at once; a pool resumes each connection with the ticket of an earlier one.
const TICKETS: usize = 1;

/// aws-lc-rs with its key exchanges ordered by what they cost us.
///
/// The order is our preference and no more: rustls follows the client's order, so a client that
/// asks for the post-quantum hybrid first gets it.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
        aws_lc_rs::kx_group::X25519MLKEM768,
    ];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

/// Stateless tickets for TLS 1.2 and 1.3, their keys random and replaced every six hours.
pub(super) fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    aws_lc_rs::Ticketer::new().map_err(|error| TlsError::Crypto(error.to_string()))
}

pub(super) fn server_config(
    provider: &Arc<CryptoProvider>,
    key: CertifiedKey,
    client_verifier: Option<Arc<dyn ClientCertVerifier>>,
    ticketer: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Crypto(error.to_string()))?;
    let builder = match client_verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.ticketer = ticketer;
    config.send_tls13_tickets = TICKETS;
    // For the clients of TLS 1.2 that know session ids and not tickets.
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    Ok(config)
}

/// Sessions kept for clients without tickets; a few hundred bytes each.
const SESSIONS_MAX: usize = 1024;
