use anyhow::bail;

use super::measure::Measure;

/// A load.
#[derive(Debug)]
pub struct Work {
    /// For `--works`.
    pub name: &'static str,
    /// For the table.
    pub what: &'static str,
    /// Of `memtide loadtest`.
    pub flags: &'static [&'static str],
    /// What is measured of it, beside CPU time of a request.
    pub measures: &'static [Measure],
    /// The rate, in percent of the closed-loop maximum of the first server; `None` where the flags
    /// say it.
    pub percent_of_maximum: Option<u32>,
}

impl Work {
    /// Bytes of its values.
    pub fn value_bytes(&self) -> &'static str {
        self.flag("--value-size").unwrap_or("100")
    }

    /// Keys of a request.
    pub fn keys(&self) -> u32 {
        self.number("--multiget", 1)
    }

    /// Connections that a server has to take at once.
    pub fn connections(&self) -> u32 {
        self.number("--connections", 50) + self.number("--idle-connections", 0)
    }

    fn number(&self, flag: &str, default: u32) -> u32 {
        self.flag(flag).map_or(default, |text| text.parse().expect("our own flags are numbers"))
    }

    fn flag(&self, name: &str) -> Option<&'static str> {
        let at = self.flags.iter().position(|&flag| flag == name)?;
        self.flags.get(at + 1).copied()
    }
}

/// What the works have in common that name no measure of their own.
const CPU_ONLY: Work =
    Work { name: "", what: "", flags: &[], measures: &[], percent_of_maximum: None };

/// Get and set 9:1 of 100 bytes, of keys that are there.
const MIXED: &[&str] = &["--mix", "get=90,set=10", "--value-size", "100", "--fill"];

/// Most are closed loops, so that each server is asked for all that it has. The open ones are for
/// the latencies: `rate` at one that every server and the generator beside it can keep on two
/// cores, the tails at a part of the first server's maximum. `mixed` finds that maximum, and so
/// stands before them.
pub const WORKS: [Work; 13] = [
    Work { name: "mixed", what: "get and set 9:1, 50 connections", flags: MIXED, ..CPU_ONLY },
    Work {
        name: "pipeline",
        what: "the same, pipeline of 16",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill", "--pipeline", "16"],
        ..CPU_ONLY
    },
    Work {
        name: "multiget",
        what: "get of 16 keys in one request, 50 connections",
        flags: &["--mix", "get=100", "--multiget", "16", "--value-size", "100", "--fill"],
        measures: &[Measure::CpuPerKey],
        ..CPU_ONLY
    },
    Work {
        name: "get-4k",
        what: "get of 4 KiB, 50 connections",
        flags: &["--mix", "get=100", "--value-size", "4096", "--keys", "10000", "--fill"],
        ..CPU_ONLY
    },
    Work {
        name: "get-100k",
        what: "get of 100 KiB, 50 connections",
        flags: &["--mix", "get=100", "--value-size", "102400", "--keys", "1000", "--fill"],
        ..CPU_ONLY
    },
    Work {
        name: "set",
        what: "set, 50 connections",
        flags: &["--mix", "set=100", "--value-size", "100"],
        ..CPU_ONLY
    },
    Work {
        name: "one",
        what: "get and set 9:1, 1 connection, one request at a time",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill", "--connections", "1"],
        measures: &[Measure::P50],
        ..CPU_ONLY
    },
    Work {
        name: "rate",
        what: "get and set 9:1 at 10,000/s, 50 connections",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill", "--rate", "10k"],
        measures: &[Measure::P50, Measure::P99],
        ..CPU_ONLY
    },
    Work {
        name: "tail",
        what: "get and set 9:1 at 70% of the first server's maximum, 50 connections",
        flags: MIXED,
        measures: &[Measure::P50, Measure::P99, Measure::P999],
        percent_of_maximum: Some(70),
    },
    Work {
        name: "tail-35",
        what: "the same at 35% of it",
        flags: MIXED,
        measures: &[Measure::P50, Measure::P99, Measure::P999],
        percent_of_maximum: Some(35),
    },
    Work {
        name: "handshakes",
        what: "a full handshake for every get, 8 connections",
        flags: &[
            "--mix",
            "get=100",
            "--value-size",
            "100",
            "--connect-per-request",
            "--no-resumption",
            "--connections",
            "8",
        ],
        ..CPU_ONLY
    },
    Work {
        name: "resumptions",
        what: "a resumed handshake for every get, 8 connections",
        flags: &[
            "--mix",
            "get=100",
            "--value-size",
            "100",
            "--connect-per-request",
            "--connections",
            "8",
        ],
        ..CPU_ONLY
    },
    Work {
        name: "idle",
        what: "get and set 9:1, 50 connections beside 8,000 idle ones",
        flags: &[
            "--mix",
            "get=90,set=10",
            "--value-size",
            "100",
            "--fill",
            "--idle-connections",
            "8000",
        ],
        measures: &[Measure::IdleConnection],
        ..CPU_ONLY
    },
];

/// The works of these names, in the table's order; all for none.
///
/// # Errors
/// A name that is none.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Work>> {
    for name in names {
        if WORKS.iter().all(|work| work.name != name) {
            let known: Vec<_> = WORKS.iter().map(|work| work.name).collect();
            bail!("--works {name}: no such load; there are {}", known.join(", "));
        }
    }
    let is_chosen = |work: &&Work| names.is_empty() || names.iter().any(|it| it == work.name);
    Ok(WORKS.iter().filter(is_chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_work_knows_what_its_flags_say() {
        let of = |name: &str| WORKS.iter().find(|work| work.name == name).unwrap();
        assert_eq!((of("mixed").keys(), of("multiget").keys()), (1, 16));
        assert_eq!((of("mixed").value_bytes(), of("get-4k").value_bytes()), ("100", "4096"));
        let connections = ["mixed", "one", "idle"].map(|name| of(name).connections());
        assert_eq!(connections, [50, 1, 8_050]);
    }

    #[test]
    fn the_maximum_is_known_before_a_part_of_it_is_asked_for() {
        let at = |is: &dyn Fn(&Work) -> bool| WORKS.iter().position(is).unwrap();
        assert!(at(&|work| work.name == "mixed") < at(&|work| work.percent_of_maximum.is_some()));
    }
}
