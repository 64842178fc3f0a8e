//! Links: those that are accepted, and what comes over all.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memtide_link::{
    Bounds, Introduction, Link, LinkEnd, LinkError, Listener, Origin, Outbox, Stream,
};
use memtide_service::logging::Admit;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_topology::{Epoch, NodeId};
use memtide_wire::{Greeting, Peer, Preface};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits;
use crate::shell::{Serial, Shell};

/// Before a listener that failed (no descriptors left) is asked again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts links for ever.
pub async fn accept_loop(shell: Rc<Shell>, listener: Listener) {
    let places = Arc::new(Semaphore::new(limits::LINKS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                tokio::task::spawn_local(welcome(Rc::clone(&shell), (stream, from), place));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a link");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Runs a link to a node until it ends.
pub async fn serve_node(shell: &Rc<Shell>, link: Link, peer: NodeId) -> LinkEnd {
    if let Err(error) = link.bound_socket(limits::NODE_SOCKET_BYTES) {
        tracing::warn!(%peer, %error, "writes may wait long behind copies");
    }
    let outbox = Outbox::new(limits::NODE_QUEUED_BYTES_MAX);
    let serial = shell.node_up(peer, &outbox);
    let _line = NodeLine { shell: Rc::clone(shell), peer, serial };
    let frame_bytes_max = limits::node_frame_bytes_max(shell.shared.config.item_size_max);
    let bounds = Bounds { frame_bytes_max, unsent_bytes_max: usize::MAX };
    tracing::info!(%peer, version = link.version(), "link to a node begins");
    let end = link.run(bounds, &outbox, |bytes| shell.take_words(peer, bytes)).await;
    note_end(shell, &end, &peer);
    end
}

/// Who this node is, at the begin of a link.
pub fn introduction(shell: &Shell) -> Introduction {
    let config = &shell.shared.config;
    let topology = shell.topology();
    let fleet = if topology.epoch() == Epoch::ZERO { 0 } else { topology.fleet() };
    Introduction {
        preface: Preface::new(Peer::Node(shell.me), config.cache.clone(), config.versions),
        greeting: Greeting { fleet },
    }
}

async fn welcome(shell: Rc<Shell>, (stream, from): (Stream, Origin), _place: OwnedSemaphorePermit) {
    let tls = shell.shared.config.tls.server();
    match memtide_link::accept(stream, tls, &introduction(&shell)).await {
        Ok(link) => serve(&shell, link, from).await,
        // It went by itself: a node that ends, or who looks whether the port is open.
        Err(LinkError::Io(error)) => tracing::debug!(%from, error, "a link has not come about"),
        Err(error) => refused(&shell, from, &error),
    }
}

/// A link is not to be. Who dials tries again, so that only some are told of.
fn refused(shell: &Shell, from: Origin, why: &dyn Display) {
    shell.shared.counters.refused_links.add(1);
    if let Admit::Log { suppressed } = shell.refusals.borrow_mut().admit(Instant::now()) {
        tracing::warn!(%from, suppressed, "a link is refused: {why}");
    }
}

async fn serve(shell: &Rc<Shell>, link: Link, from: Origin) {
    let config = &shell.shared.config;
    if link.peer().cache != config.cache {
        let (theirs, ours) = (&link.peer().cache, &config.cache);
        return refused(shell, from, &format_args!("it is for the cache {theirs}, not {ours}"));
    }
    let role = FleetTls::role_of(link.peer_certificates());
    match (link.peer().peer, role) {
        (Peer::Proxy(client), Some(Role::Proxy)) => serve_proxy(shell, link, client).await,
        (Peer::Node(peer), Some(Role::Node)) if peer != shell.me => {
            serve_node(shell, link, peer).await;
        }
        (peer, role) => {
            refused(shell, from, &format_args!("it is {peer:?} by the certificate of {role:?}"));
        }
    }
}

async fn serve_proxy(shell: &Rc<Shell>, link: Link, client: u64) {
    tracing::debug!(client, version = link.version(), "link of a proxy begins");
    let outbox = Outbox::new(limits::PROXY_QUEUED_BYTES_MAX);
    let id = shell.proxy_up(client, &outbox);
    let _line = ProxyLine { shell: Rc::clone(shell), client, id };
    let frame_bytes_max = limits::ask_bytes_max(shell.shared.config.item_size_max);
    let bounds = Bounds { frame_bytes_max, unsent_bytes_max: limits::PROXY_UNSENT_BYTES_MAX };
    let take = |bytes: &[u8]| shell.take_asks((id, client), &outbox, bytes);
    let end = link.run(bounds, &outbox, take).await;
    note_end(shell, &end, &format_args!("proxy core {client:016x}"));
}

fn note_end(shell: &Shell, end: &LinkEnd, peer: &dyn Display) {
    match end {
        LinkEnd::Closed | LinkEnd::Ours => tracing::debug!(%peer, %end, "a link has ended"),
        LinkEnd::Io(_) => tracing::info!(%peer, %end, "a link has ended"),
        LinkEnd::Overflow(_) | LinkEnd::Wire(_) | LinkEnd::Tls(_) => {
            shell.shared.counters.broken_links.add(1);
            tracing::warn!(%peer, %end, "a link is broken off");
        }
    }
}

/// Takes a link back when its task ends, however that ends.
struct NodeLine {
    shell: Rc<Shell>,
    peer: NodeId,
    serial: Serial,
}

impl Drop for NodeLine {
    fn drop(&mut self) {
        self.shell.node_down(self.peer, self.serial);
    }
}

/// The same of a proxy's.
struct ProxyLine {
    shell: Rc<Shell>,
    client: u64,
    id: u64,
}

impl Drop for ProxyLine {
    fn drop(&mut self) {
        self.shell.proxy_down(self.client, self.id);
    }
}
