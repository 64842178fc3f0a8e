//! What memtide asks of etcd 3.4 and later: keys, transactions, leases and watches.
//!
//! ```text
//! Client --call, within a deadline--> the member that answered last, or the next one --> etcd
//!   \--watch(prefix, revision)-----> Watching: changes in order, until it breaks or is compacted away
//! ```
//! Every call has a deadline, within which it is tried with one member after the other. So each is made such that
//! doing it twice is as good as once: transactions compare first, and leases are named by who asks.

pub mod limits;

mod access;
mod client;
mod connection;
mod error;
mod keys;
mod leases;
mod watch;

pub use access::{Access, Credentials, Shown};
pub use client::{Client, Config, Endpoint};
pub use error::EtcdError;
pub use keys::{Compare, Kept, Op, Snapshot, Transacted};
pub use leases::Lease;
pub use watch::{Change, Changes, WatchEnd, Watching};

/// What is generated from the schema.
mod schema {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::too_many_lines,
        clippy::allow_attributes_without_reason,
        reason = "generated; proto/etcd.proto has the comments"
    )]

    tonic::include_proto!("etcdserverpb");
}
