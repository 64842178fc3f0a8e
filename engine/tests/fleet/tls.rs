//! The certificates of a fleet that lives as long as a test.

use std::sync::Arc;

use memtide_service::tls::fleet::{FleetTls, Role};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// What nodes and proxies need.
#[derive(Clone)]
pub struct Tls {
    pub node: FleetTls,
    pub proxy: Arc<ClientConfig>,
}

pub fn node_name() -> ServerName<'static> {
    Role::Node.server_name()
}

impl Tls {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        FleetTls::make(directory.path()).unwrap();
        let of = |role| FleetTls::load(directory.path(), role).unwrap();
        Self { node: of(Role::Node), proxy: of(Role::Proxy).client() }
    }
}
