//! Whom a balancer speaks for: the header of the PROXY protocol, version 2, before the handshake.
//!
//! The format is HAProxy's (`doc/proxy-protocol.txt`); the crate `ppp` reads it. Version 1, a line of
//! text, is not taken.

use std::io;
use std::net::SocketAddr;

use ppp::v2;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::limits::ANNOUNCEMENT_BYTES_MAX;

/// What each header begins with: the signature, command and version, family, length of the rest.
const BEGIN_BYTES: usize = 16;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// A client, with its address.
    Client(SocketAddr),
    /// The balancer itself, as for a check of health.
    Balancer,
    /// A client whose address it does not know.
    Unnamed,
    /// Nothing: it has closed again.
    Nobody,
}

/// Reads the header, and no byte more.
///
/// # Errors
/// Where there is none, or a bad one, or the socket fails.
pub async fn read(stream: &mut TcpStream) -> io::Result<Announced> {
    let mut header = [0; ANNOUNCEMENT_BYTES_MAX];
    match stream.read(&mut header[..1]).await {
        Ok(0) => return Ok(Announced::Nobody),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            return Ok(Announced::Nobody);
        }
        begin => begin?,
    };
    stream.read_exact(&mut header[1..BEGIN_BYTES]).await?;
    // Whatever else comes is not waited for: the length would be anything.
    if !header.starts_with(v2::PROTOCOL_PREFIX) {
        return Err(bad("it does not begin with a header of the PROXY protocol, version 2"));
    }
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    let Some(rest) = header.get_mut(BEGIN_BYTES..BEGIN_BYTES + length) else {
        return Err(bad("its header of the PROXY protocol is too long"));
    };
    stream.read_exact(rest).await?;
    let header = v2::Header::try_from(&header[..BEGIN_BYTES + length])
        .map_err(|error| bad(&format!("its header of the PROXY protocol is bad: {error}")))?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(of)) => {
            Announced::Client((of.source_address, of.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(of)) => {
            let ip = of.source_address.to_canonical();
            Announced::Client((ip, of.source_port).into())
        }
        (v2::Command::Proxy, _) => Announced::Unnamed,
        (v2::Command::Local, _) => Announced::Balancer,
    })
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
