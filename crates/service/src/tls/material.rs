use std::{
    fmt, fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{ClientCertVerifierBuilder, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use x509_parser::{parse_x509_certificate, prelude::ASN1Time};

use super::{TlsError, TlsFile};
use crate::limits::PEM_BYTES_MAX;

/// A point in time as messages show it: `2026-01-31 09:05 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcMinute(i64);

impl UtcMinute {
    /// From seconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// In seconds since the Unix epoch.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for UtcMinute {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for UtcMinute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ASN1Time::from_timestamp(self.0) {
            Ok(time) => {
                let time = time.to_datetime();
                write!(f, "{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute())
            }
            Err(_) => write!(f, "{} seconds after 1970", self.0),
        }
    }
}

/// A certificate chain, and the time it may be used in.
pub(super) struct Chain {
    pub certs: Vec<CertificateDer<'static>>,
    pub not_before: UtcMinute,
    pub not_after: UtcMinute,
}

/// Reads a file of bounded size.
pub(super) fn read(file: &TlsFile) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file: file.clone(), source };
    read_bounded(&file.path)
        .map_err(unreadable)?
        .ok_or_else(|| TlsError::TooLarge { file: file.clone() })
}

fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= PEM_BYTES_MAX).then_some(bytes))
}

impl TlsFile {
    /// The text in it, without the ends of lines behind it.
    ///
    /// # Errors
    /// When it cannot be read, is empty, or is no text.
    pub fn text(&self) -> Result<String, TlsError> {
        let text = String::from_utf8(read(self)?).unwrap_or_default();
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(TlsError::NoText { file: self.clone() }),
            text => Ok(text.to_owned()),
        }
    }
}

/// The certificates of a PEM file in its order; other PEM sections (a key) are passed over.
pub(super) fn certificates(
    file: &TlsFile,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = |reason: String| TlsError::NoCertificate { file: file.clone(), reason };
    let certs: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| none(pem_reason(&error)))?;
    if certs.is_empty() {
        return Err(none(what_instead(pem)));
    }
    Ok(certs)
}

/// The server's chain, its first certificate parsed.
pub(super) fn chain(file: &TlsFile, pem: &[u8]) -> Result<Chain, TlsError> {
    let certs = certificates(file, pem)?;
    let (_, leaf) = parse_x509_certificate(&certs[0]).map_err(|error| {
        TlsError::BadCertificate { file: file.clone(), position: 1, reason: error.to_string() }
    })?;
    let not_before = UtcMinute(leaf.validity().not_before.timestamp());
    let not_after = UtcMinute(leaf.validity().not_after.timestamp());
    Ok(Chain { certs, not_before, not_after })
}

impl Chain {
    /// Whether `now` is within the leaf's time. Those above it are the clients' to judge: a chain
    /// may carry an expired cross-signed root on purpose.
    pub fn check_time(&self, file: &TlsFile, now: UtcMinute) -> Result<(), TlsError> {
        let file = || file.clone();
        if now > self.not_after {
            return Err(TlsError::Expired { file: file(), at: self.not_after });
        }
        if now < self.not_before {
            return Err(TlsError::NotYetValid { file: file(), from: self.not_before, now });
        }
        Ok(())
    }
}

/// Joins chain and key, and proves that they belong together.
pub(super) fn certified_key(
    cert: (&TlsFile, &Chain),
    key: (&TlsFile, &[u8]),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let ((cert_file, chain), (key_file, key_pem)) = (cert, key);
    let bad = |reason: rustls::Error| TlsError::BadKey {
        file: key_file.clone(),
        reason: reason.to_string().to_lowercase(),
    };
    let der = private_key(key_file, key_pem)?;
    let signing = provider.key_provider.load_private_key(der).map_err(bad)?;
    let matches = |certs: &[CertificateDer<'static>]| {
        CertifiedKey::new(certs.to_vec(), Arc::clone(&signing)).keys_match()
    };
    match matches(&chain.certs) {
        // `Unknown` is a key that does not tell its public half: let the handshake decide.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(CertifiedKey::new(chain.certs.clone(), signing))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            let own = (1..chain.certs.len()).find(|&i| matches(&chain.certs[i..]).is_ok());
            Err(own.map_or_else(
                || TlsError::KeyMismatch { key: key_file.clone(), cert: cert_file.clone() },
                |i| TlsError::LeafNotFirst { cert: cert_file.clone(), position: i + 1 },
            ))
        }
        Err(error) => Err(TlsError::BadCertificate {
            file: cert_file.clone(),
            position: 1,
            reason: error.to_string(),
        }),
    }
}

fn private_key(file: &TlsFile, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let is_encrypted = |section: &[u8]| pem.windows(section.len()).any(|part| part == section);
    // PKCS #8, and the older form of OpenSSL that keeps the ordinary label.
    if is_encrypted(b"BEGIN ENCRYPTED PRIVATE KEY") || is_encrypted(b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey { file: file.clone() });
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => what_instead(pem),
            error => pem_reason(&error),
        };
        TlsError::NoKey { file: file.clone(), reason }
    })
}

/// Trusts the certificates of `pem` to vouch for clients.
pub(super) fn client_verifier(
    file: &TlsFile,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let verifier = verifier_by(file, pem, provider)?.build();
    verifier.map_err(|error| TlsError::Crypto(error.to_string()))
}

/// The same, where clients may have no certificate at all.
pub(super) fn verifier_of_some(
    file: &TlsFile,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let verifier = verifier_by(file, pem, provider)?.allow_unauthenticated().build();
    verifier.map_err(|error| TlsError::Crypto(error.to_string()))
}

fn verifier_by(
    file: &TlsFile,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<ClientCertVerifierBuilder, TlsError> {
    let roots = roots(file, pem)?;
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)))
}

/// Trusts the certificates of `pem`, each of which must be one that can vouch for others.
pub(super) fn roots(file: &TlsFile, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (i, cert) in certificates(file, pem)?.into_iter().enumerate() {
        roots.add(cert).map_err(|error| TlsError::BadCertificate {
            file: file.clone(),
            position: i + 1,
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a section begins wrongly".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        _ => "broken PEM".to_owned(),
    }
}

/// What a file without the wanted section seems to be.
fn what_instead(pem: &[u8]) -> String {
    let text = String::from_utf8_lossy(pem);
    let label = text
        .split_once("-----BEGIN ")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .map(|(label, _)| label.chars().take(40).filter(|c| !c.is_control()).collect::<String>());
    match (label, pem) {
        (Some(label), _) => format!("it holds {label}"),
        (None, []) => "it is empty".to_owned(),
        (None, [0x30, ..]) => "it seems to be DER".to_owned(),
        (None, _) => "it is not PEM".to_owned(),
    }
}
