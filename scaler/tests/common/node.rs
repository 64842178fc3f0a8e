use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use memtide_control::{
    Adopted, Capacity, FromScaler, NodeControl, NodeUsage, Program, Registration, ToScaler,
};
use memtide_engine_core::replication::{CopyName, Report};
use memtide_service::tls::fleet::Role;
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{CacheId, Epoch, NodeId, Topology, Zone};
use tokio::sync::oneshot;

use super::{Fleet, Seen, note};

/// A node without data: every copy has all at once.
pub struct Node {
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    leave: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// All ids that it was welcomed by.
    ids: Vec<NodeId>,
    topology: Option<Arc<Topology>>,
    refused: Option<String>,
    /// Why it has no stream now.
    trouble: Option<String>,
}

/// For addresses that are nobody else's.
static PORT: AtomicU16 = AtomicU16::new(1_000);

impl Node {
    pub fn start(fleet: &Fleet, zone: &str, parent_token: Option<u64>) -> Self {
        let mut registration = registration(zone);
        registration.parent_token = parent_token;
        Self::start_as(fleet, registration)
    }

    pub fn stranger(fleet: &Fleet) -> Self {
        let mut registration = registration("a");
        registration.cache = CacheId::new("other").unwrap();
        Self::start_as(fleet, registration)
    }

    pub fn at(fleet: &Fleet, address: &str) -> Self {
        let mut registration = registration("a");
        registration.address = address.to_owned();
        Self::start_as(fleet, registration)
    }

    /// One of this name, which takes 4 GiB at most and begins with 64 MiB; its items are as many as its slots.
    pub fn instance(fleet: &Fleet, zone: &str, (instance, is_spare): (&str, bool)) -> Self {
        let mut registration = registration(zone);
        registration.memory_max = 64 << 20;
        registration.instance = instance.to_owned();
        registration.is_spare = is_spare;
        registration.capacity = Capacity { memory: 4 << 30, ..Capacity::default() };
        Self::start_as(fleet, registration)
    }

    fn start_as(fleet: &Fleet, registration: Registration) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (stop, stopped) = oneshot::channel();
        let (leave, leaves) = oneshot::channel();
        let (shared, seen) = (Arc::clone(&state), Arc::clone(&fleet.seen));
        let data = Arc::clone(&fleet.data);
        let (tls, endpoint) = (fleet.tls(Role::Node).client(), fleet.endpoint());
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                let here = tokio::runtime::Handle::current();
                let control = NodeControl::spawn(&here, vec![endpoint], &tls, registration);
                tokio::select! {
                    () = live(&control, &shared, (&seen, &data)) => {}
                    () = leave_once(&control, leaves) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::spawn(run);
        Self { state, stop: Some(stop), leave: Some(leave), thread: Some(thread) }
    }

    /// Waits until it is welcome.
    pub fn id(&self) -> NodeId {
        let first = || self.state.lock().unwrap().ids.first().copied();
        wait_until("the node to be welcome", PATIENCE, first)
    }

    /// Whoever it has been.
    pub fn ids(&self) -> Vec<NodeId> {
        self.state.lock().unwrap().ids.clone()
    }

    pub fn epoch(&self) -> Epoch {
        let state = self.state.lock().unwrap();
        state.topology.as_ref().map_or(Epoch::ZERO, |topology| topology.epoch())
    }

    /// Waits until it is refused for good; why, and the last topology before.
    pub fn refused(&self) -> (String, Option<Arc<Topology>>) {
        wait_until("the node to be refused", PATIENCE, || {
            let state = self.state.lock().unwrap();
            state.refused.clone().map(|why| (why, state.topology.clone()))
        })
    }

    /// Waits until it has no stream for a reason with these words.
    pub fn until_trouble(&self, words: &str) -> String {
        wait_until(&format!("the node to be told {words}"), PATIENCE, || {
            let trouble = self.state.lock().unwrap().trouble.clone();
            trouble.filter(|why| why.contains(words))
        })
    }

    /// Whether it was a node and is none any more, or was turned away: its process would end, or begin anew.
    pub fn is_over(&self) -> bool {
        let state = self.state.lock().unwrap();
        let known = state.ids.last().zip(state.topology.as_ref());
        let is_out = |(me, topology): (&NodeId, &Arc<Topology>)| {
            topology.epoch().number() >= me.number() && !topology.nodes().contains_key(me)
        };
        state.refused.is_some() || known.is_some_and(is_out)
    }

    /// Who it is, where it was ever welcome.
    pub fn last_id(&self) -> Option<NodeId> {
        self.state.lock().unwrap().ids.last().copied()
    }

    /// Whether it goes on, with what it has.
    pub fn lives_on(&self) -> bool {
        self.state.lock().unwrap().refused.is_none()
    }

    /// Says that it wants to leave.
    pub fn leave(&mut self) {
        let _ = self.leave.take().unwrap().send(());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a node failed");
        }
    }
}

fn registration(zone: &str) -> Registration {
    Registration {
        cache: CacheId::default(),
        node: None,
        zone: Zone::new(zone).unwrap(),
        address: format!("127.0.0.1:{}", PORT.fetch_add(1, Ordering::Relaxed)),
        memory_max: 1 << 30,
        parent_token: None,
        process: RandomState::new().hash_one(0),
        adopted: Adopted::default(),
        item_size_max: super::ITEM_SIZE_MAX,
        instance: String::new(),
        is_spare: false,
        capacity: Capacity::default(),
        program: Program { version: "0.2.0".to_owned(), wire_min: 1, wire_max: 2 },
    }
}

async fn leave_once(control: &NodeControl, leaves: oneshot::Receiver<()>) {
    if leaves.await.is_ok() {
        control.say(ToScaler::Leaving);
    }
    std::future::pending().await
}

async fn live(control: &NodeControl, shared: &Mutex<State>, (seen, data): (&Seen, &AtomicU64)) {
    let mut beats = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            heard = control.heard() => match heard {
                FromScaler::Welcome(node) => shared.lock().unwrap().ids.push(node),
                FromScaler::Topology(topology) => {
                    note(seen, &topology);
                    shared.lock().unwrap().topology = Some(topology);
                    report(control, shared);
                }
                // It holds no data.
                FromScaler::DataPart(_) => {}
                FromScaler::Refused(why) => {
                    shared.lock().unwrap().refused = Some(why);
                    return std::future::pending().await;
                }
            },
            _ = beats.tick() => {
                shared.lock().unwrap().trouble = control.trouble();
                let adopted = shared.lock().unwrap().topology.as_ref().map(|it| it.epoch());
                let usage = usage(&shared.lock().unwrap(), data.load(Ordering::Relaxed));
                let adopted = adopted.unwrap_or(Epoch::ZERO);
                control.say(ToScaler::Beat { adopted, usage });
                // What was said may have been lost.
                report(control, shared);
            }
        }
    }
}

/// Of a cache with so many bytes of items, its part.
fn usage(state: &State, data: u64) -> NodeUsage {
    let slots = state.ids.last().zip(state.topology.as_ref());
    let slots = slots.map_or(0, |(me, topology)| super::primaries(topology, *me) as u64);
    let data_bytes = data / 16_384 * slots;
    let usage = NodeUsage { items: 5, requests: 7, cpu_micros: 1_500_000, ..NodeUsage::default() };
    NodeUsage { memory_used: data_bytes, data_bytes, ..usage }
}

/// All learners of the node's slots have everything.
fn report(control: &NodeControl, shared: &Mutex<State>) {
    let state = shared.lock().unwrap();
    let (Some(me), Some(topology)) = (state.ids.last(), &state.topology) else { return };
    for (slot, config) in topology.slots().filter(|(_, config)| config.primary == Some(*me)) {
        for copy in config.copies.iter().filter(|copy| !copy.is_in_sync) {
            let name = CopyName { epoch: config.epoch, node: copy.node, since: copy.since };
            control.say(ToScaler::Report(Report::CaughtUp(slot, name)));
        }
    }
}
