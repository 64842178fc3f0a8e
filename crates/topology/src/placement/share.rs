/// A number of slots in 2^-32 slots, so that shares add up to within a slot for any fleet.
pub(super) const ONE: u128 = 1 << 32;

/// Divides a total by weights, nobody getting less or more than its bounds; what bounds cut off
/// goes to or comes from the others, by their weights.
///
/// The bounds must allow the total. `total < 2^50` and the sum of the weights below 2^75, so that nothing
/// overflows.
pub(super) fn divide(total: u128, weights: &[u128], bounds: &[(u128, u128)]) -> Vec<u128> {
    let mut shares: Vec<Option<u128>> = vec![None; weights.len()];
    loop {
        let free = || (0..weights.len()).filter(|at| shares[*at].is_none());
        let weight: u128 = free().map(|at| weights[at]).sum();
        let rest = total.saturating_sub(shares.iter().flatten().sum());
        let share = |at: usize| rest * weights[at] / weight.max(1);
        let lacks: u128 = free().map(|at| bounds[at].0.saturating_sub(share(at))).sum();
        let exceeds: u128 = free().map(|at| share(at).saturating_sub(bounds[at].1)).sum();
        // As in the layout of flexible boxes: what is bound on the side that weighs more stays so.
        let bound: Vec<(usize, u128)> = match (lacks, exceeds) {
            (0, 0) => free().map(|at| (at, share(at))).collect(),
            (lacks, exceeds) if lacks >= exceeds => free()
                .filter(|at| share(*at) < bounds[*at].0)
                .map(|at| (at, bounds[at].0))
                .collect(),
            _ => free()
                .filter(|at| share(*at) > bounds[*at].1)
                .map(|at| (at, bounds[at].1))
                .collect(),
        };
        for (at, share) in bound {
            shares[at] = Some(share);
        }
        if let Some(shares) = shares.iter().copied().collect() {
            return shares;
        }
    }
}

/// The fewest and the most whole slots that count as a share: 2% less, rounded down, to 2% more,
/// rounded up, and at most each of the slots that there are.
pub(super) fn band(share: u128, slots: usize) -> (usize, usize) {
    (whole(share * 49 / 50), whole((share * 51).div_ceil(50 * ONE) * ONE).min(slots))
}

/// Whole slots of a share, rounded down.
pub(super) fn whole(share: u128) -> usize {
    usize::try_from(share / ONE).expect("no share is above all slots")
}

/// How much of a share some slots are; comparable between shares of any size.
pub(super) fn fullness(slots: usize, share: u128) -> u128 {
    let slots = u128::try_from(slots).expect("a count of slots");
    slots * ONE * ONE / share.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_cut_and_the_others_share_the_rest() {
        let wide = (0, u128::MAX);
        assert_eq!(divide(100, &[1, 1, 2], &[wide; 3]), [25, 25, 50]);
        assert_eq!(divide(100, &[1, 1, 2], &[wide, wide, (0, 30)]), [35, 35, 30]);
        assert_eq!(divide(100, &[1, 1, 2], &[(40, 50), wide, wide]), [40, 20, 40]);
        assert_eq!(divide(100, &[1, 9, 90], &[(30, 60), (30, 60), (30, 60)]), [30, 30, 40]);
        assert_eq!(divide(20, &[1, 1_000], &[(0, 10), (0, 10)]), [10, 10]);
        assert_eq!(divide(7, &[], &[]), [] as [u128; 0]);
    }

    #[test]
    fn a_band_holds_its_share() {
        let slots = 16_384;
        assert_eq!(band(0, slots), (0, 0));
        assert_eq!(band(16 * ONE, slots), (15, 17));
        assert_eq!(band(1_000 * ONE, slots), (980, 1_020));
        assert_eq!(band(slots as u128 * ONE, slots), (16_056, 16_384));
        assert_eq!(band(ONE / 2, slots), (0, 1));
    }
}
