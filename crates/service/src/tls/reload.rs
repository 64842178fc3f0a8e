use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{Reloaded, TlsError, TlsFile, UtcMinute};
use crate::events::{EventKind, Events};
use crate::limits::{
    TLS_POLL_INTERVAL, TLS_RELOAD_DELAY_MAX, TLS_RELOAD_QUIET, TLS_REMINDER_BEFORE,
    TLS_REMINDER_INTERVAL,
};

/// What is read from files that may change, and takes the place of what was read before.
pub trait Reloads: Send + Sync + 'static {
    /// What it is, for people: `TLS certificate`.
    fn name(&self) -> String;

    /// Reads the files again, and puts them in force where they differ and are good.
    ///
    /// # Errors
    /// When they cannot be used; those in force stay.
    fn load_changed(&self) -> Result<Reloaded, TlsError>;

    /// Counts one that was put in force, or refused.
    fn count(&self, is_success: bool);

    /// When what is in force expires; `None` where nothing of it does.
    fn not_after(&self) -> Option<UtcMinute>;

    /// The directories whose changes may change it.
    fn directories(&self) -> Vec<PathBuf>;
}

/// The directories of these files, each once.
#[must_use]
pub fn directories_of(files: &[TlsFile]) -> Vec<PathBuf> {
    let directory = |file: &TlsFile| match file.path.parent() {
        Some(directory) if directory != Path::new("") => directory.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut directories: Vec<_> = files.iter().map(directory).collect();
    directories.sort();
    directories.dedup();
    directories
}

enum Wake {
    /// SIGHUP.
    Asked,
    /// Something happened in a directory of ours.
    FileEvent,
    Stop,
}

/// Reloads while it lives; made by [`watch`].
#[derive(Debug)]
pub struct Reloader {
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

impl Reloader {
    /// Reloads now and logs the result, whatever it is. Returns at once.
    pub fn reload(&self) {
        // Only a panic of the thread, which the hook has logged, closes the channel.
        let _ = self.wake.send(Wake::Asked);
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Watches the files of `tls` on a thread of its own, and reloads, logs and records in `events`
/// when they change.
///
/// The directories are watched, not the files, so that a rename into place and the swap of a
/// symlink (as Kubernetes updates a mounted secret) are seen. Where the system refuses to watch,
/// and for changes that raise no event, the contents are compared every
/// [`TLS_POLL_INTERVAL`].
///
/// # Errors
/// When the system refuses a thread.
pub fn watch(tls: Arc<impl Reloads>, events: Events) -> io::Result<Reloader> {
    let tls: Arc<dyn Reloads> = tls;
    let (wake, woken) = mpsc::channel();
    let watcher = watcher(&*tls, wake.clone());
    let run = move || {
        // Dropping it would end the watch.
        let _watcher = watcher;
        Loop { tls, events, woken, last_error: None, last_reminder: None }.run();
    };
    let thread = thread::Builder::new().name("tls-reload".to_owned()).spawn(run)?;
    Ok(Reloader { wake, thread: Some(thread) })
}

fn watcher(tls: &dyn Reloads, wake: Sender<Wake>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        // Our own reading raises access events.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = wake.send(Wake::FileEvent);
        }
    };
    let watch = || {
        let mut watcher = notify::recommended_watcher(on_event)?;
        for directory in tls.directories() {
            watcher.watch(&directory, RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    };
    let unwatched = |error: notify::Error| {
        tracing::warn!(%error, "cannot watch the TLS files; they are compared every {TLS_POLL_INTERVAL:?}");
    };
    watch().map_err(unwatched).ok()
}

struct Loop {
    tls: Arc<dyn Reloads>,
    events: Events,
    woken: Receiver<Wake>,
    /// What the last attempt failed with, so that one broken file is told of once.
    last_error: Option<String>,
    last_reminder: Option<Instant>,
}

impl Loop {
    fn run(mut self) {
        loop {
            self.remind(Instant::now());
            match self.woken.recv_timeout(TLS_POLL_INTERVAL) {
                Ok(Wake::Asked) => self.reload(true),
                Ok(Wake::FileEvent) => match self.settle() {
                    Some(is_asked) => self.reload(is_asked),
                    None => return,
                },
                Err(RecvTimeoutError::Timeout) => self.reload(false),
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits until the files are quiet; says whether SIGHUP came meanwhile, `None` at the end.
    fn settle(&self) -> Option<bool> {
        let start = Instant::now();
        let mut is_asked = false;
        loop {
            let left = TLS_RELOAD_DELAY_MAX.saturating_sub(start.elapsed());
            match self.woken.recv_timeout(TLS_RELOAD_QUIET.min(left)) {
                Ok(Wake::FileEvent) if left > Duration::ZERO => {}
                Ok(Wake::Asked) => is_asked = true,
                Ok(Wake::FileEvent) | Err(RecvTimeoutError::Timeout) => return Some(is_asked),
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Says once a day that the certificate in force will soon expire, or has.
    fn remind(&mut self, now: Instant) {
        let wall = UtcMinute::from(SystemTime::now());
        let is_due = |last: Instant| now.duration_since(last) >= TLS_REMINDER_INTERVAL;
        let Some(not_after) = self.tls.not_after() else { return };
        if is_near(not_after, wall) && self.last_reminder.is_none_or(is_due) {
            self.last_reminder = Some(now);
            let name = self.tls.name();
            tracing::warn!(%not_after, "the {name} in force must be renewed");
            let text = format!("the {name} in force is valid until {not_after}");
            self.events.record(EventKind::CertificateExpires, text);
        }
    }

    fn reload(&mut self, is_asked: bool) {
        let (name, result) = (self.tls.name(), self.tls.load_changed());
        let error = result.as_ref().err().map(ToString::to_string);
        let is_news = is_asked || error != self.last_error;
        match result {
            Ok(Reloaded::Unchanged) if is_asked => {
                tracing::info!("files are unchanged; the {name} in force stays");
            }
            Ok(Reloaded::Unchanged) => {}
            Ok(Reloaded::Replaced(not_after)) => {
                let until = not_after.map(|at| format!(", valid until {at}")).unwrap_or_default();
                tracing::info!("new {name} in force{until}; connections stay open");
                let text = format!("new {name} in force{until}");
                self.events.record(EventKind::TlsReloaded, text);
                // Whoever sees it counted finds what was told of it.
                self.tls.count(true);
            }
            Err(error) if is_news => {
                tracing::error!(%error, "new files refused; the {name} in force stays");
                self.events.record(EventKind::TlsReloadFailed, error.to_string());
                self.tls.count(false);
            }
            Err(_) => {}
        }
        self.last_error = error;
    }
}

fn is_near(not_after: UtcMinute, now: UtcMinute) -> bool {
    let left = u64::try_from(not_after.unix() - now.unix()).unwrap_or(0);
    Duration::from_secs(left) < TLS_REMINDER_BEFORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_begin_before_the_end_and_go_on_after_it() {
        let at = UtcMinute::from_unix;
        let before = i64::try_from(TLS_REMINDER_BEFORE.as_secs()).unwrap();
        let end = 1_800_000_000;
        for (now, expected) in
            [(end - before, false), (end - before + 1, true), (end, true), (end + 1, true)]
        {
            assert_eq!(is_near(at(end), at(now)), expected, "{}", now - end);
        }
    }
}
