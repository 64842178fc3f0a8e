use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

/// Frames that are to be sent; handed to whoever has something to say. Cheap to clone; lives on
/// one thread.
///
/// What it holds is bounded: a push beyond `bytes_max` closes it, which ends the link. Who can say
/// less, or later, looks at [`Outbox::queued_bytes`] first.
#[derive(Clone, Debug)]
pub struct Outbox(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    /// Whole frames, not encrypted yet.
    bytes: RefCell<Vec<u8>>,
    /// Bytes that were taken out of `bytes`, and that the socket has not.
    under_way: Cell<usize>,
    state: Cell<State>,
    /// Of the link's task.
    waker: RefCell<Option<Waker>>,
    /// Its task has nothing to do until it is woken.
    is_asleep: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// What is in it is to be sent, then the link ends.
    Finishing,
    Closed,
    /// Closed by a push beyond the maximum, with these many bytes.
    Overflown(usize),
}

impl Outbox {
    /// An empty one that holds at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self(Rc::new(Inner {
            bytes_max,
            bytes: RefCell::default(),
            under_way: Cell::new(0),
            state: Cell::new(State::Open),
            waker: RefCell::default(),
            is_asleep: Cell::new(false),
        }))
    }

    /// Appends what `write` appends: whole frames. Nothing where it is closed.
    ///
    /// # Panics
    /// Where `write` pushes itself.
    pub fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.is_closed() {
            return;
        }
        write(&mut self.0.bytes.borrow_mut());
        let queued = self.queued_bytes();
        if queued > self.0.bytes_max {
            self.end(State::Overflown(queued));
        }
        self.wake();
    }

    /// Bytes that the socket has not taken yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.bytes.borrow().len() + self.0.under_way.get()
    }

    /// Ends the link; what was not sent is dropped.
    pub fn close(&self) {
        if !self.is_closed() {
            self.end(State::Closed);
            self.wake();
        }
    }

    /// Ends the link when all that was pushed is sent; nothing can be pushed any more.
    pub fn finish(&self) {
        if self.0.state.get() == State::Open {
            self.0.state.set(State::Finishing);
            self.wake();
        }
    }

    /// Whether what is pushed is dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.state.get() != State::Open
    }

    pub(crate) fn state(&self) -> State {
        self.0.state.get()
    }

    /// Takes all that is to be sent, in exchange for an empty buffer.
    pub fn take(&self, empty: Vec<u8>) -> Vec<u8> {
        self.0.bytes.replace(empty)
    }

    /// What was taken, and the socket has not.
    pub(crate) fn set_under_way(&self, bytes: usize) {
        self.0.under_way.set(bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.bytes.borrow().is_empty()
    }

    /// The link's task looks at all that is pushed until its turn ends.
    pub(crate) fn begin_turn(&self) {
        self.0.is_asleep.set(false);
    }

    /// From now on the task is to be woken.
    pub(crate) fn end_turn(&self, waker: &Waker) {
        let mut known = self.0.waker.borrow_mut();
        match &mut *known {
            Some(known) => known.clone_from(waker),
            None => *known = Some(waker.clone()),
        }
        self.0.is_asleep.set(true);
    }

    fn end(&self, state: State) {
        self.0.state.set(state);
        self.0.bytes.take();
    }

    fn wake(&self) {
        if self.0.is_asleep.replace(false)
            && let Some(waker) = &*self.0.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_beyond_the_maximum_closes_it() {
        let outbox = Outbox::new(10);
        outbox.push(|out| out.extend_from_slice(&[1; 10]));
        assert_eq!((outbox.queued_bytes(), outbox.is_closed()), (10, false));
        outbox.push(|out| out.push(1));
        assert_eq!((outbox.queued_bytes(), outbox.is_closed()), (0, true));
        assert_eq!(outbox.state(), State::Overflown(11));
        outbox.push(|_| panic!("nothing is written to a closed outbox"));
    }

    #[test]
    fn what_is_under_way_counts() {
        let outbox = Outbox::new(10);
        outbox.push(|out| out.extend_from_slice(&[1; 6]));
        outbox.set_under_way(outbox.take(Vec::new()).len());
        outbox.push(|out| out.extend_from_slice(&[1; 4]));
        assert_eq!((outbox.queued_bytes(), outbox.is_closed()), (10, false));
        outbox.push(|out| out.push(1));
        assert!(outbox.is_closed());
    }
}
