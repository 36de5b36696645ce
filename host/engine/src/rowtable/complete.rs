//! Before images for formats whose records have none: the row as the table has it, or as an earlier row
//! of the same batch left it.

use super::RowTable;
use crate::keys::Texts;
use rustc_hash::FxHashMap;
use weir_types::batch::{ChangeBatch, Op, cell};

/// Where a row stands that a change finds.
#[derive(Clone, Copy)]
enum Found {
    /// A slot of the table.
    Table(u32),
    /// An earlier row of the batch, whose after image it is.
    Batch(usize),
}

/// A tombstone has no time: it is that of the row that it ends, whose image stands before it.
pub fn date_tombstone(batch: &mut ChangeBatch, row: usize, event_time: usize) {
    if batch.after_present[row] == 0 && batch.event_times.states[row] == cell::NULL {
        let times = &batch.before[event_time];
        batch.event_times.values[row] = times.values[row];
        batch.event_times.states[row] = times.states[row];
    }
}

impl RowTable {
    /// Makes an insert, an update with both images or a delete of each row, which says only what its key
    /// has from now on. A delete of a key that nothing is known of is no event.
    pub fn complete(&self, batch: &mut ChangeBatch, texts: &mut Texts) {
        let maps = self.text_maps(self.source.primary_key.iter(), batch, texts);
        let mut key = vec![0i64; self.source.primary_key.len() + 1];
        // What the batch made of a key so far: the row that set it, or none.
        let mut set: FxHashMap<Vec<i64>, Option<usize>> = FxHashMap::default();
        for row in 0..batch.len() {
            let stands = batch.after_present[row] != 0;
            let side = if stands { &batch.after } else { &batch.before };
            if !self.primary_key(side, row, &maps, &mut key) {
                continue;
            }
            let found = match set.get(&key) {
                Some(earlier) => earlier.map(Found::Batch),
                None => self.rows.find(&key).map(Found::Table),
            };
            set.insert(key.clone(), stands.then_some(row));
            batch.ops[row] = match (stands, found) {
                // A row that its version brings back is none that is born, nor does an overtaken one change anything.
                _ if batch.ops[row] == Op::RekeyInsert => Op::RekeyInsert,
                (true, Some(_)) => Op::Update,
                (true, None) => Op::Insert,
                (false, Some(_)) => Op::Delete,
                (false, None) => Op::RekeyDelete,
            };
            let Some(found) = found else { continue };
            batch.before_present[row] = 1;
            self.fill(batch, row, found, texts);
            date_tombstone(batch, row, self.source.event_time);
        }
    }

    fn fill(&self, batch: &mut ChangeBatch, row: usize, found: Found, texts: &Texts) {
        for (i, column) in self.columns.iter().enumerate() {
            let (value, state) = match found {
                Found::Batch(earlier) => {
                    let after = &batch.after[*column];
                    (after.values[earlier], after.states[earlier])
                }
                Found::Table(slot) => {
                    let image = self.rows.image(slot);
                    (image.values[i], image.states[i])
                }
            };
            let value = match found {
                Found::Table(_) if self.is_text(*column) && state == cell::VALUE => {
                    let text = texts.get(value as u32);
                    i64::from(batch.dictionaries[*column].code(text.as_bytes()))
                }
                _ => value,
            };
            let before = &mut batch.before[*column];
            before.values[row] = value;
            before.states[row] = state;
        }
    }
}
