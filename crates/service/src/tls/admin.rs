use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

use super::{TlsError, TlsFile, material, server};

/// TLS of the admin HTTP: the certificate that the process has anyway, and the CAs whose clients may
/// ask for everything. A client without a certificate is let in as one who may not; one with another
/// CA's is not.
pub struct AdminTls {
    file: TlsFile,
    certificate: Arc<dyn ResolvesServerCert>,
    config: ArcSwap<ServerConfig>,
}

impl AdminTls {
    /// Goes by the CAs in this file.
    ///
    /// # Errors
    /// Where it cannot be read, or has no certificates that can be used.
    pub fn open(
        client_ca: &Path,
        certificate: Arc<dyn ResolvesServerCert>,
    ) -> Result<Self, TlsError> {
        let file = TlsFile { setting: "--admin-client-ca", path: PathBuf::from(client_ca) };
        let config = ArcSwap::from_pointee(load(&file, &certificate)?);
        Ok(Self { file, certificate, config })
    }

    /// Goes by what the file has now. Where that cannot be used, what was in force stays.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(Arc::new(load(&self.file, &self.certificate)?));
        Ok(())
    }

    /// For a connection that begins now.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

/// Sessions are not resumed: each connection carries one request, and its client's certificate is
/// checked by the CAs in force.
fn load(
    file: &TlsFile,
    certificate: &Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, TlsError> {
    let provider = server::provider();
    let verifier = material::verifier_of_some(file, &material::read(file)?, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(server::VERSIONS)
        .map_err(|error| TlsError::Crypto(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(certificate));
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

impl std::fmt::Debug for AdminTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminTls").field("file", &self.file).finish_non_exhaustive()
    }
}
