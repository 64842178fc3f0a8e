//! Links that keep the order and lose nothing until they break, and datagrams to and from the
//! manager.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use memtide_testkit::Rng;

use crate::event::{Arrival, Event, Payload, Place};
use crate::heap::{Heap, MS, Nanos};

/// All links, by their ends, the lower one first.
pub struct Network {
    links: BTreeMap<(Place, Place), Link>,
    /// From whom to whom nothing passes.
    blocked: BTreeSet<(Place, Place)>,
    /// How much longer all messages to and from a process take.
    slow: BTreeMap<Place, Nanos>,
    incarnations: u64,
    rng: Rng,
}

#[derive(Default)]
struct Link {
    /// The connection that is not broken, whoever knows of it.
    live: Option<u64>,
    /// What goes to the lower end, and to the higher one.
    to: [Direction; 2],
}

/// Of one connection, what goes to one end.
#[derive(Default)]
struct Direction {
    /// The connection, as the end that receives sees it.
    up: Option<u64>,
    /// Messages sent.
    sent: u64,
    /// Those above this number are lost.
    cut: u64,
    /// When those arrive that are under way.
    under_way: VecDeque<(u64, Nanos)>,
    /// When the last event at this end is to happen.
    last_at: Nanos,
    /// What waits for a partition to end.
    held: Vec<Arrival>,
}

fn ends(one: Place, other: Place) -> (Place, Place) {
    (one.min(other), one.max(other))
}

impl Network {
    pub fn new(rng: Rng) -> Self {
        Self {
            links: BTreeMap::new(),
            blocked: BTreeSet::new(),
            slow: BTreeMap::new(),
            incarnations: 0,
            rng,
        }
    }

    /// Sends over the link, if the sender believes that there is one.
    pub fn send(&mut self, heap: &mut Heap<Event>, from: Place, to: Place, payload: Payload) {
        let delay = self.delay(from, to);
        let is_blocked = self.blocked.contains(&(from, to));
        let Some(link) = self.links.get_mut(&ends(from, to)) else { return };
        let Some(incarnation) = link.to[usize::from(from > to)].up else { return };
        if link.live != Some(incarnation) {
            return;
        }
        let direction = &mut link.to[usize::from(to > from)];
        direction.sent += 1;
        let arrival = Arrival { from, to, incarnation, number: direction.sent, payload };
        if is_blocked || !direction.held.is_empty() {
            direction.held.push(arrival);
        } else {
            direction.schedule(heap, delay, arrival);
        }
    }

    /// Whether a message that arrives is still one of the connection that its receiver has.
    pub fn receives(&mut self, arrival: &Arrival) -> bool {
        let Arrival { from, to, incarnation, number, .. } = *arrival;
        let Some(link) = self.links.get_mut(&ends(from, to)) else { return false };
        let direction = &mut link.to[usize::from(to > from)];
        if direction.up != Some(incarnation) || number > direction.cut {
            return false;
        }
        direction.under_way.retain(|(under_way, _)| *under_way != number);
        true
    }

    /// Sends what may be lost.
    pub fn datagram(&mut self, heap: &mut Heap<Event>, from: Place, to: Place, payload: Payload) {
        let delay = self.delay(from, to);
        if !self.blocked.contains(&(from, to)) && !self.rng.percent(2) {
            heap.after(delay, Event::Datagram { from, to, payload });
        }
    }

    /// Connects two processes, or tries later.
    pub fn connect(&mut self, heap: &mut Heap<Event>, one: Place, other: Place) {
        let ends = ends(one, other);
        let (low, high) = ends;
        let is_blocked = self.blocked.contains(&ends) || self.blocked.contains(&(high, low));
        let again = heap.now() + 5 * MS + self.rng.below(100) as Nanos * MS;
        let link = self.links.entry(ends).or_default();
        if link.live.is_some() {
            return;
        }
        if is_blocked || link.to.iter().any(|direction| direction.up.is_some()) {
            return heap.at(again, Event::Connect(low, high));
        }
        self.incarnations += 1;
        let incarnation = self.incarnations;
        link.live = Some(incarnation);
        for (at, peer, direction) in [(low, high, 0), (high, low, 1)] {
            let direction = &mut link.to[direction];
            *direction = Direction {
                cut: u64::MAX,
                last_at: direction.last_at.max(heap.now()) + self.rng.below(3) as Nanos * MS + 1,
                ..Direction::default()
            };
            heap.at(direction.last_at, Event::LinkUp { at, peer, incarnation });
        }
    }

    /// Breaks a link, if there is one: an end of what is under way is lost in each direction, and
    /// each side learns of it in its own time.
    pub fn cut(&mut self, heap: &mut Heap<Event>, one: Place, other: Place) {
        let (low, high) = ends(one, other);
        let Some(link) = self.links.get_mut(&(low, high)) else { return };
        let Some(incarnation) = link.live.take() else { return };
        for (at, peer, direction) in [(low, high, 0), (high, low, 1)] {
            let direction = &mut link.to[direction];
            direction.held.clear();
            let kept = self.rng.below(direction.under_way.len() + 1);
            let first_lost = direction.under_way.get(kept).map(|(number, _)| *number);
            direction.cut = first_lost.map_or(direction.sent, |number| number - 1);
            direction.under_way.truncate(kept);
            let last_kept = direction.under_way.back().map_or(0, |(_, at)| *at);
            let notice = if self.rng.percent(20) { 1_000 } else { 20 };
            let notice = self.rng.below(notice) as Nanos * MS + 1;
            direction.last_at = direction.last_at.min(last_kept).max(heap.now()) + notice;
            heap.at(direction.last_at, Event::LinkDown { at, peer, incarnation });
        }
        let last_at = link.to[0].last_at.max(link.to[1].last_at);
        heap.at(last_at + self.rng.below(200) as Nanos * MS + 1, Event::Connect(low, high));
    }

    /// A side learns that it has a link; says whether that is still so.
    pub fn goes_up(&mut self, at: Place, peer: Place, incarnation: u64) -> bool {
        let Some(link) = self.links.get_mut(&ends(at, peer)) else { return false };
        link.to[usize::from(at > peer)].up = Some(incarnation);
        true
    }

    /// A side learns that it has lost its link; says whether it knew that it had one.
    pub fn goes_down(&mut self, at: Place, peer: Place, incarnation: u64) -> bool {
        let Some(link) = self.links.get_mut(&ends(at, peer)) else { return false };
        let direction = &mut link.to[usize::from(at > peer)];
        let was_up = direction.up == Some(incarnation);
        direction.up = direction.up.filter(|up| *up != incarnation);
        was_up
    }

    /// Nothing passes from one to the other any more; what is under way arrives.
    pub fn block(&mut self, from: Place, to: Place) {
        self.blocked.insert((from, to));
    }

    /// What was held up passes.
    pub fn unblock(&mut self, heap: &mut Heap<Event>, from: Place, to: Place) {
        self.blocked.remove(&(from, to));
        let delay = self.delay(from, to);
        if let Some(link) = self.links.get_mut(&ends(from, to)) {
            let direction = &mut link.to[usize::from(to > from)];
            for arrival in core::mem::take(&mut direction.held) {
                direction.schedule(heap, delay, arrival);
            }
        }
    }

    /// Whether a link has waited in vain.
    pub fn is_silent(&self, one: Place, other: Place) -> bool {
        let link = self.links.get(&ends(one, other));
        link.is_some_and(|link| link.to.iter().any(|direction| !direction.held.is_empty()))
    }

    /// Whether this is the link that a side believes to have.
    pub fn is_up(&self, at: Place, peer: Place, incarnation: u64) -> bool {
        let link = self.links.get(&ends(at, peer));
        link.is_some_and(|link| link.to[usize::from(at > peer)].up == Some(incarnation))
    }

    /// A process that has left comes back, and knows of no links.
    pub fn forget(&mut self, place: Place) {
        for ((low, high), link) in &mut self.links {
            if place == *low || place == *high {
                let direction = &mut link.to[usize::from(place == *high)];
                direction.up = None;
                direction.cut = 0;
            }
        }
    }

    /// The ends of all links, the lower first.
    pub fn links(&self) -> Vec<(Place, Place)> {
        self.links.keys().copied().collect()
    }

    /// From now on all that goes to or comes from a process takes longer, or no longer.
    pub fn slow_down(&mut self, place: Place, by: Nanos) {
        if by == 0 {
            self.slow.remove(&place);
        } else {
            self.slow.insert(place, by);
        }
    }

    /// A process is no more: those that it was linked with learn of it.
    pub fn leave(&mut self, heap: &mut Heap<Event>, place: Place) {
        for (low, high) in self.links() {
            if low == place || high == place {
                self.cut(heap, low, high);
            }
        }
    }

    fn delay(&mut self, from: Place, to: Place) -> Nanos {
        let mut delay = 50_000 + self.rng.below(500_000) as Nanos;
        if self.rng.percent(1) {
            delay += self.rng.below(60) as Nanos * MS;
        }
        for place in [from, to] {
            if let Some(by) = self.slow.get(&place) {
                delay += by / 2 + self.rng.below(1_000) as Nanos * by / 1_000;
            }
        }
        delay
    }
}

impl Direction {
    fn schedule(&mut self, heap: &mut Heap<Event>, delay: Nanos, arrival: Arrival) {
        self.last_at = self.last_at.max(heap.now() + delay) + 1;
        self.under_way.push_back((arrival.number, self.last_at));
        heap.at(self.last_at, Event::Arrive(arrival));
    }
}
