//! The text of the black-box tables: escapes, and placeholders in braces.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Client, ClientError};

/// The numbers that a case has seen under a name.
pub type Bindings = BTreeMap<String, u64>;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These bytes.
    Literal(Vec<u8>),
    /// Expected: a number.
    Number { name: Option<String>, relation: Option<(Relation, String)> },
    /// Expected: a number in this range, ends included.
    Range(i64, i64),
    /// Expected: anything up to the end of the line.
    RestOfLine,
    /// Sent: a bound number with this added.
    Bound(String, i64),
    /// Sent: the Unix time with this added, in seconds.
    Now(i64),
}

/// What a number must be to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Differs,
    Above,
}

/// Reads a line of a table.
///
/// Escapes: `\r \n \t \0 \\ \{ \}` and `\xHH`. Placeholders: `{text*n}` repeats; `{now+n}` is a Unix
/// time; `{#}`, `{#name}`, `{#name!other}`, `{#name>other}` are numbers to expect, `{#name+n}` one to
/// send; `{low..high}` is a range; `{*}` the rest of a line.
pub(crate) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '\\' => rest = unescape(rest, &mut literal)?,
            '{' => {
                let end = rest.find('}').ok_or_else(|| format!("no }} in {rest:?}"))?;
                match placeholder(&rest[1..end])? {
                    Piece::Literal(bytes) => literal.extend(bytes),
                    piece => {
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                        }
                        pieces.push(piece);
                    }
                }
                rest = &rest[end + 1..];
            }
            other => {
                literal.extend(other.to_string().bytes());
                rest = &rest[other.len_utf8()..];
            }
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn unescape<'a>(text: &'a str, into: &mut Vec<u8>) -> Result<&'a str, String> {
    let wrong = || format!("unknown escape in {text:?}");
    let code = text.chars().nth(1).ok_or_else(wrong)?;
    if code == 'x' {
        let digits = text.get(2..4).ok_or_else(wrong)?;
        into.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        return Ok(&text[4..]);
    }
    into.push(match code {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        '\\' => b'\\',
        '{' => b'{',
        '}' => b'}',
        _ => return Err(wrong()),
    });
    Ok(&text[2..])
}

fn placeholder(text: &str) -> Result<Piece, String> {
    let wrong = || format!("unknown placeholder {{{text}}}");
    let number = |digits: &str| digits.parse::<i64>().map_err(|_| wrong());
    if text == "*" {
        return Ok(Piece::RestOfLine);
    }
    if let Some(delta) = text.strip_prefix("now") {
        return Ok(Piece::Now(if delta.is_empty() { 0 } else { number(delta)? }));
    }
    if let Some(name) = text.strip_prefix('#') {
        if let Some(at) = name.find(['+', '-']) {
            return Ok(Piece::Bound(name[..at].to_owned(), number(&name[at..])?));
        }
        let relation = [('!', Relation::Differs), ('>', Relation::Above)];
        for (sign, relation) in relation {
            if let Some((name, other)) = name.split_once(sign) {
                let name = (!name.is_empty()).then(|| name.to_owned());
                return Ok(Piece::Number { name, relation: Some((relation, other.to_owned())) });
            }
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        return Ok(Piece::Number { name, relation: None });
    }
    if let Some((low, high)) = text.split_once("..") {
        return Ok(Piece::Range(number(low)?, number(high)?));
    }
    let (unit, times) = text.rsplit_once('*').ok_or_else(wrong)?;
    let times: usize = times.parse().map_err(|_| wrong())?;
    let mut bytes = Vec::new();
    for piece in parse(unit)? {
        let Piece::Literal(part) = piece else { return Err(wrong()) };
        bytes.extend(part);
    }
    Ok(Piece::Literal(bytes.repeat(times)))
}

/// The bytes to send.
pub(crate) fn render(pieces: &[Piece], bindings: &Bindings) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => bytes.extend_from_slice(literal),
            Piece::Now(delta) => {
                let now =
                    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
                bytes.extend(now.saturating_add_signed(*delta).to_string().bytes());
            }
            Piece::Bound(name, delta) => {
                bytes
                    .extend(bound(bindings, name)?.wrapping_add_signed(*delta).to_string().bytes());
            }
            Piece::Number { name: Some(name), relation: None } => {
                bytes.extend(bound(bindings, name)?.to_string().bytes());
            }
            other => return Err(format!("{other:?} can only be expected")),
        }
    }
    Ok(bytes)
}

fn bound(bindings: &Bindings, name: &str) -> Result<u64, String> {
    bindings.get(name).copied().ok_or_else(|| format!("no number named {name} was seen yet"))
}

/// Reads what is expected off the connection, and says what came instead.
pub(crate) fn expect(
    pieces: &[Piece],
    client: &mut Client,
    bindings: &mut Bindings,
) -> Result<(), String> {
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => expect_literal(literal, client)?,
            Piece::RestOfLine => {
                while !client.unread().contains(&b'\r') {
                    fill(client, client.unread().len() + 1)?;
                }
                let len = client.unread().iter().position(|&byte| byte == b'\r');
                client.skip(len.expect("the loop ends with one"));
            }
            Piece::Range(low, high) => {
                let number: i64 = read_number(client)?;
                if !(*low..=*high).contains(&number) {
                    return Err(format!("{number} is not in {low}..{high}"));
                }
            }
            Piece::Number { name, relation } => {
                let number: u64 = read_number(client)?;
                check_number(number, name.as_deref(), relation.as_ref(), bindings)?;
            }
            other => return Err(format!("{other:?} can only be sent")),
        }
    }
    Ok(())
}

/// Whether a whole reply is the expected one. Names are not bound: a polled reply may still change.
pub(crate) fn matches(pieces: &[Piece], reply: &[u8]) -> bool {
    let mut rest = reply;
    for piece in pieces {
        let len = match piece {
            Piece::Literal(literal) if rest.starts_with(literal) => literal.len(),
            Piece::RestOfLine => rest.iter().take_while(|&&byte| byte != b'\r').count(),
            Piece::Range(low, high) => match leading_number::<i64>(rest) {
                Some((number, len)) if (*low..=*high).contains(&number) => len,
                _ => return false,
            },
            Piece::Number { name: None, relation: None } => match leading_number::<u64>(rest) {
                Some((_, len)) => len,
                None => return false,
            },
            _ => return false,
        };
        rest = &rest[len..];
    }
    rest.is_empty()
}

/// The decimal number that `text` starts with, and how many bytes it takes.
fn leading_number<N: std::str::FromStr>(text: &[u8]) -> Option<(N, usize)> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    Some((std::str::from_utf8(&text[..len]).ok()?.parse().ok()?, len))
}

fn check_number(
    number: u64,
    name: Option<&str>,
    relation: Option<&(Relation, String)>,
    bindings: &mut Bindings,
) -> Result<(), String> {
    if let Some((relation, other)) = relation {
        let other_number = bound(bindings, other)?;
        let holds = match relation {
            Relation::Differs => number != other_number,
            Relation::Above => number > other_number,
        };
        if !holds {
            return Err(format!("{number} against {other} = {other_number}: not {relation:?}"));
        }
    }
    let Some(name) = name else { return Ok(()) };
    let bound = *bindings.entry(name.to_owned()).or_insert(number);
    if bound == number { Ok(()) } else { Err(format!("{number} is not {name}, which is {bound}")) }
}

fn expect_literal(literal: &[u8], client: &mut Client) -> Result<(), String> {
    let mut matched = 0;
    while matched < literal.len() {
        if client.unread().is_empty() {
            fill(client, 1)?;
        }
        let unread = client.unread();
        let len = unread.len().min(literal.len() - matched);
        if unread[..len] != literal[matched..matched + len] {
            return Err(String::new());
        }
        client.skip(len);
        matched += len;
    }
    Ok(())
}

/// A decimal number, up to the first byte that is no part of it.
fn read_number<N: std::str::FromStr>(client: &mut Client) -> Result<N, String> {
    let mut digits = 0;
    loop {
        fill(client, digits + 1)?;
        let byte = client.unread()[digits];
        if !(byte.is_ascii_digit() || byte == b'-') {
            break;
        }
        digits += 1;
    }
    let text = String::from_utf8_lossy(&client.unread()[..digits]).into_owned();
    let number = text.parse().map_err(|_| format!("{text:?} is not a number of this kind"))?;
    client.skip(digits);
    Ok(number)
}

fn fill(client: &mut Client, len: usize) -> Result<(), String> {
    client.fill(len).map_err(|error| match error {
        ClientError::Deadline { .. } => "nothing more came".to_owned(),
        ClientError::Ended { ending, .. } => format!("the connection ended ({ending:?})"),
        ClientError::Io(error) => format!("the socket failed ({error})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_render(text: &str, expected: &[u8]) {
        let bindings = Bindings::from([("a".to_owned(), 7)]);
        let pieces = parse(text).expect("a sound text");
        assert_eq!(render(&pieces, &bindings).expect("can be sent"), expected, "{text}");
    }

    #[test]
    fn renders_what_is_to_be_sent() {
        check_render("plain", b"plain");
        check_render(r"\x80\0\r\n\{\}\\", b"\x80\0\r\n{}\\");
        check_render("<{ab*3}>", b"<ababab>");
        check_render(r"{\n*2}", b"\n\n");
        check_render("C{#a} C{#a+1} C{#a-1}", b"C7 C8 C6");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in [r"\q", "{what}", "{open", r"\x8", "{{#a}*2}"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let pieces = parse("{#missing+0}").expect("sound");
        assert!(render(&pieces, &Bindings::new()).is_err());
        assert!(render(&parse("{*}").expect("sound"), &Bindings::new()).is_err());
    }

    #[test]
    fn matches_whole_replies() {
        for (text, reply, expected) in [
            (r"HD l{1..60}\r\n", "HD l7\r\n", true),
            (r"HD l{1..60}\r\n", "HD l61\r\n", false),
            (r"HD l{1..60}\r\n", "HD lx\r\n", false),
            (r"HD l{1..60}\r\n", "HD l7\r\nHD\r\n", false),
            (r"HD c{#} {*}\r\n", "HD c12 any thing\r\n", true),
            ("END", "EN", false),
        ] {
            let pieces = parse(text).expect("a sound text");
            assert_eq!(matches(&pieces, reply.as_bytes()), expected, "{text} {reply}");
        }
    }

    #[test]
    fn reads_what_is_to_be_expected() {
        let number = |name: &str, relation| Piece::Number { name: Some(name.to_owned()), relation };
        assert_eq!(parse("{#a}"), Ok(vec![number("a", None)]));
        assert_eq!(parse("{#b>a}"), Ok(vec![number("b", Some((Relation::Above, "a".to_owned())))]));
        assert_eq!(
            parse("t{-1..30}"),
            Ok(vec![Piece::Literal(b"t".to_vec()), Piece::Range(-1, 30)])
        );
    }
}
