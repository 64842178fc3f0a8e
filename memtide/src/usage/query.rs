//! What may stand behind `/v1/cache/usage?`.

use memtide_records::usage::{UsageQuery, seconds};

/// Longest text of a query.
const QUERY_BYTES_MAX: usize = 256;

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Csv,
}

/// Which hours, and in which format where that is said.
///
/// # Errors
/// What is wrong, in one line.
pub fn parse(query: &str) -> Result<(UsageQuery, Option<Format>), String> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(format!("the query is longer than {QUERY_BYTES_MAX} bytes"));
    }
    let (mut from, mut to, mut format) = (None, None, None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name {
            "from" => once(&mut from, name, time(name, value)?)?,
            "to" => once(&mut to, name, time(name, value)?)?,
            "format" => once(&mut format, name, of_name(value)?)?,
            _ => {
                let name = name.escape_debug();
                return Err(format!("{name}: unknown; there are from, to and format"));
            }
        }
    }
    let query = UsageQuery { from_secs: from.unwrap_or(0), to_secs: to.unwrap_or(u64::MAX) };
    if query.from_secs > query.to_secs {
        return Err("from is after to".to_owned());
    }
    Ok((query, format))
}

fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name}: given twice")),
    }
}

/// Seconds since 1970, or a time as RFC 3339 has it in UTC, whose colons may be escaped.
fn time(name: &str, value: &str) -> Result<u64, String> {
    let text = value.replace("%3A", ":").replace("%3a", ":");
    seconds(&text).ok_or_else(|| {
        format!(
            "{name}: give seconds since 1970, or a UTC time such as 2026-11-21T07:00:00Z or 2026-11-21"
        )
    })
}

fn of_name(value: &str) -> Result<Format, String> {
    match value {
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        _ => Err("format: give json or csv".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let check = |query: &str, from_secs, to_secs, format| {
            let expected = (UsageQuery { from_secs, to_secs }, format);
            assert_eq!(parse(query), Ok(expected), "{query}");
        };
        check("", 0, u64::MAX, None);
        check("from=5&to=7", 5, 7, None);
        check("to=1970-01-02&format=csv", 0, 86_400, Some(Format::Csv));
        check("from=1970-01-01T01%3A00:00Z&format=json", 3_600, u64::MAX, Some(Format::Json));
        for wrong in
            ["from=x", "from=-1", "to=", "from=9&to=8", "form=csv", "format=xml", "to=1&to=1"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&"&".repeat(300)).is_err());
    }
}
