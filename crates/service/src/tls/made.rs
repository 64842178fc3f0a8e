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

use std::{path::Path, sync::Arc, time::Duration};

use rcgen::ExtendedKeyUsagePurpose;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier, verify_server_name},
    pki_types::{ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    TlsError, TlsFile, UtcMinute,
    issue::{self, DAY, Leaf, Pair, RENEW_DAYS, read_if_there},
    material::{self, Chain},
    server,
};

pub(super) const CA_CERT: &str = "ca.pem";
pub(super) const SERVER_CERT: &str = "server.pem";
pub(super) const SERVER_KEY: &str = "server.key";
pub(super) const CA_KEY: &str = "ca.key";
pub(super) const LOCK: &str = ".lock";

/// The names that every made certificate is good for.
pub const MADE_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const SERVER_DAYS: i64 = 365;

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
    let _lock = issue::hold(&file(dir, LOCK))?;
    // Another process may have made them while this one waited.
    let missing = missing(dir, names, now)?;
    let names = sound_names(names);
    match missing {
        Made::Nothing => {}
        Made::Server => make_server(dir, &names, now)?,
        Made::All => {
            // Beside a new CA it would look like somebody else's.
            issue::remove(&file(dir, SERVER_CERT))?;
            issue::make_ca(&ca_files(dir), "memtide CA", now)?;
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

fn make_server(dir: &Path, names: &[String], now: UtcMinute) -> Result<(), TlsError> {
    let leaf = Leaf {
        common: "memtide server".to_owned(),
        names: names.to_vec(),
        usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
        days: SERVER_DAYS,
    };
    let to = Pair { cert: file(dir, SERVER_CERT), key: file(dir, SERVER_KEY) };
    issue::make_leaf(&ca_files(dir), leaf, &to, now)
}

fn ca_files(dir: &Path) -> Pair {
    Pair { cert: file(dir, CA_CERT), key: file(dir, CA_KEY) }
}

#[cfg(test)]
#[path = "made_tests.rs"]
mod tests;
