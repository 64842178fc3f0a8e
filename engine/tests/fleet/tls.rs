//! The certificates of a fleet that lives as long as a test.

use std::sync::Arc;

use memtide_engine::{LinkTls, PeerRole};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What nodes and proxies need.
#[derive(Clone)]
pub struct Tls {
    pub node: LinkTls,
    pub proxy: Arc<ClientConfig>,
}

pub fn node_name() -> ServerName<'static> {
    ServerName::try_from("node.memtide").unwrap()
}

impl Tls {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            (vec![certificate.der().clone()], key)
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let client = |name: &str| {
            let (chain, key) = issue(name);
            let config = ClientConfig::builder().with_root_certificates(Arc::clone(&roots));
            Arc::new(config.with_client_auth_cert(chain, key).unwrap())
        };
        let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots)).build().unwrap();
        let (chain, key) = issue("node.memtide");
        let server = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        let node = LinkTls {
            client: client("node.memtide"),
            server: Arc::new(server),
            node_name: node_name(),
            role_of,
        };
        Self { node, proxy: client("proxy.memtide") }
    }
}

/// Looks for the name as it stands in the certificate.
fn role_of(certificates: &[CertificateDer<'_>]) -> Option<PeerRole> {
    let has = |name: &[u8]| {
        certificates.first().is_some_and(|der| der.windows(name.len()).any(|bytes| bytes == name))
    };
    match (has(b"node.memtide"), has(b"proxy.memtide")) {
        (true, false) => Some(PeerRole::Node),
        (false, true) => Some(PeerRole::Proxy),
        _ => None,
    }
}
