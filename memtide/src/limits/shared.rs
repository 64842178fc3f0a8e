//! The limits where several scalers share them: a key of etcd in the place of the file.

use std::fmt;
use std::sync::{OnceLock, PoisonError};

use memtide_limits::{Limits, LimitsPatch};
use memtide_scaler::{LimitsSet, LimitsThere, SharedLimits};

use super::file::Kept;
use super::{ChangeError, Changing, KeptLimits};
use crate::settings::LimitsGiven;

/// How often a change is tried: nobody but the one scaler that leads sets any, so the second time is mostly the last.
const TRIES_MAX: usize = 4;

/// Sets a text where what is there was set by this revision.
type Set = dyn Fn(Vec<u8>, i64) -> Result<LimitsSet, String> + Send + Sync;

/// Where they are, once the scaler runs.
#[derive(Default)]
pub struct SharedKeep(OnceLock<Box<Set>>);

/// What is known of the key; to be compared by who sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The newest revision by which it was heard of.
    heard: i64,
    /// The one that set what is there; 0 where nothing is.
    set: i64,
}

impl SharedKeep {
    /// The scaler runs.
    pub fn join(
        &self,
        set: impl Fn(Vec<u8>, i64) -> Result<LimitsSet, String> + Send + Sync + 'static,
    ) {
        // It is started once.
        let _ = self.0.set(Box::new(set));
    }

    /// Sets these for all scalers; waits for etcd.
    fn store(&self, kept: &Kept, known: Known) -> Result<LimitsSet, ChangeError> {
        let set = self.0.get().ok_or_else(|| uncertain("the scaler is starting"))?;
        let text =
            serde_json::to_vec_pretty(kept).map_err(|error| uncertain(&error.to_string()))?;
        set(text, known.set).map_err(|why| uncertain(&why))
    }
}

impl fmt::Debug for SharedKeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeep").finish_non_exhaustive()
    }
}

impl KeptLimits {
    /// Follows what any of the scalers has set, for ever.
    pub async fn follow_shared(self, mut shared: SharedLimits) {
        let mut last = LimitsThere::default();
        loop {
            let now = shared.now();
            if now != last {
                last.clone_from(&now);
                let limits = self.clone();
                // It waits for a change that is under way.
                let adopted = tokio::task::spawn_blocking(move || limits.heard(&now)).await;
                adopted.unwrap_or_else(|error| tracing::error!("limits were not taken: {error}"));
            }
            shared.changed().await;
        }
    }

    /// Changes those that are there, whatever is known of them here: what is the same is written, too, because only
    /// etcd knows whether it is.
    pub(super) fn change_shared(
        &self,
        shared: &SharedKeep,
        changing: &mut Changing,
        patch: &LimitsPatch,
    ) -> Result<Limits, ChangeError> {
        for _ in 0..TRIES_MAX {
            let (limits, is_metered_min_said) = self.changed_by(patch)?;
            match shared.store(&self.kept(limits, is_metered_min_said), changing.known)? {
                LimitsSet::Done(revision) => {
                    changing.known = Known { heard: revision, set: revision };
                    self.take(&LimitsGiven { limits, is_metered_min_said });
                    return Ok(limits);
                }
                LimitsSet::Not(there) => {
                    let heard = changing.known.heard.max(there.revision);
                    changing.known = Known { heard, set: there.revision };
                    self.adopt(there.text.as_deref());
                }
            }
        }
        Err(uncertain("others change them at the same time"))
    }

    /// The watch has heard of this, which may be older than what is known.
    fn heard(&self, there: &LimitsThere) {
        let mut changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if there.revision <= changing.known.heard {
            return;
        }
        let set = if there.text.is_some() { there.revision } else { 0 };
        changing.known = Known { heard: there.revision, set };
        self.adopt(there.text.as_deref());
    }

    fn adopt(&self, text: Option<&[u8]>) {
        let kept = text.map(serde_json::from_slice::<Kept>).transpose();
        let given = match kept {
            Ok(Some(kept)) => kept.under(&self.0.given),
            Ok(None) => self.0.given,
            Err(error) => return tracing::error!("the limits in etcd are no limits: {error}"),
        };
        match given.limits.check() {
            Ok(()) => self.take(&given),
            Err(error) => tracing::error!(
                "{error}; of these some were configured and some changed later, which etcd has"
            ),
        }
    }
}

fn uncertain(why: &str) -> ChangeError {
    ChangeError::Uncertain(why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use memtide_limits::{Range, RangePatch};
    use memtide_service::events::Events;

    use super::*;

    /// What etcd has of them.
    type There = Arc<Mutex<LimitsThere>>;

    fn limits(there: &There) -> KeptLimits {
        let given = LimitsGiven { limits: Limits::default(), is_metered_min_said: true };
        let limits = KeptLimits::shared(given, &Events::new());
        let there = Arc::clone(there);
        limits.join_by(move |text, known| {
            let mut there = there.lock().unwrap();
            let set = if there.text.is_some() { there.revision } else { 0 };
            if set != known {
                return Ok(LimitsSet::Not(there.clone()));
            }
            *there = LimitsThere { text: Some(text), revision: there.revision + 1 };
            Ok(LimitsSet::Done(there.revision))
        });
        limits
    }

    fn ecpu_max(max: u64) -> LimitsPatch {
        let ecpu_per_second = RangePatch { max: Some(max), min: None };
        LimitsPatch { ecpu_per_second, ..LimitsPatch::default() }
    }

    fn data_max(max: u64) -> LimitsPatch {
        let data_storage = RangePatch { max: Some(max), min: None };
        LimitsPatch { data_storage, ..LimitsPatch::default() }
    }

    #[test]
    fn a_change_is_made_to_what_is_there_and_not_to_what_is_known_here() {
        let there = There::default();
        let (one, two) = (limits(&there), limits(&there));
        one.change(&ecpu_max(20_000)).unwrap();
        two.change(&data_max(4 << 30)).unwrap();
        let wanted = Range { min: 0, max: 20_000 };
        assert_eq!(two.now().ecpu_per_second, wanted, "what the other has set stays");
        two.change(&ecpu_max(30_000)).unwrap();
        one.change(&ecpu_max(20_000)).unwrap();
        let third = limits(&there);
        third.heard(&there.lock().unwrap());
        assert_eq!(third.now().ecpu_per_second, wanted, "though it was the same to who asked");
        assert_eq!(third.now().data_storage.max, 4 << 30);
    }

    #[test]
    fn limits_that_a_later_version_has_set_are_in_force_as_far_as_they_are_known() {
        let there = There::default();
        limits(&there).change(&ecpu_max(20_000)).unwrap();
        let mut later = there.lock().unwrap().clone();
        let text = String::from_utf8(later.text.unwrap()).unwrap();
        let text = text.replacen('{', r#"{"later": {"a": 1}, "#, 1);
        let text = text.replacen(r#""limits": {"#, r#""limits": {"connections": {"max": 5}, "#, 1);
        assert_eq!(text.matches("later").count() + text.matches("connections").count(), 2);
        (later.text, later.revision) = (Some(text.into_bytes()), later.revision + 1);
        let older = limits(&There::default());
        older.heard(&later);
        assert_eq!(older.now().ecpu_per_second.max, 20_000);
    }

    #[test]
    fn what_is_heard_late_of_an_older_change_undoes_no_newer_one() {
        let there = There::default();
        let limits = limits(&there);
        limits.change(&ecpu_max(20_000)).unwrap();
        let late = there.lock().unwrap().clone();
        limits.change(&ecpu_max(30_000)).unwrap();
        limits.heard(&late);
        assert_eq!(limits.now().ecpu_per_second.max, 30_000);
        limits.heard(&LimitsThere { text: None, revision: 9 });
        assert_eq!(limits.now(), Limits::default(), "they were removed since");
    }
}
