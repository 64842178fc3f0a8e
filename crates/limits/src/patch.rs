use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use crate::limits::QUANTITY_BYTES_MAX;
use crate::units::{count, size};

/// A change of limits, as the body of `PATCH /v1/cache/limits` has it:
/// `{"data_storage":{"max":"10GB"},"ecpu_per_second":{"max":"100k"}}`.
///
/// Numbers are bytes and ECPUs per second; texts may have units. What is absent stays as it is, 0
/// removes the limit, and `null`, which could mean either, is refused, as is any other field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsPatch {
    /// Bytes.
    #[serde(
        default,
        deserialize_with = "bytes_range",
        skip_serializing_if = "RangePatch::is_empty"
    )]
    pub data_storage: RangePatch,
    /// ECPUs per second.
    #[serde(
        default,
        deserialize_with = "count_range",
        skip_serializing_if = "RangePatch::is_empty"
    )]
    pub ecpu_per_second: RangePatch,
}

/// A change of one limit; `None` leaves that end as it is, 0 removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RangePatch {
    /// What is provisioned ahead and metered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// What is never passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl RangePatch {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BytesRange {
    #[serde(default, deserialize_with = "bytes")]
    min: Option<u64>,
    #[serde(default, deserialize_with = "bytes")]
    max: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CountRange {
    #[serde(default, deserialize_with = "whole")]
    min: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    max: Option<u64>,
}

fn bytes_range<'de, D: Deserializer<'de>>(from: D) -> Result<RangePatch, D::Error> {
    BytesRange::deserialize(from).map(|BytesRange { min, max }| RangePatch { min, max })
}

fn count_range<'de, D: Deserializer<'de>>(from: D) -> Result<RangePatch, D::Error> {
    CountRange::deserialize(from).map(|CountRange { min, max }| RangePatch { min, max })
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    from.deserialize_any(Quantity { read: size, unit: "bytes as a whole number or as \"10GB\"" })
        .map(Some)
}

fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let unit = "ECPUs per second as a whole number or as \"100k\"";
    from.deserialize_any(Quantity { read: count, unit }).map(Some)
}

struct Quantity {
    read: fn(&str) -> Result<u64, String>,
    unit: &'static str,
}

impl Visitor<'_> for Quantity {
    type Value = u64;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.unit)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        if text.len() > QUANTITY_BYTES_MAX {
            return Err(E::custom(format_args!(
                "a quantity of {} bytes; give {}",
                text.len(),
                self.unit
            )));
        }
        (self.read)(text).map_err(|problem| E::custom(format_args!("{text:?}: {problem}")))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let some = RangePatch { min: Some(1), max: Some(0) };
        let patch = LimitsPatch { data_storage: some, ecpu_per_second: RangePatch::default() };
        let json = serde_json::to_string(&patch).unwrap();
        assert_eq!(json, r#"{"data_storage":{"min":1,"max":0}}"#);
        assert_eq!(serde_json::from_str::<LimitsPatch>(&json).unwrap(), patch);
    }

    #[test]
    fn what_is_no_patch_is_refused_with_its_reason() {
        let check = |json: &str, expected: Expect| {
            let error = serde_json::from_str::<LimitsPatch>(json).unwrap_err();
            expected.assert_eq(&error.to_string());
        };
        check(
            r#"{"data_storage_bytes":{"max":1}}"#,
            expect![
                "unknown field `data_storage_bytes`, expected `data_storage` or `ecpu_per_second` at line 1 column 21"
            ],
        );
        check(
            r#"{"data_storage":{"maximum":1}}"#,
            expect!["unknown field `maximum`, expected `min` or `max` at line 1 column 26"],
        );
        check(
            r#"{"data_storage":{"max":null}}"#,
            expect![[
                r#"invalid type: null, expected bytes as a whole number or as "10GB" at line 1 column 27"#
            ]],
        );
        check(
            r#"{"data_storage":{"max":-1}}"#,
            expect![[
                r#"invalid type: integer `-1`, expected bytes as a whole number or as "10GB" at line 1 column 25"#
            ]],
        );
        check(
            r#"{"ecpu_per_second":{"max":1.5}}"#,
            expect![[
                r#"invalid type: floating point `1.5`, expected ECPUs per second as a whole number or as "100k" at line 1 column 29"#
            ]],
        );
        check(
            r#"{"ecpu_per_second":{"max":"1x"}}"#,
            expect![[
                r#""1x": give a whole number such as 30000, 100k or 1.5M at line 1 column 30"#
            ]],
        );
        check(
            r#"{"ecpu_per_second":{"max":"00000000000000000000000000000000000"}}"#,
            expect![[
                r#"a quantity of 35 bytes; give ECPUs per second as a whole number or as "100k" at line 1 column 63"#
            ]],
        );
        check(
            r#"{"ecpu_per_second":7}"#,
            expect!["invalid type: integer `7`, expected struct CountRange at line 1 column 20"],
        );
        check(
            r#"{"data_storage":{"max":1,"max":2}}"#,
            expect!["duplicate field `max` at line 1 column 30"],
        );
    }
}
