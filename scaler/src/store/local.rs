use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memtide_topology::{Epoch, Topology};
use tokio::sync::watch;
use tokio::task;

use super::{StoreError, StoreFuture, Stored, TopologyStore, file};

/// One scaler's store: a file in a directory of its own.
///
/// ```text
/// <dir>/topology       the newest one; never written to, only replaced
/// <dir>/topology.new   the next one while it is written; of no meaning after a crash
/// <dir>/lock           held by the scaler that has the directory
/// ```
/// A topology is stored by writing and syncing `topology.new`, renaming it and syncing the directory;
/// after a crash in between there is the one or the other, whole. What is loaded is synced
/// first, too: the directory's last change may not have been.
#[derive(Debug)]
pub struct LocalStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    state: Mutex<State>,
    watched: watch::Sender<Option<Arc<Topology>>>,
    /// Held while it is open.
    _lock: File,
}

#[derive(Debug)]
struct State {
    stored: Option<Arc<Topology>>,
    /// What may be in the file, because storing it failed.
    uncertain: Option<Arc<Topology>>,
}

impl LocalStore {
    /// Opens the store in this directory, which is made where it is missing.
    ///
    /// # Errors
    /// Where another scaler has it, or what is there is no topology that this version can read.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| io_error("make", dir, source))?;
        let lock = lock(&dir.join("lock"))?;
        let stored = load(dir)?.map(Arc::new);
        let watched = watch::Sender::new(stored.clone());
        let state = Mutex::new(State { stored, uncertain: None });
        Ok(Self(Arc::new(Inner { dir: dir.to_owned(), state, watched, _lock: lock })))
    }

    /// Does what may wait for a disk on a thread for that.
    fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let done = task::spawn_blocking(move || run(&inner)).await;
            done.unwrap_or(Err(StoreError::Closed))
        })
    }
}

impl TopologyStore for LocalStore {
    fn load(&self) -> StoreFuture<'_, Option<Arc<Topology>>> {
        self.blocking(|inner| Ok(inner.state().stored.clone()))
    }

    fn compare_and_set(
        &self,
        parent: Option<Epoch>,
        next: Arc<Topology>,
    ) -> StoreFuture<'_, Stored> {
        self.blocking(move |inner| inner.compare_and_set(parent, next))
    }

    fn watch(&self) -> watch::Receiver<Option<Arc<Topology>>> {
        self.0.watched.subscribe()
    }
}

impl Inner {
    /// What is done under this lock is right at each of its ends.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare_and_set(
        &self,
        parent: Option<Epoch>,
        next: Arc<Topology>,
    ) -> Result<Stored, StoreError> {
        let mut state = self.state();
        if state.stored.as_ref().map(|stored| stored.epoch()) != parent {
            return Ok(Stored::Conflict(state.stored.clone()));
        }
        if let Some(stored) = &state.stored {
            check_follows(stored, &next)?;
        }
        if state.uncertain.as_ref().is_some_and(|uncertain| *uncertain != next) {
            return Err(StoreError::Uncertain { epoch: next.epoch() });
        }
        state.uncertain = Some(Arc::clone(&next));
        write_next(&self.dir, &next)?;
        put_in_place(&self.dir)?;
        state.uncertain = None;
        state.stored = Some(Arc::clone(&next));
        self.watched.send_replace(Some(next));
        Ok(Stored::Done)
    }
}

/// Whether a topology may take the place of the one that is stored.
///
/// # Errors
/// Why not.
pub fn check_follows(stored: &Topology, next: &Topology) -> Result<(), StoreError> {
    if next.epoch() <= stored.epoch() {
        return Err(StoreError::Backwards { epoch: stored.epoch(), next: next.epoch() });
    }
    if (stored.cache(), stored.seed()) != (next.cache(), next.seed()) {
        let (theirs, ours) = (next.cache().clone(), stored.cache().clone());
        return Err(StoreError::OtherCache { theirs, ours });
    }
    Ok(())
}

/// What is stored in a directory, after it is certain to be there after a crash.
fn load(dir: &Path) -> Result<Option<Topology>, StoreError> {
    let path = stored_path(dir);
    let stored = match File::open(&path) {
        Ok(stored) => stored,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("open", &path, source)),
    };
    let mut bytes = Vec::new();
    // One byte more than any can have shows that it is none.
    let read = (&stored).take(file::FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|source| io_error("read", &path, source))?;
    let topology = file::decode(&path, &bytes)?;
    stored.sync_all().map_err(|source| io_error("sync", &path, source))?;
    sync_dir(dir)?;
    Ok(Some(topology))
}

/// The first half of storing: `topology.new` is there, whole.
fn write_next(dir: &Path, next: &Topology) -> Result<(), StoreError> {
    write_copy(&next_path(dir), next)
}

/// Writes a topology as [`LocalStore`] keeps it, to be put in its place by an operator who has lost that.
///
/// # Errors
/// Where the system does not want to.
pub fn write_copy(path: &Path, next: &Topology) -> Result<(), StoreError> {
    let write = || {
        // The seed of the hash is a secret of the cache.
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&file::encode(next))?;
        file.sync_all()
    };
    write().map_err(|source| io_error("write", path, source))
}

/// The second half: it has taken the place of `topology`.
fn put_in_place(dir: &Path) -> Result<(), StoreError> {
    let path = stored_path(dir);
    let renamed = fs::rename(next_path(dir), &path);
    renamed.map_err(|source| io_error("replace", &path, source))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| io_error("sync", dir, source))
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let lock = opened.map_err(|source| io_error("open", path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Held { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("lock", path, source)),
    }
}

fn stored_path(dir: &Path) -> PathBuf {
    dir.join("topology")
}

fn next_path(dir: &Path) -> PathBuf {
    dir.join("topology.new")
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what, path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
