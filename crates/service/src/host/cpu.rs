use std::path::Path;

use super::cgroup::{self, Controller};

/// Thousandths of a core that this process may use: all that there are for it, or the lowest quota of a
/// cgroup (v1 or v2) that it is in, which may be part of one. At least 1.
#[must_use]
pub fn cpu_millis() -> u64 {
    cpu_millis_under(Path::new("/"), super::cores())
}

/// As [`cpu_millis`], by the file system below `root`.
fn cpu_millis_under(root: &Path, cores: usize) -> u64 {
    let v2 = Controller { name: "cpu", v2: &["cpu.max"], v1: &[] };
    let quotas = cgroup::limits(root, &v2).into_iter().filter_map(|limit| {
        // The quota and its period, both in microseconds; "max" for none.
        let (quota, period) = limit.text.split_once(' ')?;
        part(quota.parse().ok()?, period.parse().ok()?)
    });
    let files = |file: &'static [&'static str]| {
        let limits = cgroup::limits(root, &Controller { name: "cpu", v2: &[], v1: file });
        limits.into_iter().map(|limit| limit.text)
    };
    // The quota is -1 for none.
    let periods = files(&["cpu.cfs_period_us"]);
    let v1 = files(&["cpu.cfs_quota_us"])
        .zip(periods)
        .filter_map(|(quota, period)| part(quota.parse().ok()?, period.parse().ok()?));
    let all = u64::try_from(cores).unwrap_or(u64::MAX).saturating_mul(1000);
    quotas.chain(v1).chain([all]).min().unwrap_or(all).max(1)
}

fn part(quota: u64, period: u64) -> Option<u64> {
    quota.saturating_mul(1000).checked_div(period)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(files: &[(&str, &str)], expected: u64) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(cpu_millis_under(root.path(), 4), expected, "{files:?}");
    }

    #[test]
    fn the_lowest_quota_counts() {
        let v2 = ("proc/self/cgroup", "0::/pod/memtide\n");
        let v1 = ("proc/self/cgroup", "4:cpu,cpuacct:/pod\n0::/\n");
        let mount = |text| ("proc/self/mountinfo", text);
        let of_v2 = mount("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let of_v1 = mount("33 30 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
        let (pod, own) = ("sys/fs/cgroup/pod/cpu.max", "sys/fs/cgroup/pod/memtide/cpu.max");
        check(&[], 4000);
        check(&[v2, of_v2, (own, "max 100000\n")], 4000);
        check(&[v2, of_v2, (own, "50000 100000\n")], 500);
        check(&[v2, of_v2, (own, "150000 100000\n"), (pod, "25000 50000\n")], 500);
        check(&[v2, of_v2, (own, "900000 100000\n")], 4000);
        check(&[v2, of_v2, (own, "1 1000000\n")], 1);
        check(&[v2, of_v2, (own, "1 0\n")], 4000);
        let (quota, period) = ("sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us", "100000\n");
        let period = ("sys/fs/cgroup/cpu/pod/cpu.cfs_period_us", period);
        check(&[v1, of_v1, (quota, "-1\n"), period], 4000);
        check(&[v1, of_v1, (quota, "30000\n"), period], 300);
    }
}
