//! The topology of a node as a file, for an operator whose scaler has lost its own.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use memtide_engine::Observer;
use memtide_scaler::write_copy;
use memtide_service::admin::RoleRoutes;
use serde_json::json;

/// `POST /v1/topology/save`: writes the newest topology that the node has adopted into this directory. The answer says only where: the file has the
/// secret seed of the cache's hash.
pub fn routes(observer: Observer, dir: PathBuf) -> RoleRoutes {
    let router = Router::new().route("/v1/topology/save", post(save)).with_state((observer, dir));
    RoleRoutes::new(router, &["POST /v1/topology/save"])
}

async fn save(State((observer, dir)): State<(Observer, PathBuf)>) -> Response {
    let refuse = |why: String| (StatusCode::CONFLICT, format!("{why}\n")).into_response();
    let Some(topology) = observer.topology() else {
        return refuse("this node has no topology yet".to_owned());
    };
    let epoch = topology.epoch().number();
    let path = dir.join(format!("topology.{epoch}"));
    let written = std::fs::create_dir_all(&dir).map_err(|error| error.to_string());
    let written = written.and_then(|()| write_copy(&path, &topology).map_err(|it| it.to_string()));
    match written {
        Ok(()) => {
            let note =
                "limits that were changed, usage and events are not in it: nodes do not have them";
            Json(json!({ "epoch": epoch, "file": path, "note": note })).into_response()
        }
        Err(why) => refuse(why),
    }
}
