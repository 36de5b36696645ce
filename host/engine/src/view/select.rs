//! Rows of a batch that metrics see, and their columns as they get them, each packed once for all metrics
//! that see the same rows.

use super::Image;
use super::bits::Bits;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use weir_types::batch::{Cells, ChangeBatch, cell};
use weir_types::contract::{Changes, PackedColumn, PackedDictionary, pack};

/// See the module.
pub struct Selection {
    pub watches: Vec<usize>,
    /// Needed columns that do not fit somewhere in the batch.
    pub suspects: Vec<usize>,
    /// Ascending.
    pub rows: Arc<[u32]>,
    /// How many more rows there would be if every suspect fitted.
    pub excluded: u64,
    before_present: Vec<u8>,
    after_present: Vec<u8>,
    event_times: Vec<u8>,
    columns: FxHashMap<(usize, Image), Arc<PackedColumn>>,
}

impl Selection {
    /// Of the rows that are `shown`, those that are not `unfit`.
    pub fn new(
        batch: &ChangeBatch,
        watches: Vec<usize>,
        suspects: Vec<usize>,
        shown: &Bits,
        unfit: &Bits,
    ) -> Selection {
        let fitting = shown.without(unfit);
        let rows = fitting.rows();
        Selection {
            watches,
            suspects,
            excluded: shown.count() - rows.len() as u64,
            before_present: pick_bits(&batch.before_present, &rows, 1),
            after_present: pick_bits(&batch.after_present, &rows, 1),
            event_times: pick_values(&batch.event_times.values, &rows),
            columns: FxHashMap::default(),
            rows: rows.into(),
        }
    }

    /// The changes of its rows, with these declared columns.
    pub fn changes(
        &mut self,
        batch: &ChangeBatch,
        fields: &[usize],
        dictionaries: Vec<Arc<PackedDictionary>>,
    ) -> Changes {
        Changes {
            rows: self.rows.len() as u32,
            before_present: self.before_present.clone(),
            after_present: self.after_present.clone(),
            event_times: self.event_times.clone(),
            before: fields.iter().map(|field| self.column(batch, *field, Image::Before)).collect(),
            after: fields.iter().map(|field| self.column(batch, *field, Image::After)).collect(),
            dictionaries,
        }
    }

    fn column(&mut self, batch: &ChangeBatch, field: usize, image: Image) -> Arc<PackedColumn> {
        let side = match image {
            Image::Before => &batch.before,
            Image::After => &batch.after,
        };
        let rows = &self.rows;
        let packed =
            self.columns.entry((field, image)).or_insert_with(|| pick_cells(&side[field], rows).into());
        packed.clone()
    }
}

fn pick_values(values: &[i64], rows: &[u32]) -> Vec<u8> {
    let picked: Vec<[u8; 8]> = rows.iter().map(|row| values[*row as usize].to_le_bytes()).collect();
    picked.into_flattened()
}

/// A bit for each row: whether its byte is `set`.
fn pick_bits(bytes: &[u8], rows: &[u32], set: u8) -> Vec<u8> {
    pack::bits(rows.len(), |i| bytes[rows[i] as usize] == set)
}

fn pick_cells(cells: &Cells, rows: &[u32]) -> PackedColumn {
    PackedColumn {
        validity: pick_bits(&cells.states, rows, cell::VALUE),
        values: pick_values(&cells.values, rows),
        offsets: Vec::new(),
    }
}
