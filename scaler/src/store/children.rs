//! Which nodes are children of the process that has the directory: they end with it.
//!
//! ```text
//! <dir>/children: "memtide children\n", then "n3 127.0.0.1:4567\n" for each
//! ```
//! A node is written down before the topology that has it is stored, so a scaler that finds it in both, at
//! the same address, knows that its process has ended. An id alone would not do: where the topology was
//! never stored, is a copy of another time, or comes from elsewhere, somebody else may have it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use memtide_topology::{ADDRESS_BYTES_MAX, NODES_MAX, NodeId, Topology};

use super::StoreError;

const HEAD: &str = "memtide children\n";

/// Bytes of a node's name, its address, and what is between and behind them.
const LINE_BYTES_MAX: usize = 23 + ADDRESS_BYTES_MAX;

/// Bytes of a whole file: those of two topologies.
const FILE_BYTES_MAX: usize = HEAD.len() + 2 * NODES_MAX * LINE_BYTES_MAX;

/// Nodes, and the address that each has had from the start.
pub type Children = BTreeMap<NodeId, String>;

/// Those of them that a topology has.
pub fn in_topology(mut children: Children, topology: &Topology) -> Children {
    let has = |node: &NodeId, address: &String| {
        topology.nodes().get(node).is_some_and(|info| info.address == *address)
    };
    children.retain(|node, address| has(node, address));
    children
}

/// The file in a directory.
#[derive(Clone, Debug)]
pub struct ChildrenFile(PathBuf);

impl ChildrenFile {
    /// That of this directory.
    pub fn of(dir: &Path) -> Self {
        Self(dir.join("children"))
    }

    /// What was written last; nobody where nothing was.
    pub fn load(&self) -> Result<Children, StoreError> {
        let mut text = Vec::new();
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Children::new()),
            Err(source) => return Err(self.error("open", source)),
        };
        // One byte more than any can have shows that it is none.
        let read = file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text);
        read.map_err(|source| self.error("read", source))?;
        parse(&text).ok_or_else(|| StoreError::Children { path: self.0.clone() })
    }

    /// Writes them down, durably.
    pub fn store(&self, children: &Children) -> Result<(), StoreError> {
        let next = self.0.with_extension("new");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            let line = |(node, address)| format!("{node} {address}\n");
            let lines: String = children.iter().map(line).collect();
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

fn parse(text: &[u8]) -> Option<Children> {
    if text.len() > FILE_BYTES_MAX {
        return None;
    }
    let lines = std::str::from_utf8(text).ok()?.strip_prefix(HEAD)?;
    if !lines.is_empty() && !lines.ends_with('\n') {
        return None;
    }
    let child = |line: &str| {
        let (node, address) = line.strip_prefix('n')?.split_once(' ')?;
        Some((NodeId::new(node.parse().ok()?), address.to_owned()))
    };
    lines.lines().map(child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = ChildrenFile::of(dir.path());
        assert_eq!(file.load().unwrap(), Children::new());
        for ids in [vec![], vec![3], vec![1, u64::MAX, 12]] {
            let address = "a".repeat(ADDRESS_BYTES_MAX);
            let child = |id| (NodeId::new(id), address.clone());
            let children = ids.into_iter().map(child).collect();
            file.store(&children).unwrap();
            assert_eq!(file.load().unwrap(), children);
        }
    }

    #[test]
    fn what_is_cut_or_something_else_is_said_to_be_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let file = ChildrenFile::of(dir.path());
        for text in [
            "",
            "n3 a:1\n",
            "memtide children\nn3 a:1",
            "memtide children\nx3 a:1\n",
            "memtide children\nn3\n",
            "memtide chi",
        ] {
            fs::write(dir.path().join("children"), text).unwrap();
            let error = file.load().unwrap_err().to_string();
            assert!(error.contains("children is damaged; "), "{text:?}: {error}");
        }
    }
}
