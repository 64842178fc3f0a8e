//! Between the node's data thread and its control stream.

use std::sync::Arc;
use std::time::Duration;

use memtide_control::{FromScaler, NodeControl, ToScaler};
use memtide_engine::{DataPart, Ended, News, Node, Observer, Source, Word};
use memtide_service::admin::Access;
use memtide_service::drain::Drain;
use memtide_service::signals::Signals;
use memtide_service::tls::fleet::FleetTls;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::beat::beat;
use super::held::Held;
use crate::failure;

/// A data thread that was told to stop at once needs no time; one that takes this long is stuck.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A node that is told to stop and has no other beside it waits so long for one to join. One that was begun as a spare waits
/// for as long as it may: whoever begins those begins another in the place of each that ends, as Kubernetes does with pods.
const OTHERS_COME_IN: Duration = Duration::from_secs(2);

/// What carries words between them.
pub struct Talk {
    pub control: Arc<NodeControl>,
    pub observer: Observer,
    pub source: Source,
    pub tls: FleetTls,
    /// Has a token, which is read again with the certificates.
    pub access: Access,
    /// Others like it may come when it is the last.
    pub is_spare: bool,
}

impl Talk {
    /// Carries until the node has ended, which a signal begins, or the scaler.
    pub async fn until_ended(
        self,
        node: Node,
        signals: &mut Signals,
        drain: &Drain,
        drain_timeout: Duration,
    ) -> (Ended, Held) {
        let Self { control, observer, source, tls, access, is_spare } = self;
        let reload = || {
            crate::reload_fleet_tls(&tls);
            crate::reload_admin(&access);
        };
        let (now_held, held) = watch::channel(Held::default());
        let tasks = [
            tokio::spawn(hear(Arc::clone(&control), source.news, now_held)),
            tokio::spawn(say(Arc::clone(&control), source.words)),
            tokio::spawn(beat(control, observer)),
        ];
        let mut joined = tokio::task::spawn_blocking(move || node.join());
        let ended = tokio::select! {
            ended = &mut joined => ended.unwrap_or(Ended::Panicked),
            signal = signals.next_stop(reload) => {
                let deadline = Instant::now() + drain_timeout;
                let deadline_secs = drain_timeout.as_secs();
                tracing::info!(signal = signal.name(), deadline_secs, "draining");
                drain.begin(deadline);
                tokio::select! {
                    ended = &mut joined => ended.unwrap_or(Ended::Panicked),
                    () = until_cut(deadline, is_spare, held.clone()) => {
                        drain.stop();
                        tokio::select! {
                            ended = joined => ended.unwrap_or(Ended::Panicked),
                            () = sleep(STOP_MAX) => end(failure::INTERNAL),
                            signal = signals.next_stop(reload) => end(signal.exit_code()),
                        }
                    }
                    signal = signals.next_stop(reload) => end(signal.exit_code()),
                }
            }
        };
        for task in tasks {
            task.abort();
        }
        let held = *held.borrow();
        let ended = match ended {
            // An operator had it drained: it held nothing when it was taken out.
            Ended::Removed | Ended::Refused(_) if held.is_draining => Ended::Drained,
            ended => ended,
        };
        (ended, held)
    }
}

/// Until the drain has no time left, or what it waits for cannot come.
async fn until_cut(deadline: Instant, is_spare: bool, mut held: watch::Receiver<Held>) {
    let is_last = |held: &Held| held.is_member && held.others == 0;
    let nobody_takes = async {
        if is_spare {
            return std::future::pending().await;
        }
        loop {
            // Without its sender nothing more is known.
            if held.wait_for(is_last).await.is_err() {
                return std::future::pending().await;
            }
            if timeout(OTHERS_COME_IN, held.wait_for(|it| !is_last(it))).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = sleep_until(deadline) => {}
        () = nobody_takes => {
            tracing::warn!("all other nodes have left: nobody is there to take slots");
        }
    }
}

/// What it holds is lost with it, or has copies elsewhere.
fn end(code: u8) -> ! {
    tracing::warn!("stopping at once");
    std::process::exit(i32::from(code))
}

/// Hands on what the scaler says, and keeps what it says of this node.
async fn hear(control: Arc<NodeControl>, news: mpsc::Sender<News>, held: watch::Sender<Held>) {
    let mut me = None;
    loop {
        let heard = match control.heard().await {
            FromScaler::Welcome(node) => {
                tracing::info!(%node, "joined");
                me = Some(node);
                held.send_modify(|held| held.is_member = true);
                News::Welcome(node)
            }
            FromScaler::Topology(topology) => {
                if let Some(me) = me.filter(|me| topology.nodes().contains_key(me)) {
                    held.send_replace(Held::of(&topology, me));
                }
                News::Topology(topology)
            }
            FromScaler::DataPart(part) => {
                let (bytes, keeps_held) = (part.bytes, part.keeps_held);
                News::DataPart(DataPart { bytes, keeps_held })
            }
            FromScaler::Refused(why) => News::Refused(why),
        };
        if news.send(heard).await.is_err() {
            return;
        }
    }
}

async fn say(control: Arc<NodeControl>, mut words: mpsc::Receiver<Word>) {
    while let Some(word) = words.recv().await {
        control.say(match word {
            Word::Report(report) => ToScaler::Report(report),
            Word::Leaving => ToScaler::Leaving,
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    /// After how many seconds a node that is the last from the first second on is cut, where another comes then.
    async fn cut_after(is_spare: bool, another_after: u64) -> u64 {
        let begin = Instant::now();
        let last = Held { is_member: true, ..Held::default() };
        let (sender, held) = watch::channel(Held { others: 1, ..last });
        let cut = tokio::spawn(until_cut(begin + Duration::from_secs(600), is_spare, held));
        yield_now().await;
        advance(Duration::from_secs(1)).await;
        sender.send_replace(last);
        yield_now().await;
        advance(Duration::from_secs(another_after)).await;
        yield_now().await;
        sender.send_replace(Held { others: 1, ..last });
        cut.await.expect("it ends");
        begin.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_node_waits_for_another_and_a_spare_to_the_end() {
        assert_eq!((cut_after(false, 1).await, cut_after(false, 3).await), (600, 4));
        assert_eq!(cut_after(true, 500).await, 600);
    }
}
