//! A log on a real disk: cut, damaged, full, killed.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use memtide_records::{
    BYTES_MAX_MIN, Fault, FaultKind, Follow, Log, LogError, Policy, RECORD_BYTES_MAX, Scan,
};

const NAME: &str = "events";
const SMALL: Policy = Policy { bytes_max: BYTES_MAX_MIN, segments: 4 };

fn open(directory: &Path) -> (Log<String>, Scan<String>) {
    Log::open(directory, NAME, SMALL).unwrap()
}

fn records(directory: &Path) -> Vec<String> {
    let scan = Scan::<String>::read(directory, NAME).unwrap();
    scan.entries.into_iter().map(|entry| entry.record).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn kinds(faults: &[Fault]) -> Vec<FaultKind> {
    faults.iter().map(|fault| fault.kind).collect()
}

#[test]
fn what_was_appended_is_there_after_the_process() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("made/when/needed");
    let (mut log, _) = open(&directory);
    assert_eq!(
        (log.append(10, &"one".into()).unwrap(), log.append(20, &"two".into()).unwrap()),
        (1, 2)
    );
    // As a process that is killed: nothing is closed or synced.
    std::mem::forget(log);
    let (mut log, scan) = open(&directory);
    assert!(scan.faults.is_empty());
    assert_eq!(scan.entries.len(), 2);
    assert_eq!(log.append(30, &"three".into()).unwrap(), 3);
    log.sync().unwrap();
    assert_eq!(records(&directory), ["one", "two", "three"]);
    let some = Scan::<String>::between(&directory, NAME, (20, 30)).unwrap();
    assert_eq!(some.entries.iter().map(|it| it.sequence).collect::<Vec<_>>(), [2]);
}

/// A process that was killed, or a host that lost power, at any byte of a write.
#[test]
fn a_tail_cut_at_any_byte_is_cut_off_reported_and_written_over() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    log.append(1, &"first".into()).unwrap();
    let whole = log.bytes();
    log.append(2, &"the one that is cut".into()).unwrap();
    let file = files(home.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    for end in usize::try_from(whole).unwrap()..bytes.len() {
        fs::write(&file, &bytes[..end]).unwrap();
        let (mut log, scan) = open(home.path());
        let cut = end as u64 - whole;
        match cut {
            0 => assert!(scan.faults.is_empty()),
            _ => {
                let kind = FaultKind::Torn;
                assert_eq!(
                    scan.faults,
                    [Fault { file: file.clone(), offset: whole, bytes: cut, kind }]
                );
            }
        }
        assert_eq!(fs::metadata(&file).unwrap().len(), whole, "cut at {end}");
        log.append(3, &"next".into()).unwrap();
        assert_eq!(records(home.path()), ["first", "next"], "cut at {end}");
    }
}

/// What a file system may leave behind a line that was never written: a block of zeros.
#[test]
fn a_torn_tail_behind_many_damaged_lines_is_cut_off_and_reported() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    for number in 0..200 {
        log.append(number, &"to be damaged".into()).unwrap();
    }
    drop(log);
    let file = files(home.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes.iter_mut().filter(|byte| **byte == b'd').for_each(|byte| *byte = b'D');
    let whole = bytes.len();
    bytes.extend_from_slice(b"{\"crc\":\"torn");
    fs::write(&file, bytes).unwrap();
    let (mut log, scan) = open(home.path());
    assert_eq!((scan.faults_total, scan.entries.len()), (201, 0));
    assert_eq!(scan.faults.last().map(|it| it.kind), Some(FaultKind::Torn));
    assert_eq!(fs::metadata(&file).unwrap().len(), whole as u64);
    log.append(1, &"goes on".into()).unwrap();
    assert_eq!(records(home.path()), ["goes on"]);
}

#[test]
fn a_tail_of_zeros_is_a_torn_one() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    log.append(1, &"first".into()).unwrap();
    let file = files(home.path()).remove(0);
    OpenOptions::new().append(true).open(&file).unwrap().write_all(&[0; 4_096]).unwrap();
    let (mut log, scan) = open(home.path());
    assert_eq!(kinds(&scan.faults), [FaultKind::Torn]);
    log.append(2, &"second".into()).unwrap();
    assert_eq!(records(home.path()), ["first", "second"]);
}

#[test]
fn a_flipped_bit_costs_no_more_than_its_lines_and_is_reported() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    for record in ["a", "b", "c"] {
        log.append(1, &record.to_owned()).unwrap();
    }
    let file = files(home.path()).remove(0);
    let bytes = fs::read(&file).unwrap();
    let line = bytes.len() / 3;
    for bit in 8 * line..16 * line {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, &flipped).unwrap();
        let (mut log, scan) = open(home.path());
        assert!(!scan.faults.is_empty(), "bit {bit}");
        assert!(kinds(&scan.faults).iter().all(|kind| *kind == FaultKind::Damaged));
        // With its newline, a line takes the next one along.
        let is_newline = bit / 8 == 2 * line - 1;
        let left: &[&str] = if is_newline { &["a", "d"] } else { &["a", "c", "d"] };
        let sequence = log.append(4, &"d".into()).unwrap();
        assert!(sequence > 3 || is_newline && sequence == 3, "no sequence twice");
        assert_eq!(records(home.path()), left, "bit {bit}");
    }
}

#[test]
fn any_garbage_is_reported_and_never_fatal() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    log.append(1, &"first".into()).unwrap();
    let file = files(home.path()).remove(0);
    let mut garbage = fs::read(&file).unwrap();
    garbage.extend_from_slice(b"\n\n{}\n{\"crc\":\"\n\xff\xfe\n");
    // A line longer than any may be is passed over without being held.
    garbage.resize(garbage.len() + 3 * RECORD_BYTES_MAX, b'x');
    garbage.push(b'\n');
    fs::write(&file, &garbage).unwrap();
    let roomy = Policy { bytes_max: 4 << 20, segments: 4 };
    let (mut log, scan) = Log::<String>::open(home.path(), NAME, roomy).unwrap();
    assert_eq!(kinds(&scan.faults), [FaultKind::Damaged; 6]);
    log.append(2, &"last".into()).unwrap();
    assert_eq!(records(home.path()), ["first", "last"]);
    let text = scan.faults[0].to_string();
    assert!(
        text.contains("events-") && text.contains("a damaged line of 1 bytes at byte"),
        "{text}"
    );
}

#[test]
fn a_record_of_another_version_is_passed_over() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::<u64>::open(home.path(), NAME, SMALL).unwrap();
    log.append(1, &7).unwrap();
    let (mut log, scan) = open(home.path());
    assert_eq!(kinds(&scan.faults), [FaultKind::Unknown]);
    assert_eq!(log.append(2, &"text".into()).unwrap(), 2);
    assert_eq!(records(home.path()), ["text"]);
}

#[test]
fn it_stays_within_its_bound_and_keeps_the_newest() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    let record = "x".repeat(10_000);
    for number in 1..=1_000_u64 {
        assert_eq!(log.append(number, &record).unwrap(), number);
        let on_disk: u64 = files(home.path()).iter().map(|it| it.metadata().unwrap().len()).sum();
        assert!(on_disk <= SMALL.bytes_max && on_disk == log.bytes(), "{on_disk} bytes");
        assert!(files(home.path()).len() <= 5);
    }
    let (log, scan) = open(home.path());
    assert!(scan.faults.is_empty());
    let kept = scan.entries.len() as u64;
    assert!(
        kept >= SMALL.bytes_max / 10_100 * 3 / 4,
        "{kept} kept: at most one segment less than all"
    );
    assert!(scan.entries.iter().map(|it| it.sequence).eq(1_001 - kept..=1_000));
    assert_eq!(log.last(), 1_000);
}

#[test]
fn a_record_that_is_too_long_is_refused_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, _) = open(home.path());
    let error = log.append(1, &"x".repeat(RECORD_BYTES_MAX)).unwrap_err();
    assert!(matches!(error, LogError::TooLong { .. }), "{error}");
    assert_eq!(log.append(1, &"x".repeat(RECORD_BYTES_MAX - 100)).unwrap(), 1);
    assert_eq!(records(home.path()).len(), 1);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Log::<String>::open(&file.join("log"), NAME, SMALL).unwrap_err();
    assert!(error.to_string().contains("file/log"), "{error}");
}

#[test]
fn one_who_follows_gets_each_record_once_over_rotations_and_halves() {
    let home = tempfile::tempdir().unwrap();
    let mut follow = Follow::<String>::after(home.path(), NAME, 0);
    assert!(follow.poll().unwrap().is_empty(), "nothing there yet");
    let (mut log, _) = open(home.path());
    let mut expected = 1;
    for round in 0..60_u64 {
        for _ in 0..round % 4 {
            log.append(round, &"y".repeat(20_000)).unwrap();
        }
        for entry in follow.poll().unwrap() {
            assert_eq!(entry.sequence, expected);
            expected += 1;
        }
        assert_eq!(expected - 1, log.last());
    }
    assert!(files(home.path()).len() > 2, "over several segments");
    // A line that is being written is left for the next time.
    let newest = files(home.path()).pop().unwrap();
    let before = fs::read(&newest).unwrap();
    log.append(1, &"in two parts".into()).unwrap();
    let after = fs::read(&newest).unwrap();
    fs::write(&newest, &after[..before.len() + 20]).unwrap();
    assert!(follow.poll().unwrap().is_empty());
    fs::write(&newest, &after).unwrap();
    assert_eq!(follow.poll().unwrap()[0].record, "in two parts");
    // Who comes late gets what is still there; who knows a sequence, what is behind it.
    let mut late = Follow::<String>::after(home.path(), NAME, log.last() - 2);
    assert_eq!(late.poll().unwrap().len(), 2);
    let mut all = Follow::<String>::after(home.path(), NAME, 0);
    assert_eq!(all.poll().unwrap().len(), records(home.path()).len());
}

/// The error comes to who appends, the log stays whole, and goes on when there is room.
#[test]
fn a_full_disk_is_an_error_and_leaves_the_log_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let Some(_mounted) = Tmpfs::mount(home.path()) else {
        assert!(!rustix::process::geteuid().is_root(), "root can mount a tmpfs");
        return;
    };
    let (mut log, _) = open(home.path());
    let filler = home.path().join("filler");
    log.append(1, &"before".into()).unwrap();
    fs::write(&filler, vec![0; 200 * 1_024]).unwrap();
    let record = "z".repeat(20_000);
    let mut appended = 0;
    let error = loop {
        match log.append(2, &record) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    let LogError::File { path, problem } = &error else { panic!("{error}") };
    assert_eq!(problem.kind(), std::io::ErrorKind::StorageFull);
    assert!(path.starts_with(home.path()), "{error}");
    assert_eq!(log.last(), 1 + appended);
    let scan = Scan::<String>::read(home.path(), NAME).unwrap();
    assert!(scan.faults.is_empty(), "half a line is taken back: {:?}", scan.faults);
    fs::remove_file(filler).unwrap();
    assert_eq!(log.append(3, &"after".into()).unwrap(), 2 + appended);
    let records = records(home.path());
    assert_eq!((records.len() as u64, records.last().unwrap().as_str()), (2 + appended, "after"));
}

/// A file system of 256 KiB, as long as this lives.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Self> {
        let options = c"size=256k";
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", at, "tmpfs", flags, Some(options)).ok()?;
        Some(Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
