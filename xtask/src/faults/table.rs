use super::seen::{Row, Seen};

/// All results as Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let head = "| fault | done | whole without it, s | whole again, s | longest reply, ms | of that proxy's clients | \
                violations | errors | connections broken | closed | checked |\n\
                |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    let lines: String = rows.iter().map(|row| line(row) + "\n").collect();
    format!("{head}{lines}")
}

/// One of them.
pub fn line(row: &Row) -> String {
    let hurt = row.hurt.clone().unwrap_or_default();
    let both = |count: fn(&Seen) -> u64| (count(&row.others), count(&hurt));
    // What only clients of the proxy that was hurt saw is apart.
    let told = |(others, hurt): (u64, u64)| match (&row.hurt, hurt) {
        (None, _) | (_, 0) => others.to_string(),
        (Some(_), hurt) => format!("{others} + {hurt}"),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.name,
        row.what,
        seconds(row.without_s),
        seconds(row.again_s),
        longest(&row.others),
        longest(&hurt),
        row.others.violations + hurt.violations,
        told(both(|seen| seen.errors)),
        told(both(|seen| seen.broken)),
        told(both(|seen| seen.closed)),
        row.operations,
    )
}

/// Nothing where nobody was asked.
fn longest(seen: &Seen) -> String {
    if seen.longest_reply_ms == 0 { String::new() } else { seen.longest_reply_ms.to_string() }
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(String::new, |time| format!("{time:.1}"))
}
