//! Copies that their primaries cannot reach.

use super::*;

/// Lets time pass in which messages go this way only.
fn pass_one_way(site: &mut Site, (from, to): (u64, u64), time: Duration) {
    let end = site.now + time;
    while site.now < end {
        site.now += Duration::from_millis(50);
        for number in site.numbers() {
            site.tick(number);
        }
        site.deliver(from, to);
    }
}

fn unreachable(site: &Site) -> bool {
    site.reports.contains(&Report::Unreachable(slot(), name(1, 2, 1)))
}

#[test]
fn a_copy_that_does_not_answer_is_reported_and_the_slot_goes_on_without_it() {
    let mut site = pair();
    site.cut(1, 2);
    let write = site.ask(1, 5, Ask::Incr);
    site.pass(settings().unreachable_after - settings().beacon_interval);
    assert!(!unreachable(&site), "that is too soon");
    site.pass(3 * settings().beacon_interval);
    assert!(unreachable(&site));
    assert_eq!(heard(&site, write), None, "the manager decides");
    let without = topology(2, 1, 1, &[(2, 2, false)]);
    site.adopt(1, &without);
    assert_eq!(heard(&site, write), number(1));
    let read = site.ask(1, 5, Ask::Get);
    assert_eq!(heard(&site, read), number(1));
}

#[test]
fn it_comes_back_as_a_learner_and_counts_when_it_has_answered_for_a_while() {
    let mut site = pair();
    site.cut(1, 2);
    site.pass(settings().unreachable_after + 2 * settings().beacon_interval);
    site.adopt(1, &topology(2, 1, 1, &[(2, 2, false)]));
    site.ask(1, 5, Ask::Incr);
    site.link(1, 2);
    let back = Report::CaughtUp(slot(), name(1, 2, 2));
    site.pass(settings().unreachable_after - settings().beacon_interval);
    assert_eq!(site.nodes[&node(2)].items[&5], 1, "it has everything");
    assert!(!site.reports.contains(&back), "it may be gone again at once");
    site.pass(4 * settings().beacon_interval);
    assert!(site.reports.contains(&back));
}

#[test]
fn one_way_is_no_way_and_no_copy_reads_on() {
    for way in [(1, 2), (2, 1)] {
        let mut site = pair();
        let now = site.now;
        assert!(site.core(2).may_read(now, slot()));
        let until = settings().unreachable_after + 2 * settings().beacon_interval;
        pass_one_way(&mut site, way, until);
        assert!(unreachable(&site), "{way:?}");
        let now = site.now;
        assert!(!site.core(2).may_read(now, slot()), "{way:?}");
    }
}

/// The old primary is to be a copy that is in sync, and nobody hears it.
#[test]
fn a_new_primary_does_not_wait_for_a_copy_that_it_never_reached() {
    let mut site = pair();
    site.cut(1, 2);
    site.adopt(2, &topology(2, 2, 2, &[(1, 2, true)]));
    let write = site.ask(2, 5, Ask::Incr);
    site.pass(LEASE + settings().lease_margin);
    site.pass(settings().unreachable_after + 2 * settings().beacon_interval);
    let report = Report::Unreachable(slot(), name(2, 1, 2));
    assert!(site.reports.contains(&report), "{:?}", site.reports);
    assert_eq!(heard(&site, write), None);
    site.adopt(2, &topology(3, 2, 2, &[(1, 3, false)]));
    assert_eq!(heard(&site, write), number(1));
}

#[test]
fn who_was_stopped_itself_blames_nobody() {
    let mut site = pair();
    site.now += Duration::from_secs(60);
    site.tick(1);
    site.now += settings().beacon_interval;
    site.tick(1);
    assert_eq!(site.reports, []);
    site.settle();
    let read = site.ask(1, 5, Ask::Get);
    assert_eq!(heard(&site, read), number(0));
}

/// A primary and two copies that are in sync, one of which is not reached any more by the other two, who
/// reach each other.
fn cut_off_together() -> Site {
    let mut site = Site::new(3);
    for number in [1, 2, 3] {
        site.adopt(number, &topology(1, 1, 1, &[(2, 1, true), (3, 1, true)]));
    }
    site.pass(2 * settings().beacon_interval);
    site.cut(1, 3);
    site.cut(2, 3);
    site
}

#[test]
fn a_copy_that_is_cut_off_with_its_old_primary_reads_no_longer_than_that_has_a_lease() {
    let mut site = cut_off_together();
    let now = site.now;
    assert!(site.core(2).may_read(now, slot()), "there is a lease yet");
    site.adopt(3, &topology(2, 2, 3, &[(1, 2, false), (2, 2, false)]));
    let end = site.now + 3 * LEASE;
    while site.now < end {
        site.pass(Duration::from_millis(50));
        let now = site.now;
        let is_served = site.core(3).is_serving(slot());
        assert!(!is_served || !site.core(2).may_read(now, slot()), "it is old at {now:?}");
    }
    assert!(site.core(3).is_serving(slot()));
}

#[test]
fn a_copy_reads_again_when_its_primary_has_a_lease_again() {
    let mut site = cut_off_together();
    site.pass(2 * LEASE);
    let now = site.now;
    assert!(!site.core(2).may_read(now, slot()));
    site.link(1, 3);
    site.pass(2 * settings().beacon_interval);
    let now = site.now;
    assert!(site.core(2).may_read(now, slot()));
}

/// What the present primary said when it was not yet the primary, it did not say of this slot.
#[test]
fn what_was_granted_before_a_copy_was_opened_is_not_for_it() {
    let mut site = Site::new(3);
    for number in [1, 2, 3] {
        site.adopt(number, &topology(1, 1, 1, &[(2, 1, true), (3, 1, true)]));
    }
    site.pass(2 * settings().beacon_interval);
    let handover = topology(2, 2, 2, &[(1, 2, true), (3, 1, true)]);
    for number in [1, 2, 3] {
        site.adopt(number, &handover);
    }
    site.settle();
    let now = site.now;
    assert!(site.core(2).is_serving(slot()));
    assert!(!site.core(3).may_read(now, slot()), "it was not asked since");
    site.pass(2 * settings().beacon_interval);
    let now = site.now;
    assert!(site.core(3).may_read(now, slot()));
}
