//! `memtide healthcheck`: for a container's HEALTHCHECK, which has no HTTP client of its own.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use memtide_service::config::Given;

use crate::admin_tls::{self, AdminTlsClient, Reply};
use crate::failure::Failure;
use crate::settings::Role;
use crate::{settings, welcome};

const PATIENCE: Duration = Duration::from_secs(3);
/// A reason is a line.
const REPLY_BYTES_MAX: u64 = 64 * 1024;

/// Asks `/healthz` or `/readyz` at the admin address; exit 0 for yes, 1 for no and for no answer.
pub fn run(given: &Given, is_of_readiness: bool) -> Result<ExitCode, Failure> {
    let (path, no) =
        if is_of_readiness { ("/readyz", "not ready") } else { ("/healthz", "not healthy") };
    let address = reachable(settings::admin(given)?);
    let is_tls = given.text("admin-client-ca").is_some();
    let scheme = if is_tls { "https" } else { "http" };
    let (verdict, code) = match ask(address, path, is_tls) {
        Ok(reply) if is_another(given.schema().role, &reply) => {
            let (role, other) = (given.schema().role, reply.role.unwrap_or_default());
            let line = format!(
                "{no}: a memtide {other} answers at {scheme}://{address}, and no memtide {role}; give its --admin"
            );
            (line, ExitCode::FAILURE)
        }
        Ok(reply) if reply.status == 200 => ("ok".to_owned(), ExitCode::SUCCESS),
        Ok(reply) => (format!("{no}: {}", reply.body.trim()), ExitCode::FAILURE),
        Err(error) => (format!("no answer from {scheme}://{address}: {error}"), ExitCode::FAILURE),
    };
    welcome::print(&format!("{verdict}\n"));
    Ok(code)
}

/// Whether another role answers than was asked for. `memtide healthcheck` alone asks for any.
fn is_another(role: &str, reply: &Reply) -> bool {
    role != Role::Serve.name() && reply.role.as_deref().is_some_and(|it| it != role)
}

/// A server that listens on all addresses is asked on the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask(address: SocketAddr, path: &str, is_tls: bool) -> io::Result<Reply> {
    // An answer of HTTP/1.0 ends with its connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    if is_tls {
        let client = AdminTlsClient::of_this_host(address);
        return client.exchange(address, request.as_bytes(), (PATIENCE, REPLY_BYTES_MAX));
    }
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.take(REPLY_BYTES_MAX).read_to_end(&mut reply)?;
    admin_tls::parse(&String::from_utf8_lossy(&reply))
        .ok_or_else(|| io::Error::other("the answer is no HTTP"))
}
