//! The data thread: from the first topology to the last link.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use memtide_topology::{NodeId, Topology};
use tokio::time::MissedTickBehavior;

use crate::dial;
use crate::feed::{DataPart, Feed, News};
use crate::host::{Host, HostConfig};
use crate::limits;
use crate::links;
use crate::shared::Shared;
use crate::shell::Shell;
use crate::start::Ended;

/// How long links may take to send what is left when the node stops.
const FINISH_MAX: Duration = Duration::from_secs(1);

/// Serves until the drain, or the manager, ends it.
pub async fn serve(shared: Arc<Shared>, listener: TcpListener, mut feed: Feed) -> Ended {
    let mut stopped = shared.drain.stopped();
    let mut draining = shared.drain.draining();
    let begun = tokio::select! {
        begun = begin(&shared, listener, &mut feed) => begun,
        // Without a slot there is nothing to give up.
        () = &mut draining => Err(Ended::Drained),
    };
    let shell = match begun {
        Ok(shell) => shell,
        Err(ended) => return ended,
    };
    let ended = tokio::select! {
        ended = listen(&shell, &mut feed) => ended,
        () = leave(&shell) => Ended::Drained,
        () = &mut stopped => Ended::Stopped,
        () = shell.broken.notified() => return Ended::Panicked,
    };
    shell.finish();
    // Whatever a peer does not take in that time is lost with its link.
    let _ = tokio::time::timeout(FINISH_MAX, shell.unlinked()).await;
    ended
}

/// Waits for the node's id and its first topology, and starts its tasks.
async fn begin(
    shared: &Arc<Shared>,
    listener: TcpListener,
    feed: &mut Feed,
) -> Result<Rc<Shell>, Ended> {
    let (me, topology, data_part) = introduce(shared, feed).await?;
    let config = HostConfig {
        node: me,
        memory_max: shared.config.memory_max,
        memory_capacity: shared.config.memory_capacity,
        item_size_max: shared.config.item_size_max,
        replication: shared.config.replication.clone(),
    };
    let host = Host::new(config, &topology, Arc::clone(&shared.counters));
    shared.store.get_or_init(|| Arc::clone(host.store()));
    let shell = Rc::new(Shell::new(me, Arc::clone(shared), host, feed.words.clone()));
    let listener = memtide_link::Listener::new(listener)
        .map_err(|error| Ended::Refused(format!("failed to listen: {error}")))?;
    shell.adopt(topology);
    data_part.into_iter().for_each(|part| shell.hold_to(part));
    tokio::task::spawn_local(links::accept_loop(Rc::clone(&shell), listener));
    tokio::task::spawn_local(dial::dial_all(Rc::clone(&shell)));
    tokio::task::spawn_local(copy(Rc::clone(&shell)));
    tokio::task::spawn_local(tick(Rc::clone(&shell)));
    Ok(shell)
}

async fn introduce(
    shared: &Arc<Shared>,
    feed: &mut Feed,
) -> Result<(NodeId, Arc<Topology>, Option<DataPart>), Ended> {
    let (mut me, mut data_part) = (None, None);
    loop {
        match feed.news.recv().await {
            Some(News::Welcome(id)) => {
                me = Some(*shared.id.get_or_init(|| id));
            }
            Some(News::Topology(topology)) => {
                if let Some(me) = me.filter(|me| topology.nodes().contains_key(me)) {
                    check_cache(shared, &topology)?;
                    return Ok((me, topology, data_part));
                }
            }
            Some(News::DataPart(part)) => data_part = Some(part),
            Some(News::Refused(why)) => return Err(Ended::Refused(why)),
            None => return Err(Ended::Refused("its configuration manager is gone".into())),
        }
    }
}

fn check_cache(shared: &Shared, topology: &Topology) -> Result<(), Ended> {
    let (ours, theirs) = (&shared.config.cache, topology.cache());
    if ours == theirs {
        return Ok(());
    }
    Err(Ended::Refused(format!("the topology is of cache {theirs}, this node is of {ours}")))
}

/// Takes the manager's news until it does not want this node any more.
async fn listen(shell: &Rc<Shell>, feed: &mut Feed) -> Ended {
    loop {
        match feed.news.recv().await {
            Some(News::Topology(topology)) => {
                if let Err(ended) = check_cache(&shell.shared, &topology) {
                    return ended;
                }
                shell.adopt(topology);
                if !shell.topology().nodes().contains_key(&shell.me) {
                    let is_draining = shell.shared.drain.is_draining();
                    return if is_draining { Ended::Drained } else { Ended::Removed };
                }
            }
            Some(News::DataPart(part)) => shell.hold_to(part),
            Some(News::Welcome(_)) => {}
            Some(News::Refused(why)) => return Ended::Refused(why),
            // Who fed it is gone, and it goes on with what it has.
            None => std::future::pending().await,
        }
    }
}

/// After the drain has begun: ready when this node has given up its last slot.
async fn leave(shell: &Rc<Shell>) {
    shell.shared.drain.draining().await;
    shell.leave().await;
    let mut changes = shell.changes.subscribe();
    // The shell owns the sender.
    let _ = changes.wait_for(|_| !shell.holds_slots()).await;
    tokio::time::sleep(limits::FAREWELL).await;
}

/// Reads chunks for copies, in turn with all else.
async fn copy(shell: Rc<Shell>) {
    loop {
        shell.copying.notified().await;
        while shell.copy_on() {
            tokio::task::yield_now().await;
        }
    }
}

async fn tick(shell: Rc<Shell>) {
    let mut interval = tokio::time::interval(limits::TICK_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        shell.shared.counters.ticks.add(1);
        shell.with_host(|host, at, out| {
            host.tick(at, out);
            host.weigh(at, out);
        });
        for _ in 0..limits::MAINTAIN_STEPS_MAX {
            if !shell.with_host(|host, at, out| host.maintain(at, out)) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}
