//! Links that this node begins: to every node with a higher id that it has a slot in common with.

use std::rc::Rc;
use std::time::{Duration, Instant};

use memtide_link::{LinkEnd, LinkError};
use memtide_service::tls::fleet::Role;
use memtide_topology::NodeId;
use memtide_wire::Peer;
use thiserror::Error;

use crate::limits::{CONNECT_MAX, LINGER, REDIAL_MAX, REDIAL_MIN};
use crate::links;
use crate::shell::Shell;

/// Has a task dial each node that is wanted, as topologies come, for ever.
pub async fn dial_all(shell: Rc<Shell>) {
    let mut changes = shell.changes.subscribe();
    loop {
        changes.mark_unchanged();
        let wanted = shell.wanted.borrow().clone();
        for peer in wanted {
            if shell.dialing.borrow_mut().insert(peer) {
                tokio::task::spawn_local(dial(Rc::clone(&shell), peer));
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Why a node cannot be reached.
#[derive(Debug, Error)]
enum DialError {
    #[error("the topology has no such node")]
    Unknown,
    #[error("it did not accept within {} s", CONNECT_MAX.as_secs())]
    Slow,
    #[error("failed to connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("somebody else answers at its address: {0:?}")]
    Other(Peer),
}

async fn dial(shell: Rc<Shell>, peer: NodeId) {
    tokio::select! {
        () = keep_linked(&shell, peer) => {}
        () = unwanted(&shell, peer) => {}
    }
    shell.dialing.borrow_mut().remove(&peer);
}

async fn keep_linked(shell: &Rc<Shell>, peer: NodeId) {
    let mut pause = REDIAL_MIN;
    loop {
        let since = Instant::now();
        match link(shell, peer).await {
            // One that ends as soon as it has begun will do so again.
            Ok(_) if since.elapsed() < REDIAL_MAX => pause = REDIAL_MAX.min(2 * pause),
            Ok(_) => pause = REDIAL_MIN,
            Err(error) => {
                match pause == REDIAL_MIN {
                    true => tracing::warn!(%peer, %error, "a node cannot be reached"),
                    false => tracing::debug!(%peer, %error, "a node still cannot be reached"),
                }
                pause = REDIAL_MAX.min(2 * pause);
            }
        }
        tokio::time::sleep(jittered(pause)).await;
    }
}

/// Links to a node, until that ends.
async fn link(shell: &Rc<Shell>, peer: NodeId) -> Result<LinkEnd, DialError> {
    let topology = shell.topology();
    let address = &topology.nodes().get(&peer).ok_or(DialError::Unknown)?.address;
    let connecting = tokio::time::timeout(CONNECT_MAX, memtide_link::dial(address));
    let stream = connecting.await.map_err(|_| DialError::Slow)??;
    let tls = &shell.shared.config.tls;
    let (client, name) = (tls.client(), Role::Node.server_name());
    let me = links::introduction(shell);
    let link = memtide_link::connect(stream, client, name, &me).await?;
    // Its address may be another's by now.
    if link.peer().peer != Peer::Node(peer) || link.peer().cache != shell.shared.config.cache {
        return Err(DialError::Other(link.peer().peer));
    }
    Ok(links::serve_node(shell, link, peer).await)
}

/// Ready when a node was of no use for a while.
async fn unwanted(shell: &Shell, peer: NodeId) {
    let mut changes = shell.changes.subscribe();
    let is_wanted = || shell.wanted.borrow().contains(&peer);
    loop {
        // The shell owns the sender.
        let _ = changes.wait_for(|_| !is_wanted()).await;
        let wanted_again = tokio::time::timeout(LINGER, changes.wait_for(|_| is_wanted())).await;
        if wanted_again.is_err() {
            return;
        }
    }
}

/// Half of it to all of it: nodes that lost each other at the same time do not dial so.
fn jittered(pause: Duration) -> Duration {
    pause / 2 + pause * (crate::clock::boottime().subsec_nanos() % 1024) / 2048
}
