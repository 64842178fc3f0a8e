//! A cache's usage on disk, over kills and years.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::fs;
use std::path::Path;

use memtide_records::usage::{Counts, HourUsage, Sample, SourceId, UsageLog, UsageQuery, csv};

const HOUR: u64 = 3_600;
const A: SourceId = SourceId { number: u64::MAX, began_ms: 1 };
const ALL: UsageQuery = UsageQuery { from_secs: 0, to_secs: u64::MAX };

fn counts(commands: u64) -> Counts {
    Counts { ecpu_units: 1_024 * commands, commands, bytes_in: 30 * commands, ..Counts::default() }
}

fn open(directory: &Path) -> UsageLog {
    let (log, faults) = UsageLog::open(directory).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    log
}

fn commands(log: &UsageLog) -> Vec<(u64, u64)> {
    let hours = log.query(&ALL).unwrap();
    hours.iter().map(|it| (it.hour / HOUR, it.commands)).collect()
}

#[test]
fn a_kill_costs_what_came_since_the_last_flush_and_nothing_is_counted_twice() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    log.heard(100, A, counts(50));
    log.flush(100).unwrap();
    log.heard(101, A, counts(70));
    assert_eq!(commands(&log), [(0, 70)], "told before it is flushed");
    drop(log);

    // Killed; the source, another process, goes on and tells its whole count.
    let mut log = open(home.path());
    assert_eq!(commands(&log), [(0, 50)]);
    log.heard(HOUR + 5, A, counts(90));
    assert_eq!(commands(&log), [(0, 50), (1, 40)]);
    log.flush(HOUR + 5).unwrap();
    drop(log);

    // Killed with its source: another source counts from nothing.
    let mut log = open(home.path());
    log.heard(HOUR + 9, SourceId { number: 7, began_ms: 2 }, counts(3));
    assert_eq!(commands(&log), [(0, 50), (1, 43)]);
}

#[test]
fn a_torn_flush_costs_itself_and_no_more() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    for said in 1..=3 {
        log.heard(said, A, counts(10 * said));
        log.flush(said).unwrap();
    }
    drop(log);
    let flushes = fs::read_dir(home.path()).unwrap().map(|it| it.unwrap().path());
    let file = flushes.into_iter().find(|it| it.to_str().unwrap().contains("flushes")).unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 7]).unwrap();
    let (mut log, faults) = UsageLog::open(home.path()).unwrap();
    assert_eq!(faults.len(), 1);
    assert_eq!(commands(&log), [(0, 20)]);
    log.heard(9, A, counts(31));
    assert_eq!(commands(&log), [(0, 31)], "the source tells it again");
}

/// The hours on the lines after it have what it added, so that its sources may not tell it again.
#[test]
fn a_damaged_flush_costs_no_hour_and_nothing_is_counted_twice_for_it() {
    let home = tempfile::tempdir().unwrap();
    let b = SourceId { number: 3, began_ms: 7 };
    let mut log = open(home.path());
    for (now, source, said) in [(1, A, 10), (2, b, 100), (3, A, 30)] {
        log.heard(now, source, counts(said));
        log.flush(now).unwrap();
    }
    drop(log);
    let flushes = fs::read_dir(home.path()).unwrap().map(|it| it.unwrap().path());
    let file = flushes.into_iter().find(|it| it.to_str().unwrap().contains("flushes")).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let second = text.lines().nth(1).unwrap();
    fs::write(&file, text.replace(second, &second.replace("100", "900"))).unwrap();
    let (mut log, faults) = UsageLog::open(home.path()).unwrap();
    assert_eq!((faults.len(), commands(&log)), (1, vec![(0, 130)]));
    for (source, said, expected) in [(b, 100, 130), (A, 31, 131), (b, 105, 136)] {
        log.heard(9, source, counts(said));
        assert_eq!(commands(&log), [(0, expected)], "{source:?}");
    }
}

#[test]
fn hours_stay_for_long_within_bounds_and_are_found_by_time() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let sample = Sample { data_bytes: 1 << 30, ..Sample::default() };
    // Days, a flush an hour at its end, and a start anew every 60 hours.
    for hour in 0..300 {
        log.sampled(hour * HOUR, sample);
        log.sampled(hour * HOUR + 10, sample);
        log.heard(hour * HOUR + 20, A, counts((hour + 1) * 5));
        log.flush(hour * HOUR + 30).unwrap();
        if hour % 60 == 59 {
            drop(log);
            log = open(home.path());
        }
    }
    let all = commands(&log);
    assert_eq!(all.len(), 300);
    assert!(all.iter().enumerate().all(|(hour, it)| *it == (hour as u64, 5)));
    let query = UsageQuery { from_secs: 50 * HOUR, to_secs: 52 * HOUR };
    let two = log.query(&query).unwrap();
    assert_eq!(two.iter().map(|it| it.hour).collect::<Vec<_>>(), [50 * HOUR, 51 * HOUR]);
    let on_disk: u64 =
        fs::read_dir(home.path()).unwrap().map(|it| it.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk < 300 * 700, "{on_disk} bytes");
}

#[test]
fn usage_is_told_as_json_and_csv() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let sample = Sample { data_bytes: 1 << 29, data_bytes_min: 1 << 30, ecpu_per_second_min: 0 };
    log.sampled(HOUR, sample);
    log.sampled(HOUR + 10, sample);
    log.heard(HOUR + 11, A, counts(2));
    let hours: Vec<HourUsage> = log.query(&ALL).unwrap();
    let json = serde_json::to_string(&hours).unwrap();
    assert_eq!(
        json,
        r#"[{"hour":3600,"seconds":10,"ecpu_units":2048,"ecpu_units_metered":2048,"data_bytes_average":536870912,"byte_seconds":5368709120,"byte_seconds_metered":10737418240,"commands":2,"throttled_commands":0,"bytes_in":60,"bytes_out":0}]"#
    );
    let row = csv(&hours).lines().nth(1).unwrap().to_owned();
    assert_eq!(row, "1970-01-01T01:00:00Z,10,2.000,2.000,0.001388,0.002777,536870912,2,0,60,0");
}
