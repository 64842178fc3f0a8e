//! What a node and its configuration manager say to each other, whatever carries it.

use std::sync::Arc;

use memtide_engine_core::replication::Report;
use memtide_topology::{NodeId, Topology};
use tokio::sync::mpsc;

/// Reports that wait to be sent. More are dropped: what is still so is reported again.
const REPORTS_MAX: usize = 16 * 1024;

/// News that wait for the node.
const NEWS_MAX: usize = 64;

/// From the manager.
#[derive(Clone, Debug)]
pub enum News {
    /// The node's id, before the first topology.
    Welcome(NodeId),
    /// A topology.
    Topology(Arc<Topology>),
    /// What the node may hold of the cache's limit of data.
    DataPart(DataPart),
    /// The node is not wanted, for this reason.
    Refused(String),
}

/// A node's part of the cache's limit of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPart {
    /// Bytes that it may hold.
    pub bytes: u64,
    /// Where it holds more by now, it keeps that, as far as it might hold it before.
    pub keeps_held: bool,
}

/// To the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Of the replication.
    Report(Report),
    /// Please take this node's slots from it.
    Leaving,
}

/// The node's end.
#[derive(Debug)]
pub struct Feed {
    pub(crate) news: mpsc::Receiver<News>,
    pub(crate) words: mpsc::Sender<Word>,
}

/// The manager's end.
#[derive(Debug)]
pub struct Source {
    /// What the node is told.
    pub news: mpsc::Sender<News>,
    /// What it says.
    pub words: mpsc::Receiver<Word>,
}

/// Both ends of a feed.
#[must_use]
pub fn feed() -> (Source, Feed) {
    let (news, heard) = mpsc::channel(NEWS_MAX);
    let (words, said) = mpsc::channel(REPORTS_MAX);
    (Source { news, words: said }, Feed { news: heard, words })
}
