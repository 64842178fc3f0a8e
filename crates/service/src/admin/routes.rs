use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, RawQuery, Request, State},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Cache, CacheDescription, CacheState};
use crate::{
    drain::DrainWatch,
    events::{Events, EventsPage},
    limits::ADMIN_BODY_BYTES_MAX,
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

/// Where the answers of a process come from that serves no cache itself: a scaler, a node.
#[derive(Clone)]
pub struct RoleAnswers {
    /// What `/metrics` shows.
    pub metrics: Registry,
    /// Whether it is well.
    pub health: Arc<dyn Health>,
    /// What `/v1/events` tells.
    pub events: Events,
    /// `/readyz` says no once the process drains.
    pub drain: DrainWatch,
    /// What else it answers.
    pub routes: RoleRoutes,
}

/// Whether a process is well. Called on the admin thread; an answer must not wait.
pub trait Health: Send + Sync {
    /// As [`Cache::ready`].
    ///
    /// # Errors
    /// One lowercase fragment that an operator understands.
    fn ready(&self) -> Result<(), String>;

    /// As [`Cache::healthy`].
    ///
    /// # Errors
    /// One lowercase fragment that an operator understands.
    fn healthy(&self) -> Result<(), String>;
}

/// What a role answers besides what every process does.
#[derive(Clone, Debug, Default)]
pub struct RoleRoutes {
    router: Router,
    paths: Vec<&'static str>,
}

impl RoleRoutes {
    /// The routes of `router`, and their paths for the answer to a path that is none.
    #[must_use]
    pub fn new(router: Router, paths: &[&'static str]) -> Self {
        Self { router, paths: paths.to_vec() }
    }

    /// Both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.paths.extend(other.paths);
        self
    }
}

/// What every process answers from.
#[derive(Clone)]
struct Common {
    metrics: Registry,
    health: Arc<dyn Health>,
    events: Events,
    drain: DrainWatch,
}

/// A cache says too whether it is well.
struct CacheHealth(Arc<dyn Cache>);

impl Health for CacheHealth {
    fn ready(&self) -> Result<(), String> {
        self.0.ready()
    }

    fn healthy(&self) -> Result<(), String> {
        self.0.healthy()
    }
}

/// Of a process that serves a cache.
pub(super) fn cache_router(answers: Answers, routes: RoleRoutes) -> Router {
    let Answers { metrics, cache, events, drain } = answers;
    let health = Arc::new(CacheHealth(Arc::clone(&cache)));
    let described =
        Router::new().route("/v1/cache", get(describe)).with_state((cache, drain.clone()));
    let routes = RoleRoutes::new(described, &["/v1/cache"]).merge(routes);
    router(RoleAnswers { metrics, health, events, drain, routes })
}

/// Of any process.
pub(super) fn router(answers: RoleAnswers) -> Router {
    let RoleAnswers { metrics, health, events, drain, routes } = answers;
    let mut paths = vec!["/metrics", "/healthz", "/readyz", "/v1/events"];
    paths.extend(routes.paths);
    let common = Common { metrics, health, events, drain };
    Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/v1/events", get(events_page))
        .with_state(common)
        .merge(routes.router)
        .fallback(move || async move { unknown(&paths) })
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
        .layer(middleware::from_fn(refuse_pages))
}

/// Refuses what a web page has a browser send: whoever looks at it must not change the fleet.
async fn refuse_pages(request: Request, next: Next) -> Response {
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    if is_change && request.headers().contains_key(header::ORIGIN) {
        let why = "the request is of a web page; the admin API takes changes from programs only\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

async fn metrics_text(State(answers): State<Common>) -> Response {
    match answers.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to encode: {error}\n"))
            .into_response(),
    }
}

async fn healthz(State(answers): State<Common>) -> Response {
    verdict(answers.health.healthy())
}

async fn readyz(State(answers): State<Common>) -> Response {
    if answers.drain.is_draining() {
        return verdict(Err("draining".to_owned()));
    }
    verdict(answers.health.ready())
}

async fn describe(
    State((cache, drain)): State<(Arc<dyn Cache>, DrainWatch)>,
) -> Json<CacheDescription> {
    let mut cache = cache.describe();
    if drain.is_draining() {
        cache.status = CacheState::Deleting;
    }
    Json(cache)
}

async fn events_page(
    State(answers): State<Common>,
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

fn unknown(paths: &[&str]) -> (StatusCode, String) {
    let (last, others) = paths.split_last().expect("some are always there");
    (StatusCode::NOT_FOUND, format!("not found; there are {} and {last}\n", others.join(", ")))
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
