use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::{Reloaded, Tls};
use crate::limits::{TLS_POLL_INTERVAL, TLS_RELOAD_DELAY_MAX, TLS_RELOAD_QUIET};

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

/// Watches the files of `tls` on a thread of its own, and reloads and logs when they change.
///
/// The directories are watched, not the files, so that a rename into place and the swap of a
/// symlink (as Kubernetes updates a mounted secret) are seen. Where the system refuses to watch,
/// and for changes that raise no event, the contents are compared every
/// [`TLS_POLL_INTERVAL`].
///
/// # Errors
/// When the system refuses a thread.
pub fn watch(tls: Arc<Tls>) -> io::Result<Reloader> {
    let (wake, woken) = mpsc::channel();
    let watcher = watcher(&tls, wake.clone());
    let run = move || {
        // Dropping it would end the watch.
        let _watcher = watcher;
        Loop { tls, woken, last_error: None }.run();
    };
    let thread = thread::Builder::new().name("tls-reload".to_owned()).spawn(run)?;
    Ok(Reloader { wake, thread: Some(thread) })
}

fn watcher(tls: &Tls, wake: Sender<Wake>) -> Option<RecommendedWatcher> {
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
    tls: Arc<Tls>,
    woken: Receiver<Wake>,
    /// What the last attempt failed with, so that one broken file is told of once.
    last_error: Option<String>,
}

impl Loop {
    fn run(mut self) {
        loop {
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

    fn reload(&mut self, is_asked: bool) {
        let result = self.tls.load_changed();
        let error = result.as_ref().err().map(ToString::to_string);
        let is_news = is_asked || error != self.last_error;
        match result {
            Ok(Reloaded::Unchanged) if is_asked => {
                tracing::info!("TLS files are unchanged; the certificate in force stays");
            }
            Ok(Reloaded::Unchanged) => {}
            Ok(Reloaded::Replaced(not_after)) => {
                self.tls.count(true);
                tracing::info!(%not_after, "new TLS certificate in force; connections stay open");
            }
            Err(error) if is_news => {
                self.tls.count(false);
                tracing::error!(%error, "new TLS files refused; the certificate in force stays");
            }
            Err(_) => {}
        }
        self.last_error = error;
    }
}
