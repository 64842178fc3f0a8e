//! The files of a fleet: its CA, and the pairs of its roles.

use std::path::Path;

use rcgen::ExtendedKeyUsagePurpose;

use super::super::issue::{self, DAY, Leaf, Pair, RENEW_DAYS, read_if_there};
use super::super::made::{CA_CERT, CA_KEY};
use super::super::{TlsError, UtcMinute, material, server};
use super::{Ca, Role, file, pair};

/// Processes of a fleet run for long, and each is restarted or reloaded to get another certificate.
const ROLE_DAYS: i64 = 5 * 365;

/// Makes what is missing or near its end.
pub(super) fn make_at(dir: &Path, now: UtcMinute) -> Result<(), TlsError> {
    let ca_files = Pair { cert: file(dir, CA_CERT), key: file(dir, CA_KEY) };
    let can_issue = ca_files.key.path.exists();
    let ca = read_if_there(&ca_files.cert)?.map(|pem| Ca::of(ca_files.cert.clone(), &pem));
    let ca = match ca.transpose()? {
        Some(ca) if !can_issue || ca.chain.not_after >= near_end(now) => Some(ca),
        _ => None,
    };
    if ca.is_none() {
        for role in Role::ALL {
            let cert = pair(dir, role).cert;
            if !ca_files.cert.path.exists() && cert.path.exists() {
                return Err(TlsError::Foreign { file: cert });
            }
            // Beside a new CA it would look like somebody else's.
            issue::remove(&cert)?;
        }
        issue::make_ca(&ca_files, "memtide fleet CA", now)?;
    }
    for role in Role::ALL {
        let to = pair(dir, role);
        if let Some(ca) = &ca {
            let usable_until = usable_until(&to, role, ca)?;
            // Without the CA's key a certificate is used to its end.
            let needed_until = if can_issue { near_end(now) } else { now };
            if usable_until.is_some_and(|until| until >= needed_until) {
                continue;
            }
            if !can_issue {
                return Err(TlsError::CannotRenew { file: to.cert });
            }
        }
        let leaf = Leaf {
            common: format!("memtide {role}"),
            names: vec![role.dns_name().to_owned()],
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            days: ROLE_DAYS,
        };
        issue::make_leaf(&ca_files, leaf, &to, now)?;
    }
    Ok(())
}

/// What ends before this is renewed now.
fn near_end(now: UtcMinute) -> UtcMinute {
    UtcMinute::from_unix(now.unix() + RENEW_DAYS * DAY)
}

/// Until when the pair can be used; `None` where it is not there, or not a pair.
fn usable_until(files: &Pair, role: Role, ca: &Ca) -> Result<Option<UtcMinute>, TlsError> {
    let (Some(cert_pem), Some(key_pem)) = (read_if_there(&files.cert)?, read_if_there(&files.key)?)
    else {
        return Ok(None);
    };
    let chain = material::chain(&files.cert, &cert_pem)?;
    // At its own end: one that has expired is renewed, and must not be called foreign.
    ca.check((&files.cert, &chain), role, chain.not_after)?;
    let pair =
        material::certified_key((&files.cert, &chain), (&files.key, &key_pem), &server::provider());
    match pair {
        Ok(_) => Ok(Some(chain.not_after)),
        Err(TlsError::KeyMismatch { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
