use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tokio::time::Instant;

use super::*;
use crate::{
    drain::Drain,
    events::{EventKind, Events},
    listen::listen,
    metrics::{BuildInfo, ProcessSource, Registry},
};

struct Fixed;

impl Cache for Fixed {
    fn describe(&self) -> CacheDescription {
        CacheDescription {
            name: "default".to_owned(),
            status: CacheState::Available,
            engine: "memcached",
            engine_version: "1.6.45".to_owned(),
            endpoint: Endpoint { host: "localhost".to_owned(), port: 11211, read_port: 11212 },
            limits: CacheLimits {
                data_storage: Range { min: 0, max: 64 << 20 },
                ecpu_per_second: Range { min: 0, max: 0 },
                memory_bytes_max: 64 << 20,
                item_size_bytes_max: 1 << 20,
                connections_max: 1024,
            },
            usage: CacheUsage {
                items: Some(0),
                data_storage_bytes: None,
                data_storage_metered_bytes: Some(0),
                data_storage_gb_hours: Some(0.0),
                ecpus: 0.0,
                connections: 0,
            },
        }
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn healthy(&self) -> Result<(), String> {
        Err("core 3 has not answered for 10 s".to_owned())
    }
}

fn start() -> (Admin, Drain, SocketAddr) {
    start_with(Events::new())
}

fn start_with(events: Events) -> (Admin, Drain, SocketAddr) {
    start_for(Access::open(), events)
}

fn start_for(access: Access, events: Events) -> (Admin, Drain, SocketAddr) {
    let listener = listen("--admin", &["127.0.0.1".parse().unwrap()], 0).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let drain = Drain::new();
    let metrics = Registry::new();
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::new(BuildInfo { version: "0" }));
    let cache = Arc::new(Fixed);
    let answers = Answers { metrics, cache, events, drain: drain.watch(), access };
    (serve(listener, answers).unwrap(), drain, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Status line and body.
fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

#[test]
fn the_four_answers() {
    let (_admin, drain, address) = start();
    let ok = "HTTP/1.1 200 OK";
    let unavailable = "HTTP/1.1 503 Service Unavailable";
    let (status, body) = get(address, "/metrics");
    assert_eq!(status, ok);
    assert!(body.contains("\nprocess_open_fds "), "{body}");
    assert!(body.contains("\nmemtide_build_info{version=\"0\"} 1\n"), "{body}");

    let (status, body) = get(address, "/v1/cache");
    let cache: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status.as_str(), &cache["status"]), (ok, &"available".into()));
    assert_eq!(cache["endpoint"]["read_port"], 11212);
    assert_eq!(cache["limits"]["data_storage"]["max"], 64 << 20);

    let healthz = get(address, "/healthz");
    assert_eq!(healthz, (unavailable.to_owned(), "core 3 has not answered for 10 s\n".to_owned()));
    assert_eq!(get(address, "/readyz"), (ok.to_owned(), "ok\n".to_owned()));
    let ready = "ok: it is not draining\nok: this process can do its work\n".to_owned();
    assert_eq!(get(address, "/readyz?verbose"), (ok.to_owned(), ready));
    drain.begin(Instant::now());
    let (status, lines) = get(address, "/readyz?verbose");
    assert_eq!(status, unavailable);
    assert!(lines.starts_with("not ready: it is not draining: draining\nok: "), "{lines}");
    assert_eq!(get(address, "/readyz"), (unavailable.to_owned(), "draining\n".to_owned()));
    assert!(get(address, "/v1/cache").1.contains(r#""status":"deleting""#));

    assert_eq!(get(address, "/nothing").0, "HTTP/1.1 404 Not Found");
    let post = ask(address, "POST /v1/cache HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.0, "HTTP/1.1 405 Method Not Allowed");
}

#[test]
fn events_are_told_from_where_one_left_off() {
    let events = Events::new();
    let (_admin, _drain, address) = start_with(events.clone());
    let told = |path| -> serde_json::Value {
        let (status, body) = get(address, path);
        assert_eq!(status, "HTTP/1.1 200 OK", "{body}");
        serde_json::from_str(&body).unwrap()
    };
    events.record(EventKind::Listening, "on 11211");
    let first = told("/v1/events");
    assert_eq!(first["events"][0]["kind"], "listening");
    assert_eq!((&first["events"][0]["text"], &first["next"]), (&"on 11211".into(), &1.into()));
    events.record(EventKind::DrainBegan, "by SIGTERM");
    let second = told("/v1/events?after=1");
    assert_eq!(second["events"].as_array().unwrap().len(), 1);
    assert_eq!((&second["events"][0]["sequence"], &second["forgotten"]), (&2.into(), &0.into()));
    assert_eq!(told("/v1/events?after=2")["events"].as_array().unwrap().len(), 0);
    let of_another = told("/v1/events?after=2&process=1");
    assert_eq!(of_another["events"].as_array().unwrap().len(), 2, "sequences are given again");
    for query in ["after=x", "after=-1", "before=1", "after=1&process=x", "after"] {
        let (status, body) = get(address, &format!("/v1/events?{query}"));
        assert_eq!(status, "HTTP/1.1 400 Bad Request", "{query}");
        assert!(body.contains("/v1/events?after=12"), "{body}");
    }
}

#[test]
fn a_request_without_end_is_refused() {
    let (_admin, _drain, address) = start();
    let mut stream = connect(address);
    let line = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2 * ADMIN_REQUEST_BYTES_MAX));
    let _ = stream.write_all(line.as_bytes());
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).unwrap();
    let reply = String::from_utf8_lossy(&reply).into_owned();
    assert!(["HTTP/1.1 414", "HTTP/1.1 431"].contains(&reply.as_str()), "{reply}");
}

#[test]
fn silent_clients_leave_room_for_others() {
    let (_admin, _drain, address) = start();
    let silent: Vec<_> = (0..ADMIN_CONNECTIONS_MAX - 1).map(|_| connect(address)).collect();
    assert_eq!(get(address, "/readyz").1, "ok\n");
    drop(silent);
}

#[test]
fn dropping_it_closes_the_port() {
    let (admin, _drain, address) = start();
    drop(admin);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn where_a_token_is_set_only_health_and_metrics_are_told_without_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token");
    let (_admin, _drain, address) = start_for(Access::by_token(&file).unwrap(), Events::new());
    for path in ["/metrics", "/healthz?x", "/readyz"] {
        assert_ne!(get(address, path).0, "HTTP/1.1 401 Unauthorized", "{path}");
    }
    let token = token_of(&file).unwrap();
    for path in ["/v1/cache", "/v1/events", "/nothing", "//metrics", "/metrics/", "/v1/../metrics"]
    {
        let (status, body) = get(address, path);
        assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{path}");
        assert!(body.starts_with("no token was shown; give"), "{body}");
        assert!(body.contains("--admin-token-file"), "{body}");
        let with = |token: &str| {
            let line =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
            ask(address, &line)
        };
        assert_ne!(with(&token).0, "HTTP/1.1 401 Unauthorized", "{path}");
        let (status, body) = with("a-guess-of-some-length");
        assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{path}");
        assert!(body.starts_with("the token that was shown is not the one here"), "{body}");
    }
    let metrics = get(address, "/metrics").1;
    assert!(metrics.contains("\nmemtide_admin_unauthorized_total 12\n"), "{metrics}");
}
