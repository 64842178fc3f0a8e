//! A scaler and node processes that this process started.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use memtide_scaler::{Scaler, ScalerHandle};
use memtide_service::admin::RoleRoutes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::supervisor::Running;

/// What this process sees of them; [`Supervising`] has the processes.
pub struct Fleet {
    pub scaler: Scaler,
    pub running: Running,
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

    /// Items and their bytes, each counted once: of each node the part of its slots that it is the primary of, which is what it would be
    /// if all slots were alike.
    pub fn stored(&self) -> (u64, u64) {
        let status = self.scaler.handle().status();
        let mut stored = (0, 0);
        for node in &status.nodes {
            let Some(usage) = node.usage else { continue };
            let (mut primary, mut all) = (0_u64, 0_u64);
            for (_, config) in status.topology.slots() {
                primary += u64::from(config.primary == Some(node.view.node));
                all += u64::from(config.is_held_by(node.view.node));
            }
            let part = |whole: u64| {
                let part = u128::from(whole) * u128::from(primary) / u128::from(all.max(1));
                u64::try_from(part).unwrap_or(whole)
            };
            stored = (stored.0 + part(usage.items), stored.1 + part(usage.data_bytes));
        }
        stored
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
