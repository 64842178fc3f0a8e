//! The links of a core: one to each node of the topology, dialled again when it is lost.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memtide_link::{Bounds, Introduction, Link, LinkEnd, LinkError, Outbox};
use memtide_topology::{CacheId, NodeId, Topology};
use memtide_wire::{Greeting, Peer, Preface, Versions};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::task::{AbortHandle, JoinSet};

use super::switch::LinkName;
use super::{Fleet, random};
use crate::config::FleetBackend;
use crate::core::Core;
use crate::limits::{
    DIAL_MAX, DIAL_PAUSE_MAX, DIAL_PAUSE_MIN, LINK_QUEUE_BYTES_MAX, frame_bytes_max,
};

/// The name in every node's certificate.
const NODE_NAME: &str = "node.memtide";

/// Why a node could not be linked.
#[derive(Debug, Error)]
enum DialError {
    #[error("failed to connect: {0}")]
    Connect(#[from] io::Error),
    #[error("no connection within {} s", DIAL_MAX.as_secs())]
    Slow,
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0} answers there")]
    Other(String),
}

/// Follows the topology, for good: the router adopts it, and its nodes are linked.
pub async fn follow(core: Rc<Core>, fleet: Rc<Fleet>, backend: FleetBackend) {
    let mut topologies = backend.topologies.clone();
    let mut tasks = JoinSet::new();
    let mut kept: BTreeMap<NodeId, (String, AbortHandle)> = BTreeMap::new();
    let mut topology = Arc::new(Topology::empty());
    loop {
        let told = Arc::clone(&topologies.borrow_and_update());
        if told.epoch() > topology.epoch() {
            topology = told;
        }
        adopt(&core, &fleet, &topology);
        kept.retain(|node, (address, task)| {
            let known = topology.nodes().get(node);
            let stays = known.is_some_and(|info| info.address == *address);
            if !stays {
                task.abort();
            }
            stays
        });
        for (&node, info) in topology.nodes() {
            kept.entry(node).or_insert_with(|| {
                let dialler = Dialler {
                    core: Rc::clone(&core),
                    fleet: Rc::clone(&fleet),
                    tls: Arc::clone(&backend.tls),
                    cache: topology.cache().clone(),
                    greeting: Greeting { fleet: topology.fleet() },
                    versions: backend.versions,
                    node,
                    address: info.address.clone(),
                };
                (info.address.clone(), tasks.spawn_local(dialler.keep()))
            });
        }
        // Those that were aborted.
        while tasks.try_join_next().is_some() {}
        if topologies.changed().await.is_err() {
            // Nobody tells us more; what is known goes on.
            std::future::pending::<()>().await;
        }
    }
}

fn adopt(core: &Core, fleet: &Fleet, topology: &Arc<Topology>) {
    if let Some(view) = core.shared.view() {
        view.adopt(topology);
    }
    fleet.with(Instant::now(), |switch, now| switch.adopt(now, Arc::clone(topology)));
}

/// Keeps one link.
struct Dialler {
    core: Rc<Core>,
    fleet: Rc<Fleet>,
    tls: Arc<rustls::ClientConfig>,
    cache: CacheId,
    greeting: Greeting,
    versions: Versions,
    node: NodeId,
    address: String,
}

impl Dialler {
    async fn keep(self) {
        let mut pause = DIAL_PAUSE_MIN;
        let mut is_told = false;
        loop {
            match self.dial().await {
                Ok((link, client)) => {
                    is_told = false;
                    let since = Instant::now();
                    let end = self.run(link, client).await;
                    let (node, address) = (self.node, &self.address);
                    tracing::info!(%node, address, reason = %end, "link to a node ended");
                    if since.elapsed() >= DIAL_PAUSE_MAX {
                        pause = DIAL_PAUSE_MIN;
                    }
                }
                Err(error) => {
                    let (node, address) = (self.node, &self.address);
                    if std::mem::replace(&mut is_told, true) {
                        tracing::debug!(%node, address, %error, "failed to link a node again");
                    } else {
                        tracing::warn!(%node, address, %error, "failed to link a node");
                    }
                }
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (2 * pause).min(DIAL_PAUSE_MAX);
        }
    }

    async fn dial(&self) -> Result<(Link, u64), DialError> {
        let connecting = memtide_link::dial(&self.address);
        let stream =
            tokio::time::timeout(DIAL_MAX, connecting).await.map_err(|_| DialError::Slow)??;
        let client = self.fleet.with(Instant::now(), |switch, _| switch.client());
        let preface = Preface::new(Peer::Proxy(client), self.cache.clone(), self.versions);
        let me = Introduction { preface, greeting: self.greeting };
        let name = ServerName::try_from(NODE_NAME).expect("it is a name");
        let link = memtide_link::connect(stream, Arc::clone(&self.tls), name, &me).await?;
        let peer = link.peer();
        if peer.peer != Peer::Node(self.node) || peer.cache != self.cache {
            return Err(DialError::Other(format!("{:?} of {}", peer.peer, peer.cache.name())));
        }
        let (node, version) = (self.node, link.version());
        tracing::info!(%node, version, "link to a node begins");
        Ok((link, client))
    }

    async fn run(&self, link: Link, client: u64) -> LinkEnd {
        let outbox = Outbox::new(LINK_QUEUE_BYTES_MAX);
        let _linked = Linked::new(self, outbox.clone(), client);
        let bounds = Bounds {
            frame_bytes_max: frame_bytes_max(self.core.shared.config.item_size_max),
            unsent_bytes_max: usize::MAX,
        };
        let take = |bytes: &[u8]| {
            self.fleet.with(Instant::now(), |switch, now| switch.take(now, self.node, bytes))
        };
        link.run(bounds, &outbox, take).await
    }
}

/// A link that is up; down when dropped.
struct Linked<'a> {
    dialler: &'a Dialler,
    name: LinkName,
}

impl<'a> Linked<'a> {
    fn new(dialler: &'a Dialler, outbox: Outbox, client: u64) -> Self {
        let (node, up) = (dialler.node, (outbox, client));
        let name = dialler.fleet.with(Instant::now(), |switch, now| switch.link_up(now, node, up));
        let linked = Self { dialler, name };
        linked.note(true);
        linked
    }

    fn note(&self, is_linked: bool) {
        let core = &self.dialler.core;
        if let Some(view) = core.shared.view() {
            view.set_linked(core.index, self.dialler.node, is_linked);
        }
    }
}

impl Drop for Linked<'_> {
    fn drop(&mut self) {
        self.note(false);
        let Self { dialler, name } = *self;
        dialler.fleet.with(Instant::now(), |switch, now| switch.link_down(now, name));
    }
}

/// Between half of the pause and all of it, so that a node that returns is not dialled by all at
/// once.
fn jittered(pause: Duration) -> Duration {
    let share = u32::try_from(random() % 1024).expect("below 1024");
    pause / 2 + pause / 2 * share / 1024
}
