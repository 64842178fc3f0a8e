use std::fs;
use std::path::Path;

use super::cgroup::{self, Controller, LimitFile};

/// How much memory the process can really have, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedMemory {
    /// The lowest of all limits.
    pub bytes: u64,
    /// Whose it is: `host`, or the path of the cgroup's file.
    pub limited_by: String,
}

/// The memory that this process can have: the host's, or the lowest limit of a cgroup (v1 or v2)
/// that it is in. `None` where the host does not say (no `/proc`).
#[must_use]
pub fn allowed_memory() -> Option<AllowedMemory> {
    allowed_under(Path::new("/"))
}

/// As [`allowed_memory`], of the file system below `root`.
fn allowed_under(root: &Path) -> Option<AllowedMemory> {
    let host = AllowedMemory { bytes: host_bytes(root)?, limited_by: "host".to_owned() };
    cgroup_limits(root).into_iter().chain([host]).min_by_key(|limit| limit.bytes)
}

fn host_bytes(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn cgroup_limits(root: &Path) -> Vec<AllowedMemory> {
    // memory.high does not kill but slows down to a crawl: a limit like the other.
    let controller = Controller {
        name: "memory",
        v2: &["memory.max", "memory.high"],
        v1: &["memory.limit_in_bytes"],
    };
    let limits = cgroup::limits(root, &controller).into_iter();
    // v2 writes "max" for none; v1 a number beyond any host's memory.
    let read = limits.filter_map(|LimitFile { path, text }| {
        let bytes = text.parse().ok()?;
        Some(AllowedMemory { bytes, limited_by: path.display().to_string() })
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const V2: &str = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    const V1: &str = "33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    const V1_DOCKER: &str =
        "33 30 0:29 /docker/1f /sys/fs/cgroup/memory ro master:15 - cgroup cgroup rw,memory\n";

    fn check(files: &[(&str, &str)], expected: Option<(u64, &str)>) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let expected =
            expected.map(|(bytes, by)| AllowedMemory { bytes, limited_by: by.to_owned() });
        assert_eq!(allowed_under(root.path()), expected, "{files:?}");
    }

    #[test]
    fn the_lowest_limit_counts() {
        let host = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
        let v2 = ("proc/self/cgroup", "0::/app.slice/memtide.service\n");
        let v1 = ("proc/self/cgroup", "12:cpu:/x\n4:cpuset,memory:/docker/1f\n0::/\n");
        let mount = |text| ("proc/self/mountinfo", text);
        let slice = "sys/fs/cgroup/app.slice/memory.max";
        let service = "sys/fs/cgroup/app.slice/memtide.service/memory.max";
        let high = "sys/fs/cgroup/app.slice/memtide.service/memory.high";

        check(&[], None);
        check(&[host], Some((8 * GIB, "host")));
        check(&[host, v2, mount(V2), (service, "max\n")], Some((8 * GIB, "host")));
        check(
            &[host, v2, mount(V2), (service, "1073741824\n"), (slice, "2147483648\n")],
            Some((GIB, "/sys/fs/cgroup/app.slice/memtide.service/memory.max")),
        );
        check(
            &[host, v2, mount(V2), (service, "max\n"), (slice, "1073741824\n")],
            Some((GIB, "/sys/fs/cgroup/app.slice/memory.max")),
        );
        check(
            &[host, v2, mount(V2), (service, "max\n"), (high, "1073741824\n")],
            Some((GIB, "/sys/fs/cgroup/app.slice/memtide.service/memory.high")),
        );
        check(&[host, v2, mount(V2), (service, "99999999999999\n")], Some((8 * GIB, "host")));
        let of_v1 = "sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes";
        check(
            &[host, v1, mount(V1), (of_v1, "1073741824\n")],
            Some((GIB, "/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes")),
        );
        // Inside a container the same path is mounted as the root of the hierarchy.
        let in_container = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        check(
            &[host, v1, mount(V1_DOCKER), (in_container, "1073741824\n")],
            Some((GIB, "/sys/fs/cgroup/memory/memory.limit_in_bytes")),
        );
    }
}
