//! Which processes follow each other in one directory.
//!
//! That an earlier one has ended is what the lock says, and the lock says so only to processes that
//! see the same file by the same kernel. So a copy of the directory, and the same one on another
//! host or after a boot, begins a line of its own.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use memtide_limits::Succession;
use serde::{Deserialize, Serialize};

/// Linux's name for this boot of this kernel (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the file has.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    lock: Lock,
    line: u64,
    generation: u64,
}

/// Which lock the process held.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    boot: String,
    device: u64,
    inode: u64,
}

/// The next one in the place that this lock, which must be held, keeps others out of. It has begun
/// when this returns, also where the process ends at once.
///
/// # Errors
/// Why it is not known, as a sentence.
pub fn next(path: &Path, lock: &File) -> Result<Succession, String> {
    let wrong = |error: io::Error| {
        format!(
            "{}: {error}; the part of the limit that this process is granted will stay set aside for a minute if it is killed",
            path.display()
        )
    };
    let lock = Lock::of(lock).map_err(wrong)?;
    let before = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let kept = match before {
        Some(Kept { lock: before, line, generation }) if before == lock => {
            Kept { lock, line, generation: generation.saturating_add(1) }
        }
        _ => Kept { lock, line: crate::random().max(1), generation: 1 },
    };
    store(path, &kept).map_err(wrong)?;
    Ok(Succession { line: kept.line, generation: kept.generation })
}

impl Lock {
    fn of(lock: &File) -> io::Result<Self> {
        let boot = fs::read_to_string(BOOT_ID)?.trim().to_owned();
        let (device, inode) = lock.metadata().map(|it| (it.dev(), it.ino()))?;
        Ok(Self { boot, device, inode })
    }
}

/// Not synced: what the machine forgets when it fails is of another boot.
fn store(path: &Path, kept: &Kept) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    fs::write(&beside, serde_json::to_vec(kept)?)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_hold_the_same_lock_follow_each_other_and_a_copy_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("a.json"), dir.path().join("b.json"));
        let lock = |name: &str| File::create(dir.path().join(name)).unwrap();
        let first = next(&path, &lock("a")).unwrap();
        let second = next(&path, &lock("a")).unwrap();
        assert_eq!((first.generation, second.generation), (1, 2));
        assert_eq!(first.line, second.line);
        fs::copy(&path, &copy).unwrap();
        let other = next(&copy, &lock("b")).unwrap();
        assert!(other.line != first.line && other.generation == 1);
        let third = next(&path, &lock("a")).unwrap();
        assert_eq!((third.line, third.generation), (first.line, 3));
        fs::write(&path, "{").unwrap();
        let anew = next(&path, &lock("a")).unwrap();
        assert!(anew.line != first.line && anew.generation == 1);
        let missing = dir.path().join("none/a.json");
        assert!(next(&missing, &lock("a")).unwrap_err().contains("none/a.json"));
    }
}
