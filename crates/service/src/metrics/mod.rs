//! Metrics, computed when scraped.
//!
//! The data path counts in plain per-core numbers; a [`Source`] turns them into Prometheus
//! families when `/metrics` is asked for. Nothing is published in between, so a scrape is the only
//! moment that metrics cost anything.

mod family;
mod process;

use std::sync::{Arc, Mutex, PoisonError};

pub use self::{
    family::{Bucketed, counter, counters, counters_f64, gauge, gauges, histograms},
    process::{BuildInfo, ProcessSource},
};
use prometheus::{TextEncoder, proto::MetricFamily};

/// Who can say numbers about itself. Called on the admin thread, at each scrape.
pub trait Source: Send + Sync {
    /// This source's families now. Two sources may give samples of the same name (with different
    /// labels, and the same type and help); they are merged.
    fn collect(&self) -> Vec<MetricFamily>;
}

/// The sources of a process; cheap to clone.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Arc<dyn Source>>>>);

impl Registry {
    /// No source yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `source` says to every scrape from now on.
    pub fn register(&self, source: Arc<dyn Source>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// All families, merged and sorted by name; those without a sample are left out.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut families: Vec<_> = sources.iter().flat_map(|source| source.collect()).collect();
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        families.dedup_by(|later, first| {
            let is_same = later.name() == first.name();
            if is_same {
                debug_assert_eq!(later.get_field_type(), first.get_field_type());
                first.mut_metric().append(later.mut_metric());
            }
            is_same
        });
        families
    }

    /// [`Registry::gather`] in Prometheus' text format.
    ///
    /// # Errors
    /// When a source gave a family without a name.
    pub fn encode(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.gather())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    struct Fixed(Vec<MetricFamily>);

    impl Source for Fixed {
        fn collect(&self) -> Vec<MetricFamily> {
            self.0.clone()
        }
    }

    fn check(sources: Vec<Vec<MetricFamily>>, expected: &Expect) {
        let registry = Registry::new();
        for families in sources {
            registry.register(Arc::new(Fixed(families)));
        }
        expected.assert_eq(&registry.encode().unwrap());
    }

    #[test]
    fn sources_are_merged_by_name() {
        check(
            vec![
                vec![counters("b_total", "Of b.", &["k"], [(["x"], 1)]), gauge("a", "Of a.", 0.5)],
                vec![counters("b_total", "Of b.", &["k"], [(["y"], 1 << 53)])],
                vec![counters::<1>("none_total", "Without a sample.", &["k"], [])],
            ],
            &expect![[r#"
                # HELP a Of a.
                # TYPE a gauge
                a 0.5
                # HELP b_total Of b.
                # TYPE b_total counter
                b_total{k="x"} 1
                b_total{k="y"} 9007199254740992
            "#]],
        );
    }

    #[test]
    fn histograms_are_cumulative() {
        let bucketed = Bucketed { counts: &[1, 0, 2], over: 4, sum: 1.25 };
        check(
            vec![vec![histograms(
                "h_seconds",
                "Of h.",
                &["port"],
                &[0.1, 0.2, 0.5],
                [(["11211"], bucketed)],
            )]],
            &expect![[r#"
                # HELP h_seconds Of h.
                # TYPE h_seconds histogram
                h_seconds_bucket{port="11211",le="0.1"} 1
                h_seconds_bucket{port="11211",le="0.2"} 1
                h_seconds_bucket{port="11211",le="0.5"} 3
                h_seconds_bucket{port="11211",le="+Inf"} 7
                h_seconds_sum{port="11211"} 1.25
                h_seconds_count{port="11211"} 7
            "#]],
        );
    }
}
