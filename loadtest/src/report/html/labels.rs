//! Where labels go so that none covers another.

/// Moves `wanted` places apart so that neighbours keep `gap`, as little as possible, within
/// `low ..= high` as far as there is room. The order of the places stays; they are given rising.
pub(super) fn spread(wanted: &[f64], gap: f64, range: (f64, f64)) -> Vec<f64> {
    let mut placed: Vec<f64> = Vec::with_capacity(wanted.len());
    for place in wanted {
        let least = placed.last().map_or(range.0, |last: &f64| last + gap);
        placed.push(place.max(least));
    }
    let mut most = range.1;
    for place in placed.iter_mut().rev() {
        *place = place.min(most);
        most = *place - gap;
    }
    placed
}

/// A label beside a vertical line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flag {
    /// The line's place.
    pub x: f64,
    /// The label's width.
    pub width: f64,
    /// How much it matters: those with the lowest rank get their place first.
    pub rank: u8,
}

/// Where a label was put.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    /// The row, 0 on top.
    pub row: usize,
    /// Whether it stands to the left of its line.
    pub is_left: bool,
}

/// Puts labels into at most `rows_max` rows within `right_end`; `None` for one that finds no room.
///
/// A label stands to the right of its line where there is room, and no line runs through a label of
/// an earlier one where a row below is free.
pub(super) fn flags(flags: &[Flag], rows_max: usize, right_end: f64) -> Vec<Option<Placed>> {
    let mut order: Vec<usize> = (0..flags.len()).collect();
    order.sort_by(|a, b| {
        flags[*a].rank.cmp(&flags[*b].rank).then(flags[*a].x.total_cmp(&flags[*b].x))
    });
    let mut taken: Vec<Vec<(f64, f64)>> = vec![Vec::new(); rows_max];
    let mut placed = vec![None; flags.len()];
    for index in order {
        let flag = &flags[index];
        let is_left = flag.x + flag.width > right_end;
        let (begin, end) =
            if is_left { (flag.x - flag.width, flag.x) } else { (flag.x, flag.x + flag.width) };
        let is_free = |row: &Vec<(f64, f64)>| row.iter().all(|(b, e)| end < *b || begin > *e);
        let below = taken
            .iter()
            .rposition(|row| row.iter().any(|(b, e)| flag.x >= *b && flag.x <= *e))
            .map_or(0, |row| row + 1);
        let free = (below..rows_max).chain(0..below).find(|row| is_free(&taken[*row]));
        if let Some(row) = free {
            taken[row].push((begin, end));
            placed[index] = Some(Placed { row, is_left });
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(x: f64) -> Flag {
        Flag { x, width: 100.0, rank: 0 }
    }

    #[test]
    fn places_keep_their_gap_and_stay_within_their_range() {
        assert_eq!(spread(&[10.0, 12.0, 50.0], 10.0, (0.0, 100.0)), [10.0, 20.0, 50.0]);
        assert_eq!(spread(&[95.0, 99.0, 100.0], 10.0, (0.0, 100.0)), [80.0, 90.0, 100.0]);
        assert_eq!(spread(&[], 10.0, (0.0, 1.0)), Vec::<f64>::new());
    }

    #[test]
    fn labels_side_by_side_share_a_row_and_others_go_down() {
        let placed = flags(&[flag(0.0), flag(50.0), flag(60.0), flag(120.0)], 3, 1000.0);
        let rows: Vec<_> = placed.iter().map(|p| p.map(|p| p.row)).collect();
        assert_eq!(rows, [Some(0), Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn a_label_at_the_right_end_stands_left_of_its_line() {
        let placed = flags(&[flag(950.0)], 2, 1000.0);
        assert_eq!(placed, [Some(Placed { row: 0, is_left: true })]);
    }

    #[test]
    fn where_there_is_no_room_the_labels_that_matter_less_are_left_out() {
        let mut crowd: Vec<Flag> = (0..5).map(|i| flag(f64::from(i))).collect();
        crowd[4].rank = 0;
        crowd[..4].iter_mut().for_each(|flag| flag.rank = 1);
        let placed = flags(&crowd, 2, 1000.0);
        assert_eq!(placed.iter().flatten().count(), 2);
        assert!(placed[4].is_some());
    }

    #[test]
    fn no_two_labels_cover_each_other() {
        let crowd: Vec<Flag> = (0..200).map(|i| flag(f64::from(i * 37 % 1000))).collect();
        let placed = flags(&crowd, 4, 1000.0);
        let spans: Vec<(usize, f64, f64)> = crowd
            .iter()
            .zip(&placed)
            .filter_map(|(flag, placed)| {
                let placed = (*placed)?;
                let begin = if placed.is_left { flag.x - flag.width } else { flag.x };
                Some((placed.row, begin, begin + flag.width))
            })
            .collect();
        assert!(spans.len() > 20, "{}", spans.len());
        for (index, a) in spans.iter().enumerate() {
            for b in &spans[index + 1..] {
                assert!(a.0 != b.0 || a.2 < b.1 || b.2 < a.1, "{a:?} {b:?}");
            }
        }
    }
}
