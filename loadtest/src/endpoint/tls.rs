use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls::{SupportedProtocolVersion, version};

use super::TlsPeer;
use crate::arguments::ConnectionArguments;

pub(super) fn peer(host: &str, arguments: &ConnectionArguments) -> anyhow::Result<TlsPeer> {
    let name = arguments.server_name.as_deref().unwrap_or(host);
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| anyhow!("{name}: neither a host name nor an IP address; see --server-name"))?;
    Ok(TlsPeer { config: Arc::new(config(arguments)?), server_name })
}

fn config(arguments: &ConnectionArguments) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(arguments.tls_version.as_deref())?)
        .context("failed to set up TLS")?;
    let builder = if arguments.insecure {
        let anyone = Anyone(provider.signature_verification_algorithms);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(anyone))
    } else {
        builder.with_root_certificates(roots(&arguments.ca)?)
    };
    let mut config = match (&arguments.client_cert, &arguments.client_key) {
        (Some(cert), Some(key)) => {
            let chain = certificates("--client-cert", cert)?;
            let key_file = key.display();
            let key = PrivateKeyDer::from_pem_file(key)
                .with_context(|| format!("--client-key {key_file}: failed to read a PEM key"))?;
            builder
                .with_client_auth_cert(chain, key)
                .with_context(|| format!("--client-key {key_file}: not of the certificate"))?
        }
        _ => builder.with_no_client_auth(),
    };
    if arguments.no_resumption {
        config.resumption = Resumption::disabled();
    }
    Ok(config)
}

/// X25519 goes before the hybrid with ML-KEM, which makes a handshake twice as dear: not every
/// server has it, and those that are compared must do the same work.
fn provider() -> CryptoProvider {
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    let kx_groups =
        vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, kx_group::X25519MLKEM768];
    CryptoProvider { kx_groups, ..default_provider() }
}

static ONLY_12: &[&SupportedProtocolVersion] = &[&version::TLS12];
static ONLY_13: &[&SupportedProtocolVersion] = &[&version::TLS13];

fn versions(given: Option<&str>) -> anyhow::Result<&'static [&'static SupportedProtocolVersion]> {
    match given {
        None => Ok(rustls::ALL_VERSIONS),
        Some("1.2") => Ok(ONLY_12),
        Some("1.3") => Ok(ONLY_13),
        Some(other) => bail!("--tls-version {other}: give 1.2 or 1.3"),
    }
}

/// The CAs that were given, or those that this system trusts.
fn roots(files: &[std::path::PathBuf]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for certificate in certificates("--ca", file)? {
            let shown = file.display();
            roots.add(certificate).with_context(|| format!("--ca {shown}: not a CA's"))?;
        }
    }
    if files.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            bail!("this system trusts no CA: give the endpoint's with --ca, or --insecure");
        }
    }
    Ok(roots)
}

fn certificates(flag: &str, file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{flag} {shown}: failed to read PEM certificates"))?;
    if certificates.is_empty() {
        bail!("{flag} {shown}: no certificate in it");
    }
    Ok(certificates)
}

/// `--insecure`: whoever holds the key of the certificate that he shows.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
