use super::explanation::{self, Explanation};

/// The explanations to go on from while a reply is looked at: those first that have the fewest operations
/// done.
///
/// Each step has one more done at least, so whatever comes to the same explanation has come to it before
/// it is gone on from: with the evictions of the one that took fewest.
#[derive(Debug)]
pub struct Frontier {
    /// By how many operations they have done.
    levels: Vec<Vec<Explanation>>,
    is_rough: bool,
    /// How many were added and not covered by others, those included that were gone on from.
    kept: usize,
}

impl Frontier {
    pub fn new(is_rough: bool) -> Self {
        Self { levels: Vec::new(), is_rough, kept: 0 }
    }

    /// Adds one that has more operations done than all that were taken.
    pub fn add(&mut self, one: Explanation) {
        let level = one.done.count_ones() as usize;
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        let list = &mut self.levels[level];
        self.kept -= list.len();
        explanation::add(list, one, self.is_rough);
        self.kept += list.len();
    }

    /// Takes out one of those with the fewest operations done.
    pub fn pop(&mut self) -> Option<Explanation> {
        self.levels.iter_mut().find_map(Vec::pop)
    }

    /// How many there are and were.
    pub fn kept(&self) -> usize {
        self.kept
    }
}
