use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file of a log, named after its first sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub path: PathBuf,
    pub first: u64,
    pub bytes: u64,
}

const EXTENSION: &str = ".jsonl";

pub fn path(directory: &Path, name: &str, first: u64) -> PathBuf {
    directory.join(format!("{name}-{first:020}{EXTENSION}"))
}

/// The segments of a log, the oldest first. Other files are none of it.
pub fn list(directory: &Path, name: &str) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(segments),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(first) = entry.file_name().to_str().and_then(|file| first_of(file, name)) else {
            continue;
        };
        // Another process may just have removed it for room.
        match entry.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            metadata => {
                segments.push(Segment { path: entry.path(), first, bytes: metadata?.len() })
            }
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

fn first_of(file: &str, name: &str) -> Option<u64> {
    let digits = file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(EXTENSION)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_files_are_of_a_log() {
        let directory = tempfile::tempdir().unwrap();
        let ours = [7, 12].map(|first| path(directory.path(), "events", first));
        for path in ours.iter().rev() {
            fs::write(path, b"1234").unwrap();
        }
        for other in ["events-7.jsonl", "usage-00000000000000000001.jsonl", "events-x.jsonl", "x"] {
            fs::write(directory.path().join(other), b"").unwrap();
        }
        let found = list(directory.path(), "events").unwrap();
        let [a, b] = ours;
        assert_eq!(
            found,
            [Segment { path: a, first: 7, bytes: 4 }, Segment { path: b, first: 12, bytes: 4 }]
        );
        assert!(list(&directory.path().join("none"), "events").unwrap().is_empty());
    }
}
