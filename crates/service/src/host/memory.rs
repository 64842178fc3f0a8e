use std::{
    fs,
    path::{Path, PathBuf},
};

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
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let mounts = read("proc/self/mountinfo");
    let mut limits = Vec::new();
    for line in read("proc/self/cgroup").lines() {
        // hierarchy-ID:controllers:path; see cgroups(7).
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|controller| controller == "memory") {
            continue;
        }
        // memory.high does not kill but slows down to a crawl: a limit like the other.
        let names: &[&str] =
            if is_v2 { &["memory.max", "memory.high"] } else { &["memory.limit_in_bytes"] };
        if let Some(mount) = mounts.lines().find_map(|line| CgroupMount::parse(line, is_v2)) {
            limits.extend(mount.limits(root, path, names));
        }
    }
    limits
}

struct CgroupMount<'a> {
    /// The cgroup that is seen at the mount point.
    root: &'a str,
    mount_point: &'a str,
}

impl<'a> CgroupMount<'a> {
    /// A line of /proc/self/mountinfo, if it mounts this hierarchy; see `proc_pid_mountinfo(5)`.
    fn parse(line: &'a str, is_v2: bool) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let is_ours = match filesystem.next()? {
            "cgroup2" => is_v2,
            "cgroup" => !is_v2 && filesystem.nth(1)?.split(',').any(|option| option == "memory"),
            _ => false,
        };
        let mut fields = mount.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        is_ours.then_some(Self { root, mount_point })
    }

    /// The limits of the cgroup `path` and of all above it that can be seen. A path outside what is
    /// mounted (a container that shares the host's cgroup namespace) means the mount's root.
    fn limits(&self, root: &Path, path: &str, names: &[&str]) -> Vec<AllowedMemory> {
        let prefix = self.root.trim_end_matches('/');
        let below =
            path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let top = root.join(self.mount_point.trim_start_matches('/'));
        let own = top.join(below.unwrap_or("").trim_start_matches('/'));
        let mut limits = Vec::new();
        for directory in own.ancestors().take_while(|directory| directory.starts_with(&top)) {
            for name in names {
                let file: PathBuf = directory.join(name);
                let text = fs::read_to_string(&file).unwrap_or_default();
                // v2 writes "max" for none; v1 a number beyond any host's memory.
                if let Ok(bytes) = text.trim().parse() {
                    let shown = Path::new("/").join(file.strip_prefix(root).unwrap_or(&file));
                    limits.push(AllowedMemory { bytes, limited_by: shown.display().to_string() });
                }
            }
        }
        limits
    }
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
