//! `memtide healthcheck`: for a container's HEALTHCHECK, which has no HTTP client of its own.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use memtide_service::config::Given;

use crate::failure::Failure;
use crate::{settings, welcome};

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `/healthz` or `/readyz` at the admin address; exit 0 for yes, 1 for no and for no answer.
pub fn run(given: &Given, is_of_readiness: bool) -> Result<ExitCode, Failure> {
    let (path, no) =
        if is_of_readiness { ("/readyz", "not ready") } else { ("/healthz", "not healthy") };
    let address = reachable(settings::admin(given)?);
    let (verdict, code) = match ask(address, path) {
        Ok(reply) if reply.starts_with("HTTP/1.1 200 ") => ("ok".to_owned(), ExitCode::SUCCESS),
        Ok(reply) => {
            let reason = reply.rsplit("\r\n\r\n").next().unwrap_or_default();
            (format!("{no}: {}", reason.trim()), ExitCode::FAILURE)
        }
        Err(error) => (format!("no answer from http://{address}: {error}"), ExitCode::FAILURE),
    };
    welcome::print(&format!("{verdict}\n"));
    Ok(code)
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

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
