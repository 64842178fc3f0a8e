//! HTTP/2 to one member, over TLS or without.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::Service;

use crate::Endpoint;
use crate::limits::{CONNECT_TIME_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIME_MAX, WINDOW_BYTES};

/// An open connection; closed when it is dropped.
#[derive(Debug)]
pub struct Connection {
    sender: http2::SendRequest<Body>,
    driver: JoinHandle<()>,
    origin: http::Uri,
    /// What the member was shown, and how it was known; `None` where that was not asked for.
    tls: Option<Arc<ClientConfig>>,
}

/// What a generated client sends its requests through.
#[derive(Clone, Debug)]
pub struct Requests(http2::SendRequest<Body>);

impl Connection {
    /// Connects, and does the handshakes.
    ///
    /// # Errors
    /// Why not, in one line.
    pub async fn open(
        endpoint: &Endpoint,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, String> {
        let opened = time::timeout(CONNECT_TIME_MAX, Self::try_open(endpoint, tls)).await;
        let opened = opened.map_err(|_| "no connection in time".to_owned())?;
        let mut opened = opened?;
        opened.tls = tls.cloned();
        Ok(opened)
    }

    async fn try_open(
        endpoint: &Endpoint,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, String> {
        let failed = |error: io::Error| error.to_string();
        let to = (endpoint.host.as_str(), endpoint.port);
        let tcp = TcpStream::connect(to).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let Some(tls) = tls.filter(|_| endpoint.is_tls) else {
            return Self::over(tcp, endpoint).await;
        };
        let name = ServerName::try_from(endpoint.host.clone());
        let name = name.map_err(|_| "its host is no name for a certificate".to_owned())?;
        let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
        let tls = tls.map_err(|error| format!("TLS handshake failed: {error}"))?;
        Self::over(tls, endpoint).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        endpoint: &Endpoint,
    ) -> Result<Self, String> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIME_MAX)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("HTTP/2 handshake failed: {error}"))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to etcd ended");
            }
        });
        let origin = endpoint.to_string().parse();
        let origin = origin.map_err(|error: http::uri::InvalidUri| error.to_string())?;
        Ok(Self { sender, driver, origin, tls: None })
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it has shown this.
    pub fn has_shown(&self, tls: Option<&Arc<ClientConfig>>) -> bool {
        match (&self.tls, tls) {
            (Some(shown), Some(tls)) => Arc::ptr_eq(shown, tls),
            (shown, tls) => shown.is_none() && tls.is_none(),
        }
    }

    /// For a client, and the origin that it names.
    pub fn requests(&self) -> (Requests, http::Uri) {
        (Requests(self.sender.clone()), self.origin.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Service<http::Request<Body>> for Requests {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
