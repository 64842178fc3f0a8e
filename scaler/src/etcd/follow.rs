use memtide_etcd::{Change, Kept, Snapshot, WatchEnd, Watching};
use memtide_service::events::EventKind;
use tokio::time;

use super::{Leader, LimitsThere, Shared};
use crate::documents::Document;
use crate::limits::{ETCD_CALL_TIME_MAX, ETCD_PAUSE, ETCD_WATCH_FAILURES_MAX};

/// What there is in etcd, as far as it was heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether all was read once.
    pub is_read: bool,
    /// Why nothing is heard now.
    pub away: Option<String>,
    /// Who leads, and the revision since which.
    pub leader: Option<(Leader, i64)>,
    /// The limits that were set.
    pub limits: LimitsThere,
}

impl Shared {
    /// Keeps what is seen up to date, for ever.
    pub async fn follow(&self) {
        loop {
            match self.0.client.read(&self.0.keys.all, ETCD_CALL_TIME_MAX).await {
                Ok(snapshot) => {
                    let revision = snapshot.revision;
                    self.see_all(snapshot);
                    let why = self.watch_from(revision).await;
                    tracing::info!("reading anew all that is in etcd: {why}");
                }
                Err(error) => {
                    self.is_away(error.to_string());
                    time::sleep(ETCD_PAUSE).await;
                }
            }
        }
    }

    /// Follows all that happens after a revision, until some of it is known no more, or cannot be had: what has
    /// happened since may be more than fits into a message, and what there is now always fits. Says why.
    pub(super) async fn watch_from(&self, mut revision: i64) -> String {
        let mut failures = 0;
        loop {
            let end = match self.0.client.watch(&self.0.keys.all, revision + 1).await {
                Ok(watching) => self.heard(watching, (&mut revision, &mut failures)).await,
                Err(end) => end,
            };
            time::sleep(ETCD_PAUSE).await;
            failures += 1;
            if end == WatchEnd::Compacted || failures > ETCD_WATCH_FAILURES_MAX {
                return end.to_string();
            }
        }
    }

    async fn heard(
        &self,
        mut watching: Watching,
        (revision, failures): (&mut i64, &mut u32),
    ) -> WatchEnd {
        loop {
            let changes = match watching.next().await {
                Ok(changes) => changes,
                Err(end) => return end,
            };
            // That a watch has begun says nothing of whether anything can be heard by it.
            if changes.revision > 0 {
                *failures = 0;
            }
            *revision = changes.revision.max(*revision);
            for change in changes.changes {
                match change {
                    Change::Put(kept) => self.see(&kept.key.clone(), Ok(kept)),
                    Change::Deleted(key, revision) => self.see(&key, Err(revision)),
                }
            }
        }
    }

    fn see_all(&self, snapshot: Snapshot) {
        let keys = &self.0.keys;
        let Snapshot { revision, mut kept } = snapshot;
        let mut take = |key: &str| {
            let at = kept.iter().position(|kept| kept.key == key);
            at.map(|at| kept.swap_remove(at)).ok_or(revision)
        };
        for key in [keys.topology(), keys.document(Document::Limits), keys.leader()] {
            self.see(&key, take(&key));
        }
        self.is_back();
        self.0.seen.send_if_modified(|seen| !std::mem::replace(&mut seen.is_read, true));
    }

    /// A key has this value now, or is not there at this revision.
    fn see(&self, key: &str, kept: Result<Kept, i64>) {
        let keys = &self.0.keys;
        if key == keys.topology() {
            return self.saw_topology(kept.ok());
        }
        let is_leader = key == keys.leader();
        if !is_leader && key != keys.document(Document::Limits) {
            return;
        }
        self.0.seen.send_if_modified(|seen| {
            let before = seen.clone();
            match is_leader {
                true => seen.leader = kept.ok().and_then(leader),
                false => seen.limits = LimitsThere::of(kept),
            }
            *seen != before
        });
    }

    fn is_away(&self, why: String) {
        let is_news = self.0.seen.send_if_modified(|seen| {
            let is_news = seen.away.is_none();
            seen.away = Some(why.clone());
            is_news
        });
        if is_news {
            tracing::error!("etcd is away, and nothing is changed until it is back: {why}");
            self.0.events.record(EventKind::StoreAway, why);
        }
    }

    fn is_back(&self) {
        if self.0.seen.send_if_modified(|seen| seen.away.take().is_some()) {
            tracing::info!("etcd is there again");
            self.0.events.record(EventKind::StoreBack, "etcd answers".to_owned());
        }
    }
}

/// One of a later version may say more; one that says less leads all the same.
fn leader(kept: Kept) -> Option<(Leader, i64)> {
    let unknown =
        || Leader { address: String::new(), admin: String::new(), process: String::new() };
    let leader = serde_json::from_slice(&kept.value).unwrap_or_else(|_| unknown());
    Some((leader, kept.created))
}
