use std::fs;
use std::path::{Path, PathBuf};

/// A controller's limits, as files.
pub struct Controller {
    /// As /proc calls it.
    pub name: &'static str,
    /// Files of a cgroup v2 that say it.
    pub v2: &'static [&'static str],
    /// The same of v1.
    pub v1: &'static [&'static str],
}

/// A file with a limit.
pub struct LimitFile {
    /// Where, as the process sees it.
    pub path: PathBuf,
    /// What it says, trimmed.
    pub text: String,
}

/// What the cgroups (v1 or v2) that this process is in, and all above them, say of a controller, by the file
/// system below `root`.
pub fn limits(root: &Path, controller: &Controller) -> Vec<LimitFile> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let mounts = read("proc/self/mountinfo");
    let mut limits = Vec::new();
    for line in read("proc/self/cgroup").lines() {
        // hierarchy-ID:controllers:path; see cgroups(7).
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|it| it == controller.name) {
            continue;
        }
        let names = if is_v2 { controller.v2 } else { controller.v1 };
        let mount = |line| CgroupMount::parse(line, is_v2, controller.name);
        if let Some(mount) = mounts.lines().find_map(mount) {
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
    fn parse(line: &'a str, is_v2: bool, controller: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let is_ours = match filesystem.next()? {
            "cgroup2" => is_v2,
            "cgroup" => !is_v2 && filesystem.nth(1)?.split(',').any(|option| option == controller),
            _ => false,
        };
        let mut fields = mount.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        is_ours.then_some(Self { root, mount_point })
    }

    /// The limits of the cgroup `path` and of all above it that can be seen. A path outside what is
    /// mounted (a container that shares the host's cgroup namespace) means the mount's root.
    fn limits(&self, root: &Path, path: &str, names: &[&str]) -> Vec<LimitFile> {
        let prefix = self.root.trim_end_matches('/');
        let below =
            path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let top = root.join(self.mount_point.trim_start_matches('/'));
        let own = top.join(below.unwrap_or("").trim_start_matches('/'));
        let mut limits = Vec::new();
        for directory in own.ancestors().take_while(|directory| directory.starts_with(&top)) {
            for name in names {
                let file = directory.join(name);
                let text = fs::read_to_string(&file).unwrap_or_default().trim().to_owned();
                let path = Path::new("/").join(file.strip_prefix(root).unwrap_or(&file));
                limits.push(LimitFile { path, text });
            }
        }
        limits
    }
}
