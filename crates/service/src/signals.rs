//! What the system asks of the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal, by what is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM or SIGINT: stop.
    Stop(StopSignal),
    /// SIGHUP: read the certificates again.
    Reload,
}

/// Which signal asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C.
    Int,
    /// What systemd, Docker and Kubernetes send.
    Term,
}

impl StopSignal {
    /// The exit code of a process that this signal ended: 128 and its number, as shells have it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Int => 130,
            Self::Term => 143,
        }
    }

    /// As in `kill -TERM`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "SIGINT",
            Self::Term => "SIGTERM",
        }
    }
}

/// The signals that this process handles from now on.
#[derive(Debug)]
pub struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Signals {
    /// Takes the signals over. Within a tokio runtime that drives IO.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. Equal signals that come before they are asked for are one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.term.recv() => Request::Stop(StopSignal::Term),
            _ = self.int.recv() => Request::Stop(StopSignal::Int),
            _ = self.hup.recv() => Request::Reload,
        }
    }

    /// The next one that asks to stop; those before it that ask for certificates to be read again are obeyed.
    pub async fn next_stop(&mut self, reload: impl Fn()) -> StopSignal {
        loop {
            match self.next().await {
                Request::Stop(signal) => return signal,
                Request::Reload => reload(),
            }
        }
    }
}
