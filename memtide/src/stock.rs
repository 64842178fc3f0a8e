//! What a cache stores, as the scaler of this process hears it from its nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memtide_records::usage::Sample;
use memtide_scaler::ScalerHandle;
use memtide_service::metrics::{Source, counter, gauge};
use memtide_topology::NodeId;
use prometheus::proto::MetricFamily;
use tokio::time::{MissedTickBehavior, interval};

use crate::limits::KeptLimits;

/// What a cache stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub items: u64,
    pub data_bytes: u64,
    /// Metered data over time, since the start.
    pub byte_seconds: u64,
}

impl Stored {
    /// As the nodes that are up said last: each item counts where its primary is.
    pub fn of(scaler: &ScalerHandle) -> Self {
        let status = scaler.status();
        let up = status.nodes.iter().filter(|node| !node.view.state.is_down());
        up.filter_map(|node| node.usage).fold(Self::default(), |sum, usage| Self {
            items: sum.items + usage.items.saturating_sub(usage.copy_items),
            data_bytes: sum.data_bytes + usage.data_bytes.saturating_sub(usage.copy_bytes),
            byte_seconds: 0,
        })
    }

    /// What of it is metered.
    pub fn sample(&self, limits: &KeptLimits) -> Sample {
        Sample {
            data_bytes: self.data_bytes,
            data_bytes_min: limits.metered_bytes_min(),
            ecpu_per_second_min: limits.now().ecpu_per_second.min,
        }
    }
}

/// Items that nodes have evicted, as far as this process saw it.
#[derive(Debug, Default)]
pub struct Evictions {
    /// What each node said last.
    said: BTreeMap<NodeId, u64>,
    total: u64,
}

impl Evictions {
    /// How many they are now. What a node had evicted when it was first heard of is no news.
    pub fn look(&mut self, scaler: &ScalerHandle) -> u64 {
        let status = scaler.status();
        let said = status.nodes.iter().filter_map(|it| Some((it.view.node, it.usage?.evicted)));
        self.hear(said)
    }

    fn hear(&mut self, said: impl Iterator<Item = (NodeId, u64)>) -> u64 {
        let before = std::mem::take(&mut self.said);
        for (node, evicted) in said {
            let known = before.get(&node).copied().unwrap_or(evicted);
            self.total += evicted.saturating_sub(known);
            self.said.insert(node, evicted);
        }
        self.total
    }
}

/// Metered data over time; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metered(Arc<AtomicU64>);

impl Metered {
    /// In byte-seconds, since the start.
    pub fn byte_seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts for ever: each second with what is stored at its end, at least the minimum.
    pub async fn sample(self, scaler: ScalerHandle, limits: KeptLimits) {
        let mut interval = interval(Duration::from_secs(1));
        // A second that came late counts all the same.
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        interval.tick().await;
        loop {
            interval.tick().await;
            // It is metered where it is led, and once.
            if scaler.standby().is_some() {
                continue;
            }
            let bytes = Stored::of(&scaler).data_bytes.max(limits.metered_bytes_min());
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// What is stored, as metrics.
pub struct StockMetrics {
    pub scaler: ScalerHandle,
    pub metered: Metered,
}

impl Source for StockMetrics {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
    fn collect(&self) -> Vec<MetricFamily> {
        let stored = Stored::of(&self.scaler);
        let mut families = vec![counter(
            "memtide_metered_byte_seconds_total",
            "Data stored over time, the configured minimum included; 3600 * 2^30 are a GB-hour.",
            self.metered.byte_seconds(),
        )];
        if self.scaler.standby().is_some() {
            return families;
        }
        families.extend([
            gauge("memtide_items", "Items stored (CloudWatch: CurrItems).", stored.items as f64),
            gauge(
                "memtide_cache_used_bytes",
                "Bytes of the items stored (CloudWatch: BytesUsedForCache).",
                stored.data_bytes as f64,
            ),
        ]);
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scaler that is started anew hears of nodes that have evicted for days.
    #[test]
    fn evictions_are_those_since_a_node_was_first_heard_of() {
        let mut evictions = Evictions::default();
        let mut look = |said: &[(u64, u64)]| {
            evictions.hear(said.iter().map(|(node, evicted)| (NodeId::new(*node), *evicted)))
        };
        assert_eq!(look(&[]), 0);
        assert_eq!(look(&[(1, 900)]), 0);
        assert_eq!(look(&[(1, 905), (2, 50)]), 5);
        assert_eq!(look(&[(2, 51)]), 6, "a node has ended");
        assert_eq!(look(&[(2, 51)]), 6);
    }
}
