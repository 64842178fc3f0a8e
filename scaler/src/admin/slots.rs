//! Slots as an operator writes them.

use std::collections::BTreeSet;

use memtide_topology::{SLOTS, SlotId};

/// Why a list of slots is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotsError {
    /// Not numbers.
    #[error("give numbers and ranges, as in 0-99,200")]
    Syntax,
    /// Above the last.
    #[error("slot {0}; the last is {last}", last = SLOTS - 1)]
    Above(u64),
    /// From high to low.
    #[error("range {0}-{1} goes down")]
    Down(u16, u16),
}

/// The slots of a list such as `0-99,200`, each once and in order. An empty list is an error.
pub fn parse(list: &str) -> Result<Vec<SlotId>, SlotsError> {
    let mut slots = BTreeSet::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(SlotsError::Down(first, last));
        }
        slots.extend((first..=last).filter_map(SlotId::new));
    }
    Ok(slots.into_iter().collect())
}

fn number(text: &str) -> Result<u16, SlotsError> {
    let number: u64 = text.trim().parse().map_err(|_| SlotsError::Syntax)?;
    let small = u16::try_from(number).ok().filter(|number| *number < SLOTS);
    small.ok_or(SlotsError::Above(number))
}

/// The shortest way to write a range.
pub fn show(first: SlotId, last: SlotId) -> String {
    match (first.number(), last.number()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_numbers_make_a_set() {
        let numbers = |list| -> Result<Vec<u16>, SlotsError> {
            Ok(parse(list)?.into_iter().map(SlotId::number).collect())
        };
        assert_eq!(numbers("7"), Ok(vec![7]));
        assert_eq!(numbers("3-5,1, 4-6"), Ok(vec![1, 3, 4, 5, 6]));
        assert_eq!(parse("0-16383").map(|slots| slots.len()), Ok(16_384));
    }

    #[test]
    fn a_list_that_is_none_is_refused_by_what_is_wrong() {
        for list in ["", ",", "1,", "a", "1-", "-1", "1-2-3", "0x1"] {
            assert_eq!(parse(list), Err(SlotsError::Syntax), "{list:?}");
        }
        assert_eq!(parse("16384"), Err(SlotsError::Above(16_384)));
        assert_eq!(parse("0-99999999999"), Err(SlotsError::Above(99_999_999_999)));
        assert_eq!(parse("5-4"), Err(SlotsError::Down(5, 4)));
    }
}
