use serde::{Deserialize, Serialize};

use crate::limits::{
    DATA_STORAGE_BYTES_MAX, DATA_STORAGE_MAX_BYTES_MIN, ECPU_PER_SECOND_MAX, ECPU_PER_SECOND_MIN,
};
use crate::patch::{LimitsPatch, RangePatch};
use crate::units::{show_count, show_size};

/// What a cache may use, and what it is promised and metered for at the least. As it is written down: what a later
/// version has added is passed over. What people ask for is a [`LimitsPatch`], which is stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of items with their metadata.
    pub data_storage: Range,
    /// ECPUs per second.
    pub ecpu_per_second: Range,
}

/// A minimum that is provisioned ahead and metered, and a maximum; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// At least this is metered.
    pub min: u64,
    /// Never more than this.
    pub max: u64,
}

/// Why limits cannot be what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The minimum is above the maximum.
    #[error(
        "{limit}: the minimum {min} is above the maximum {max}; lower the one or raise the other"
    )]
    Crossed {
        /// Which limit.
        limit: &'static str,
        /// As people read it.
        min: String,
        /// As people read it.
        max: String,
    },
    /// Less or more than can be asked for.
    #[error("{limit}: {given} is out of range; give {least} to {most}, or 0 for none")]
    OutOfRange {
        /// Which limit and which end of it.
        limit: &'static str,
        /// As people read it.
        given: String,
        /// As people read it.
        least: String,
        /// As people read it.
        most: String,
    },
}

impl Limits {
    /// Whether these can be a cache's limits.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn check(&self) -> Result<(), LimitsError> {
        let Self { data_storage: data, ecpu_per_second: ecpu } = self;
        let of_data = |limit, bytes, least| {
            within((limit, show_size), bytes, (least, DATA_STORAGE_BYTES_MAX))
        };
        let of_ecpu = |limit, count| {
            within((limit, show_count), count, (ECPU_PER_SECOND_MIN, ECPU_PER_SECOND_MAX))
        };
        of_data("data_storage.min", data.min, 1)?;
        of_data("data_storage.max", data.max, DATA_STORAGE_MAX_BYTES_MIN)?;
        of_ecpu("ecpu_per_second.min", ecpu.min)?;
        of_ecpu("ecpu_per_second.max", ecpu.max)?;
        ordered(("data_storage", show_size), *data)?;
        ordered(("ecpu_per_second", show_count), *ecpu)
    }

    /// These limits with that change. What the change does not name stays; 0 removes.
    ///
    /// # Errors
    /// What would be wrong with them; nothing is changed.
    pub fn changed_by(&self, patch: &LimitsPatch) -> Result<Self, LimitsError> {
        let changed = Self {
            data_storage: self.data_storage.changed_by(&patch.data_storage),
            ecpu_per_second: self.ecpu_per_second.changed_by(&patch.ecpu_per_second),
        };
        changed.check()?;
        Ok(changed)
    }
}

impl Range {
    /// The maximum, where there is one.
    #[must_use]
    pub fn max(self) -> Option<u64> {
        (self.max != 0).then_some(self.max)
    }

    /// What is metered where this much is used.
    #[must_use]
    pub fn metered(self, used: u64) -> u64 {
        used.max(self.min)
    }

    fn changed_by(self, patch: &RangePatch) -> Self {
        Self { min: patch.min.unwrap_or(self.min), max: patch.max.unwrap_or(self.max) }
    }
}

type Named = (&'static str, fn(u64) -> String);

fn within((limit, show): Named, given: u64, (least, most): (u64, u64)) -> Result<(), LimitsError> {
    if given == 0 || (least..=most).contains(&given) {
        return Ok(());
    }
    let [given, least, most] = [given, least, most].map(show);
    Err(LimitsError::OutOfRange { limit, given, least, most })
}

fn ordered((limit, show): Named, range: Range) -> Result<(), LimitsError> {
    match range.max() {
        Some(max) if range.min > max => {
            Err(LimitsError::Crossed { limit, min: show(range.min), max: show(max) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const GIB: u64 = 1 << 30;

    fn some() -> Limits {
        Limits {
            data_storage: Range { min: GIB, max: 10 * GIB },
            ecpu_per_second: Range { min: 0, max: 100_000 },
        }
    }

    #[test]
    fn what_a_patch_does_not_name_stays_and_0_removes() {
        let check = |json: &str, expected: Limits| {
            let patch: LimitsPatch = serde_json::from_str(json).unwrap();
            assert_eq!(some().changed_by(&patch), Ok(expected), "{json}");
        };
        let Limits { data_storage, ecpu_per_second } = some();
        check("{}", some());
        check(r#"{"data_storage":{}}"#, some());
        let no_data = Range { min: GIB, max: 0 };
        check(r#"{"data_storage":{"max":0}}"#, Limits { data_storage: no_data, ecpu_per_second });
        let both = Range { min: 1_000, max: 1_500_000 };
        let json = r#"{"ecpu_per_second":{"min":"1k","max":"1.5M"}}"#;
        check(json, Limits { data_storage, ecpu_per_second: both });
        let both = Range { min: 20 * GIB, max: 5_000 * GIB };
        let json = r#"{"data_storage":{"min":"20GB","max":"5000g"}}"#;
        check(json, Limits { data_storage: both, ecpu_per_second });
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        let check = |json: &str, expected: Expect| {
            let patch: LimitsPatch = serde_json::from_str(json).unwrap();
            expected.assert_eq(&some().changed_by(&patch).unwrap_err().to_string());
        };
        check(
            r#"{"data_storage":{"min":"11GB"}}"#,
            expect![
                "data_storage: the minimum 11 GiB is above the maximum 10 GiB; lower the one or raise the other"
            ],
        );
        check(
            r#"{"ecpu_per_second":{"min":"200k"}}"#,
            expect![
                "ecpu_per_second: the minimum 200k is above the maximum 100k; lower the one or raise the other"
            ],
        );
        check(
            r#"{"data_storage":{"max":"5001GB"}}"#,
            expect![
                "data_storage.max: 4.8 TiB is out of range; give 16 MiB to 4.8 TiB, or 0 for none"
            ],
        );
        check(
            r#"{"data_storage":{"max":"1k"}}"#,
            expect![
                "data_storage.max: 1 KiB is out of range; give 16 MiB to 4.8 TiB, or 0 for none"
            ],
        );
        check(
            r#"{"ecpu_per_second":{"max":999}}"#,
            expect!["ecpu_per_second.max: 999 is out of range; give 1k to 15M, or 0 for none"],
        );
        check(
            r#"{"ecpu_per_second":{"min":15000001}}"#,
            expect!["ecpu_per_second.min: 15000001 is out of range; give 1k to 15M, or 0 for none"],
        );
    }

    #[test]
    fn a_minimum_is_metered_at_the_least() {
        let range = Range { min: 5, max: 0 };
        assert_eq!([range.metered(3), range.metered(7)], [5, 7]);
        assert_eq!((range.max(), Range { min: 0, max: 9 }.max()), (None, Some(9)));
    }
}
