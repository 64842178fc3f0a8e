//! HTTP/2 over TLS, by hand, so that a connection's certificate and its end are in our hands.

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
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::Service;

use crate::SCALER_NAME;
use crate::limits::{Patience, WINDOW_BYTES};

/// What both ends agree on in the TLS handshake.
pub const ALPN: &[u8] = b"h2";

/// An open connection to a scaler; closed when it is dropped.
#[derive(Debug)]
pub struct Connection {
    sender: http2::SendRequest<Body>,
    driver: JoinHandle<()>,
}

/// What a generated client sends its requests through.
#[derive(Clone, Debug)]
pub struct Requests(http2::SendRequest<Body>);

/// Why an endpoint was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Name, address or socket.
    #[error("{0}")]
    Tcp(io::Error),
    /// Also where the scaler is somebody else, or does not like our certificate.
    #[error("TLS handshake failed: {}", why_tls(.0))]
    Tls(io::Error),
    /// What is there speaks something else.
    #[error("HTTP/2 handshake failed: {0}")]
    Http(hyper::Error),
    /// See [`crate::limits::CONNECT_TIME_MAX`].
    #[error("no answer in time")]
    Late,
}

/// Why a handshake failed, with the file that is to be looked at where certificates of two CAs met. CAs that
/// memtide makes all have one name: so one is told from another by its signature alone.
pub fn why_tls(error: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Wrong, Error};
    let of = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of {
        Some(Error::InvalidCertificate(Wrong::BadSignature | Wrong::UnknownIssuer)) => format!(
            "the peer's certificate was not signed by the CA in this process's --fleet-tls, ca.pem; give both the files of one CA ({error})"
        ),
        Some(Error::AlertReceived(
            Alert::DecryptError | Alert::UnknownCA | Alert::BadCertificate,
        )) => format!(
            "this process's certificate was not signed by the CA in the peer's --fleet-tls, ca.pem; give both the files of one CA ({error})"
        ),
        _ => error.to_string(),
    }
}

impl Connection {
    /// Connects to `host:port` and does the handshakes.
    pub async fn open(
        endpoint: &str,
        tls: Arc<ClientConfig>,
        patience: Patience,
    ) -> Result<Self, ConnectError> {
        let tcp = TcpStream::connect(endpoint).await.map_err(ConnectError::Tcp)?;
        tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
        let name = ServerName::try_from(SCALER_NAME).expect("the name is a DNS name");
        let tls = TlsConnector::from(tls).connect(name, tcp).await.map_err(ConnectError::Tls)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(patience.keepalive_interval)
            .keep_alive_timeout(patience.keepalive_time_max)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(ConnectError::Http)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection ended");
            }
        });
        Ok(Self { sender, driver })
    }

    /// For one client.
    pub fn requests(&self) -> Requests {
        Requests(self.sender.clone())
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
