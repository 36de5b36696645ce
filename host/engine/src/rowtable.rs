//! The row table of one source: primary key → the columns that metrics over current values ask for.
//! Old images always come from here, never from a record.

use crate::keys::{StoredKey, StoredPart, TextMap, Texts, key_of};
use crate::stored::{Keyspace, StoredRow, StoredRowCell, StoredRows, decode, encode, epoch_of};
use crate::view::RowImage;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use weir_types::batch::{ChangeBatch, Op, cell};
use weir_types::contract::ValueType;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::record::TopicPartition;
use weir_types::schema::SourceDecl;

/// Buckets into which the stored table is cut; each epoch rewrites one, if it changed.
const BUCKETS: u32 = 64;

/// A primary key inside the process: as [`crate::keys::Key`]; one of up to two columns stands in place.
type Key = SmallVec<[i64; 3]>;

/// See the module.
pub struct RowTable {
    source: SourceDecl,
    /// Declared column of each position of an image; grows, never shrinks.
    columns: Vec<usize>,
    rows: FxHashMap<Key, Entry>,
    /// Rows changed in the running epoch with their buckets, by partition, in order. A row that went and
    /// came back may stand twice.
    changed: BTreeMap<u32, Vec<(Key, u32)>>,
    /// Whether a bucket has changed since it was last stored, and the epoch at which it was.
    buckets: Vec<Bucket>,
    /// Epochs whose changes are stored: (epoch, key).
    deltas: Vec<(u64, Vec<u8>)>,
    /// Where a row stands among a batch's changes; kept for its memory.
    index: FxHashMap<Key, usize>,
}

/// A remembered row, and the stored bucket that it belongs to (worked out once: it is a stable hash).
struct Entry {
    image: RowImage,
    bucket: u32,
    /// Whether it stands in the list of the running epoch's changes.
    listed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    dirty: bool,
    stored_at: u64,
}

/// What a batch does to one row.
pub struct RowChange {
    key: Key,
    pub old: Option<RowImage>,
    pub new: Option<RowImage>,
    partition: u32,
}

impl RowTable {
    pub fn new(source: SourceDecl) -> RowTable {
        RowTable {
            source,
            columns: Vec::new(),
            rows: FxHashMap::default(),
            changed: BTreeMap::new(),
            buckets: vec![Bucket::default(); BUCKETS as usize],
            deltas: Vec::new(),
            index: FxHashMap::default(),
        }
    }

    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Columns by name, as the head stores them.
    pub fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|c| self.source.columns[*c].name.clone()).collect()
    }

    /// Makes the table hold these columns too. Rows that stand already do not have them: to a metric
    /// that asks for one, they are as rows that do not fit.
    pub fn add_columns(&mut self, columns: impl IntoIterator<Item = usize>) {
        for column in columns {
            if self.columns.contains(&column) {
                continue;
            }
            self.columns.push(column);
            for entry in self.rows.values_mut() {
                let row = &mut entry.image;
                row.values.push(0);
                row.states.push(cell::UNFIT);
            }
        }
    }

    pub fn is_used(&self) -> bool {
        !self.columns.is_empty()
    }

    /// What a batch changes, one entry a row: the image before the batch, and the last one in it.
    /// Rows whose images do not differ are left out. Truncates empty the table. `order` is filled, and
    /// kept by the caller for its memory.
    pub fn changes(&mut self, batch: &ChangeBatch, texts: &mut Texts, order: &mut Vec<RowChange>) {
        let map = |c: usize, texts: &mut Texts| TextMap::of(&batch.dictionaries[c], texts);
        let maps: Vec<Option<TextMap>> = (0..self.source.columns.len())
            .map(|c| (self.source.columns[c].ty.value_type() == ValueType::Text).then(|| map(c, texts)))
            .collect();
        let mut index = std::mem::take(&mut self.index);
        let mut key = vec![0i64; self.source.primary_key.len() + 1];
        for row in 0..batch.len() {
            if batch.ops[row] == Op::Truncate {
                self.truncate(batch.partitions[row], order, &mut index);
                continue;
            }
            if !self.primary_key(batch, row, &maps, &mut key) {
                continue;
            }
            let there = batch.after_present[row] != 0;
            let seen = index.get(key.as_slice()).copied();
            let entry = self.rows.get(key.as_slice());
            // Most updates change nothing that is remembered: found out without building an image.
            if seen.is_none() && entry.is_some_and(|e| there && self.same(&e.image, batch, row, &maps)) {
                continue;
            }
            let new = there.then(|| self.image(batch, row, &maps));
            match seen {
                Some(at) => order[at].new = new,
                None => {
                    let key = Key::from_slice(&key);
                    index.insert(key.clone(), order.len());
                    let old = entry.map(|e| e.image.clone());
                    order.push(RowChange { key, old, new, partition: batch.partitions[row] });
                }
            }
        }
        index.clear();
        self.index = index;
        order.retain(|change| change.old != change.new);
    }

    fn truncate(&self, partition: u32, order: &mut Vec<RowChange>, index: &mut FxHashMap<Key, usize>) {
        order.iter_mut().for_each(|change| change.new = None);
        let mut keys: Vec<&Key> = self.rows.keys().filter(|k| !index.contains_key(*k)).collect();
        keys.sort();
        for key in keys {
            index.insert(key.clone(), order.len());
            let old = self.rows.get(key).map(|e| e.image.clone());
            order.push(RowChange { key: key.clone(), old, new: None, partition });
        }
    }

    /// Writes the row's primary key into `key`; false when a part of it does not fit.
    fn primary_key(
        &self,
        batch: &ChangeBatch,
        row: usize,
        maps: &[Option<TextMap>],
        key: &mut [i64],
    ) -> bool {
        let side = if batch.after_present[row] != 0 { &batch.after } else { &batch.before };
        for (i, column) in self.source.primary_key.iter().enumerate() {
            if side[*column].states[row] != cell::VALUE {
                return false;
            }
            let value = side[*column].values[row];
            key[i + 1] = maps[*column].as_ref().map_or(value, |map| map.id(value));
        }
        true
    }

    /// Whether the row's after image is the remembered one.
    fn same(&self, image: &RowImage, batch: &ChangeBatch, row: usize, maps: &[Option<TextMap>]) -> bool {
        self.columns.iter().enumerate().all(|(i, column)| {
            let cells = &batch.after[*column];
            let state = cells.states[row];
            state == image.states[i] && self.value(batch, row, *column, maps) == image.values[i]
        })
    }

    /// A cell of the after image, texts as ids.
    #[inline]
    fn value(&self, batch: &ChangeBatch, row: usize, column: usize, maps: &[Option<TextMap>]) -> i64 {
        let cells = &batch.after[column];
        match (cells.states[row], &maps[column]) {
            (cell::VALUE, Some(map)) => map.id(cells.values[row]),
            _ => cells.values[row],
        }
    }

    fn image(&self, batch: &ChangeBatch, row: usize, maps: &[Option<TextMap>]) -> RowImage {
        let value = |column: &usize| self.value(batch, row, *column, maps);
        RowImage {
            values: self.columns.iter().map(value).collect(),
            states: self.columns.iter().map(|c| batch.after[*c].states[row]).collect(),
        }
    }

    /// Carries out a change; `keep` says whether the new image is to be remembered.
    pub fn set(&mut self, change: RowChange, keep: bool, texts: &Texts) {
        let listed = match change.new.filter(|_| keep) {
            Some(image) => self.put(&change.key, image, texts),
            None => self.rows.remove(&change.key).map(|entry| (entry.bucket, entry.listed)),
        };
        if let Some((bucket, false)) = listed {
            self.changed.entry(change.partition).or_default().push((change.key, bucket));
        }
    }

    /// Remembers an image; gives the row's bucket, and whether it was listed before.
    fn put(&mut self, key: &Key, image: RowImage, texts: &Texts) -> Option<(u32, bool)> {
        if let Some(entry) = self.rows.get_mut(key) {
            entry.image = image;
            return Some((entry.bucket, std::mem::replace(&mut entry.listed, true)));
        }
        let bucket = bucket_of(&self.stored_key(key, texts));
        self.rows.insert(key.clone(), Entry { image, bucket, listed: true });
        Some((bucket, false))
    }

    /// Puts the epoch's changes, and one bucket of the table, into the write.
    pub fn save(
        &mut self,
        epoch: u64,
        partitions: &[TopicPartition],
        keys: &Keyspace,
        texts: &Texts,
        writes: &mut WriteSet,
    ) {
        for (partition, changed) in std::mem::take(&mut self.changed) {
            for (key, bucket) in &changed {
                self.buckets[*bucket as usize].dirty = true;
                if let Some(entry) = self.rows.get_mut(key) {
                    entry.listed = false;
                }
            }
            let rows = self.stored_rows(epoch, changed.iter().map(|(key, _)| key), texts);
            let key = keys.rows_delta(&self.source.name, epoch, &partitions[partition as usize]);
            writes.put(key.clone(), encode(&rows));
            self.deltas.push((epoch, key));
        }
        let bucket = (epoch % u64::from(BUCKETS)) as u32;
        if self.buckets[bucket as usize].dirty {
            let ours = self.rows.iter().filter(|(_, entry)| entry.bucket == bucket);
            let mut ours: Vec<&Key> = ours.map(|(key, _)| key).collect();
            ours.sort();
            let rows = self.stored_rows(epoch, ours.into_iter(), texts);
            writes.put(keys.rows_bucket(&self.source.name, bucket), encode(&rows));
            self.buckets[bucket as usize].dirty = false;
        }
        self.buckets[bucket as usize].stored_at = epoch;
        let covered =
            self.buckets.iter().map(|b| if b.dirty { b.stored_at } else { epoch }).min().unwrap_or(0);
        for (_, key) in self.deltas.extract_if(.., |(e, _)| *e <= covered) {
            writes.delete(key);
        }
    }

    fn stored_key(&self, key: &Key, texts: &Texts) -> StoredKey {
        let part = |(i, column): (usize, &usize)| match self.source.columns[*column].ty.value_type() {
            ValueType::Text => StoredPart::Text(texts.get(key[i + 1] as u32).to_string()),
            _ => StoredPart::Value(key[i + 1]),
        };
        self.source.primary_key.iter().enumerate().map(part).collect()
    }

    fn stored_rows<'a>(&self, epoch: u64, keys: impl Iterator<Item = &'a Key>, texts: &Texts) -> StoredRows {
        let mut stored = StoredRows { epoch, ..StoredRows::default() };
        let mut codes: FxHashMap<i64, u32> = FxHashMap::default();
        let is_text: Vec<bool> =
            self.columns.iter().map(|c| self.source.columns[*c].ty.value_type() == ValueType::Text).collect();
        for key in keys {
            let cells = self.rows.get(key).map(|Entry { image, .. }| {
                let cell = |i: usize| match image.states[i] {
                    cell::VALUE if is_text[i] => {
                        StoredRowCell::Text(*codes.entry(image.values[i]).or_insert_with(|| {
                            stored.texts.push(texts.get(image.values[i] as u32).to_string());
                            stored.texts.len() as u32 - 1
                        }))
                    }
                    cell::VALUE => StoredRowCell::Value(image.values[i]),
                    cell::NULL => StoredRowCell::Null,
                    _ => StoredRowCell::Unfit,
                };
                (0..self.columns.len()).map(cell).collect()
            });
            stored.rows.push(StoredRow { primary_key: self.stored_key(key, texts), cells });
        }
        stored
    }

    /// Reads the stored table: buckets, and the changes since each was written.
    pub fn restore(
        &mut self,
        column_names: &[String],
        keys: &Keyspace,
        texts: &mut Texts,
        store: &dyn StateStore,
    ) -> Result<(), StateError> {
        let names = column_names.iter().filter_map(|name| self.source.column(name));
        self.columns = names.collect();
        if self.columns.len() != column_names.len() {
            return Err(StateError::Corrupt(format!(
                "source {}: a column of its stored row table is no longer declared (stored are: {}): declare it again",
                self.source.name,
                column_names.join(", ")
            )));
        }
        for (_, value) in store.scan(keys.rows_buckets(&self.source.name).as_bytes())? {
            let stored: StoredRows = decode("row table", &value)?;
            for row in &stored.rows {
                self.buckets[bucket_of(&row.primary_key) as usize].stored_at = stored.epoch;
                self.restore_row(row, &stored.texts, texts);
            }
        }
        let prefix = keys.rows_deltas(&self.source.name);
        for (key, value) in store.scan(prefix.as_bytes())? {
            let Some(epoch) = epoch_of(&key, &prefix) else { continue };
            self.deltas.push((epoch, key));
            let stored: StoredRows = decode("row changes", &value)?;
            for row in &stored.rows {
                let bucket = &mut self.buckets[bucket_of(&row.primary_key) as usize];
                if epoch > bucket.stored_at {
                    bucket.dirty = true;
                    self.restore_row(row, &stored.texts, texts);
                }
            }
        }
        Ok(())
    }

    fn restore_row(&mut self, row: &StoredRow, stored_texts: &[String], texts: &mut Texts) {
        let key = Key::from_slice(&key_of(&row.primary_key, texts));
        let bucket = bucket_of(&row.primary_key);
        let Some(cells) = &row.cells else {
            self.rows.remove(&key);
            return;
        };
        let (mut values, mut states) = (SmallVec::new(), SmallVec::new());
        for at in 0..self.columns.len() {
            let (value, state) = match cells.get(at) {
                Some(StoredRowCell::Value(value)) => (*value, cell::VALUE),
                Some(StoredRowCell::Text(code)) => match stored_texts.get(*code as usize) {
                    Some(text) => (i64::from(texts.id(text)), cell::VALUE),
                    None => (0, cell::UNFIT),
                },
                Some(StoredRowCell::Null) => (0, cell::NULL),
                Some(StoredRowCell::Unfit) | None => (0, cell::UNFIT),
            };
            values.push(value);
            states.push(state);
        }
        let image = RowImage { values, states };
        self.rows.insert(key, Entry { image, bucket, listed: false });
    }

    /// Rows remembered.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

fn bucket_of(key: &StoredKey) -> u32 {
    u32::from(crate::keys::key_group(key)) % BUCKETS
}
