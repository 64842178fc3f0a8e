use serde::{Deserialize, Serialize};

/// Seconds in an hour.
pub const HOUR: u64 = 3_600;

/// What a source has counted since it began, or how much more that is than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Work metered, in 1/1024 ECPU.
    pub ecpu_units: u64,
    /// Commands of every kind.
    pub commands: u64,
    /// Of these, refused for the ECPU limit.
    pub throttled_commands: u64,
    /// Command bytes, before TLS.
    pub bytes_in: u64,
    /// Reply bytes, before TLS.
    pub bytes_out: u64,
}

impl Counts {
    /// What came since `earlier`; a count that is lower than it was gives nothing.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            ecpu_units: self.ecpu_units.saturating_sub(earlier.ecpu_units),
            commands: self.commands.saturating_sub(earlier.commands),
            throttled_commands: self.throttled_commands.saturating_sub(earlier.throttled_commands),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            ecpu_units: self.ecpu_units.saturating_add(other.ecpu_units),
            commands: self.commands.saturating_add(other.commands),
            throttled_commands: self.throttled_commands.saturating_add(other.throttled_commands),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
        }
    }

    /// The higher of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        other.plus(self.since(other))
    }
}

/// An hour as it is kept: sums, from which averages and what is metered follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// When it began, in seconds since 1970.
    pub hour: u64,
    /// Counts up with each flush that wrote this hour: the highest has it all.
    pub revision: u64,
    /// What was counted.
    pub counts: Counts,
    /// Data stored, times the seconds for which it was.
    pub byte_seconds: u64,
    /// The least data that is metered, times the seconds for which that was set.
    pub byte_seconds_min: u64,
    /// The least 1/1024 ECPU that are metered for those seconds.
    pub ecpu_units_min: u64,
    /// For how many seconds it was looked at what is stored.
    pub seconds: u64,
}

/// An hour as it is told: what was used, and what is metered for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HourUsage {
    /// When it began, in seconds since 1970.
    pub hour: u64,
    /// Of the hour, how many seconds the cache was looked at.
    pub seconds: u64,
    /// Work, in 1/1024 ECPU.
    pub ecpu_units: u64,
    /// What is metered for it: at least the minimum of those seconds.
    pub ecpu_units_metered: u64,
    /// Data stored, on average over those seconds.
    pub data_bytes_average: u64,
    /// Data stored over time; `3600 * 2^30` are a GB-hour.
    pub byte_seconds: u64,
    /// What is metered for it: the average, and at least the minimum, times those seconds.
    pub byte_seconds_metered: u64,
    /// Commands of every kind.
    pub commands: u64,
    /// Of these, refused for the ECPU limit.
    pub throttled_commands: u64,
    /// Command bytes, before TLS.
    pub bytes_in: u64,
    /// Reply bytes, before TLS.
    pub bytes_out: u64,
}

impl Hour {
    /// What is told of it.
    #[must_use]
    pub fn usage(&self) -> HourUsage {
        let Self { counts, .. } = self;
        HourUsage {
            hour: self.hour,
            seconds: self.seconds,
            ecpu_units: counts.ecpu_units,
            ecpu_units_metered: counts.ecpu_units.max(self.ecpu_units_min),
            data_bytes_average: self.byte_seconds.checked_div(self.seconds).unwrap_or(0),
            byte_seconds: self.byte_seconds,
            byte_seconds_metered: self.byte_seconds.max(self.byte_seconds_min),
            commands: counts.commands,
            throttled_commands: counts.throttled_commands,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
        }
    }
}
