//! The beginning of a time for which a scaler leads; where there is only one, that is its start.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memtide_executor::Fill;
use memtide_manager::{Manager, Operation, Settings};
use memtide_service::logging::Limiter;
use memtide_topology::{CacheId, Epoch, HashSeed, Topology};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::behind::Strangers;
use crate::commit::Failures;
use crate::data::Data;
use crate::documents::Documents;
use crate::ends::Ends;
use crate::grant::Grants;
use crate::limits::{REFUSAL_INTERVAL, REFUSAL_LINES_MAX};
use crate::orders::Orders;
use crate::run::Loop;
use crate::scaling::{Answer, Driver, Spares};
use crate::sessions::Sessions;
use crate::status::{Counters, nothing_yet};
use crate::store::{Children, ChildrenFile, in_topology};
use crate::{Explained, ScalerError, Scaling, Stored, TopologyStore, clock, replicas, scaling};

/// In this time nodes that live on come back to a scaler that was started anew.
const STRANGERS_COME_IN: Duration = Duration::from_secs(1);

/// Nodes that were with a leader that was stopped or cut off notice within three seconds, and come to the next one,
/// whose election takes longer, within a second or two.
const NODES_COME_OVER: Duration = Duration::from_secs(2);

/// What each time begins with.
#[derive(Clone, Debug)]
pub struct Begin {
    pub cache: CacheId,
    /// As configured.
    pub replicas: Option<u8>,
    pub data_dir: PathBuf,
    pub settings: Settings,
    pub scaling: Option<Scaling>,
}

/// What was there.
#[derive(Debug)]
pub struct Tenure {
    store: Arc<dyn TopologyStore>,
    documents: Arc<dyn Documents>,
    pub topology: Arc<Topology>,
    children: (ChildrenFile, Children),
    scaling: Option<Driver>,
    answers: mpsc::UnboundedReceiver<Answer>,
    settings: Settings,
    /// What is to be followed of the configuration.
    replicas: Option<u8>,
}

impl Begin {
    /// Goes on from what is stored; begins the cache where nothing is.
    ///
    /// # Errors
    /// Where that cannot be read, or is another cache's.
    pub async fn tenure(
        &self,
        (store, documents): (Arc<dyn TopologyStore>, Arc<dyn Documents>),
        explained: &watch::Sender<Option<Arc<Explained>>>,
    ) -> Result<Tenure, ScalerError> {
        let topology = self.topology(&*store).await?;
        let file = ChildrenFile::of(&self.data_dir);
        let children = (file.clone(), in_topology(file.load()?, &topology));
        let (answers, answered) = mpsc::unbounded_channel();
        let scaling = match &self.scaling {
            None => None,
            Some(scaling) => {
                let record = scaling::load(scaling, &*documents).await?;
                let ends = (answers, explained.clone());
                Some(Driver::new(scaling, Arc::clone(&documents), record, ends))
            }
        };
        let replicas = replicas::news(&*documents, self.replicas).await?;
        let (answers, settings) = (answered, self.settings.clone());
        Ok(Tenure { store, documents, topology, children, scaling, answers, settings, replicas })
    }

    /// What is stored; the first topology of a cache where there is none.
    async fn topology(&self, store: &dyn TopologyStore) -> Result<Arc<Topology>, ScalerError> {
        let ours = &self.cache;
        let first = Topology::new(ours.clone(), random_seed(), self.replicas.unwrap_or(0))?;
        let Some(stored) = store.load().await? else {
            let first = Arc::new(first);
            return match store.compare_and_set(None, Arc::clone(&first)).await? {
                Stored::Done => Ok(first),
                Stored::Conflict(_) => Err(ScalerError::Raced),
            };
        };
        if stored.cache() != ours {
            let (theirs, ours) = (stored.cache().clone(), ours.clone());
            return Err(ScalerError::OtherCache { theirs, ours });
        }
        Ok(stored)
    }
}

impl Tenure {
    /// What runs it; on a runtime.
    pub fn begin(self, ends: Ends) -> Loop {
        let now = clock::now();
        let (_, children) = &self.children;
        let mut manager = manager(self.settings, (&self.topology, now), children);
        if ends.lead.is_shared() && !self.topology.nodes().is_empty() {
            manager.hold_until(now + NODES_COME_OVER);
        }
        if ends.lead.is_shared() {
            ends.counts.lead(clock::unix_ms());
        }
        let mut tasks = JoinSet::new();
        ends.topologies.send_replace(Arc::clone(&self.topology));
        ends.status.send_replace(Arc::new(nothing_yet(self.topology, now)));
        if let Some(replicas) = self.replicas {
            set_replicas(&mut manager, now, replicas);
            let topologies = ends.topologies.subscribe();
            tasks.spawn(replicas::follow(self.documents, topologies, replicas));
        }
        Loop {
            spares: Spares::default(),
            fill: Fill::default(),
            scaling: self.scaling,
            scaling_answers: self.answers,
            manager,
            store: self.store,
            failures: watch::Sender::new(Failures::default()),
            sessions: Sessions::default(),
            counters: Counters::default(),
            unserved: 0,
            commit: None,
            orders: Orders::default(),
            children: self.children,
            behind: None,
            heard_epoch: Epoch::ZERO,
            strangers: Strangers::default(),
            data: Data::default(),
            grants: Grants::new(ends.limits.clone(), RandomState::new().hash_one(3_u8)),
            refusals: Limiter::new(REFUSAL_LINES_MAX, REFUSAL_INTERVAL),
            told: (Duration::ZERO, true),
            ticked: Duration::ZERO,
            ends,
            _tasks: tasks,
        }
    }
}

/// Goes on from what is stored, without those nodes that ended with the process before.
fn manager(
    settings: Settings,
    (topology, now): (&Arc<Topology>, Duration),
    children: &Children,
) -> Manager {
    let mut manager = Manager::new(settings, Arc::clone(topology), now);
    if !children.is_empty() {
        // None of them is waited for; one that has joined since this was stored may live on.
        manager.hold_until(now + STRANGERS_COME_IN);
    }
    children.keys().for_each(|node| manager.dead(now, *node));
    manager
}

fn set_replicas(manager: &mut Manager, now: Duration, replicas: u8) {
    if replicas != manager.topology().replicas_wanted() {
        let set = manager.operate(now, Operation::SetReplicas(replicas));
        set.expect("the topology was made with as many");
    }
}

/// The standard library's hasher has a random key.
fn random_seed() -> HashSeed {
    HashSeed::new(RandomState::new().hash_one(1_u8), RandomState::new().hash_one(2_u8))
}
