//! What a person sees who starts memtide in a terminal.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use memtide_service::admin::Endpoint;
use memtide_topology::Zone;

use crate::settings::{Backend, Common, EndpointConfig};

/// Prints a text as it is. Nobody may be reading: that is no reason to end.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints a configuration that was checked.
pub fn print_configuration(common: &Common) {
    for warning in &common.warnings {
        print(&format!("# warning: {warning}\n"));
    }
    print(&common.shown);
}

/// What to do with the certificates in `dir`.
pub fn of_fleet_tls(dir: &Path) -> String {
    format!(
        "certificates of a fleet are in {}\n  \
         every process needs ca.pem, and the .pem and .key of its role: scaler, node (memtide \
         engine) or proxy\n  \
         ca.key issues further ones: keep it here, or where nobody finds it\n",
        dir.display()
    )
}

/// Prints the endpoint, and lines that can be pasted.
pub fn greet(config: &EndpointConfig, endpoint: &Endpoint, admin: SocketAddr, ca: Option<&Path>) {
    print(&greeting(config, endpoint, admin, ca));
}

fn greeting(
    config: &EndpointConfig,
    endpoint: &Endpoint,
    admin: SocketAddr,
    ca: Option<&Path>,
) -> String {
    let Endpoint { host, port, read_port } = endpoint;
    let host = in_brackets(host);
    let scheme = if config.common.admin_client_ca.is_some() { "https" } else { "http" };
    let mut text = format!(
        "memtide {} serves a cache over TLS\n  \
         primary         {host}:{port}\n  \
         read-optimized  {host}:{read_port}\n  \
         admin           {scheme}://{admin}/v1/cache, /metrics, /healthz, /readyz\n",
        env!("CARGO_PKG_VERSION"),
    );
    if let Backend::Processes(nodes) = &config.backend {
        let zones: Vec<_> = nodes.zones.iter().map(Zone::name).collect();
        let many = if zones.len() == 1 { "zone" } else { "zones" };
        let (least, most) = (nodes.count, nodes.count_max());
        let count = match &nodes.scaling {
            Some(_) => format!("{least} now, {most} at most as the load asks for them"),
            None => least.to_string(),
        };
        // None of these fails on a String.
        let _ = writeln!(text, "  nodes           {count}, in {many} {}", zones.join(", "));
    }
    let Some(ca) = ca else { return text };
    let ca = std::path::absolute(ca).unwrap_or_else(|_| ca.to_owned());
    let _ = writeln!(text, "  CA              {}", ca.display());
    // Clients that must show a certificate of their own know better than a line of ours.
    if config.tls.client_ca.is_none() {
        let _ = write!(text, "\n{}", snippet(&local_host(&config.bind), *port, &ca));
    }
    text
}

/// A host by which this host itself reaches the endpoint, and that a made certificate is good for.
fn local_host(bind: &[IpAddr]) -> String {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match bind.first() {
        Some(first) if !bind.iter().any(|ip| ip.is_unspecified() || loopback.contains(ip)) => {
            first.to_string()
        }
        _ => "localhost".to_owned(),
    }
}

fn in_brackets(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn snippet(host: &str, port: u16, ca: &Path) -> String {
    let ca = ca.display();
    let address = in_brackets(host);
    format!(
        "Try it, on this host:\n  \
         printf 'set hi 0 0 5\\r\\nthere\\r\\nget hi\\r\\nquit\\r\\n' | openssl s_client -quiet \
         -verify_return_error -connect {address}:{port} -CAfile '{ca}'\n  \
         python3 -c \"import ssl; from pymemcache import Client; c = Client(('{host}', {port}), \
         tls_context=ssl.create_default_context(cafile='{ca}')); c.set('hi', 'there'); \
         print(c.get('hi'))\"\n"
    )
}
