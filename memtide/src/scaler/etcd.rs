//! How this scaler is one of several.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use memtide_etcd::{Config, Credentials};
use memtide_scaler::EtcdSettings;
use memtide_service::host;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::failure::Failure;
use crate::settings::{EtcdGiven, ScalerConfig};

/// Whether the files can be used that are to be shown to etcd.
///
/// # Errors
/// Which file cannot, and why.
pub fn check(config: &ScalerConfig) -> Result<(), Failure> {
    let Some(given) = &config.etcd else { return Ok(()) };
    read(given).map(drop)
}

/// As configured, with what is in its files; `None` of one that is alone.
///
/// # Errors
/// Which file cannot be used, and why.
pub fn settings(config: &ScalerConfig, admin: SocketAddr) -> Result<Option<EtcdSettings>, Failure> {
    let Some(given) = &config.etcd else { return Ok(None) };
    let host = match (&config.advertise, config.bind) {
        (Some(host), _) => host.clone(),
        (None, Some(ip)) if !ip.is_unspecified() => ip.to_string(),
        (None, _) => host::name(),
    };
    let admin = match admin.ip().is_unspecified() {
        true => format!("{host}:{}", admin.port()),
        false => admin.to_string(),
    };
    let (etcd, prefix) = (read(given)?, given.prefix.clone());
    Ok(Some(EtcdSettings { etcd, prefix, host, admin }))
}

fn read(given: &EtcdGiven) -> Result<Config, Failure> {
    let user = given.user.as_ref().map(|(user, file)| credentials(user, file));
    let credentials = user.transpose()?;
    Ok(Config { endpoints: given.endpoints.clone(), tls: tls(given)?, credentials })
}

fn credentials(user: &str, file: &Path) -> Result<Credentials, Failure> {
    let read = fs::read_to_string(file);
    let text = read.map_err(|error| {
        wrong("--etcd-password-file", &file.display().to_string(), &error.to_string())
    })?;
    let password = text.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Credentials { user: user.to_owned(), password })
}

fn tls(given: &EtcdGiven) -> Result<Option<Arc<ClientConfig>>, Failure> {
    let Some(ca) = &given.ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("--etcd-ca", ca)? {
        roots.add(certificate).map_err(|error| wrong("--etcd-ca", ca, &error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has them").with_root_certificates(roots);
    let Some((cert, key)) = &given.identity else {
        return Ok(Some(Arc::new(builder.with_no_client_auth())));
    };
    let chain = certificates("--etcd-cert", cert)?;
    let pair = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong("--etcd-key", key, &error.to_string()))?;
    let config = builder.with_client_auth_cert(chain, pair);
    let config = config.map_err(|error| wrong("--etcd-key", key, &error.to_string()))?;
    Ok(Some(Arc::new(config)))
}

fn certificates(flag: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all: Vec<_> = read.map_err(|error| wrong(flag, path, &error.to_string()))?;
    if all.is_empty() {
        return Err(wrong(flag, path, "no PEM certificate in it"));
    }
    Ok(all)
}

fn wrong(flag: &str, path: &str, problem: &str) -> Failure {
    Failure::Environment(format!("{flag} {path}: {problem}; correct it, or the file"))
}
