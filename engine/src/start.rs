//! Starting a node, and what the program sees of a running one.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use memtide_service::drain::DrainWatch;
use tokio::runtime::{LocalOptions, LocalRuntime};

use crate::config::NodeConfig;
use crate::data;
use crate::feed::Feed;
use crate::observer::Observer;
use crate::shared::Shared;

/// A running node.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    data: JoinHandle<Ended>,
}

/// How a node came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has given up all its slots.
    Drained,
    /// The drain's time was over; slots that it still had are lost with it where no other has them.
    Stopped,
    /// The manager does not want it, for this reason.
    Refused(String),
    /// It was taken out of the topology: what it has was given up.
    Removed,
    /// A bug.
    Panicked,
}

impl Node {
    /// Starts the data thread, which serves from the first topology of the feed on until `drain`
    /// says otherwise. The listener must not block.
    ///
    /// # Errors
    /// Where the operating system gives no thread or no event queue.
    pub fn start(
        config: NodeConfig,
        listener: TcpListener,
        feed: Feed,
        drain: DrainWatch,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(config, drain));
        let runtime_shared = Arc::clone(&shared);
        let (started, has_started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("memtide-node".into());
        let data = thread.spawn(move || {
            let runtime = match build_runtime() {
                Ok(runtime) => runtime,
                Err(error) => {
                    // Who waits for it does so until it comes.
                    let _ = started.send(Err(error));
                    return Ended::Stopped;
                }
            };
            let _ = started.send(Ok(()));
            runtime.block_on(data::serve(runtime_shared, listener, feed))
        })?;
        has_started.recv().map_err(io::Error::other)??;
        Ok(Self { shared, data })
    }

    /// Sees what the node counts.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer::new(Arc::clone(&self.shared))
    }

    /// Waits until the node has ended.
    #[must_use]
    pub fn join(self) -> Ended {
        self.data.join().unwrap_or(Ended::Panicked)
    }
}

fn build_runtime() -> io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}
