//! A server that answers what a test tells it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// What a stub does about a request.
pub enum Answer {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends these bytes, and closes.
    Last(Vec<u8>),
    /// Resets the connection.
    Reset,
    /// Says nothing.
    Silence,
}

impl Answer {
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// Listens on a free port until the test's process ends. A request is a line, and its data block
/// where it is a `set`; what `answer` makes of it is all that the stub does, but for the
/// `version` and `stats` that a load test begins with.
pub fn stub(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(stream.unwrap(), answer.as_ref()));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&str) -> Answer) {
    let mut requests = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|len| len > 0) {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        if words.first() == Some(&"set") {
            let len: usize = words[4].parse().unwrap();
            requests.read_exact(&mut vec![0; len + 2]).unwrap();
        }
        let answer = match line.trim_end() {
            "version" => Answer::text("VERSION stub\r\n"),
            "stats" => Answer::text("STAT evictions 0\r\nEND\r\n"),
            request => answer(request),
        };
        // A load test that has gone away ends the conversation.
        match answer {
            Answer::Bytes(bytes) if stream.write_all(&bytes).is_ok() => {}
            Answer::Silence => {}
            Answer::Last(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Answer::Reset => {
                let socket = rustix::net::sockopt::set_socket_linger(&stream, Some(LINGER));
                socket.unwrap();
                return;
            }
            Answer::Bytes(_) => return,
        }
        line.clear();
    }
}

/// Closing with this resets.
const LINGER: std::time::Duration = std::time::Duration::ZERO;

/// Listens on a free port like [`stub`], answers every get with a miss, and takes this many
/// connections; others get `words`, and are closed.
pub fn turning_away(connections: usize, words: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            if number < connections {
                std::thread::spawn(move || serve(stream, &|_| Answer::text("END\r\n")));
            } else {
                let _ = stream.write_all(words.as_bytes());
            }
        }
    });
    address
}

/// Listens on a free port and passes everything on to `server`, but for one `set` of so many, which
/// it says to be stored and forgets. Requests must come one at a time.
pub fn forgetful(server: SocketAddr, sets_to_one_forgotten: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(server).unwrap());
            let (mut replies, mut back) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut replies, &mut back));
            std::thread::spawn(move || forget(client, server, sets_to_one_forgotten));
        }
    });
    address
}

fn forget(mut client: TcpStream, mut server: TcpStream, sets_to_one_forgotten: u32) {
    let mut request = vec![0; 64 * 1024];
    let mut sets = 0;
    while let Ok(len @ 1..) = client.read(&mut request) {
        sets += u32::from(request.starts_with(b"set "));
        let done = if request.starts_with(b"set ") && sets % sets_to_one_forgotten == 0 {
            client.write_all(b"STORED\r\n")
        } else {
            server.write_all(&request[..len])
        };
        if done.is_err() {
            return;
        }
    }
}
