//! Every bound of a topology.

use crate::SLOTS;

/// Nodes of a cache.
pub const NODES_MAX: usize = 1_024;

/// Copies of a slot beside its primary: the replicas, and for a while both ends of its moves.
pub const COPIES_MAX: usize = 8;

/// Replicas that may be wanted of each slot.
pub const REPLICAS_MAX: u8 = 4;

/// Bytes of a node's address: a host name of 255, a colon and a port.
pub const ADDRESS_BYTES_MAX: usize = 261;

/// Bytes of a cache's name.
pub const CACHE_NAME_BYTES_MAX: usize = 40;

/// Bytes of an encoded topology or difference: above the largest that there can be, of
/// [`NODES_MAX`] nodes in as many zones with the longest names, and slots with [`COPIES_MAX`] copies
/// whose numbers all take the most bytes.
pub const ENCODED_BYTES_MAX: usize = 5 << 19;

const _: () = {
    assert!(
        (REPLICAS_MAX as usize) < COPIES_MAX,
        "a slot with all its replicas has room for the target of a move"
    );
    assert!(NODES_MAX < SLOTS as usize, "there are slots for every node");
};
