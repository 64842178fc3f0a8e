//! Both ends of a connection, with an authority of their own.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::thread::JoinHandle;

use memtide_link::{Bounds, Introduction, Link, LinkError, Stream, accept, connect};
use memtide_topology::{CacheId, NodeId};
use memtide_wire::{Greeting, Peer, Preface, Versions};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub const BOUNDS: Bounds = Bounds { frame_bytes_max: 1 << 20, unsent_bytes_max: usize::MAX };

pub fn node(id: u64) -> Introduction {
    introduction(Peer::Node(NodeId::new(id)))
}

pub fn proxy(client: u64) -> Introduction {
    introduction(Peer::Proxy(client))
}

fn introduction(peer: Peer) -> Introduction {
    let preface = Preface::new(peer, CacheId::default(), Versions::KNOWN);
    Introduction { preface, greeting: Greeting { fleet: 5 } }
}

/// The same, that speaks these versions.
pub fn speaking(min: u16, max: u16, mut it: Introduction) -> Introduction {
    it.preface.versions = Versions { min, max };
    it
}

/// Appends a frame with this body, its kind included.
pub fn frame(out: &mut Vec<u8>, body: &[u8]) {
    out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    out.extend_from_slice(body);
}

/// What both ends need.
pub struct Rig {
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
    pub roots: Arc<RootCertStore>,
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Rig {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let issue = |name: &str| -> Identity {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            (vec![certificate.der().clone()], key)
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder(Arc::clone(&roots)).build().unwrap();
        let (chain, key) = issue("node.memtide");
        let server = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        let (chain, key) = issue("proxy.memtide");
        let client = ClientConfig::builder()
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain, key)
            .unwrap();
        Self { client: Arc::new(client), server: Arc::new(server), roots }
    }

    /// A client without a certificate.
    pub fn anonymous(&self) -> Arc<ClientConfig> {
        let config = ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots));
        Arc::new(config.with_no_client_auth())
    }

    pub async fn sockets(&self) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (connected, accepted) = tokio::join!(connecting, listener.accept());
        (connected.unwrap(), accepted.unwrap().0)
    }

    /// Says this over TLS in a thread of its own, and listens until the other side closes.
    pub fn say(&self, socket: TcpStream, words: Vec<u8>) -> JoinHandle<()> {
        let name = "node.memtide".try_into().unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        let socket = socket.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        std::thread::spawn(move || {
            let mut stream = StreamOwned::new(tls, socket);
            stream.write_all(&words).unwrap();
            stream.flush().unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        })
    }

    pub async fn accept(
        &self,
        socket: impl Into<Stream>,
        me: &Introduction,
    ) -> Result<Link, LinkError> {
        accept(socket, Arc::clone(&self.server), me).await
    }

    pub async fn handshake(
        &self,
        near: &Introduction,
        far: &Introduction,
    ) -> (Result<Link, LinkError>, Result<Link, LinkError>) {
        let (connected, accepted) = self.sockets().await;
        self.handshake_over((connected.into(), accepted.into()), near, far).await
    }

    pub async fn handshake_over(
        &self,
        (connected, accepted): (Stream, Stream),
        near: &Introduction,
        far: &Introduction,
    ) -> (Result<Link, LinkError>, Result<Link, LinkError>) {
        let name = "node.memtide".try_into().unwrap();
        let connecting = connect(connected, Arc::clone(&self.client), name, near);
        tokio::join!(connecting, self.accept(accepted, far))
    }

    /// The same within a host.
    pub async fn handshake_locally(
        &self,
        near: &Introduction,
        far: &Introduction,
    ) -> (Result<Link, LinkError>, Result<Link, LinkError>) {
        let (connected, accepted) = UnixStream::pair().unwrap();
        self.handshake_over((connected.into(), accepted.into()), near, far).await
    }

    pub async fn handshake_as(
        &self,
        expected: &'static str,
    ) -> (Result<Link, LinkError>, Result<Link, LinkError>) {
        let (connected, accepted) = self.sockets().await;
        let name = expected.try_into().unwrap();
        let near = proxy(3);
        let connecting = connect(connected, Arc::clone(&self.client), name, &near);
        let far = node(7);
        tokio::join!(connecting, self.accept(accepted, &far))
    }

    /// A link of a proxy to a node.
    pub async fn linked(&self) -> (Link, Link) {
        let (near, far) = self.handshake(&proxy(3), &node(7)).await;
        (near.unwrap(), far.unwrap())
    }

    /// The same between hosts, and within one.
    pub async fn linked_either_way(&self) -> [(Link, Link); 2] {
        let (near, far) = self.handshake_locally(&proxy(3), &node(7)).await;
        [self.linked().await, (near.unwrap(), far.unwrap())]
    }
}
