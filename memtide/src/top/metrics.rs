//! Prometheus' text format, as far as it is looked at.

/// What `/metrics` said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<Series>);

#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    labels: String,
    value: f64,
}

impl Metrics {
    /// Of those whose names begin with one of `prefixes`; lines that are none are passed over.
    pub fn parse(text: &str, prefixes: &[&str]) -> Self {
        let is_wanted = |line: &&str| prefixes.iter().any(|prefix| line.starts_with(prefix));
        let series = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let value = value.parse().ok()?;
            Some(Series { name: name.to_owned(), labels: labels.to_owned(), value })
        };
        Self(text.lines().filter(is_wanted).filter_map(series).collect())
    }

    /// All of this name that have these labels, added up; `None` where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |series: &Series| {
            let mut wanted = labels.iter().map(|(name, value)| format!("{name}=\"{value}\""));
            series.name == name && wanted.all(|label| series.labels.contains(&label))
        };
        let values: Vec<f64> = self.0.iter().filter(|it| has(it)).map(|it| it.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// A histogram's buckets of this label: upper bounds in order, the last one infinite, and how many are at
    /// most that. Empty where there is none.
    pub fn buckets(&self, name: &str, label: (&str, &str)) -> Vec<(f64, f64)> {
        let name = format!("{name}_bucket");
        let label = format!("{}=\"{}\"", label.0, label.1);
        let of_label = |it: &&Series| it.name == name && it.labels.contains(&label);
        let bucket = |series: &Series| {
            let (_, bound) = series.labels.split_once("le=\"")?;
            let bound = bound.split_once('"')?.0;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, series.value))
        };
        let mut buckets: Vec<_> = self.0.iter().filter(of_label).filter_map(bucket).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_added_up_by_label_and_buckets_are_in_order() {
        let text = "# HELP a_total x\na_total{k=\"x\",l=\"1\"} 3\na_total{k=\"x\",l=\"2\"} 4\na_total{k=\"y\"} 9\n\
                    b 1e3\nnothing\nh_bucket{kind=\"read\",le=\"+Inf\"} 5\nh_bucket{kind=\"read\",le=\"0.1\"} 2\n";
        let metrics = Metrics::parse(text, &["a_", "b", "h"]);
        assert_eq!(metrics.sum("a_total", &[]), Some(16.0));
        assert_eq!(metrics.sum("a_total", &[("k", "x")]), Some(7.0));
        assert_eq!(metrics.sum("a_total", &[("l", "2"), ("k", "x")]), Some(4.0));
        assert_eq!(metrics.sum("b", &[]), Some(1_000.0));
        assert_eq!(metrics.sum("c", &[]), None);
        assert_eq!(metrics.buckets("h", ("kind", "read")), [(0.1, 2.0), (f64::INFINITY, 5.0)]);
        assert!(metrics.buckets("h", ("kind", "write")).is_empty());
        assert_eq!(Metrics::parse(text, &["b"]).sum("a_total", &[]), None);
    }
}
