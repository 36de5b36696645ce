//! The cells of one metric and one epoch: partial aggregates by finest key and pane of time.

use rustc_hash::FxHashMap;
use weir_types::Micros;
use weir_types::window::{Calendar, Interval, pane_start};

/// One partial aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Key in the metric's full key space.
    pub key: u32,
    /// Index of its pane in the table.
    pub pane: u32,
    /// Where the guest holds it.
    pub slot: u32,
    pub weight: i64,
    pub samples: u64,
    /// Least and greatest sample time.
    pub first: Micros,
    pub last: Micros,
}

/// A pane that has cells.
#[derive(Debug)]
pub struct Pane {
    pub interval: Interval,
    /// Window kinds for which the pane came too late to be corrected.
    pub missed: Vec<u16>,
    /// Whether it came too late for every kind.
    pub lost: bool,
    /// Index of a cell by key, plus 1; 0 = none.
    by_key: Vec<u32>,
}

/// Keys below this are found by index, those above by hash: bounds the memory of a pane.
const DENSE_KEYS: u32 = 1 << 16;
/// Panes with index; an epoch that touches more (a backfill) uses the hash for the rest.
const DENSE_PANES: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct CellTable {
    pub cells: Vec<Cell>,
    pub panes: Vec<Pane>,
    by_start: FxHashMap<Micros, u32>,
    sparse: FxHashMap<(u32, u32), u32>,
    last_pane: usize,
}

/// How a metric cuts time into panes.
#[derive(Clone, Copy, Debug)]
pub struct PaneRule {
    pub length: Micros,
    pub by_day: bool,
}

impl CellTable {
    /// The pane of a time, made if needed; `missed` says which kinds an interval is too late for
    /// (and whether these are all).
    pub fn pane(
        &mut self,
        time: Micros,
        rule: PaneRule,
        calendar: &Calendar,
        missed: impl FnOnce(Interval) -> (Vec<u16>, bool),
    ) -> usize {
        if let Some(pane) = self.panes.get(self.last_pane)
            && pane.interval.start <= time
            && time < pane.interval.end
        {
            return self.last_pane;
        }
        let interval = pane_of(time, rule, calendar);
        let next = self.panes.len() as u32;
        let index = *self.by_start.entry(interval.start).or_insert(next);
        if index == next {
            let (missed, lost) = missed(interval);
            self.panes.push(Pane { interval, missed, lost, by_key: Vec::new() });
        }
        self.last_pane = index as usize;
        self.last_pane
    }

    /// The one pane of a metric over current values.
    pub fn now_pane(&mut self) -> usize {
        if self.panes.is_empty() {
            let interval = Interval { start: Micros::MIN, end: Micros::MAX };
            self.panes.push(Pane { interval, missed: Vec::new(), lost: false, by_key: Vec::new() });
        }
        0
    }

    /// The cell of a key in a pane; `slot` gives a guest slot for a new one.
    #[inline]
    pub fn cell(&mut self, pane: usize, key: u32, slot: impl FnOnce() -> u32) -> &mut Cell {
        let next = self.cells.len() as u32 + 1;
        let entry = if key < DENSE_KEYS && pane < DENSE_PANES {
            let by_key = &mut self.panes[pane].by_key;
            if by_key.len() <= key as usize {
                by_key.resize(key as usize + 1, 0);
            }
            &mut by_key[key as usize]
        } else {
            self.sparse.entry((pane as u32, key)).or_insert(0)
        };
        if *entry == 0 {
            *entry = next;
            self.cells.push(Cell {
                key,
                pane: pane as u32,
                slot: slot(),
                weight: 0,
                samples: 0,
                first: Micros::MAX,
                last: Micros::MIN,
            });
        }
        &mut self.cells[*entry as usize - 1]
    }

    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    pub fn clear(&mut self) {
        *self = CellTable::default();
    }
}

/// The pane that holds `time`.
pub fn pane_of(time: Micros, rule: PaneRule, calendar: &Calendar) -> Interval {
    if !rule.by_day {
        let start = pane_start(time, rule.length, None);
        return Interval { start, end: start.saturating_add(rule.length) };
    }
    let day = calendar.day(time);
    let start = pane_start(time, rule.length, Some(day));
    let grid = start - start.rem_euclid(rule.length);
    Interval { start, end: grid.saturating_add(rule.length).min(day.end) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::MINUTE;

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(jiff::tz::TimeZone::get(zone).expect("bundled zone"))
    }

    #[test]
    fn panes_are_cut_where_a_day_begins() {
        // Before 1900 Berlin was 53 min 28 s ahead of UTC: days did not begin on a full minute.
        let calendar = calendar("Europe/Berlin");
        let noon = -2_840_140_800_000_000;
        let day = calendar.day(noon);
        assert_ne!(day.start.rem_euclid(MINUTE), 0);
        let rule = PaneRule { length: MINUTE, by_day: true };
        let (last, first) = (pane_of(day.start - 1, rule, &calendar), pane_of(day.start, rule, &calendar));
        assert_eq!((last.end, first.start), (day.start, day.start));
        assert_eq!(first.end.rem_euclid(MINUTE), 0);
    }

    #[test]
    fn a_cell_is_found_again_by_key_and_pane_alone() {
        let mut table = CellTable::default();
        let rule = PaneRule { length: MINUTE, by_day: false };
        let utc = calendar("UTC");
        let mut slots = 0;
        for (time, key) in [(5, 1), (MINUTE, 1), (7, 1), (8, DENSE_KEYS + 9), (9, DENSE_KEYS + 9)] {
            let pane = table.pane(time, rule, &utc, |_| (Vec::new(), false));
            let cell = table.cell(pane, key, || {
                slots += 1;
                slots
            });
            cell.samples += 1;
        }
        let samples: Vec<u64> = table.cells.iter().map(|c| c.samples).collect();
        assert_eq!((samples, slots), (vec![2, 1, 2], 3));
    }
}
