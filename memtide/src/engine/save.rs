//! The topology of a node as a file, for an operator whose scaler has lost its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use memtide_scaler::write_copy;
use memtide_service::admin::RoleRoutes;
use memtide_topology::Topology;
use serde_json::json;

/// The newest topology that the scaler has sent; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Newest(Arc<Mutex<Option<Arc<Topology>>>>);

impl Newest {
    /// The scaler has sent one.
    pub fn set(&self, topology: Arc<Topology>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(topology);
    }

    fn now(&self) -> Option<Arc<Topology>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `POST /v1/topology/save`: writes it into this directory. The answer says only where: the file has the
/// secret seed of the cache's hash.
pub fn routes(newest: Newest, dir: PathBuf) -> RoleRoutes {
    let router = Router::new().route("/v1/topology/save", post(save)).with_state((newest, dir));
    RoleRoutes::new(router, &["POST /v1/topology/save"])
}

async fn save(State((newest, dir)): State<(Newest, PathBuf)>) -> Response {
    let refuse = |why: String| (StatusCode::CONFLICT, format!("{why}\n")).into_response();
    let Some(topology) = newest.now() else {
        return refuse("this node has no topology yet".to_owned());
    };
    let epoch = topology.epoch().number();
    let path = dir.join(format!("topology.{epoch}"));
    let written = std::fs::create_dir_all(&dir).map_err(|error| error.to_string());
    let written = written.and_then(|()| write_copy(&path, &topology).map_err(|it| it.to_string()));
    match written {
        Ok(()) => Json(json!({ "epoch": epoch, "file": path })).into_response(),
        Err(why) => refuse(why),
    }
}
