use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A record, and where and when it was appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<T> {
    /// Counts up from 1 over all segments.
    pub sequence: u64,
    /// In milliseconds since 1970, by the clock of who appended it.
    pub at_ms: u64,
    /// What was appended.
    pub record: T,
}

/// What stands before the checksum, and between it and what it is of.
const BEFORE: &[u8] = b"{\"crc\":\"";
const AFTER: &[u8] = b"\",";
const DIGITS: usize = 8;
const HEAD: usize = BEFORE.len() + DIGITS + AFTER.len();

/// The entry as a line. The checksum (CRC-32C) is of all behind it but the newline.
pub fn encode<T: Serialize>(entry: &Entry<T>) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(entry)?;
    let body = &json[1..];
    let mut line = Vec::with_capacity(HEAD + body.len() + 1);
    line.extend_from_slice(BEFORE);
    line.extend_from_slice(format!("{:08x}", crc32c::crc32c(body)).as_bytes());
    line.extend_from_slice(AFTER);
    line.extend_from_slice(body);
    line.push(b'\n');
    Ok(line)
}

/// Why a line is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// It is not what was written.
    Damaged,
    /// It is, and is no record of the kind asked for.
    Unknown,
}

/// The entry on a line, without its newline.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<Entry<T>, LineFault> {
    let body = checked(line).ok_or(LineFault::Damaged)?;
    let mut json = Vec::with_capacity(body.len() + 1);
    json.push(b'{');
    json.extend_from_slice(body);
    serde_json::from_slice(&json).map_err(|_| LineFault::Unknown)
}

/// What the checksum is of, where it is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(BEFORE)?;
    let (digits, rest) = rest.split_at_checked(DIGITS)?;
    let body = rest.strip_prefix(AFTER)?;
    // As `encode` writes them: a digit in another case is damage, too.
    (digits == format!("{:08x}", crc32c::crc32c(body)).as_bytes()).then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry<String> {
        Entry { sequence: 7, at_ms: 1_795_246_260_001, record: "a \"line\"\n".into() }
    }

    #[test]
    fn a_line_is_json_that_people_read_and_comes_back() {
        let line = encode(&entry()).unwrap();
        let text = std::str::from_utf8(&line).unwrap();
        let expected =
            r#"","sequence":7,"at_ms":1795246260001,"record":"a \"line\"\n"}"#.to_owned() + "\n";
        assert!(text.starts_with("{\"crc\":\"") && text.ends_with(&expected), "{text}");
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["sequence"], 7);
        assert_eq!(decode(&line[..line.len() - 1]), Ok(entry()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let line = encode(&entry()).unwrap();
        let line = &line[..line.len() - 1];
        for bit in 0..line.len() * 8 {
            let mut flipped = line.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode::<String>(&flipped), Err(LineFault::Damaged), "bit {bit}");
        }
        for end in 0..line.len() {
            assert_eq!(decode::<String>(&line[..end]), Err(LineFault::Damaged), "cut at {end}");
        }
    }

    #[test]
    fn what_another_version_wrote_is_unknown_not_damaged() {
        let line = encode(&entry()).unwrap();
        assert_eq!(decode::<u64>(&line[..line.len() - 1]), Err(LineFault::Unknown));
    }
}
