//! What the scaler answers over HTTP.

mod slots;
mod views;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use memtide_manager::{Operation, Refused};
use memtide_service::admin::RoleRoutes;
use memtide_topology::NodeId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{OperateError, Operated, ScalerHandle};

/// The paths below, for the answer to one that is none.
const PATHS: &[&str] = &[
    "/v1/topology",
    "/v1/nodes",
    "/v1/migrations",
    "/v1/scaling",
    "POST /v1/nodes/{id}/drain",
    "POST /v1/nodes/{id}/undrain",
    "POST /v1/nodes/{id}/forget",
    "POST /v1/slots/move",
    "PUT /v1/replicas",
];

/// The scaler's routes, to be merged into the admin HTTP.
pub fn routes(handle: ScalerHandle) -> RoleRoutes {
    let router = Router::new()
        .route("/v1/topology", get(topology))
        .route("/v1/nodes", get(nodes))
        .route("/v1/migrations", get(migrations))
        .route("/v1/scaling", get(scaling))
        .route("/v1/nodes/{id}/{operation}", post(node_operation))
        .route("/v1/slots/move", post(move_slots))
        .route("/v1/replicas", put(replicas))
        .with_state(handle);
    RoleRoutes::new(router, PATHS)
}

/// Bytes of a refusal's text; what a client sent is repeated no further.
const ECHO_BYTES_MAX: usize = 64;

/// The body of `POST /v1/slots/move`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    slots: String,
    to: String,
}

/// The body of `PUT /v1/replicas`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    replicas: u8,
}

/// A client's mistake: its status and one line.
type Mistake = (StatusCode, String);

async fn topology(State(handle): State<ScalerHandle>) -> Response {
    Json(views::Topology::of(&handle.status().topology)).into_response()
}

async fn nodes(State(handle): State<ScalerHandle>) -> Response {
    Json(views::Nodes::of(&handle.status())).into_response()
}

async fn migrations(State(handle): State<ScalerHandle>) -> Response {
    Json(views::Migrations::of(&handle.status())).into_response()
}

async fn scaling(State(handle): State<ScalerHandle>) -> Response {
    match handle.scaling() {
        Some(explained) => Json(&*explained).into_response(),
        None => {
            let why = "this scaler leaves its nodes as they are; give --nodes-max";
            mistake(StatusCode::NOT_FOUND, why).into_response()
        }
    }
}

async fn node_operation(
    State(handle): State<ScalerHandle>,
    Path((id, operation)): Path<(String, String)>,
) -> Result<Response, Mistake> {
    let node = node(&id)?;
    let operation = match operation.as_str() {
        "drain" => Operation::Drain(node),
        "undrain" => Operation::Undrain(node),
        "forget" => Operation::Forget(node),
        other => {
            let why = format!("{}: a node can be drained, undrained and forgotten", echo(other));
            return Err(mistake(StatusCode::NOT_FOUND, &why));
        }
    };
    operate(&handle, operation).await
}

async fn move_slots(State(handle): State<ScalerHandle>, body: Bytes) -> Result<Response, Mistake> {
    let asked: Move = parse(&body, r#"{"slots":"0-99,200","to":"n3"}"#)?;
    let bad = |why: String| mistake(StatusCode::BAD_REQUEST, &why);
    let slots = slots::parse(&asked.slots).map_err(|error| bad(format!("slots: {error}")))?;
    let to = node(&asked.to).map_err(|(_, why)| bad(format!("to: {}", why.trim_end())))?;
    operate(&handle, Operation::MoveSlots { slots, to }).await
}

async fn replicas(State(handle): State<ScalerHandle>, body: Bytes) -> Result<Response, Mistake> {
    let asked: Replicas = parse(&body, r#"{"replicas":1}"#)?;
    operate(&handle, Operation::SetReplicas(asked.replicas)).await
}

async fn operate(handle: &ScalerHandle, operation: Operation) -> Result<Response, Mistake> {
    let refused = |error: OperateError| {
        let status = match error {
            OperateError::Refused(Refused::NodeUnknown(_)) => StatusCode::NOT_FOUND,
            OperateError::Refused(Refused::NoSlots | Refused::ReplicasMax(_)) => {
                StatusCode::BAD_REQUEST
            }
            OperateError::Refused(_) | OperateError::Overtaken => StatusCode::CONFLICT,
            OperateError::Behind(_) | OperateError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        };
        mistake(status, &error.to_string())
    };
    Ok(match handle.operate(operation).await.map_err(refused)? {
        Operated::Stored(epoch) => Json(views::Done { epoch: epoch.number() }).into_response(),
        Operated::Accepted => {
            let epoch = handle.status().topology.epoch().number();
            (StatusCode::ACCEPTED, Json(views::Done { epoch })).into_response()
        }
    })
}

/// A node by its name, as [`NodeId`] is shown: `n3`, or `3`.
fn node(id: &str) -> Result<NodeId, Mistake> {
    let digits = id.strip_prefix('n').unwrap_or(id);
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_digits);
    number.map(NodeId::new).ok_or_else(|| {
        let why = format!("{} is no node; nodes are called n3, say: see /v1/nodes", echo(id));
        mistake(StatusCode::BAD_REQUEST, &why)
    })
}

fn parse<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Mistake> {
    serde_json::from_slice(body).map_err(|error| {
        let why = format!("the body is not as {example}: {error}");
        mistake(StatusCode::BAD_REQUEST, &why)
    })
}

fn mistake(status: StatusCode, why: &str) -> Mistake {
    (status, format!("{why}\n"))
}

/// What a client sent, fit for one line.
fn echo(sent: &str) -> String {
    let cut = &sent[..sent.floor_char_boundary(ECHO_BYTES_MAX)];
    cut.escape_debug().to_string()
}
