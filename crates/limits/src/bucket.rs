use memtide_topology::EcpuUnits;

/// Nanoseconds in a second, and so the parts of a unit in which a bucket counts.
const PARTS: i128 = 1_000_000_000;

/// A token bucket that may be in debt.
///
/// Work is admitted while the balance is positive and charged what it really cost, which may leave a
/// debt that later refills pay. For any two moments, `charged - given back <= rate * time between
/// them + burst + the last charge`.
///
/// The balance is kept in 1/10^9 units: a refill is `nanoseconds * units per second` of these, so
/// nothing is ever rounded and nothing drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    rate: u64,
    burst_ns: u64,
    balance: i128,
    at: u64,
}

impl Bucket {
    /// A full bucket that refills by `rate` units a second and holds what that gives in `burst_ns`.
    #[must_use]
    pub fn new(rate: u64, burst_ns: u64, now: u64) -> Self {
        let mut bucket = Self { rate, burst_ns, balance: 0, at: now };
        bucket.balance = bucket.full();
        bucket
    }

    /// In units per second.
    #[must_use]
    pub const fn rate(&self) -> u64 {
        self.rate
    }

    /// From now on refills by `rate`. A debt stays; what is above the new burst is lost.
    pub fn set_rate(&mut self, now: u64, rate: u64) {
        self.refill(now);
        self.rate = rate;
        self.balance = self.balance.min(self.full());
    }

    /// Whole units that are there now, or the debt in whole units and below 0, or 0.
    pub fn balance(&mut self, now: u64) -> i64 {
        self.refill(now);
        clamped(self.balance.div_euclid(PARTS))
    }

    /// Whether work is admitted now.
    pub fn is_positive(&mut self, now: u64) -> bool {
        self.refill(now);
        self.balance > 0
    }

    /// Takes what work has cost, whether it is there or not.
    pub fn charge(&mut self, now: u64, cost: EcpuUnits) {
        self.refill(now);
        self.balance = self.balance.saturating_sub(i128::from(cost.units()) * PARTS);
    }

    /// Takes up to `most` whole units of those that are there.
    pub fn take(&mut self, now: u64, most: u64) -> u64 {
        let there_are = u64::try_from(self.balance(now)).unwrap_or(0);
        let taken = there_are.min(most);
        self.balance -= i128::from(taken) * PARTS;
        taken
    }

    /// Puts back what was taken and not used. What is above the burst is lost.
    pub fn give_back(&mut self, now: u64, units: u64) {
        self.refill(now);
        self.balance = (self.balance + i128::from(units) * PARTS).min(self.full());
    }

    /// Nanoseconds until this many units are there, or the bucket is full; `None` where that is
    /// never.
    pub fn ns_until(&mut self, now: u64, units: u64) -> Option<u64> {
        self.refill(now);
        let wanted = (i128::from(units) * PARTS).min(self.full()).max(1);
        let missing = wanted - self.balance;
        if missing <= 0 {
            return Some(0);
        }
        let rate = i128::from(self.rate);
        if rate == 0 {
            return None;
        }
        u64::try_from((missing - 1) / rate + 1).ok()
    }

    fn refill(&mut self, now: u64) {
        // A core's clock reading may be older than another's that was here before.
        let Some(passed) = now.checked_sub(self.at).filter(|&passed| passed > 0) else { return };
        self.at = now;
        let gain = u128::from(passed) * u128::from(self.rate);
        let gain = i128::try_from(gain).unwrap_or(i128::MAX);
        self.balance = self.balance.saturating_add(gain).min(self.full());
    }

    fn full(&self) -> i128 {
        let full = u128::from(self.rate) * u128::from(self.burst_ns);
        i128::try_from(full).unwrap_or(i128::MAX)
    }
}

fn clamped(units: i128) -> i64 {
    i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const ECPU: u64 = 1024;

    fn units(units: u64) -> EcpuUnits {
        EcpuUnits::from_units(units)
    }

    #[test]
    fn work_is_admitted_while_the_balance_is_positive_and_charged_what_it_cost() {
        let mut bucket = Bucket::new(1_000 * ECPU, 50_000_000, 0);
        assert_eq!(bucket.balance(0), 50 * 1024, "full at first: 50 ms");
        bucket.charge(0, units(1_050 * ECPU));
        assert_eq!(bucket.balance(0), -1_000 * 1024, "a debt of a second");
        assert_eq!(bucket.ns_until(0, 0), Some(SECOND + 1), "positive is more than nothing");
        assert!(!bucket.is_positive(SECOND));
        assert!(bucket.is_positive(SECOND + 1));
        assert_eq!(bucket.balance(10 * SECOND), 50 * 1024, "no more than the burst is saved");
    }

    #[test]
    fn the_rate_changes_in_place_and_a_debt_stays() {
        let mut bucket = Bucket::new(1_000, SECOND, 0);
        bucket.charge(0, units(3_000));
        bucket.set_rate(SECOND, 500);
        assert_eq!(bucket.balance(SECOND), -1_000, "a second at the old rate");
        assert_eq!(bucket.balance(2 * SECOND), -500, "a second at the new one");
        bucket.set_rate(2 * SECOND, 0);
        assert_eq!(bucket.ns_until(2 * SECOND, 0), None, "never");
        bucket.set_rate(20 * SECOND, 1_000_000);
        assert_eq!(bucket.balance(21 * SECOND), 999_500);
        bucket.set_rate(21 * SECOND, 1_000);
        assert_eq!(bucket.balance(21 * SECOND), 1_000, "no more than the new burst");
    }

    #[test]
    fn a_third_of_a_unit_a_nanosecond_does_not_drift() {
        let mut bucket = Bucket::new(333_333_333, 50_000_000, 0);
        let mut taken = bucket.take(0, u64::MAX);
        for nanosecond in 1..=3_000_000 {
            taken += bucket.take(nanosecond, u64::MAX);
        }
        // 50 ms of burst, 3 ms of refill.
        assert_eq!(taken, 333_333_333 * 53 / 1_000);
    }

    #[test]
    fn an_older_clock_reading_gives_nothing_twice() {
        let mut bucket = Bucket::new(1_000, SECOND, 0);
        bucket.charge(0, units(1_000));
        assert_eq!(bucket.balance(SECOND / 2), 500);
        assert_eq!(bucket.balance(0), 500);
        assert_eq!(bucket.balance(SECOND / 2), 500);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut bucket = Bucket::new(u64::MAX, u64::MAX, 0);
        for _ in 0..3 {
            bucket.charge(u64::MAX, units(u64::MAX));
            bucket.give_back(u64::MAX, u64::MAX);
        }
        assert_eq!(bucket.balance(u64::MAX), i64::MAX);
        let mut bucket = Bucket::new(1, 0, 0);
        bucket.charge(0, units(u64::MAX));
        assert_eq!(bucket.balance(0), i64::MIN);
        assert_eq!(bucket.ns_until(0, 0), None, "beyond any clock");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Charge(u64),
        Take(u64),
        GiveBack(u64),
        Rate(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0..2_000_000_000_u64).prop_map(Step::Wait),
            (0..10_u64).prop_map(Step::Wait),
            (0..5_000_000_u64).prop_map(Step::Charge),
            (0..5_000_000_u64).prop_map(Step::Take),
            (0..5_000_u64).prop_map(Step::GiveBack),
            prop_oneof![Just(0), 1..100_u64, 1_024_000..15_360_000_000_u64].prop_map(Step::Rate),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// What is taken where it is there, and charged where the balance is positive, is never more
        /// than what the rates gave, the largest burst, and what the last charge left as debt; and
        /// while it is used up all the time it is never less.
        #[test]
        fn no_more_than_rate_and_burst_and_one_debt(steps in steps(), is_hungry: bool) {
            let mut now = 0;
            let mut rate = 1_024_000_u64;
            let burst_ns = 50_000_000_u64;
            let mut bucket = Bucket::new(rate, burst_ns, now);
            let full = |rate: u64| i128::from(rate) * i128::from(burst_ns);
            // In 1/10^9 units: what was given, used, and can be lost to a cap.
            let (mut given, mut used, mut debt) = (full(rate), 0_i128, 0_i128);
            for step in steps {
                match step {
                    Step::Wait(ns) => {
                        now += ns;
                        given += i128::from(ns) * i128::from(rate);
                    }
                    Step::Charge(cost) if bucket.is_positive(now) => {
                        bucket.charge(now, units(cost));
                        used += i128::from(cost) * PARTS;
                        debt = debt.max(i128::from(cost) * PARTS);
                    }
                    Step::Charge(_) => {}
                    Step::Take(most) => used += i128::from(bucket.take(now, most)) * PARTS,
                    Step::GiveBack(back) => {
                        let back = back.min(u64::try_from((used / PARTS).max(0)).unwrap_or(0));
                        bucket.give_back(now, back);
                        used -= i128::from(back) * PARTS;
                    }
                    Step::Rate(next) => {
                        bucket.set_rate(now, next);
                        rate = next;
                    }
                }
                if is_hungry {
                    used += i128::from(bucket.take(now, u64::MAX)) * PARTS;
                }
                prop_assert!(used <= given + debt, "{used} of {given} and {debt}");
                prop_assert!(bucket.balance <= full(rate));
            }
        }

        /// Delivered to the unit, where more is asked for than there is, however time is cut.
        #[test]
        fn all_that_the_rate_gives_can_be_used(
            rate in 1..20_000_000_000_u64,
            waits in prop::collection::vec(1..40_000_000_u64, 1..100),
        ) {
            let mut bucket = Bucket::new(rate, 50_000_000, 0);
            let mut now = 0;
            let mut taken = u128::from(bucket.take(now, u64::MAX));
            for ns in waits {
                now += ns;
                taken += u128::from(bucket.take(now, u64::MAX));
            }
            let given = u128::from(rate) * u128::from(now + 50_000_000) / 1_000_000_000;
            prop_assert!(taken <= given && given - taken <= 1, "{taken} of {given}");
        }
    }
}
