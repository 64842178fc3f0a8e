//! What a scaler keeps beside the topology, so that the next one goes on with it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{StoreError, StoreFuture};

/// Bytes of one: far more than the record of the most nodes takes.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// Each is a text that is replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// What the executor intends.
    Scaling,
    /// Which number of replicas was configured when the topology followed that last.
    Replicas,
    /// The limits that were set while it ran; only where scalers share them.
    Limits,
}

impl Document {
    /// What a file or a key of it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scaling => "scaling",
            Self::Replicas => "replicas",
            Self::Limits => "limits",
        }
    }
}

/// Where they are.
pub trait Documents: Send + Sync + fmt::Debug + 'static {
    /// What was written last; `None` where nothing was.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&self, of: Document) -> StoreFuture<'_, Option<Vec<u8>>>;

    /// Writes it, durably; with `None` removes it.
    ///
    /// # Errors
    /// After one it is not known which of the two it is.
    fn write(&self, of: Document, text: Option<Vec<u8>>) -> StoreFuture<'_, ()>;

    /// Where it is, for messages.
    fn place(&self, of: Document) -> PathBuf;
}

/// Files of one scaler, by the names of the documents.
#[derive(Clone, Debug)]
pub struct LocalDocuments(Arc<PathBuf>);

impl LocalDocuments {
    /// Those of a directory.
    pub fn of(dir: &Path) -> Self {
        Self(Arc::new(dir.to_owned()))
    }

    /// Does what may wait for a disk on a thread for that.
    fn blocking<T: Send + 'static>(
        &self,
        (of, what): (Document, &'static str),
        run: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let path = self.place(of);
        Box::pin(async move {
            let run = move || run(&path).map_err(|source| StoreError::Io { what, path, source });
            tokio::task::spawn_blocking(run).await.unwrap_or(Err(StoreError::Closed))
        })
    }
}

impl Documents for LocalDocuments {
    fn read(&self, of: Document) -> StoreFuture<'_, Option<Vec<u8>>> {
        self.blocking((of, "read"), |path| {
            let mut text = Vec::new();
            match File::open(path) {
                Ok(file) => file.take(DOCUMENT_BYTES_MAX).read_to_end(&mut text)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            Ok(Some(text))
        })
    }

    fn write(&self, of: Document, text: Option<Vec<u8>>) -> StoreFuture<'_, ()> {
        self.blocking((of, "write"), move |path| match text {
            Some(text) => replace(path, &text),
            None => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        })
    }

    fn place(&self, of: Document) -> PathBuf {
        self.0.join(of.name())
    }
}

/// After a crash it has the one or the other text.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let next = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_as_it_was_written_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalDocuments::of(dir.path());
        assert_eq!(files.read(Document::Scaling).await.unwrap(), None);
        files.write(Document::Scaling, None).await.unwrap();
        files.write(Document::Scaling, Some(b"one".to_vec())).await.unwrap();
        files.write(Document::Scaling, Some(b"2".to_vec())).await.unwrap();
        assert_eq!(files.read(Document::Scaling).await.unwrap(), Some(b"2".to_vec()));
        assert_eq!(fs::read(dir.path().join("scaling")).unwrap(), b"2");
        files.write(Document::Scaling, None).await.unwrap();
        assert_eq!(files.read(Document::Scaling).await.unwrap(), None);
        let error = files.write(Document::Replicas, None).await;
        error.unwrap();
        drop(dir);
        let error = files.write(Document::Replicas, Some(Vec::new())).await.unwrap_err();
        assert!(error.to_string().starts_with("failed to write "), "{error}");
    }
}
