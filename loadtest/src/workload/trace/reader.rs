use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::super::sizes::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use super::error::{TraceError, TraceProblem};
use crate::measure::CommandKind;

/// Longest line: a key and six short fields fit many times.
pub(super) const LINE_BYTES_MAX: u64 = 4096;

const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Reads a trace line by line, in bounded memory.
#[derive(Debug)]
pub struct TraceReader<R> {
    file: String,
    input: R,
    line: Vec<u8>,
    /// Lines read, the last of them included.
    number: u64,
    /// The last line's timestamp.
    timestamp: u64,
}

/// A recorded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceLine<'l> {
    /// Seconds.
    pub timestamp: u64,
    /// 1 to [`KEY_BYTES_MAX`] bytes.
    pub key: &'l [u8],
    /// How long the key was before it was anonymized: at most [`KEY_BYTES_MAX`].
    pub key_size: usize,
    /// At most [`VALUE_BYTES_MAX`].
    pub value_size: usize,
    /// What was done.
    pub operation: CommandKind,
    /// Seconds to live.
    pub ttl: u64,
}

impl TraceReader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be read, or is still compressed.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = path.display().to_string();
        let opened = File::open(path).map_err(|error| unreadable(&file, &error))?;
        let mut input = BufReader::with_capacity(1 << 20, opened);
        let begin = input.fill_buf().map_err(|error| unreadable(&file, &error))?;
        if begin.starts_with(ZSTD_MAGIC) {
            return Err(TraceError::Compressed { file });
        }
        Ok(Self::new(file, input))
    }
}

impl<R: BufRead> TraceReader<R> {
    /// Reads from `input`; `file` is what errors call it.
    #[must_use]
    pub fn new(file: String, input: R) -> Self {
        Self { file, input, line: Vec::new(), number: 0, timestamp: 0 }
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense; with its number. There is no going on after it.
    pub fn read_line(&mut self) -> Result<Option<TraceLine<'_>>, TraceError> {
        if !self.fill_line()? {
            return Ok(None);
        }
        if self.number == 1 && self.line.starts_with(b"timestamp,") && !self.fill_line()? {
            return Ok(None);
        }
        let in_line =
            |problem| TraceError::Line { file: self.file.clone(), line: self.number, problem };
        let line = parse(&self.line).map_err(in_line)?;
        if line.timestamp < self.timestamp {
            let (before, at) = (self.timestamp, line.timestamp);
            return Err(in_line(TraceProblem::Backwards { before, at }));
        }
        self.timestamp = line.timestamp;
        Ok(Some(line))
    }

    /// What errors call the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Reads a line without its end; false at the end of the input.
    fn fill_line(&mut self) -> Result<bool, TraceError> {
        self.line.clear();
        let mut limited = (&mut self.input).take(LINE_BYTES_MAX);
        let count = limited
            .read_until(b'\n', &mut self.line)
            .map_err(|error| unreadable(&self.file, &error))?;
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        } else if count as u64 == LINE_BYTES_MAX {
            let (file, line) = (self.file.clone(), self.number);
            return Err(TraceError::Line { file, line, problem: TraceProblem::LineTooLong });
        }
        Ok(count > 0)
    }
}

fn unreadable(file: &str, error: &std::io::Error) -> TraceError {
    TraceError::Unreadable { file: file.to_owned(), problem: error.to_string() }
}

/// The first field, five from the end, and what is between them: the key, commas and all.
fn parse(line: &[u8]) -> Result<TraceLine<'_>, TraceProblem> {
    let fields = || TraceProblem::Fields(line.split(|&byte| byte == b',').count());
    let comma = line.iter().position(|&byte| byte == b',').ok_or_else(fields)?;
    let (timestamp, rest) = (&line[..comma], &line[comma + 1..]);
    let mut from_the_end = rest.rsplitn(6, |&byte| byte == b',');
    let mut field = || from_the_end.next().ok_or_else(fields);
    let (ttl, operation, _client) = (field()?, field()?, field()?);
    let (value_size, key_size, key) = (field()?, field()?, field()?);

    let timestamp = number("timestamp", timestamp)?;
    check_key(key)?;
    let key_size = number("key_size", key_size)?;
    let value_size = number("value_size", value_size)?;
    Ok(TraceLine {
        timestamp,
        key,
        key_size: at_most(key_size, KEY_BYTES_MAX).ok_or(TraceProblem::KeyTooLong(key_size))?,
        value_size: at_most(value_size, VALUE_BYTES_MAX)
            .ok_or(TraceProblem::ValueTooLarge(value_size))?,
        operation: operation_of(operation)
            .ok_or_else(|| TraceProblem::Operation(text(operation)))?,
        ttl: number("ttl", ttl)?,
    })
}

fn check_key(key: &[u8]) -> Result<(), TraceProblem> {
    if key.is_empty() {
        return Err(TraceProblem::KeyEmpty);
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(TraceProblem::KeyTooLong(key.len() as u64));
    }
    if key.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
        return Err(TraceProblem::KeyByte(text(key)));
    }
    Ok(())
}

fn number(field: &'static str, word: &[u8]) -> Result<u64, TraceProblem> {
    let parsed = word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    });
    match parsed {
        Some(number) if !word.is_empty() => Ok(number),
        _ => Err(TraceProblem::NotANumber { field, text: text(word) }),
    }
}

fn at_most(size: u64, max: usize) -> Option<usize> {
    usize::try_from(size).ok().filter(|&size| size <= max)
}

fn operation_of(word: &[u8]) -> Option<CommandKind> {
    Some(match word {
        b"get" => CommandKind::Get,
        b"gets" => CommandKind::Gets,
        b"set" => CommandKind::Set,
        b"add" => CommandKind::Add,
        b"replace" => CommandKind::Replace,
        b"cas" => CommandKind::Cas,
        b"append" => CommandKind::Append,
        b"prepend" => CommandKind::Prepend,
        b"delete" => CommandKind::Delete,
        b"incr" => CommandKind::Incr,
        b"decr" => CommandKind::Decr,
        _ => return None,
    })
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(&word[..word.len().min(60)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_error(trace: &str) -> String {
        let mut reader = TraceReader::new("trace.csv".to_owned(), trace.as_bytes());
        loop {
            match reader.read_line() {
                Ok(Some(_)) => {}
                Ok(None) => return "fine".to_owned(),
                Err(error) => return error.to_string(),
            }
        }
    }

    #[test]
    fn lines_of_the_public_traces_are_read() {
        let trace = "timestamp,anonymized_key,key_size,value_size,client_id,op,TTL\n\
                     0,q:q:1:8WTfjZU14ee,17,213,4,get,0\r\n\
                     0,a,b,18,27,5,set,7200";
        let mut reader = TraceReader::new("trace.csv".to_owned(), trace.as_bytes());
        let line = reader.read_line().expect("a line").expect("not the end");
        let key: &[u8] = b"q:q:1:8WTfjZU14ee";
        assert_eq!((line.timestamp, line.key, line.key_size), (0, key, 17));
        assert_eq!((line.value_size, line.operation, line.ttl), (213, CommandKind::Get, 0));
        let line = reader.read_line().expect("a line").expect("not the end");
        let key: &[u8] = b"a,b";
        assert_eq!((line.key, line.operation, line.ttl), (key, CommandKind::Set, 7200));
        assert_eq!(reader.read_line(), Ok(None));
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        for (line, told) in [
            ("", "1 fields instead of timestamp,key,key_size,value_size,client,op,ttl"),
            (
                "5,k,1,1,1,get",
                "6 fields instead of timestamp,key,key_size,value_size,client,op,ttl",
            ),
            ("x,k,1,1,1,get,0", "timestamp is \"x\", not a whole number"),
            ("5.5,k,1,1,1,get,0", "timestamp is \"5.5\", not a whole number"),
            ("-5,k,1,1,1,get,0", "timestamp is \"-5\", not a whole number"),
            ("5,k,,1,1,get,0", "key_size is \"\", not a whole number"),
            (
                "5,k,1,99999999999999999999,1,get,0",
                "value_size is \"99999999999999999999\", not a whole number",
            ),
            ("5,k,1,1,1,get,-1", "ttl is \"-1\", not a whole number"),
            ("5,,1,1,1,get,0", "the key is empty"),
            ("5,a b,1,1,1,get,0", "the key \"a b\" has a blank or control character in it"),
            ("5,a\tb,1,1,1,get,0", "the key \"a\\tb\" has a blank or control character in it"),
            ("5,k,251,1,1,get,0", "a key of 251 bytes is too long: at most 250"),
            (
                "5,k,1,1048268,1,set,0",
                "a value of 1048268 bytes does not fit an item of 1 MB: at most 1048267",
            ),
            (
                "5,k,1,1,1,mg,0",
                "\"mg\" is no operation: it is one of get, gets, set, add, replace, cas, append, \
                 prepend, delete, incr, decr",
            ),
            ("4,k,1,1,1,get,0", "timestamp 4 comes after 5: time runs backwards"),
        ] {
            let trace = format!("5,k,1,1,1,get,0\n5,k,1,1,1,get,0\n{line}\n5,k,1,1,1,get,0\n");
            assert_eq!(first_error(&trace), format!("trace.csv:3: {told}"));
        }
        let long = "k".repeat(251);
        assert_eq!(
            first_error(&format!("5,{long},1,1,1,get,0\n")),
            "trace.csv:1: a key of 251 bytes is too long: at most 250"
        );
        let endless = "k".repeat(10_000);
        assert_eq!(first_error(&endless), "trace.csv:1: more than 4096 bytes");
    }

    #[test]
    fn a_file_that_is_none_or_is_compressed_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("none.csv");
        let told = TraceReader::open(&missing).map(|_| ()).expect_err("no file").to_string();
        assert!(told.starts_with(&format!("{}: No such file", missing.display())), "{told}");
        let compressed = directory.path().join("c.zst");
        std::fs::write(&compressed, [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]).expect("written");
        let told = TraceReader::open(&compressed).map(|_| ()).expect_err("no text").to_string();
        let name = compressed.display();
        assert_eq!(told, format!("{name}: compressed; decompress it first: zstd -d {name}"));
    }
}
