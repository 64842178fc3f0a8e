use std::collections::{BTreeMap, BTreeSet};

/// One scrape of a Prometheus endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    families: BTreeSet<String>,
    /// The text as it came, for promtool and for failure messages.
    pub text: String,
}

impl Metrics {
    /// Reads the text exposition format.
    ///
    /// # Panics
    /// When a line is none of it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self { text: text.to_owned(), ..Self::default() };
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let name = rest.split(' ').next().expect("a split has a first part");
                metrics.families.insert(name.to_owned());
            }
            if line.starts_with('#') {
                continue;
            }
            let (series, value) =
                line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
            let value = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
            metrics.samples.insert(series.to_owned(), value);
        }
        metrics
    }

    /// The value of one series, written as in the text: `name` or `name{label="value"}`.
    #[must_use]
    pub fn get(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// The sum over all series of this name, whatever their labels; `None` where there is none.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> = self
            .samples
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .map(|(_, value)| *value)
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The names that have a `# TYPE` line.
    #[must_use]
    pub const fn families(&self) -> &BTreeSet<String> {
        &self.families
    }

    /// How many series there are.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.samples.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_exposition_format() {
        let text = "# HELP a b c\n# TYPE a counter\na{x=\"1 2\"} 3\na{x=\"y\"} 4.5\nb 1e3\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.get("a{x=\"1 2\"}"), Some(3.0));
        assert_eq!(metrics.sum("a"), Some(7.5));
        assert_eq!(metrics.get("b"), Some(1000.0));
        assert_eq!(metrics.sum("c"), None);
        assert!(metrics.families().contains("a"));
    }
}
