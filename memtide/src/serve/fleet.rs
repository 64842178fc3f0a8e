//! A scaler and node processes that this process started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use memtide_scaler::{Scaler, ScalerHandle};
use memtide_service::admin::RoleRoutes;
use memtide_service::metrics::{Source, counter, gauge};
use prometheus::proto::MetricFamily;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::limits::KeptLimits;
use crate::supervisor::Running;

/// What this process sees of them; [`Supervising`] has the processes.
pub struct Fleet {
    pub scaler: Scaler,
    pub running: Running,
    /// What was stored over time.
    pub metered: Metered,
}

/// The task that owns the node processes, if there are any.
#[derive(Default)]
pub struct Supervising(Option<JoinHandle<()>>);

impl Supervising {
    /// This task has them.
    pub const fn by(task: JoinHandle<()>) -> Self {
        Self(Some(task))
    }

    /// Ends the processes, before anybody that they would miss.
    pub async fn end(self) {
        if let Some(task) = self.0 {
            task.abort();
            // It was, or it panicked and that was logged.
            let _ = task.await;
        }
    }
}

/// What `/v1/processes` is answered from.
#[derive(Clone)]
struct Seen {
    scaler: ScalerHandle,
    address: String,
    running: Running,
}

impl Fleet {
    /// The scaler's routes, and `/v1/processes`.
    pub fn routes(&self) -> RoleRoutes {
        let seen = Seen {
            scaler: self.scaler.handle(),
            address: self.scaler.address().to_string(),
            running: self.running.clone(),
        };
        let router = Router::new().route("/v1/processes", get(processes)).with_state(seen);
        self.scaler.routes().merge(RoleRoutes::new(router, &["/v1/processes"]))
    }

    /// What is stored.
    pub fn stored(&self) -> Stored {
        Stored { byte_seconds: self.metered.byte_seconds(), ..Stored::of(&self.scaler.handle()) }
    }

    /// The scaler's metrics, and of what is stored.
    pub fn metrics(&self) -> Arc<dyn Source> {
        let (scaler, handle) = (self.scaler.metrics(), self.scaler.handle());
        Arc::new(FleetMetrics { scaler, handle, metered: self.metered.clone() })
    }
}

/// What a cache stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub items: u64,
    pub data_bytes: u64,
    /// Items evicted since each node's start.
    pub evicted: u64,
    /// Metered data over time, since the start.
    pub byte_seconds: u64,
}

impl Stored {
    /// As the nodes that are up said last: each item counts where its primary is.
    fn of(scaler: &ScalerHandle) -> Self {
        let status = scaler.status();
        let up = status.nodes.iter().filter(|node| !node.view.state.is_down());
        up.filter_map(|node| node.usage).fold(Self::default(), |sum, usage| Self {
            items: sum.items + usage.items.saturating_sub(usage.copy_items),
            data_bytes: sum.data_bytes + usage.data_bytes.saturating_sub(usage.copy_bytes),
            evicted: sum.evicted + usage.evicted,
            byte_seconds: 0,
        })
    }
}

/// Metered data over time; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metered(Arc<AtomicU64>);

impl Metered {
    /// In byte-seconds, since the start.
    pub fn byte_seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts for ever: each second with what is stored at its end, at least the minimum.
    pub async fn sample(self, scaler: ScalerHandle, limits: KeptLimits) {
        let mut interval = interval(Duration::from_secs(1));
        // A second that came late counts all the same.
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        interval.tick().await;
        loop {
            interval.tick().await;
            let bytes = Stored::of(&scaler).data_bytes.max(limits.metered_bytes_min());
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// See [`Fleet::metrics`].
struct FleetMetrics {
    scaler: Arc<dyn Source>,
    handle: ScalerHandle,
    metered: Metered,
}

impl Source for FleetMetrics {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
    fn collect(&self) -> Vec<MetricFamily> {
        let stored = Stored::of(&self.handle);
        let mut families = self.scaler.collect();
        families.extend([
            counter(
                "memtide_metered_byte_seconds_total",
                "Data stored over time, the configured minimum included; 3600 * 2^30 are a GB-hour.",
                self.metered.byte_seconds(),
            ),
            gauge(
                "memtide_items",
                "Items stored (CloudWatch: CurrItems).",
                stored.items as f64,
            ),
            gauge(
                "memtide_cache_used_bytes",
                "Bytes of the items stored (CloudWatch: BytesUsedForCache).",
                stored.data_bytes as f64,
            ),
        ]);
        families
    }
}

/// The node processes, and where the scaler takes further nodes.
async fn processes(State(seen): State<Seen>) -> Json<Value> {
    let status = seen.scaler.status();
    let node_of = |token: u64| {
        let node = status.nodes.iter().find(|node| node.parent_token == Some(token));
        node.map(|node| node.view.node.to_string())
    };
    let processes: Vec<_> = seen
        .running
        .all()
        .into_iter()
        .map(|process| {
            let node = node_of(process.token);
            json!({ "pid": process.pid, "zone": process.zone.name(), "node": node })
        })
        .collect();
    Json(json!({ "scaler": seen.address, "processes": processes }))
}
