//! `memtide cache events`: what happened, a line each.

use std::io::{self, Write as _};
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
        let page = ask(asked, &Ask::get(place.path()));
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
    process_since_ms: Option<u64>,
}

impl Place {
    /// With the process that told of the last one: after a kill the next ones give the sequences of what did
    /// not outlive it again.
    fn path(&self) -> String {
        let process = self.process_since_ms.map(|it| format!("&process={it}")).unwrap_or_default();
        format!("/v1/events?after={}{process}", self.after)
    }

    /// The lines of a page; `None` where it is none.
    fn read(&mut self, page: &str, is_json: bool) -> Option<String> {
        let page: Value = serde_json::from_str(page).ok()?;
        let since_ms = page["since_ms"].as_u64()?;
        let next = page["next"].as_u64()?;
        let events = page["events"].as_array()?;
        self.process_since_ms = page["process_since_ms"].as_u64();
        let before = self.since_ms.replace(since_ms);
        if before.is_some_and(|before| before != since_ms) {
            // Another log: from its begin, with the next look.
            (self.after, self.process_since_ms) = (0, None);
            return Some(String::new());
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

    #[test]
    fn who_told_of_the_last_event_is_said_with_the_next_look() {
        let mut place = Place { after: 3, ..Place::default() };
        assert_eq!(place.path(), "/v1/events?after=3");
        let page = |since: u64, process: u64| {
            let (events, now) = (Vec::<u64>::new(), 9);
            let page = serde_json::json!({
                "since_ms": since, "now_ms": now, "events": events, "forgotten": 0, "next": 7,
                "process_since_ms": process, "process_first": 5,
            });
            page.to_string()
        };
        place.read(&page(5, 8), false).unwrap();
        assert_eq!(place.path(), "/v1/events?after=7&process=8");
        place.read(&page(6, 9), false).unwrap();
        assert_eq!(place.path(), "/v1/events?after=0", "another log");
    }
}
