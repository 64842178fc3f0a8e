//! What is loaded: where it is, what it is called, and how it is talked to.

mod preflight;
mod tls;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::arguments::ConnectionArguments;

pub use preflight::{Preflight, server_statistic};

/// An endpoint whose name was resolved, and the TLS to reach it with.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What reports call it.
    pub name: String,
    /// Host and port, as given.
    pub address: String,
    /// The first of its addresses, or the one that a connection could be made to.
    pub socket: SocketAddr,
    /// `None` is plain TCP.
    pub tls: Option<TlsPeer>,
}

/// How the TLS of an endpoint is met.
#[derive(Clone, Debug)]
pub struct TlsPeer {
    /// Roots, versions, own certificate, session cache.
    pub config: Arc<ClientConfig>,
    /// Who the endpoint has to be.
    pub server_name: ServerName<'static>,
}

impl Endpoint {
    /// Reads `[NAME=][tls://|plain://]HOST:PORT` and resolves it.
    ///
    /// # Errors
    /// One line about what is wrong with the words, the name, or the TLS files.
    pub fn resolve(words: &str, arguments: &ConnectionArguments) -> anyhow::Result<Self> {
        let words = Words::read(words, arguments.plain)?;
        let tls = if words.is_plain { None } else { Some(tls::peer(words.host, arguments)?) };
        let socket = words
            .address
            .to_socket_addrs()
            .with_context(|| format!("--endpoint {}: failed to resolve it", words.address))?
            .next()
            .ok_or_else(|| anyhow!("--endpoint {}: the name has no address", words.address))?;
        Ok(Self {
            name: words.name.unwrap_or(words.address).to_owned(),
            address: words.address.to_owned(),
            socket,
            tls,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Words<'w> {
    name: Option<&'w str>,
    address: &'w str,
    host: &'w str,
    is_plain: bool,
}

impl<'w> Words<'w> {
    fn read(words: &'w str, is_plain_default: bool) -> anyhow::Result<Self> {
        let (name, rest) = match words.split_once('=') {
            Some((name, rest)) => (Some(name), rest),
            None => (None, words),
        };
        let (is_plain, address) = if let Some(address) = rest.strip_prefix("plain://") {
            (true, address)
        } else if let Some(address) = rest.strip_prefix("tls://") {
            (false, address)
        } else {
            (is_plain_default, rest)
        };
        if name == Some("") {
            bail!("--endpoint {words}: no name before the =");
        }
        if address.contains("://") {
            bail!("--endpoint {words}: only tls:// and plain:// are known");
        }
        let host = match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => host,
            _ => bail!("--endpoint {words}: give HOST:PORT, such as localhost:11211"),
        };
        if host.contains(':') && !host.starts_with('[') {
            bail!("--endpoint {words}: put brackets around an IPv6 address: [::1]:11211");
        }
        Ok(Self { name, address, host: host.trim_matches(['[', ']']), is_plain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_or_its_address() {
        let read = |words| Words::read(words, false).unwrap();
        let plain = Words { name: None, address: "a:1", host: "a", is_plain: true };
        assert_eq!(read("plain://a:1"), plain);
        let named = Words { name: Some("x"), address: "[::1]:11211", host: "::1", is_plain: false };
        assert_eq!(read("x=tls://[::1]:11211"), named);
        assert_eq!(read("x=[::1]:11211"), named);
        assert!(Words::read("a:1", true).unwrap().is_plain);
        assert!(!Words::read("tls://a:1", true).unwrap().is_plain);
    }

    #[test]
    fn a_mistake_names_its_place() {
        let check = |words, expected: &str| {
            assert_eq!(Words::read(words, false).unwrap_err().to_string(), expected);
        };
        check("a", "--endpoint a: give HOST:PORT, such as localhost:11211");
        check("a:x", "--endpoint a:x: give HOST:PORT, such as localhost:11211");
        check(":1", "--endpoint :1: give HOST:PORT, such as localhost:11211");
        check("=a:1", "--endpoint =a:1: no name before the =");
        check("http://a:1", "--endpoint http://a:1: only tls:// and plain:// are known");
        check(
            "::1:11211",
            "--endpoint ::1:11211: put brackets around an IPv6 address: [::1]:11211",
        );
    }
}
