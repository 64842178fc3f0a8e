//! What the admin HTTP tells of a node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use memtide_control::NodeControl;
use memtide_engine::Observer;
use memtide_service::admin::{Access, Health, RoleAnswers, RoleRoutes};
use memtide_service::drain::DrainWatch;
use memtide_service::events::Events;
use memtide_service::metrics::{BuildInfo, ProcessSource, Registry};

/// A data thread that has not moved for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Where the admin HTTP has its answers from.
pub fn answers(
    (observer, control, is_spare): (&Observer, &Arc<NodeControl>, bool),
    (events, access): (Events, Access),
    drain: DrainWatch,
) -> RoleAnswers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::new(observer.clone()));
    let moved = Mutex::new((observer.ticks(), Instant::now()));
    let node = Well { observer: observer.clone(), control: Arc::clone(control), is_spare, moved };
    let (health, routes) = (Arc::new(node), RoleRoutes::default());
    RoleAnswers { metrics, health, events, drain, access, routes }
}

/// Whether a node is well.
struct Well {
    observer: Observer,
    control: Arc<NodeControl>,
    /// It waits to be taken.
    is_spare: bool,
    /// The data thread's ticks when they were last seen to have moved, and when that was.
    moved: Mutex<(u64, Instant)>,
}

impl Health for Well {
    fn ready(&self) -> Result<(), String> {
        match (self.observer.id(), self.control.trouble()) {
            (Some(_), _) => Ok(()),
            (None, Some(trouble)) => Err(trouble),
            (None, None) if self.is_spare => Err("a spare that waits to be taken".to_owned()),
            (None, None) => Err("waits for the scaler".to_owned()),
        }
    }

    fn waits(&self) -> bool {
        self.is_spare && self.observer.id().is_none() && self.control.trouble().is_none()
    }

    fn healthy(&self) -> Result<(), String> {
        let ticks = self.observer.ticks();
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.0 != ticks {
            *moved = (ticks, Instant::now());
        }
        let still = moved.1.elapsed();
        if still > STUCK_AFTER {
            return Err(format!("the data thread has been still for {} ms", still.as_millis()));
        }
        Ok(())
    }
}
