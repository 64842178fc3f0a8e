//! Drain: how a process stops without losing what its clients have sent.
//!
//! ```text
//!            begin(deadline)               stop()
//!  Serving ------------------> Draining ----------> Stopped
//!     |                                                ^
//!     +------------------------------------------------+
//! ```
//! A phase never goes back. While `Draining`, readiness is off, listeners are closed and sessions
//! answer what they have received and then close; at `Stopped` they are dropped as they are. The
//! one who owns [`Drain`] moves it; everyone else holds a [`DrainWatch`].

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{sync::watch, time::Instant};

/// Where a process is on its way down; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Ordinary work.
    Serving = 0,
    /// No new connections; sessions finish what is in flight and close.
    Draining = 1,
    /// The deadline has passed, or there is nothing left to wait for.
    Stopped = 2,
}

#[derive(Debug)]
struct Shared {
    phase: AtomicU8,
    changed: watch::Sender<(Phase, Option<Instant>)>,
}

/// Moves a process through its [`Phase`]s. One per process; hand out [`DrainWatch`]es.
#[derive(Debug)]
pub struct Drain(Arc<Shared>);

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// A process that serves.
    #[must_use]
    pub fn new() -> Self {
        let changed = watch::Sender::new((Phase::Serving, None));
        Self(Arc::new(Shared { phase: AtomicU8::new(Phase::Serving as u8), changed }))
    }

    /// A view of this drain; cheap to clone.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { shared: Arc::clone(&self.0) }
    }

    /// Starts draining; sessions have until `deadline`. Does nothing once draining.
    ///
    /// Whoever calls this also calls [`Drain::stop`] at the deadline.
    pub fn begin(&self, deadline: Instant) {
        self.advance(Phase::Draining, Some(deadline));
    }

    /// Stops at once. Does nothing once stopped.
    pub fn stop(&self) {
        self.advance(Phase::Stopped, None);
    }

    fn advance(&self, to: Phase, deadline: Option<Instant>) {
        self.0.changed.send_if_modified(|state| {
            let advances = state.0 < to;
            if advances {
                *state = (to, deadline.or(state.1));
                self.0.phase.store(to as u8, Ordering::Release);
            }
            advances
        });
    }
}

/// Sees how far the process is on its way down.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    shared: Arc<Shared>,
}

impl DrainWatch {
    /// One atomic load.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.shared.phase.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Whether the process no longer takes new work.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() != Phase::Serving
    }

    /// When sessions still open are cut off; `None` while serving.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shared.changed.borrow().1
    }

    /// Ready once the process drains (or has stopped).
    pub fn draining(&self) -> Reached {
        self.reached(Phase::Draining)
    }

    /// Ready once sessions must be dropped as they are.
    pub fn stopped(&self) -> Reached {
        self.reached(Phase::Stopped)
    }

    fn reached(&self, phase: Phase) -> Reached {
        let mut changed = self.shared.changed.subscribe();
        let wait = Box::pin(async move {
            // The sender lives in `Shared`, which this future's owner keeps alive.
            let _ = changed.wait_for(|(now, _)| *now >= phase).await;
        });
        Reached { watch: self.clone(), phase, wait, registered: None }
    }
}

/// Waits for a [`Phase`]; made by [`DrainWatch::draining`] and [`DrainWatch::stopped`].
///
/// Make one per session and poll it beside every read: while the task's waker stays the same, a
/// poll costs one atomic load, and takes none of the lock that all cores would share. It may be
/// polled again after it was ready, and stays ready.
#[must_use = "futures do nothing unless polled"]
pub struct Reached {
    watch: DrainWatch,
    phase: Phase,
    wait: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The waker that `wait` was given while serving.
    registered: Option<Waker>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.watch.phase();
        if now >= self.phase {
            return Poll::Ready(());
        }
        // A change of phase uses up the registration, even one to a phase before ours, and it may do so
        // after the phase is seen to be another: from then on only `wait` knows.
        if now == Phase::Serving {
            if self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            self.registered = Some(cx.waker().clone());
        }
        self.wait.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reached").field("phase", &self.phase).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn phases_only_go_forward() {
        let drain = Drain::new();
        let watch = drain.watch();
        assert_eq!((watch.phase(), watch.is_draining()), (Phase::Serving, false));
        assert_eq!(watch.deadline(), None);

        let deadline = Instant::now() + Duration::from_secs(30);
        drain.begin(deadline);
        assert_eq!((watch.phase(), watch.deadline()), (Phase::Draining, Some(deadline)));

        drain.begin(deadline + Duration::from_secs(30));
        assert_eq!(watch.deadline(), Some(deadline), "the first deadline stands");

        drain.stop();
        drain.begin(deadline);
        assert_eq!((watch.phase(), watch.deadline()), (Phase::Stopped, Some(deadline)));
    }

    #[tokio::test]
    async fn waiters_wake_at_their_phase() {
        let drain = Drain::new();
        let (draining, stopped) = (drain.watch().draining(), drain.watch().stopped());
        let draining = tokio::spawn(draining);
        let mut stopped = tokio::spawn(stopped);
        tokio::task::yield_now().await;

        drain.begin(Instant::now());
        draining.await.unwrap();
        tokio::select! {
            biased;
            _ = &mut stopped => panic!("stopped is not draining"),
            () = tokio::task::yield_now() => {}
        }
        drain.stop();
        stopped.await.unwrap();
    }

    #[tokio::test]
    async fn a_wait_moved_to_another_task_wakes_there() {
        let drain = Drain::new();
        let mut wait = drain.watch().draining();
        std::future::poll_fn(|cx| {
            assert!(Pin::new(&mut wait).poll(cx).is_pending());
            assert!(Pin::new(&mut wait).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let moved = tokio::spawn(wait);
        tokio::task::yield_now().await;
        drain.begin(Instant::now());
        moved.await.unwrap();
    }

    #[tokio::test]
    async fn a_wait_outlives_the_drain_that_is_dropped() {
        let drain = Drain::new();
        let mut wait = drain.watch().draining();
        drain.stop();
        drop(drain);
        (&mut wait).await;
        wait.await;
    }
}
