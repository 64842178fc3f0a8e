//! Which nodes are children of the process that has the directory: they end with it.
//!
//! ```text
//! <dir>/children: "memtide children\n", then "n3\n" for each
//! ```
//! A node is written down before the topology that has it is stored, so a scaler that finds it in both
//! knows that its process has ended.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use memtide_topology::{NODES_MAX, NodeId};

use super::StoreError;

const HEAD: &str = "memtide children\n";

/// Bytes of a node's name and its end of line.
const LINE_BYTES_MAX: usize = 22;

/// Bytes of a whole file: those of two topologies.
const FILE_BYTES_MAX: usize = HEAD.len() + 2 * NODES_MAX * LINE_BYTES_MAX;

/// The file in a directory.
#[derive(Clone, Debug)]
pub struct ChildrenFile(PathBuf);

impl ChildrenFile {
    /// That of this directory.
    pub fn of(dir: &Path) -> Self {
        Self(dir.join("children"))
    }

    /// What was written last; nobody where nothing was.
    pub fn load(&self) -> Result<BTreeSet<NodeId>, StoreError> {
        let mut text = Vec::new();
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(source) => return Err(self.error("open", source)),
        };
        // One byte more than any can have shows that it is none.
        let read = file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text);
        read.map_err(|source| self.error("read", source))?;
        parse(&text).ok_or_else(|| StoreError::Children { path: self.0.clone() })
    }

    /// Writes them down, durably.
    pub fn store(&self, children: &BTreeSet<NodeId>) -> Result<(), StoreError> {
        let next = self.0.with_extension("new");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            let lines: String = children.iter().map(|node| format!("{node}\n")).collect();
            file.write_all(format!("{HEAD}{lines}").as_bytes())?;
            file.sync_all()?;
            fs::rename(&next, &self.0)?;
            self.0.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
        };
        write().map_err(|source| self.error("write", source))
    }

    fn error(&self, what: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { what, path: self.0.clone(), source }
    }
}

fn parse(text: &[u8]) -> Option<BTreeSet<NodeId>> {
    if text.len() > FILE_BYTES_MAX {
        return None;
    }
    let lines = std::str::from_utf8(text).ok()?.strip_prefix(HEAD)?;
    if !lines.is_empty() && !lines.ends_with('\n') {
        return None;
    }
    let node = |line: &str| line.strip_prefix('n')?.parse().ok().map(NodeId::new);
    lines.lines().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = ChildrenFile::of(dir.path());
        assert_eq!(file.load().unwrap(), BTreeSet::new());
        for ids in [vec![], vec![3], vec![1, u64::MAX, 12]] {
            let children = ids.into_iter().map(NodeId::new).collect();
            file.store(&children).unwrap();
            assert_eq!(file.load().unwrap(), children);
        }
    }

    #[test]
    fn what_is_cut_or_something_else_is_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let file = ChildrenFile::of(dir.path());
        for text in ["", "n3\n", "memtide children\nn3", "memtide children\nx3\n", "memtide chi"] {
            fs::write(dir.path().join("children"), text).unwrap();
            let error = file.load().unwrap_err().to_string();
            assert!(error.contains("children is damaged; "), "{text:?}: {error}");
        }
    }
}
