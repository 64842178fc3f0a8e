//! What a command has offered, and how far that still holds.

use std::time::Duration;

use memtide_topology::Zone;

use super::limits::ANSWER_AGE_MAX;
use super::{Order, ProvisionError, Supply};

/// The last answer, less what was taken of it since. Pure: the time of a call is an argument.
///
/// ```text
/// begin_ask -> hear     one question after the other
/// take -> taken         a start, which an answer does not know of that was asked for before it ended
/// ```
#[derive(Debug, Default)]
pub struct Offered {
    /// When it came, and what it was.
    answer: Option<(Duration, Vec<Supply>)>,
    /// Questions that were begun.
    asks: u64,
    /// Why the last one had no answer.
    trouble: Option<ProvisionError>,
    takings: Vec<Taking>,
    next_taking: u64,
}

/// A node of a supply.
#[derive(Debug)]
struct Taking {
    id: u64,
    kind: String,
    zone: Zone,
    /// Questions that had begun when the start had ended.
    ended: Option<u64>,
}

/// What an operator is to be told of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// There was none; what was offered before still holds.
    Trouble(ProvisionError),
    /// There was none for too long: nothing is offered.
    Nothing(ProvisionError),
    /// There is one again.
    Well,
}

impl Offered {
    /// A question begins; gives its number.
    pub const fn begin_ask(&mut self) -> u64 {
        self.asks += 1;
        self.asks
    }

    /// What came of the question. Says what is news: not each time the same trouble.
    pub fn hear(
        &mut self,
        now: Duration,
        ask: u64,
        answer: Result<Vec<Supply>, ProvisionError>,
    ) -> Option<Word> {
        match answer {
            Ok(supplies) => {
                self.answer = Some((now, supplies));
                self.takings.retain(|it| it.ended.is_none_or(|ended| ended >= ask));
                self.trouble.take().map(|_| Word::Well)
            }
            Err(error) => {
                let is_new = self.trouble.as_ref() != Some(&error);
                let is_over = self.answer.take_if(|(at, _)| is_old(*at, now)).is_some();
                self.trouble = Some(error.clone());
                match (is_over || self.answer.is_none(), is_new || is_over) {
                    (_, false) => None,
                    (true, true) => Some(Word::Nothing(error)),
                    (false, true) => Some(Word::Trouble(error)),
                }
            }
        }
    }

    /// A node of a supply is being started; gives what [`Self::taken`] knows it by.
    pub fn take(&mut self, order: &Order) -> u64 {
        let (kind, zone) = (order.kind.clone(), order.zone.clone());
        self.next_taking += 1;
        self.takings.push(Taking { id: self.next_taking, kind, zone, ended: None });
        self.next_taking
    }

    /// The start has ended, well or not: the next answer knows of it.
    pub fn taken(&mut self, id: u64) {
        let asks = self.asks;
        self.takings.iter_mut().filter(|it| it.id == id).for_each(|it| it.ended = Some(asks));
    }

    /// What can be had now.
    pub fn supplies(&self, now: Duration) -> Vec<Supply> {
        let Some((_, supplies)) = self.answer.as_ref().filter(|(at, _)| !is_old(*at, now)) else {
            return Vec::new();
        };
        let mut supplies = supplies.clone();
        for taking in &self.takings {
            let mut same =
                supplies.iter_mut().filter(|it| it.kind == taking.kind && it.zone == taking.zone);
            same.by_ref().take(1).for_each(|it| it.nodes = it.nodes.saturating_sub(1));
        }
        supplies
    }
}

fn is_old(at: Duration, now: Duration) -> bool {
    now.saturating_sub(at) > ANSWER_AGE_MAX
}

#[cfg(test)]
mod tests {
    use memtide_control::Capacity;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn supply(nodes: u32) -> Supply {
        Supply {
            kind: String::new(),
            zone: Zone::new("a").unwrap(),
            capacity: Capacity::default(),
            memory_min: 1,
            nodes,
            ready_in: SECOND,
            names: Vec::new(),
            there: Vec::new(),
        }
    }

    fn order() -> Order {
        let (instance, kind) = ("i".to_owned(), String::new());
        Order { instance, kind, zone: Zone::new("a").unwrap(), memory: 1, is_spare: false }
    }

    fn nodes(offered: &Offered, now: Duration) -> Vec<u32> {
        offered.supplies(now).iter().map(|it| it.nodes).collect()
    }

    fn error(text: &str) -> ProvisionError {
        ProvisionError(text.to_owned())
    }

    #[test]
    fn an_answer_holds_for_a_minute_without_another() {
        let mut offered = Offered::default();
        assert_eq!(nodes(&offered, SECOND), [0; 0]);
        let ask = offered.begin_ask();
        assert_eq!(offered.hear(SECOND, ask, Ok(vec![supply(4)])), None);
        let mut fail = |now, text| {
            let ask = offered.begin_ask();
            let word = offered.hear(now, ask, Err(error(text)));
            (word, nodes(&offered, now))
        };
        let trouble = Some(Word::Trouble(error("x")));
        assert_eq!(fail(SECOND * 11, "x"), (trouble, vec![4]));
        assert_eq!(fail(SECOND * 61, "x"), (None, vec![4]), "told once");
        let nothing = |text| (Some(Word::Nothing(error(text))), vec![]);
        assert_eq!(fail(SECOND * 62, "x"), nothing("x"));
        assert_eq!(fail(SECOND * 72, "x"), (None, vec![]));
        assert_eq!(fail(SECOND * 82, "y"), nothing("y"));
        let ask = offered.begin_ask();
        assert_eq!(offered.hear(SECOND * 92, ask, Ok(vec![supply(2)])), Some(Word::Well));
        assert_eq!(nodes(&offered, SECOND * 92), [2]);
    }

    #[test]
    fn one_that_never_answered_offers_nothing() {
        let mut offered = Offered::default();
        let ask = offered.begin_ask();
        let word = offered.hear(SECOND, ask, Err(error("x")));
        assert_eq!(word, Some(Word::Nothing(error("x"))));
    }

    #[test]
    fn what_is_taken_is_not_offered_until_an_answer_knows_of_it() {
        let mut offered = Offered::default();
        let first = offered.begin_ask();
        offered.hear(SECOND, first, Ok(vec![supply(2)]));
        let second = offered.begin_ask();
        let started = offered.take(&order());
        assert_eq!(nodes(&offered, SECOND), [1]);
        offered.taken(started);
        offered.hear(SECOND, second, Ok(vec![supply(2)]));
        assert_eq!(nodes(&offered, SECOND), [1], "it was asked before the start had ended");
        let third = offered.begin_ask();
        let other = offered.take(&order());
        offered.hear(SECOND, third, Ok(vec![supply(1)]));
        assert_eq!(nodes(&offered, SECOND), [0], "one is still being started");
        offered.taken(other);
        let fourth = offered.begin_ask();
        offered.hear(SECOND, fourth, Ok(vec![supply(1)]));
        assert_eq!(nodes(&offered, SECOND), [1]);
    }
}
