//! What happens by itself and tells nobody: looked for once a second, and recorded as an event.

use std::time::Duration;

use memtide_proxy::Observer;
use memtide_service::events::{EventKind, Events};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// Evictions that begin again after this long are news again.
const EVICTIONS_QUIET: Duration = Duration::from_secs(60);

/// Looks and records for ever.
pub async fn watch(observer: Observer, memory_max: u64, events: Events) {
    let mut watched = Watched { memory_max, ..Watched::default() };
    let mut interval = interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let look = Look {
            evicted: observer.usage().stored.map_or(0, |stored| stored.evicted),
            cores: observer.check_cores(),
        };
        for (kind, text) in watched.news(look, Instant::now()) {
            events.record(kind, text);
        }
    }
}

/// What is seen at a moment.
struct Look {
    /// Items evicted since the start.
    evicted: u64,
    /// Which core is silent.
    cores: Result<(), String>,
}

/// What was seen before.
#[derive(Default)]
struct Watched {
    memory_max: u64,
    evicted: u64,
    evicted_at: Option<Instant>,
    is_core_silent: bool,
}

impl Watched {
    /// What is to be told of this look.
    fn news(&mut self, look: Look, now: Instant) -> Vec<(EventKind, String)> {
        let mut news = Vec::new();
        if look.evicted > self.evicted {
            let is_quiet = |at: Instant| now.duration_since(at) >= EVICTIONS_QUIET;
            if self.evicted_at.is_none_or(is_quiet) {
                let text = format!("items reached the limit of {} bytes", self.memory_max);
                news.push((EventKind::EvictionsBegan, text));
            }
            self.evicted_at = Some(now);
            self.evicted = look.evicted;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(news: Vec<(EventKind, String)>) -> Vec<EventKind> {
        news.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn evictions_are_news_when_they_begin_and_after_a_quiet_while() {
        let mut watched = Watched { memory_max: 1 << 20, ..Watched::default() };
        let start = Instant::now();
        let mut look = |after_secs, evicted| {
            let now = start + Duration::from_secs(after_secs);
            watched.news(Look { evicted, cores: Ok(()) }, now)
        };
        assert_eq!(look(0, 0), []);
        let text = "items reached the limit of 1048576 bytes".to_owned();
        assert_eq!(look(1, 5), [(EventKind::EvictionsBegan, text)]);
        assert_eq!(look(2, 9), []);
        assert_eq!(look(59, 10), []);
        assert_eq!(look(118, 11), [], "the last was 59 s before");
        assert_eq!(look(178, 11), []);
        assert_eq!(kinds(look(179, 12)), [EventKind::EvictionsBegan]);
    }

    #[test]
    fn a_core_that_falls_silent_is_told_of_once_and_so_is_its_return() {
        let mut watched = Watched::default();
        let mut look = |cores: Result<(), &str>| {
            watched.news(Look { evicted: 0, cores: cores.map_err(str::to_owned) }, Instant::now())
        };
        assert_eq!(look(Ok(())), []);
        let silent = "core 1 has been silent for 5000 ms";
        assert_eq!(look(Err(silent)), [(EventKind::CoreFailed, silent.to_owned())]);
        assert_eq!(look(Err("core 1 has been silent for 6000 ms")), []);
        assert_eq!(kinds(look(Ok(()))), [EventKind::CoreRecovered]);
        assert_eq!(kinds(look(Err(silent))), [EventKind::CoreFailed]);
    }
}
