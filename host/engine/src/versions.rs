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
//! | is gone for now, at w | v = w and the row stands | the row again, and no event |
//! | is gone, at w | else | a repeat |
//!
//! A row that ends without a version (a tombstone, a truncate) ends what stands, and is a repeat where nothing
//! does. A row that stands without one (null, or no fitting value) counts each time it comes.
//!
//! Nobody can tell whether an end without a version is new: of `v1, end, v5` the upstream may send the last two
//! again. So where an earlier end may have come again, the row is gone *for now*: what was counted
//! with its version brings it back, as the upstream will send it. A tombstone in the first life of its key is
//! no repeat, and its row is gone as after an end with a version. Of a truncate it is not known.

use crate::buckets::{BUCKETS, Buckets};
use crate::deadset::Standing;
use crate::stored::{Keyspace, StoredPlace, StoredVersion, StoredVersions, decode, encode, epoch_of};
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
    /// Whether an end may come that was sent before: what stands had an earlier life, or a truncate came.
    /// What is gone then is so for now.
    unsure: bool,
}

impl Known {
    /// As it is stored.
    fn state(self) -> u8 {
        u8::from(self.gone) | u8::from(self.unsure) << 1
    }

    fn of(stored: &StoredVersion) -> Known {
        let StoredVersion { version, state, .. } = *stored;
        Known { version, gone: state & 1 != 0, unsure: state & 2 != 0 }
    }

    /// Whether a change with its version was counted. The last image of a row has the version that it had, so
    /// of one that ended with it nobody knows.
    fn counted(self, ends: bool) -> bool {
        if ends { self.gone } else { !self.gone || self.unsure }
    }
}

/// What of a row its version is read from.
#[derive(Clone, Copy)]
struct Told {
    version: Option<i64>,
    ends: bool,
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

/// What is known of a key after a change; None where the change is a repeat.
fn after(known: Option<Known>, told: Told) -> Option<Known> {
    let Told { version, ends } = told;
    let Some(known) = known else {
        return Some(Known { version: version.unwrap_or(i64::MIN), gone: ends, unsure: false });
    };
    let is_new = match version {
        Some(version) if version == known.version => ends != known.gone && (ends || known.unsure),
        Some(version) => version > known.version,
        None => !ends || !known.gone,
    };
    let lives_again = known.gone && !ends;
    // An end with a version is known again, any other is as sure as the life that it ends.
    let unsure = (known.unsure || lives_again) && !(ends && version.is_some());
    is_new.then_some(Known { version: version.unwrap_or(known.version), gone: ends, unsure })
}

/// What is known of a key after a change that was not counted in its turn, while later ones were.
fn after_overtaken(known: Option<Known>, version: i64, ends: bool) -> Known {
    match known {
        None => Known { version, gone: ends, unsure: false },
        // Whether it stands was told by what came later; of the same version only an end is told.
        Some(known) if version == known.version => {
            Known { gone: known.gone || ends, unsure: known.unsure && !ends, ..known }
        }
        Some(known) => Known { version: version.max(known.version), ..known },
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

    fn is_new(&mut self, batch: &mut ChangeBatch, row: usize) -> bool {
        if batch.ops[row] == Op::Truncate {
            self.truncate();
            return true;
        }
        let told = self.told(batch, row);
        let Some(key) = self.key(batch, row, !told.ends) else { return true };
        let known = self.known[bucket_of(&key)].get(&key).copied();
        let Some(next) = after(known, told) else { return false };
        if known.is_some_and(|known| known.gone && told.version == Some(known.version)) {
            // It was counted when it came first.
            batch.ops[row] = Op::RekeyInsert;
        }
        self.note(key, known, next);
        true
    }

    fn told(&self, batch: &ChangeBatch, row: usize) -> Told {
        let stands = batch.after_present[row] != 0;
        let cells = if stands { &batch.after[self.column] } else { &batch.before[self.column] };
        let version = (cells.states[row] == cell::VALUE).then(|| cells.values[row]);
        Told { version, ends: !stands }
    }

    fn note(&mut self, key: KeyBytes, known: Option<Known>, next: Known) {
        if known != Some(next) {
            self.undecided.push((key.clone(), known));
            self.known[bucket_of(&key)].insert(key.clone(), next);
            self.changed.insert(key);
        }
    }

    fn truncate(&mut self) {
        for (key, known) in self.known.iter_mut().flatten().filter(|(_, known)| !known.gone) {
            self.undecided.push((key.clone(), Some(*known)));
            (known.gone, known.unsure) = (true, true);
            self.changed.insert(key.clone());
        }
    }

    /// Takes up a row of a dead letter, which has that standing by what came after it.
    pub fn take_up(&mut self, batch: &mut ChangeBatch, row: usize, standing: Standing) -> Standing {
        match standing {
            Standing::Repeat => standing,
            // Nothing was read after it, so it is judged as if it were read now.
            Standing::Newest if self.is_new(batch, row) => standing,
            Standing::Newest => Standing::Repeat,
            Standing::Superseded => self.overtaken(batch, row),
        }
    }

    /// A version below that of its key tells nothing here: later changes went past it, counted or not.
    fn overtaken(&mut self, batch: &ChangeBatch, row: usize) -> Standing {
        let Told { version, ends } = self.told(batch, row);
        let (Some(version), Some(key)) = (version, self.key(batch, row, !ends)) else {
            return Standing::Superseded;
        };
        let known = self.known[bucket_of(&key)].get(&key).copied();
        if known.is_some_and(|known| known.version == version && known.counted(ends)) {
            return Standing::Repeat;
        }
        self.note(key, known, after_overtaken(known, version, ends));
        Standing::Superseded
    }

    /// In place of the place in a log that a row does not carry: its key and version. None where it lacks one.
    pub fn place(&self, batch: &ChangeBatch, row: usize) -> Option<StoredPlace> {
        if batch.ops[row] == Op::Truncate {
            return None;
        }
        let Told { version, ends } = self.told(batch, row);
        let key = self.key(batch, row, !ends)?;
        // The order of versions as numbers without a sign.
        let pos = version? as u64 ^ 1 << 63;
        Some(StoredPlace { server: hash_of(&key), file: 0, pos, row: 0, rank: u8::from(ends) })
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
            Some(StoredVersion { key: key.to_vec(), version: known.version, state: known.state() })
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
        let known = Known::of(&row);
        self.known[bucket_of(&row.key)].insert(row.key.into(), known);
    }
}

/// A stable hash (FNV-1a, 64 bits) of a key's bytes. Changing it means a new format.
fn hash_of(key: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    key.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn bucket_of(key: &[u8]) -> usize {
    // The upper bits of FNV are mixed better than the lower ones.
    ((hash_of(key) >> 32) % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests;
