//! Admin HTTP: `/metrics`, `/healthz`, `/readyz`, `GET /v1/events`, `GET /v1/cache` where the process
//! serves one, and what else its roles answer.
//!
//! It runs on a thread and a runtime of its own, so that neither a scrape nor a slow reader takes
//! time from a core of the data path. Every connection carries one request and lives for at most
//! [`ADMIN_REQUEST_TIME_MAX`], its TLS handshake included; at most [`ADMIN_CONNECTIONS_MAX`] are open.

mod access;
mod cache;
mod condition;
mod routes;

use std::{
    io,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
};

use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Semaphore, oneshot},
    time,
};
use tokio_rustls::TlsAcceptor;

use self::access::IsCertified;

pub use self::{
    access::{Access, TokenError, token_of},
    cache::{Cache, CacheDescription, CacheLimits, CacheState, CacheUsage, Endpoint, Range},
    condition::Condition,
    routes::{Answers, Health, ROLE_HEADER, RoleAnswers, RoleRoutes},
};
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_REQUEST_BYTES_MAX, ADMIN_REQUEST_TIME_MAX};

/// Answers while it lives; made by [`serve`].
#[derive(Debug)]
pub struct Admin {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers the connections of `listener` (non-blocking, see [`crate::listen`]) until the returned
/// value is dropped; it goes on while the process drains, so that the drain can be watched.
///
/// # Errors
/// When the system refuses a thread or a runtime.
pub fn serve(listener: TcpListener, answers: Answers) -> io::Result<Admin> {
    serve_with(listener, answers, RoleRoutes::default())
}

/// As [`serve`], for a process that serves a cache and has other roles too.
///
/// # Errors
/// When the system refuses a thread or a runtime.
pub fn serve_with(
    listener: TcpListener,
    answers: Answers,
    routes: RoleRoutes,
) -> io::Result<Admin> {
    let access = answers.access.clone();
    start(listener, access, routes::cache_router(answers, routes))
}

/// As [`serve`], for a process that serves no cache itself.
///
/// # Errors
/// When the system refuses a thread or a runtime.
pub fn serve_role(listener: TcpListener, answers: RoleAnswers) -> io::Result<Admin> {
    let access = answers.access.clone();
    start(listener, access, routes::router(answers))
}

fn start(listener: TcpListener, access: Access, router: axum::Router) -> io::Result<Admin> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _in_runtime = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (stop, stopped) = oneshot::channel();
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(listener, &access, &router) => {}
                // The sender is only ever dropped.
                _ = stopped => {}
            }
        });
    };
    let thread = thread::Builder::new().name("admin".to_owned()).spawn(run)?;
    Ok(Admin { stop: Some(stop), thread: Some(thread) })
}

async fn accept(listener: tokio::net::TcpListener, access: &Access, router: &axum::Router) {
    let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let (router, tls) = (router.clone(), access.tls().map(|tls| tls.server_config()));
                tokio::spawn(async move {
                    // A client that breaks off, or takes too long, has only himself to tell.
                    let _ =
                        time::timeout(ADMIN_REQUEST_TIME_MAX, answer(stream, tls, router)).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, or a client that left early: the next may fare better.
                tracing::debug!(%error, "failed to accept an admin connection");
                time::sleep(time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, tls: Option<Arc<ServerConfig>>, router: axum::Router) {
    let Some(tls) = tls else { return talk(stream, router).await };
    match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
        Ok(stream) => {
            let is_certified = stream.get_ref().1.peer_certificates().is_some();
            talk(stream, router.layer(Extension(IsCertified(is_certified)))).await;
        }
        Err((error, mut stream)) => {
            tracing::debug!(%error, "a TLS handshake of the admin HTTP failed");
            // The client may have sent its request already: were that unread, a reset would overtake the
            // alert that says why.
            let (_, mut unread) = (stream.shutdown().await, [0; 1024]);
            let mut left = ADMIN_REQUEST_BYTES_MAX;
            while let Ok(count @ 1..) = stream.read(&mut unread).await
                && left > 0
            {
                left = left.saturating_sub(count);
            }
        }
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, router: axum::Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_REQUEST_TIME_MAX)
        .keep_alive(false)
        .max_buf_size(ADMIN_REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let _ = connection.await;
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
