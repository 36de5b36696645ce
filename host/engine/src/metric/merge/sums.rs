//! The cells of one pane by the keys of one dimension set.

use super::super::cells::Cell;
use super::super::windows::Numbers;
use super::Pairs;
use rustc_hash::FxHashMap;
use weir_types::Micros;

/// What the cells of one key hold together.
pub struct Sum {
    /// Key in the set's space.
    pub key: u32,
    pub weight: i64,
    pub samples: u64,
    pub first: Micros,
    pub last: Micros,
}

/// See the module. Used again for one set after the other.
#[derive(Default)]
pub struct Sums {
    /// One for each key.
    pub keys: Vec<Sum>,
    /// Slots of the guest that windows take: (index into `keys`, slot).
    pub parts: Vec<(u32, u32)>,
    places: FxHashMap<u32, u32>,
}

impl Sums {
    /// Replaces what it held by these cells, each with its key in the set's space.
    pub fn take<'a>(&mut self, cells: impl Iterator<Item = (u32, &'a Cell)>) {
        self.keys.clear();
        self.parts.clear();
        self.places.clear();
        for (key, cell) in cells {
            let next = self.keys.len() as u32;
            let at = *self.places.entry(key).or_insert(next);
            if at == next {
                self.keys.push(Sum { key, weight: 0, samples: 0, first: Micros::MAX, last: Micros::MIN });
            }
            let sum = &mut self.keys[at as usize];
            sum.weight += cell.weight;
            sum.samples += cell.samples;
            sum.first = sum.first.min(cell.first);
            sum.last = sum.last.max(cell.last);
            self.parts.push((at, cell.slot));
        }
    }

    /// Whether merging the cells of a key first, and then their sum into so many windows, takes clearly fewer
    /// merges than merging each cell into each window.
    pub fn is_worth_rolling_up(&self, windows: usize) -> bool {
        let (cells, keys) = (self.parts.len(), self.keys.len());
        4 * (cells + keys * windows) < 3 * (cells * windows)
    }

    /// Lets windows take one slot for each key in place of its cells'.
    pub fn roll_up(&mut self, numbers: &mut Numbers, pairs: &mut Pairs) {
        let first = pairs.sums.len();
        pairs.sums.extend(self.keys.iter().map(|_| numbers.take()));
        let slots = &pairs.sums[first..];
        pairs.rolled.extend(self.parts.iter().map(|(at, cell)| (slots[*at as usize], *cell)));
        self.parts.clear();
        self.parts.extend((0..).zip(slots.iter().copied()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(slot: u32, weight: i64, at: Micros) -> Cell {
        Cell { key: slot, pane: 0, slot, weight, samples: 1, first: at, last: at }
    }

    #[test]
    fn cells_of_one_key_are_summed_up_and_stand_for_one_slot_once_rolled_up() {
        let cells = [cell(1, 5, 30), cell(2, -2, 10), cell(3, 4, 20)];
        let mut sums = Sums::default();
        sums.take([7, 8, 7].into_iter().zip(&cells));
        let of: Vec<_> = sums.keys.iter().map(|s| (s.key, s.weight, s.samples, s.first, s.last)).collect();
        assert_eq!(of, [(7, 9, 2, 20, 30), (8, -2, 1, 10, 10)]);
        assert_eq!(sums.parts, [(0, 1), (1, 2), (0, 3)]);
        let (mut numbers, mut pairs) = (Numbers::compacted(3), Pairs::default());
        sums.roll_up(&mut numbers, &mut pairs);
        assert_eq!(pairs.sums, [4, 5]);
        assert_eq!(pairs.rolled, [(4, 1), (5, 2), (4, 3)]);
        assert_eq!(sums.parts, [(0, 4), (1, 5)]);
    }

    #[test]
    fn rolling_up_is_worth_it_where_many_cells_share_keys_and_go_to_several_windows() {
        let cells: Vec<Cell> = (1..=100).map(|slot| cell(slot, 1, 0)).collect();
        let mut sums = Sums::default();
        sums.take(cells.iter().map(|cell| (0, cell)));
        assert!(sums.is_worth_rolling_up(4) && !sums.is_worth_rolling_up(1));
        sums.take((0..).zip(&cells));
        assert!(!sums.is_worth_rolling_up(4), "each cell has a key of its own");
    }
}
