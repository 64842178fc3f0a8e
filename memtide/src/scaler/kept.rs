//! What a scaler keeps of its cache: limits, usage, events.

use std::cell::Cell;

use memtide_records::usage::{Counts, Sample, SourceId};
use memtide_scaler::ScalerHandle;
use memtide_service::events::Events;

use crate::failure::Failure;
use crate::limits::KeptLimits;
use crate::records::Records;
use crate::settings::{Role, ScalerConfig};
use crate::stock::{Evictions, Stored};
use crate::usage::{Keeping, Looks, Usage, proxies};
use crate::watch::Look;

/// See the module; to be held as long as the process lives.
pub struct Kept {
    pub events: Events,
    pub limits: KeptLimits,
    pub usage: Usage,
    /// What could not be read of it, for the log.
    pub faults: Vec<String>,
    _records: Records,
}

impl Kept {
    /// Goes on with what the last process has kept.
    ///
    /// # Errors
    /// Where another process has the directory, and what the system says of it.
    pub fn open(config: &ScalerConfig) -> Result<Self, Failure> {
        let common = &config.common;
        let records = Records::open(&common.data_dir, &common.name, Role::Scaler)?;
        let (events, mut faults) = records.events(Role::Scaler)?;
        let (usage, of_usage) = Usage::open(&records.path)?;
        faults.extend(of_usage);
        let limits = match &config.etcd {
            None => KeptLimits::open(&records.path, config.limits, &events)?,
            Some(_) => KeptLimits::shared(config.limits, &events),
        };
        Ok(Self { events, limits, usage, faults, _records: records })
    }

    /// Has usage kept until the result is dropped: what proxies count, and what nodes store.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn keep_usage(&self, scaler: &ScalerHandle) -> std::io::Result<Keeping> {
        let (counting, written) = (scaler.proxy_counts(), scaler.proxy_counts());
        let (stored, limits) = (scaler.clone(), self.limits.clone());
        let (usage, led_since) = (self.usage.clone(), Cell::new(None));
        self.usage.keep(Looks {
            counts: Box::new(move || proxies::said_by_turns(&counting, &usage, &led_since)),
            sample: Box::new(move || sample(&stored, &limits)),
            kept: Box::new(move |kept: &[(SourceId, Counts)]| proxies::wrote(&written, kept)),
        })
    }

    /// What is looked at once a second.
    pub fn look(&self, scaler: &ScalerHandle) -> impl FnMut() -> Look + use<> {
        let (scaler, limits) = (scaler.clone(), self.limits.clone());
        let mut evictions = Evictions::default();
        move || {
            let (limits, counted) = (limits.now(), scaler.proxy_counts().total());
            Look {
                evicted: evictions.look(&scaler),
                cores: Ok(()),
                data_bytes: Stored::of(&scaler).data_bytes,
                data_bytes_max: Look::data_bytes_max(&limits, scaler.room()),
                ecpu_units: counted.ecpu_units,
                ecpu_per_second_max: limits.ecpu_per_second.max,
                throttled: counted.delayed_commands.saturating_add(counted.throttled_commands),
                nodes: match scaler.standby() {
                    None => Some(scaler.topologies().borrow().nodes().len()),
                    Some(_) => None,
                },
            }
        }
    }
}

/// One that stands still or by hears no nodes, and knows nothing.
fn sample(scaler: &ScalerHandle, limits: &KeptLimits) -> Option<Sample> {
    let is_heard = scaler.status().behind.is_none() && scaler.standby().is_none();
    is_heard.then(|| Stored::of(scaler).sample(limits))
}
