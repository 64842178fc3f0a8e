//! What systemd is told of a process that it has started with `Type=notify`; nothing where it has not.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

use crate::drain::DrainWatch;

/// Tells for as long as it lives, and with its end that the process stops.
#[derive(Debug)]
pub struct Notifier(JoinHandle<()>);

impl Notifier {
    /// The process has started. Where a unit has `WatchdogSec=`, that it lives is told twice in that time,
    /// while `healthy` says so: what `/healthz` answers.
    #[must_use]
    pub fn started(
        runtime: &Handle,
        drain: DrainWatch,
        healthy: impl Fn() -> Result<(), String> + Send + 'static,
    ) -> Self {
        tell(NotifyState::Ready);
        Self(runtime.spawn(follow(drain, healthy)))
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.abort();
        tell(NotifyState::Stopping);
    }
}

async fn follow(drain: DrainWatch, healthy: impl Fn() -> Result<(), String>) {
    let mut alive = sd_notify::watchdog_enabled().map(|within| {
        let mut alive = time::interval((within / 2).max(Duration::from_millis(1)));
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        alive
    });
    let mut draining = std::pin::pin!(drain.draining());
    let mut is_draining = false;
    loop {
        let tick = async {
            match &mut alive {
                Some(alive) => drop(alive.tick().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tick => match healthy() {
                Ok(()) => tell(NotifyState::Watchdog),
                Err(why) => tracing::error!(why, "systemd is not told that this process lives"),
            },
            () = &mut draining, if !is_draining => {
                is_draining = true;
                tell(NotifyState::Stopping);
            }
        }
    }
}

fn tell(state: NotifyState<'_>) {
    let told: io::Result<()> = sd_notify::notify(&[state]);
    if let Err(error) = told {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
