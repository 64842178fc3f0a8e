use std::fmt::Write as _;

use super::Results;
use super::crash::REPLY_WITHIN_MS;
use super::latency::Figure;
use super::load::Seen;
use super::scaling;

/// All results as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = write_latency(&mut out, results);
    let _ = write_moves(&mut out, results);
    let _ = scaling::write(&mut out, &results.scaling);
    let _ = write_crashes(&mut out, results);
    out
}

/// What must not be, in a line each.
pub fn failures(results: &Results) -> Vec<String> {
    let mut failures = Vec::new();
    for moved in &results.moves {
        let Some(load) = &moved.load else { continue };
        if load.during.errors > 0 {
            failures.push(format!("{}: {} errors", moved.what, load.during.errors));
        }
        if load.during.hit_ratio < load.before.hit_ratio {
            let (was, is) = (load.before.hit_ratio, load.during.hit_ratio);
            failures.push(format!("{}: hit ratio {is}, was {was}", moved.what));
        }
    }
    failures.extend(scaling::failures(&results.scaling));
    for crash in &results.crashes {
        let what = &crash.what;
        if crash.load.errors > 0 || crash.violations > 0 {
            let (errors, violations) = (crash.load.errors, crash.violations);
            failures.push(format!("{what}: {errors} errors, {violations} violations"));
        }
        if crash.longest_reply_ms > REPLY_WITHIN_MS {
            failures.push(format!("{what}: a reply took {} ms", crash.longest_reply_ms));
        }
    }
    failures
}

fn write_latency(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.latency.is_empty() {
        return Ok(());
    }
    writeln!(out, "| load | server | p50 us | of memtide | p99 us | of memtide |")?;
    writeln!(out, "|---|---|--:|--:|--:|--:|")?;
    let mut load = "";
    for row in &results.latency {
        let shown = if row.load == load { "" } else { &row.load };
        load = &row.load;
        let (p50, p99) = (figure(row.p50_us), figure(row.p99_us));
        writeln!(out, "| {shown} | {} | {p50} | {p99} |", row.server)?;
    }
    writeln!(out)
}

/// Value and ratio, in two columns; what is not believed has a `~`.
fn figure(figure: Figure) -> String {
    let mark = if figure.is_believed { "" } else { "~" };
    let value = figure.value.map_or("-".to_owned(), |value| format!("{mark}{value:.0}"));
    let ratio = figure.ratio.map_or("-".to_owned(), |ratio| format!("{mark}{ratio:.2}"));
    format!("{value} | {ratio}")
}

fn write_moves(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.moves.is_empty() {
        return Ok(());
    }
    writeln!(out, "| 16,384 slots | s | MB | MB/s | pauses timed | pause p50 ms | p99 ms |")?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|")?;
    for moved in &results.moves {
        let (pauses, speed) = (&moved.pauses, moved.mb_per_s());
        let (what, seconds, mb) = (&moved.what, moved.seconds, moved.bytes / 1_000_000);
        let (p50, p99) = (pauses.p50_us / 1e3, pauses.p99_us / 1e3);
        let timed = pauses.handovers;
        writeln!(
            out,
            "| {what} | {seconds:.2} | {mb} | {speed:.0} | {timed} | {p50:.2} | {p99:.2} |"
        )?;
    }
    writeln!(out)?;
    let loads = results.moves.iter().filter_map(|moved| moved.load.as_ref());
    writeln!(
        out,
        "| load | s | requests | errors | hit ratio | p50 us | p99 us | of before | p99.9 us | of before | max ms |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for load in loads {
        let rows = [("before", &load.before), ("during", &load.during), ("after", &load.after)];
        for (when, seen) in rows {
            writeln!(out, "| {when} | {} |", seen_row(seen, &load.before))?;
        }
    }
    writeln!(out)
}

/// What a load saw, in ten columns, beside what it was before.
pub fn seen_row(seen: &Seen, before: &Seen) -> String {
    let mark = if seen.is_believed { "" } else { "~" };
    format!(
        "{:.1} | {} | {} | {:.6} | {mark}{:.0} | {mark}{:.0} | {:.2} | {mark}{:.0} | {:.2} | {:.1}",
        seen.seconds,
        seen.requests,
        seen.errors,
        seen.hit_ratio,
        seen.p50_us,
        seen.p99_us,
        seen.p99_us / before.p99_us,
        seen.p999_us,
        seen.p999_us / before.p999_us,
        seen.max_us / 1e3,
    )
}

fn write_crashes(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.crashes.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| fault | longest reply ms | errors | violations | restored after s | p99 us |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|")?;
    for crash in &results.crashes {
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.1} | {:.0} |",
            crash.what,
            crash.longest_reply_ms,
            crash.load.errors,
            crash.violations,
            crash.restored_s,
            crash.load.p99_us,
        )?;
    }
    Ok(())
}
