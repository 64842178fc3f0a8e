use std::time::{Duration, Instant};

use crate::case::{Case, Exchange, Table};
use crate::pattern::{self, Bindings, Piece};
use crate::{Client, ClientError};

/// How long a polled exchange may take to get its reply: a TTL of 2 s, a second of clock
/// granularity, and room for a busy machine.
const POLL_PATIENCE: Duration = Duration::from_secs(20);

/// How long a failed case collects what else came, for its message.
const AFTERMATH: Duration = Duration::from_millis(300);

/// Bytes at either end of a long message that are sent one by one; what is between goes in one.
const SINGLE_BYTES: usize = 300;

/// A server that the tables run against.
pub trait Server {
    /// Which of the two.
    fn side(&self) -> Side;
    /// A new connection.
    fn connect(&self) -> Client;
}

/// The two servers that the suite compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Debian's memcached 1.6.18 over TCP.
    Memcached,
    /// memtide over TLS.
    Memtide,
}

/// How the bytes of a case reach the server; its replies must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// What stands between two replies goes in one write.
    Stepwise,
    /// Every byte in a write, and over TLS a record, of its own.
    ByteByByte,
    /// The whole case in one write. Skips cases that use earlier replies or poll.
    Pipelined,
}

/// A case whose reply was not the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Runs a table against a server. Each case has its own connection and starts with every key that it
/// names absent.
///
/// With `MEMTIDE_TEST_CASE` set, only cases run whose name contains its value.
#[must_use]
pub fn run_table(table: &Table, server: &dyn Server, delivery: Delivery) -> Vec<Failure> {
    let only = std::env::var("MEMTIDE_TEST_CASE").unwrap_or_default();
    let mut janitor = server.connect();
    let mut failures = Vec::new();
    for case in table.cases.iter().filter(|case| case.name.contains(&only)) {
        let exchanges = case.exchanges(server.side());
        let exchanges = match delivery {
            Delivery::Pipelined => match pipeline(exchanges) {
                Some(all) => vec![all],
                None => continue,
            },
            _ => exchanges,
        };
        let outcome = clear_keys(&mut janitor, &exchanges)
            .and_then(|()| run_case(&exchanges, server, delivery));
        if let Err(problem) = outcome {
            let Case { name, line, .. } = case;
            let file = &table.file;
            let side = server.side();
            failures.push(Failure(format!(
                "{file}:{line} {name:?}, {side:?}, {delivery:?}\n{problem}"
            )));
        }
    }
    failures
}

/// All exchanges as one, where no later one depends on an earlier one.
fn pipeline(exchanges: Vec<Exchange>) -> Option<Exchange> {
    let mut all = Exchange::default();
    for exchange in exchanges {
        if exchange.is_polled || exchange.depends_on_replies() || all.closes {
            return None;
        }
        all.send.extend(exchange.send);
        all.expect.extend(exchange.expect);
        all.closes |= exchange.closes;
    }
    Some(all)
}

fn run_case(exchanges: &[Exchange], server: &dyn Server, delivery: Delivery) -> Result<(), String> {
    let mut client = server.connect();
    let mut bindings = Bindings::new();
    for exchange in exchanges {
        if exchange.is_polled {
            poll(exchange, &mut client, &bindings)?;
        } else {
            converse(exchange, &mut client, &mut bindings, delivery)?;
        }
    }
    if exchanges.iter().any(|exchange| exchange.closes) {
        return Ok(());
    }
    let end = Exchange {
        send: vec![Piece::Literal(b"mn\r\n".to_vec())],
        expect: vec![Piece::Literal(b"MN\r\n".to_vec())],
        ..Exchange::default()
    };
    converse(&end, &mut client, &mut bindings, delivery).map_err(|problem| {
        format!("  at the end, where all replies should have been read:\n{problem}")
    })
}

fn converse(
    exchange: &Exchange,
    client: &mut Client,
    bindings: &mut Bindings,
    delivery: Delivery,
) -> Result<(), String> {
    let bytes = pattern::render(&exchange.send, bindings)?;
    match deliver(&bytes, client, delivery) {
        // A server that closes may do it before it has read all that was sent to it.
        Err(ClientError::Ended { .. }) if exchange.closes => {}
        Err(error) => {
            return Err(message(exchange, &bytes, &format!("failed to send: {error}"), ""));
        }
        Ok(()) => {}
    }
    let outcome = pattern::expect(&exchange.expect, client, bindings)
        .and_then(|()| if exchange.closes { expect_close(client) } else { Ok(()) });
    outcome.map_err(|problem| message(exchange, &bytes, &problem, &aftermath(client)))
}

fn deliver(bytes: &[u8], client: &mut Client, delivery: Delivery) -> Result<(), ClientError> {
    if delivery != Delivery::ByteByByte {
        return client.send(bytes);
    }
    let singles = SINGLE_BYTES.min(bytes.len() / 2);
    let (head, rest) = bytes.split_at(singles);
    let (middle, tail) = rest.split_at(rest.len() - (bytes.len() - singles).min(SINGLE_BYTES));
    head.chunks(1)
        .chain(middle.chunks(middle.len().max(1)))
        .chain(tail.chunks(1))
        .try_for_each(|part| client.send(part))
}

fn expect_close(client: &mut Client) -> Result<(), String> {
    match client.read_to_end() {
        Ok((rest, _)) if rest.is_empty() => Ok(()),
        Ok((rest, _)) => Err(format!("the connection ended, but after {}", escape(&rest))),
        Err(_) => Err("the connection stayed open".to_owned()),
    }
}

/// Sends and reads whole lines until the reply is the expected one.
fn poll(exchange: &Exchange, client: &mut Client, bindings: &Bindings) -> Result<(), String> {
    let request = pattern::render(&exchange.send, bindings)?;
    let deadline = Instant::now() + POLL_PATIENCE;
    loop {
        let reply = client.ask(&request).map_err(|error| error.to_string())?;
        if pattern::matches(&exchange.expect, reply.as_bytes()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(message(exchange, &request, "not in time", &reply));
        }
    }
}

/// What else came, so that a failure shows the whole reply.
fn aftermath(client: &mut Client) -> String {
    let deadline = Instant::now() + AFTERMATH;
    while Instant::now() < deadline && client.unread().len() < 400 {
        if client.fill_within(client.unread().len() + 1, AFTERMATH).is_err() {
            break;
        }
    }
    escape(client.unread())
}

fn message(exchange: &Exchange, sent: &[u8], problem: &str, unread: &str) -> String {
    let expected = exchange
        .expect
        .iter()
        .map(|piece| match piece {
            Piece::Literal(bytes) => escape(bytes),
            other => format!("{{{other:?}}}"),
        })
        .collect::<String>();
    let close = if exchange.closes { " and a close" } else { "" };
    let line = exchange.line;
    let sent = escape(sent);
    format!(
        "  line {line}, sent   {sent}\n  expected {expected}{close}\n  but then {unread}\n  {problem}"
    )
}

/// Bytes as text, the middle of long ones left out.
fn escape(bytes: &[u8]) -> String {
    const SHOWN: usize = 150;
    if bytes.len() <= 2 * SHOWN {
        return bytes.escape_ascii().to_string();
    }
    let (head, tail) = (&bytes[..SHOWN], &bytes[bytes.len() - SHOWN..]);
    format!("{} .. {} bytes .. {}", head.escape_ascii(), bytes.len(), tail.escape_ascii())
}

/// Deletes every key that a case can mean: all words that it sends, and what they are in base64.
fn clear_keys(janitor: &mut Client, exchanges: &[Exchange]) -> Result<(), String> {
    let mut request = Vec::new();
    for word in exchanges.iter().flat_map(Exchange::sent_words) {
        request
            .extend([b"delete ", word.as_slice(), b" noreply\r\nmd ", &word, b" b q\r\n"].concat());
    }
    janitor.ask(&request).map(drop).map_err(|error| format!("failed to clear the keys: {error}"))
}

impl Exchange {
    /// The words that may be keys: printable and not too long.
    fn sent_words(&self) -> Vec<Vec<u8>> {
        let literals = self.send.iter().filter_map(|piece| match piece {
            Piece::Literal(bytes) => Some(bytes.as_slice()),
            _ => None,
        });
        let mut words: Vec<Vec<u8>> = literals
            .flat_map(|bytes| bytes.split(|byte| matches!(byte, b' ' | b'\r' | b'\n')))
            .filter(|word| (1..=250).contains(&word.len()) && word.iter().all(|&byte| byte > b' '))
            .map(<[u8]>::to_vec)
            .collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}
