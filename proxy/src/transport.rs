//! One TLS connection's bytes: socket to plaintext and back, through buffers that its core shares.
//!
//! rustls is driven by hand, so that an idle connection owns no read buffer, and a batch of commands
//! costs one read and one write of the socket. What the handshake leaves to be sent goes out with
//! the replies to what came together with its end.

use std::io::{self, Write as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use memtide_link::socket::{SocketWriter, append_plaintext};
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes of one read while hands are shaken.
const HANDSHAKE_READ_BYTES: usize = 4 * 1024;

/// First byte of a TLS record that carries a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A client's socket and its TLS state.
pub struct Transport {
    stream: TcpStream,
    tls: Box<ServerConnection>,
}

/// What [`Transport::poll_receive`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Plaintext may have been appended.
    Bytes,
    /// The peer sent its last byte; plaintext may have been appended.
    Closed,
}

/// What a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// The begin of a handshake.
    Tls,
    /// Something else, which begins with this byte.
    Plaintext(u8),
    /// Nothing: it closed.
    Nothing,
}

/// A connection without the core that served it.
pub struct Detached {
    stream: std::net::TcpStream,
    tls: Box<ServerConnection>,
}

impl Transport {
    /// For a socket that was accepted.
    ///
    /// # Errors
    /// Where rustls refuses the configuration.
    pub fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        // The session bounds its output itself, and must be able to hand over a whole item.
        tls.set_buffer_limit(None);
        Ok(Self { stream, tls: Box::new(tls) })
    }

    /// Takes the connection from its core; nothing may wait to be sent or executed.
    ///
    /// # Errors
    /// Where the core cannot forget the socket.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(Detached { stream: self.stream.into_std()?, tls: self.tls })
    }

    /// Goes on with a connection of another core.
    ///
    /// # Errors
    /// Where this core cannot watch the socket.
    pub fn attach(Detached { stream, tls }: Detached) -> io::Result<Self> {
        Ok(Self { stream: TcpStream::from_std(stream)?, tls })
    }

    /// Reads what the client says first, without acting on it.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_greeting(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut [u8],
    ) -> Poll<io::Result<Greeting>> {
        let wire = &mut wire[..HANDSHAKE_READ_BYTES];
        let mut said: &[u8] = ready!(self.poll_read(cx, wire))?;
        Poll::Ready(Ok(match said.first() {
            None => Greeting::Nothing,
            Some(&TLS_HANDSHAKE) => {
                while !said.is_empty() {
                    self.tls.read_tls(&mut said)?;
                }
                Greeting::Tls
            }
            Some(&other) => Greeting::Plaintext(other),
        }))
    }

    /// Shakes hands after the greeting; what is left to be sent goes out with the first replies.
    ///
    /// # Errors
    /// The socket's, a client that goes away, or one that breaks TLS, who is told so.
    pub fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut [u8],
    ) -> Poll<io::Result<Option<HandshakeKind>>> {
        // Small reads, so that commands that came together with the end stay in the socket: rustls
        // takes no more plaintext than it has a buffer for.
        let wire = &mut wire[..HANDSHAKE_READ_BYTES];
        loop {
            if let Err(error) = self.tls.process_new_packets() {
                // The alert; whether it arrives changes nothing.
                let _ = self.poll_flush(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if !self.tls.is_handshaking() {
                return Poll::Ready(Ok(self.tls.handshake_kind()));
            }
            ready!(self.poll_flush(cx))?;
            let mut said: &[u8] = ready!(self.poll_read(cx, wire))?;
            if said.is_empty() {
                let error = "the client closed the connection";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)));
            }
            // rustls takes no more than the rest of a record at once, and nothing after a goodbye.
            while !said.is_empty() && self.tls.read_tls(&mut said)? > 0 {
                if self.tls.process_new_packets().is_err() {
                    // It says so again.
                    break;
                }
            }
        }
    }

    /// Appends plaintext that came together with the end of the handshake, after which the peer
    /// may have closed already.
    ///
    /// # Errors
    /// `InvalidData` where the peer breaks TLS; the alert for it is queued.
    pub fn take_early(&mut self, plain: &mut Vec<u8>) -> io::Result<Received> {
        self.take_received(plain)
    }

    /// Reads the socket once, into `wire`, and appends the plaintext to `plain`.
    ///
    /// # Errors
    /// The socket's, or `InvalidData` where the peer breaks TLS; the alert for it is queued.
    pub fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Poll<io::Result<Received>> {
        let mut rest: &[u8] = ready!(self.poll_read(cx, wire))?;
        if rest.is_empty() {
            return Poll::Ready(Ok(Received::Closed));
        }
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            if self.take_received(plain)? == Received::Closed {
                return Poll::Ready(Ok(Received::Closed));
            }
        }
        Poll::Ready(Ok(Received::Bytes))
    }

    /// Whether the peer has closed its side or is gone, as far as the socket's events have told;
    /// nothing is read, and nobody is woken when it does.
    pub fn has_peer_closed(&self, cx: &mut Context<'_>) -> bool {
        let ready = pin!(self.stream.ready(Interest::READABLE | Interest::WRITABLE));
        matches!(ready.poll(cx), Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    fn poll_read<'w>(
        &mut self,
        cx: &mut Context<'_>,
        wire: &'w mut [u8],
    ) -> Poll<io::Result<&'w [u8]>> {
        let mut buffer = ReadBuf::new(wire);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let count = buffer.filled().len();
        Poll::Ready(Ok(&wire[..count]))
    }

    fn take_received(&mut self, plain: &mut Vec<u8>) -> io::Result<Received> {
        let state = self
            .tls
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        append_plaintext(self.tls.reader(), state.plaintext_bytes_to_read(), plain)?;
        Ok(if state.peer_has_closed() { Received::Closed } else { Received::Bytes })
    }

    /// Encrypts `replies`; [`Transport::poll_flush`] sends them.
    ///
    /// # Errors
    /// None in practice: the buffer has no limit of its own.
    pub fn queue(&mut self, replies: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(replies)
    }

    /// Queues the TLS goodbye.
    pub fn queue_close(&mut self) {
        self.tls.send_close_notify();
    }

    /// Whether something waits to be sent.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Sends all that was queued.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let mut socket = SocketWriter { stream: &mut self.stream, cx };
            match self.tls.write_tls(&mut socket) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives the socket back.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// Both ends before the handshake.
    fn ends(alpn_protocols: Vec<Vec<u8>>) -> (ClientConnection, ServerConnection) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let mut client =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = alpn_protocols;
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let client = ClientConnection::new(Arc::new(client), name).unwrap();
        (client, ServerConnection::new(Arc::new(server)).unwrap())
    }

    /// Both ends after the handshake, but for the client's last flight, which the server waits for.
    fn almost_handshaken() -> (ClientConnection, ServerConnection) {
        let (mut client, mut server) = ends(vec![]);
        while client.is_handshaking() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            give(&mut server, &flight);
            flight.clear();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            client.read_tls(&mut flight.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        (client, server)
    }

    fn give(server: &mut ServerConnection, mut flight: &[u8]) {
        while !flight.is_empty() {
            server.read_tls(&mut flight).unwrap();
            server.process_new_packets().unwrap();
        }
    }

    /// Shakes hands with the client at the other end of a socket.
    async fn shake(stream: TcpStream, server: ServerConnection) -> io::Result<()> {
        let mut transport = Transport { stream, tls: Box::new(server) };
        let mut wire = vec![0; HANDSHAKE_READ_BYTES];
        let greeting = poll_fn(|cx| transport.poll_greeting(cx, &mut wire)).await?;
        assert_eq!(greeting, Greeting::Tls);
        poll_fn(|cx| transport.poll_handshake(cx, &mut wire)).await.map(drop)
    }

    async fn connected() -> (TcpStream, std::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().await.unwrap().0, client)
    }

    #[tokio::test]
    async fn a_client_hello_of_several_records_is_taken() {
        let (mut client, server) = ends(vec![vec![b'p'; 255]; 150]);
        let (stream, mut socket) = connected().await;
        let shaking = std::thread::spawn(move || client.complete_io(&mut socket).map(drop));
        shake(stream, server).await.unwrap();
        shaking.join().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_close_that_comes_with_the_handshake_is_seen() {
        for (closes, expected) in [(false, Received::Bytes), (true, Received::Closed)] {
            let (mut client, mut server) = almost_handshaken();
            client.writer().write_all(b"mn\r\n").unwrap();
            if closes {
                client.send_close_notify();
            }
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            give(&mut server, &flight);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut transport = Transport { stream, tls: Box::new(server) };
            let mut plain = Vec::new();
            assert_eq!(transport.take_early(&mut plain).unwrap(), expected);
            assert_eq!(plain, b"mn\r\n");
        }
    }
}
