use std::fmt::Write as _;

use super::hour::HourUsage;

/// Hours as CSV (RFC 4180, with a header): ECPUs to three decimals, GB-hours (of 2^30 bytes) to six,
/// rounded down; all else whole.
#[must_use]
pub fn csv(hours: &[HourUsage]) -> String {
    let mut text = "hour,seconds,ecpus,ecpus_metered,gb_hours,gb_hours_metered,data_bytes_average,\
                    commands,throttled_commands,bytes_in,bytes_out\r\n"
        .to_owned();
    for it in hours {
        let ecpus = |units: u64| decimal(u128::from(units), 1_024, 3);
        let gb_hours = |byte_seconds: u64| decimal(u128::from(byte_seconds), 3_600 << 30, 6);
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{}\r\n",
            utc(it.hour),
            it.seconds,
            ecpus(it.ecpu_units),
            ecpus(it.ecpu_units_metered),
            gb_hours(it.byte_seconds),
            gb_hours(it.byte_seconds_metered),
            it.data_bytes_average,
            it.commands,
            it.throttled_commands,
            it.bytes_in,
            it.bytes_out,
        );
    }
    text
}

/// Seconds since 1970 as RFC 3339 has them: `2026-11-21T07:00:00Z`.
#[must_use]
pub fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // After Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years
    // begin in March, eras have 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let day = day - (153 * march + 2) / 5 + 1;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The seconds since 1970 of a time as [`utc`] gives it, of a day (`2026-11-21`), or of a number that
/// says them itself.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let number = |text: &str| -> Option<u64> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_digits)
    };
    let Some((day, time)) =
        text.split_once('T').or_else(|| text.contains('-').then_some((text, "00:00:00Z")))
    else {
        return number(text);
    };
    let [year, month, day] = parts(day, '-')?.map(number);
    let [hour, minute, second] = parts(time.strip_suffix('Z')?, ':')?.map(number);
    let (year, month, day) = (year?, month?, day?);
    let (hour, minute, second) = (hour?, minute?, second?);
    // Days that a month does not have are found at the end.
    let is_day =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_day || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // After Howard Hinnant, days_from_civil.
    let year = if month <= 2 { year - 1 } else { year };
    let march = if month > 2 { month - 3 } else { month + 9 };
    let (era, year) = (year / 400, year % 400);
    let days = era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * march + 2) / 5 + day - 1;
    let seconds = (days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second;
    let given = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    (utc(seconds) == given).then_some(seconds)
}

fn parts(text: &str, by: char) -> Option<[&str; 3]> {
    let mut parts = text.split(by);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// `number / unit` with so many decimals, rounded down.
#[must_use]
pub fn decimal(number: u128, unit: u128, places: u32) -> String {
    let scale = 10_u128.pow(places);
    let scaled = number * scale / unit;
    let width = usize::try_from(places).unwrap_or(0);
    format!("{}.{:0width$}", scaled / scale, scaled % scale)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn times() {
        let check = |seconds, expected: &str| assert_eq!(utc(seconds), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_735_689_599, "2024-12-31T23:59:59Z");
        check(1_795_246_260, "2026-11-21T07:31:00Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for time in [0, 951_782_400, 951_868_800, 1_735_689_599, 1_795_246_260, 4_107_542_400] {
            assert_eq!(seconds(&utc(time)), Some(time));
        }
        assert_eq!(seconds("2026-11-21"), Some(1_795_219_200));
        assert_eq!(seconds("1795246260"), Some(1_795_246_260));
        for wrong in [
            "",
            "x",
            "+5",
            "-5",
            "2026-02-30",
            "2026-13-01",
            "2026-1-1",
            "1969-12-31",
            "2026-11-21T07:31",
            "2026-11-21T24:00:00Z",
            "2026-11-21T07:31:00+01:00",
            "99999999999999999999",
            "2026-11-21T99999999999999999:00:00Z",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rows() {
        let hour = HourUsage {
            hour: 1_795_244_400,
            seconds: 3_600,
            ecpu_units: 1_536,
            ecpu_units_metered: 2_048,
            data_bytes_average: 1 << 29,
            byte_seconds: 1_800 << 30,
            byte_seconds_metered: 3_600 << 30,
            commands: 4,
            throttled_commands: 1,
            bytes_in: 5,
            bytes_out: 6,
        };
        expect![[r#"
            hour,seconds,ecpus,ecpus_metered,gb_hours,gb_hours_metered,data_bytes_average,commands,throttled_commands,bytes_in,bytes_out
            2026-11-21T07:00:00Z,3600,1.500,2.000,0.500000,1.000000,536870912,4,1,5,6
        "#]]
        .assert_eq(&csv(&[hour]).replace('\r', ""));
        assert_eq!(csv(&[]).lines().count(), 1);
    }
}
