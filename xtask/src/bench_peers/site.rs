use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::Context as _;
use memtide_testkit::Authority;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use super::package::Programs;

/// What all peers share: one certificate, one directory, one limit of connections.
#[derive(Debug)]
pub struct Site {
    /// The memtide to compare, which is also the load.
    pub memtide: PathBuf,
    /// Debian's programs.
    pub programs: Programs,
    /// Certificates, configurations and logs; removed in the end.
    pub scratch: TempDir,
    /// Client connections of each server, at most; a proxy needs two descriptors for one.
    pub connections_max: u64,
}

/// Threads of each server that has to be told; memtide has one a core by itself.
pub const THREADS: u32 = 2;

/// Descriptors of a process, at most: memcached makes a table for all connections that it may have.
const DESCRIPTORS_MAX: u64 = 65_536;

impl Site {
    /// Makes the certificate: ECDSA P-256, good for 127.0.0.1 and localhost.
    ///
    /// # Errors
    /// When the directory for temporary files cannot be written.
    pub fn new(memtide: PathBuf, programs: Programs) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("memtide-bench-").tempdir();
        let scratch = scratch.context("failed to make a directory for temporary files")?;
        let site = Self { memtide, programs, scratch, connections_max: connections_max() };
        let authority = Authority::new("memtide bench-peers");
        let identity = authority.issue("localhost");
        let both = format!("{}{}", identity.certificate_pem, identity.key_pem);
        for (name, text) in [
            ("ca.pem", &authority.certificate_pem),
            ("server.pem", &identity.certificate_pem),
            ("server.key", &identity.key_pem),
            ("both.pem", &both),
        ] {
            fs::write(site.path(name), text).with_context(|| format!("failed to write {name}"))?;
        }
        Ok(site)
    }

    /// A file of the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The same as text; it has no other characters than those of the temporary directory.
    pub fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// Ports of 127.0.0.1 that nobody has now.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    // All are held until the last is known, so that none is given twice.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Takes all the descriptors that we may have, and more where we are root, for the servers inherit
/// that; gives the connections that a proxy can have with them, at two descriptors each.
fn connections_max() -> u64 {
    let of_all = |maximum: Option<u64>| Rlimit { current: maximum, maximum };
    let limit = getrlimit(Resource::Nofile).maximum;
    if limit.is_some_and(|maximum| maximum < DESCRIPTORS_MAX) {
        // Only root may, and nothing is lost where it is refused.
        let _ = setrlimit(Resource::Nofile, of_all(Some(DESCRIPTORS_MAX)));
    }
    let _ = setrlimit(Resource::Nofile, of_all(getrlimit(Resource::Nofile).maximum));
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX);
    descriptors.min(DESCRIPTORS_MAX).saturating_sub(200) / 2
}
