//! What a node counts.

use memtide_execute::{CommandCounters, Counter};

/// Written by the data thread only.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Commands on items.
    pub items: CommandCounters,
    /// Requests of proxies.
    pub requests: Counter,
    /// Bytes that came over links.
    pub received_bytes: Counter,
    /// Bytes that were put into links.
    pub sent_bytes: Counter,
    /// Bytes of chunks that were read for copies on other nodes.
    pub copied_bytes: Counter,
    /// Items of copies for which there was no room.
    pub copy_items_left_out: Counter,
    /// Bytes of items that were evicted for the sake of other nodes.
    pub relieved_bytes: Counter,
    /// Runs of the ticker: a data thread that is stuck counts no more.
    pub ticks: Counter,
    /// Links of proxies that began.
    pub proxy_links: Counter,
    /// Links to nodes that began.
    pub node_links: Counter,
    /// Links that were ended for what the peer did.
    pub broken_links: Counter,
}
