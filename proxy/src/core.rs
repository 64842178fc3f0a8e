//! One core: a thread with its own runtime, its connections, and what they share.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use memtide_execute::Executed;
use memtide_service::tls::Tls;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::mpsc;

use crate::admission::{self, Arrival, Port};
use crate::client_log::ClientLog;
use crate::clock::Clock;
use crate::config::Backend;
use crate::counters::CoreCounters;
use crate::execute::Executor;
use crate::fleet::{self, Fleet};
use crate::limits;
use crate::listener;
use crate::registry::{Patience, Registry};
use crate::shared::Shared;
use crate::spread;
use crate::throttle::Throttle;

/// Buffers that the connections of a core use in turn.
pub struct Scratch {
    /// What came from the socket.
    pub wire: Box<[u8]>,
    /// The same, decrypted.
    pub plain: Vec<u8>,
    /// Replies, before they are encrypted.
    pub replies: Vec<u8>,
}

impl Scratch {
    fn new() -> Self {
        let wire = vec![0; limits::READ_BYTES_MAX].into_boxed_slice();
        Self { wire, plain: Vec::new(), replies: Vec::new() }
    }

    /// Forgets the replies that were handed on, and gives back what a large one took.
    pub fn trim(&mut self) {
        self.replies.clear();
        self.replies.shrink_to(limits::SCRATCH_BYTES_KEPT);
        self.plain.shrink_to(limits::SCRATCH_BYTES_KEPT);
    }
}

/// What the connections of one core share; never leaves its thread.
pub struct Core {
    /// Its number.
    pub index: usize,
    /// The ways to all cores, while there is anything to hand over.
    pub peers: Vec<mpsc::WeakSender<Arrival>>,
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// Certificates, and what is agreed with clients.
    pub tls: Arc<Tls>,
    /// This core's counters; only this core writes them.
    pub counters: Arc<CoreCounters>,
    /// See [`Scratch`].
    pub scratch: RefCell<Scratch>,
    /// See [`Clock`].
    pub clock: Clock,
    /// What its clients do wrong.
    pub client_log: ClientLog,
    /// The open connections.
    pub registry: Rc<Registry>,
    /// Holds connections to the limit.
    pub throttle: Rc<Throttle>,
    /// The way to the nodes, where they are not in this process.
    pub fleet: Option<Rc<Fleet>>,
}

impl Core {
    /// What executes a batch of commands at this second.
    pub fn executor<'a>(&'a self, now_secs: u32, batch: &'a mut Executed) -> Executor<'a> {
        Executor::new(&self.shared, &self.counters, now_secs, batch)
    }

    /// Most bytes of an unfinished command.
    pub fn carry_bytes_max(&self) -> usize {
        self.shared.config.item_size_max as usize + limits::LINE_AND_FRAMING_BYTES_MAX
    }
}

/// A core that is to be started.
pub struct Seat {
    /// Its number.
    pub index: usize,
    /// What comes to it.
    pub incoming: mpsc::Receiver<Arrival>,
    /// The ways to all cores.
    pub peers: Vec<mpsc::WeakSender<Arrival>>,
    /// What only the first core has.
    pub doors: Option<Doors>,
}

/// The listening sockets, and the ways to the cores, which close with them.
pub struct Doors {
    /// Both ports'.
    pub listeners: Vec<(std::net::TcpListener, Port)>,
    /// By core.
    pub cores: Vec<mpsc::Sender<Arrival>>,
}

/// Starts a core's thread, which ends when the core has closed its last connection.
///
/// # Errors
/// Where the operating system gives no thread or no event queue.
pub fn spawn(shared: &Arc<Shared>, tls: &Arc<Tls>, seat: Seat) -> io::Result<JoinHandle<()>> {
    let (shared, tls) = (Arc::clone(shared), Arc::clone(tls));
    let (started, has_started) = std::sync::mpsc::sync_channel(1);
    let name = format!("memtide-core-{}", seat.index);
    let thread = std::thread::Builder::new().name(name).spawn(move || {
        let (runtime, result) = match build_runtime() {
            Ok(runtime) => (Some(runtime), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // Who waits for it does so until it comes.
        let _ = started.send(result);
        if let Some(runtime) = runtime {
            runtime.block_on(serve(shared, tls, seat));
        }
    })?;
    has_started.recv().map_err(io::Error::other)??;
    Ok(thread)
}

fn build_runtime() -> io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

async fn serve(shared: Arc<Shared>, tls: Arc<Tls>, seat: Seat) {
    let Seat { index, incoming, peers, doors } = seat;
    shared.spread.started(index, tokio::runtime::Handle::current().metrics());
    let backend = match &shared.config.backend {
        Backend::Embedded(_) => None,
        Backend::Fleet(backend) => Some(backend.clone()),
    };
    let fleet = backend.as_ref().map(|backend| Rc::new(Fleet::new(backend, &shared, index)));
    let core = Rc::new(Core {
        index,
        fleet: fleet.clone(),
        peers,
        counters: Arc::clone(&shared.counters[index]),
        throttle: Rc::new(Throttle::new(Arc::clone(&shared), index)),
        shared,
        tls,
        scratch: RefCell::new(Scratch::new()),
        clock: Clock::new(),
        client_log: ClientLog::default(),
        registry: Rc::default(),
    });
    let mut helpers = tokio::task::JoinSet::new();
    helpers.spawn_local(tick(Rc::clone(&core)));
    let throttle = Rc::clone(&core.throttle);
    helpers.spawn_local(async move { throttle.serve().await });
    if let (Some(backend), Some(fleet)) = (backend, fleet) {
        let time = Rc::clone(&fleet);
        helpers.spawn_local(async move { time.keep_time().await });
        helpers.spawn_local(fleet::follow(Rc::clone(&core), fleet, backend));
    }
    if let Some(Doors { listeners, cores }) = doors {
        for listener in listeners {
            helpers.spawn_local(listener::accept_loop(listener, Rc::clone(&core), cores.clone()));
        }
        if core.peers.len() > 1 {
            helpers.spawn_local(spread::run(Rc::clone(&core)));
        }
    }
    run(core, incoming).await;
}

/// Serves until the listeners are gone, which a drain begins with, and has each connection drained then, until the last one
/// is closed or the drain's time is over. Who hears goodbye finds nobody listening who would not serve it.
async fn run(core: Rc<Core>, mut incoming: mpsc::Receiver<Arrival>) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            arrival = incoming.recv() => match arrival {
                Some(arrival) => {
                    tasks.spawn_local(admission::welcome(Rc::clone(&core), arrival));
                }
                None => break,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
    core.registry.drain();
    tokio::select! {
        () = async { while tasks.join_next().await.is_some() {} } => {}
        () = core.shared.drain.stopped() => {}
    }
}

/// The core's housekeeping: the wall clock, overdue connections, and its share of the store's.
async fn tick(core: Rc<Core>) {
    let mut interval = tokio::time::interval(Duration::from_millis(250));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let patience = Patience {
        idle_secs: core.shared.config.idle_timeout.map(|limit| limit.as_secs().max(1)),
        stall_secs: limits::WRITE_STALL_MAX.as_secs(),
    };
    let mut given_back = Instant::now();
    loop {
        interval.tick().await;
        core.clock.adjust();
        core.shared.ticked(core.index);
        let now = Instant::now();
        core.throttle.tick(now);
        core.registry.kick_overdue(core.clock.age_secs(now), patience);
        if now.duration_since(given_back) >= limits::GIVE_BACK_INTERVAL {
            (core.shared.config.give_back_memory)();
            given_back = now;
        }
        if core.index == 0 {
            for _ in 0..limits::MAINTAIN_STEPS_MAX {
                if !core.shared.maintain(core.clock.unix_secs(now)) {
                    break;
                }
                tokio::task::yield_now().await;
            }
            core.shared.sample_data();
        }
    }
}
