/// What somebody wants, and how much he counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    pub units: u64,
    pub weight: u32,
}

/// How what nobody wants is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    ByWeight,
    /// Half of it so, and half equally: it is most likely one with weight that wants more next, and may
    /// be any.
    HalfEqually,
}

/// Divides `budget` max-min fair by weight: nobody gets more than he wants while another who has less
/// for his weight wants more. What is left when all have what they want is divided as `rest` says.
///
/// Parts add up to the budget, but for less than one unit each.
pub fn divide(budget: u64, wants: &[Want], rest: Rest) -> Vec<u64> {
    let mut parts = vec![0; wants.len()];
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by(|&a, &b| {
        let by = |one: usize, other: usize| u128::from(wants[one].units) * weight(&wants[other]);
        by(a, b).cmp(&by(b, a))
    });
    let mut left = budget;
    let mut weights: u128 = wants.iter().map(weight).sum();
    for index in order {
        let want = &wants[index];
        parts[index] = want.units.min(part(left, weight(want), weights));
        left -= parts[index];
        weights -= weight(want);
    }
    let equally = match rest {
        Rest::ByWeight => 0,
        Rest::HalfEqually => left / 2,
    };
    let weights: u128 = wants.iter().map(weight).sum();
    for (given, want) in parts.iter_mut().zip(wants) {
        let by_weight = part(left - equally, weight(want), weights);
        *given = given.saturating_add(by_weight + equally / wants.len() as u64);
    }
    parts
}

fn weight(want: &Want) -> u128 {
    u128::from(want.weight.max(1))
}

fn part(of: u64, weight: u128, weights: u128) -> u64 {
    let part = u128::from(of) * weight / weights.max(1);
    u64::try_from(part).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wants(units: &[u64]) -> Vec<Want> {
        units.iter().map(|&units| Want { units, weight: 1 }).collect()
    }

    #[test]
    fn who_wants_less_gets_it_and_the_others_share_the_rest() {
        assert_eq!(divide(100, &wants(&[10, 90, 90, 20]), Rest::ByWeight), [10, 35, 35, 20]);
        assert_eq!(divide(100, &wants(&[1_000]), Rest::ByWeight), [100]);
        assert_eq!(
            divide(100, &wants(&[10, 20]), Rest::ByWeight),
            [45, 55],
            "and what is left is divided"
        );
        let idle = [Want { units: 20, weight: 9 }, Want { units: 0, weight: 1 }];
        assert_eq!(divide(100, &idle, Rest::HalfEqually), [76, 24]);
        let weighted = [Want { units: 90, weight: 1 }, Want { units: 90, weight: 3 }];
        assert_eq!(divide(100, &weighted, Rest::ByWeight), [25, 75]);
        assert_eq!(divide(0, &wants(&[5, 5]), Rest::ByWeight), [0, 0]);
        assert!(divide(100, &[], Rest::ByWeight).is_empty());
    }

    proptest! {
        #[test]
        fn all_is_divided_and_nobody_is_envied(
            budget in prop_oneof![0..1_000_u64, Just(u64::MAX)],
            wants in prop::collection::vec((0..500_u64, 0..5_u32), 1..20),
            rest in prop_oneof![Just(Rest::ByWeight), Just(Rest::HalfEqually)],
        ) {
            let wants: Vec<_> = wants.iter().map(|&(units, weight)| Want { units, weight }).collect();
            let parts = divide(budget, &wants, rest);
            let sum: u128 = parts.iter().map(|&part| u128::from(part)).sum();
            prop_assert!(sum <= u128::from(budget));
            prop_assert!(u128::from(budget) - sum < 2 * wants.len() as u128, "{sum} of {budget}");
            for (part, want) in parts.iter().zip(&wants) {
                if *part >= want.units {
                    continue;
                }
                // It goes short: so nobody has, for his weight, more than a unit's rounding above.
                for (other, others) in parts.iter().zip(&wants) {
                    let own = u128::from(part + 1 + wants.len() as u64) * weight(others);
                    prop_assert!(u128::from(*other) * weight(want) <= own * weight(want).max(1) || *other <= others.units && u128::from(*other) * weight(want) <= own);
                }
            }
        }
    }
}
