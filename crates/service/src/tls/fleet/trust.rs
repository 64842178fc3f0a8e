//! Whom a fleet trusts, so that it can be changed under configurations that were handed out.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::super::{TlsError, server};

/// rustls' own verifiers by the CAs in force.
#[derive(Debug)]
pub(super) struct Trust(ArcSwap<Trusted>);

#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) servers: Arc<WebPkiServerVerifier>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
}

impl Trusted {
    /// Whoever these CAs have issued a certificate.
    pub(super) fn by(roots: &Arc<RootCertStore>) -> Result<Self, TlsError> {
        let failed = |error: &dyn std::error::Error| TlsError::Crypto(error.to_string());
        let of = (Arc::clone(roots), server::provider());
        let servers = WebPkiServerVerifier::builder_with_provider(of.0, of.1).build();
        let of = (Arc::clone(roots), server::provider());
        let clients = WebPkiClientVerifier::builder_with_provider(of.0, of.1).build();
        Ok(Self {
            servers: servers.map_err(|error| failed(&error))?,
            clients: clients.map_err(|error| failed(&error))?,
        })
    }
}

impl Trust {
    pub(super) fn new(trusted: Trusted) -> Self {
        Self(ArcSwap::from_pointee(trusted))
    }

    /// From the next handshake on.
    pub(super) fn set(&self, trusted: Trusted) {
        self.0.store(Arc::new(trusted));
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.load().servers.verify_server_cert(leaf, above, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().servers.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().servers.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().servers.supported_verify_schemes()
    }
}

impl ClientCertVerifier for Trust {
    /// None: whoever connects has one certificate, and shows it.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().clients.verify_client_cert(leaf, above, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().clients.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().clients.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().clients.supported_verify_schemes()
    }
}
