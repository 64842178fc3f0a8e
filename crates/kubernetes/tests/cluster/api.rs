//! What an API server answers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::State;

type All = Arc<Mutex<State>>;

pub fn router(state: All) -> Router {
    let sets = "/apis/apps/v1/namespaces/shop/statefulsets";
    Router::new()
        .route(sets, get(list_or_watch))
        .route(&format!("{sets}/{{name}}/scale"), get(scale).put(scale_to))
        .route("/api/v1/namespaces/shop/pods/{name}", get(pod))
        .fallback(async || status(404, "no such path"))
        .layer(from_fn_with_state(Arc::clone(&state), guard))
        .with_state(state)
}

/// Who asks must have the token; and things go wrong.
async fn guard(
    Shared(all): Shared<All>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let hangs = {
        let mut state = all.lock().unwrap();
        let token = format!("Bearer {}", state.token);
        if headers.get("authorization").is_none_or(|it| *it != token) {
            return status(401, "Unauthorized");
        }
        if state.faults.errors > 0 {
            state.faults.errors -= 1;
            return status(500, "etcdserver: leader changed");
        }
        let hangs = state.faults.hangs > 0;
        state.faults.hangs = state.faults.hangs.saturating_sub(1);
        hangs
    };
    if hangs {
        return std::future::pending().await;
    }
    next.run(request).await
}

fn status(code: u16, message: &str) -> Response {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        403 => "Forbidden",
        404 => "NotFound",
        _ => "InternalError",
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), body.to_string()).into_response()
}

/// What stands behind the question mark.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn of(query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, it)| (name.to_owned(), it.replace("%3D", "="))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str())
    }

    fn number(&self, name: &str) -> u64 {
        self.get(name).unwrap().parse().unwrap()
    }
}

async fn list_or_watch(Shared(all): Shared<All>, RawQuery(query): RawQuery) -> Response {
    let asked = Asked::of(&query.unwrap_or_default());
    let name = asked.get("fieldSelector").unwrap().strip_prefix("metadata.name=").unwrap();
    let name = name.to_owned();
    if asked.get("watch") == Some("true") {
        return watch(all, name, &asked);
    }
    let mut state = all.lock().unwrap();
    state.lists += 1;
    let items: Vec<Value> =
        state.sets.contains_key(&name).then(|| state.object(&name)).into_iter().collect();
    let body = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSetList",
        "metadata": { "resourceVersion": state.version().to_string() }, "items": items,
    });
    body.to_string().into_response()
}

/// A line for each event, until the time is over.
fn watch(all: All, name: String, asked: &Asked) -> Response {
    assert_eq!(asked.get("allowWatchBookmarks"), Some("true"));
    let mut version = asked.number("resourceVersion");
    let time = Duration::from_secs(asked.number("timeoutSeconds"));
    let (lines, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(16);
    let (mut news, is_cut, is_silent) = {
        let mut state = all.lock().unwrap();
        state.watches += 1;
        let (is_cut, is_silent) = (state.faults.cuts > 0, state.faults.silences > 0);
        state.faults.cuts = state.faults.cuts.saturating_sub(1);
        state.faults.silences = state.faults.silences.saturating_sub(1);
        (state.news.subscribe(), is_cut, is_silent)
    };
    tokio::spawn(async move {
        let end = tokio::time::Instant::now() + time;
        if is_silent {
            return lines.closed().await;
        }
        loop {
            let events = all.lock().unwrap().since(version);
            let Some(events) = events else {
                let gone = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "too old resource version", "reason": "Expired", "code": 410 });
                let line = json!({ "type": "ERROR", "object": gone }).to_string() + "\n";
                let _ = lines.send(Ok(line.into())).await;
                return;
            };
            for (at, event, object) in events {
                version = at;
                if object["metadata"]["name"] != name.as_str() {
                    continue;
                }
                let line = json!({ "type": event, "object": object }).to_string() + "\n";
                let line = if is_cut { line[..line.len() / 2].to_owned() } else { line };
                if lines.send(Ok(line.into())).await.is_err() || is_cut {
                    return;
                }
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = lines.closed() => return,
                () = tokio::time::sleep_until(end) => break,
            }
        }
        let object = json!({ "kind": "StatefulSet", "apiVersion": "apps/v1",
            "metadata": { "resourceVersion": version.to_string() } });
        let line = json!({ "type": "BOOKMARK", "object": object }).to_string() + "\n";
        let _ = lines.send(Ok(line.into())).await;
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (line, receiver))
    });
    Response::new(Body::from_stream(stream))
}

async fn scale(Shared(all): Shared<All>, Path(name): Path<String>) -> Response {
    let state = all.lock().unwrap();
    if !state.sets.contains_key(&name) {
        return status(404, "statefulsets.apps not found");
    }
    state.scale_object(&name).to_string().into_response()
}

async fn scale_to(Shared(all): Shared<All>, Path(name): Path<String>, body: Bytes) -> Response {
    let wanted: Value = serde_json::from_slice(&body).unwrap();
    let mut state = all.lock().unwrap();
    if state.faults.is_forbidden {
        return status(403, "User cannot update resource \"statefulsets/scale\"");
    }
    let version = wanted["metadata"]["resourceVersion"].as_str().unwrap();
    let replicas = u32::try_from(wanted["spec"]["replicas"].as_u64().unwrap()).unwrap();
    match state.scale(&name, version, replicas) {
        Err(code) => status(code, "the object has been modified"),
        Ok(()) if state.faults.lost_answers > 0 => {
            state.faults.lost_answers -= 1;
            status(500, "timeout")
        }
        Ok(()) => state.scale_object(&name).to_string().into_response(),
    }
}

async fn pod(Shared(all): Shared<All>, Path(name): Path<String>) -> Response {
    if !all.lock().unwrap().pods.contains_key(&name) {
        return status(404, "pods not found");
    }
    let metadata = json!({ "name": name, "namespace": "shop" });
    let body = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata });
    body.to_string().into_response()
}
