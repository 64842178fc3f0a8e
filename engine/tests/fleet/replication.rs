//! Nodes that replicate to each other.
