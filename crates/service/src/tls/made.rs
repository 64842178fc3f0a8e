//! The CA and server certificate that memtide makes for itself where none is given.
//!
//! ```text
//! <data-dir>/tls/ca.pem      what clients trust
//! <data-dir>/tls/ca.key      0600; kept so that server.pem can be renewed while ca.pem stays
//! <data-dir>/tls/server.pem  issued by it; renewed before it expires and when a name is missing
//! <data-dir>/tls/server.key  0600; new with each server.pem
//! <data-dir>/tls/.lock       held while files are made, so that two processes do not mix theirs
//! ```
//! Each file is written beside its place and renamed into it, keys before certificates; what a
//! crash leaves behind is a pair that does not match, which is made anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier, verify_server_name},
    pki_types::{ServerName, UnixTime},
    server::ParsedCertificate,
};
use x509_parser::prelude::ASN1Time;

use super::{
    TlsError, TlsFile, UtcMinute,
    material::{self, Chain},
    server,
};

pub(super) const CA_CERT: &str = "ca.pem";
pub(super) const SERVER_CERT: &str = "server.pem";
pub(super) const SERVER_KEY: &str = "server.key";
const CA_KEY: &str = "ca.key";
const LOCK: &str = ".lock";

/// The names that every made certificate is good for.
pub const MADE_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const DAY: i64 = 24 * 60 * 60;
/// Clients hold `ca.pem` and nobody renews that behind their back.
const CA_DAYS: i64 = 20 * 365;
const SERVER_DAYS: i64 = 365;
/// Long enough that a process which is started once a quarter renews in time.
const RENEW_DAYS: i64 = 90;
/// Certificates are valid from an hour ago, for clients whose clock is behind.
const BACKDATE_SECONDS: i64 = 60 * 60;

/// What [`super::Tls::open`] had to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The files were there and good.
    Nothing,
    /// A server certificate, by the CA that clients already have.
    Server,
    /// A CA, which clients must be given, and a server certificate.
    All,
}

pub(super) fn file(dir: &Path, name: &str) -> TlsFile {
    TlsFile { setting: "--data-dir", path: dir.join(name) }
}

/// Sees to it that `dir` holds good material for `names`.
pub(super) fn ensure(dir: &Path, names: &[String], now: UtcMinute) -> Result<Made, TlsError> {
    if missing(dir, names, now)? == Made::Nothing {
        return Ok(Made::Nothing);
    }
    let _lock = lock(dir)?;
    // Another process may have made them while this one waited.
    let missing = missing(dir, names, now)?;
    let names = sound_names(names);
    match missing {
        Made::Nothing => {}
        Made::Server => make_server(dir, &names, now)?,
        Made::All => {
            // Beside a new CA it would look like somebody else's.
            remove(&file(dir, SERVER_CERT))?;
            make_ca(dir, now)?;
            make_server(dir, &names, now)?;
        }
    }
    Ok(missing)
}

/// All names that the certificate must have; a host's name that is none in DNS is left out, as no
/// client could ask for it.
fn sound_names(extra: &[String]) -> Vec<String> {
    let all = MADE_NAMES.iter().map(|name| (*name).to_owned()).chain(extra.iter().cloned());
    let mut names: Vec<String> = Vec::new();
    for name in all {
        if ServerName::try_from(name.as_str()).is_ok() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What of the material has to be made; changes nothing.
pub(super) fn missing(dir: &Path, names: &[String], now: UtcMinute) -> Result<Made, TlsError> {
    let names = sound_names(names);
    let cert_file = file(dir, SERVER_CERT);
    let Some(ca_pem) = read_if_there(&file(dir, CA_CERT))? else {
        return if cert_file.path.exists() {
            Err(TlsError::NotOurs { file: cert_file })
        } else {
            Ok(Made::All)
        };
    };
    let ca = material::chain(&file(dir, CA_CERT), &ca_pem)?;
    let is_near_end = |chain: &Chain| chain.not_after.unix() < now.unix() + RENEW_DAYS * DAY;
    let can_issue = dir.join(CA_KEY).exists();
    if is_near_end(&ca) && can_issue {
        return Ok(Made::All);
    }
    let chain = match read_if_there(&cert_file)? {
        Some(pem) => Some(material::chain(&cert_file, &pem)?),
        None => None,
    };
    let is_pair = match &chain {
        Some(chain) => {
            check_issuer(&cert_file, chain, &ca)?;
            is_pair(dir, &cert_file, chain)?
        }
        None => false,
    };
    let is_good = |chain: &Chain| is_pair && !is_near_end(chain) && has_names(chain, &names);
    // Without the CA's key a certificate is used to its end, even if it lacks a name.
    let is_usable = |chain: &Chain| is_pair && now <= chain.not_after;
    match chain {
        Some(chain) if is_good(&chain) => Ok(Made::Nothing),
        _ if can_issue => Ok(Made::Server),
        Some(chain) if is_usable(&chain) => Ok(Made::Nothing),
        _ => Err(TlsError::CannotRenew { file: cert_file }),
    }
}

fn read_if_there(file: &TlsFile) -> Result<Option<Vec<u8>>, TlsError> {
    match material::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(TlsError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_pair(dir: &Path, cert_file: &TlsFile, chain: &Chain) -> Result<bool, TlsError> {
    let key_file = file(dir, SERVER_KEY);
    let Some(key) = read_if_there(&key_file)? else { return Ok(false) };
    match material::certified_key((cert_file, chain), (&key_file, &key), &server::provider()) {
        Ok(_) => Ok(true),
        Err(TlsError::KeyMismatch { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether `ca` issued `chain`, at whatever time.
fn check_issuer(file: &TlsFile, chain: &Chain, ca: &Chain) -> Result<(), TlsError> {
    let not_ours = || TlsError::NotOurs { file: file.clone() };
    let mut roots = RootCertStore::empty();
    roots.add(ca.certs[0].clone()).map_err(|_| not_ours())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), server::provider())
        .build()
        .map_err(|error| TlsError::Crypto(error.to_string()))?;
    let seconds = u64::try_from(chain.not_after.unix()).map_err(|_| not_ours())?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let name = ServerName::try_from(MADE_NAMES[0]).expect("localhost is a name");
    verifier
        .verify_server_cert(&chain.certs[0], &chain.certs[1..], &name, &[], time)
        .map(|_| ())
        .map_err(|_| not_ours())
}

fn has_names(chain: &Chain, names: &[String]) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(&chain.certs[0]) else { return false };
    names.iter().all(|name| {
        ServerName::try_from(name.as_str())
            .is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
    })
}

fn make_ca(dir: &Path, now: UtcMinute) -> Result<(), TlsError> {
    let mut params = params(Vec::new(), now, now.unix() + CA_DAYS * DAY)?;
    // The host and the day tell apart the CAs that an application may have been given.
    let day = now.to_string();
    let day = day.split(' ').next().unwrap_or_default();
    params.distinguished_name = name(&format!("memtide CA of {} {day}", crate::host::name()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = key_pair()?;
    let cert = params.self_signed(&key).map_err(crypto)?;
    write(&file(dir, CA_KEY), key.serialize_pem().as_bytes(), 0o600)?;
    write(&file(dir, CA_CERT), cert.pem().as_bytes(), 0o644)
}

fn make_server(dir: &Path, names: &[String], now: UtcMinute) -> Result<(), TlsError> {
    let (ca_file, key_file) = (file(dir, CA_CERT), file(dir, CA_KEY));
    let ca_pem = material::read(&ca_file)?;
    let ca = material::chain(&ca_file, &ca_pem)?;
    let ca_key = material::read(&key_file)?;
    let bad_key = |reason: String| TlsError::BadKey { file: key_file.clone(), reason };
    let ca_key = String::from_utf8(ca_key).map_err(|_| bad_key("not text".to_owned()))?;
    let ca_key = KeyPair::from_pem(&ca_key).map_err(|error| bad_key(error.to_string()))?;
    let issuer = Issuer::from_ca_cert_der(&ca.certs[0], ca_key).map_err(crypto)?;

    let end = (now.unix() + SERVER_DAYS * DAY).min(ca.not_after.unix());
    let mut params = params(names.to_vec(), now, end)?;
    params.distinguished_name = name("memtide server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = key_pair()?;
    let cert = params.signed_by(&key, &issuer).map_err(crypto)?;
    write(&file(dir, SERVER_KEY), key.serialize_pem().as_bytes(), 0o600)?;
    write(&file(dir, SERVER_CERT), cert.pem().as_bytes(), 0o644)
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

fn lock(dir: &Path) -> Result<File, TlsError> {
    let lock = file(dir, LOCK);
    let open = || {
        fs::create_dir_all(dir)?;
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

fn remove(file: &TlsFile) -> Result<(), TlsError> {
    match fs::remove_file(&file.path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TlsError::Unwritable { file: file.clone(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "made_tests.rs"]
mod tests;
