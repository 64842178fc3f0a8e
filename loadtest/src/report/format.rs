//! Figures as people read them: thousands apart, three significant digits, a unit.

/// What stands where there is no figure.
pub const NONE: &str = "-";

/// `1,234,567`
#[must_use]
pub fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// A number of things that is a mean: whole and thousands apart from 100 on, else three
/// significant digits.
#[must_use]
pub fn quantity(x: f64) -> String {
    if !x.is_finite() {
        return NONE.to_owned();
    }
    if x.abs() >= 99.95 { grouped(&format!("{x:.0}")) } else { three_digits(x) }
}

/// Per second: `49,998/s`, `1.25/s`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if per_second.is_finite() { format!("{}/s", quantity(per_second)) } else { NONE.to_owned() }
}

/// A rate for an axis or a narrow place: `50k/s`, `1.25M/s`.
#[must_use]
pub fn short_rate(per_second: f64) -> String {
    format!("{}/s", short_count(per_second))
}

/// A count for an axis or a narrow place: `50k`, `1.25M`.
#[must_use]
pub fn short_count(n: f64) -> String {
    let (divisor, suffix) = match n.abs() {
        x if x < 999.5 => (1.0, ""),
        x if x < 999.5e3 => (1e3, "k"),
        x if x < 999.5e6 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    format!("{}{suffix}", trimmed(&three_digits(n / divisor)))
}

/// Bytes in binary units: `512 B`, `1.50 MiB`.
#[must_use]
pub fn bytes(n: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if !n.is_finite() {
        return NONE.to_owned();
    }
    let (mut scaled, mut unit) = (n, 0);
    while scaled.abs() >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let number = if unit == 0 { format!("{scaled:.0}") } else { three_digits(scaled) };
    format!("{number} {}", UNITS[unit])
}

/// Microseconds in ASCII: `98.2 us`, `1.23 ms`, `12.3 s`.
#[must_use]
pub fn micros(us: f64) -> String {
    scaled_micros(us, "us")
}

/// The same as it is typeset: `98.2 µs`.
#[must_use]
pub fn micros_typeset(us: f64) -> String {
    scaled_micros(us, "µs")
}

/// A time on an axis: `50 µs`, `1 ms`.
#[must_use]
pub fn micros_tick(us: f64) -> String {
    tick(&micros_typeset(us))
}

/// A figure with its unit, without the zeros that an axis does not need: `2 ms` of `2.00 ms`.
#[must_use]
pub fn tick(text: &str) -> String {
    match text.split_once(' ') {
        Some((number, unit)) => format!("{} {unit}", trimmed(number)),
        None => text.to_owned(),
    }
}

/// A part of a whole: `12.3%`, `0.0450%`; `100%` and `0%` only where nothing is missing and
/// nothing is there.
#[must_use]
pub fn percent(fraction: f64) -> String {
    let hundredths = fraction * 100.0;
    if !hundredths.is_finite() {
        return NONE.to_owned();
    }
    if hundredths == 0.0 || (hundredths - 100.0).abs() < f64::EPSILON {
        return format!("{hundredths:.0}%");
    }
    if hundredths > 99.9 && hundredths < 100.0 {
        return if hundredths > 99.999 {
            ">99.999%".to_owned()
        } else {
            format!("{hundredths:.3}%")
        };
    }
    if hundredths.abs() < 0.0001 {
        return "<0.0001%".to_owned();
    }
    if hundredths.abs() < 0.1 {
        return format!("{hundredths:.4}%");
    }
    format!("{}%", three_digits(hundredths))
}

/// One figure over another: `x1.25`, `x0.37`.
#[must_use]
pub fn ratio(x: f64) -> String {
    match x {
        _ if !x.is_finite() => NONE.to_owned(),
        _ if (0.1..9.995).contains(&x) => format!("x{x:.2}"),
        _ => format!("x{}", three_digits(x)),
    }
}

/// A count with its noun: `1 round`, `2 rounds`.
#[must_use]
pub fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A percentile's usual name: `p99.9` of 0.999.
#[must_use]
pub fn percentile(fraction: f64) -> String {
    if fraction >= 1.0 {
        return "max".to_owned();
    }
    let digits = format!("{:.7}", fraction * 100.0);
    format!("p{}", trimmed(&digits))
}

/// A length of time in seconds: `12.5 s`, `2 min 5 s`, `1 h 0 min`.
#[must_use]
pub fn seconds(s: f64) -> String {
    if !s.is_finite() {
        return NONE.to_owned();
    }
    if s.abs() < 119.95 {
        return format!("{} s", trimmed(&format!("{s:.1}")));
    }
    let whole = s.round();
    let minutes = (whole / 60.0).floor();
    if whole < 3600.0 {
        return format!("{minutes:.0} min {:.0} s", whole % 60.0);
    }
    format!("{:.0} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0)
}

/// A moment of a run, in seconds since its measured part began: `-2.0s`, `12.5s`.
#[must_use]
pub fn moment(at_s: f64) -> String {
    format!("{at_s:.1}s")
}

/// Text from outside as one line that does nothing to a terminal: control characters are escaped.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Milliseconds since 1970 as a date of the civil calendar: `2026-03-01 12:30:05 UTC`.
#[must_use]
pub fn date(ms_since_1970: u64) -> String {
    let seconds = ms_since_1970 / 1000;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Days since 1970-01-01 as year, month and day, counted in eras of 400 years that begin on 1 March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn scaled_micros(us: f64, small_unit: &str) -> String {
    if !us.is_finite() {
        return NONE.to_owned();
    }
    match us.abs() {
        x if x < 999.5 => format!("{} {small_unit}", three_digits(us)),
        x if x < 999.5e3 => format!("{} ms", three_digits(us / 1e3)),
        _ => format!("{} s", quantity(us / 1e6)),
    }
}

/// Three significant digits of what is below 1,000.
fn three_digits(x: f64) -> String {
    let decimals = match x.abs() {
        0.0 => 0,
        a if a >= 99.95 => 0,
        a if a >= 9.995 => 1,
        a if a >= 0.9995 => 2,
        _ => 3,
    };
    format!("{x:.decimals$}")
}

/// Without the zeros behind the point that say nothing.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let mut out = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_has_its_thousands_apart() {
        let told = [0, 12, 999, 1000, 12_345, 1_234_567].map(count);
        assert_eq!(told, ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn a_rate_is_whole_when_large_and_has_three_digits_when_small() {
        let told = [0.0, 0.25, 1.256, 12.34, 99.96, 49_998.4, f64::NAN].map(rate);
        assert_eq!(told, ["0/s", "0.250/s", "1.26/s", "12.3/s", "100/s", "49,998/s", "-"]);
        let short = [0.0, 500.0, 1000.0, 50_000.0, 999_700.0, 1_250_000.0, 2e9].map(short_rate);
        assert_eq!(short, ["0/s", "500/s", "1k/s", "50k/s", "1M/s", "1.25M/s", "2G/s"]);
    }

    #[test]
    fn microseconds_change_their_unit_where_four_digits_would_be_needed() {
        let told =
            [0.0, 0.5, 9.996, 98.24, 999.4, 999.6, 1234.0, 999_600.0, 12_345_678.0].map(micros);
        assert_eq!(
            told,
            [
                "0 us", "0.500 us", "10.0 us", "98.2 us", "999 us", "1.00 ms", "1.23 ms", "1.00 s",
                "12.3 s"
            ]
        );
        assert_eq!(micros_tick(50.0), "50 µs");
        assert_eq!(micros_tick(1000.0), "1 ms");
        assert_eq!(micros_typeset(f64::INFINITY), "-");
    }

    #[test]
    fn bytes_are_in_binary_units() {
        let told = [0.0, 512.0, 1000.0, 1536.0, 1_572_864.0, 3.2e9].map(bytes);
        assert_eq!(told, ["0 B", "512 B", "0.977 KiB", "1.50 KiB", "1.50 MiB", "2.98 GiB"]);
    }

    #[test]
    fn a_percentage_is_never_rounded_to_all_or_nothing() {
        let told = [0.0, 1e-9, 0.000_45, 0.1234, 0.999_96, 0.999_999_9, 1.0].map(percent);
        assert_eq!(told, ["0%", "<0.0001%", "0.0450%", "12.3%", "99.996%", ">99.999%", "100%"]);
    }

    #[test]
    fn percentiles_have_their_usual_names() {
        let told = [0.5, 0.99, 0.999, 0.9999, 0.999_99, 1.0].map(percentile);
        assert_eq!(told, ["p50", "p99", "p99.9", "p99.99", "p99.999", "max"]);
    }

    #[test]
    fn times_are_told_in_the_units_of_a_clock_when_long() {
        let told = [0.5, 60.0, 125.0, 3600.0, 9000.0].map(seconds);
        assert_eq!(told, ["0.5 s", "60 s", "2 min 5 s", "1 h 0 min", "2 h 30 min"]);
        assert_eq!(moment(-2.0), "-2.0s");
    }

    #[test]
    fn text_from_outside_cannot_steer_a_terminal() {
        assert_eq!(one_line("a\x1b[2Jb\r\nc\u{9b}é"), "a\\u{1b}[2Jb\\r\\nc\\u{9b}é");
    }

    #[test]
    fn a_date_is_that_of_the_civil_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(1_772_368_205_999), "2026-03-01 12:30:05 UTC");
        assert_eq!(date(4_107_542_399_000), "2100-02-28 23:59:59 UTC");
    }
}
