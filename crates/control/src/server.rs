use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use memtide_topology::{CacheId, Topology};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::limits::{
    ACCEPT_PAUSE, CONNECTIONS_MAX, INCOMING_QUEUED_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIME_MAX,
    REGISTRATION_TIME_MAX, REPORT_MESSAGE_BYTES_MAX, TOPOLOGY_MESSAGE_BYTES_MAX, WINDOW_BYTES,
};
use crate::schema::control_server::{Control, ControlServer as Service};
use crate::schema::{LeadsAnswer, LeadsAsked, NodeSays, ProxySays, ScalerSays};
use crate::talk::{self, Talk};
use crate::topologies::Encodings;
use crate::transport::{ALPN, why_tls};
use crate::{Closed, Incoming, Role, SessionId, TicketSecret};

/// Reads from a peer's certificates what it is; `None` of one that may not speak here.
pub type RoleOf = fn(&[CertificateDer<'_>]) -> Option<Role>;

/// What a [`ControlServer`] is made of.
#[derive(Debug)]
pub struct ControlServerConfig {
    /// Where it listens.
    pub listener: std::net::TcpListener,
    /// Must ask for a client certificate.
    pub tls: Arc<ServerConfig>,
    /// What the client certificate is read by.
    pub role_of: RoleOf,
    /// Whose nodes and proxies are taken.
    pub cache: CacheId,
    /// What is pushed: each session gets the newest, as fast as it takes them.
    pub topologies: watch::Receiver<Arc<Topology>>,
    /// Bytes of the largest item of the cache: who takes others is refused.
    pub item_size_max: u32,
    /// Why nobody is heard any more, once that is so: all streams end with it.
    pub closed: watch::Receiver<Option<Closed>>,
    /// Whether another scaler may lead: nodes and proxies that know of others ask them then, and stay where none does.
    pub in_doubt: watch::Receiver<bool>,
    /// What proxies are told to make the keys of session tickets from, the newest first.
    pub tickets: watch::Receiver<Vec<TicketSecret>>,
}

/// The scaler's side of all control streams. They end when this is dropped.
#[derive(Debug)]
pub struct ControlServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl ControlServer {
    /// Serves from a task on `runtime`. What the streams say comes out of the receiver; while that is
    /// not read, the streams wait.
    ///
    /// # Errors
    /// When the system refuses the listener.
    pub fn spawn(
        runtime: &Handle,
        config: ControlServerConfig,
    ) -> io::Result<(Self, mpsc::Receiver<Incoming>)> {
        let address = config.listener.local_addr()?;
        config.listener.set_nonblocking(true)?;
        let listener = {
            let _in_runtime = runtime.enter();
            TcpListener::from_std(config.listener)?
        };
        let mut tls = ServerConfig::clone(&config.tls);
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let (incoming, came) = mpsc::channel(INCOMING_QUEUED_MAX);
        let shared = Arc::new(Shared {
            tls: TlsAcceptor::from(Arc::new(tls)),
            role_of: config.role_of,
            talk: Talk {
                cache: config.cache,
                topologies: config.topologies,
                item_size_max: config.item_size_max,
                closed: config.closed,
                in_doubt: config.in_doubt,
                tickets: config.tickets,
                encodings: Encodings::default(),
                incoming,
            },
            sessions: AtomicU64::new(0),
        });
        Ok((Self { address, task: runtime.spawn(accept(listener, shared)) }, came))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all connections share.
struct Shared {
    tls: TlsAcceptor,
    role_of: RoleOf,
    talk: Talk,
    /// How many there have been.
    sessions: AtomicU64,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    if let Err(why) = serve(tcp, peer, Arc::clone(&shared)).await {
                        shared.talk.note_refusal(peer, why);
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, or a client that left early: the next may fare better.
                tracing::warn!(%error, "failed to accept a control connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(tcp: TcpStream, peer: SocketAddr, shared: Arc<Shared>) -> Result<(), String> {
    let _ = tcp.set_nodelay(true);
    let handshake = time::timeout(REGISTRATION_TIME_MAX, shared.tls.accept(tcp)).await;
    let tls = handshake
        .map_err(|_| "no TLS handshake in time".to_owned())?
        .map_err(|error| format!("TLS handshake failed: {}", why_tls(&error)))?;
    let role = tls.get_ref().1.peer_certificates().and_then(shared.role_of);
    let handlers = Handlers { shared, role, peer };
    let service = Service::new(handlers)
        .max_decoding_message_size(REPORT_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(TOPOLOGY_MESSAGE_BYTES_MAX);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIME_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_concurrent_streams(1)
        .serve_connection(TokioIo::new(tls), TowerToHyperService::new(service));
    // A peer that breaks off is told of by its session.
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "a control connection ended");
    }
    Ok(())
}

/// What one connection may ask for.
struct Handlers {
    shared: Arc<Shared>,
    role: Option<Role>,
    peer: SocketAddr,
}

#[tonic::async_trait]
impl Control for Handlers {
    type NodeStream = ReceiverStream<Result<ScalerSays, Status>>;
    type ProxyStream = ReceiverStream<Result<ScalerSays, Status>>;

    async fn node(
        &self,
        request: Request<Streaming<NodeSays>>,
    ) -> Result<Response<Self::NodeStream>, Status> {
        self.check(Role::Node)?;
        let (say, said) = mpsc::channel(1);
        let (id, peer, shared) = (self.session(), self.peer, Arc::clone(&self.shared));
        tokio::spawn(async move {
            talk::with_node(&shared.talk, (id, peer), request.into_inner(), say).await;
        });
        Ok(Response::new(ReceiverStream::new(said)))
    }

    async fn proxy(
        &self,
        request: Request<Streaming<ProxySays>>,
    ) -> Result<Response<Self::ProxyStream>, Status> {
        self.check(Role::Proxy)?;
        let (say, said) = mpsc::channel(1);
        let (id, peer, shared) = (self.session(), self.peer, Arc::clone(&self.shared));
        tokio::spawn(async move {
            talk::with_proxy(&shared.talk, (id, peer), request.into_inner(), say).await;
        });
        Ok(Response::new(ReceiverStream::new(said)))
    }

    async fn leads(&self, _: Request<LeadsAsked>) -> Result<Response<LeadsAnswer>, Status> {
        if self.role.is_none() {
            return Err(Status::permission_denied("the certificate is no role's"));
        }
        Ok(Response::new(LeadsAnswer { leads: self.shared.talk.leads() }))
    }
}

impl Handlers {
    fn session(&self) -> SessionId {
        SessionId(self.shared.sessions.fetch_add(1, Ordering::Relaxed))
    }

    fn check(&self, wanted: Role) -> Result<(), Status> {
        let name = |role| match role {
            Role::Node => "node.memtide",
            Role::Proxy => "proxy.memtide",
        };
        if self.role == Some(wanted) {
            return Ok(());
        }
        let is = self.role.map_or("no role's", |role| name(role));
        let why = format!("the certificate is {is}; this wants one of {}", name(wanted));
        self.shared.talk.note_refusal(self.peer, why.clone());
        Err(Status::permission_denied(why))
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
