//! How long slots that were handed over are said to have waited.

use super::*;

/// Its source is dropped before it hears of who serves the slot now.
#[test]
fn the_longest_pause_of_a_handover_is_timed_to_its_end() {
    let mut site = pair();
    site.ask(1, 5, Ask::Incr);
    site.settle();
    site.adopt(2, &topology(2, 2, 2, &[(1, 2, true)]));
    let early = site.ask(2, 5, Ask::Incr);
    site.now += Duration::from_millis(700);
    let dropped = topology(3, 2, 2, &[]);
    site.adopt(2, &dropped);
    site.adopt(1, &dropped);
    assert_eq!((heard(&site, early), site.pauses.len()), (None, 0));
    site.settle();
    assert_eq!(heard(&site, early), number(2));
    assert_eq!(site.pauses, [Duration::from_millis(700)]);
}

#[test]
fn what_a_failover_waits_for_is_no_pause_of_a_handover() {
    let mut site = pair();
    site.cut(1, 2);
    site.cut(1, 3);
    site.adopt(2, &topology(2, 2, 2, &[(3, 2, false)]));
    let asked = site.ask(2, 5, Ask::Incr);
    site.pass(LEASE + settings().lease_margin);
    assert_eq!(heard(&site, asked), number(1));
    assert_eq!(site.pauses, []);
}
