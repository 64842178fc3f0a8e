//! One task's alarm clock, set by others on its thread.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// When something is to be done. It is armed anew only where something is due earlier than what it
/// waits for.
#[derive(Debug, Default)]
pub struct Alarm {
    due: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl Alarm {
    /// Something is due at this time.
    pub fn arm(&self, at: Option<Instant>) {
        let Some(at) = at else { return };
        if self.due.get().is_none_or(|due| at < due) {
            self.due.set(Some(at));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// When something is due.
    #[cfg(test)]
    pub fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    /// Does `work` whenever something is due, for good. It is to arm the alarm for what comes next.
    pub async fn serve(&self, mut work: impl FnMut(Instant)) {
        let far = Duration::from_secs(3600);
        let mut sleep = pin!(tokio::time::sleep(far));
        let mut armed = None;
        loop {
            poll_fn(|cx| {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                let due = self.due.get();
                if due != armed {
                    armed = due;
                    sleep.as_mut().reset(due.unwrap_or_else(|| Instant::now() + far).into());
                }
                sleep.as_mut().poll(cx).is_ready().then_some(()).map_or(Poll::Pending, Poll::Ready)
            })
            .await;
            self.due.set(None);
            armed = None;
            sleep.as_mut().reset((Instant::now() + far).into());
            work(Instant::now());
        }
    }
}
