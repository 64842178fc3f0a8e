//! The executor in the scaler's loop: what it sees, and who does what it wants.
//!
//! ```text
//! manager, sessions, spares, limits, provisioner --Sight--> Executor --Effect--> manager, spares: at once
//!                                                              ^                 provisioner, disk: tasks
//!                                                              +-----Answer------------+
//! ```
//! Nothing here is waited for by the loop: a provisioner or a disk that hangs holds up what is planned, and
//! no failover.

mod alone;
mod drive;
mod explained;
mod rates;
mod record;
mod sight;
mod spares;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use memtide_control::Capacity;
use memtide_executor::{CallId, Executor, Instance, Record, Settings, Source, Supplied};
use memtide_planner::Amounts;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use self::alone::{Alone, Granted};
pub use self::drive::tell;
pub use self::explained::Explained;
use self::rates::Rates;
pub use self::spares::Spares;
use crate::documents::Documents;
use crate::{Order, Provisioner, Scaling, StoreError, Supply};

/// Between two looks, where no node may be full before.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Runs an executor.
#[derive(Debug)]
pub struct Driver {
    executor: Executor,
    provisioner: Option<Arc<dyn Provisioner>>,
    documents: Arc<dyn Documents>,
    answers: mpsc::UnboundedSender<Answer>,
    rates: Rates,
    looked: Option<Duration>,
    /// The last look.
    took: Duration,
    explained: watch::Sender<Option<Arc<Explained>>>,
    tasks: JoinSet<()>,
}

/// What comes back to the executor.
#[derive(Debug)]
pub enum Answer {
    Stored(u64, Result<(), String>),
    Call(CallId, Result<(), String>),
}

/// What others see and hear of a driver.
pub type Ends = (mpsc::UnboundedSender<Answer>, watch::Sender<Option<Arc<Explained>>>);

/// What the executor of the time before has written down, as far as it is still of use.
///
/// # Errors
/// Where it cannot be read.
pub async fn load(
    scaling: &Scaling,
    documents: &dyn Documents,
) -> Result<Option<Record>, StoreError> {
    // What ended with the scaler before is not waited for.
    let is_lasting = scaling.provisioner.as_ref().is_none_or(|it| it.outlives_scaler());
    if is_lasting { record::load(documents).await } else { Ok(None) }
}

impl Driver {
    /// One that goes on with what was written down.
    pub fn new(
        scaling: &Scaling,
        documents: Arc<dyn Documents>,
        record: Option<Record>,
        (answers, explained): Ends,
    ) -> Self {
        let provisioner = scaling.provisioner.clone();
        let settings =
            Settings { policy: scaling.policy.clone(), spares_per_zone: scaling.spares_per_zone };
        // The number names the instances of one that begins.
        let record = record.unwrap_or_else(|| Record::new(RandomState::new().hash_one(4_u8)));
        let mut executor = Executor::new(settings, record);
        for order in provisioner.iter().flat_map(|it| it.running()) {
            executor.has(order.instance.clone(), running(order));
        }
        Self {
            executor,
            provisioner,
            documents,
            answers,
            rates: Rates::default(),
            looked: None,
            took: Duration::ZERO,
            explained,
            tasks: JoinSet::new(),
        }
    }

    /// Whether a process of this name may not become a node.
    pub fn turns_away(&mut self, instance: &str) -> bool {
        self.executor.turns_away(instance)
    }

    fn supplies(&self) -> Vec<Supplied> {
        let all = self.provisioner.as_ref().map(|it| it.supplies()).unwrap_or_default();
        all.into_iter().map(supplied).collect()
    }
}

fn supplied(supply: Supply) -> Supplied {
    let Supply { kind, zone, capacity, memory_min, nodes, ready_in, names, there } = supply;
    let Capacity { memory, cpu, ecpu, network } = capacity;
    let capacity = Amounts { memory, ecpu, cpu, network };
    let source = Source::Provisioner;
    Supplied { source, kind, zone, capacity, memory_min, nodes, ready_in, names, there }
}

/// Why a process is turned away.
pub fn not_wanted(instance: &str) -> String {
    format!("{instance} is not wanted any more: it came too late, or something else took its place")
}

fn running(order: Order) -> Instance {
    let Order { kind, zone, memory, is_spare, .. } = order;
    Instance { is_spare, ..Instance::running(kind, zone, memory) }
}
