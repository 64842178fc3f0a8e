use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use super::*;

/// Answers each request with the next of these, whole HTTP replies, and gives the paths asked for;
/// then closes its port.
fn admin(replies: Vec<String>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let mut paths = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let text = String::from_utf8(request).unwrap();
            paths.push(text.split(' ').nth(1).unwrap().to_owned());
            stream.write_all(reply.as_bytes()).unwrap();
        }
        paths
    };
    (address, thread::spawn(serve))
}

fn reply(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A page of one event with this sequence, of a process that began then, told 250 ms later.
fn page(since_ms: u64, sequence: u64) -> String {
    let (at_ms, now_ms) = (since_ms + 1000, since_ms + 1250);
    let event = format!(
        r#"{{"sequence":{sequence},"at_ms":{at_ms},"kind":"tls_reloaded","text":"{sequence}"}}"#
    );
    let page = format!(
        r#"{{"since_ms":{since_ms},"now_ms":{now_ms},"events":[{event}],"forgotten":0,"next":{sequence}}}"#
    );
    reply("200 OK", &page)
}

/// A poller of this, and what it notes.
fn start(url: &str) -> (Result<Poller, EventsError>, mpsc::Receiver<String>) {
    let (told, tells) = mpsc::channel();
    let note = move |line: &str| drop(told.send(line.to_owned()));
    (Poller::start(url, note), tells)
}

#[test]
fn events_of_the_run_become_marks() {
    let (address, admin) = admin(vec![page(1000, 3), page(1000, 4)]);
    let (poller, tells) = start(&format!("http://{address}/"));
    let marks = poller.unwrap().finish(Instant::now());
    assert_eq!(admin.join().unwrap(), ["/v1/events?after=0", "/v1/events?after=3"]);
    let texts: Vec<_> = marks.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(texts, ["tls reloaded: 4"], "3 was before the run");
    assert_eq!(tells.try_iter().count(), 0);
}

#[test]
fn a_restart_in_the_run_is_followed() {
    let (address, admin) = admin(vec![page(1000, 3), page(9000, 5), page(9000, 5)]);
    let (poller, _tells) = start(&format!("http://{address}"));
    let marks = poller.unwrap().finish(Instant::now());
    let asked = ["/v1/events?after=0", "/v1/events?after=3", "/v1/events?after=0"];
    assert_eq!(admin.join().unwrap(), asked);
    let texts: Vec<_> = marks.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(texts, ["another process began", "tls reloaded: 5"]);
    let apart_s = marks[1].at_s - marks[0].at_s;
    assert!(apart_s > 0.5, "{marks:?}");
}

#[test]
fn an_endpoint_that_goes_away_costs_a_note() {
    let (address, admin) = admin(vec![page(1000, 3)]);
    let (poller, tells) = start(&format!("http://{address}"));
    admin.join().unwrap();
    assert_eq!(poller.unwrap().finish(Instant::now()), []);
    let notes: Vec<_> = tells.try_iter().collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with(&format!("--admin http://{address}: no events for now: ")));
}

#[test]
fn a_memtide_without_events_costs_a_note() {
    let (address, admin) = admin(vec![reply("404 Not Found", "not found\n")]);
    let (poller, tells) = start(&format!("http://{address}"));
    assert_eq!(poller.unwrap().finish(Instant::now()), []);
    admin.join().unwrap();
    let notes: Vec<_> = tells.try_iter().collect();
    assert!(notes[0].contains("is too old to tell events"), "{notes:?}");
}

#[test]
fn a_mistake_gets_one_line() {
    let refused = |url: &str| start(url).0.unwrap_err().to_string();
    let hint = "no URL; give http://HOST:PORT, as in http://127.0.0.1:9150";
    for url in ["127.0.0.1:9150", "http:", "", "file:///x", "http://:x:y", "http://a b"] {
        assert_eq!(refused(url), format!("--admin {}: {hint}", url.trim_end_matches('/')));
    }
    let https = refused("https://127.0.0.1:9150");
    assert!(https.ends_with("the admin port speaks plain HTTP; give http://HOST:PORT"), "{https}");

    for strange in [reply("200 OK", "<html>"), reply("500 Oh", ""), "+OK ready\r\n".to_owned()] {
        let (address, admin) = admin(vec![strange]);
        let stranger = refused(&format!("http://{address}"));
        assert!(stranger.contains("what answers is no memtide"), "{stranger}");
        admin.join().unwrap();
    }
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let refused = refused(&format!("http://{nobody}"));
    let expected = format!("--admin http://{nobody}: no answer: ");
    assert!(refused.starts_with(&expected) && refused.contains("refused"), "{refused}");
}
