//! TLS towards a server that is no memtide: whom to trust there, and what to show.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;

use super::{TlsError, TlsFile, UtcMinute, material, server};

/// The files of it, as they were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM CAs, of which one must have issued the server's certificate.
    pub ca: TlsFile,
    /// The certificate that is shown, and its key; none is where there is none.
    pub identity: Option<(TlsFile, TlsFile)>,
}

/// What they were when they were read, checked.
#[derive(Clone)]
pub struct ClientTls {
    /// For connections that begin now. No session is resumed: each shows what is in force.
    pub config: Arc<ClientConfig>,
    /// When the certificate that is shown expires.
    pub not_after: Option<UtcMinute>,
    /// The CAs, the certificate, its key.
    inputs: Vec<Vec<u8>>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its inputs have the key.
        f.debug_struct("ClientTls").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// They are equal whose files were.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.inputs == other.inputs
    }
}

impl ClientFiles {
    /// Reads them.
    ///
    /// # Errors
    /// When one is missing, broken, expired, or not of a pair.
    pub fn load(&self) -> Result<ClientTls, TlsError> {
        let provider = server::provider();
        let mut inputs = vec![material::read(&self.ca)?];
        let roots = material::roots(&self.ca, &inputs[0])?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(server::VERSIONS)
            .map_err(|error| TlsError::Crypto(error.to_string()))?
            .with_root_certificates(Arc::new(roots));
        let (mut config, not_after) = match &self.identity {
            None => (builder.with_no_client_auth(), None),
            Some((cert, key)) => {
                let texts = [material::read(cert)?, material::read(key)?];
                let chain = material::chain(cert, &texts[0])?;
                let own = material::certified_key((cert, &chain), (key, &texts[1]), &provider)?;
                chain.check_time(cert, UtcMinute::from(SystemTime::now()))?;
                inputs.extend(texts);
                let own = Arc::new(SingleCertAndKey::from(own));
                (builder.with_client_cert_resolver(own), Some(chain.not_after))
            }
        };
        config.resumption = Resumption::disabled();
        Ok(ClientTls { config: Arc::new(config), not_after, inputs })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &TlsFile> {
        let pair = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        std::iter::once(&self.ca).chain(pair)
    }
}
