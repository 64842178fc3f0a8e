use std::sync::mpsc::RecvTimeoutError;

use super::*;
use crate::hooks::plan;

/// Hooks that began with this plan, and what they tell.
fn start_hooks(words: &[&str]) -> (Hooks, Receiver<String>) {
    let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
    let (told, tells) = mpsc::channel();
    let note = move |line: &str| drop(told.send(line.to_owned()));
    (Hooks::start(plan(&words).unwrap(), Instant::now(), note), tells)
}

/// What is told up to a line that contains this, which is waited for.
fn lines_until(tells: &Receiver<String>, expected: &str) -> Vec<String> {
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains(expected)) {
        match tells.recv_timeout(LONG) {
            Ok(line) => lines.push(line),
            Err(_) => panic!("nobody says {expected}: {lines:?}"),
        }
    }
    lines
}

/// The number at the end of the line that says `pid`.
fn told_pid(tells: &Receiver<String>) -> i32 {
    let lines = lines_until(tells, "] pid ");
    lines.last().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// The marks' texts, without how long a hook took.
fn texts(marks: &[Mark]) -> Vec<&str> {
    marks.iter().map(|mark| mark.text.split(" after ").next().unwrap()).collect()
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_a_hook_writes_and_how_it_ends_is_told_and_marked() {
    let (hooks, tells) = start_hooks(&["0", "echo out; echo err >&2; printf end; exit 3"]);
    let end = "failed with exit status 3 after ";
    let lines = lines_until(&tells, end);
    let name = "--at 0s 'echo out; echo err >&2; printf end; exit 3'";
    assert_eq!(lines[0], format!("{name} began"));
    assert_eq!(lines[1..4], ["[--at 0s] out", "[--at 0s] err", "[--at 0s] end"]);
    assert!(lines[4].starts_with(&format!("{name} {end}")), "{lines:?}");
    let marks = hooks.finish(LONG);
    let marked: Vec<_> = marks.iter().map(|mark| mark.text.as_str()).collect();
    assert_eq!(marked, [&lines[0], &lines[4]]);
    assert!(marks.iter().all(|mark| mark.source == MarkSource::Hook && mark.at_s >= 0.0));
}

#[test]
fn hooks_wait_for_the_measured_part_and_marks_are_in_the_order_of_their_time() {
    let (told, tells) = mpsc::channel();
    let note = move |line: &str| drop(told.send(line.to_owned()));
    let plan = plan(&["0", "exit 1", "1ms", "exit 2"].map(str::to_owned)).unwrap();
    let hooks = Hooks::start(plan, Instant::now() + Duration::from_millis(20), note);
    // One of the two, and the other: which is first is not ours to say.
    lines_until(&tells, "exit status");
    lines_until(&tells, "exit status");
    let marks = hooks.finish(LONG);
    assert!(marks[0].at_s >= 0.0, "{marks:?}");
    assert!(marks.is_sorted_by(|one, other| one.at_s <= other.at_s), "{marks:?}");
    assert_eq!(marks.len(), 4);
}

#[test]
fn a_hook_that_does_not_end_is_killed_with_its_children() {
    let (hooks, tells) = start_hooks(&["0", "sleep 1000 & echo pid $!; wait"]);
    told_pid(&tells);
    let marks = hooks.finish(Duration::ZERO);
    let name = "--at 0s 'sleep 1000 & echo pid $!; wait'";
    let expected = [format!("{name} began"), format!("{name} was killed at the end of the run")];
    assert_eq!(texts(&marks), expected);
    // The hook's output ends with the last process that holds it, and all that is told with that.
    let end = loop {
        if let Err(end) = tells.recv_timeout(LONG) {
            break end;
        }
    };
    assert_eq!(end, RecvTimeoutError::Disconnected, "its child lives on");
}

#[test]
fn what_a_hook_leaves_behind_lives_and_holds_up_nobody() {
    let (hooks, tells) = start_hooks(&["0", "sleep 1000 & echo pid $!"]);
    let sleeper = told_pid(&tells);
    lines_until(&tells, "' ended");
    let marks = hooks.finish(Duration::ZERO);
    assert!(marks[1].text.contains("' ended"), "{marks:?}");
    let killed = rustix::process::kill_process(Pid::from_raw(sleeper).unwrap(), Signal::KILL);
    assert_eq!(killed, Ok(()), "it was there to be killed");
}

#[test]
fn what_is_due_after_the_end_never_begins() {
    let (hooks, tells) = start_hooks(&["1h", "echo late"]);
    assert_eq!(hooks.finish(LONG), []);
    let expected = "--at 3600s 'echo late' did not begin: the run ended before";
    assert_eq!(tells.try_iter().collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_hook_that_a_signal_ends_says_so() {
    let (hooks, tells) = start_hooks(&["0", "kill -TERM $$"]);
    lines_until(&tells, "was ended by signal 15");
    assert_eq!(texts(&hooks.finish(LONG))[1], "--at 0s 'kill -TERM $$' was ended by signal 15");
}
