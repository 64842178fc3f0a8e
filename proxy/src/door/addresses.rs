//! What is known of the addresses that clients come from; all of it is bounded.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::limits::{ADDRESSES_MAX, ADDRESSES_SHARED, ADDRESSES_SWEEP};

/// Whoever has one address of IPv6 has 2^64 of them.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// How many connections each address has. As large as there are open connections.
#[derive(Debug)]
pub struct Counted {
    max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Counted {
    pub fn new(max: NonZeroUsize) -> Self {
        Self { max: max.get(), open: Mutex::default() }
    }

    /// `None` where the address has as many as it may.
    pub fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let source = source(ip);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(source).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Seat { counted: Arc::clone(self), source })
    }
}

/// A connection that an address has, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    counted: Arc<Counted>,
    source: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.counted.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(self.source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// How often each address has come lately.
///
/// Addresses are remembered by a hash that nobody outside can compute. Where more of them have come
/// in a second than are told apart, they share places: a flood from many addresses costs bounded
/// memory, and some of those who come during it are refused for others.
#[derive(Debug)]
pub struct Rated {
    limiter: RateLimiter<u64, HashMapStateStore<u64>, DefaultClock>,
    hasher: RandomState,
    swept: Mutex<Instant>,
}

impl Rated {
    pub fn new(per_second: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::hashmap(Quota::per_second(per_second)),
            hasher: RandomState::new(),
            swept: Mutex::new(Instant::now()),
        }
    }

    /// Whether the address may come now; if so, it has.
    pub fn admits(&self, ip: IpAddr) -> bool {
        let hash = self.hasher.hash_one(source(ip));
        self.sweep();
        let is_told_apart = self.limiter.len() < ADDRESSES_MAX;
        let key = if is_told_apart { hash } else { hash % ADDRESSES_SHARED };
        self.limiter.check_key(&key).is_ok()
    }

    /// Forgets those who have not come for as long as it matters.
    fn sweep(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() >= ADDRESSES_SWEEP {
            *swept = Instant::now();
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_from_everywhere_is_remembered_in_bounded_memory() {
        let rated = Rated::new(NonZeroU32::MIN);
        let addresses = u32::try_from(ADDRESSES_MAX).unwrap() * 4;
        for address in 0..addresses {
            rated.admits(std::net::Ipv4Addr::from_bits(address).into());
        }
        let shared = usize::try_from(ADDRESSES_SHARED).unwrap();
        assert!(rated.limiter.len() <= ADDRESSES_MAX + shared, "{}", rated.limiter.len());
    }

    #[test]
    fn an_address_without_connections_is_forgotten() {
        let counted = Arc::new(Counted::new(NonZeroUsize::MIN));
        let seat = counted.take([192, 0, 2, 1].into()).unwrap();
        assert!(counted.take([192, 0, 2, 1].into()).is_none());
        drop(seat);
        assert!(counted.open.lock().unwrap().is_empty());
    }
}
