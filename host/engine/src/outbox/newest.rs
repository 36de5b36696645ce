//! Rows of one table, of which the newest of each key stands for all.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use weir_types::rows::{RealtimeRow, Series};

/// Rows in the order in which their keys came first.
#[derive(Debug, Default)]
pub struct Newest {
    rows: Vec<RealtimeRow>,
    /// For each row the start that counts in its key, and where it is.
    places: HashTable<(i64, u32)>,
}

impl Newest {
    /// Adds a row, unless a newer one of its key is there. Gives the row that is not kept. `start` is what counts
    /// as such in the key.
    pub fn add(&mut self, start: i64, row: RealtimeRow) -> Option<RealtimeRow> {
        let rows = &mut self.rows;
        let is_it = |(other, at): &(i64, u32)| *other == start && same_key(&rows[*at as usize], &row);
        let hash_of = |(start, at): &(i64, u32)| hash(*start, &rows[*at as usize]);
        match self.places.entry(hash(start, &row), is_it, hash_of) {
            Entry::Occupied(found) => {
                let held = &mut rows[found.get().1 as usize];
                Some(if held.epoch > row.epoch { row } else { std::mem::replace(held, row) })
            }
            Entry::Vacant(place) => {
                place.insert((start, rows.len() as u32));
                rows.push(row);
                None
            }
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn into_rows(self) -> Vec<RealtimeRow> {
        self.rows
    }
}

/// Whether rows have one key, their start apart.
fn same_key(a: &RealtimeRow, b: &RealtimeRow) -> bool {
    (Arc::ptr_eq(&a.series, &b.series) || key_of(&a.series) == key_of(&b.series)) && a.dims == b.dims
}

/// What of a series counts in the keys of its rows: a mended component's rows replace those before.
fn key_of(series: &Series) -> (&str, i64, &str, &str) {
    (&series.metric, series.incarnation, &series.window, &series.dimension_set)
}

fn hash(start: i64, row: &RealtimeRow) -> u64 {
    let mut hasher = FxHasher::default();
    (key_of(&row.series), &*row.dims, start).hash(&mut hasher);
    hasher.finish()
}
