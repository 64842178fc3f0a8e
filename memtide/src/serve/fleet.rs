//! A scaler and node processes that this process started.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use memtide_scaler::{Scaler, ScalerHandle};
use memtide_service::admin::RoleRoutes;
use memtide_service::metrics::Source;
use prometheus::proto::MetricFamily;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stock::{Metered, StockMetrics, Stored};
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
        let metered = self.metered.clone();
        let stock = StockMetrics { scaler: self.scaler.handle(), metered };
        Arc::new(FleetMetrics { scaler: self.scaler.metrics(), stock })
    }
}

/// See [`Fleet::metrics`].
struct FleetMetrics {
    scaler: Arc<dyn Source>,
    stock: StockMetrics,
}

impl Source for FleetMetrics {
    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.scaler.collect();
        families.extend(self.stock.collect());
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
            let instance = Some(process.instance).filter(|name| !name.is_empty());
            let (pid, zone) = (process.pid, process.zone.name());
            json!({ "pid": pid, "zone": zone, "instance": instance, "node": node })
        })
        .collect();
    Json(json!({ "scaler": seen.address, "processes": processes }))
}
