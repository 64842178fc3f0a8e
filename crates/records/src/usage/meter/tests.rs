use proptest::prelude::*;

use super::*;

const A: SourceId = source(1);

/// They begin one after the other.
const fn source(number: u64) -> SourceId {
    SourceId { number, began_ms: number }
}

fn commands(commands: u64) -> Counts {
    Counts { commands, ecpu_units: commands * 1_024, ..Counts::default() }
}

fn total(meter: &Meter) -> u64 {
    meter.hours().map(|hour| hour.counts.commands).sum()
}

#[test]
fn what_is_said_again_or_late_is_not_counted_again() {
    let mut meter = Meter::new();
    for (now, said, expected) in [(10, 5, 5), (11, 5, 5), (12, 3, 5), (13, 9, 9)] {
        meter.heard(now, A, commands(said));
        assert_eq!(total(&meter), expected, "at {now}");
    }
    meter.heard(14, source(2), commands(4));
    assert_eq!(total(&meter), 13, "another process counts from nothing");
}

/// As where another scaler led until then, with a directory of its own.
#[test]
fn what_somebody_else_has_written_down_is_not_counted_again() {
    let mut meter = Meter::new();
    meter.heard(1, A, commands(5));
    meter.heard(1, source(50), commands(5));
    let before = meter.flush().unwrap();
    meter.flushed(&before);
    meter.missed(100);
    for (source_began, said, expected) in
        [(1, 900, 10), (100, 800, 10), (101, 7, 17), (1, 903, 20), (100, 801, 21)]
    {
        meter.heard(2, source(source_began), commands(said));
        assert_eq!(total(&meter), expected, "{source_began} has said {said}");
    }
    let after = meter.flush().unwrap();
    let mut again = Meter::new();
    [before, after].iter().for_each(|flush| again.restore(flush));
    again.heard(3, A, commands(904));
    again.heard(3, source(50), commands(900));
    assert_eq!(total(&again), 22);
}

#[test]
fn counts_are_of_the_hour_in_which_they_are_heard_also_when_a_clock_is_set_back() {
    let mut meter = Meter::new();
    for (now, said) in [(3_599, 1), (3_600, 3), (7_200, 7), (3_700, 15), (0, 31)] {
        meter.heard(now, A, commands(said));
    }
    let hours: Vec<_> = meter.hours().map(|it| (it.hour, it.counts.commands)).collect();
    assert_eq!(hours, [(0, 17), (3_600, 10), (7_200, 4)]);
}

#[test]
fn data_is_averaged_over_the_hour_and_metered_at_its_minimum() {
    let gib = 1 << 30;
    let check = |data_bytes_min, average, metered| {
        let mut meter = Meter::new();
        for tick in 0..=359 {
            // Half of the time nothing, half of the time 3 GiB.
            let data_bytes = if tick % 2 == 0 { 0 } else { 3 * gib };
            let sample = Sample { data_bytes, data_bytes_min, ecpu_per_second_min: 2 };
            meter.sampled(tick * 10, sample);
        }
        meter.sampled(3_599, Sample::default());
        let usage = meter.hours().next().unwrap().usage();
        assert_eq!((usage.seconds, usage.data_bytes_average), (3_599, average));
        assert_eq!(usage.byte_seconds_metered, metered);
        assert_eq!(usage.ecpu_units_metered, 2 * 1_024 * 3_590);
    };
    check(0, 1_800 * 3 * gib / 3_599, 1_800 * 3 * gib);
    check(gib, 1_800 * 3 * gib / 3_599, 1_800 * 3 * gib);
    check(2 * gib, 1_800 * 3 * gib / 3_599, 3_590 * 2 * gib);
}

#[test]
fn time_that_was_not_looked_at_is_not_metered() {
    let mut meter = Meter::new();
    let sample = Sample { data_bytes: 7, data_bytes_min: 5, ecpu_per_second_min: 0 };
    for now in [100, 110, 3_000, 2_000, 2_010] {
        meter.sampled(now, sample);
    }
    let hour = *meter.hours().next().unwrap();
    assert_eq!((hour.seconds, hour.byte_seconds, hour.byte_seconds_min), (50, 350, 250));
}

#[test]
fn the_minimum_of_work_is_metered_for_the_time_it_was_set() {
    let mut meter = Meter::new();
    for now in 0..=10 {
        meter.sampled(now * 10, Sample { ecpu_per_second_min: 5, ..Sample::default() });
    }
    meter.heard(100, A, commands(499));
    assert_eq!(meter.hours().next().unwrap().usage().ecpu_units_metered, 500 * 1_024);
    meter.heard(100, A, commands(501));
    assert_eq!(meter.hours().next().unwrap().usage().ecpu_units_metered, 501 * 1_024);
}

/// Hears of so many others that nothing is left of those before.
fn push_out(meter: &mut Meter, now: u64) {
    for number in 1..=SOURCES_MAX as u64 {
        meter.heard(now, source(now * 10_000 + number), commands(1));
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut meter = Meter::new();
    for number in 0..2 * SOURCES_MAX as u64 {
        let counts = Counts { commands: u64::MAX, ..Counts::default() };
        meter.heard(number * HOUR, source(number), counts);
        if let Some(flush) = meter.flush() {
            meter.flushed(&flush);
        }
    }
    meter.heard(0, source(7), Counts::default());
    let flush = meter.flush();
    assert_eq!(flush, None, "a source that has counted nothing changes nothing");
    assert_eq!(meter.hours().count(), HOURS_OPEN_MAX);
    assert_eq!(meter.sources.len(), SOURCES_MAX);
}

#[test]
fn what_a_forgotten_source_says_is_not_counted_again_and_what_comes_after_it_is() {
    let mut meter = Meter::new();
    meter.heard(10, A, commands(500));
    push_out(&mut meter, 11);
    let others = SOURCES_MAX as u64;
    let line = meter.flush().unwrap();
    let mut restored = Meter::new();
    restored.restore(&line);
    for mut meter in [meter, restored] {
        for (said, counted) in [(500, 500), (510, 510), (507, 510)] {
            meter.heard(20, A, commands(said));
            assert_eq!(total(&meter), counted + others, "{said} said");
        }
        meter.heard(30, source(u64::MAX), commands(3));
        assert_eq!(total(&meter), 513 + others, "one that began later is another");
    }
}

/// Heard and forgotten between two flushes: the lines before know less of it than the hours do.
#[test]
fn what_is_forgotten_before_it_is_written_is_not_counted_twice_after_a_kill() {
    let mut meter = Meter::new();
    let others = || (2..=SOURCES_MAX as u64).map(source);
    others().for_each(|other| meter.heard(10, other, commands(1)));
    meter.heard(10, A, commands(500));
    let first = meter.flush().unwrap();
    meter.flushed(&first);
    meter.heard(11, A, commands(510));
    others().for_each(|other| meter.heard(11, other, commands(1)));
    meter.heard(11, source(u64::MAX), commands(1));
    assert!(!meter.sources.contains_key(&A));
    let second = meter.flush().unwrap();
    let counted = total(&meter);
    let mut meter = Meter::new();
    [first, second].iter().for_each(|flush| meter.restore(flush));
    meter.heard(20, A, commands(510));
    assert_eq!(total(&meter), counted);
}

#[test]
fn a_flush_has_the_sources_that_said_something_new_and_now_and_then_all() {
    let mut meter = Meter::new();
    (1..=100).for_each(|number| meter.heard(1, source(number), commands(1)));
    let first = meter.flush().unwrap();
    assert!(first.is_whole && first.sources.len() == 100);
    meter.flushed(&first);
    let mut written = vec![first];
    for said in 2..=2_000 {
        (1..=100).for_each(|number| meter.heard(1, source(number), commands(1)));
        meter.heard(said, A, commands(said));
        let flush = meter.flush().unwrap();
        assert_eq!(flush.sources.len(), if flush.is_whole { 100 } else { 1 });
        meter.flushed(&flush);
        written.push(flush);
    }
    let sources: usize = written.iter().map(|flush| flush.sources.len()).sum();
    assert!(sources < 2_100 + 2_000, "{sources} for 2,100 that changed");
    let lasting = written.iter().rposition(|flush| flush.is_whole).unwrap();
    let mut restored = Meter::new();
    written[lasting..].iter().for_each(|flush| restored.restore(flush));
    assert_eq!(restored.sources.len(), 100, "what comes before a whole one is not needed");
    assert_eq!(restored.sources[&A].0, commands(2_000));
}

#[test]
fn the_longest_line_is_one() {
    let mut meter = Meter::new();
    let most = u64::MAX;
    let counts = Counts {
        ecpu_units: most,
        commands: most,
        throttled_commands: most,
        bytes_in: most,
        bytes_out: most,
    };
    for number in 0..SOURCES_MAX as u64 {
        let source = SourceId { number: most - number, began_ms: most };
        meter.heard(number * HOUR, source, counts);
    }
    let flush = meter.flush().unwrap();
    let all = meter.sources.len() + meter.changed.len();
    assert_eq!(flush.sources.len() + flush.hours.len(), all);
    meter.flushed(&flush);
    meter.doubted(&meter.hours().copied().collect::<Vec<_>>());
    let bytes = serde_json::to_vec(&meter.flush().unwrap()).unwrap().len();
    assert!(bytes + 100 < crate::RECORD_BYTES_MAX, "{bytes}");
}

/// What is counted, said, written and lost.
struct World {
    meter: Meter,
    sources_max: usize,
    /// When each was written, and whether it can be read again.
    written: Vec<(u64, Flush, bool)>,
    counted: BTreeMap<u64, u64>,
    since_flush: BTreeMap<u64, u64>,
    lost_max: u64,
    generation: u64,
    now: u64,
}

impl World {
    fn new(sources_max: usize) -> Self {
        let meter = Meter { sources_max, ..Meter::new() };
        let (counted, since_flush) = (BTreeMap::new(), BTreeMap::new());
        let (written, lost_max, generation, now) = (Vec::new(), 0, 0, 0);
        Self { meter, sources_max, written, counted, since_flush, lost_max, generation, now }
    }

    fn say(&mut self, id: u64) {
        self.meter.heard(self.now, source(id), commands(self.counted[&id]));
    }

    fn flush(&mut self) {
        let Some(flush) = self.meter.flush() else { return };
        self.meter.flushed(&flush);
        self.written.push((self.now * 1_000, flush, true));
        for (id, count) in &self.counted {
            let said = self.meter.sources.get(&source(*id)).map_or(0, |it| it.0.commands);
            self.since_flush.insert(*id, count - said);
        }
    }

    /// The meter's process is killed; sources go on.
    fn kill(&mut self) {
        self.meter = Meter { sources_max: self.sources_max, ..Meter::new() };
        let mut is_missed = false;
        for (at_ms, flush, is_readable) in &self.written {
            if *is_readable {
                if is_missed {
                    self.meter.missed(*at_ms);
                }
                self.meter.restore(flush);
            }
            is_missed = !is_readable;
        }
    }

    fn step(&mut self, (what, place, number): (u8, u64, u64)) {
        self.now += number;
        match what {
            // It counts, and perhaps tells.
            0..=3 => {
                let id = place + 10 * self.generation;
                *self.counted.entry(id).or_default() += number;
                *self.since_flush.entry(id).or_default() += number;
                if what > 0 {
                    self.say(id);
                }
            }
            4 => self.now += HOUR,
            5 | 6 => self.flush(),
            7 => self.kill(),
            // All are: sources are others from now on.
            _ => {
                self.kill();
                self.lost_max += self.since_flush.values().sum::<u64>();
                self.since_flush.clear();
                self.generation += 1;
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
    prop::collection::vec((0..9_u8, 0..3_u64, 1..100_u64), 1..200)
}

proptest! {
    /// Killed at any moment, with any reports repeated and lost: what is kept is what the sources
    /// counted, but for what ended sources had counted since the last flush.
    #[test]
    fn nothing_is_counted_twice_and_no_more_lost_than_since_the_last_flush(steps in steps()) {
        let mut world = World::new(SOURCES_MAX);
        steps.into_iter().for_each(|step| world.step(step));
        // Those that live tell all.
        let is_live = |id: &u64| id / 10 == world.generation;
        let live: Vec<_> = world.counted.keys().copied().filter(is_live).collect();
        live.into_iter().for_each(|id| world.say(id));
        let counted: u64 = world.counted.values().sum();
        let (kept, lost_max) = (total(&world.meter), world.lost_max);
        prop_assert!(kept <= counted, "{kept} of {counted}: counted twice");
        prop_assert!(kept + lost_max >= counted, "{kept} of {counted}, {lost_max} may be lost");
    }

    /// However few sources are remembered, whichever lines are damaged, and whoever tells for one that has
    /// ended what it had counted.
    #[test]
    fn nothing_is_counted_twice_also_where_sources_are_forgotten(
        sources_max in 1..6_usize,
        steps in prop::collection::vec((steps(), 0..300_u64, 0..20_usize), 1..10),
    ) {
        let mut world = World::new(sources_max);
        for (steps, told, damaged) in steps {
            steps.into_iter().for_each(|step| world.step(step));
            if world.counted.contains_key(&told) {
                world.say(told);
            }
            if damaged > 0 && damaged < world.written.len() {
                let place = world.written.len() - damaged;
                world.written[place].2 = false;
            }
        }
        let all: Vec<_> = world.counted.keys().copied().collect();
        all.into_iter().for_each(|id| world.say(id));
        let (kept, counted) = (total(&world.meter), world.counted.values().sum::<u64>());
        prop_assert!(kept <= counted, "{kept} of {counted}: counted twice");
    }
}
