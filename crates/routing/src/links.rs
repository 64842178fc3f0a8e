use core::num::NonZeroU32;

use memtide_topology::NodeId;

/// One connection to a node: the next one to the same node has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkId(NonZeroU32);

/// The nodes that are connected.
#[derive(Debug)]
pub struct Links {
    /// By node.
    up: Vec<(NodeId, LinkId)>,
    next: LinkId,
}

impl Links {
    pub const fn new() -> Self {
        Self { up: Vec::new(), next: LinkId(NonZeroU32::MIN) }
    }

    /// The link to a node, while it is up.
    pub fn of(&self, node: NodeId) -> Option<LinkId> {
        self.place(node).ok().map(|place| self.up[place].1)
    }

    /// Adds a node that has no link.
    pub fn add(&mut self, node: NodeId) {
        let link = self.next;
        // Whatever had the number 2^32 connections ago is past its deadline since long.
        self.next = LinkId(link.0.checked_add(1).unwrap_or(NonZeroU32::MIN));
        let place = self.place(node).expect_err("who adds a node has removed its link");
        self.up.insert(place, (node, link));
    }

    /// Ends the link to a node, and says which it was.
    pub fn remove(&mut self, node: NodeId) -> Option<LinkId> {
        self.place(node).ok().map(|place| self.up.remove(place).1)
    }

    fn place(&self, node: NodeId) -> Result<usize, usize> {
        self.up.binary_search_by_key(&node, |&(node, _)| node)
    }
}
