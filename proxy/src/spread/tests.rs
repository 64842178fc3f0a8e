use super::*;

#[test]
fn an_order_moves_so_many_connections_and_a_retired_core_s_moves_all() {
    let spread = Spread::new(3);
    assert_eq!(spread.take_order(0), None);
    spread.carry_out(2, &[Move { from: 0, to: 1, connections: Some(2) }]);
    let taken: Vec<_> = (0..4).map(|_| spread.take_order(0)).collect();
    assert_eq!(taken, [Some(1), Some(1), None, None]);
    spread.carry_out(2, &[Move { from: 0, to: 1, connections: Some(2) }]);
    spread.carry_out(2, &[]);
    assert_eq!(spread.take_order(0), None, "an order is for its tick");
    spread.carry_out(1, &[Move { from: 1, to: 0, connections: None }]);
    spread.carry_out(1, &[]);
    assert!((0..1000).all(|_| spread.take_order(1) == Some(0)));
    spread.carry_out(2, &[Move { from: 0, to: 1, connections: Some(1) }]);
    assert_eq!(spread.take_order(1), None, "it serves again");
}

#[test]
fn new_connections_go_to_the_core_with_the_least_to_do() {
    let spread = Spread::new(3);
    assert!((0..10).all(|_| spread.place() == 0), "the others do not serve");
    spread.carry_out(2, &[]);
    spread.cores[0].busy.store(500, Ordering::Relaxed);
    spread.cores[1].busy.store(470, Ordering::Relaxed);
    let placed: Vec<_> = (0..12).map(|_| spread.place()).collect();
    assert_eq!(placed, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1]);
}

#[test]
fn a_connection_is_active_once_a_tick() {
    let spread = Spread::new(1);
    let (mut one, mut other) = (u32::MAX, u32::MAX);
    for seen in [&mut one, &mut other] {
        (0..5).for_each(|_| spread.saw(0, seen));
    }
    assert_eq!(spread.cores[0].active.load(), 2);
    spread.tick.fetch_add(1, Ordering::Relaxed);
    spread.saw(0, &mut one);
    assert_eq!(spread.cores[0].active.load(), 3);
    spread.shook_hands(0);
    assert_eq!(spread.cores[0].active.load(), 4);
}
