//! Where topologies are kept.

mod children;
pub mod file;
mod local;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use memtide_topology::{CacheId, DecodeError, Epoch, Topology};
use tokio::sync::watch;

pub use children::{Children, ChildrenFile, in_topology};
pub use local::{LocalStore, check_follows, write_copy};

/// What a store does, when it is done.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The topology of one cache, changed by compare-and-set: what fences scalers from each other, and
/// epochs from being used twice.
pub trait TopologyStore: Send + Sync + fmt::Debug + 'static {
    /// What is stored, durably; `None` of a new cache.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    fn load(&self) -> StoreFuture<'_, Option<Arc<Topology>>>;

    /// Stores `next` durably, if what is stored is of the epoch `parent`, or is nothing where that is
    /// `None`.
    ///
    /// # Errors
    /// After one it is not known whether `next` is stored: the same has to be tried again, and nothing
    /// else, until it is.
    fn compare_and_set(
        &self,
        parent: Option<Epoch>,
        next: Arc<Topology>,
    ) -> StoreFuture<'_, Stored>;

    /// What is stored, by whomever, as soon as this store knows.
    fn watch(&self) -> watch::Receiver<Option<Arc<Topology>>>;
}

/// What became of a [`TopologyStore::compare_and_set`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Done,
    /// Something else is stored.
    Conflict(Option<Arc<Topology>>),
}

/// Why a store cannot be used, or not now.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system does not want to.
    #[error("failed to {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is held by another scaler; stop that one, or give another directory", path.display())]
    Held {
        /// The lock.
        path: PathBuf,
    },
    /// Somebody else's file.
    #[error("{} is no topology of memtide; give another directory, or move the file away", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// Of a later version.
    #[error("{} is of format {found}, but this version knows only {known}; upgrade it", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// This version's.
        known: u32,
    },
    /// Not as it was written.
    #[error(
        "{} is damaged: {fault}; put a copy of it back, or stop all nodes and proxies and move it away to begin anew",
        path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How it shows.
        fault: Damage,
    },
    /// What the scaler intends is not as it was written.
    #[error("{} is damaged, or of a later version: {why}; upgrade this scaler, or move it away: nodes that it has started are then left to whoever finds them", path.display())]
    Scaling {
        /// Which.
        path: PathBuf,
        /// How it shows.
        why: String,
    },
    /// The list of nodes that end with their parent is not as it was written.
    #[error("{} is damaged; remove it: nodes that ended with this process then count as silent until they are forgotten", path.display())]
    Children {
        /// Which.
        path: PathBuf,
    },
    /// Two topologies may never have the same epoch.
    #[error("refused to store epoch {next} after {epoch}")]
    Backwards {
        /// What is stored.
        epoch: Epoch,
        /// What was to be.
        next: Epoch,
    },
    /// See [`TopologyStore::compare_and_set`].
    #[error("refused to store another topology of epoch {epoch} than may be stored already")]
    Uncertain {
        /// Of both.
        epoch: Epoch,
    },
    /// A store is of one cache.
    #[error("the topology is of the cache {theirs}, but the stored one is of {ours}")]
    OtherCache {
        /// What was to be stored.
        theirs: CacheId,
        /// What is.
        ours: CacheId,
    },
    /// etcd does not do it, or does not answer.
    #[error(transparent)]
    Etcd(#[from] memtide_etcd::EtcdError),
    /// This one may not store anything any more.
    #[error("another scaler leads, or none does")]
    Deposed,
    /// Somebody who is no scaler changes it.
    #[error("{} is changed by somebody else, at the same time", path.display())]
    Contested {
        /// Which.
        path: PathBuf,
    },
    /// The process ends.
    #[error("the store was closed")]
    Closed,
}

/// How it shows that a file is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its length is not what it says.
    #[error("{found} bytes instead of {wanted}")]
    Length {
        /// Bytes that there are.
        found: u64,
        /// Bytes that it says there should be.
        wanted: u64,
    },
    /// Some of its bytes are not what they were.
    #[error("its checksum does not match")]
    Checksum,
    /// A version of memtide with a bug wrote it.
    #[error("{0}")]
    Topology(#[from] DecodeError),
}
