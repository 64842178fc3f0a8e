use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use memtide_topology::{RequestId, SlotId};

/// Who is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    Slot(SlotId),
    Lone(RequestId),
}

/// When slots and lone requests that wait for nothing but time are looked at again. One that
/// needs it no more is not removed: it is looked at in vain.
#[derive(Debug, Default)]
pub struct Wakes {
    heap: BinaryHeap<Reverse<(Duration, Wake)>>,
}

impl Wakes {
    pub fn push(&mut self, at: Duration, who: Wake) {
        self.heap.push(Reverse((at, who)));
    }

    /// The next that is due.
    pub fn pop(&mut self, now: Duration) -> Option<Wake> {
        let Reverse((at, who)) = *self.heap.peek()?;
        (at <= now).then(|| {
            self.heap.pop();
            who
        })
    }

    /// When the next is due.
    pub fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|&Reverse((at, _))| at)
    }

    /// Gives memory back where nobody is to be woken.
    pub fn shrink(&mut self) {
        if self.heap.is_empty() {
            self.heap.shrink_to_fit();
        }
    }
}
