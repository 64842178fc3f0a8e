use super::Spread;

/// The middle of `values`, or the mean of the two middle ones; `None` of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// Median, least and most of `values`; `None` of none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    Some(Spread {
        median: median(values)?,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        runs: u32::try_from(values.len()).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0]), Some(5.0));
        assert_eq!(median(&[9.0, 1.0, 100.0]), Some(9.0));
        assert_eq!(median(&[4.0, 9.0, 1.0, 100.0]), Some(6.5));
    }

    #[test]
    fn a_spread_has_the_ends() {
        assert_eq!(spread(&[]), None);
        let expected = Spread { median: 2.0, min: 1.0, max: 30.0, runs: 3 };
        assert_eq!(spread(&[2.0, 30.0, 1.0]), Some(expected));
    }
}
