//! How `serve` stops.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use memtide_proxy::Proxy;
use memtide_service::admin::Access;
use memtide_service::drain::Drain;
use memtide_service::events::{EventKind, Events};
use memtide_service::signals::{Signals, StopSignal};
use memtide_service::tls::Reloader;
use tokio::time::{Instant, sleep, sleep_until};

use super::behind::Behind;
use crate::failure;
use crate::usage::Keeping;

/// Cores that were told to drop everything need no time; one that takes this long is stuck.
const STOP_MAX: Duration = Duration::from_secs(5);

/// What runs until it is stopped.
pub struct Running {
    /// Tells everyone to stop.
    pub drain: Drain,
    /// Reads certificates again.
    pub reloader: Reloader,
    /// Has a token, which is read again with the certificates.
    pub access: Access,
    /// What is behind it: nothing, or a fleet.
    pub behind: Arc<Behind>,
    /// What happens meanwhile.
    pub events: Events,
    /// Serves.
    pub proxy: Proxy,
    /// Writes down what was used.
    pub keeping: Option<Keeping>,
}

/// Waits for signals: the first that stops begins the drain, a second one ends the process at once.
pub async fn until_stopped(
    drain_timeout: Duration,
    mut signals: Signals,
    running: Running,
) -> ExitCode {
    let Running { drain, reloader, access, behind, events, proxy, keeping } = running;
    let reload = || {
        reloader.reload();
        crate::reload_admin(&access);
        behind.reload_tls();
    };
    let signal = signals.next_stop(reload).await;
    let deadline = Instant::now() + drain_timeout;
    tracing::info!(signal = signal.name(), deadline_secs = drain_timeout.as_secs(), "draining");
    events.record(EventKind::DrainBegan, format!("by {}", signal.name()));
    drain.begin(deadline);
    let mut joined = tokio::task::spawn_blocking(move || proxy.join());
    tokio::select! {
        _ = &mut joined => {
            leave(&behind, keeping).await;
            tracing::info!("drained");
            return ExitCode::SUCCESS;
        }
        () = sleep_until(deadline) => {
            tracing::warn!("the drain took too long; connections are dropped");
            events.record(EventKind::DrainOverdue, "connections are dropped");
        }
        signal = signals.next_stop(reload) => end_at_once(signal),
    }
    drain.stop();
    tokio::select! {
        _ = joined => {
            leave(&behind, keeping).await;
            ExitCode::SUCCESS
        }
        () = sleep(STOP_MAX) => {
            tracing::error!("a core does not stop; the process ends without it");
            std::process::exit(i32::from(failure::INTERNAL));
        }
        signal = signals.next_stop(reload) => end_at_once(signal),
    }
}

/// What the last clients used is counted, and told before the proxy says that it leaves.
async fn leave(behind: &Behind, keeping: Option<Keeping>) {
    // A disk may hang, and a signal must end the process all the same.
    let _ = tokio::task::spawn_blocking(move || drop(keeping)).await;
    behind.leave().await;
}

/// The threads hold nothing that must be saved.
fn end_at_once(signal: StopSignal) -> ! {
    tracing::warn!(signal = signal.name(), "stopping at once");
    std::process::exit(i32::from(signal.exit_code()));
}
