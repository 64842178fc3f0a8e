//! A call of an operator's program: bounded in time and in what is read of it, and ended where nobody waits
//! for it any more.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};

use super::ProvisionError;
use super::limits::{ANSWER_BYTES_MAX, COMPLAINT_BYTES_MAX, OUTPUT_GRACE};

/// A program that is called with one further argument, which says what for.
#[derive(Clone, Debug)]
pub struct Script {
    /// The program, not empty, and its first arguments.
    pub words: Vec<String>,
    /// A call that takes longer is ended.
    pub time_max: Duration,
}

/// A call that is waited for.
struct Call {
    /// Ends it where it is dropped before it has ended.
    _process: Process,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    stdout: Output,
    stderr: Output,
}

/// What is read of a stream.
struct Output {
    stream: Option<Receiver>,
    bytes: Vec<u8>,
}

impl Script {
    /// Calls it with this input. Gives what it says where it ends with success.
    ///
    /// # Errors
    /// How it failed, with the end of what it complained of, in one line.
    pub async fn call(
        &self,
        name: &'static str,
        input: Vec<u8>,
    ) -> Result<Vec<u8>, ProvisionError> {
        let deadline = Instant::now() + self.time_max;
        let failed = |why: String| {
            let words = self.words.join(" ");
            ProvisionError(one_line(&format!("{words} {name}: {why}")))
        };
        let overdue = || format!("it took more than {:?}, and was killed", self.time_max);
        let words = self.words.clone();
        // A file system may hang.
        let started = spawn_blocking(move || start(&words, name, &input));
        let Ok(started) = timeout_at(deadline, started).await else {
            return Err(failed(overdue()));
        };
        let started = started.unwrap_or_else(|_| Err(io::Error::other("the call panicked")));
        let call = started.and_then(Started::watched);
        let mut call = call.map_err(|error| failed(format!("failed to run: {error}")))?;
        let Ok(status) = timeout_at(deadline, call.until_ended()).await else {
            return Err(failed(overdue() + &complaint(&call.stderr.bytes)));
        };
        let status = status.map_err(&failed)?;
        // What it has started may go on, and hold these open; that is no mistake.
        let _ = timeout(OUTPUT_GRACE, call.rest()).await;
        if call.stdout.bytes.len() > ANSWER_BYTES_MAX {
            return Err(failed(too_much()));
        }
        if !status.success() {
            return Err(failed(format!("{status}{}", complaint(&call.stderr.bytes))));
        }
        Ok(std::mem::take(&mut call.stdout.bytes))
    }
}

fn too_much() -> String {
    format!("it said more than {} KiB", ANSWER_BYTES_MAX >> 10)
}

/// What was just started.
struct Started {
    process: Process,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

fn start(words: &[String], name: &str, input: &[u8]) -> io::Result<Started> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut child = Command::new(program)
        .args(arguments)
        .arg(name)
        .env_clear()
        .envs(inherited(std::env::vars_os()))
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (process, ended) = Process::of(child)?;
    if let Some(mut stdin) = stdin {
        // Less than a pipe holds, so it does not wait; a program may not want to know.
        let _ = stdin.write_all(input);
    }
    let (stdout, stderr) = (stdout.map(OwnedFd::from), stderr.map(OwnedFd::from));
    Ok(Started { process, ended, stdout, stderr })
}

/// What this process was told by variables, secrets among it, is not for others.
fn inherited(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    let own = |name: &OsString| name.to_str().is_some_and(|it| it.starts_with("MEMTIDE_"));
    variables.filter(move |(name, _)| !own(name))
}

impl Started {
    fn watched(self) -> io::Result<Call> {
        let Self { process, ended, stdout, stderr } = self;
        let (stdout, stderr) = (Output::of(stdout)?, Output::of(stderr)?);
        Ok(Call { _process: process, ended, stdout, stderr })
    }
}

/// A process with a group of its own, until it has been waited for; both are killed where this is dropped before.
struct Process(Arc<Mutex<Option<Child>>>);

impl Process {
    /// Has a thread wait for it.
    fn of(child: Child) -> io::Result<(Self, oneshot::Receiver<io::Result<ExitStatus>>)> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = Self(Arc::new(Mutex::new(Some(child))));
        let (shared, (tell, ended)) = (Arc::clone(&process.0), oneshot::channel());
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // Its id is nobody else's before it is waited for: that is done where nobody can kill it meanwhile.
            let ended = || pid.map(|pid| waitid(WaitId::Pid(pid), options));
            while matches!(ended(), Some(Err(Errno::INTR))) {}
            let child = lock(&shared).take();
            let status = child.map(|mut child| child.wait());
            let _ = tell.send(status.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())));
        };
        thread::Builder::new().name("script".to_owned()).spawn(wait)?;
        Ok((process, ended))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &*lock(&self.0) {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            pid.map(|pid| kill_process_group(pid, Signal::KILL));
        }
    }
}

fn lock(child: &Mutex<Option<Child>>) -> MutexGuard<'_, Option<Child>> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Call {
    /// Reads what it says until it has ended.
    async fn until_ended(&mut self) -> Result<ExitStatus, String> {
        loop {
            tokio::select! {
                () = self.stdout.read() => {}
                () = self.stderr.read() => self.stderr.keep_end(),
                ended = &mut self.ended => {
                    let ended = ended.unwrap_or_else(|_| Err(io::ErrorKind::NotFound.into()));
                    return ended.map_err(|error| error.to_string());
                }
            }
            if self.stdout.bytes.len() > ANSWER_BYTES_MAX {
                return Err(too_much());
            }
        }
    }

    /// What is left of what it said.
    async fn rest(&mut self) {
        while self.stdout.is_open() || self.stderr.is_open() {
            tokio::select! {
                () = self.stdout.read() => {}
                () = self.stderr.read() => self.stderr.keep_end(),
            }
            if self.stdout.bytes.len() > ANSWER_BYTES_MAX {
                return;
            }
        }
    }
}

impl Output {
    fn of(stream: Option<OwnedFd>) -> io::Result<Self> {
        let stream = stream.map(Receiver::from_owned_fd).transpose()?;
        Ok(Self { stream, bytes: Vec::new() })
    }

    const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Reads some more; never done where there is no more.
    async fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return std::future::pending().await };
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await {
            Ok(count @ 1..) => self.bytes.extend(&bytes[..count]),
            Ok(0) | Err(_) => self.stream = None,
        }
    }

    /// Forgets all but the end.
    fn keep_end(&mut self) {
        let more = self.bytes.len().saturating_sub(COMPLAINT_BYTES_MAX);
        self.bytes.drain(..more);
    }
}

/// The end of what was complained of, to stand behind what happened.
fn complaint(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    // The first letter may have been cut.
    let text = text.trim_start_matches(char::REPLACEMENT_CHARACTER).trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join("; ");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_memtide_was_told_is_not_for_others() {
        let all = [("PATH", "/bin"), ("MEMTIDE_ADMIN_TOKEN_FILE", "x"), ("MEMTIDES", "y")];
        let all = all.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let names: Vec<_> = inherited(all.into_iter()).map(|(name, _)| name).collect();
        assert_eq!(names, ["PATH", "MEMTIDES"]);
    }

    #[test]
    fn what_was_complained_of_is_one_line() {
        assert_eq!(one_line("a: 1\n\n  b\tc\r\n"), "a: 1; b c");
        assert_eq!(complaint("äx\n".as_bytes()), ": äx");
        assert_eq!(complaint(&"äx\n".as_bytes()[1..]), ": x");
        assert_eq!(complaint(b" \n"), "");
    }
}
