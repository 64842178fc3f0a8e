use std::sync::Arc;

use axum::{
    Json, Router,
    body::HttpBody as _,
    extract::{DefaultBodyLimit, RawQuery, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use super::access::IsCertified;
use super::{Access, Cache, CacheDescription, CacheState, Condition};
use crate::{
    drain::DrainWatch,
    events::{Events, EventsPage},
    limits::ADMIN_BODY_BYTES_MAX,
    metrics::Registry,
};

/// Says which role of memtide answers.
pub const ROLE_HEADER: &str = "memtide-role";

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
    /// Who may ask for more than health and metrics.
    pub access: Access,
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
    /// Who may ask for more than health and metrics.
    pub access: Access,
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

    /// All that [`Health::ready`] is made of, and what else an operator may want to know of it;
    /// `/readyz?verbose`. Draining is known without it.
    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::needed("this process can do its work", self.ready())]
    }

    /// As [`Cache::healthy`].
    ///
    /// # Errors
    /// One lowercase fragment that an operator understands.
    fn healthy(&self) -> Result<(), String>;

    /// Whether it does what it is to do by waiting: a spare that nobody has taken yet. `/readyz?spares` is
    /// content with that.
    fn waits(&self) -> bool {
        false
    }
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

    /// For as long as `gate` gives a reason, all of it is answered 503 with that.
    #[must_use]
    pub fn gated(
        mut self,
        gate: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
    ) -> Self {
        let ask = move |request: Request, next: Next| {
            let why = gate();
            async move {
                match why {
                    None => next.run(request).await,
                    Some(why) => {
                        (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
                    }
                }
            }
        };
        self.router = self.router.route_layer(middleware::from_fn(ask));
        self
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

    fn conditions(&self) -> Vec<Condition> {
        self.0.conditions()
    }

    fn healthy(&self) -> Result<(), String> {
        self.0.healthy()
    }
}

/// Of a process that serves a cache.
pub(super) fn cache_router(answers: Answers, routes: RoleRoutes) -> Router {
    let Answers { metrics, cache, events, drain, access } = answers;
    let health = Arc::new(CacheHealth(Arc::clone(&cache)));
    let described =
        Router::new().route("/v1/cache", get(describe)).with_state((cache, drain.clone()));
    let routes = RoleRoutes::new(described, &["/v1/cache"]).merge(routes);
    router(RoleAnswers { metrics, health, events, drain, access, routes })
}

/// Of any process.
pub(super) fn router(answers: RoleAnswers) -> Router {
    let RoleAnswers { metrics, health, events, drain, access, routes } = answers;
    metrics.register(Arc::new(access.clone()));
    let role = access.role();
    let mut paths = OPEN.to_vec();
    paths.push("/v1/events");
    paths.extend(routes.paths);
    let common = Common { metrics, health, events, drain };
    Router::new()
        .route("/metrics", get(metrics_text))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/v1/events", get(events_page))
        .with_state(common)
        .merge(routes.router)
        .fallback(move || async move { unknown(role, &paths) })
        .layer(DefaultBodyLimit::max(ADMIN_BODY_BYTES_MAX))
        .layer(middleware::from_fn(refuse_huge))
        .layer(middleware::from_fn(refuse_pages))
        .layer(middleware::from_fn_with_state(access, refuse_strangers))
        .layer(middleware::map_response(move |response| async move { with_role(role, response) }))
}

/// With which role of memtide answers, where that is to be told.
fn with_role(role: Option<&'static str>, mut response: Response) -> Response {
    if let Some(role) = role {
        response.headers_mut().insert(ROLE_HEADER, HeaderValue::from_static(role));
    }
    response
}

/// What is told to everybody who reaches the port: what a monitoring asks for, and nothing about
/// items.
const OPEN: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// Refuses before anything of the body is read.
async fn refuse_strangers(State(access): State<Access>, request: Request, next: Next) -> Response {
    let client = request.extensions().get().copied().unwrap_or(IsCertified(false));
    if OPEN.contains(&request.uri().path()) || access.admits(request.headers(), client) {
        return next.run(request).await;
    }
    let scheme = [(header::WWW_AUTHENTICATE, "Bearer")];
    let wanted = access.wanted(request.headers());
    (StatusCode::UNAUTHORIZED, scheme, wanted).into_response()
}

/// Refuses a body that says itself that it is too large, before any of it is waited for.
async fn refuse_huge(request: Request, next: Next) -> Response {
    let length = request.body().size_hint().lower();
    if length > ADMIN_BODY_BYTES_MAX as u64 {
        let why = format!("a body of {length} bytes; at most {ADMIN_BODY_BYTES_MAX} are taken\n");
        return (StatusCode::PAYLOAD_TOO_LARGE, why).into_response();
    }
    next.run(request).await
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

/// With `?verbose` a line for each condition, and by the same ones. With `?spares` a spare that waits is ready.
async fn readyz(State(answers): State<Common>, RawQuery(query): RawQuery) -> Response {
    let draining = answers.drain.is_draining().then(|| "draining".to_owned());
    if query.as_deref() == Some("spares") && draining.is_none() && answers.health.waits() {
        return (StatusCode::OK, "a spare that waits to be taken\n").into_response();
    }
    if query.as_deref() != Some("verbose") {
        return verdict(draining.map_or_else(|| answers.health.ready(), Err));
    }
    let drain = Condition::needed("it is not draining", draining.map_or(Ok(()), Err));
    let conditions: Vec<_> = [drain].into_iter().chain(answers.health.conditions()).collect();
    let is_ready = conditions.iter().all(|it| it.state.is_ok() || !it.is_needed);
    let lines: String = conditions.iter().map(|it| format!("{it}\n")).collect();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, lines).into_response()
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
        "give after, a sequence, as in /v1/events?after=12, and with it process, the process_since_ms of who told of it, or nothing\n",
    );
    let (mut after, mut process) = (0, None);
    for part in query.as_deref().unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=').map(|(name, value)| (name, value.parse())) {
            Some(("after", Ok(sequence))) => after = sequence,
            Some(("process", Ok(since_ms))) => process = Some(since_ms),
            _ => return Err(mistake),
        }
    }
    Ok(Json(answers.events.after_heard_of(after, process)))
}

fn unknown(role: Option<&str>, paths: &[&str]) -> (StatusCode, String) {
    let (last, others) = paths.split_last().expect("some are always there");
    let who = role.map_or_else(String::new, |role| format!(" at this memtide {role}"));
    let what = format!("not found; there are {} and {last}{who}\n", others.join(", "));
    (StatusCode::NOT_FOUND, what)
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
