//! Storing a row table: the changes of each epoch, and one bucket after the other.

use super::slab::{Key, RowImage};
use super::truncates::Truncates;
use super::{BUCKETS, RowTable, bucket_of};
use crate::keys::{KeyPart, Texts, key_of};
use crate::stored::{
    Keyspace, ReplayMark, RowsWriter, StoredRow, StoredRowCell, StoredRows, StoredTable, decode_rows,
    decode_table, encode_table, epoch_of,
};
use std::collections::BTreeMap;
use weir_types::batch::{Origin, cell};
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::record::TopicPartition;
use weir_types::schema::SourceDecl;

/// A column's name, and how it is declared: its stored cells are of that kind.
pub fn declared(source: &SourceDecl, column: usize) -> (String, String) {
    (source.columns[column].name.clone(), crate::declared::column(source, column))
}

impl RowTable {
    /// Puts the epoch's changes, and one bucket of the table if it is time, into the write.
    pub fn save(
        &mut self,
        epoch: u64,
        partitions: &[TopicPartition],
        keys: &Keyspace,
        texts: &Texts,
        writes: &mut WriteSet,
    ) {
        if std::mem::take(&mut self.stale) {
            let truncates = self.truncates.all().iter().map(|t| ReplayMark::from(*t)).collect();
            let types = self.columns.iter().map(|c| declared(&self.source, *c)).collect();
            let table = StoredTable {
                truncates,
                round: self.round,
                rebuild: self.rebuild,
                types,
                began: Some(self.began.clone()),
            };
            writes.put(keys.rows_table(&self.source.name), encode_table(&table));
        }
        let mut all_changed = std::mem::take(&mut self.changed);
        for (partition, changed) in all_changed.iter_mut().filter(|(_, changed)| changed.len() > 0) {
            let mut rows: Vec<(&[i64], Option<u32>)> = Vec::with_capacity(changed.len());
            for (key, bucket) in changed.iter() {
                self.buckets.change(bucket as usize, epoch);
                let slot = self.rows.find(key);
                if let Some(slot) = slot {
                    self.rows.meta(slot).listed = false;
                }
                rows.push((key, slot));
            }
            let rows = self.stored_rows(epoch, &rows, texts);
            let key = keys.rows_delta(&self.source.name, epoch, &partitions[*partition as usize]);
            writes.put(key.clone(), rows);
            self.buckets.keep(epoch, key);
            changed.clear();
        }
        self.changed = all_changed;
        match std::mem::take(&mut self.redeclared) {
            true => (0..BUCKETS).for_each(|bucket| self.save_bucket(bucket, epoch, keys, texts, writes)),
            false => {
                let due = self.buckets.turn(|bucket| self.rows.in_bucket(bucket).len());
                due.into_iter().for_each(|bucket| self.save_bucket(bucket, epoch, keys, texts, writes));
            }
        }
        self.buckets.prune(epoch, writes);
    }

    fn save_bucket(
        &mut self,
        bucket: usize,
        epoch: u64,
        keys: &Keyspace,
        texts: &Texts,
        writes: &mut WriteSet,
    ) {
        let ours = self.rows.in_bucket(bucket).iter();
        let mut ours: Vec<(&[i64], Option<u32>)> = ours.map(|s| (self.rows.key(*s), Some(*s))).collect();
        ours.sort();
        let rows = self.stored_rows(epoch, &ours, texts);
        writes.put(keys.rows_bucket(&self.source.name, bucket as u32), rows);
        self.buckets.stored(bucket, epoch);
    }

    /// The rows of these keys, as they are stored. One without a slot is gone.
    fn stored_rows(&self, epoch: u64, found: &[(&[i64], Option<u32>)], texts: &Texts) -> Vec<u8> {
        let mut rows = RowsWriter::new(epoch, found.len());
        let cells_text: Vec<bool> = self.columns.iter().map(|column| self.is_text(*column)).collect();
        for (key, slot) in found {
            let parts = self.key_parts(key, texts);
            let Some(slot) = *slot else {
                rows.begin(parts, None);
                rows.end(None, 0);
                continue;
            };
            rows.begin(parts, Some(self.columns.len()));
            let image = self.rows.image(slot);
            for ((value, state), is_text) in image.values.iter().zip(image.states).zip(&cells_text) {
                let cell = match *state {
                    cell::VALUE if *is_text => rows.text(*value, || texts.get(*value as u32)),
                    cell::VALUE => StoredRowCell::Value(*value),
                    cell::NULL => StoredRowCell::Null,
                    _ => StoredRowCell::Unfit,
                };
                rows.cell(cell);
            }
            let meta = self.rows.meta_ref(slot);
            rows.end(meta.origin.map(ReplayMark::from), meta.round);
        }
        rows.finish()
    }

    /// Reads the stored table: buckets, and the changes since each was written.
    pub fn restore(
        &mut self,
        column_names: &[String],
        keys: &Keyspace,
        texts: &mut Texts,
        store: &dyn StateStore,
    ) -> Result<(), StateError> {
        let mut types = BTreeMap::new();
        if let Some(bytes) = store.get(&keys.rows_table(&self.source.name))? {
            let stored = decode_table(&bytes)?;
            types = stored.types.clone();
            self.restore_table(stored);
        }
        // Cells of a column that is declared in another way now do not fit until they are read again.
        let mut places = Vec::new();
        for (at, name) in column_names.iter().enumerate() {
            let column = self.source.column(name);
            let same =
                column.is_some_and(|c| types.get(name).is_none_or(|ty| *ty == declared(&self.source, c).1));
            self.redeclared |= !same;
            if let Some(column) = column {
                self.columns.push(column);
                self.rows.widen();
                places.push(same.then_some(at));
            }
        }
        self.stale |= self.redeclared;
        for (_, value) in store.scan(keys.rows_buckets(&self.source.name).as_bytes())? {
            let stored: StoredRows = decode_rows("row table", &value)?;
            for row in &stored.rows {
                let number = bucket_of(row.primary_key.iter().map(KeyPart::from));
                self.buckets.restore(number as usize, stored.epoch);
                self.restore_row(row, number, &places, &stored.texts, texts);
            }
        }
        let prefix = keys.rows_deltas(&self.source.name);
        for (key, value) in store.scan(prefix.as_bytes())? {
            let Some(epoch) = epoch_of(&key, &prefix) else { continue };
            self.buckets.keep(epoch, key);
            let stored: StoredRows = decode_rows("row changes", &value)?;
            for row in &stored.rows {
                let number = bucket_of(row.primary_key.iter().map(KeyPart::from));
                if self.buckets.restore_change(number as usize, epoch) {
                    self.restore_row(row, number, &places, &stored.texts, texts);
                }
            }
        }
        Ok(())
    }

    /// Whether stored rows are of columns declared in another way: metrics must look at the table anew.
    pub fn is_redeclared(&self) -> bool {
        self.redeclared
    }

    fn restore_table(&mut self, stored: StoredTable) {
        self.truncates = Truncates::of(stored.truncates.into_iter().map(Origin::from));
        (self.round, self.rebuild) = (stored.round, stored.rebuild);
        self.begins_unknown = stored.began.is_none();
        self.began = stored.began.unwrap_or_default();
    }

    /// `places`: for each column where its cells stand in stored rows, if they are to be read.
    fn restore_row(
        &mut self,
        row: &StoredRow,
        bucket: u32,
        places: &[Option<usize>],
        stored_texts: &[String],
        texts: &mut Texts,
    ) {
        let key = Key::from_slice(&key_of(&row.primary_key, texts));
        let Some(cells) = &row.cells else {
            self.rows.remove(&key);
            return;
        };
        let cell = |at: &Option<usize>| match at.and_then(|at| cells.get(at)) {
            Some(StoredRowCell::Value(value)) => (*value, cell::VALUE),
            Some(StoredRowCell::Text(code)) => match stored_texts.get(*code as usize) {
                Some(text) => (i64::from(texts.id(text)), cell::VALUE),
                None => (0, cell::UNFIT),
            },
            Some(StoredRowCell::Null) => (0, cell::NULL),
            Some(StoredRowCell::Unfit) | None => (0, cell::UNFIT),
        };
        let (values, states): (Vec<i64>, Vec<u8>) = places.iter().map(cell).unzip();
        let image = RowImage { values: &values, states: &states };
        let slot = match self.rows.find(&key) {
            Some(slot) => {
                self.rows.set(slot, image);
                slot
            }
            None => self.rows.insert(&key, bucket, image),
        };
        let meta = self.rows.meta(slot);
        (meta.origin, meta.round) = (row.origin.map(Origin::from), row.round);
    }
}
