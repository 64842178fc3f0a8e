/// A closed-loop maximum, of which open loops take a part.
#[derive(Clone, Debug)]
pub struct Maximum {
    /// Whose it is.
    pub server: String,
    /// Replies per second.
    pub replies_per_s: f64,
}

impl Maximum {
    /// The rate at this percentage of it for `--rate`, in hundreds, rounded down; at least 100/s.
    pub fn rate_at(&self, percent: u32) -> String {
        let hundreds = (self.replies_per_s * f64::from(percent) / 10_000.0).floor().max(1.0);
        format!("{:.0}", hundreds * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_part_of_the_maximum_in_hundreds() {
        for (replies_per_s, percent, expected) in [
            (85_549.0, 70, "59800"),
            (85_549.0, 35, "29900"),
            (100_000.0, 70, "70000"),
            (142_857.2, 70, "100000"),
            (0.0, 70, "100"),
        ] {
            let maximum = Maximum { server: "memcached-tls".to_owned(), replies_per_s };
            assert_eq!(maximum.rate_at(percent), expected, "{percent}% of {replies_per_s}");
        }
    }
}
