use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The name of a network namespace.
#[derive(Clone, Debug)]
pub(crate) struct Namespace(pub(super) String);

impl Namespace {
    /// A program that is to run in it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        // `ip netns exec` becomes the program, so the process that is started is the program's.
        command.args(["netns", "exec", &self.0]).arg(program);
        command
    }

    /// Where the file system shows it to `setns`.
    pub(crate) fn file(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.0)
    }

    /// Does this on a thread in it. Sockets that are made there, and threads that are begun there, stay in it.
    ///
    /// # Panics
    /// As the work does, and without root.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            let file = File::open(self.file()).expect("the namespace was made");
            let moved = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
            moved.expect("only root enters a namespace");
            work()
        };
        std::thread::scope(|scope| {
            let entered = scope.spawn(enter).join();
            entered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `ip` with these words, in it.
    pub(super) fn ip(&self, words: &[&str]) {
        ip(&[&["-n", &self.0], words].concat());
    }
}

/// Runs Debian's `ip`.
pub(super) fn ip(words: &[&str]) {
    let line = || format!("ip {}", words.join(" "));
    let output = Command::new("ip").args(words).output();
    let output = output.unwrap_or_else(|error| {
        panic!("`{}`: {error}; it needs Debian's package iproute2", line())
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{}` (it needs root): {}", line(), said.trim());
}
