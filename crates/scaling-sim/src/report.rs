use core::fmt;
use core::time::Duration;

use memtide_limits::units::show_size;

/// What a run was like.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Of which scenario.
    pub name: &'static str,
    /// What that shows.
    pub about: &'static str,
    /// With which seed.
    pub seed: u64,
    /// Failure domains.
    pub zones: u8,
    /// The most nodes that there may be.
    pub nodes_max: usize,
    /// Every look of the planner.
    pub samples: Vec<Sample>,
    /// What was decided and what happened.
    pub events: Vec<Event>,
    /// All of it in a few figures.
    pub totals: Totals,
}

/// A look. Loads and capacities are ECPUs per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Duration,
    /// What clients asked for, within the limit.
    pub asked: f64,
    /// What they got.
    pub served: f64,
    /// The most that could be served with the slots where they are.
    pub usable: f64,
    /// The same with all slots as they should be.
    pub capacity: f64,
    /// Nodes that have joined.
    pub nodes: usize,
    /// Nodes that somebody would have who knew all.
    pub nodes_least: usize,
    /// Bytes that nodes are granted.
    pub granted: f64,
    /// Bytes that they hold, copies and what is being copied among them.
    pub held: f64,
    /// Of these, what is above what they are granted: to be evicted.
    pub over: f64,
    /// Bytes that were copied since the look before.
    pub copied: f64,
    /// Slots that are not where they belong.
    pub remaining: usize,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// What.
    pub text: String,
}

/// Sums of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// ECPUs that were asked for.
    pub asked: f64,
    /// ECPUs that were served.
    pub served: f64,
    /// Bytes that were copied.
    pub moved: f64,
    /// Bytes that nodes which came had to get, and nodes which went had to give.
    pub moved_least: f64,
    /// What the nodes cost.
    pub node_hours: f64,
    /// What they would have cost somebody who knew all.
    pub node_hours_least: f64,
    /// The most nodes at a time.
    pub nodes_most: usize,
    /// Nodes or groups of them that were added or given back.
    pub decisions: usize,
    /// Of these, those that undid the one before within 10 minutes, at the same load.
    pub reversals: usize,
    /// The most bytes above what was granted.
    pub over_most: f64,
    /// Slots that nobody had any more.
    pub lost: usize,
}

impl Totals {
    /// Of what was asked for, the part that was not served.
    #[must_use]
    pub fn throttled(&self) -> f64 {
        (1.0 - self.served / self.asked.max(1.0)).max(0.0)
    }
}

impl Report {
    /// When what could be served first was so much, from a time on.
    #[must_use]
    pub fn usable_from(&self, at: Duration, usable: f64) -> Option<Duration> {
        let found = self.samples.iter().find(|it| it.at >= at && it.usable >= usable);
        found.map(|it| it.at.saturating_sub(at))
    }

    /// At most so many samples, each the worst of as many.
    #[must_use]
    pub fn thinned(&self, most: usize) -> Vec<Sample> {
        let of = self.samples.len().div_ceil(most.max(1)).max(1);
        let worst = |samples: &[Sample]| {
            let mut worst = samples[0].clone();
            for it in samples {
                worst.asked = worst.asked.max(it.asked);
                worst.usable = worst.usable.min(it.usable);
                worst.capacity = worst.capacity.min(it.capacity);
                worst.served = worst.served.min(it.served);
                worst.nodes = worst.nodes.max(it.nodes);
                worst.nodes_least = worst.nodes_least.max(it.nodes_least);
                worst.held = worst.held.max(it.held);
                worst.granted = worst.granted.min(it.granted);
                worst.over = worst.over.max(it.over);
                worst.remaining = worst.remaining.max(it.remaining);
            }
            worst.copied = samples.iter().map(|it| it.copied).sum();
            worst
        };
        self.samples.chunks(of).map(worst).collect()
    }

    /// What is worth a line: name and figure.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let Totals { asked, moved, moved_least, node_hours, node_hours_least, .. } = self.totals;
        let totals = &self.totals;
        let size = |bytes: f64| show_size(crate::world::whole(bytes));
        let times = |all: f64, least: f64| {
            if least > 0.0 {
                format!(", {:.2} times the least", all / least)
            } else {
                String::new()
            }
        };
        vec![
            ("asked for", format!("{:.3} G ECPU", asked / 1e9)),
            ("not served", format!("{:.3}%", totals.throttled() * 100.0)),
            ("nodes", format!("{} at most, of {}", totals.nodes_most, self.nodes_max)),
            ("node-hours", format!("{node_hours:.1}{}", times(node_hours, node_hours_least))),
            ("bytes moved", format!("{}{}", size(moved), times(moved, moved_least))),
            (
                "decisions",
                format!(
                    "{}, {} of them undone at the same load",
                    totals.decisions, totals.reversals
                ),
            ),
            ("above what was granted", format!("{} at most", size(totals.over_most))),
            ("slots lost", totals.lost.to_string()),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} (seed {})", self.name, self.about, self.seed)?;
        for (name, figure) in self.rows() {
            writeln!(f, "  {name:<24}{figure}")?;
        }
        writeln!(
            f,
            "\n      s     asked    served    usable  nodes  least   granted      held   moving"
        )?;
        for it in self.thinned(30) {
            let k = |figure: f64| format!("{:.0}k", figure / 1e3);
            let gib = |bytes: f64| format!("{:.1}G", bytes / (1_u64 << 30) as f64);
            writeln!(
                f,
                "{:>7} {:>9} {:>9} {:>9} {:>6} {:>6} {:>9} {:>9} {:>8}",
                it.at.as_secs(),
                k(it.asked),
                k(it.served),
                k(it.usable),
                it.nodes,
                it.nodes_least,
                gib(it.granted),
                gib(it.held),
                it.remaining
            )?;
        }
        Ok(())
    }
}
