//! The executor in the scaler's loop: what it sees, and who does what it wants.
//!
//! ```text
//! manager, sessions, spares, limits, provisioner --Sight--> Executor --Effect--> manager, spares: at once
//!                                                              ^                 provisioner, disk: tasks
//!                                                              +-----Answer------------+
//! ```
//! Nothing here is waited for by the loop: a provisioner or a disk that hangs holds up what is planned, and
//! no failover.

mod drive;
mod explained;
mod rates;
mod record;
mod sight;
mod spares;

use std::sync::Arc;
use std::time::Duration;

use memtide_control::Capacity;
use memtide_executor::{CallId, Executor, Instance, Record, Settings, Source, Supplied};
use memtide_planner::Amounts;
use tokio::sync::{mpsc, watch};

pub use self::explained::Explained;
use self::rates::Rates;
use self::record::RecordFile;
pub use self::spares::Spares;
use crate::{Order, Provisioner, Scaling, StoreError, Supply};

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The same, where a node's memory is nearly all taken: clients may store much more in a second.
const LOOK_SOON: Duration = Duration::from_millis(200);

/// Whether that is so. Nodes that hold copies evict from seven eighths on; one that is full stays so.
pub const fn is_filling(before: u64, used: u64, memory_max: u64) -> bool {
    used > memory_max / 4 * 3 && used > before.saturating_add(memory_max / 64)
}

/// Runs an executor.
#[derive(Debug)]
pub struct Driver {
    executor: Executor,
    provisioner: Option<Arc<dyn Provisioner>>,
    file: RecordFile,
    answers: mpsc::UnboundedSender<Answer>,
    rates: Rates,
    looked: Option<Duration>,
    explained: watch::Sender<Option<Arc<Explained>>>,
}

/// What comes back to the executor.
#[derive(Debug)]
pub enum Answer {
    Stored(u64, Result<(), String>),
    Call(CallId, Result<(), String>),
}

/// What others see and hear of a driver.
pub type Ends = (mpsc::UnboundedSender<Answer>, watch::Sender<Option<Arc<Explained>>>);

impl Driver {
    /// One that goes on with what is in a directory; `random` names the instances of one that begins there.
    pub fn new(
        scaling: &Scaling,
        dir: &std::path::Path,
        random: u64,
        (answers, explained): Ends,
    ) -> Result<Self, StoreError> {
        let file = RecordFile::of(dir);
        let provisioner = scaling.provisioner.clone();
        // What ended with the scaler before is not waited for.
        let is_lasting = provisioner.as_ref().is_none_or(|it| it.outlives_scaler());
        let record = if is_lasting { file.load()? } else { None };
        let settings =
            Settings { policy: scaling.policy.clone(), spares_per_zone: scaling.spares_per_zone };
        let record = record.unwrap_or_else(|| Record::new(random));
        let mut executor = Executor::new(settings, record);
        for order in provisioner.iter().flat_map(|it| it.running()) {
            executor.has(order.instance.clone(), running(order));
        }
        let (rates, looked) = (Rates::default(), None);
        Ok(Self { executor, provisioner, file, answers, rates, looked, explained })
    }

    /// Whether a process of this name may not become a node.
    pub fn is_unwanted(&self, instance: &str) -> bool {
        self.executor.is_unwanted(instance)
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
