//! What an endpoint keeps in its data directory: what happened, and what was used.

use std::sync::Arc;

use memtide_limits::Succession;
use memtide_proxy::{Observer, Work};
use memtide_records::usage::{Counts, Sample, SourceId};
use memtide_service::admin::RoleRoutes;
use memtide_service::events::Events;
use memtide_service::metrics::Source;

use super::behind::Behind;
use super::fleet::Stored;
use crate::failure::Failure;
use crate::limits::KeptLimits;
use crate::records::Records;
use crate::settings::{Backend, EndpointConfig, Role};
use crate::usage::{Keeping, Looks, Usage};

/// See the module; to be held as long as the process lives.
pub struct Kept {
    pub events: Events,
    /// Of a proxy.
    pub succession: Option<Succession>,
    /// `None` of a proxy: its scaler has the whole cache's.
    usage: Option<Usage>,
    faults: Vec<String>,
    _records: Records,
}

impl Kept {
    /// Goes on with what the last process has kept.
    ///
    /// # Errors
    /// What the system says of the directory.
    pub fn open(config: &EndpointConfig) -> Result<Self, Failure> {
        let is_proxy = matches!(config.backend, Backend::Joined(_));
        let role = if is_proxy { Role::Proxy } else { Role::Serve };
        let records = Records::open(&config.common.data_dir, role)?;
        let (events, mut faults) = records.events(role)?;
        let succession = is_proxy.then(|| records.succeed()).transpose();
        let succession = succession.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let usage = match is_proxy {
            true => None,
            false => {
                let (usage, of_usage) = Usage::open(&records.path)?;
                faults.extend(of_usage);
                Some(usage)
            }
        };
        Ok(Self { events, succession, usage, faults, _records: records })
    }

    /// Once there is a log.
    pub fn log_faults(&self) {
        for fault in &self.faults {
            tracing::warn!("{fault}");
        }
    }

    /// Has usage kept until the result is dropped.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn keep_usage(
        &self,
        stock: &Stock,
        limits: Option<&KeptLimits>,
    ) -> std::io::Result<Option<Keeping>> {
        let (Some(usage), Some(limits)) = (&self.usage, limits) else { return Ok(None) };
        let source = SourceId(crate::random());
        let (counting, sampled, limits) = (stock.clone(), stock.clone(), limits.clone());
        let looks = Looks {
            counts: Box::new(move || vec![(source, counts(counting.observer.work()))]),
            sample: Box::new(move || {
                sampled.stored().map(|stored| Sample {
                    data_bytes: stored.data_bytes,
                    data_bytes_min: limits.metered_bytes_min(),
                    ecpu_per_second_min: limits.now().ecpu_per_second.min,
                })
            }),
        };
        usage.keep(looks).map(Some)
    }

    /// What `/metrics` shows of it.
    pub fn metrics(&self) -> Option<Arc<dyn Source>> {
        self.usage.clone().map(|usage| Arc::new(usage) as _)
    }

    /// What the admin HTTP tells of it, beside events.
    pub fn routes(&self) -> RoleRoutes {
        self.usage.as_ref().map(Usage::routes).unwrap_or_default()
    }
}

fn counts(work: Work) -> Counts {
    Counts {
        ecpu_units: work.ecpu_units,
        commands: work.commands,
        throttled_commands: work.throttled_commands,
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
                evicted: node.evicted,
                byte_seconds: node.metered_byte_seconds,
            }),
            None => self.behind.stored(),
        }
    }
}
