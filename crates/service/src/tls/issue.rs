//! What is shared by all that makes certificates: keys, terms, and files that nobody sees half of.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use x509_parser::prelude::ASN1Time;

use super::{TlsError, TlsFile, UtcMinute, material};

pub(super) const DAY: i64 = 24 * 60 * 60;
/// Whoever holds `ca.pem` does so for long, and nobody renews it behind their back.
const CA_DAYS: i64 = 20 * 365;
/// Long enough that a process which is started once a quarter renews in time.
pub(super) const RENEW_DAYS: i64 = 90;
/// Certificates are valid from an hour ago, for peers whose clock is behind.
const BACKDATE_SECONDS: i64 = 60 * 60;

/// Where a certificate and its key are.
pub(super) struct Pair {
    pub cert: TlsFile,
    pub key: TlsFile,
}

/// A certificate to be issued.
pub(super) struct Leaf {
    /// Its common name, for people.
    pub common: String,
    /// The names it is good for.
    pub names: Vec<String>,
    /// What it may be shown for.
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    /// How long, if its CA lasts so long.
    pub days: i64,
}

/// Makes a CA; `what` and the day tell it apart from others that somebody may have been given.
pub(super) fn make_ca(ca: &Pair, what: &str, now: UtcMinute) -> Result<(), TlsError> {
    let mut params = params(Vec::new(), now, now.unix() + CA_DAYS * DAY)?;
    let day = now.to_string();
    let day = day.split(' ').next().unwrap_or_default();
    params.distinguished_name = name(&format!("{what} of {} {day}", crate::host::name()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = key_pair()?;
    let cert = params.self_signed(&key).map_err(crypto)?;
    write(&ca.key, key.serialize_pem().as_bytes(), 0o600)?;
    write(&ca.cert, cert.pem().as_bytes(), 0o644)
}

/// Issues `leaf` by `ca`, with a new key.
pub(super) fn make_leaf(ca: &Pair, leaf: Leaf, to: &Pair, now: UtcMinute) -> Result<(), TlsError> {
    let ca_pem = material::read(&ca.cert)?;
    let chain = material::chain(&ca.cert, &ca_pem)?;
    let ca_key = material::read(&ca.key)?;
    let bad_key = |reason: String| TlsError::BadKey { file: ca.key.clone(), reason };
    let ca_key = String::from_utf8(ca_key).map_err(|_| bad_key("not text".to_owned()))?;
    let ca_key = KeyPair::from_pem(&ca_key).map_err(|error| bad_key(error.to_string()))?;
    let issuer = Issuer::from_ca_cert_der(&chain.certs[0], ca_key).map_err(crypto)?;

    let end = (now.unix() + leaf.days * DAY).min(chain.not_after.unix());
    let mut params = params(leaf.names, now, end)?;
    params.distinguished_name = name(&leaf.common);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = leaf.usages;
    params.use_authority_key_identifier_extension = true;
    let key = key_pair()?;
    let cert = params.signed_by(&key, &issuer).map_err(crypto)?;
    write(&to.key, key.serialize_pem().as_bytes(), 0o600)?;
    write(&to.cert, cert.pem().as_bytes(), 0o644)
}

pub(super) fn read_if_there(file: &TlsFile) -> Result<Option<Vec<u8>>, TlsError> {
    match material::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(TlsError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn params(names: Vec<String>, now: UtcMinute, end: i64) -> Result<CertificateParams, TlsError> {
    let time = |seconds| {
        let time = ASN1Time::from_timestamp(seconds).map(|time| time.to_datetime());
        time.map_err(|error| TlsError::Crypto(error.to_string()))
    };
    let mut params = CertificateParams::new(names).map_err(crypto)?;
    params.not_before = time(now.unix() - BACKDATE_SECONDS)?;
    params.not_after = time(end)?;
    Ok(params)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "memtide");
    name.push(DnType::CommonName, common);
    name
}

/// ECDSA P-256: the cheapest signature that every TLS 1.2 client knows.
fn key_pair() -> Result<KeyPair, TlsError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(crypto)
}

#[expect(clippy::needless_pass_by_value, reason = "so that it fits map_err")]
fn crypto(error: rcgen::Error) -> TlsError {
    TlsError::Crypto(error.to_string())
}

/// Makes the directory of `lock` and holds it until the file is dropped, so that two processes do
/// not mix what they make.
pub(super) fn hold(lock: &TlsFile) -> Result<File, TlsError> {
    let open = || {
        fs::create_dir_all(lock.path.parent().unwrap_or(Path::new(".")))?;
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock.path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|source| TlsError::Unwritable { file: lock.clone(), source })
}

/// Puts `bytes` in place of `file` at once, so that no reader ever sees half of it.
fn write(file: &TlsFile, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let new = file.path.with_added_extension("new");
    // One that a crash left, perhaps with other permissions; the lock says that it is nobody's.
    remove(&TlsFile { path: new.clone(), ..file.clone() })?;
    let replace = || {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&new, &file.path)
    };
    replace().map_err(|source| TlsError::Unwritable { file: file.clone(), source })
}

pub(super) fn remove(file: &TlsFile) -> Result<(), TlsError> {
    match fs::remove_file(&file.path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TlsError::Unwritable { file: file.clone(), source })
        }
        _ => Ok(()),
    }
}
