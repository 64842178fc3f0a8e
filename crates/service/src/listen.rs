//! Listening sockets, bound before anything else starts, with errors that say what to do.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::LISTEN_BACKLOG;

/// Why a port could not be listened on. One line: what, where, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has it.
    #[error(
        "{flag} {address}: the port is in use by another process; stop that one (ss -ltnp 'sport = \
         :{}' names it) or give another port",
        address.port()
    )]
    InUse {
        /// The flag that names the port, with its dashes.
        flag: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// Not an address of this host.
    #[error("{flag} {address}: no interface of this host has this address (ip addr lists them)")]
    NoSuchAddress {
        /// The flag that names the address.
        flag: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// A port below 1,024 without the privilege.
    #[error(
        "{flag} {address}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, any other \
         port does not"
    )]
    NotPermitted {
        /// The flag that names the port.
        flag: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// Anything else that the system says.
    #[error("{flag} {address}: failed to listen: {source}")]
    Other {
        /// The flag that names the port.
        flag: &'static str,
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

impl ListenError {
    fn new(flag: &'static str, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { flag, address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { flag, address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { flag, address },
            _ => Self::Other { flag, address, source },
        }
    }
}

/// Listens on `port` of each of `ips`, or of all interfaces (IPv6 and IPv4) where `ips` is empty.
///
/// `::` takes IPv4 too, as the system does by default, unless an IPv4 address is named beside it.
/// Port 0 lets the system choose; it is then the same for all addresses. The sockets are
/// non-blocking, as tokio wants them. `flag` is named in errors.
///
/// # Errors
/// When any of them cannot be listened on.
pub fn listen(
    flag: &'static str,
    ips: &[IpAddr],
    port: u16,
) -> Result<Vec<TcpListener>, ListenError> {
    if ips.is_empty() {
        return all_interfaces(flag, port);
    }
    let is_ipv6_only = ips.iter().any(IpAddr::is_ipv4);
    let mut port = port;
    let mut listeners = Vec::with_capacity(ips.len());
    for ip in ips {
        let listener = bind(flag, SocketAddr::new(*ip, port), is_ipv6_only)?;
        port = local_port(flag, &listener)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// The port that `listener` really has.
///
/// # Errors
/// Only when the descriptor is no socket.
pub fn local_port(flag: &'static str, listener: &TcpListener) -> Result<u16, ListenError> {
    let unknown = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    match listener.local_addr() {
        Ok(address) => Ok(address.port()),
        Err(source) => Err(ListenError::new(flag, unknown, source)),
    }
}

/// One socket for both families; IPv4 alone on hosts where IPv6 is off.
fn all_interfaces(flag: &'static str, port: u16) -> Result<Vec<TcpListener>, ListenError> {
    match bind(flag, SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), false) {
        Ok(listener) => Ok(vec![listener]),
        Err(ListenError::NoSuchAddress { .. } | ListenError::Other { .. }) => {
            bind(flag, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), false)
                .map(|listener| vec![listener])
        }
        Err(error) => Err(error),
    }
}

fn bind(
    flag: &'static str,
    address: SocketAddr,
    is_ipv6_only: bool,
) -> Result<TcpListener, ListenError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(is_ipv6_only)?;
        }
        // A restart finds the port in TIME_WAIT otherwise. On Linux this does not let two
        // processes listen on one port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|source| ListenError::new(flag, address, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn port_zero_is_one_port_for_all_addresses() {
        let second = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let listeners = listen("--port", &[LOOPBACK, second], 0).unwrap();
        let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert!(ports[0] != 0 && ports[0] == ports[1], "{ports:?}");
    }

    #[test]
    fn all_interfaces_reach_both_loopbacks() {
        let listeners = listen("--port", &[], 0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        std::net::TcpStream::connect((LOOPBACK, port)).unwrap();
    }

    #[test]
    fn a_wildcard_of_ipv6_takes_ipv4_too_unless_that_is_named() {
        let any = |text: &str| text.parse::<IpAddr>().unwrap();
        let listeners = listen("--port", &[any("::")], 0).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        std::net::TcpStream::connect((LOOPBACK, port)).unwrap();
        assert_eq!(listen("--port", &[any("::"), any("0.0.0.0")], 0).unwrap().len(), 2);
    }

    #[test]
    fn errors_are_one_line_that_says_what_to_do() {
        let taken = listen("--port", &[LOOPBACK], 0).unwrap();
        let port = taken[0].local_addr().unwrap().port();
        let foreign = "192.0.2.1".parse().unwrap();
        let table = [
            (LOOPBACK, port, format!("--port 127.0.0.1:{port}: the port is in use by")),
            (foreign, 0, "--port 192.0.2.1:0: no interface of this host has".to_owned()),
        ];
        for (ip, port, expected) in table {
            let error = listen("--port", &[ip], port).unwrap_err().to_string();
            assert!(error.starts_with(&expected) && !error.contains('\n'), "{error}");
        }
    }
}
