//! One request to an admin HTTP that speaks TLS, as it does with `--admin-client-ca`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memtide_service::admin::ROLE_HEADER;
use memtide_service::config::Given;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    StreamOwned,
};

use crate::failure::Failure;

/// Whom to trust there, and what to show.
#[derive(Clone, Debug)]
pub struct AdminTlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl AdminTlsClient {
    /// As `memtide cache` is told for the admin HTTP at `address`; `None` where that is to be plain.
    ///
    /// # Errors
    /// What is missing, or cannot be used.
    pub fn of(given: &Given, address: SocketAddr) -> Result<Option<Self>, Failure> {
        let Some(ca) = given.text("admin-ca") else {
            let alone = ["admin-cert", "admin-key", "admin-name"];
            return match alone.into_iter().find(|name| given.text(name).is_some()) {
                None => Ok(None),
                Some(name) => Err(given.complain(name, "is for TLS; give --admin-ca too").into()),
            };
        };
        let name = match given.text("admin-name") {
            None => ServerName::from(address.ip()),
            Some(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| given.complain("admin-name", "give a host name or an IP address"))?,
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("--admin-ca", ca)? {
            roots.add(certificate).map_err(|error| wrong("--admin-ca", ca, &error.to_string()))?;
        }
        let builder = builder().with_root_certificates(roots);
        let config = match (given.text("admin-cert"), given.text("admin-key")) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => {
                let chain = certificates("--admin-cert", cert)?;
                let pair = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| wrong("--admin-key", key, &error.to_string()))?;
                let config = builder.with_client_auth_cert(chain, pair);
                config.map_err(|error| wrong("--admin-key", key, &error.to_string()))?
            }
            (Some(_), None) => {
                return Err(given.complain("admin-cert", "needs --admin-key too").into());
            }
            (None, Some(_)) => {
                return Err(given.complain("admin-key", "needs --admin-cert too").into());
            }
        };
        Ok(Some(Self { config: Arc::new(config), name }))
    }

    /// For a question that holds no secret, to this host: takes whatever certificate is shown.
    pub fn of_this_host(address: SocketAddr) -> Self {
        let verifier = Arc::new(Whoever(provider()));
        let config = builder().dangerous().with_custom_certificate_verifier(verifier);
        let config = Arc::new(config.with_no_client_auth());
        Self { config, name: ServerName::from(address.ip()) }
    }

    /// Sends a request of HTTP/1.0, and reads the answer to its end.
    ///
    /// # Errors
    /// What the system or TLS says.
    pub fn exchange(
        &self,
        address: SocketAddr,
        request: &[u8],
        (patience, bytes_max): (Duration, u64),
    ) -> io::Result<Reply> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut stream = StreamOwned::new(connection.map_err(io::Error::other)?, stream);
        stream.write_all(request).map_err(explained)?;
        stream.flush().map_err(explained)?;
        let mut answer = Vec::new();
        stream.take(bytes_max).read_to_end(&mut answer)?;
        parse(&String::from_utf8_lossy(&answer))
            .ok_or_else(|| io::Error::other("the answer is no HTTP"))
    }
}

/// An answer of HTTP/1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Which role of memtide answers, where it says so.
    pub role: Option<String>,
    pub body: String,
}

/// Reads one; `None` where it is none.
pub fn parse(answer: &str) -> Option<Reply> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut roles = headers.filter(|(name, _)| name.eq_ignore_ascii_case(ROLE_HEADER));
    let role = roles.next().map(|(_, role)| role.trim().to_owned());
    Some(Reply { status, role, body: body.to_owned() })
}

/// With the file that is to be looked at where the certificate is of another CA.
fn explained(error: io::Error) -> io::Error {
    use rustls::CertificateError as Wrong;
    let of = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of {
        Some(Error::InvalidCertificate(Wrong::BadSignature | Wrong::UnknownIssuer)) => {
            let why = "the certificate that is shown there was not signed by a CA in the file of --admin-ca";
            io::Error::new(error.kind(), format!("{why} ({error})"))
        }
        _ => error,
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(provider());
    builder.with_safe_default_protocol_versions().expect("the provider has these versions")
}

fn certificates(flag: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(Path::new(path)).and_then(Iterator::collect);
    let found: Vec<_> = read.map_err(|error| wrong(flag, path, &error.to_string()))?;
    if found.is_empty() {
        return Err(wrong(flag, path, "holds no certificate"));
    }
    Ok(found)
}

fn wrong(flag: &str, path: &str, problem: &str) -> Failure {
    Failure::Environment(format!("{flag} {path}: {problem}; give a PEM file that can be used"))
}

/// Verifies that the peer has the key of its certificate, and nothing else of it.
#[derive(Debug)]
struct Whoever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
