//! The limits of a cache, for the roles that keep them.

use memtide_limits::{Limits, units};
use memtide_service::config::{ConfigError, Given, size};

/// Data is metered as at least this much where nobody said: as the reference does.
const METERED_BYTES_MIN: u64 = 1 << 30;

/// What a cache may use, as far as the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsGiven {
    /// 0 where nobody said.
    pub limits: Limits,
    /// Somebody said what data is metered as at least: a minimum of 0 is what there is.
    pub is_metered_min_said: bool,
}

/// What data is metered as at least under these limits, of whose minimum this was said.
pub const fn metered_bytes_min(limits: &Limits, is_said: bool) -> u64 {
    match (limits.data_storage.min, is_said) {
        (0, false) => METERED_BYTES_MIN,
        (min, _) => min,
    }
}

/// Reads them.
pub fn limits(given: &Given) -> Result<LimitsGiven, ConfigError> {
    let mut limits = Limits::default();
    for name in NAMES {
        // Each one by itself first, so that the blame is on the one that is out of range.
        let mut alone = Limits::default();
        let text = given.text(name).unwrap_or("0");
        let read = if name.starts_with("data") { size(text) } else { units::count(text) };
        let value = read.map_err(|problem| given.complain(name, &problem))?;
        *end(&mut alone, name) = value;
        *end(&mut limits, name) = value;
        alone.check().map_err(|error| given.complain(name, &error.to_string()))?;
    }
    for (range, name) in
        [(limits.data_storage, "data-storage-min"), (limits.ecpu_per_second, "ecpu-per-second-min")]
    {
        if range.max().is_some_and(|max| range.min > max) {
            let error = limits.check().expect_err("it is crossed");
            return Err(given.complain(name, &error.to_string()));
        }
    }
    Ok(LimitsGiven { limits, is_metered_min_said: given.is_given("data-storage-min") })
}

const NAMES: [&str; 4] =
    ["data-storage-min", "data-storage-max", "ecpu-per-second-min", "ecpu-per-second-max"];

fn end<'a>(limits: &'a mut Limits, name: &str) -> &'a mut u64 {
    match name {
        "data-storage-min" => &mut limits.data_storage.min,
        "data-storage-max" => &mut limits.data_storage.max,
        "ecpu-per-second-min" => &mut limits.ecpu_per_second.min,
        _ => &mut limits.ecpu_per_second.max,
    }
}
