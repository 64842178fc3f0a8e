//! Against real members of etcd.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use memtide_etcd::{Access, Config, Endpoint, Op};
use memtide_testkit::{Etcd, PATIENCE, Signal};
use memtide_topology::{
    Change, CopyConfig, HashSeed, NodeId, NodeInfo, SLOTS, SlotConfig, Update, Zone,
};
use tokio::task::JoinHandle;

use super::*;
use crate::documents::Documents as _;
use crate::store::file;
use crate::{StoreError, Stored, TopologyStore as _};

/// As a scaler with this number has it, of these members.
fn shared(ports: &[u16], number: u16) -> Shared {
    let endpoint =
        |port: &u16| Endpoint { is_tls: false, host: "127.0.0.1".to_owned(), port: *port };
    let endpoints = ports.iter().map(endpoint).collect();
    let client = Client::new(Config { endpoints, access: Access::default() });
    let me = Leader {
        address: format!("scaler-{number}:11213"),
        admin: format!("scaler-{number}:9151"),
        process: number.to_string(),
    };
    Shared::new(client, ("/memtide/", &CacheId::default()), me, Events::new())
}

async fn leading(etcd: &Etcd, number: u16) -> Shared {
    let shared = shared(&etcd.ports(), number);
    lead(&shared, number).await;
    shared
}

/// Leads by a lease that is longer than a test: nobody keeps it alive here.
async fn lead(shared: &Shared, number: u16) {
    let lease = shared.0.client.grant(i64::from(number), 600, PATIENCE).await.unwrap();
    assert_eq!(shared.campaign_by((crate::now(), &lease), None).await, Ok(Campaign::Won));
}

/// Whoever led is taken the lead from, as by an etcd that did not hear of it for too long.
async fn take_lead(from: &Shared) {
    let lease = from.0.fence.lease().unwrap();
    from.0.client.revoke(lease, PATIENCE).await.unwrap();
}

fn first() -> Arc<Topology> {
    Arc::new(Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap())
}

fn after(topology: &Topology, replicas: u8) -> Arc<Topology> {
    let changes = vec![Change::SetReplicas { replicas }];
    Arc::new(topology.apply(&Update { parent: topology.epoch(), changes }).unwrap())
}

#[tokio::test]
async fn what_is_stored_is_loaded_by_the_next_one_and_only_follows_its_parent() {
    let etcd = Etcd::start(1);
    let store = leading(&etcd, 1).await;
    assert_eq!(store.load().await.unwrap(), None);
    let (one, two) = (first(), after(&first(), 1));
    assert_eq!(store.compare_and_set(None, Arc::clone(&one)).await.unwrap(), Stored::Done);
    let done = store.compare_and_set(Some(one.epoch()), Arc::clone(&two)).await;
    assert_eq!(done.unwrap(), Stored::Done);
    assert_eq!(*store.watch().borrow(), Some(Arc::clone(&two)));
    let other = after(&one, 2);
    let conflict = store.compare_and_set(Some(one.epoch()), other).await.unwrap();
    assert_eq!(conflict, Stored::Conflict(Some(Arc::clone(&two))));
    store.resign().await;
    let next = leading(&etcd, 2).await;
    assert_eq!(next.load().await.unwrap(), Some(Arc::clone(&two)));
    let conflict = next.compare_and_set(None, one).await.unwrap();
    assert_eq!(conflict, Stored::Conflict(Some(two)));
}

#[tokio::test]
async fn who_does_not_lead_any_more_changes_nothing_however_late_it_notices() {
    let etcd = Etcd::start(1);
    let deposed = leading(&etcd, 1).await;
    let one = first();
    deposed.load().await.unwrap();
    deposed.compare_and_set(None, Arc::clone(&one)).await.unwrap();
    deposed.write(Document::Scaling, Some(b"old".to_vec())).await.unwrap();
    take_lead(&deposed).await;
    // Though nobody else leads yet.
    let refused = deposed.compare_and_set(Some(one.epoch()), after(&one, 1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Deposed), "{refused}");
    let leads = leading(&etcd, 2).await;
    leads.load().await.unwrap();
    let two = after(&one, 2);
    leads.compare_and_set(Some(one.epoch()), Arc::clone(&two)).await.unwrap();
    for _ in 0..2 {
        let refused = deposed.compare_and_set(Some(one.epoch()), after(&one, 1)).await;
        assert!(!matches!(refused, Ok(Stored::Done)), "{refused:?}");
        let refused = deposed.write(Document::Scaling, Some(b"late".to_vec())).await.unwrap_err();
        assert!(matches!(refused, StoreError::Deposed), "{refused}");
        let refused = deposed.write(Document::Scaling, None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Deposed), "{refused}");
    }
    assert_eq!(leads.load().await.unwrap(), Some(two));
    assert_eq!(leads.read(Document::Scaling).await.unwrap(), Some(b"old".to_vec()));
    leads.write(Document::Scaling, Some(b"new".to_vec())).await.unwrap();
    assert_eq!(deposed.campaign(None).await, Ok(Campaign::Lost));
    assert_eq!(leads.campaign(None).await, Ok(Campaign::Lost), "its own, and given up");
}

#[tokio::test]
async fn a_try_whose_answer_was_lost_is_done_once_and_known_by_what_is_there() {
    let etcd = Etcd::start(1);
    let store = leading(&etcd, 1).await;
    store.load().await.unwrap();
    store.read(Document::Scaling).await.unwrap();
    let one = first();
    // As if it had been carried out, and nobody was told.
    let put = |key: String, value: Vec<u8>| {
        let (client, op) = (store.0.client.clone(), Op::Put(key, value.into(), None));
        async move { client.transact((&[], &[op]), &[], PATIENCE).await.unwrap() }
    };
    put(store.0.keys.topology(), file::encode(&one)).await;
    let done = store.compare_and_set(None, Arc::clone(&one)).await.unwrap();
    assert_eq!(done, Stored::Done);
    put(store.0.keys.document(Document::Scaling), b"record".to_vec()).await;
    store.write(Document::Scaling, Some(b"record".to_vec())).await.unwrap();
    put(store.0.keys.document(Document::Scaling), b"of a try before".to_vec()).await;
    store.write(Document::Scaling, Some(b"next".to_vec())).await.unwrap();
    assert_eq!(store.read(Document::Scaling).await.unwrap(), Some(b"next".to_vec()));
    store.write(Document::Scaling, None).await.unwrap();
    store.write(Document::Scaling, None).await.unwrap();
    assert_eq!(store.read(Document::Scaling).await.unwrap(), None);
}

#[tokio::test]
async fn limits_that_are_set_take_the_place_of_those_that_were_known_and_of_no_others() {
    let etcd = Etcd::start(1);
    let leads = leading(&etcd, 1).await;
    let set = async |text: &'static [u8], known| {
        leads.set_limits(Bytes::from_static(text), known).await.unwrap()
    };
    let LimitsSet::Done(one) = set(b"one", 0).await else { panic!("nothing was there") };
    let there = LimitsSet::Not(LimitsThere { text: Some(b"one".to_vec()), revision: one });
    assert_eq!(set(b"two", 0).await, there);
    assert_eq!(set(b"one", 0).await, LimitsSet::Done(one), "as if its answer was lost");
    assert!(matches!(set(b"two", one).await, LimitsSet::Done(two) if two > one));
    take_lead(&leads).await;
    let refused = leads.set_limits(Bytes::from_static(b"late"), one).await.unwrap_err();
    assert!(matches!(refused, StoreError::Deposed), "{refused}");
}

#[tokio::test]
async fn a_campaign_whose_answer_was_lost_is_won_by_the_try_after_it() {
    let etcd = Etcd::start(1);
    let mine = shared(&etcd.ports(), 1);
    let lease = mine.0.client.grant(7, 60, PATIENCE).await.unwrap();
    let by = (Duration::ZERO, &lease);
    assert_eq!(mine.campaign_by(by, None).await, Ok(Campaign::Won));
    let fence = mine.0.fence.created().unwrap();
    mine.0.fence.leave();
    assert_eq!(mine.campaign_by(by, None).await, Ok(Campaign::Won));
    assert_eq!(mine.0.fence.created(), Some(fence));
    mine.load().await.unwrap();
    assert_eq!(mine.compare_and_set(None, first()).await.unwrap(), Stored::Done);
}

#[tokio::test]
async fn whose_lease_was_over_leads_on_only_where_nobody_else_has_since() {
    let etcd = Etcd::start(1);
    let mine = leading(&etcd, 1).await;
    mine.load().await.unwrap();
    let fence = mine.0.fence.created().unwrap();
    take_lead(&mine).await;
    assert_eq!(mine.keep(fence).await, Some(Campaign::Won));
    assert_ne!(mine.0.fence.created(), Some(fence), "by another fence");
    assert_eq!(mine.compare_and_set(None, first()).await.unwrap(), Stored::Done);
    let fence = mine.0.fence.created().unwrap();
    take_lead(&mine).await;
    let other = leading(&etcd, 2).await;
    other.resign().await;
    assert_eq!(mine.keep(fence).await, Some(Campaign::Lost), "though nobody leads now");
}

/// Follows, until it is dropped.
struct Following(JoinHandle<()>);

impl Following {
    fn of(shared: &Shared) -> Self {
        let shared = shared.clone();
        Self(tokio::spawn(async move { shared.follow().await }))
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn until(shared: &Shared, is_so: impl FnMut(&Seen) -> bool) -> Seen {
    let mut seen = shared.seen();
    let seen = tokio::time::timeout(PATIENCE, seen.wait_for(is_so)).await;
    seen.unwrap_or_else(|_| panic!("seen is {:?}", shared.seen().borrow())).unwrap().clone()
}

#[tokio::test]
async fn who_follows_hears_who_leads_and_what_was_compacted_while_its_member_was_stopped() {
    let etcd = Etcd::start(3);
    let ports = etcd.ports();
    let follower = shared(&ports[..1], 9);
    let _following = Following::of(&follower);
    until(&follower, |seen| seen.is_read && seen.leader.is_none()).await;
    let one = leading(&etcd, 1).await;
    let seen = until(&follower, |seen| seen.leader.is_some()).await;
    assert_eq!(seen.leader.unwrap().0, one.0.me);
    one.load().await.unwrap();
    let topology = first();
    one.compare_and_set(None, Arc::clone(&topology)).await.unwrap();
    let mut watched = follower.watch();
    let stored = watched.wait_for(|it| it.as_ref() == Some(&topology));
    tokio::time::timeout(PATIENCE, stored).await.unwrap().unwrap();
    etcd.signal(0, Signal::STOP);
    until(&follower, |seen| seen.away.is_some()).await;
    let two = shared(&ports[1..], 2);
    take_lead(&shared_with_fence(&one, &two)).await;
    lead(&two, 2).await;
    two.write(Document::Limits, Some(b"limits".to_vec())).await.unwrap();
    let snapshot = two.0.client.read(&two.0.keys.all, PATIENCE).await.unwrap();
    let compacted = etcd.ctl_of(1, &["compact", &snapshot.revision.to_string()]);
    assert!(compacted.contains("compacted"), "{compacted}");
    // To be read anew, and not to be watched for ever.
    tokio::time::timeout(PATIENCE, two.watch_from(1)).await.unwrap();
    etcd.signal(0, Signal::CONT);
    let is_there = |seen: &Seen| seen.limits.text.as_deref() == Some(&b"limits"[..]);
    let seen = until(&follower, |seen| is_there(seen) && seen.away.is_none()).await;
    assert_eq!(seen.leader.unwrap().0, two.0.me);
}

/// As where etcd was put back to a snapshot, in which it was stored by an earlier revision.
#[tokio::test]
async fn what_is_loaded_is_what_is_there_also_where_that_is_older_than_what_was() {
    let etcd = Etcd::start(1);
    let store = leading(&etcd, 1).await;
    let one = first();
    store.compare_and_set(None, Arc::clone(&one)).await.unwrap();
    let two = after(&one, 1);
    store.stored(two, i64::MAX);
    assert_eq!(store.load().await.unwrap(), Some(Arc::clone(&one)));
    let done = store.compare_and_set(Some(one.epoch()), after(&one, 2)).await.unwrap();
    assert_eq!(done, Stored::Done);
}

/// So by a watch it could be asked for without end.
#[tokio::test]
async fn what_has_happened_may_be_more_than_fits_into_a_message() {
    let etcd = Etcd::start(1);
    let store = leading(&etcd, 1).await;
    let since = store.0.client.read(&store.0.keys.all, PATIENCE).await.unwrap().revision;
    let value = vec![7; memtide_etcd::limits::REQUEST_BYTES_MAX - 1_000];
    let puts = memtide_etcd::limits::MESSAGE_BYTES_MAX / value.len() + 1;
    let op = Op::Put(store.0.keys.document(Document::Scaling), value.into(), None);
    for _ in 0..puts {
        store.0.client.transact((&[], std::slice::from_ref(&op)), &[], PATIENCE).await.unwrap();
    }
    let why = tokio::time::timeout(PATIENCE, store.watch_from(since)).await.unwrap();
    assert!(why.contains("the watch of etcd ended"), "{why}");
}

/// The fence of one, by the members of the other.
fn shared_with_fence(one: &Shared, two: &Shared) -> Shared {
    let shared = Shared::new(
        two.0.client.clone(),
        ("/memtide", &CacheId::default()),
        one.0.me.clone(),
        Events::new(),
    );
    let lease = memtide_etcd::Lease { id: one.0.fence.lease().unwrap(), term: Duration::ZERO };
    shared.0.fence.take(one.0.fence.created().unwrap(), Duration::ZERO, &lease);
    shared
}

#[tokio::test]
async fn members_that_are_lost_cost_no_more_than_time() {
    let mut etcd = Etcd::start(3);
    let store = leading(&etcd, 1).await;
    store.load().await.unwrap();
    let one = first();
    store.compare_and_set(None, Arc::clone(&one)).await.unwrap();
    etcd.signal(0, Signal::STOP);
    let two = after(&one, 1);
    let mut tries = 0;
    let done = loop {
        tries += 1;
        match store.compare_and_set(Some(one.epoch()), Arc::clone(&two)).await {
            Ok(done) => break done,
            Err(error) => assert!(matches!(error, StoreError::Etcd(_)) && tries < 20, "{error}"),
        }
    };
    assert_eq!(done, Stored::Done);
    etcd.signal(0, Signal::CONT);
    etcd.kill(1);
    let three = after(&two, 2);
    let done = loop {
        match store.compare_and_set(Some(two.epoch()), Arc::clone(&three)).await {
            Ok(done) => break done,
            Err(error) => assert!(matches!(error, StoreError::Etcd(_)), "{error}"),
        }
    };
    assert_eq!(done, Stored::Done);
}

/// A thousand nodes with long names, two replicas of each slot in two zones more, and epochs as after years.
fn large() -> Topology {
    let mut parts = Topology::new(CacheId::default(), HashSeed::new(1, 2), 2).unwrap().into_parts();
    let base = 1 << 40;
    parts.epoch = memtide_topology::Epoch::new(base + (1 << 20));
    let node = |number: u64| NodeId::new(base + number);
    parts.nodes = (0..1_000)
        .map(|number| {
            let address =
                format!("memtide-engine-{number}.memtide.default.svc.cluster.local:11214");
            let zone = Zone::new(&format!("europe-west4-{}", number % 3));
            let info =
                NodeInfo { address, zone: zone.unwrap(), memory_max: 1 << 36, is_draining: false };
            (node(number), info)
        })
        .collect::<BTreeMap<_, _>>();
    let epoch = |slot: u16| memtide_topology::Epoch::new(base + u64::from(slot));
    let slot = |slot: u16| {
        let first = u64::from(slot) % 998;
        let copy = |node: NodeId| CopyConfig { node, since: epoch(slot), is_in_sync: true };
        Arc::new(SlotConfig {
            epoch: epoch(slot),
            born: epoch(slot),
            primary: Some(node(first)),
            copies: vec![copy(node(first + 1)), copy(node(first + 2))],
        })
    };
    parts.slots = (0..SLOTS).map(slot).collect();
    Topology::from_parts(parts).unwrap()
}

#[tokio::test]
async fn a_thousand_nodes_fit_into_a_request_of_etcd() {
    let large = Arc::new(large());
    let bytes = file::encode(&large).len();
    println!("{bytes} bytes");
    assert!(bytes < memtide_etcd::limits::REQUEST_BYTES_MAX / 2, "{bytes} bytes");
    let etcd = Etcd::start(1);
    let store = leading(&etcd, 1).await;
    store.load().await.unwrap();
    assert_eq!(store.compare_and_set(None, Arc::clone(&large)).await.unwrap(), Stored::Done);
    store.resign().await;
    assert_eq!(leading(&etcd, 2).await.load().await.unwrap(), Some(large));
}
