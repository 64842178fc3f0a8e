//! Numbers as people read them, bars and curves, in text.

use std::time::Duration;

use memtide_records::usage::utc;

/// What is not known.
pub const UNKNOWN: &str = "-";

/// Something a second.
pub fn rate(rate: Option<f64>) -> String {
    match rate {
        None => UNKNOWN.to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(rate) if rate < 9.95 => format!("{rate:.1}"),
        Some(rate) if rate < 9_999.5 => format!("{rate:.0}"),
        Some(rate) if rate < 999_950.0 => format!("{:.1}k", rate / 1e3),
        Some(rate) => format!("{:.2}M", rate / 1e6),
    }
}

/// A part of a whole.
pub fn percent(part: Option<f64>) -> String {
    match part {
        None => UNKNOWN.to_owned(),
        // All but a few are not all.
        Some(part) if part < 1.0 && part > 0.999 => format!("{:.2}%", (part * 1e4).floor() / 1e2),
        Some(part) if (0.0995..0.9995).contains(&part) => format!("{:.1}%", part * 100.0),
        Some(part) => format!("{:.0}%", part * 100.0),
    }
}

/// A latency in seconds.
pub fn seconds(seconds: Option<f64>) -> String {
    match seconds {
        None => UNKNOWN.to_owned(),
        Some(seconds) if seconds.is_infinite() => "over 10 s".to_owned(),
        Some(seconds) if seconds < 0.000_999_5 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 0.009_95 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 0.999_5 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

/// How long something lasts, in its two largest units.
pub fn duration(time: Duration) -> String {
    let (seconds, minutes, hours) = (time.as_secs(), time.as_secs() / 60, time.as_secs() / 3_600);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

/// A span as it is set, such as `500ms`.
pub fn span(time: Duration) -> String {
    match time.as_millis() {
        millis if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    }
}

/// The time of a day, in UTC.
pub fn time_of_day(at_ms: u64) -> String {
    let at = utc(at_ms / 1_000);
    at.split_once('T').map_or(UNKNOWN, |(_, time)| time).to_owned()
}

/// A whole number, by thousands.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// As wide as `width`, and full where `part` is 1; what is more than nothing shows.
pub fn bar(part: f64, width: usize) -> String {
    let cells = u32::try_from(width).unwrap_or(u32::MAX);
    let is_full = |cell: &u32| {
        let middle = (f64::from(*cell) + 0.5) / f64::from(cells);
        part >= middle || *cell == 0 && part > 0.0
    };
    let full = (0..cells).filter(is_full).count();
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

/// The newest of a history, one in a column; what is not known is a gap.
pub fn curve(history: &[Option<f64>], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &history[history.len().saturating_sub(width)..];
    let top = shown.iter().flatten().fold(0.0, |top: f64, value| top.max(*value));
    let level = |value: f64| {
        let is_above = |step: &u32| value * 7.0 > (f64::from(*step) + 0.5) * top;
        LEVELS[(0..7).filter(is_above).count()]
    };
    let gap = std::iter::repeat_n(' ', width - shown.len());
    gap.chain(shown.iter().map(|value| value.map_or(' ', level))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let rates = [0.0, 0.25, 9.96, 1_234.4, 12_345.0, 999_949.0, 1_234_567.0];
        let shown = rates.map(|it| rate(Some(it))).join(" ");
        assert_eq!(shown, "0 0.2 10 1234 12.3k 999.9k 1.23M");
        let parts = [0.0, 0.05, 0.123, 0.995, 0.999_96, 1.0].map(|it| percent(Some(it)));
        assert_eq!(parts.join(" "), "0% 5% 12.3% 99.5% 99.99% 100%");
        let times = [0.000_01, 0.001_26, 0.0456, 2.5, f64::INFINITY].map(|it| seconds(Some(it)));
        assert_eq!(times.join(", "), "10 µs, 1.3 ms, 46 ms, 2.5 s, over 10 s");
        let times = [5, 61, 3_660, 100_000].map(|it| duration(Duration::from_secs(it)));
        assert_eq!(times.join(" "), "5s 1m01s 1h01m 1d03h");
        assert_eq!(
            [0, 999, 1_000, 16_384, 1_234_567].map(count).join(" "),
            "0 999 1,000 16,384 1,234,567"
        );
        assert_eq!(time_of_day(1_795_246_260_001), "07:31:00Z");
        assert_eq!(
            (rate(None), percent(None), seconds(None)),
            ("-".into(), "-".into(), "-".into())
        );
        assert_eq!([250, 1_000].map(|it| span(Duration::from_millis(it))).join(" "), "250ms 1s");
    }

    #[test]
    fn bars_and_curves_fill_their_width() {
        let bars = [0.0, 0.001, 0.5, 0.99, 1.0, 7.0].map(|part| bar(part, 4));
        assert_eq!(bars.join(" "), "░░░░ █░░░ ██░░ ████ ████ ████");
        assert_eq!(bar(0.5, 0), "");
        let history = [Some(9.0), None, Some(0.0), Some(2.0), Some(4.0)];
        assert_eq!(curve(&history, 4), " ▁▄█");
        assert_eq!(curve(&history, 7), "  █ ▁▃▄");
        assert_eq!((curve(&[], 3), curve(&history, 0)), ("   ".to_owned(), String::new()));
        assert_eq!(curve(&[Some(0.0)], 1), "▁");
    }
}
