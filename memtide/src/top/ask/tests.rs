#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;

fn asked(address: SocketAddr) -> Asked {
    Asked { address, token: None, tls: None }
}

/// The path that was asked for.
fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        request.extend(byte);
    }
    let request = String::from_utf8(request).unwrap();
    request.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn reply(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(reply.as_bytes()).unwrap();
}

/// A part that hangs is waited for no longer than the others, which are told; and is not asked anew meanwhile.
#[test]
fn a_part_that_hangs_holds_up_nothing_and_is_asked_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (saw, seen) = mpsc::channel();
    thread::spawn(move || {
        let mut hanging = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let path = request(&mut stream);
            saw.send(path.clone()).unwrap();
            match path.split('?').next().unwrap() {
                "/v1/nodes" => hanging.push(stream),
                "/v1/events" => {
                    let page = r#"{"now_ms":7200000,"events":[{"kind":"listening"}],"next":300}"#;
                    reply(&mut stream, "200 OK", page);
                }
                "/readyz" => reply(&mut stream, "503 Service Unavailable", "not ready: x: y\n"),
                "/metrics" => reply(&mut stream, "200 OK", "memtide_commands_total 5\nother 1\n"),
                "/v1/cache" => reply(&mut stream, "200 OK", "nonsense"),
                "/v1/cache/limits" => reply(&mut stream, "500 Internal Server Error", "broken\n"),
                _ => reply(&mut stream, "404 Not Found", "not found\n"),
            }
        }
    });
    // Long for all that answers at once.
    let mut looker = Looker::new(asked(address), Duration::from_secs(5));
    looker.send(Part::Nodes);
    let look = looker.look();
    let failed = |why: &str| Lack::Failed(why.to_owned());
    assert_eq!(look.events.as_ref().unwrap().page.events[0].kind, "listening");
    assert_eq!(look.ready.as_ref().unwrap().page, ["not ready: x: y"]);
    let metrics = &look.metrics.as_ref().unwrap().page;
    assert_eq!(metrics.sum("memtide_commands_total", &[]), Some(5.0));
    assert_eq!(metrics.sum("other", &[]), None);
    assert_eq!(look.cache.as_ref().unwrap_err(), &failed("the answer is not understood"));
    assert_eq!(look.limits.as_ref().unwrap_err(), &failed("answered with 500: broken"));
    assert_eq!(look.migrations.as_ref().unwrap_err(), &Lack::NotHere);
    assert!(matches!(look.nodes, Err(Lack::Failed(_))), "{:?}", look.nodes);
    assert_eq!(look.trouble(), None);

    looker.send(Part::Events);
    looker.receive(Part::Events, Instant::now() + Duration::from_secs(60)).unwrap();
    let paths: Vec<String> = seen.try_iter().collect();
    let newest = "/v1/events?after=200".to_owned();
    assert!(paths.contains(&newest), "{paths:?}");
    assert_eq!(paths.iter().filter(|path| *path == "/v1/nodes").count(), 1, "{paths:?}");
}

/// Whoever is not to be told is told so, and what is broken is unreachable.
#[test]
fn what_is_wrong_with_all_is_said_once() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = refusing.local_addr().unwrap();
    thread::spawn(move || {
        for stream in refusing.incoming() {
            let mut stream = stream.unwrap();
            let path = request(&mut stream);
            if path.starts_with("/v1/") {
                reply(&mut stream, "401 Unauthorized", "give --admin-token-file\n");
            } else {
                reply(&mut stream, "200 OK", "ok: x\n");
            }
        }
    });
    let wait = Duration::from_secs(60);
    let look = Looker::new(asked(address), wait).look();
    let expected = Lack::Refused("give --admin-token-file".to_owned());
    assert_eq!(look.trouble(), Some(&expected));

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let look = Looker::new(asked(closed), wait).look();
    assert!(matches!(look.trouble(), Some(Lack::Failed(_))), "{:?}", look.trouble());
}
