//! Where several scalers of a cache coordinate.

use std::path::PathBuf;

use memtide_etcd::Endpoint;
use memtide_service::config::{ConfigError, Given, host, one_of};

/// Members of etcd that are tried in turn.
const MEMBERS_MAX: usize = 16;
/// Bytes of what all keys begin with.
const PREFIX_BYTES_MAX: usize = 128;
/// What else there is to say of etcd.
const OTHERS: [&str; 5] = ["etcd-ca", "etcd-cert", "etcd-key", "etcd-user", "etcd-password-file"];

/// etcd, as it was given; its files are unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdGiven {
    /// Not empty; all of them speak TLS, or none.
    pub endpoints: Vec<Endpoint>,
    pub prefix: String,
    /// Whom to trust, of members that speak TLS.
    pub ca: Option<String>,
    /// The certificate that is shown to them, and its key.
    pub identity: Option<(String, String)>,
    /// The user, and where its password is.
    pub user: Option<(String, PathBuf)>,
}

/// What a scaler is told of it; `None` of one that is alone.
pub fn etcd(given: &Given) -> Result<Option<EtcdGiven>, ConfigError> {
    if given.text("etcd").is_none_or(str::is_empty) {
        return match OTHERS.into_iter().find(|name| given.text(name).is_some()) {
            Some(name) => Err(given.complain(name, "is for etcd; give --etcd too")),
            None => Ok(None),
        };
    }
    let endpoints = given.read("etcd", endpoints)?;
    let is_tls = endpoints.iter().any(|endpoint| endpoint.is_tls);
    let text = |name: &str| given.text(name).map(str::to_owned);
    let both = |one: &str, other: &str| match (text(one), text(other)) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(given.complain(one, &format!("needs --{other} too"))),
        (None, Some(_)) => Err(given.complain(other, &format!("needs --{one} too"))),
    };
    let identity = both("etcd-cert", "etcd-key")?;
    let user = both("etcd-user", "etcd-password-file")?;
    let ca = text("etcd-ca");
    if is_tls && ca.is_none() {
        let problem = "members with https show certificates; give --etcd-ca FILE too";
        return Err(given.complain("etcd", problem));
    }
    if !is_tls && (ca.is_some() || identity.is_some()) {
        let name = if ca.is_some() { "etcd-ca" } else { "etcd-cert" };
        return Err(given.complain(name, "is for TLS; give --etcd with https://"));
    }
    let prefix = given.read("etcd-prefix", prefix)?;
    let user = user.map(|(name, file)| (name, PathBuf::from(file)));
    Ok(Some(EtcdGiven { endpoints, prefix, ca, identity, user }))
}

fn endpoints(text: &str) -> Result<Vec<Endpoint>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let endpoints = parts.map(endpoint).collect::<Result<Vec<_>, _>>()?;
    match endpoints.len() {
        0 => Err("give its members, such as https://etcd-1.example:2379".to_owned()),
        1..=MEMBERS_MAX if endpoints.iter().all(|it| it.is_tls == endpoints[0].is_tls) => {
            Ok(endpoints)
        }
        1..=MEMBERS_MAX => Err("give all members with https, or all with http".to_owned()),
        _ => Err(format!("give at most {MEMBERS_MAX} members")),
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let wrong = || format!("{text}: give a URL, such as https://etcd-1.example:2379");
    let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
    let is_tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(wrong()),
    };
    let (name, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
    let port = one_of(port, 1, 65_535).ok().and_then(|port| u16::try_from(port).ok());
    let is_ipv6_without_brackets = name.contains(':') && !name.starts_with('[');
    let name = host(name).ok().filter(|_| !is_ipv6_without_brackets).ok_or_else(wrong)?;
    Ok(Endpoint { is_tls, host: name, port: port.ok_or_else(wrong)? })
}

fn prefix(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let fits = (2..=PREFIX_BYTES_MAX).contains(&text.len()) && text.starts_with('/');
    if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "give what keys begin with, such as /memtide: a slash and up to {PREFIX_BYTES_MAX} printable characters"
        ));
    }
    Ok(text.to_owned())
}
