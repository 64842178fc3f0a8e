use std::collections::{BTreeSet, VecDeque};

use super::share::{fullness, whole};
use crate::SLOTS;

/// Slots that are shared among nodes, and may move between some of them.
pub(super) trait Shares {
    /// How many nodes there are.
    fn nodes(&self) -> usize;
    /// How many slots a node has.
    fn load(&self, node: usize) -> usize;
    /// How much it should have, in units of 1/[`ONE`](super::share::ONE).
    fn share(&self, node: usize) -> u128;
    /// The fewest and the most slots that it should have.
    fn band(&self, node: usize) -> (usize, usize);
    /// The slots that it may give to some other.
    fn slots(&self, from: usize) -> impl Iterator<Item = usize> + '_;
    /// Whether it may give this slot to this node, which does not have it.
    fn may_move(&self, slot: usize, from: usize, to: usize) -> bool;
    /// Moves a slot.
    fn shift(&mut self, slot: usize, from: usize, to: usize);
}

/// Brings every node into its band where moves can.
///
/// Where no slot may go straight from who has too many to who has too few, it is a path of moves that
/// leaves all between them as they were: this is a flow, and such paths find the largest. Each is
/// the shortest, so that no more is moved than must be.
pub(super) fn even_out(shares: &mut impl Shares) {
    // Each path brings a slot nearer; the bound is for what cannot be: a path undone by another.
    let mut paths_left = 8 * usize::from(SLOTS);
    for node in 0..shares.nodes() {
        while shares.load(node) > shares.band(node).1 && paths_left > 0 {
            let path = path(shares, &[node], |to| shares.load(to) < shares.band(to).1);
            if !move_along(shares, &path) {
                break;
            }
            paths_left -= 1;
        }
    }
    let mut hopeless = BTreeSet::new();
    while let Some(node) = emptiest(shares, &hopeless) {
        let mut sources = by_fullness(shares);
        sources.retain(|node| shares.load(*node) > shares.band(*node).0);
        sources.reverse();
        let path = path(shares, &sources, |to| to == node);
        if paths_left == 0 || !move_along(shares, &path) {
            hopeless.insert(node);
        }
        paths_left = paths_left.saturating_sub(1);
    }
}

/// The node that has least of its share, of those that have too few.
fn emptiest(shares: &impl Shares, hopeless: &BTreeSet<usize>) -> Option<usize> {
    let lacks = |node: &usize| shares.load(*node) < shares.band(*node).0;
    let nodes = (0..shares.nodes()).filter(|node| lacks(node) && !hopeless.contains(node));
    nodes.min_by_key(|node| (fullness(shares.load(*node), shares.share(*node)), *node))
}

/// All nodes, the emptiest first.
fn by_fullness(shares: &impl Shares) -> Vec<usize> {
    let mut nodes: Vec<usize> = (0..shares.nodes()).collect();
    nodes.sort_by_cached_key(|node| (fullness(shares.load(*node), shares.share(*node)), *node));
    nodes
}

/// One move of a path.
#[derive(Clone, Copy)]
struct Move {
    slot: usize,
    from: usize,
    to: usize,
}

/// Moves slots on each hop of a path, as many as take its start down to its share or its end up to
/// the least it should have, and at least one; `false` where it has no hop.
fn move_along(shares: &mut impl Shares, path: &[Move]) -> bool {
    let (Some(first), Some(last)) = (path.last(), path.first()) else { return false };
    let surplus = shares.load(first.from).saturating_sub(whole(shares.share(first.from)));
    let lack = shares.band(last.to).0.saturating_sub(shares.load(last.to));
    let count = surplus.min(lack).max(1);
    let spare = |hop: &Move| {
        let slots = shares.slots(hop.from);
        let others =
            slots.filter(|slot| *slot != hop.slot && shares.may_move(*slot, hop.from, hop.to));
        std::iter::once(hop.slot).chain(others).take(count).collect::<Vec<_>>()
    };
    let slots: Vec<Vec<usize>> = path.iter().map(spare).collect();
    let mut is_moved = false;
    for turn in 0..slots.iter().map(Vec::len).min().unwrap_or(0) {
        // From the end, so that nobody between has more than before at any time. A slot that is on
        // the path twice may no longer go: what lies behind it is done, and the next path goes on.
        for (hop, slots) in path.iter().zip(&slots) {
            if !shares.may_move(slots[turn], hop.from, hop.to) {
                return is_moved;
            }
            shares.shift(slots[turn], hop.from, hop.to);
            is_moved = true;
        }
    }
    is_moved
}

/// The moves of the shortest path, the last one first.
fn path<S: Shares>(shares: &S, sources: &[usize], is_open: impl Fn(usize) -> bool) -> Vec<Move> {
    let mut unseen = by_fullness(shares);
    unseen.retain(|node| !sources.contains(node));
    let mut reached: Vec<Option<Move>> = vec![None; shares.nodes()];
    let mut queue: VecDeque<usize> = sources.iter().copied().collect();
    while let Some(from) = queue.pop_front() {
        let mut next = Vec::new();
        // The emptiest first, so that of those in reach it is the one that needs most.
        unseen.retain(|&to| {
            if next.last().is_some_and(|to| is_open(*to)) {
                return true;
            }
            let slot = shares.slots(from).find(|slot| shares.may_move(*slot, from, to));
            reached[to] = slot.map(|slot| Move { slot, from, to });
            next.extend(slot.map(|_| to));
            slot.is_none()
        });
        if let Some(to) = next.last().filter(|to| is_open(**to)) {
            return back_from(*to, &reached);
        }
        queue.extend(next);
    }
    Vec::new()
}

fn back_from(end: usize, reached: &[Option<Move>]) -> Vec<Move> {
    std::iter::successors(reached[end], |step| reached[step.from]).collect()
}
