//! Nodes of a fleet as pods of Kubernetes.
//!
//! ```text
//! executor --start, end--> KubernetesProvisioner --scale (with resourceVersion)--> API server --> StatefulSet of a zone
//!    ^                        ^ supplies                                              |              | pods
//!    |                        +------- watch: replicas, annotations ------------------+              v
//!    +---------------- control stream: a spare named after its pod -------------------- memtide engine --spare
//! ```
//! A `StatefulSet` gives its pods names by number and removes the highest first. So it is this provisioner that
//! says what nodes are called and in which order they go ([`memtide_scaler::Supply`]); all that it keeps is in
//! the API server, and each call does what is left to do. docs/design/0020 says why it is as it is.

mod cluster;
mod limits;
mod provisioner;
mod set;
mod trouble;
mod view;

pub use cluster::{Access, AccessError};
pub use limits::Timing;
pub use provisioner::KubernetesProvisioner;
pub use set::{Set, annotation};
