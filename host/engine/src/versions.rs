//! Versions of rows, for sources whose format carries no position: a change whose version is not above
//! the one that its key had is a repeat.
//!
//! Of a key that is gone the version is kept too, or a repeat of its history would bring it back. So this
//! grows with the keys that a source ever had: some 50 bytes each.
//!
//! | the key | a change with version v | is |
//! |---|---|---|
//! | unknown | any | new |
//! | stands at w | v > w; or v = w and the row ends (its last image has the version that it had) | new |
//! | stands at w | else | a repeat |
//! | is gone, at w | v > w | new |
//! | is gone, at w | else | a repeat |
//!
//! A row that ends without a version (a tombstone) ends what stands, and is a repeat where nothing does. A
//! row that stands without one (null, or no fitting value) counts each time it comes.

use crate::buckets::{BUCKETS, Buckets};
use crate::stored::{Keyspace, StoredVersion, StoredVersions, decode, encode, epoch_of};
use rustc_hash::{FxHashMap, FxHashSet};
use weir_types::batch::{ChangeBatch, Op, cell};
use weir_types::contract::ValueType;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::schema::SourceDecl;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    version: i64,
    gone: bool,
}

/// A primary key as bytes: each part with its kind before it.
type KeyBytes = Box<[u8]>;

/// The versions of one source.
pub struct Versions {
    source: String,
    /// The declared column that holds the version, and its name.
    column: usize,
    column_name: String,
    /// Columns of the primary key, and whether each is a text.
    primary_key: Vec<(usize, bool)>,
    /// By bucket.
    known: Vec<FxHashMap<KeyBytes, Known>>,
    changed: FxHashSet<KeyBytes>,
    /// What keys were before the records on which nothing is decided yet, in order.
    undecided: Vec<(KeyBytes, Option<Known>)>,
    buckets: Buckets,
}

/// What is known of a key after a change; None where the change is a repeat. `ends` says that the row
/// is gone after it.
fn after(known: Option<Known>, version: Option<i64>, ends: bool) -> Option<Known> {
    match (known, version) {
        (None, version) => Some(Known { version: version.unwrap_or(i64::MIN), gone: ends }),
        (Some(known), Some(version)) => {
            let is_new = version > known.version || (version == known.version && ends && !known.gone);
            is_new.then_some(Known { version, gone: ends })
        }
        (Some(known), None) => (!ends || !known.gone).then_some(Known { gone: ends, ..known }),
    }
}

impl Versions {
    /// None unless the source names a version column.
    pub fn new(source: &SourceDecl) -> Option<Versions> {
        let column = source.reading.version_column?;
        let is_text = |c: &usize| source.columns[*c].ty.value_type() == ValueType::Text;
        Some(Versions {
            source: source.name.clone(),
            column,
            column_name: source.columns[column].name.clone(),
            primary_key: source.primary_key.iter().map(|c| (*c, is_text(c))).collect(),
            known: vec![FxHashMap::default(); BUCKETS],
            changed: FxHashSet::default(),
            undecided: Vec::new(),
            buckets: Buckets::default(),
        })
    }

    /// Takes the repeats among the rows from `first` on out of the batch; false if no row is left.
    pub fn keep_new(&mut self, batch: &mut ChangeBatch, first: usize) -> bool {
        let new: Vec<bool> = (first..batch.len()).map(|row| self.is_new(batch, row)).collect();
        batch.retain_from(first, &new);
        batch.len() > first
    }

    fn is_new(&mut self, batch: &ChangeBatch, row: usize) -> bool {
        if batch.ops[row] == Op::Truncate {
            self.truncate();
            return true;
        }
        let stands = batch.after_present[row] != 0;
        let Some(key) = self.key(batch, row, stands) else { return true };
        let cells = if stands { &batch.after[self.column] } else { &batch.before[self.column] };
        let version = (cells.states[row] == cell::VALUE).then(|| cells.values[row]);
        let bucket = &mut self.known[bucket_of(&key)];
        let known = bucket.get(&key).copied();
        let Some(next) = after(known, version, !stands) else { return false };
        if known != Some(next) {
            self.undecided.push((key.clone(), known));
            bucket.insert(key.clone(), next);
            self.changed.insert(key);
        }
        true
    }

    fn truncate(&mut self) {
        for (key, known) in self.known.iter_mut().flatten().filter(|(_, known)| !known.gone) {
            self.undecided.push((key.clone(), Some(*known)));
            known.gone = true;
            self.changed.insert(key.clone());
        }
    }

    /// What was taken since the last decision stays.
    pub fn accept(&mut self) {
        self.undecided.clear();
    }

    /// As if nothing had been taken since the last decision.
    pub fn undo(&mut self) {
        for (key, before) in self.undecided.drain(..).rev() {
            let bucket = &mut self.known[bucket_of(&key)];
            match before {
                Some(before) => drop(bucket.insert(key, before)),
                None => {
                    bucket.remove(&key);
                    self.changed.remove(&key);
                }
            }
        }
    }

    /// The row's primary key; None when a part of it does not fit.
    fn key(&self, batch: &ChangeBatch, row: usize, stands: bool) -> Option<KeyBytes> {
        let image = if stands { &batch.after } else { &batch.before };
        let mut key = Vec::with_capacity(self.primary_key.len() * 9);
        for (column, is_text) in &self.primary_key {
            let cells = &image[*column];
            if cells.states[row] != cell::VALUE {
                return None;
            }
            key.push(u8::from(*is_text));
            if *is_text {
                let text = batch.dictionaries[*column].get_bytes(cells.values[row] as u32);
                key.extend_from_slice(&(text.len() as u32).to_le_bytes());
                key.extend_from_slice(text);
            } else {
                key.extend_from_slice(&cells.values[row].to_le_bytes());
            }
        }
        Some(key.into())
    }

    /// Puts the epoch's changes, and one bucket of the table if it is time, into the write.
    pub fn save(&mut self, epoch: u64, keys: &Keyspace, writes: &mut WriteSet) {
        if !self.changed.is_empty() {
            let changed = std::mem::take(&mut self.changed);
            changed.iter().for_each(|key| self.buckets.change(bucket_of(key), epoch));
            let key = keys.versions_delta(&self.source, &self.column_name, epoch);
            writes.put(key.clone(), encode(&self.stored(epoch, changed.iter())));
            self.buckets.keep(epoch, key);
        }
        if let Some(bucket) = self.buckets.turn(|bucket| self.known[bucket].len()) {
            let key = keys.versions_bucket(&self.source, &self.column_name, bucket as u32);
            writes.put(key, encode(&self.stored(epoch, self.known[bucket].keys())));
            self.buckets.stored(bucket, epoch);
        }
        self.buckets.prune(epoch, writes);
    }

    fn stored<'a>(&self, epoch: u64, keys: impl Iterator<Item = &'a KeyBytes>) -> StoredVersions {
        let row = |key: &'a KeyBytes| {
            let known = self.known[bucket_of(key)].get(key)?;
            Some(StoredVersion { key: key.to_vec(), version: known.version, gone: known.gone })
        };
        let mut rows: Vec<StoredVersion> = keys.filter_map(row).collect();
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        StoredVersions { epoch, rows }
    }

    /// Reads the stored table: buckets, and the changes since each was written.
    pub fn restore(&mut self, keys: &Keyspace, store: &dyn StateStore) -> Result<(), StateError> {
        let prefix = keys.versions_buckets(&self.source, &self.column_name);
        for (_, value) in store.scan(prefix.as_bytes())? {
            let stored: StoredVersions = decode("versions of rows", &value)?;
            for row in stored.rows {
                self.buckets.restore(bucket_of(&row.key), stored.epoch);
                self.set(row);
            }
        }
        let prefix = keys.versions_deltas(&self.source, &self.column_name);
        for (key, value) in store.scan(prefix.as_bytes())? {
            let Some(epoch) = epoch_of(&key, &prefix) else { continue };
            self.buckets.keep(epoch, key);
            let stored: StoredVersions = decode("changed versions of rows", &value)?;
            for row in stored.rows {
                if self.buckets.restore_change(bucket_of(&row.key), epoch) {
                    self.set(row);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, row: StoredVersion) {
        let known = Known { version: row.version, gone: row.gone };
        self.known[bucket_of(&row.key)].insert(row.key.into(), known);
    }
}

/// The bucket of a key: a stable hash (FNV-1a, 64 bits) of its bytes. Changing it means a new format.
fn bucket_of(key: &[u8]) -> usize {
    let hash = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    // The upper bits of FNV are mixed better than the lower ones.
    ((hash >> 32) % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(version: i64, gone: bool) -> Option<Known> {
        Some(Known { version, gone })
    }

    #[test]
    fn only_a_greater_version_is_new_unless_the_row_ends() {
        assert_eq!(after(None, Some(5), false), known(5, false));
        assert_eq!(after(known(5, false), Some(6), false), known(6, false));
        assert_eq!(after(known(5, false), Some(5), false), None);
        assert_eq!(after(known(5, false), Some(4), true), None);
        assert_eq!(after(known(5, false), Some(5), true), known(5, true), "its last image has its version");
        assert_eq!(after(known(5, true), Some(5), true), None);
        assert_eq!(after(known(5, true), Some(5), false), None, "a repeat does not bring it back");
        assert_eq!(after(known(5, true), Some(6), false), known(6, false));
    }

    #[test]
    fn an_end_without_a_version_ends_what_stands() {
        assert_eq!(after(known(5, false), None, true), known(5, true));
        assert_eq!(after(known(5, true), None, true), None);
        assert_eq!(after(None, None, true), known(i64::MIN, true));
        assert_eq!(after(known(5, false), None, false), known(5, false), "a row without a version counts");
    }
}
