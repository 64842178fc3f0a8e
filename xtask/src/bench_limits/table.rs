use std::fmt::Write as _;

use super::Results;

/// All results as Markdown.
pub fn markdown(results: &Results) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = write_one(&mut out, results);
    let _ = write_proxies(&mut out, results);
    let _ = write_clients(&mut out, results);
    let _ = write_lowering(&mut out, results);
    let _ = write_scraping(&mut out, results);
    out
}

/// What must not be, in a line each.
pub fn failures(results: &Results) -> Vec<String> {
    let one = results
        .one
        .iter()
        .map(|row| (format!("{} at {}x", row.work, row.offered), row.delivered, false));
    let proxies = results.proxies.iter().map(|row| {
        (format!("four proxies, {} at {}x", row.what, row.offered), row.delivered, row.is_cut)
    });
    let clients = results.clients.iter().map(|row| {
        // They wait for their replies, and may be too few to use all.
        let what = format!("{}, {} threads", row.library, row.threads);
        (what, row.delivered, true)
    });
    let is_wrong =
        |delivered: f64, may_be_less: bool| delivered > 1.01 || delivered < 0.99 && !may_be_less;
    one.chain(proxies)
        .chain(clients)
        .filter(|(_, delivered, may_be_less)| is_wrong(*delivered, *may_be_less))
        .map(|(what, delivered, _)| format!("{what}: {delivered:.4} of the limit"))
        .collect()
}

fn write_one(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.one.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| work | offered | delivered / limit | refused a second | handshakes a second |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|")?;
    for row in &results.one {
        writeln!(
            out,
            "| {} | {}x | {:.4} | {:.0} | {:.1} |",
            row.work, row.offered, row.delivered, row.refused, row.handshakes
        )?;
    }
    writeln!(out)
}

fn write_proxies(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.proxies.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| four proxies, load | offered | delivered / limit | of each | refused a second |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|")?;
    for row in &results.proxies {
        let parts: Vec<_> = row.parts.iter().map(|part| format!("{part:.3}")).collect();
        writeln!(
            out,
            "| {} | {}x | {:.4} | {} | {:.0} |",
            row.what,
            row.offered,
            row.delivered,
            parts.join(" "),
            row.refused
        )?;
    }
    writeln!(out)
}

fn write_clients(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.clients.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| library | threads | gets a second without a limit | limit | delivered / limit | refused a second | handshakes a second | without a limit |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
    for row in &results.clients {
        writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.4} | {:.0} | {:.1} | {:.1} |",
            row.library,
            row.threads,
            row.without,
            row.limit,
            row.delivered,
            row.refused,
            row.handshakes,
            row.handshakes_without
        )?;
    }
    writeln!(out)
}

fn write_lowering(out: &mut String, results: &Results) -> std::fmt::Result {
    if results.lowering.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "| limit of data | evicted a second | within s | requests | errors | p50 us | p99 us | p99.9 us | max ms |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    for row in &results.lowering {
        let seen = &row.seen;
        let mark = if seen.is_believed { "" } else { "~" };
        let took = if row.took > 0.0 { format!("{:.2}", row.took) } else { "-".to_owned() };
        writeln!(
            out,
            "| {} | {:.0} | {took} | {} | {} | {mark}{:.0} | {mark}{:.0} | {mark}{:.0} | {mark}{:.1} |",
            row.what,
            row.evicted,
            seen.requests,
            seen.errors,
            seen.p50_us,
            seen.p99_us,
            seen.p999_us,
            seen.max_us / 1e3
        )?;
    }
    writeln!(out)
}

fn write_scraping(out: &mut String, results: &Results) -> std::fmt::Result {
    let Some(costs) = &results.scraping else { return Ok(()) };
    writeln!(out, "| metrics | CPU us a request, median | lowest | highest |")?;
    writeln!(out, "|---|--:|--:|--:|")?;
    let scraped = format!("scraped every second, {} bytes", costs.scrape_bytes);
    for (what, rounds) in [("not asked for", &costs.without_us), (scraped.as_str(), &costs.with_us)]
    {
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (median, last) = (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)));
        writeln!(out, "| {what} | {median:.2} | {:.2} | {last:.2} |", at(0))?;
    }
    writeln!(out)
}
