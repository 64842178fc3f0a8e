use core::time::Duration;

use memtide_limits::{Limits, Range};
use memtide_planner::{Amounts, Policy};

use crate::Curve;

const GIB: f64 = (1_u64 << 30) as f64;

/// A load on a fleet, and what happens to it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How long it lasts.
    pub duration: Duration,
    /// Between two looks of the executor, where no node may be full before.
    pub tick: Duration,
    /// Between two steps of what is copied, which divides the tick.
    pub step: Duration,
    /// Between two reports of a node; `None` where each look sees what is at that moment.
    pub report: Option<Duration>,
    /// ECPUs per second that clients ask for.
    pub load: Curve,
    /// Bytes that they store, once.
    pub data: Curve,
    /// How the load is over the slots.
    pub skew: Skew,
    /// Failure domains.
    pub zones: u8,
    /// Copies of each slot beside its primary.
    pub replicas: u8,
    /// Nodes at the begin.
    pub nodes: usize,
    /// What nodes can do, one size after the other.
    pub sizes: Vec<Amounts>,
    /// What each node is granted at the begin.
    pub granted: u64,
    /// Where more can be had.
    pub supply: Supply,
    /// The limits, and when they change.
    pub limits: Vec<(Duration, Limits)>,
    /// Nodes that are killed: when, and how many at a time.
    pub kills: Vec<(Duration, usize)>,
    /// Whether it is known what clients ask for beyond what is served.
    pub is_demand_known: bool,
    /// How the planner decides.
    pub policy: Policy,
}

/// How a load is over the slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// Every slot has the same, but for some deviation.
    Even,
    /// Some slots have a part of all the load together; others have it after a while.
    Hot {
        /// How many.
        slots: u16,
        /// How much.
        part: f64,
        /// How long it is the same ones.
        moves_every: Duration,
    },
    /// One slot has this part of the load, from one time to another.
    Lone {
        /// How much.
        part: f64,
        /// From when.
        from: Duration,
        /// Until when.
        until: Duration,
    },
}

/// How nodes can be had.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supply {
    /// Warm spares of each zone; others are started where some were taken.
    pub warm: u32,
    /// How long one of them takes to join.
    pub warm_delay: Duration,
    /// How long others take that are started.
    pub cold_delay: Duration,
    /// How long it takes to write something down: what is intended, and a topology.
    pub disk_delay: Duration,
    /// Of all that are started, this part fails.
    pub failing: f64,
    /// And this part takes ten times as long.
    pub late: f64,
    /// Bytes per second that a node sends and takes of copies.
    pub copy_rate: f64,
}

impl Scenario {
    /// What [`Scenario::named`] knows.
    pub const NAMES: [&str; 14] = [
        "steady", "step", "ramp", "daily", "flash", "hot", "lone", "failures", "prescale", "blind",
        "uneven", "large", "fill", "rush",
    ];

    /// The scenario of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "steady" => Self {
                name: "steady",
                about: "the same load for an hour",
                nodes: 4,
                ..Self::steady()
            },
            "step" => Self::step(),
            "ramp" => Self::ramp(),
            "daily" => Self::daily(),
            "flash" => Self::flash(),
            "hot" => Self::hot(),
            "lone" => Self::lone(),
            "failures" => Self::failures(),
            "prescale" => Self::prescale(),
            "blind" => Self::blind(),
            "uneven" => Self::uneven(),
            "large" => Self::large(),
            "fill" => Self::fill("fill", "an empty fleet of 128 MiB is filled with 45 MB/s", 45e6),
            "rush" => Self::fill("rush", "the same with 200 MB/s", 200e6),
            _ => return None,
        })
    }

    /// A load that was recorded: lines of seconds, ECPUs per second and bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn recorded(text: &str) -> Result<Self, String> {
        let (load, data) = (Curve::recorded(text, 0)?, Curve::recorded(text, 1)?);
        let duration = load.end();
        let about = "a recorded load";
        Ok(Self { name: "recorded", about, load, data, duration, ..Self::steady() })
    }

    /// Three nodes' worth, with the noise of many clients.
    fn steady() -> Self {
        Self {
            name: "",
            about: "",
            duration: seconds(3_600),
            tick: seconds(1),
            step: Duration::from_millis(250),
            report: None,
            load: Curve::flat(180_000.0).noisy(0.03),
            data: Curve::flat(2.0 * GIB).noisy(0.005),
            skew: Skew::Even,
            zones: 2,
            replicas: 1,
            nodes: 6,
            sizes: vec![NODE],
            granted: 3 << 29,
            supply: Supply {
                warm: 2,
                warm_delay: seconds(1),
                cold_delay: seconds(20),
                disk_delay: Duration::from_millis(20),
                failing: 0.0,
                late: 0.0,
                copy_rate: 120e6,
            },
            limits: vec![(Duration::ZERO, Limits::default())],
            kills: Vec::new(),
            is_demand_known: true,
            policy: Policy { nodes_max: 64, ..Policy::default() },
        }
    }

    /// From one node's worth to four and back, with 1 GiB of data.
    fn step() -> Self {
        let load = [(0.0, 50e3), (120.0, 50e3), (120.1, 200e3), (720.0, 200e3), (720.1, 50e3)];
        Self {
            name: "step",
            about: "from half a node's work to twice a node's at once, with 1 GiB, and back",
            duration: seconds(1_500),
            load: Curve::of(load.to_vec()).noisy(0.02),
            data: Curve::flat(GIB),
            zones: 1,
            replicas: 0,
            nodes: 1,
            granted: 2 << 30,
            supply: Supply { warm: 6, ..Self::steady().supply },
            ..Self::steady()
        }
    }

    fn ramp() -> Self {
        let load =
            [(0.0, 60e3), (120.0, 60e3), (1_320.0, 1.2e6), (1_920.0, 1.2e6), (3_120.0, 60e3)];
        let data = [
            (0.0, GIB),
            (120.0, GIB),
            (1_320.0, 20.0 * GIB),
            (1_920.0, 20.0 * GIB),
            (3_120.0, GIB),
        ];
        Self {
            name: "ramp",
            about: "twenty times the load and the data in 20 minutes, and back",
            duration: seconds(4_200),
            load: Curve::of(load.to_vec()).noisy(0.03),
            data: Curve::of(data.to_vec()),
            nodes: 2,
            granted: 2 << 30,
            ..Self::steady()
        }
    }

    fn daily() -> Self {
        Self {
            name: "daily",
            about: "two days, from 100k to 2M ECPU/s, a look every 10 s",
            duration: seconds(2 * 86_400),
            tick: seconds(10),
            step: seconds(5),
            load: Curve::daily((100e3, 2e6), 2).noisy(0.03),
            data: Curve::daily((10.0 * GIB, 40.0 * GIB), 2),
            nodes: 4,
            granted: 8 << 30,
            ..Self::steady()
        }
    }

    fn flash() -> Self {
        let load = [(0.0, 100e3), (120.0, 100e3), (130.0, 1e6), (430.0, 1e6), (520.0, 100e3)];
        Self {
            name: "flash",
            about: "a crowd: ten times the load in 10 s, for five minutes",
            duration: seconds(1_500),
            load: Curve::of(load.to_vec()).noisy(0.03),
            supply: Supply { warm: 12, ..Self::steady().supply },
            ..Self::steady()
        }
    }

    fn hot() -> Self {
        Self {
            name: "hot",
            about: "40 slots have a third of the load, other ones every five minutes",
            duration: seconds(2_400),
            load: Curve::flat(500e3).noisy(0.02),
            nodes: 10,
            skew: Skew::Hot { slots: 40, part: 0.33, moves_every: seconds(300) },
            ..Self::steady()
        }
    }

    fn lone() -> Self {
        Self {
            name: "lone",
            about: "a slot has a fifth of the load for ten minutes: 60% of a node",
            duration: seconds(1_800),
            load: Curve::flat(300e3).noisy(0.02),
            nodes: 6,
            skew: Skew::Lone { part: 0.2, from: seconds(120), until: seconds(720) },
            ..Self::steady()
        }
    }

    fn failures() -> Self {
        let kills = [130, 400, 900, 1_300, 1_750, 2_050];
        let load = [
            (0.0, 100e3),
            (120.0, 100e3),
            (180.0, 600e3),
            (1_200.0, 600e3),
            (1_260.0, 1e6),
            (1_700.0, 1e6),
            (1_800.0, 200e3),
        ];
        Self {
            name: "failures",
            about: "nodes are killed in the middle of scaling out and in; of those that are started a quarter fails and some are late",
            duration: seconds(3_000),
            load: Curve::of(load.to_vec()).noisy(0.03),
            data: Curve::flat(8.0 * GIB),
            zones: 3,
            granted: 4 << 30,
            kills: kills.into_iter().map(|at| (seconds(at), 1)).collect(),
            supply: Supply { failing: 0.25, late: 0.1, ..Self::steady().supply },
            ..Self::steady()
        }
    }

    fn prescale() -> Self {
        let min = |ecpu, data| Limits {
            ecpu_per_second: Range { min: ecpu, max: 0 },
            data_storage: Range { min: data, max: 0 },
        };
        Self {
            name: "prescale",
            about: "the minima are raised before a step that they cover, and lowered after it",
            duration: seconds(2_400),
            load: Curve::of(vec![
                (0.0, 50e3),
                (600.0, 50e3),
                (600.1, 500e3),
                (1_200.0, 500e3),
                (1_200.1, 50e3),
            ])
            .noisy(0.02),
            limits: vec![
                (Duration::ZERO, Limits::default()),
                (seconds(300), min(500_000, 20 << 30)),
                (seconds(1_300), Limits::default()),
            ],
            nodes: 2,
            granted: 3 << 30,
            ..Self::steady()
        }
    }

    /// As `step`, with as little known as a proxy can say that waits for busy nodes.
    fn blind() -> Self {
        let about = "as step, where nobody knows what is asked for beyond what is served";
        Self { name: "blind", about, is_demand_known: false, ..Self::step() }
    }

    /// From the least that there is to what hosts have in place, with what comes on the way.
    fn fill(name: &'static str, about: &'static str, rate: f64) -> Self {
        let (begin, most) = (20.0, 1.6 * GIB);
        let end = begin + most / rate;
        let data = [(0.0, 0.0), (begin, 0.0), (end, most), (end + 200.0, most), (end + 200.1, 0.0)];
        let size = Amounts { memory: 1 << 30, ecpu: 100_000, cpu: 1_000, network: 1_000_000_000 };
        Self {
            name,
            about,
            duration: seconds(480),
            step: Duration::from_millis(20),
            report: Some(Duration::from_millis(200)),
            load: Curve::flat(30e3),
            data: Curve::of(data.to_vec()),
            zones: 1,
            replicas: 0,
            nodes: 2,
            sizes: vec![size],
            granted: 64 << 20,
            supply: Supply {
                warm: 0,
                disk_delay: Duration::from_millis(50),
                ..Self::steady().supply
            },
            policy: Policy { nodes_max: 8, nodes_min: 2, ..Policy::default() },
            ..Self::steady()
        }
    }

    fn uneven() -> Self {
        let large = Amounts { memory: 32 << 30, ecpu: 400_000, cpu: 8_000, network: 2_500_000_000 };
        let small = Amounts { memory: 2 << 30, ecpu: 50_000, cpu: 1_000, network: 300_000_000 };
        Self {
            name: "uneven",
            about: "a ramp on hosts of three sizes",
            sizes: vec![NODE, large, small],
            // Spares would all be of one size.
            supply: Supply { warm: 0, ..Self::steady().supply },
            ..Self::ramp()
        }
    }

    fn large() -> Self {
        let load = [(0.0, 3e6), (60.0, 3e6), (960.0, 15e6), (1_500.0, 15e6), (2_100.0, 8e6)];
        Self {
            name: "large",
            about: "3M to 15M ECPU/s on small nodes, up to 1,000 of them in three zones",
            duration: seconds(2_700),
            tick: seconds(5),
            step: Duration::from_millis(2_500),
            load: Curve::of(load.to_vec()).noisy(0.02),
            data: Curve::flat(200.0 * GIB),
            zones: 3,
            nodes: 180,
            sizes: vec![Amounts {
                memory: 4 << 30,
                ecpu: 28_000,
                cpu: 1_000,
                network: 500_000_000,
            }],
            granted: 4 << 30,
            supply: Supply { warm: 20, ..Self::steady().supply },
            policy: Policy { nodes_max: 1_000, ..Policy::default() },
            ..Self::steady()
        }
    }
}

/// A host of two cores.
const NODE: Amounts =
    Amounts { memory: 8 << 30, ecpu: 100_000, cpu: 2_000, network: 1_000_000_000 };

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
