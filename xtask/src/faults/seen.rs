use memtide_testkit::{Member, Verdict, Via};
use serde::Serialize;
use serde_json::Value;

use super::Scene;
use super::list::{Fault, Notice};

/// Requests a second of each load.
const RATE: u32 = 200;

/// What came of a fault.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What was done.
    pub what: &'static str,
    /// From the fault until the fleet was whole without what was lost.
    pub without_s: Option<f64>,
    /// From when it was there again until the fleet was whole with it.
    pub again_s: Option<f64>,
    /// What clients saw who are to notice nothing but slow replies.
    pub others: Seen,
    /// What those saw who may notice more; none where nobody may.
    pub hurt: Option<Seen>,
    /// Of both, requests that were checked.
    pub operations: u64,
    #[serde(skip)]
    notice: Notice,
    #[serde(skip)]
    may_refuse: bool,
    #[serde(skip)]
    reports: Vec<String>,
}

/// What the loads of some clients saw.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    /// The longest that a request waited for its reply.
    pub longest_reply_ms: u64,
    /// Stale reads, lost and doubled writes and the like, keys that could not be decided, and items that are gone.
    pub violations: u64,
    /// Error replies.
    pub errors: u64,
    /// Connections that were reset or cut, or whose replies took 30 s.
    pub broken: u64,
    /// Connections that were closed in good order.
    pub closed: u64,
    /// Connections that could not be made.
    pub unmade: u64,
}

/// Does a fault under load.
pub fn observed(scene: &mut Scene, fault: &Fault) -> Row {
    if fault.is_split {
        scene.fleet.lay_cable(Member::Proxy(0));
    }
    let load = scene.fleet.load(&Via::ALL, RATE);
    scene.fleet.wait_answered(500);
    scene.fleet.wait_whole();
    let recovery = (fault.act)(scene);
    scene.fleet.wait_answered(500);
    let verdicts = load.finish();
    if fault.is_split {
        scene.fleet.remove_cable();
    }
    let (mut others, mut hurt, mut reports) = (Seen::default(), None, Vec::new());
    for (via, verdict) in &verdicts {
        let seen = seen(verdict);
        let may_notice = may_notice(*via, fault.notice);
        if is_bad(&seen, if may_notice { fault.notice } else { Notice::Nobody }, fault.may_refuse) {
            reports.push(format!("{via:?}:\n{}", verdict.text));
        }
        if may_notice {
            hurt.get_or_insert_with(Seen::default).add(&seen);
        } else {
            others.add(&seen);
        }
    }
    let seconds = |time: std::time::Duration| time.as_secs_f64();
    Row {
        name: fault.name,
        what: fault.what,
        without_s: recovery.without.map(seconds),
        again_s: recovery.again.map(seconds),
        others,
        hurt,
        operations: verdicts.iter().map(|(_, it)| it.count("verdict/operations")).sum(),
        notice: fault.notice,
        may_refuse: fault.may_refuse,
        reports,
    }
}

/// What must not be, in a line each.
pub fn failures(row: &Row) -> Vec<String> {
    let mut failures: Vec<String> =
        row.reports.iter().map(|report| format!("{}, {report}", row.name)).collect();
    let of_hurt = row.hurt.iter().map(|seen| (seen, row.notice));
    for (seen, notice) in [(&row.others, Notice::Nobody)].into_iter().chain(of_hurt) {
        if is_bad(seen, notice, row.may_refuse) {
            failures.push(format!("{}: {seen:?}", row.name));
        }
    }
    failures
}

fn may_notice(via: Via, notice: Notice) -> bool {
    match notice {
        Notice::Nobody => false,
        Notice::Away | Notice::Died => via != Via::Proxy(1),
        Notice::Upgraded => true,
    }
}

fn is_bad(seen: &Seen, notice: Notice, may_refuse: bool) -> bool {
    let may_refuse = may_refuse || notice == Notice::Away;
    let may_break = notice == Notice::Died;
    let may_close = may_break || notice == Notice::Upgraded;
    seen.violations > 0
        || (seen.errors > 0 && !may_refuse)
        || (seen.broken > 0 && !may_break)
        || (seen.closed + seen.unmade > 0 && !may_close)
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.longest_reply_ms = self.longest_reply_ms.max(other.longest_reply_ms);
        self.violations += other.violations;
        self.errors += other.errors;
        self.broken += other.broken;
        self.closed += other.closed;
        self.unmade += other.unmade;
    }
}

fn seen(verdict: &Verdict) -> Seen {
    let sum = |path: &str, is_counted: &dyn Fn(&Value) -> bool| -> u64 {
        let rows = verdict.json.pointer(path).and_then(Value::as_array);
        let rows = rows.unwrap_or_else(|| panic!("a load test tells {path}: {}", verdict.text));
        let count = |row: &Value| row["count"].as_u64().expect("each row has a count");
        rows.iter().filter(|row| is_counted(row)).map(count).sum()
    };
    assert!(verdict.count("verdict/operations") > 100, "hardly anything was checked");
    let troubles =
        |names: &[&str]| sum("/troubles", &|row| names.iter().any(|it| row["trouble"] == **it));
    Seen {
        longest_reply_ms: verdict.count("verdict/longest_reply_us") / 1_000,
        violations: sum("/verdict/violation_counts", &|_| true)
            + verdict.count("verdict/undecided_keys")
            + verdict.count("verdict/misses/evictions_needed"),
        errors: verdict.count("totals/errors"),
        broken: troubles(&["reset", "truncated", "timeout", "garbled"]),
        closed: troubles(&["closed"]),
        unmade: troubles(&["connect", "handshake"]),
    }
}
