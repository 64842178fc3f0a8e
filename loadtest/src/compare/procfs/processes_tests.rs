use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::*;

/// A shell that does what it is told, killed with its children when dropped.
struct Shell {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs this to its end, and gives the last line that it writes.
    fn run(&mut self, script: &str) -> String {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{script}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What it and the children that it waited for have used by its own account.
    fn own_account(&mut self) -> Duration {
        let pid = self.pid();
        let stat = read(&format!("/proc/{pid}/stat"), parse::stat).unwrap().unwrap();
        let ticks = u32::try_from(stat.own_ticks + stat.waited_ticks).unwrap();
        Duration::from_secs(1) / tick_rate() * ticks
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        drop(self.child.wait());
    }
}

/// Some tenths of a second of a shell's CPU time.
const BURN: &str = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";

/// The bound on what ticks leave out, of a process and of its children.
const CUT: Duration = Duration::from_millis(40);

#[test]
fn the_time_of_this_process_counts_with_that_of_a_thread_that_exited() {
    let mut processes = Processes::new([std::process::id()]).unwrap();
    let thread_time = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap()
    };
    let burnt = std::thread::spawn(move || {
        let mut sum = 0_u64;
        while thread_time() < Duration::from_millis(300) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        thread_time()
    });
    let burnt = burnt.join().unwrap();
    let usage = processes.sample().unwrap();
    assert!(usage.cpu + CUT >= burnt, "{usage:?}, burnt {burnt:?}");
    assert!(usage.resident_bytes > 100_000, "{usage:?}");
    assert!(usage.resident_peak_bytes >= usage.resident_bytes, "{usage:?}");
}

#[test]
fn the_time_of_a_child_counts_while_it_lives_and_after() {
    let mut shell = Shell::start();
    let mut processes = Processes::new([shell.pid()]).unwrap();
    let burning = format!("sh -c '{BURN}; echo burnt; kill -STOP $$; {BURN}' &");
    assert_eq!(shell.run(&burning), "burnt");
    let with_child = processes.sample().unwrap().cpu;
    assert!(with_child > Duration::from_millis(30), "{with_child:?}");

    // It stops a moment after it has said so, and is not to be woken before.
    let stopped = "while read -r _ _ state _ < /proc/$!/stat; [ \"$state\" != T ]; do :; done";
    assert_eq!(shell.run(&format!("{stopped}; kill -CONT $!; wait $!; echo waited")), "waited");
    let without = processes.sample().unwrap().cpu;
    let grown = without.saturating_sub(with_child);
    assert!(grown > Duration::from_millis(30), "{without:?} after {with_child:?}");
    let account = shell.own_account();
    assert!(without.abs_diff(account) <= CUT, "{without:?}, by its own account {account:?}");

    assert_eq!(shell.run(&format!("sh -c '{BURN}'; echo done")), "done");
    let with_another = processes.sample().unwrap().cpu;
    let account = shell.own_account();
    assert!(with_another > without + Duration::from_millis(30), "{with_another:?}");
    assert!(with_another.abs_diff(account) <= CUT, "{with_another:?}, not {account:?}");
}

#[test]
fn a_process_that_is_not_there_or_ends_is_named() {
    let mut shell = Shell::start();
    let pid = shell.pid();
    let mut processes = Processes::new([std::process::id(), pid]).unwrap();
    processes.sample().unwrap();
    // It has ended, and is a zombie until we wait for it.
    shell.child.kill().unwrap();
    rustix::process::waitid(
        rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&shell.child)),
        rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
    )
    .unwrap();
    let expected = format!("--server-pid {pid}: the process ended during the run");
    assert_eq!(processes.sample().unwrap_err().to_string(), expected);
    drop(shell);
    assert_eq!(processes.sample().unwrap_err().to_string(), expected);
    let missing = Processes::new([pid]).unwrap_err().to_string();
    let expected = "there is no such process here; give the id of a running one";
    assert_eq!(missing, format!("--server-pid {pid}: {expected}"));
}

#[test]
fn a_process_that_the_load_test_descends_from_is_refused() {
    let parent = std::os::unix::process::parent_id();
    let refused = Processes::new([parent]).unwrap_err().to_string();
    let expected = format!("--server-pid {parent}: this load test descends from it");
    assert!(refused.starts_with(&expected), "{refused}");
}

#[test]
fn facts_are_of_the_difference_alone() {
    let usage = |cpu_ms, resident_bytes, resident_peak_bytes| Usage {
        cpu: Duration::from_millis(cpu_ms),
        resident_bytes,
        resident_peak_bytes,
    };
    let (before, after) = (usage(500, 1000, 5000), usage(3500, 9000, 9500));
    let facts = server_facts((&before, &after), Duration::from_secs(2), 100_000);
    let expected = ServerFacts {
        cpu_us_per_reply: 30.0,
        cores_busy: 1.5,
        resident_bytes: 9000,
        resident_peak_bytes: 9500,
        bytes_per_idle_connection: None,
    };
    assert_eq!(facts, expected);
    let no_reply = server_facts((&before, &after), Duration::from_secs(2), 0);
    assert_eq!(no_reply.cpu_us_per_reply, 0.0);
    assert_eq!(bytes_per_idle_connection(&before, &after, 4), Some(2000.0));
    assert_eq!(bytes_per_idle_connection(&before, &after, 0), None);
}
