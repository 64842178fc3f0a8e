//! `memtide cache events`: what happened, a line each.

use std::io::{self, Write as _};
use std::mem;
use std::process::ExitCode;
use std::time::Duration;

use memtide_records::usage::utc;
use serde_json::Value;

use super::ask::{Ask, Asked, ask};
use crate::failure::Failure;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// What of them is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Those behind the event with this sequence; 0 is before all.
    pub after: u64,
    /// Goes on until it is stopped.
    pub is_followed: bool,
    /// As JSON, an event a line.
    pub is_json: bool,
}

/// Prints them.
///
/// # Errors
/// When nobody answers; where they are followed, only the first time.
pub fn run(asked: &Asked, wanted: Wanted) -> Result<ExitCode, Failure> {
    let mut place = Place { after: wanted.after, ..Place::default() };
    let mut is_answering = true;
    loop {
        let page = ask(asked, &Ask::get(format!("/v1/events?after={}", place.after)));
        match page {
            Ok(page) => {
                is_answering = true;
                let Some(text) = place.read(&page, wanted.is_json) else {
                    let cut = &page[..page.floor_char_boundary(200)];
                    return Err(Failure::Environment(format!(
                        "the answer to /v1/events is not understood: {cut}"
                    )));
                };
                // Whoever read them has had enough.
                if print(&text).is_err() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Err(failure) if place.since_ms.is_none() => return Err(failure),
            Err(failure) if is_answering => {
                is_answering = false;
                failure.report();
            }
            Err(_) => {}
        }
        if !wanted.is_followed {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(INTERVAL);
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// How far they were read, of which log, and from which process.
#[derive(Default)]
struct Place {
    after: u64,
    since_ms: Option<u64>,
    process_since_ms: u64,
}

impl Place {
    /// The lines of a page; `None` where it is none.
    fn read(&mut self, page: &str, is_json: bool) -> Option<String> {
        let page: Value = serde_json::from_str(page).ok()?;
        let since_ms = page["since_ms"].as_u64()?;
        let next = page["next"].as_u64()?;
        let events = page["events"].as_array()?;
        let process_since_ms = page["process_since_ms"].as_u64().unwrap_or_default();
        let process = mem::replace(&mut self.process_since_ms, process_since_ms);
        let before = self.since_ms.replace(since_ms);
        if before.is_some_and(|before| before != since_ms) {
            // Another log: from its begin, with the next look.
            self.after = 0;
            return Some(String::new());
        }
        if before.is_some() && process != process_since_ms {
            // Another process, which did not keep all that was read of the one before, perhaps: then what
            // it tells has sequences that were read already.
            let kept = page["process_first"].as_u64().unwrap_or(1).saturating_sub(1);
            if kept < self.after {
                self.after = kept;
                return Some(String::new());
            }
        }
        self.after = next;
        let mut text = String::new();
        let forgotten = page["forgotten"].as_u64().unwrap_or_default();
        if forgotten > 0 && !is_json {
            text.push_str(&format!("{forgotten} events before are forgotten\n"));
        }
        for event in events {
            let line = if is_json { event.to_string() } else { line(event) };
            text.push_str(&line);
            text.push('\n');
        }
        Some(text)
    }
}

fn line(event: &Value) -> String {
    let word = |name: &str| -> String {
        let text = event[name].as_str().unwrap_or("-");
        text.chars().filter(|c| !c.is_control()).collect()
    };
    let at = utc(event["at_ms"].as_u64().unwrap_or_default() / 1_000);
    format!("{at}  {:8}  {:20}  {}", word("source"), word("kind"), word("text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_and_another_log_is_read_from_its_begin() {
        let mut place = Place::default();
        let page = |since: u64, forgotten: u64| {
            format!(
                r#"{{"since_ms":{since},"now_ms":9,"events":[{{"sequence":7,"at_ms":1795246260001,"source":"scaler","kind":"node_joined","text":"n1 \u001b"}}],"forgotten":{forgotten},"next":7}}"#
            )
        };
        let text = place.read(&page(5, 6), false).unwrap();
        let line = "2026-11-21T07:31:00Z  scaler    node_joined           n1 \n";
        assert_eq!(text, format!("6 events before are forgotten\n{line}"));
        assert_eq!(place.after, 7);
        assert!(place.read(&page(5, 0), true).unwrap().starts_with(r#"{"at_ms":1795246260001"#));
        assert_eq!(place.read(&page(6, 0), false).as_deref(), Some(""));
        assert_eq!(place.after, 0);
        assert_eq!(place.read(&page(6, 0), false).as_deref(), Some(line));
        assert_eq!(place.read("{}", false), None);
    }

    /// What was read and did not outlive a kill is not read again, and what has its sequences now is not
    /// missed.
    #[test]
    fn a_process_that_kept_less_than_was_read_is_read_from_its_first_event_on() {
        let mut place = Place::default();
        let mut read = |process: u64, first: u64, sequences: std::ops::RangeInclusive<u64>| {
            let events: Vec<_> =
                sequences.clone().map(|it| serde_json::json!({ "sequence": it })).collect();
            let page = serde_json::json!({
                "since_ms": 5, "now_ms": 9, "events": events, "forgotten": 0, "next": sequences.end(),
                "process_since_ms": process, "process_first": first,
            });
            let text = place.read(&page.to_string(), true).unwrap();
            let told: Vec<u64> = text
                .lines()
                .map(|line| {
                    serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap()
                })
                .collect();
            (told, place.after)
        };
        assert_eq!(read(5, 1, 1..=9), (vec![1, 2, 3, 4, 5, 6, 7, 8, 9], 9));
        // It was killed with 8 and 9 unwritten; the next process has had others since.
        assert_eq!(read(7, 8, 10..=10), (vec![], 7), "looks again");
        assert_eq!(read(7, 8, 8..=10), (vec![8, 9, 10], 10));
        // One that ended in peace.
        assert_eq!(read(8, 11, 11..=12), (vec![11, 12], 12));
    }
}
