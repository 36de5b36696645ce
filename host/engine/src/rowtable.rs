//! The row table of one source: primary key → the columns that metrics over current values ask for.
//! Old images always come from here, never from a record.

mod complete;
mod slab;

use crate::keys::{StoredKey, StoredPart, TextMap, Texts, key_of};
use crate::stored::{Keyspace, StoredRow, StoredRowCell, StoredRows, decode, encode, epoch_of};
use rustc_hash::FxHashMap;
use slab::{Images, Key, Slab};
use std::collections::BTreeMap;
use weir_types::batch::{ChangeBatch, Op, cell};
use weir_types::contract::ValueType;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::record::TopicPartition;
use weir_types::schema::SourceDecl;

/// Buckets into which the stored table is cut; each epoch rewrites one, if it changed.
const BUCKETS: u32 = 64;

pub use slab::RowImage;

/// See the module.
pub struct RowTable {
    source: SourceDecl,
    /// Declared column of each position of an image; grows, never shrinks.
    columns: Vec<usize>,
    rows: Slab,
    /// Rows changed in the running epoch with their buckets, by partition, in order. A row that went and
    /// came back may stand twice.
    changed: BTreeMap<u32, Vec<(Key, u32)>>,
    /// Whether a bucket has changed since it was last stored, and the epoch at which it was.
    buckets: Vec<Bucket>,
    /// Epochs whose changes are stored: (epoch, key).
    deltas: Vec<(u64, Vec<u8>)>,
    /// The changes of the running batch, and the images that they bring.
    pending: Vec<Pending>,
    images: Images,
    /// Where rows that are not in the table stand among them.
    fresh: FxHashMap<Key, u32>,
}

/// No image.
const NONE: u32 = u32::MAX;

/// What a batch does to one row.
struct Pending {
    key: Key,
    partition: u32,
    /// Slot of the image that stood before the batch.
    old: u32,
    /// Number of the image that stands after it.
    new: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    dirty: bool,
    stored_at: u64,
}

impl RowTable {
    pub fn new(source: SourceDecl) -> RowTable {
        RowTable {
            source,
            columns: Vec::new(),
            rows: Slab::default(),
            changed: BTreeMap::new(),
            buckets: vec![Bucket::default(); BUCKETS as usize],
            deltas: Vec::new(),
            pending: Vec::new(),
            images: Images::default(),
            fresh: FxHashMap::default(),
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
            self.rows.widen();
        }
    }

    pub fn is_used(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Takes up what a batch changes: for each row the image before the batch, and the last one in it.
    /// True if there is anything.
    pub fn take(&mut self, batch: &ChangeBatch, texts: &mut Texts) -> bool {
        let maps = self.text_maps(batch, texts);
        let mut key = vec![0i64; self.source.primary_key.len() + 1];
        let mut images = 0;
        for row in 0..batch.len() {
            if batch.ops[row] == Op::Truncate {
                self.truncate(batch.partitions[row]);
                continue;
            }
            if !self.primary_key(batch, row, &maps, &mut key) {
                continue;
            }
            let there = batch.after_present[row] != 0;
            let slot = self.rows.find(&key);
            let seen = match slot {
                Some(slot) => self.rows.meta(slot).pending,
                None => self.fresh.get(key.as_slice()).copied().unwrap_or(0),
            };
            // Most updates change nothing that is remembered: found out without keeping an image.
            if seen == 0 && slot.is_some_and(|slot| there && self.same(slot, batch, row, &maps)) {
                continue;
            }
            let new = if there {
                self.keep_image(batch, row, &maps);
                images += 1;
                images - 1
            } else {
                NONE
            };
            match seen {
                0 => self.add_pending(&key, slot, new, batch.partitions[row]),
                at => self.pending[at as usize - 1].new = new,
            }
        }
        !self.pending.is_empty()
    }

    /// For each declared column, if it holds texts, how to read them.
    fn text_maps(&self, batch: &ChangeBatch, texts: &mut Texts) -> Vec<Option<TextMap>> {
        let map = |c: usize, texts: &mut Texts| TextMap::of(&batch.dictionaries[c], texts);
        (0..self.source.columns.len())
            .map(|c| (self.source.columns[c].ty.value_type() == ValueType::Text).then(|| map(c, texts)))
            .collect()
    }

    fn add_pending(&mut self, key: &[i64], slot: Option<u32>, new: u32, partition: u32) {
        let key = Key::from_slice(key);
        let at = self.pending.len() as u32 + 1;
        match slot {
            Some(slot) => self.rows.meta(slot).pending = at,
            None if new == NONE => return,
            None => drop(self.fresh.insert(key.clone(), at)),
        }
        self.pending.push(Pending { key, partition, old: slot.unwrap_or(NONE), new });
    }

    fn truncate(&mut self, partition: u32) {
        self.pending.iter_mut().for_each(|pending| pending.new = NONE);
        let mut rows: Vec<(Key, u32)> = self.rows.iter().map(|(key, slot)| (key.clone(), slot)).collect();
        rows.sort();
        for (key, slot) in rows {
            if self.rows.meta(slot).pending == 0 {
                self.add_pending(&key, Some(slot), NONE, partition);
            }
        }
    }

    /// The images that cease to hold and those that begin to, and how many of the first there are. A row
    /// that is again what it was before the batch is in neither.
    pub fn images(&self) -> (Vec<RowImage<'_>>, usize) {
        let changed = || self.pending.iter().filter(|p| self.differs(p));
        let old = changed().filter(|p| p.old != NONE).map(|p| self.rows.image(p.old));
        let mut images: Vec<RowImage<'_>> = old.collect();
        let olds = images.len();
        images.extend(changed().filter(|p| p.new != NONE).map(|p| self.image(p.new)));
        (images, olds)
    }

    fn image(&self, at: u32) -> RowImage<'_> {
        self.images.get(at, self.columns.len())
    }

    fn differs(&self, pending: &Pending) -> bool {
        match (pending.old, pending.new) {
            (NONE, NONE) => false,
            (NONE, _) | (_, NONE) => true,
            (old, new) => self.rows.image(old) != self.image(new),
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
    fn same(&self, slot: u32, batch: &ChangeBatch, row: usize, maps: &[Option<TextMap>]) -> bool {
        let image = self.rows.image(slot);
        self.columns.iter().enumerate().all(|(i, column)| {
            let state = batch.after[*column].states[row];
            state == image.states[i] && value(batch, row, *column, maps) == image.values[i]
        })
    }

    fn keep_image(&mut self, batch: &ChangeBatch, row: usize, maps: &[Option<TextMap>]) {
        let cells = self.columns.iter().map(|c| (value(batch, row, *c, maps), batch.after[*c].states[row]));
        self.images.push(cells);
    }

    /// Carries out the batch's changes. `keep` says of each image that began to hold, in their order,
    /// whether it is to be remembered.
    pub fn settle(&mut self, mut keep: impl Iterator<Item = bool>, texts: &Texts) {
        let pending = std::mem::take(&mut self.pending);
        for change in &pending {
            if change.old != NONE {
                self.rows.meta(change.old).pending = 0;
            }
            if !self.differs(change) {
                continue;
            }
            let kept = change.new != NONE && keep.next().unwrap_or(false);
            let listed = if kept { self.put(change, texts) } else { self.remove(change) };
            if let Some((bucket, false)) = listed {
                self.changed.entry(change.partition).or_default().push((change.key.clone(), bucket));
            }
        }
        self.pending = pending;
        self.pending.clear();
        self.fresh.clear();
        self.images.clear();
    }

    /// Remembers an image; gives the row's bucket, and whether it was listed before.
    fn put(&mut self, change: &Pending, texts: &Texts) -> Option<(u32, bool)> {
        let image = self.images.get(change.new, self.columns.len());
        let slot = match change.old {
            NONE => {
                let bucket = bucket_of(&self.stored_key(&change.key, texts));
                self.rows.insert(change.key.clone(), bucket, image)
            }
            slot => {
                self.rows.set(slot, image);
                slot
            }
        };
        let meta = self.rows.meta(slot);
        Some((meta.bucket, std::mem::replace(&mut meta.listed, true)))
    }

    fn remove(&mut self, change: &Pending) -> Option<(u32, bool)> {
        self.rows.remove(&change.key).map(|meta| (meta.bucket, meta.listed))
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
                if let Some(slot) = self.rows.find(key) {
                    self.rows.meta(slot).listed = false;
                }
            }
            let rows = self.stored_rows(epoch, changed.iter().map(|(key, _)| key), texts);
            let key = keys.rows_delta(&self.source.name, epoch, &partitions[partition as usize]);
            writes.put(key.clone(), encode(&rows));
            self.deltas.push((epoch, key));
        }
        let bucket = (epoch % u64::from(BUCKETS)) as u32;
        if self.buckets[bucket as usize].dirty {
            let ours = self.rows.iter().filter(|(_, slot)| self.rows.bucket(*slot) == bucket);
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
            let cells = self.rows.find(key).map(|slot| {
                let image = self.rows.image(slot);
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
        self.columns.iter().for_each(|_| self.rows.widen());
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
        let cell = |at: usize| match cells.get(at) {
            Some(StoredRowCell::Value(value)) => (*value, cell::VALUE),
            Some(StoredRowCell::Text(code)) => match stored_texts.get(*code as usize) {
                Some(text) => (i64::from(texts.id(text)), cell::VALUE),
                None => (0, cell::UNFIT),
            },
            Some(StoredRowCell::Null) => (0, cell::NULL),
            Some(StoredRowCell::Unfit) | None => (0, cell::UNFIT),
        };
        let (values, states): (Vec<i64>, Vec<u8>) = (0..self.columns.len()).map(cell).unzip();
        let image = RowImage { values: &values, states: &states };
        match self.rows.find(&key) {
            Some(slot) => self.rows.set(slot, image),
            None => drop(self.rows.insert(key, bucket, image)),
        }
    }

    /// Rows remembered.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// A cell of a row's after image, texts as ids.
#[inline]
fn value(batch: &ChangeBatch, row: usize, column: usize, maps: &[Option<TextMap>]) -> i64 {
    let cells = &batch.after[column];
    match (cells.states[row], &maps[column]) {
        (cell::VALUE, Some(map)) => map.id(cells.values[row]),
        _ => cells.values[row],
    }
}

fn bucket_of(key: &StoredKey) -> u32 {
    u32::from(crate::keys::key_group(key)) % BUCKETS
}
