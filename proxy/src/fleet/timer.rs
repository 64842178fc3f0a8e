use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::Fleet;

/// When the switch of a core is to be ticked. It is armed anew only where something is due earlier
/// than what it waits for: deadlines come in the order of the requests, so that is rare.
#[derive(Debug, Default)]
pub struct Timer {
    due: Cell<Option<Duration>>,
    waker: RefCell<Option<Waker>>,
}

impl Timer {
    /// Something is due at this time.
    pub fn arm(&self, at: Option<Duration>) {
        let Some(at) = at else { return };
        if self.due.get().is_none_or(|due| at < due) {
            self.due.set(Some(at));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }
}

/// Ticks the switch when something is due, for good.
pub async fn run(fleet: Rc<Fleet>) {
    let far = Duration::from_secs(3600);
    let mut sleep = pin!(tokio::time::sleep(far));
    let mut armed = None;
    loop {
        let timer = &fleet.timer;
        poll_fn(|cx| {
            *timer.waker.borrow_mut() = Some(cx.waker().clone());
            let due = timer.due.get();
            if due != armed {
                armed = due;
                let at = due.map_or_else(|| Instant::now() + far, |due| fleet.start + due);
                sleep.as_mut().reset(at.into());
            }
            sleep.as_mut().poll(cx).is_ready().then_some(()).map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        timer.due.set(None);
        armed = None;
        sleep.as_mut().reset((Instant::now() + far).into());
        fleet.with(Instant::now(), |switch, now| switch.tick(now));
    }
}
