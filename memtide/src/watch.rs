//! What happens by itself and tells nobody: looked for once a second, and recorded as an event.

mod near;
mod throttling;

use std::time::Duration;

use memtide_limits::Limits;
use memtide_service::events::{EventKind, Events};
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::near::{Near, Used};
use self::throttling::Throttling;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Evictions that begin again after this long are news again.
const EVICTIONS_QUIET: Duration = Duration::from_secs(60);

/// Looks and records for ever.
pub async fn watch(mut look: impl FnMut() -> Look, events: Events) {
    let (mut watched, mut scaled) = (Watched::default(), Scaled::default());
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let look = look();
        let scaled = scaled.news(look.nodes);
        for (kind, text) in watched.news(look, Instant::now()).into_iter().chain(scaled) {
            events.record(kind, text);
        }
    }
}

/// What is seen at a moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// Items evicted since the start.
    pub evicted: u64,
    /// Which core is silent.
    pub cores: Result<(), String>,
    pub data_bytes: u64,
    /// What is allowed and has room; 0 is no limit, and so below.
    pub data_bytes_max: u64,
    /// Metered since the start, in 1/1024 ECPU.
    pub ecpu_units: u64,
    pub ecpu_per_second_max: u64,
    /// Commands that were held back or refused since the start.
    pub throttled: u64,
    /// How many there are; `None` where this process does not know.
    pub nodes: Option<usize>,
}

impl Look {
    /// The limit of data, where nodes have room for so much; 0 is no room of their own, or room that follows
    /// the data.
    pub fn data_bytes_max(limits: &Limits, room: u64) -> u64 {
        match room {
            0 => limits.data_storage.max,
            room => limits.data_storage.max().unwrap_or(room).min(room),
        }
    }
}

/// What was seen before.
#[derive(Default)]
struct Watched {
    evicted: u64,
    evicted_at: Option<Instant>,
    is_core_silent: bool,
    data: Near,
    ecpu: Near,
    ecpus: Used,
    throttling: Throttling,
}

impl Watched {
    /// What is to be told of this look.
    fn news(&mut self, look: Look, now: Instant) -> Vec<(EventKind, String)> {
        let mut news = Vec::new();
        if look.evicted > self.evicted {
            let is_quiet = |at: Instant| now.duration_since(at) >= EVICTIONS_QUIET;
            if self.evicted_at.is_none_or(is_quiet) {
                let text = match look.data_bytes_max {
                    0 => "items reached the memory of their nodes".to_owned(),
                    max => format!("items reached the limit of {max} bytes"),
                };
                news.push((EventKind::EvictionsBegan, text));
            }
            self.evicted_at = Some(now);
        }
        // Less than before is of nodes that have ended.
        self.evicted = look.evicted;
        news.extend(self.data.news("data_storage", look.data_bytes, look.data_bytes_max, "bytes"));
        let per_second = self.ecpus.per_second(look.ecpu_units, now) / 1_024;
        let max = look.ecpu_per_second_max;
        news.extend(self.ecpu.news("ecpu_per_second", per_second, max, "ECPUs per second"));
        news.extend(self.throttling.news(look.throttled, now));
        match (look.cores, self.is_core_silent) {
            (Err(text), false) => news.push((EventKind::CoreFailed, text)),
            (Ok(()), true) => {
                news.push((EventKind::CoreRecovered, "every core gives signs of life".to_owned()));
            }
            (Ok(()), false) | (Err(_), true) => return news,
        }
        self.is_core_silent = !self.is_core_silent;
        news
    }
}

/// How many nodes there were.
#[derive(Default)]
struct Scaled(Option<usize>);

impl Scaled {
    /// Where there are others than before; nobody is told of the first.
    fn news(&mut self, nodes: Option<usize>) -> Option<(EventKind, String)> {
        let now = nodes.filter(|nodes| *nodes > 0)?;
        let before = self.0.replace(now)?;
        let text = || (EventKind::FleetScaled, format!("{now} nodes, {before} before"));
        (before != now).then(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Look = Look {
        evicted: 0,
        cores: Ok(()),
        data_bytes: 0,
        data_bytes_max: 1 << 20,
        ecpu_units: 0,
        ecpu_per_second_max: 0,
        throttled: 0,
        nodes: None,
    };

    fn kinds(news: Vec<(EventKind, String)>) -> Vec<EventKind> {
        news.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn evictions_are_news_when_they_begin_and_after_a_quiet_while() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut look = |after_secs, evicted| {
            watched.news(Look { evicted, ..NOTHING }, start + Duration::from_secs(after_secs))
        };
        assert_eq!(look(0, 0), []);
        let text = "items reached the limit of 1048576 bytes".to_owned();
        assert_eq!(look(1, 5), [(EventKind::EvictionsBegan, text)]);
        assert_eq!(look(2, 9), []);
        assert_eq!(look(59, 10), []);
        assert_eq!(look(118, 11), [], "the last was 59 s before");
        assert_eq!(look(178, 3), [], "a node has ended");
        assert_eq!(kinds(look(179, 4)), [EventKind::EvictionsBegan]);
    }

    #[test]
    fn a_limit_that_is_nearly_used_is_told_once_until_it_is_eased() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut look = |after_secs, data_bytes| {
            let at = start + Duration::from_secs(after_secs);
            watched.news(Look { data_bytes, data_bytes_max: 1_000, ..NOTHING }, at)
        };
        assert_eq!(look(0, 749), []);
        let text = "data_storage: 750 of 1000 bytes are used".to_owned();
        assert_eq!(look(1, 750), [(EventKind::LimitNear, text)]);
        assert_eq!(look(2, 1_000), []);
        assert_eq!(look(3, 701), []);
        assert_eq!(kinds(look(4, 699)), [EventKind::LimitEased]);
        assert_eq!(look(5, 740), []);
        assert_eq!(kinds(look(6, 760)), [EventKind::LimitNear]);
    }

    #[test]
    fn the_limit_of_data_is_what_is_allowed_and_has_room() {
        let limits = |max| {
            let data_storage = memtide_limits::Range { min: 0, max };
            Limits { data_storage, ..Limits::default() }
        };
        let check = |max, room, expected| {
            assert_eq!(Look::data_bytes_max(&limits(max), room), expected, "{max} of {room}");
        };
        check(0, 0, 0);
        check(0, 700, 700);
        check(500, 700, 500);
        check(900, 700, 700);
        check(900, 0, 900);
    }

    #[test]
    fn work_is_compared_with_its_limit_over_some_seconds() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut look = |after_secs, ecpus: u64| {
            let at = start + Duration::from_secs(after_secs);
            let look = Look { ecpu_units: 1_024 * ecpus, ecpu_per_second_max: 1_000, ..NOTHING };
            kinds(watched.news(look, at))
        };
        assert_eq!(look(0, 5_000_000), [], "nothing to compare with");
        assert_eq!(look(1, 5_000_900), [], "one second says little");
        for second in 2..10 {
            assert_eq!(look(second, 5_000_000 + 800 * second), [], "{second}");
        }
        assert_eq!(look(10, 5_008_000), [EventKind::LimitNear]);
        for second in 11..12 {
            assert_eq!(look(second, 5_008_000), [], "{second}");
        }
        assert_eq!(look(12, 5_008_000), [EventKind::LimitEased]);
    }

    #[test]
    fn throttling_begins_and_ends_after_a_quiet_while() {
        let mut watched = Watched::default();
        let start = Instant::now();
        let mut look = |after_secs, throttled| {
            let at = start + Duration::from_secs(after_secs);
            kinds(watched.news(Look { throttled, ..NOTHING }, at))
        };
        assert_eq!(look(0, 0), []);
        assert_eq!(look(1, 40), [EventKind::ThrottlingBegan]);
        assert_eq!(look(2, 90), []);
        assert_eq!(look(11, 90), [], "none for 9 s");
        assert_eq!(look(12, 90), [EventKind::ThrottlingEnded]);
        assert_eq!(look(13, 90), []);
        assert_eq!(look(14, 91), [EventKind::ThrottlingBegan]);
    }

    #[test]
    fn another_number_of_nodes_is_told() {
        let mut scaled = Scaled::default();
        let mut look = |nodes| scaled.news(nodes).map(|(_, text)| text);
        assert_eq!(
            [look(None), look(Some(0)), look(Some(2)), look(Some(2))],
            [None, None, None, None]
        );
        assert_eq!(look(Some(3)).as_deref(), Some("3 nodes, 2 before"));
        assert_eq!(look(Some(2)).as_deref(), Some("2 nodes, 3 before"));
    }

    #[test]
    fn a_core_that_falls_silent_is_told_of_once_and_so_is_its_return() {
        let mut watched = Watched::default();
        let mut look = |cores: Result<(), &str>| {
            let cores = cores.map_err(str::to_owned);
            watched.news(Look { cores, ..NOTHING }, Instant::now())
        };
        assert_eq!(look(Ok(())), []);
        let silent = "core 1 has been silent for 5000 ms";
        assert_eq!(look(Err(silent)), [(EventKind::CoreFailed, silent.to_owned())]);
        assert_eq!(look(Err("core 1 has been silent for 6000 ms")), []);
        assert_eq!(kinds(look(Ok(()))), [EventKind::CoreRecovered]);
        assert_eq!(kinds(look(Err(silent))), [EventKind::CoreFailed]);
    }
}
