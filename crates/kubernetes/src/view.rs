//! What is known of the sets, kept up to date in the background.
//!
//! ```text
//! list --> watch --ends in time--> watch, from the last version on
//!   ^        +--410 Gone, an error, silence--+
//!   +------------------ pause ---------------+
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::WatchEvent;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::{Cluster, Watched};
use crate::limits::Timing;
use crate::set::Seen;
use crate::trouble::Trouble;

/// What was seen of each set that was looked for, by its name.
#[derive(Debug, Default)]
pub struct View(Mutex<BTreeMap<String, Option<Sight>>>);

#[derive(Debug)]
struct Sight {
    /// When something was heard of it last.
    heard: Duration,
    seen: Seen,
}

impl View {
    /// What still counts.
    pub fn of(&self, set: &str, now: Duration, age_max: Duration) -> Option<Seen> {
        let sets = self.sets();
        let sight = sets.get(set)?.as_ref();
        let sight = sight.filter(|it| now.saturating_sub(it.heard) <= age_max)?;
        Some(sight.seen.clone())
    }

    /// Whether each of so many sets was looked for, whatever came of it.
    pub fn is_of(&self, sets: usize) -> bool {
        self.sets().len() >= sets
    }

    fn put(&self, set: &str, seen: Option<Seen>) {
        let sight = seen.map(|seen| Sight { heard: memtide_scaler::now(), seen });
        self.sets().insert(set.to_owned(), sight);
    }

    /// It cannot be looked at now: what was seen before counts for a while.
    fn miss(&self, set: &str) {
        self.sets().entry(set.to_owned()).or_default();
    }

    /// It is as it was.
    fn touch(&self, set: &str) {
        if let Some(Some(sight)) = self.sets().get_mut(set) {
            sight.heard = memtide_scaler::now();
        }
    }

    fn sets(&self) -> MutexGuard<'_, BTreeMap<String, Option<Sight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows a set.
pub struct Follower {
    pub cluster: Arc<Cluster>,
    pub timing: Timing,
    pub view: Arc<View>,
    pub set: String,
    /// What is wrong, as it was told last.
    told: Option<String>,
}

impl Follower {
    pub const fn new(cluster: Arc<Cluster>, timing: Timing, view: Arc<View>, set: String) -> Self {
        Self { cluster, timing, view, set, told: None }
    }

    /// For ever.
    pub async fn follow(mut self) {
        let (pause_min, pause_max) = self.timing.pauses;
        let mut pause = pause_min;
        loop {
            let begun = Instant::now();
            let trouble = self.follow_once().await;
            self.view.miss(&self.set);
            match trouble {
                Trouble::Old => pause = pause_min,
                trouble => self.tell(Some(trouble.to_string())),
            }
            if begun.elapsed() > pause_max {
                pause = pause_min;
            }
            sleep(pause).await;
            pause = (pause * 2).min(pause_max);
        }
    }

    /// Lists, and watches from there on until that does not go on.
    async fn follow_once(&mut self) -> Trouble {
        let set = self.set.clone();
        let list = match self.cluster.list(&set).await {
            Ok(list) => list,
            Err(trouble) => return trouble,
        };
        let Some(mut version) = list.metadata.resource_version else {
            return Trouble::Passing("the API server lists without a version".to_owned());
        };
        match list.items.first() {
            Some(it) => self.see(it),
            None => self.see_none(),
        }
        loop {
            let begun = Instant::now();
            let watched = match self.cluster.watch(&set, &version).await {
                Ok(watched) => watched,
                Err(trouble) => return trouble,
            };
            if let Err(trouble) = self.watch(watched, &mut version).await {
                return trouble;
            }
            // Who ends each watch at once is not asked all the time.
            sleep(self.timing.pauses.0.saturating_sub(begun.elapsed())).await;
        }
    }

    /// Until it ends as it should: in time.
    async fn watch(&mut self, mut watched: Watched, version: &mut String) -> Result<(), Trouble> {
        let silence_max = self.timing.watch + self.timing.watch_grace;
        loop {
            let next = timeout(silence_max, watched.next()).await;
            let Ok(next) = next else {
                return Err(Trouble::Passing("a watch has died silently".to_owned()));
            };
            let Some(event) = next else {
                self.view.touch(&self.set);
                return Ok(());
            };
            let namespace = self.cluster.namespace();
            let it = match event.map_err(|error| Trouble::of(&error, namespace))? {
                WatchEvent::Added(it) | WatchEvent::Modified(it) => {
                    self.see(&it);
                    it.metadata.resource_version
                }
                WatchEvent::Deleted(it) => {
                    self.see_none();
                    it.metadata.resource_version
                }
                WatchEvent::Bookmark(it) => {
                    self.view.touch(&self.set);
                    Some(it.metadata.resource_version)
                }
                WatchEvent::Error(status) => {
                    return Err(Trouble::of(&kube::Error::Api(status), namespace));
                }
            };
            *version = it.unwrap_or_else(|| std::mem::take(version));
        }
    }

    fn see(&mut self, it: &StatefulSet) {
        let read = Seen::read(it);
        self.tell(read.as_ref().err().cloned());
        self.view.put(&self.set, read.ok());
    }

    fn see_none(&mut self) {
        let missing = Trouble::Missing(self.cluster.namespace().to_owned());
        self.tell(Some(missing.to_string()));
        self.view.put(&self.set, None);
    }

    /// Once, until it is another thing.
    fn tell(&mut self, wrong: Option<String>) {
        let set = &self.set;
        match (&wrong, &self.told) {
            (Some(why), told) if told.as_ref() != Some(why) => {
                tracing::warn!(set, why, "cannot see this StatefulSet");
            }
            (None, Some(_)) => tracing::info!(set, "sees this StatefulSet again"),
            _ => {}
        }
        self.told = wrong;
    }
}
