use anyhow::bail;

/// A load.
#[derive(Debug)]
pub struct Work {
    /// For `--works`.
    pub name: &'static str,
    /// For the table.
    pub what: &'static str,
    /// Of `memtide loadtest`.
    pub flags: &'static [&'static str],
}

impl Work {
    /// Bytes of its values, as its flags have them.
    pub fn value_bytes(&self) -> &'static str {
        let at = self.flags.iter().position(|&flag| flag == "--value-size");
        at.map_or("100", |at| self.flags[at + 1])
    }
}

/// All but one are closed loops, so that each peer is asked for all that it has. The open one is for
/// the latencies, at a rate that every peer and the generator beside it can keep on two cores.
pub const WORKS: [Work; 11] = [
    Work {
        name: "mixed",
        what: "get and set 9:1, 50 connections",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill"],
    },
    Work {
        name: "pipeline",
        what: "the same, pipeline of 16",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill", "--pipeline", "16"],
    },
    Work {
        name: "multiget",
        what: "get of 16 keys, 50 connections",
        flags: &["--mix", "get=100", "--multiget", "16", "--value-size", "100", "--fill"],
    },
    Work {
        name: "get-4k",
        what: "get of 4 KiB, 50 connections",
        flags: &["--mix", "get=100", "--value-size", "4096", "--keys", "10000", "--fill"],
    },
    Work {
        name: "get-100k",
        what: "get of 100 KiB, 50 connections",
        flags: &["--mix", "get=100", "--value-size", "102400", "--keys", "1000", "--fill"],
    },
    Work {
        name: "set",
        what: "set, 50 connections",
        flags: &["--mix", "set=100", "--value-size", "100"],
    },
    Work {
        name: "one",
        what: "get and set 9:1, 1 connection, one request at a time",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill", "--connections", "1"],
    },
    Work {
        name: "rate",
        what: "get and set 9:1 at 10,000/s, 50 connections",
        flags: &["--mix", "get=90,set=10", "--value-size", "100", "--fill", "--rate", "10k"],
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
    },
    Work {
        name: "idle",
        what: "get and set 9:1, 50 connections beside 2,000 idle ones",
        flags: &[
            "--mix",
            "get=90,set=10",
            "--value-size",
            "100",
            "--fill",
            "--idle-connections",
            "2000",
        ],
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
