//! Prometheus families from plain numbers that were counted elsewhere.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use crate::counters::{LATENCY_BOUNDS_US, LatencyTotals};

/// Collects families in the order in which they are added.
#[derive(Debug, Default)]
pub struct Families(Vec<MetricFamily>);

/// The labels of one sample.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Families {
    /// What was added.
    pub fn into_inner(self) -> Vec<MetricFamily> {
        self.0
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.counters(name, help, &[(&[], value)]);
    }

    /// A counter with a sample for each set of labels.
    pub fn counters(&mut self, name: &str, help: &str, samples: &[(Labels<'_>, f64)]) {
        let metrics = samples.iter().map(|&(labels, value)| {
            let mut counter = Counter::default();
            counter.set_value(value);
            let mut metric = labelled(labels);
            metric.set_counter(counter);
            metric
        });
        self.family(name, help, MetricType::COUNTER, metrics.collect());
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauge_with(name, help, &[], value);
    }

    /// A gauge with one set of labels.
    pub fn gauge_with(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = labelled(labels);
        metric.set_gauge(gauge);
        self.family(name, help, MetricType::GAUGE, vec![metric]);
    }

    /// A histogram in seconds with a sample for each set of labels.
    pub fn latencies(&mut self, name: &str, help: &str, samples: &[(Labels<'_>, LatencyTotals)]) {
        let metrics = samples.iter().map(|(labels, latency)| {
            let mut metric = labelled(labels);
            metric.set_histogram(histogram(latency));
            metric
        });
        self.family(name, help, MetricType::HISTOGRAM, metrics.collect());
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        let mut family = MetricFamily::default();
        family.set_name(name.into());
        family.set_help(help.into());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pair = |&(name, value): &(&str, &str)| {
        let mut label = LabelPair::default();
        label.set_name(name.into());
        label.set_value(value.into());
        label
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are f64")]
fn histogram(latency: &LatencyTotals) -> Histogram {
    let mut count = 0;
    let mut buckets = Vec::with_capacity(LATENCY_BOUNDS_US.len());
    for (bound, commands) in LATENCY_BOUNDS_US.iter().zip(latency.buckets) {
        count += commands;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket.set_cumulative_count(count);
        buckets.push(bucket);
    }
    count += latency.buckets[LATENCY_BOUNDS_US.len()];
    let mut histogram = Histogram::default();
    histogram.set_sample_count(count);
    histogram.set_sample_sum(latency.sum_nanos as f64 / 1e9);
    histogram.set_bucket(buckets);
    histogram
}
