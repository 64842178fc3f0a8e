//! The open connections of one core, so that its ticker and a drain can reach them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Why a connection is asked to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kick {
    /// It is not.
    #[default]
    None,
    /// The process drains: answer what was asked, then close.
    Drain,
    /// It was idle for too long.
    Idle,
    /// Its client left replies unread for too long.
    Stall,
}

/// What is known of a connection outside of its task.
#[derive(Debug, Default)]
pub struct Handle {
    kick: Cell<Kick>,
    is_draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// The core's second in which it last moved bytes.
    active_secs: Cell<u64>,
    /// Whether it waits for its client to read.
    pub is_stalled: Cell<bool>,
}

impl Handle {
    /// What the connection was asked last; also keeps the waker that a kick will wake.
    pub fn poll_kick(&self, cx: &Context<'_>) -> Kick {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(present) if present.will_wake(cx.waker()) => {}
            slot => *slot = Some(cx.waker().clone()),
        }
        self.kick.get()
    }

    /// Whether it was asked to end, or is to end where it stays silent.
    pub fn is_kicked(&self) -> bool {
        self.kick.get() != Kick::None
    }

    /// The connection has moved bytes at this second of its core: no reproach of silence stands. A
    /// drain does.
    pub fn moved_bytes(&self, now_secs: u64) {
        self.active_secs.set(now_secs);
        self.kick.set(if self.is_draining.get() { Kick::Drain } else { Kick::None });
    }

    fn drain(&self) {
        self.is_draining.set(true);
        self.kick(Kick::Drain);
    }

    fn kick(&self, reason: Kick) {
        self.kick.set(reason);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// Idle and stall limits in the core's seconds.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// `None` is forever.
    pub idle_secs: Option<u64>,
    /// How long replies may stay unread.
    pub stall_secs: u64,
}

/// The open connections of one core.
#[derive(Debug, Default)]
pub struct Registry {
    handles: RefCell<HashMap<u64, Rc<Handle>>>,
    next_id: Cell<u64>,
    is_draining: Cell<bool>,
}

impl Registry {
    /// Adds a connection; it is removed when the guard is dropped.
    pub fn register(self: &Rc<Self>, now_secs: u64) -> Registered {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let handle = Rc::new(Handle::default());
        handle.active_secs.set(now_secs);
        if self.is_draining.get() {
            handle.drain();
        }
        self.handles.borrow_mut().insert(id, Rc::clone(&handle));
        Registered { registry: Rc::clone(self), id, handle }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.handles.borrow().len()
    }

    /// Asks every connection, present and future, to finish.
    pub fn drain(&self) {
        self.is_draining.set(true);
        for handle in self.handles.borrow().values() {
            handle.drain();
        }
    }

    /// Asks those to end that exceed the patience; seconds are whole, so up to one later.
    pub fn kick_overdue(&self, now_secs: u64, patience: Patience) {
        for handle in self.handles.borrow().values() {
            let silent = now_secs.saturating_sub(handle.active_secs.get());
            let (reason, limit) = match handle.is_stalled.get() {
                true => (Kick::Stall, Some(patience.stall_secs)),
                false => (Kick::Idle, patience.idle_secs),
            };
            if limit.is_some_and(|limit| silent > limit) {
                handle.kick(reason);
            }
        }
    }
}

/// A connection's place in its core's [`Registry`].
#[derive(Debug)]
pub struct Registered {
    registry: Rc<Registry>,
    id: u64,
    handle: Rc<Handle>,
}

impl std::ops::Deref for Registered {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.handles.borrow_mut().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kick_of(handle: &Handle) -> Kick {
        handle.poll_kick(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_overdue_are_kicked_and_no_others() {
        let registry = Rc::new(Registry::default());
        let (idle, busy, stalled) =
            (registry.register(0), registry.register(9), registry.register(0));
        stalled.is_stalled.set(true);
        registry.kick_overdue(10, Patience { idle_secs: Some(10), stall_secs: 10 });
        assert_eq!([kick_of(&idle), kick_of(&stalled)], [Kick::None; 2], "may be 9.01 seconds");
        registry.kick_overdue(11, Patience { idle_secs: None, stall_secs: 10 });
        assert_eq!([kick_of(&idle), kick_of(&busy)], [Kick::None; 2]);
        assert_eq!(kick_of(&stalled), Kick::Stall);
        registry.kick_overdue(11, Patience { idle_secs: Some(10), stall_secs: 300 });
        assert_eq!([kick_of(&idle), kick_of(&busy)], [Kick::Idle, Kick::None]);
    }

    #[test]
    fn a_kick_for_silence_is_taken_back_when_bytes_move_and_a_drain_is_not() {
        let registry = Rc::new(Registry::default());
        let [idle, stalled] = [registry.register(0), registry.register(0)];
        stalled.is_stalled.set(true);
        let patience = Patience { idle_secs: Some(10), stall_secs: 10 };
        registry.kick_overdue(20, patience);
        assert_eq!([kick_of(&idle), kick_of(&stalled)], [Kick::Idle, Kick::Stall]);
        idle.moved_bytes(20);
        stalled.moved_bytes(20);
        assert_eq!([kick_of(&idle), kick_of(&stalled)], [Kick::None; 2]);
        registry.drain();
        registry.kick_overdue(40, patience);
        assert_eq!(kick_of(&idle), Kick::Idle);
        idle.moved_bytes(40);
        assert_eq!(kick_of(&idle), Kick::Drain);
    }

    #[test]
    fn who_waits_for_his_client_to_read_is_not_idle() {
        let registry = Rc::new(Registry::default());
        let stalled = registry.register(0);
        stalled.is_stalled.set(true);
        registry.kick_overdue(20, Patience { idle_secs: Some(10), stall_secs: 300 });
        assert_eq!(kick_of(&stalled), Kick::None);
    }

    #[test]
    fn a_drain_reaches_connections_that_come_during_it() {
        let registry = Rc::new(Registry::default());
        let before = registry.register(0);
        registry.drain();
        let after = registry.register(0);
        assert_eq!([kick_of(&before), kick_of(&after)], [Kick::Drain; 2]);
        assert_eq!(registry.len(), 2);
        drop((before, after));
        assert_eq!(registry.len(), 0);
    }
}
