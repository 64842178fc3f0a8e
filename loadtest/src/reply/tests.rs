#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
use super::*;

fn all(mut bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        match read(bytes) {
            Ok(Found::Event(consumed, event)) => {
                seen.push(shown(&event));
                bytes = &bytes[consumed..];
            }
            Ok(Found::Incomplete(needed)) => {
                assert!(needed > bytes.len());
                seen.push(format!("incomplete {}", needed - bytes.len()));
                break;
            }
            Err(error) => {
                seen.push(error.to_string());
                break;
            }
        }
    }
    seen
}

fn shown(event: &Event<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match event {
        Event::Value { key, client_flags, cas, data } => {
            format!("value {} {client_flags} {cas:?} {}", text(key), text(data))
        }
        Event::Meta { code, flags, data } => {
            format!("{code:?} [{}] {}", text(flags), text(data))
        }
        Event::Version(version) => format!("version {}", text(version)),
        Event::Error(line) => format!("error {}", text(line)),
        other => format!("{other:?}"),
    }
}

#[track_caller]
fn check(bytes: &str, expected: &[&str]) {
    assert_eq!(all(bytes.as_bytes()), expected, "{bytes:?}");
}

#[test]
fn reads_every_kind_of_reply() {
    check(
        "VALUE a 7 3\r\nx\ry\r\nVALUE b 0 0 99\r\n\r\nEND\r\n",
        &["value a 7 None x\ry", "value b 0 Some(99) ", "End"],
    );
    check(
        "STORED\r\nNOT_STORED\r\nEXISTS\r\nNOT_FOUND\r\n",
        &["Stored", "NotStored", "Exists", "NotFound"],
    );
    check(
        "DELETED\r\nTOUCHED\r\nOK\r\n18446744073709551615\r\n",
        &["Deleted", "Touched", "Ok", "Number(18446744073709551615)"],
    );
    check(
        "HD\r\nHD c1 O2\r\nVA 2 t-1\r\nhi\r\nVA 0\r\n\r\n",
        &["Hd [] ", "Hd [c1 O2] ", "Va [t-1] hi", "Va [] "],
    );
    check(
        "EN\r\nNF\r\nNS O1\r\nEX\r\nMN\r\n",
        &["En [] ", "Nf [] ", "Ns [O1] ", "Ex [] ", "Mn [] "],
    );
    check("VERSION 1.6.45\r\nERROR\r\n", &["version 1.6.45", "error ERROR"]);
    check("ERROR Too many open connections\r\n", &["error ERROR Too many open connections"]);
    check(
        "CLIENT_ERROR bad data chunk\r\nSERVER_ERROR throttled: x\r\n",
        &["error CLIENT_ERROR bad data chunk", "error SERVER_ERROR throttled: x"],
    );
}

#[test]
fn says_how_much_is_missing() {
    check("", &[]);
    check("STOR", &["incomplete 1"]);
    check("STORED\r", &["incomplete 1"]);
    check("VALUE a 0 10\r\n12345", &["incomplete 7"]);
    check("VALUE a 0 3\r\n123\r", &["incomplete 1"]);
    check("VA 4 c1\r\n", &["incomplete 6"]);
}

#[test]
fn refuses_what_is_no_reply() {
    for line in [
        "STORED\n",
        "STOREDX\r\n",
        "ERRORX\r\n",
        "\r\n",
        "VALUE a\r\n",
        "VALUE a 0\r\n",
        "VALUE a 0 -1\r\n",
        "VALUE a 0 1 2 3\r\n",
        "VALUE a 4294967296 1\r\n",
        "VA\r\n",
        "VA x\r\n",
        "HDX\r\n",
        "12x\r\n",
        "18446744073709551616\r\n",
        "VALUE a 0 9999999999999\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
    ] {
        let error = read(line.as_bytes()).unwrap_err();
        assert!(matches!(error, ReplyError::Unknown(_)), "{line:?}: {error}");
    }
    assert_eq!(read(b"VALUE a 0 1\r\nxyz"), Err(ReplyError::BadBlock));
    assert_eq!(read(&[b'A'; LINE_BYTES_MAX]), Err(ReplyError::LineTooLong));
}

/// What the reader makes of a stream does not depend on how it arrives.
#[test]
fn any_split_reads_alike() {
    let stream = b"VALUE a 7 3 5\r\nx\r\n\r\nEND\r\n12\r\nVA 2 t-1\r\nhi\r\nSERVER_ERROR x y\r\n";
    for cut in 0..=stream.len() {
        let mut seen = Vec::new();
        let mut start = 0;
        for end in [cut, stream.len()] {
            while let Ok(Found::Event(consumed, event)) = read(&stream[start..end]) {
                seen.push(shown(&event));
                start += consumed;
            }
        }
        assert_eq!(start, stream.len(), "cut at {cut}");
        assert_eq!(seen, all(stream), "cut at {cut}");
    }
}
