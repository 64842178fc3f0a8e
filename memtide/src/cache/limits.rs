//! `memtide cache limits`: in units as people write and read them.

use clap::Args;
use memtide_limits::units::{count, show_count, show_size, size};
use memtide_limits::{LimitsPatch, RangePatch};
use serde_json::{Value, json};

use crate::failure::Failure;

/// What is to be changed; 0 removes a limit.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Set {
    /// Most data, beyond which items are evicted, such as 10GB; 0 is no limit
    #[arg(long, value_name = "SIZE", value_parser = size)]
    data_storage_max: Option<u64>,
    /// Data is metered as at least this much
    #[arg(long, value_name = "SIZE", value_parser = size)]
    data_storage_min: Option<u64>,
    /// Most ECPUs a second, beyond which commands wait and are refused, such as 100k; 0 is no limit
    #[arg(long, value_name = "COUNT", value_parser = count)]
    ecpu_per_second_max: Option<u64>,
    /// ECPUs a second that are metered at least
    #[arg(long, value_name = "COUNT", value_parser = count)]
    ecpu_per_second_min: Option<u64>,
}

impl Set {
    /// As the admin HTTP takes it.
    pub const fn patch(&self) -> LimitsPatch {
        LimitsPatch {
            data_storage: RangePatch { min: self.data_storage_min, max: self.data_storage_max },
            ecpu_per_second: RangePatch {
                min: self.ecpu_per_second_min,
                max: self.ecpu_per_second_max,
            },
        }
    }

    /// Whether it says anything.
    pub fn check(&self) -> Result<(), Failure> {
        if self.patch() == LimitsPatch::default() {
            let line = "cache limits set: what to set? give --data-storage-max 10GB, say";
            return Err(Failure::Configuration(line.to_owned()));
        }
        Ok(())
    }
}

/// The limits as a table.
pub fn view(answer: &Value) -> Value {
    let rows = [("data_storage", show_size as fn(u64) -> String), ("ecpu_per_second", show_count)];
    let rows = rows.map(|(name, show)| {
        let end = |end: &str| match answer.get(name).and_then(|it| it.get(end)?.as_u64()) {
            None | Some(0) => "none".to_owned(),
            Some(value) => show(value),
        };
        json!({ "limit": name, "min": end("min"), "max": end("max") })
    });
    let mut rows = rows.to_vec();
    if let Some(bytes) = answer.get("data_storage_metered_bytes_min").and_then(Value::as_u64) {
        // What a minimum that nobody set comes to.
        rows[0]["min"] = json!(if bytes == 0 { "none".to_owned() } else { show_size(bytes) });
    }
    json!({ "limits": rows })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::cache::table;

    #[test]
    fn limits_are_shown_in_units() {
        let answer = json!({
            "data_storage": { "min": 1_u64 << 30, "max": 10_u64 << 30 },
            "ecpu_per_second": { "min": 0, "max": 100_000 },
        });
        expect![[r#"
            LIMITS
            limit            max     min
            data_storage     10 GiB  1 GiB
            ecpu_per_second  100k    none
        "#]]
        .assert_eq(&table::show(&view(&answer)));
        let min = |metered: u64| {
            let answer = json!({
                "data_storage": { "min": 0, "max": 0 }, "data_storage_metered_bytes_min": metered,
            });
            view(&answer)["limits"][0]["min"].clone()
        };
        assert_eq!([min(0), min(1 << 30)], ["none", "1 GiB"]);
    }

    #[test]
    fn only_what_is_named_is_asked_for() {
        let set = Set { ecpu_per_second_max: Some(0), ..Set::default() };
        assert_eq!(json!(set.patch()), json!({ "ecpu_per_second": { "max": 0 } }));
        assert!(set.check().is_ok() && Set::default().check().is_err());
    }
}
