use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use memtide_loadtest::report::html::{CurvesAxis, CurvesChart, CurvesPage, curves_image};
use memtide_testkit::{Fleet, Verdict};
use serde_json::Value;

use super::super::{Arguments, Seen, load};
use super::watch::{Sample, seconds};
use crate::tell;

/// The last second of a load is cut short; what is shorter than this says nothing of a rate.
const SECOND_LEAST_S: f64 = 0.5;

/// What is drawn of a run: the fleet, and what clients see of it, second by second.
#[derive(Debug, Default)]
pub struct Curve {
    title: String,
    samples: Vec<Sample>,
    seconds: Vec<Second>,
    marks: Vec<(u64, String)>,
}

/// A second of a load, or nothing where one ends.
#[derive(Clone, Copy, Debug)]
struct Second {
    at_ms: u64,
    requests: f64,
    p99_us: f64,
}

impl Curve {
    /// Loads a fleet while nothing else happens, for `--seconds`.
    pub fn alone(&mut self, fleet: &Fleet, arguments: &Arguments) -> Seen {
        let time = Duration::from_secs(u64::from(arguments.seconds));
        self.during(fleet, arguments, || thread::sleep(time)).1
    }

    /// Loads it for as long as `meanwhile` takes.
    pub fn during<R>(
        &mut self,
        fleet: &Fleet,
        arguments: &Arguments,
        meanwhile: impl FnOnce() -> R,
    ) -> (R, Seen) {
        let (done, verdict) = load::told_during(fleet, arguments, meanwhile);
        self.add(&verdict);
        (done, load::seen(&verdict))
    }

    /// Adds what a load test saw of each second.
    pub fn add(&mut self, verdict: &Verdict) {
        let began_ms = load::number(&verdict.json, "/began_at_ms");
        let rows = verdict.json["timeline"].as_array();
        self.seconds.extend(rows.into_iter().flatten().filter_map(|row| second(row, began_ms)));
        let end = self.seconds.last().map(|last| Second {
            at_ms: last.at_ms + 1,
            requests: f64::NAN,
            p99_us: f64::NAN,
        });
        self.seconds.extend(end);
    }

    /// Something that happened.
    pub fn mark(&mut self, at_ms: u64, what: impl Into<String>) {
        self.marks.push((at_ms, what.into()));
    }

    /// Has all of it.
    pub fn finish(&mut self, title: &str, samples: Vec<Sample>) {
        (self.title, self.samples) = (title.to_owned(), samples);
    }

    fn page(&self) -> CurvesPage {
        let began_ms = self.samples.first().map_or(0, |first| first.at_ms);
        let at = |ms: u64| seconds(began_ms, ms);
        let fleet = |name: &str, figure: &dyn Fn(&Sample) -> f64| {
            let points = self.samples.iter().map(|it| (at(it.at_ms), figure(it)));
            (name.to_owned(), points.collect())
        };
        let clients = |name: &str, figure: &dyn Fn(&Second) -> f64| {
            let points = self.seconds.iter().filter(|it| it.at_ms >= began_ms);
            (name.to_owned(), points.map(|it| (at(it.at_ms), figure(it))).collect())
        };
        let chart = |title: &str, curves| CurvesChart {
            title: title.to_owned(),
            curves,
            ..CurvesChart::default()
        };
        let memory =
            vec![fleet("granted", &|it| mib(it.granted)), fleet("in use", &|it| mib(it.used))];
        let work =
            vec![fleet("room", &|it| whole(it.ecpu.1)), fleet("in use", &|it| whole(it.ecpu.0))];
        CurvesPage {
            title: self.title.clone(),
            charts: vec![
                chart("Nodes", vec![fleet("nodes", &|it| whole(it.nodes as u64))]),
                chart("Memory in MiB", memory),
                chart("ECPU per second", work),
                chart("Slots on their way", vec![fleet("slots", &|it| whole(it.remaining))]),
                chart("Requests per second", vec![clients("requests", &|it| it.requests)]),
                CurvesChart {
                    axis: CurvesAxis::Micros,
                    ..chart("p99 of a second", vec![clients("p99", &|it| it.p99_us)])
                },
            ],
            events: self.marks.iter().map(|(ms, what)| (at(*ms), what.clone())).collect(),
            ..CurvesPage::default()
        }
    }
}

fn second(row: &Value, began_ms: u64) -> Option<Second> {
    let latency = row.get("latency").or_else(|| row.get("untrusted_latency"))?;
    let (at_s, length_s) = (row["at_s"].as_f64()?, row["length_s"].as_f64()?);
    if length_s < SECOND_LEAST_S {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the milliseconds of a run"
    )]
    let ms = (at_s.abs() * 1e3) as u64;
    Some(Second {
        at_ms: if at_s < 0.0 { began_ms - ms } else { began_ms + ms },
        requests: row["requests"].as_f64()? / length_s,
        p99_us: latency["p99_us"].as_f64().unwrap_or(f64::NAN),
    })
}

/// Writes the image into the directory, where there is to be one.
///
/// # Errors
/// Where it cannot be written.
pub fn write(directory: Option<&Path>, name: &str, curve: &Curve) -> anyhow::Result<()> {
    let Some(directory) = directory else { return Ok(()) };
    let path = directory.join(format!("scaling-{name}.svg"));
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    std::fs::write(&path, curves_image(&curve.page()))
        .with_context(|| path.display().to_string())?;
    tell(&format!("wrote {}", path.display()));
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    whole(bytes) / f64::from(1_u32 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "figures of memory and of rates, to be drawn")]
fn whole(figure: u64) -> f64 {
    figure as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seconds_of_a_load_stand_beside_the_fleet_at_the_same_time() {
        let row = |at_s: f64, length_s: f64, p99: u64| {
            let latency = json!({ "p99_us": p99 });
            json!({ "at_s": at_s, "length_s": length_s, "requests": 500, "latency": latency })
        };
        let rows = [row(-1.0, 1.0, 100), row(0.0, 1.0, 2_000), row(1.0, 0.1, 9)];
        let told = json!({ "began_at_ms": 11_000, "timeline": rows });
        let mut curve = Curve::default();
        curve.add(&Verdict { json: told, text: String::new() });
        curve.mark(10_500, "a step");
        let sample = |at_ms, nodes| Sample { at_ms, nodes, ..Sample::default() };
        curve.finish("x", vec![sample(10_000, 2), sample(12_000, 4)]);
        let page = curve.page();
        assert_eq!(page.events, [(0.5, "a step".to_owned())]);
        assert_eq!(page.charts[0].curves[0].1, [(0.0, 2.0), (2.0, 4.0)]);
        let p99 = &page.charts[5].curves[0].1;
        assert_eq!(p99[..2], [(0.0, 100.0), (1.0, 2_000.0)]);
        assert!(p99[2].1.is_nan(), "the load ends: {p99:?}");
    }
}
