use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// Which versions of TLS a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.3, or 1.2 where the server wants it.
    All,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

impl TlsVersions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::All => rustls::ALL_VERSIONS.to_vec(),
            Self::Only12 => vec![&rustls::version::TLS12],
            Self::Only13 => vec![&rustls::version::TLS13],
        }
    }
}

/// A TLS client's side of many connections: whom it trusts, who it is, and its session tickets.
///
/// It verifies the server's certificate for `localhost`, or another name, against one CA. Clones share the tickets,
/// so that a second connection resumes the first.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

impl TlsClient {
    /// Trusts the CA in this PEM file.
    ///
    /// # Panics
    /// When the file holds no certificate.
    #[must_use]
    pub fn new(ca_file: &Path) -> Self {
        Self::with(ca_file, TlsVersions::All, None)
    }

    /// As [`TlsClient::new`] with these versions, and with a certificate chain and key in PEM for a
    /// server that asks for them.
    ///
    /// # Panics
    /// When a file or the PEM text cannot be used.
    #[must_use]
    pub fn with(ca_file: &Path, versions: TlsVersions, identity: Option<(&str, &str)>) -> Self {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca_file)
            .unwrap_or_else(|error| panic!("failed to read {}: {error}", ca_file.display()));
        for certificate in certificates {
            let certificate = certificate.expect("the CA file must be PEM");
            roots.add(certificate).expect("the CA file must hold CA certificates");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions.supported())
            .expect("the provider has these versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
                    .collect::<Result<Vec<_>, _>>()
                    .expect("the client's chain must be PEM");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a PEM key");
                builder.with_client_auth_cert(chain, key).expect("a key that fits its certificate")
            }
        };
        let server_name = ServerName::try_from("localhost").expect("localhost is a name");
        Self { config: Arc::new(config), server_name }
    }

    /// Asks for a server of this name, or with this IP address.
    ///
    /// # Panics
    /// When it is neither.
    #[must_use]
    pub fn asking_for(mut self, name: &str) -> Self {
        self.server_name = ServerName::try_from(name.to_owned()).expect("a name or an address");
        self
    }

    pub(crate) fn connection(&self) -> ClientConnection {
        ClientConnection::new(Arc::clone(&self.config), self.server_name.clone())
            .expect("the configuration is sound")
    }
}
