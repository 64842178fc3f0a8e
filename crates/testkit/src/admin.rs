use std::net::SocketAddr;

use crate::Client;

/// What the admin port answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// 200 and so on.
    pub status: u16,
    /// The header lines, without the status line.
    pub headers: String,
    /// The body.
    pub body: String,
}

/// One `GET` over plain HTTP/1.0, so that the body ends with the connection.
///
/// # Panics
/// When nothing listens there, or what answers is not HTTP.
#[must_use]
pub fn http_get(address: SocketAddr, path: &str) -> HttpReply {
    let mut client = Client::tcp(address);
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    client.send(request.as_bytes()).expect("the admin port takes a request");
    let (bytes, _) = client.read_to_end().expect("the admin port closes after its reply");
    let text = String::from_utf8(bytes).expect("the admin API speaks UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("an HTTP reply has a header");
    let (status_line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    HttpReply {
        status: status.unwrap_or_else(|| panic!("no HTTP status in {status_line:?}")),
        headers: headers.to_owned(),
        body: body.to_owned(),
    }
}
