//! What an endpoint keeps in its data directory: what happened, and what was used.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use memtide_control::{Counted, ProxyControl};
use memtide_limits::Succession;
use memtide_proxy::{Observer, Work};
use memtide_records::usage::{Counts, SourceId};
use memtide_scaler::ScalerHandle;
use memtide_service::admin::RoleRoutes;
use memtide_service::events::Events;
use memtide_service::metrics::Source;

use super::behind::Behind;
use crate::failure::Failure;
use crate::limits::KeptLimits;
use crate::records::Records;
use crate::settings::{Backend, EndpointConfig, Role};
use crate::stock::{Evictions, Stored};
use crate::usage::{self, Keeping, Looks, Owed, Usage, counts_of, proxies};
use crate::watch::Look;

/// See the module; to be held as long as the process lives.
pub struct Kept {
    pub events: Events,
    /// Of a proxy.
    pub succession: Option<Succession>,
    used: Used,
    faults: Vec<String>,
    records: Records,
}

/// What was used.
enum Used {
    /// By the cache.
    All(Usage),
    /// By the clients of a proxy: its scaler has the whole cache's.
    Mine(Mutex<Option<Owed>>),
}

impl Kept {
    /// Goes on with what the last process has kept.
    ///
    /// # Errors
    /// What the system says of the directory.
    pub fn open(config: &EndpointConfig) -> Result<Self, Failure> {
        let is_proxy = matches!(config.backend, Backend::Joined(_));
        let role = if is_proxy { Role::Proxy } else { Role::Serve };
        let records = Records::open(&config.common.data_dir, &config.common.name, role)?;
        let (events, mut faults) = records.events(role)?;
        let succession = is_proxy.then(|| records.succeed()).transpose();
        let succession = succession.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let (used, of_usage) = if is_proxy {
            let (owed, faults) = Owed::open(&records.path)?;
            (Used::Mine(Mutex::new(Some(owed))), faults)
        } else {
            let (usage, faults) = Usage::open(&records.path)?;
            (Used::All(usage), faults)
        };
        faults.extend(of_usage);
        Ok(Self { events, succession, used, faults, records })
    }

    /// What is this process's alone.
    pub fn directory(&self) -> &Path {
        &self.records.path
    }

    /// Once there is a log.
    pub fn log_faults(&self) {
        for fault in &self.faults {
            tracing::warn!("{fault}");
        }
    }

    /// Has usage kept until the result is dropped; of a proxy, told to its scaler.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn keep_usage(
        &self,
        stock: &Stock,
        limits: Option<&KeptLimits>,
    ) -> std::io::Result<Option<Keeping>> {
        match (&self.used, limits, stock.behind.control()) {
            (Used::All(usage), Some(limits), _) => usage.keep(looks(stock, limits)).map(Some),
            (Used::Mine(owed), _, Some(control)) => {
                let owed = owed.lock().unwrap_or_else(PoisonError::into_inner).take();
                owed.map(|owed| tell(owed, stock.observer.clone(), control)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// What `/metrics` shows of it.
    pub fn metrics(&self) -> Option<Arc<dyn Source>> {
        self.usage().map(|usage| Arc::new(usage.clone()) as _)
    }

    /// What the admin HTTP tells of it, beside events.
    pub fn routes(&self) -> RoleRoutes {
        self.usage().map(Usage::routes).unwrap_or_default()
    }

    const fn usage(&self) -> Option<&Usage> {
        match &self.used {
            Used::All(usage) => Some(usage),
            Used::Mine(_) => None,
        }
    }
}

/// The cache's: what this process counts, and what proxies do that have joined its scaler.
fn looks(stock: &Stock, limits: &KeptLimits) -> Looks {
    let source = usage::source(crate::random());
    let joined = stock.behind.scaler().map(|scaler| scaler.proxy_counts());
    let (written, counting) = (joined.clone(), stock.observer.clone());
    let (sampled, limits) = (stock.clone(), limits.clone());
    Looks {
        counts: Box::new(move || {
            let mine = (source, counts_of(&counted(source.number, counting.work())));
            let joined = joined.as_ref().map(proxies::said).unwrap_or_default();
            std::iter::once(mine).chain(joined).collect()
        }),
        sample: Box::new(move || sampled.stored().map(|stored| stored.sample(&limits))),
        kept: Box::new(move |kept: &[(SourceId, Counts)]| {
            written.iter().for_each(|joined| proxies::wrote(joined, kept));
        }),
    }
}

/// Tells the scaler each second what this proxy has counted.
fn tell(
    mut owed: Owed,
    observer: Observer,
    control: Arc<ProxyControl>,
) -> std::io::Result<Keeping> {
    let process = control.process();
    Keeping::start(move |turn| {
        let counted = counted(process, observer.work());
        control.count(owed.turn(turn, counted, &control.written()));
    })
}

const fn counted(process: u64, work: Work) -> Counted {
    Counted {
        process,
        // Who tells it knows that.
        began_ms: 0,
        ecpu_units: work.ecpu_units,
        commands: work.commands,
        throttled_commands: work.throttled_commands,
        delayed_commands: work.delayed_commands,
        bytes_in: work.bytes_in,
        bytes_out: work.bytes_out,
    }
}

/// Sees what is stored, wherever that is.
#[derive(Clone)]
pub struct Stock {
    pub observer: Observer,
    pub behind: Arc<Behind>,
}

impl Stock {
    /// What is stored, each item once; `None` where this process does not know.
    pub fn stored(&self) -> Option<Stored> {
        match self.observer.usage().stored {
            Some(node) => Some(Stored {
                items: node.items,
                data_bytes: node.data_bytes,
                byte_seconds: node.metered_byte_seconds,
            }),
            None => self.behind.stored(),
        }
    }

    /// What is looked at once a second, where this process has so much memory for items.
    pub fn look(
        &self,
        (limits, memory_max): (Option<&KeptLimits>, u64),
        evictions: &mut Evictions,
    ) -> Look {
        let limits = limits.map(KeptLimits::now).unwrap_or_default();
        let (scaler, work) = (self.behind.scaler(), self.observer.work());
        let joined = scaler.as_ref().map(|scaler| scaler.proxy_counts().total());
        let joined = joined.unwrap_or_default();
        let room = scaler.as_ref().map_or(memory_max, ScalerHandle::room);
        let of_node = || self.observer.usage().stored.map_or(0, |node| node.evicted);
        Look {
            evicted: scaler.as_ref().map_or_else(of_node, |scaler| evictions.look(scaler)),
            cores: self.observer.check_cores(),
            data_bytes_max: Look::data_bytes_max(&limits, room),
            data_bytes: self.stored().map_or(0, |stored| stored.data_bytes),
            ecpu_per_second_max: limits.ecpu_per_second.max,
            ecpu_units: work.ecpu_units.saturating_add(joined.ecpu_units),
            throttled: (work.delayed_commands + work.throttled_commands)
                .saturating_add(joined.delayed_commands)
                .saturating_add(joined.throttled_commands),
            nodes: scaler.map(|scaler| scaler.topologies().borrow().nodes().len()),
        }
    }
}
