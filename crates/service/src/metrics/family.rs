use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// A counter without labels. `name` ends in `_total`.
#[must_use]
pub fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    counters::<0>(name, help, &[], [([], value)])
}

/// A counter per set of label values; `label_names` and each sample's values are in one order.
///
/// Prometheus numbers are doubles: a count is exact up to 2^53.
#[must_use]
pub fn counters<'a, const N: usize>(
    name: &str,
    help: &str,
    label_names: &[&str; N],
    samples: impl IntoIterator<Item = ([&'a str; N], u64)>,
) -> MetricFamily {
    let samples = samples.into_iter().map(|(values, count)| (values, as_double(count)));
    counters_f64(name, help, label_names, samples)
}

/// A counter of seconds or of another quantity that is no integer. `name` ends in `_total`.
#[must_use]
pub(super) fn counter_f64(name: &str, help: &str, value: f64) -> MetricFamily {
    counters_f64::<0>(name, help, &[], [([], value)])
}

/// As [`counters`], of a quantity that is no integer.
#[must_use]
pub fn counters_f64<'a, const N: usize>(
    name: &str,
    help: &str,
    label_names: &[&str; N],
    samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
) -> MetricFamily {
    let metrics = samples.into_iter().map(|(values, value)| {
        let mut counter = Counter::default();
        counter.set_value(value);
        let mut metric = Metric::from_label(labels(label_names, &values));
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

/// A gauge without labels.
#[must_use]
pub fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    gauges::<0>(name, help, &[], [([], value)])
}

/// A gauge per set of label values; `label_names` and each sample's values are in one order.
#[must_use]
pub fn gauges<'a, const N: usize>(
    name: &str,
    help: &str,
    label_names: &[&str; N],
    samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
) -> MetricFamily {
    let metrics = samples.into_iter().map(|(values, value)| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(labels(label_names, &values));
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

/// One histogram's state: observations per bucket, not cumulative.
#[derive(Clone, Copy, Debug)]
pub struct Bucketed<'a> {
    /// As many as there are bounds: observations in (previous bound, this bound].
    pub counts: &'a [u64],
    /// Observations above the last bound.
    pub over: u64,
    /// The sum of all observations, in the unit of the bounds.
    pub sum: f64,
}

/// A histogram per set of label values.
///
/// `bounds` are the upper bounds of the buckets, ascending, in the unit that `name` ends in; the
/// bucket `+Inf` is added.
#[must_use]
pub fn histograms<'a, const N: usize>(
    name: &str,
    help: &str,
    label_names: &[&str; N],
    bounds: &[f64],
    samples: impl IntoIterator<Item = ([&'a str; N], Bucketed<'a>)>,
) -> MetricFamily {
    let metrics = samples.into_iter().map(|(values, bucketed)| {
        let mut metric = Metric::from_label(labels(label_names, &values));
        metric.set_histogram(histogram(bounds, &bucketed));
        metric
    });
    family(name, help, MetricType::HISTOGRAM, metrics.collect())
}

fn histogram(bounds: &[f64], bucketed: &Bucketed<'_>) -> Histogram {
    assert_eq!(bounds.len(), bucketed.counts.len(), "a count per bound");
    let mut cumulative = 0;
    let buckets = bounds.iter().zip(bucketed.counts).map(|(bound, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(cumulative + bucketed.over);
    histogram.set_sample_sum(bucketed.sum);
    histogram
}

fn labels(names: &[&str], values: &[&str]) -> Vec<LabelPair> {
    let pairs = names.iter().zip(values).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    pairs.collect()
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
fn as_double(count: u64) -> f64 {
    count as f64
}
