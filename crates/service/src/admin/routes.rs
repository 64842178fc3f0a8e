use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Cache, CacheDescription, CacheState};
use crate::{
    drain::DrainWatch,
    events::{Events, EventsPage},
    metrics::Registry,
};

/// Where the answers come from.
#[derive(Clone)]
pub struct Answers {
    /// What `/metrics` shows.
    pub metrics: Registry,
    /// The cache that this process serves.
    pub cache: Arc<dyn Cache>,
    /// What `/v1/events` tells.
    pub events: Events,
    /// `/readyz` says no once the process drains.
    pub drain: DrainWatch,
}

pub(super) fn router(answers: Answers) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/v1/cache", get(cache))
        .route("/v1/events", get(events))
        .fallback(unknown)
        .with_state(answers)
}

async fn metrics(State(answers): State<Answers>) -> Response {
    match answers.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to encode: {error}\n"))
            .into_response(),
    }
}

async fn healthz(State(answers): State<Answers>) -> Response {
    verdict(answers.cache.healthy())
}

async fn readyz(State(answers): State<Answers>) -> Response {
    if answers.drain.is_draining() {
        return verdict(Err("draining".to_owned()));
    }
    verdict(answers.cache.ready())
}

async fn cache(State(answers): State<Answers>) -> Json<CacheDescription> {
    let mut cache = answers.cache.describe();
    if answers.drain.is_draining() {
        cache.status = CacheState::Deleting;
    }
    Json(cache)
}

async fn events(
    State(answers): State<Answers>,
    RawQuery(query): RawQuery,
) -> Result<Json<EventsPage>, (StatusCode, &'static str)> {
    let mistake = (
        StatusCode::BAD_REQUEST,
        "after: give a sequence, as in /v1/events?after=12, or nothing\n",
    );
    let after = match query.as_deref() {
        None | Some("") => 0,
        Some(query) => {
            query.strip_prefix("after=").and_then(|it| it.parse().ok()).ok_or(mistake)?
        }
    };
    Ok(Json(answers.events.after(after)))
}

async fn unknown() -> (StatusCode, &'static str) {
    let known = "not found; there are /metrics, /healthz, /readyz, /v1/cache and /v1/events\n";
    (StatusCode::NOT_FOUND, known)
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
