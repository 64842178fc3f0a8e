//! `GET` and `PATCH /v1/cache/limits`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use memtide_limits::{Limits, LimitsPatch};
use memtide_service::admin::RoleRoutes;
use serde::Serialize;

use super::{ChangeError, KeptLimits};

/// What a body looks like.
const EXAMPLE: &str = r#"{"data_storage":{"max":"10GB"},"ecpu_per_second":{"max":"100k"}}"#;

type Refusal = (StatusCode, String);

pub fn routes(limits: KeptLimits) -> RoleRoutes {
    let router =
        Router::new().route("/v1/cache/limits", get(show).patch(change)).with_state(limits);
    RoleRoutes::new(router, &["/v1/cache/limits", "PATCH /v1/cache/limits"])
}

/// The answer.
#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    limits: Limits,
    /// Data is metered as at least so many bytes: the minimum, or 1 GiB where nobody said any.
    data_storage_metered_bytes_min: u64,
}

impl View {
    fn of(limits: Limits, kept: &KeptLimits) -> Json<Self> {
        Json(Self { limits, data_storage_metered_bytes_min: kept.metered_bytes_min() })
    }
}

async fn show(State(limits): State<KeptLimits>) -> Json<View> {
    View::of(limits.now(), &limits)
}

async fn change(State(limits): State<KeptLimits>, body: Bytes) -> Result<Json<View>, Refusal> {
    let kept = limits.clone();
    let refuse = |status, why: String| (status, format!("{why}\n"));
    let patch: LimitsPatch = serde_json::from_slice(&body).map_err(|error| {
        refuse(StatusCode::BAD_REQUEST, format!("the body is not as {EXAMPLE}: {error}"))
    })?;
    // It waits for the disk.
    let changed = tokio::task::spawn_blocking(move || limits.change(&patch)).await;
    let changed = changed.map_err(|error| {
        refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to change the limits: {error}"))
    })?;
    let status = |error: &ChangeError| match error {
        ChangeError::Refused(_) => StatusCode::BAD_REQUEST,
        ChangeError::Uncertain(_) => StatusCode::SERVICE_UNAVAILABLE,
        ChangeError::Unwritten { .. } | ChangeError::Doubtful { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    changed.map(|it| View::of(it, &kept)).map_err(|error| refuse(status(&error), error.to_string()))
}
