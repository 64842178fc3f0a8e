use std::fmt::{self, Write};

use super::super::Seen;
use super::super::table::seen_row;
use super::step::Step;
use super::{DOUBLED_WITHIN_S, HIT_RATIO_DIP_MAX, Results};

/// What was measured, as Markdown; nothing where nothing was.
pub fn write(out: &mut String, results: &Results) -> fmt::Result {
    write_steps(out, &results.steps)?;
    if let Some(data) = &results.data {
        let (first, then) = data.evicted;
        writeln!(
            out,
            "| data, one replica | stored in s | twice as many nodes, moved, s | all moved, s after the last key | nodes at most | back, s after all had expired | evicted by the fill | then | violations | longest reply ms |"
        )?;
        writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        let (filled, doubled, settled, back) =
            (data.filled_s, data.doubled_s, data.settled_s, data.back_s);
        let (mib, nodes, violations) = (data.mib, data.nodes, data.violations);
        writeln!(
            out,
            "| {mib} MiB of values | {filled:.1} | {doubled:.1} | {settled:.1} | {nodes} | {back:.1} | {first} | {then} | {violations} | {} |\n",
            data.longest_reply_ms,
        )?;
        write_loads(out, "data", &[("all of it, checked", &data.load)])?;
    }
    if let Some(steady) = &results.steady {
        writeln!(
            out,
            "A load that stays, for {} s: {} decisions.\n",
            steady.seconds, steady.decisions
        )?;
        write_loads(out, "steady", &[("all of it", &steady.load)])?;
    }
    Ok(())
}

fn write_steps(out: &mut String, steps: &[Step]) -> fmt::Result {
    if steps.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| step | ECPU/s | nodes | doubled, data moved, s | MB moved | pause p50 ms | p99 ms | back s | evicted | errors of others |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for step in steps {
        let (p50, p99) = (step.pauses.p50_us / 1e3, step.pauses.p99_us / 1e3);
        let (what, ecpu, mb) = (step.kind.what(), step.ecpu, step.moved_bytes / 1_000_000);
        let (from, to, doubled, back) =
            (step.nodes_before, step.nodes, step.doubled_s, step.back_s);
        writeln!(
            out,
            "| {what} | {ecpu} | {from} to {to} | **{doubled:.1}** | {mb} | {p50:.2} | {p99:.2} | {back:.1} | {} | {} |",
            step.evicted, step.errors_of_others,
        )?;
    }
    writeln!(out)?;
    for step in steps {
        write_loads(
            out,
            step.kind.what(),
            &[
                ("before", &step.before),
                ("from the step on", &step.during),
                ("after", &step.after),
                ("on the way back", &step.back),
            ],
        )?;
    }
    Ok(())
}

/// The first of them is what the others are measured by.
fn write_loads(out: &mut String, what: &str, loads: &[(&str, &Seen)]) -> fmt::Result {
    let Some((_, before)) = loads.first() else { return Ok(()) };
    writeln!(
        out,
        "| {what} | s | requests | errors | hit ratio | p50 us | p99 us | of before | p99.9 us | of before | max ms |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for (when, seen) in loads {
        writeln!(out, "| {when} | {} |", seen_row(seen, before))?;
    }
    writeln!(out)
}

/// What must not be, in a line each.
pub fn failures(results: &Results) -> Vec<String> {
    let mut failures = Vec::new();
    for step in &results.steps {
        let what = step.kind.what();
        if step.doubled_s > DOUBLED_WITHIN_S {
            failures.push(format!("{what}: twice as much after {:.1} s", step.doubled_s));
        }
        if step.evicted > 0 {
            failures.push(format!("{what}: {} items evicted", step.evicted));
        }
        let mut errors = step.errors_of_others;
        for seen in [&step.during, &step.after, &step.back] {
            errors += seen.errors;
            if seen.hit_ratio < step.before.hit_ratio - HIT_RATIO_DIP_MAX {
                let (was, is) = (step.before.hit_ratio, seen.hit_ratio);
                failures.push(format!("{what}: hit ratio {is}, was {was}"));
            }
        }
        if errors > 0 {
            failures.push(format!("{what}: {errors} errors"));
        }
    }
    if let Some(data) = &results.data {
        if data.load.errors > 0 || data.violations > 0 {
            let (errors, violations) = (data.load.errors, data.violations);
            failures.push(format!("data: {errors} errors, {violations} violations"));
        }
        if data.evicted.1 > 0 {
            failures.push(format!("data: {} items evicted after the fill", data.evicted.1));
        }
    }
    if let Some(steady) = results.steady.as_ref().filter(|it| it.decisions > 0) {
        failures.push(format!("a load that stays: {} decisions", steady.decisions));
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::super::super::pauses::Told;
    use super::super::step::Kind;
    use super::*;

    fn step() -> Step {
        let seen = Seen { hit_ratio: 1.0, is_believed: true, ..Seen::default() };
        Step {
            kind: Kind::Work,
            ecpu: 78_750,
            evicted_by_first_fill: 9,
            nodes_before: 2,
            nodes: 4,
            doubled_s: 8.5,
            moved_bytes: 500_000_000,
            pauses: Told { handovers: 8192, p50_us: 5_000.0, p99_us: 22_000.0 },
            back_s: 40.0,
            evicted: 0,
            errors_of_others: 0,
            before: seen.clone(),
            during: seen.clone(),
            after: seen.clone(),
            back: seen,
        }
    }

    fn told(step: Step) -> Vec<String> {
        failures(&Results { steps: vec![step], ..Results::default() })
    }

    #[test]
    fn a_step_is_one_row_and_its_loads_are_four() {
        let mut out = String::new();
        write(&mut out, &Results { steps: vec![step()], ..Results::default() }).unwrap();
        let row =
            "| other clients | 78750 | 2 to 4 | **8.5** | 500 | 5.00 | 22.00 | 40.0 | 0 | 0 |";
        assert!(out.lines().any(|line| line == row), "{out}");
        assert_eq!(out.lines().filter(|line| line.contains("| 1.000000 |")).count(), 4, "{out}");
    }

    #[test]
    fn what_is_late_evicted_missed_or_refused_fails() {
        assert!(told(step()).is_empty());
        let late = told(Step { doubled_s: 30.1, ..step() });
        assert_eq!(late, ["other clients: twice as much after 30.1 s"]);
        assert_eq!(told(Step { evicted: 3, ..step() }), ["other clients: 3 items evicted"]);
        let errors = Seen { errors: 2, ..step().after };
        let errors = told(Step { after: errors, errors_of_others: 1, ..step() });
        assert_eq!(errors, ["other clients: 3 errors"]);
        let missed = |hit_ratio| Step { back: Seen { hit_ratio, ..step().back }, ..step() };
        assert!(told(missed(0.9991)).is_empty());
        assert_eq!(told(missed(0.998)).len(), 1);
    }
}
