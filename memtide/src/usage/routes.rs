use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use memtide_records::usage::csv;
use memtide_service::admin::RoleRoutes;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::Usage;
use super::query::{Format, parse};

/// Each reads years of hours; those beyond wait.
static QUERIES: Semaphore = Semaphore::const_new(2);

type Refusal = (StatusCode, String);

/// See [`Usage::routes`].
pub fn routes(usage: Usage) -> RoleRoutes {
    let router = Router::new().route("/v1/cache/usage", get(answer)).with_state(usage);
    RoleRoutes::new(router, &["/v1/cache/usage"])
}

async fn answer(
    State(usage): State<Usage>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let mistake = |why: String| (StatusCode::BAD_REQUEST, format!("{why}\n"));
    let (query, format) = parse(query.as_deref().unwrap_or_default()).map_err(mistake)?;
    let _turn = QUERIES.acquire().await;
    // Not on the thread that answers whether the process is well: a disk may be slow.
    let hours = spawn_blocking(move || usage.log().query(&query)).await;
    let failed =
        |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("usage cannot be read: {why}\n"));
    let hours = hours.map_err(|error| failed(error.to_string()))?;
    let hours = hours.map_err(|error| failed(error.to_string()))?;
    Ok(match format.unwrap_or_else(|| accepted(&headers)) {
        Format::Json => Json(json!({ "hours": hours })).into_response(),
        Format::Csv => {
            let kind = "text/csv; charset=utf-8; header=present";
            ([(header::CONTENT_TYPE, kind)], csv(&hours)).into_response()
        }
    })
}

fn accepted(headers: &HeaderMap) -> Format {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let kinds = accept.unwrap_or_default().split(',');
    let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if kinds.any(|kind| kind.eq_ignore_ascii_case("text/csv")) { Format::Csv } else { Format::Json }
}
