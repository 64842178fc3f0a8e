//! Several scalers of one cache, which coordinate by etcd (docs/design/0019).
//!
//! ```text
//! <prefix>/<cache>/leader     who leads; under its lease. The revision that made it is the fence
//!                  term       who led last; changed by each campaign that was won, and by nothing else
//!                  topology   as the file of a local store
//!                  scaling, replicas, limits   the documents
//!
//! follow:  read all -> watch from there, from the last revision after a break -> read all where that was compacted
//! hold:    keep the lease alive; where it is over, lead again if nobody has meanwhile; else make way
//! ```
//! Nothing is written but by transactions that compare the fence: who does not lead any more changes nothing, however
//! late it notices.

mod documents;
mod election;
mod fence;
mod follow;
mod limits;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memtide_etcd::Client;
use memtide_service::events::Events;
use memtide_topology::{CacheId, Topology};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::documents::Documented;
pub use self::election::Campaign;
use self::fence::Fence;
pub use self::follow::Seen;
pub use self::limits::{LimitsSet, LimitsThere, SharedLimits};
use self::store::Known;
use crate::documents::Document;

/// What scalers that share a cache by etcd are told.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// Where it is.
    pub etcd: memtide_etcd::Config,
    /// What all keys begin with, such as `/memtide`.
    pub prefix: String,
    /// The host at which nodes and proxies reach this scaler.
    pub host: String,
    /// Its admin HTTP, for people.
    pub admin: String,
}

/// A scaler that leads, as others are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// `host:port` for nodes and proxies.
    pub address: String,
    /// Its admin HTTP.
    pub admin: String,
    /// Random, so that no two processes are the same.
    pub process: String,
}

/// etcd as one scaler uses it; clones are the same.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    keys: Keys,
    me: Leader,
    fence: Fence,
    seen: watch::Sender<Seen>,
    known: Mutex<Known>,
    watched: watch::Sender<Option<Arc<Topology>>>,
    documented: tokio::sync::Mutex<Documented>,
    is_at_work: AtomicBool,
    in_doubt: watch::Sender<bool>,
    /// Why it cannot lead, because of what is stored.
    trouble: Mutex<Option<String>>,
    events: Events,
}

/// The keys of a cache.
#[derive(Clone, Debug)]
struct Keys {
    /// `<prefix>/<cache>/`
    all: String,
}

impl Keys {
    fn of(prefix: &str, cache: &CacheId) -> Self {
        Self { all: format!("{}/{}/", prefix.trim_end_matches('/'), cache.name()) }
    }

    fn leader(&self) -> String {
        format!("{}leader", self.all)
    }

    fn term(&self) -> String {
        format!("{}term", self.all)
    }

    fn topology(&self) -> String {
        format!("{}topology", self.all)
    }

    fn document(&self, of: Document) -> String {
        format!("{}{}", self.all, of.name())
    }
}

impl Shared {
    /// Nothing is asked before it is followed.
    pub fn new(
        client: Client,
        (prefix, cache): (&str, &CacheId),
        me: Leader,
        events: Events,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            keys: Keys::of(prefix, cache),
            me,
            fence: Fence::default(),
            seen: watch::Sender::new(Seen::default()),
            known: Mutex::default(),
            watched: watch::Sender::new(None),
            documented: tokio::sync::Mutex::default(),
            is_at_work: AtomicBool::new(false),
            in_doubt: watch::Sender::new(false),
            trouble: Mutex::default(),
            events,
        }))
    }

    /// What is there, as far as this scaler has heard.
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.0.seen.subscribe()
    }

    /// Who this scaler is.
    pub fn me(&self) -> &Leader {
        &self.0.me
    }

    /// Whether this scaler works as the one that leads, as far as it knows.
    pub fn is_at_work(&self) -> bool {
        self.0.is_at_work.load(Ordering::Acquire)
    }

    /// It does from now on, or no more.
    pub fn works(&self, is_at_work: bool) {
        self.0.is_at_work.store(is_at_work, Ordering::Release);
    }

    /// Whether another may lead though this one is at work, as it was looked at last.
    pub fn in_doubt(&self) -> watch::Receiver<bool> {
        self.0.in_doubt.subscribe()
    }

    /// Looks whether nobody else can lead now.
    fn look(&self) {
        let in_doubt = !self.is_certain();
        self.0.in_doubt.send_if_modified(|before| std::mem::replace(before, in_doubt) != in_doubt);
    }

    /// Why this scaler could not lead when it was its turn.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It cannot lead, or can. Says whether that is news.
    pub fn cannot_lead(&self, why: Option<String>) -> bool {
        let mut trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *trouble != why;
        *trouble = why;
        is_news
    }

    /// Who leads instead, for people.
    pub fn stands_by(&self) -> String {
        let seen = self.0.seen.borrow();
        match seen.leader.as_ref().map(|(leader, _)| leader).filter(|it| **it != self.0.me) {
            None => "this scaler stands by, and nobody leads now".to_owned(),
            Some(Leader { address, admin, .. }) => {
                format!("this scaler stands by; {address} leads: ask its admin HTTP, {admin}")
            }
        }
    }

    /// Whether nobody else can lead now.
    pub fn is_certain(&self) -> bool {
        self.0.fence.is_certain(crate::now())
    }
}

/// A key as messages name it.
fn place(key: &str) -> PathBuf {
    PathBuf::from(format!("etcd:{key}"))
}
