use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stands between a client and a server, and can stop to pass on what they send.
pub struct Forwarder {
    address: SocketAddr,
    is_paused: watch::Sender<bool>,
    bytes_back: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Forwarder {
    pub async fn to(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_paused, paused) = watch::channel(false);
        let bytes_back = Arc::<AtomicU64>::default();
        let (counted, endpoint) = (Arc::clone(&bytes_back), endpoint.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&endpoint).await.unwrap();
                tokio::spawn(pass(client, server, paused.clone(), Arc::clone(&counted)));
            }
        });
        Self { address, is_paused, bytes_back, task }
    }

    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    pub fn pause(&self) {
        self.is_paused.send_replace(true);
    }

    pub fn resume(&self) {
        self.is_paused.send_replace(false);
    }

    /// Bytes that the server sent and that were passed on.
    pub fn bytes_back(&self) -> u64 {
        self.bytes_back.load(Ordering::Relaxed)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    client: TcpStream,
    server: TcpStream,
    paused: watch::Receiver<bool>,
    bytes_back: Arc<AtomicU64>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let nowhere = AtomicU64::new(0);
    tokio::select! {
        () = one_way(&mut from_client, &mut to_server, paused.clone(), &nowhere) => {}
        () = one_way(&mut from_server, &mut to_client, paused, &bytes_back) => {}
    }
}

async fn one_way(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut paused: watch::Receiver<bool>,
    bytes: &AtomicU64,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        if paused.wait_for(|is_paused| !is_paused).await.is_err() {
            return;
        }
        bytes.fetch_add(u64::try_from(count).unwrap(), Ordering::Relaxed);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
