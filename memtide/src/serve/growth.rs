//! The memory of the node in this process, which follows the data.
//!
//! The node takes what it needs by itself rather than evict, up to the most; here is what has memory ahead of the data, and gives it
//! back when the data has gone. docs/design/0018 says why there are two.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use memtide_proxy::{Limiter, Observer, Proxy};
use memtide_scaler::{Alone, Explained, Granted, now, of_scaling, tell_scaling};
use memtide_service::admin::RoleRoutes;
use memtide_service::events::Events;
use memtide_service::metrics::Source;
use prometheus::proto::MetricFamily;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::hold::{self, Memory};
use crate::limits::KeptLimits;
use crate::settings::EndpointConfig;

/// Between two looks: what comes in it is what the node takes by itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What was decided lately; clones are the same.
#[derive(Clone, Debug)]
pub struct Growth(watch::Receiver<Arc<Explained>>);

/// What the node may have, but for the limits.
pub const fn memory(config: &EndpointConfig) -> Memory {
    match config.growth {
        Some(_) => Memory::Grows(config.memory_max),
        None => Memory::Fixed(config.memory_max),
    }
}

/// Has the memory follow the data from now on, where it is to.
pub fn start(
    config: &EndpointConfig,
    proxy: &Proxy,
    limits: Option<&KeptLimits>,
    events: &Events,
    runtime: &Handle,
) -> Option<Growth> {
    let policy = config.growth.clone()?;
    let limits = limits?.clone();
    let alone = Alone::new(policy, config.memory_least());
    let (tell, explained) = watch::channel(Arc::new(alone.explained(now())));
    let follow = Follow {
        alone,
        limiter: proxy.limiter(),
        observer: proxy.observer(),
        limits,
        most: config.memory_max,
        events: events.clone(),
        tell,
    };
    runtime.spawn(follow.run());
    Some(Growth(explained))
}

impl Growth {
    /// What the admin HTTP answers of it.
    pub fn routes(self) -> RoleRoutes {
        let router = Router::new().route("/v1/scaling", get(scaling)).with_state(self);
        RoleRoutes::new(router, &["/v1/scaling"])
    }
}

impl Source for Growth {
    fn collect(&self) -> Vec<MetricFamily> {
        of_scaling(&self.0.borrow())
    }
}

async fn scaling(State(growth): State<Growth>) -> Response {
    let explained = Arc::clone(&growth.0.borrow());
    Json(&*explained).into_response()
}

struct Follow {
    alone: Alone,
    limiter: Limiter,
    observer: Observer,
    limits: KeptLimits,
    most: u64,
    events: Events,
    tell: watch::Sender<Arc<Explained>>,
}

impl Follow {
    async fn run(mut self) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look();
        }
    }

    fn look(&mut self) {
        let Some(stored) = self.observer.usage().stored else { return };
        let limits = self.limits.now();
        let seen = Granted {
            memory: stored.memory_max,
            used: stored.memory_used,
            most: hold::memory_max(self.most, &limits),
        };
        let grant = |from, to| self.limiter.grant_memory(from, to);
        let told = self.alone.look(now(), seen, limits, grant);
        told.iter().for_each(|event| tell_scaling(event, &self.events));
        self.tell.send_replace(Arc::new(self.alone.explained(now())));
    }
}
