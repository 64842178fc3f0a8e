use std::fs;

use prometheus::proto::MetricFamily;

use super::{
    Source,
    family::{counter_f64, gauge, gauges},
};

/// `memtide_build_info`: what is running, as labels of a gauge that is always 1.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The program's version.
    pub version: &'static str,
}

impl Source for BuildInfo {
    fn collect(&self) -> Vec<MetricFamily> {
        let help = "Always 1; the labels say which memtide runs.";
        vec![gauges("memtide_build_info", help, &["version"], [([self.version], 1.0)])]
    }
}

/// The process by Prometheus' standard names, read from `/proc/self`; empty on hosts without it.
///
/// Own code because the collector of the `prometheus` crate counts CPU time in whole seconds, which
/// makes a rate over a scrape interval useless.
#[derive(Clone, Copy, Debug)]
pub struct ProcessSource {
    ticks_per_second: f64,
    page_bytes: f64,
}

impl ProcessSource {
    /// This process.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "100 and 4,096 are exact")]
    pub fn new() -> Self {
        Self {
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            page_bytes: rustix::param::page_size() as f64,
        }
    }

    /// From the texts of `/proc/self/stat` and of `/proc/stat`; see proc(5) for the fields.
    fn of_stat(self, stat: &str, host_stat: &str) -> Option<Vec<MetricFamily>> {
        // The second field is the program's name in parentheses and may itself contain any byte.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = |number| Some(field(number)? / self.ticks_per_second);
        let boot = host_stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: f64 = boot.trim().parse().ok()?;
        Some(vec![
            counter_f64(
                "process_cpu_seconds_total",
                "User and system CPU time spent, in seconds.",
                ticks(14)? + ticks(15)?,
            ),
            gauge("process_threads", "Threads of the process.", field(20)?),
            gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since the Unix epoch.",
                boot + ticks(22)?,
            ),
            gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.", field(23)?),
            gauge(
                "process_resident_memory_bytes",
                "Resident memory, in bytes.",
                field(24)? * self.page_bytes,
            ),
        ])
    }

    fn of_descriptors() -> Vec<MetricFamily> {
        let mut families = Vec::new();
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            let open = u32::try_from(open.count()).unwrap_or(u32::MAX);
            let help = "Open file descriptors.";
            // Reading the directory has one open itself.
            families.push(gauge("process_open_fds", help, f64::from(open.saturating_sub(1))));
        }
        let max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        #[expect(clippy::cast_precision_loss, reason = "Prometheus counts in doubles")]
        let max = max.map_or(f64::INFINITY, |max| max as f64);
        families.push(gauge("process_max_fds", "Most file descriptors that may be open.", max));
        families
    }
}

impl Default for ProcessSource {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for ProcessSource {
    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Self::of_descriptors();
        if let (Ok(stat), Ok(host)) =
            (fs::read_to_string("/proc/self/stat"), fs::read_to_string("/proc/stat"))
        {
            families.extend(self.of_stat(&stat, &host).unwrap_or_default());
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_name_may_look_like_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 3 0 500 4096000 10 1";
        let source = ProcessSource { ticks_per_second: 100.0, page_bytes: 4096.0 };
        let families = source.of_stat(stat, "cpu 1 2\nbtime 1000\n").unwrap();
        let values: Vec<(&str, f64)> = families
            .iter()
            .map(|family| {
                let metric = &family.get_metric()[0];
                (family.name(), metric.get_counter().get_value() + metric.get_gauge().get_value())
            })
            .collect();
        assert_eq!(
            values,
            [
                ("process_cpu_seconds_total", 1.75),
                ("process_threads", 3.0),
                ("process_start_time_seconds", 1005.0),
                ("process_virtual_memory_bytes", 4_096_000.0),
                ("process_resident_memory_bytes", 40_960.0),
            ]
        );
        assert_eq!(source.of_stat("7 (a) S 1", "btime 1000\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_all_of_them() {
        assert_eq!(ProcessSource::new().collect().len(), 7);
    }
}
