//! One request to the admin HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use memtide_service::admin::ROLE_HEADER;
use serde_json::Value;
use ureq::typestate::WithBody;
use ureq::{Agent, RequestBuilder};

use crate::admin_tls::{AdminTlsClient, Reply};
use crate::failure::Failure;

/// Longest wait for the whole answer. A change is answered when it is written down.
const PATIENCE: Duration = Duration::from_secs(15);
/// A topology of a thousand nodes is a tenth of it.
const REPLY_BYTES_MAX: u64 = 64 << 20;

/// What is asked.
#[derive(Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

impl Ask {
    /// Looks, and changes nothing.
    pub const fn get(path: String) -> Self {
        Self { method: Method::Get, path, body: None }
    }
}

/// Who is asked.
pub struct Asked {
    /// Of the admin HTTP.
    pub address: SocketAddr,
    /// What it wants to be shown.
    pub token: Option<String>,
    /// How it is asked over TLS, where it speaks that.
    pub tls: Option<AdminTlsClient>,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
}

/// Asks the admin HTTP at `address`, and gives its answer.
///
/// # Errors
/// When nobody answers, or the answer is no.
pub fn ask(asked: &Asked, ask: &Ask) -> Result<String, Failure> {
    let url = url(asked, ask);
    let answer = exchange(asked, ask, PATIENCE);
    let Reply { status, role, body: text } = answer.map_err(|error| {
        Failure::Environment(format!(
            "no answer from {url}: {error}; give --admin of a memtide serve or scaler that runs, and --admin-ca where that has --admin-client-ca"
        ))
    })?;
    if status == 404 && text.starts_with(NO_SUCH_ROUTE) {
        let who =
            role.map_or_else(|| "what answers there".to_owned(), |it| format!("memtide {it}"));
        return Err(Failure::Configuration(format!(
            "{url}: {who} has no {}; give --admin of {}",
            ask.path.split('?').next().unwrap_or_default(),
            who_has(&ask.path)
        )));
    }
    if status == 202 {
        return Err(Failure::Environment(format!(
            "{url}: accepted, and not stored yet; /readyz says why storing takes long, and memtide cache topology whether it was done"
        )));
    }
    if (200..300).contains(&status) {
        return Ok(text);
    }
    let reason = reason(&text);
    Err(match status {
        400..=499 => Failure::Configuration(reason),
        _ => Failure::Environment(format!("{url}: {reason}")),
    })
}

/// The answer, whatever it is.
///
/// # Errors
/// Why there is none.
pub fn exchange(asked: &Asked, ask: &Ask, patience: Duration) -> Result<Reply, String> {
    match &asked.tls {
        None => {
            let answer = send(&url(asked, ask), asked.token.as_deref(), (ask, patience));
            answer.map_err(|error| error.to_string())
        }
        Some(tls) => {
            let request = request(asked, ask);
            let answer =
                tls.exchange(asked.address, request.as_bytes(), (patience, REPLY_BYTES_MAX));
            answer.map_err(|error| error.to_string())
        }
    }
}

/// How an admin HTTP begins its answer to a path that it does not have.
const NO_SUCH_ROUTE: &str = "not found; there are";

/// Who has such a path, and where it listens by itself.
fn who_has(path: &str) -> &'static str {
    match path {
        "/v1/topology/save" => "a node, memtide engine (127.0.0.1:9152 on its host by itself)",
        "/v1/scaling" => {
            "the memtide scaler (127.0.0.1:9151 on its host by itself), or of a memtide serve with --nodes processes=A..B or --memory A..B (127.0.0.1:9150)"
        }
        path if path.starts_with("/v1/cache") => {
            "the memtide serve (127.0.0.1:9150 on its host by itself), or of the memtide scaler where the roles run apart (127.0.0.1:9151)"
        }
        _ => {
            "the memtide scaler (127.0.0.1:9151 on its host by itself), or of a memtide serve with --nodes processes=N (127.0.0.1:9150)"
        }
    }
}

fn url(asked: &Asked, ask: &Ask) -> String {
    let scheme = if asked.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}{}", asked.address, ask.path)
}

/// In HTTP/1.0, so that the answer ends with the connection.
fn request(asked: &Asked, ask: &Ask) -> String {
    let method = match ask.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
    };
    let body = ask.body.as_ref().map(Value::to_string).unwrap_or_default();
    let token = asked.token.iter().map(|token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "{method} {} HTTP/1.0\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        ask.path,
        asked.address,
        token.collect::<String>(),
        body.len()
    )
}

fn send(
    url: &str,
    token: Option<&str>,
    (ask, patience): (&Ask, Duration),
) -> Result<Reply, ureq::Error> {
    let config = Agent::config_builder()
        .timeout_global(Some(patience))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    let agent = Agent::new_with_config(config);
    let body = ask.body.as_ref().map(Value::to_string).unwrap_or_default();
    let json = "application/json";
    let shown = token.map(|token| ("authorization", format!("Bearer {token}")));
    let with_body = |request: RequestBuilder<WithBody>| {
        let request = request.header("content-type", json);
        shown
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, value))
            .send(&body)
    };
    let mut response = match ask.method {
        Method::Get => {
            let request = agent.get(url);
            shown.iter().fold(request, |request, (name, value)| request.header(*name, value)).call()
        }
        Method::Post => with_body(agent.post(url)),
        Method::Put => with_body(agent.put(url)),
        Method::Patch => with_body(agent.patch(url)),
    }?;
    let status = response.status().as_u16();
    let role = response.headers().get(ROLE_HEADER).and_then(|role| role.to_str().ok());
    let role = role.map(str::to_owned);
    let body = response.body_mut().with_config().limit(REPLY_BYTES_MAX).read_to_string()?;
    Ok(Reply { status, role, body })
}

/// What a refusal says, in one line.
fn reason(text: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let told = parsed.as_ref().and_then(|value| value.get("error")?.as_str());
    let line = told.unwrap_or(text).lines().next().unwrap_or_default().trim();
    if line.is_empty() { "refused without a reason".to_owned() } else { line.to_owned() }
}
