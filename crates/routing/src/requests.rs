use core::time::Duration;

use memtide_topology::{Epoch, RequestId, SlotId};

use crate::effect::Submission;
use crate::links::LinkId;
use crate::settings::INDEX_BITS;

/// The requests that are unanswered: found by number in one step, and chained by deadline and by
/// slot without allocating.
#[derive(Debug)]
pub struct Requests<C> {
    places: Vec<Option<Outstanding<C>>>,
    free: Vec<u32>,
    /// By deadline, which is the order of submission, as all have the same patience.
    by_deadline: Chain,
    client: u64,
    submitted: u64,
}

/// A request that is unanswered.
#[derive(Debug)]
pub struct Outstanding<C> {
    pub id: RequestId,
    pub ticket: u64,
    pub slot: SlotId,
    pub role: Role,
    pub deadline: Duration,
    pub command: C,
    /// The slot's highest version seen before the first try; of no meaning before that.
    pub seen: u64,
    /// The slot's epoch in the last try; `None` before the first.
    pub epoch: Option<Epoch>,
    /// The try of the present round that is unanswered.
    pub current: Option<LinkId>,
    /// The tries of earlier rounds that are unanswered; at most one to a link.
    pub older: Vec<Try>,
    /// A try that may have been executed has ended without an outcome.
    pub is_lost: bool,
    hooks: [Hook; 2],
}

/// What a request is to the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// In the order of its slot.
    Ordered { is_mutation: bool },
    /// A read of any copy, outside of the order.
    AnyCopy(AnyCopy),
    /// To this node or to none.
    Direct,
    /// Was ordered, but a node has forgotten whether it was executed: it is not sent again, only
    /// the answer to an earlier try can still tell.
    Forgotten,
}

/// How far a read of any copy has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnyCopy {
    /// The last node asked was the slot's primary.
    pub at_primary: bool,
    /// A copy refused, so only the primary is asked from now on.
    pub only_primary: bool,
    /// Pauses taken since something new was learned.
    pub fruitless: u32,
    /// Until when it pauses.
    pub not_before: Duration,
}

/// A try of an earlier round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    pub link: LinkId,
    /// It was surely not executed: it came behind one that was refused in its round.
    pub is_harmless: bool,
}

/// A list through the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    head: u32,
    tail: u32,
}

/// A request's neighbours in a chain.
#[derive(Clone, Copy, Debug)]
struct Hook {
    before: u32,
    after: u32,
}

const NONE: u32 = u32::MAX;
const BY_DEADLINE: usize = 0;
const BY_SLOT: usize = 1;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
/// Places that are kept when nothing is outstanding.
const PLACES_KEPT: usize = 256;

impl<C> Requests<C> {
    /// Of a proxy core with this random name.
    pub const fn new(client: u64) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_deadline: Chain::EMPTY,
            client,
            submitted: 0,
        }
    }

    pub const fn client(&self) -> u64 {
        self.client
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn get(&self, index: u32) -> &Outstanding<C> {
        self.places[index as usize].as_ref().expect("who holds a place's index has not freed it")
    }

    pub fn get_mut(&mut self, index: u32) -> &mut Outstanding<C> {
        self.places[index as usize].as_mut().expect("who holds a place's index has not freed it")
    }

    /// The place of a request that is still unanswered.
    pub fn find(&self, id: RequestId) -> Option<u32> {
        let place = u32::try_from(id.number & INDEX_MASK).expect("the mask leaves 20 bits");
        let there = self.places.get(place as usize)?.as_ref()?;
        (there.id == id).then_some(place)
    }

    /// Adds a request, and gives its place. There are at most 2^[`INDEX_BITS`].
    pub fn add(&mut self, submission: Submission<C>, role: Role, deadline: Duration) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("at most 2^20 requests are outstanding")
        });
        let Submission { ticket, slot, command, .. } = submission;
        let outstanding = Outstanding {
            id: self.next_id(index),
            ticket,
            slot,
            role,
            deadline,
            command,
            seen: 0,
            epoch: None,
            current: None,
            older: Vec::new(),
            is_lost: false,
            hooks: [Hook { before: NONE, after: NONE }; 2],
        };
        self.places[index as usize] = Some(outstanding);
        let mut chain = self.by_deadline;
        self.append(&mut chain, BY_DEADLINE, index);
        self.by_deadline = chain;
        index
    }

    /// Takes out a request, which is in no slot's chain any more.
    pub fn remove(&mut self, index: u32) -> Outstanding<C> {
        let mut chain = self.by_deadline;
        self.unlink(&mut chain, BY_DEADLINE, index);
        self.by_deadline = chain;
        self.free.push(index);
        self.places[index as usize].take().expect("who holds a place's index has not freed it")
    }

    /// The request with the earliest deadline.
    pub const fn first_due(&self) -> Option<u32> {
        self.by_deadline.head()
    }

    /// The number below which all requests of this one's client have come to their end.
    pub fn answered_before(&self, id: RequestId) -> u64 {
        let first = self.first_due().map(|index| self.get(index).id);
        first.filter(|first| first.client == id.client).map_or(0, |first| first.number)
    }

    /// Appends to a slot's chain.
    pub fn append_to_slot(&mut self, chain: &mut Chain, index: u32) {
        self.append(chain, BY_SLOT, index);
    }

    /// Takes out of a slot's chain.
    pub fn unlink_from_slot(&mut self, chain: &mut Chain, index: u32) {
        self.unlink(chain, BY_SLOT, index);
    }

    /// The next in the slot's chain.
    pub fn after(&self, index: u32) -> Option<u32> {
        some(self.get(index).hooks[BY_SLOT].after)
    }

    /// The slot's requests in order.
    pub fn in_chain(&self, chain: Chain) -> impl Iterator<Item = &Outstanding<C>> {
        core::iter::successors(chain.head(), |&index| self.after(index)).map(|i| self.get(i))
    }

    /// The places in use; all of the slab is looked at.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        let numbered = (0u32..).zip(&self.places);
        numbered.filter_map(|(index, place)| place.is_some().then_some(index))
    }

    /// Whether much memory is held for nothing.
    pub fn is_bloated(&self) -> bool {
        self.len() == 0 && self.places.capacity() > PLACES_KEPT
    }

    /// Gives memory back; nothing is outstanding.
    pub fn shrink(&mut self) {
        (self.places, self.free) = (Vec::new(), Vec::new());
    }

    /// The place is in the low bits, so numbers grow and lead to the place. When the rest is used
    /// up, after 2^44 requests, the core takes another name.
    fn next_id(&mut self, index: u32) -> RequestId {
        self.submitted += 1;
        if self.submitted > u64::MAX >> INDEX_BITS {
            (self.client, self.submitted) = (self.client.wrapping_add(1), 1);
        }
        let number = (self.submitted << INDEX_BITS) | u64::from(index);
        RequestId { client: self.client, number }
    }

    fn append(&mut self, chain: &mut Chain, which: usize, index: u32) {
        let last = core::mem::replace(&mut chain.tail, index);
        self.get_mut(index).hooks[which] = Hook { before: last, after: NONE };
        match some(last) {
            Some(last) => self.get_mut(last).hooks[which].after = index,
            None => chain.head = index,
        }
    }

    fn unlink(&mut self, chain: &mut Chain, which: usize, index: u32) {
        let Hook { before, after } = self.get(index).hooks[which];
        match some(before) {
            Some(before) => self.get_mut(before).hooks[which].after = after,
            None => chain.head = after,
        }
        match some(after) {
            Some(after) => self.get_mut(after).hooks[which].before = before,
            None => chain.tail = before,
        }
    }
}

impl<C> Outstanding<C> {
    pub const fn is_ordered(&self) -> bool {
        matches!(self.role, Role::Ordered { .. })
    }

    /// Whether being executed twice, or without the client being told, does harm.
    pub const fn is_mutation(&self) -> bool {
        !matches!(self.role, Role::Ordered { is_mutation: false } | Role::AnyCopy(_))
    }

    /// Whether a try other than the present one may have been executed.
    pub fn may_be_done(&self) -> bool {
        self.is_lost || self.may_be_answered()
    }

    /// Whether an earlier try may yet be answered with an outcome.
    pub fn may_be_answered(&self) -> bool {
        self.older.iter().any(|earlier| !earlier.is_harmless)
    }

    /// Whether no try came after the one over this link.
    pub fn is_latest(&self, link: LinkId) -> bool {
        let latest = self.current.or_else(|| self.older.last().map(|latest| latest.link));
        latest == Some(link)
    }

    /// Takes it out of the order: it is not sent again.
    pub fn forget(&mut self) {
        if let Some(link) = self.current.take() {
            self.older.push(Try { link, is_harmless: false });
        }
        self.role = Role::Forgotten;
    }

    /// Forgets the try on a link that ended without an answer; tells whether it was the present
    /// one.
    pub fn lose(&mut self, link: LinkId) -> bool {
        let was_current = self.current.take_if(|current| *current == link).is_some();
        let older = self.take_older(link);
        self.is_lost |= was_current || older.is_some_and(|earlier| !earlier.is_harmless);
        was_current
    }

    /// Takes out the earlier try on a link.
    pub fn take_older(&mut self, link: LinkId) -> Option<Try> {
        let at = self.older.iter().position(|earlier| earlier.link == link)?;
        Some(self.older.remove(at))
    }

    /// Whether an unanswered try went over this link.
    pub fn is_tried_on(&self, link: LinkId) -> bool {
        self.current == Some(link) || self.older.iter().any(|earlier| earlier.link == link)
    }
}

impl Chain {
    pub const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub const fn head(&self) -> Option<u32> {
        some(self.head)
    }
}

const fn some(index: u32) -> Option<u32> {
    if index == NONE { None } else { Some(index) }
}

/// For requests to a node, which have no slot of their own.
pub fn direct<C>(ticket: u64, command: C) -> Submission<C> {
    let slot = SlotId::new(0).expect("there is a slot 0");
    Submission { ticket, slot, kind: crate::Kind::Mutation, command }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(requests: &mut Requests<()>, ticket: u64) -> u32 {
        requests.add(direct(ticket, ()), Role::Direct, Duration::ZERO)
    }

    #[test]
    fn a_number_grows_and_is_found_only_while_its_request_is_there() {
        let mut requests = Requests::new(7);
        let first = add(&mut requests, 1);
        let first_id = requests.get(first).id;
        assert_eq!(requests.find(first_id), Some(first));
        requests.remove(first);
        let second = add(&mut requests, 2);
        assert_eq!(second, first, "the place is used again");
        assert_eq!(requests.find(first_id), None);
        assert!(requests.get(second).id.number > first_id.number);
    }

    #[test]
    fn an_id_is_not_used_again_when_the_numbers_end() {
        let mut requests = Requests::new(7);
        let first = add(&mut requests, 1);
        requests.submitted = u64::MAX >> INDEX_BITS;
        let later = add(&mut requests, 2);
        assert_eq!(requests.get(first).id.client, 7);
        assert_eq!(requests.get(later).id.client, 8);
        assert_eq!(requests.find(requests.get(later).id), Some(later));
    }

    #[test]
    fn a_chain_keeps_its_order_over_removals() {
        let tickets = |requests: &Requests<()>, chain| {
            requests.in_chain(chain).map(|request| request.ticket).collect::<Vec<_>>()
        };
        for removed in 0..4 {
            let mut requests = Requests::new(7);
            let mut chain = Chain::EMPTY;
            for ticket in 0..4 {
                let index = add(&mut requests, ticket);
                requests.append_to_slot(&mut chain, index);
            }
            requests.unlink_from_slot(&mut chain, removed);
            requests.remove(removed);
            let index = add(&mut requests, 9);
            requests.append_to_slot(&mut chain, index);
            let expected: Vec<u64> =
                (0..4).filter(|ticket| *ticket != u64::from(removed)).chain([9]).collect();
            assert_eq!(tickets(&requests, chain), expected);
        }
    }
}
