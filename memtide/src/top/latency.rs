//! Quantiles of what a histogram has counted between two looks.

use super::screen::Quantiles;

/// From buckets as [`super::metrics::Metrics::buckets`] gives them; nothing where the counts went back, or where the
/// buckets are others.
pub fn between(before: &[(f64, f64)], now: &[(f64, f64)]) -> Quantiles {
    let is_alike = before.len() == now.len() && before.iter().zip(now).all(|(a, b)| a.0 == b.0);
    let grown = before.iter().zip(now).all(|(before, now)| now.1 >= before.1);
    if !is_alike || !grown {
        return Quantiles::default();
    }
    let counted: Vec<(f64, f64)> =
        before.iter().zip(now).map(|(before, now)| (now.0, now.1 - before.1)).collect();
    Quantiles {
        count: counted.last().map(|(_, count)| *count),
        p50: quantile(&counted, 0.5),
        p99: quantile(&counted, 0.99),
        p999: quantile(&counted, 0.999),
    }
}

/// Within its bucket it is taken to lie evenly, as by Prometheus' `histogram_quantile`; beyond the last bound it is
/// infinite.
fn quantile(buckets: &[(f64, f64)], rank: f64) -> Option<f64> {
    let (_, total) = buckets.last().filter(|(_, total)| *total > 0.0)?;
    let wanted = rank * total;
    let place = buckets.iter().position(|(_, count)| *count >= wanted)?;
    let (low, below) = match place.checked_sub(1) {
        None => (0.0, 0.0),
        Some(place) => buckets[place],
    };
    let (high, count) = buckets[place];
    if high.is_infinite() {
        return Some(f64::INFINITY);
    }
    Some(low + (high - low) * (wanted - below) / (count - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_between_counts() {
        let before = [(0.1, 1_000.0), (0.2, 1_000.0), (f64::INFINITY, 1_000.0)];
        let now = [(0.1, 1_050.0), (0.2, 1_099.0), (f64::INFINITY, 1_100.0)];
        let expected = Quantiles {
            count: Some(100.0),
            p50: Some(0.1),
            p99: Some(0.2),
            p999: Some(f64::INFINITY),
        };
        assert_eq!(between(&before, &now), expected);
        let quarter = quantile(&[(0.1, 50.0), (0.2, 100.0)], 0.75).unwrap();
        assert!((quarter - 0.15).abs() < 1e-9, "{quarter}");
    }

    #[test]
    fn where_nothing_came_or_counts_went_back_there_is_none() {
        let one = [(0.1, 5.0), (f64::INFINITY, 7.0)];
        let other = [(0.1, 2.0), (f64::INFINITY, 9.0)];
        let none = Quantiles { count: Some(0.0), ..Quantiles::default() };
        assert_eq!(between(&one, &one), none);
        assert_eq!(between(&one, &other), Quantiles::default());
        assert_eq!(between(&[], &one), Quantiles::default());
        assert_eq!(between(&[], &[]), Quantiles::default());
    }
}
