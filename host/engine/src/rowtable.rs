//! The row table of one source: primary key → the columns that metrics over current values ask for.
//! Old images always come from here, never from a record.

//!
//! A key's changes are all in one partition, in order; a truncate is in one partition only. So each row
//! keeps the place in the upstream's log of the change that set it: a truncate ends the rows that were set
//! before it, and what stands before it in the log but is read after it sets nothing.

mod complete;
mod listed;
mod persist;
mod rebuild;
mod slab;
mod truncates;

use crate::buckets::{BUCKETS, Buckets};
use crate::keys::{DimColumn, KeyPart, Needed, TextMap, Texts};
use crate::stored::{StoredBegan, StoredRebuild};
use listed::Listed;
use rustc_hash::FxHashMap;
use slab::{Images, Key, Slab};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use truncates::Truncates;
use weir_types::batch::{Cells, ChangeBatch, Op, Origin, cell};
use weir_types::contract::ValueType;
use weir_types::schema::SourceDecl;

pub use complete::date_tombstone;
pub use persist::declared;
pub use slab::RowImage;

/// See the module.
pub struct RowTable {
    source: SourceDecl,
    /// Declared column of each position of an image; grows, never shrinks.
    columns: Vec<usize>,
    rows: Slab,
    /// Rows changed in the running epoch with their buckets, by partition, in order. A row that went and
    /// came back may stand twice.
    changed: BTreeMap<u32, Listed>,
    buckets: Buckets,
    /// The changes of the running batch, and the images that they bring.
    pending: Vec<Pending>,
    images: Images,
    /// Where rows that are not in the table stand among them.
    fresh: FxHashMap<Key, u32>,
    truncates: Truncates,
    /// Number of the newest rebuild, and the one that is under way.
    round: u32,
    rebuild: Option<StoredRebuild>,
    began: StoredBegan,
    /// Whether that was stored by a host that did not know it.
    begins_unknown: bool,
    /// Whether the end of its snapshot was seen, or declared, in the running epoch.
    saw_end: bool,
    /// Partitions that must be read to their ends before the rebuild is; None until its snapshot is over.
    unread: Option<BTreeSet<u32>>,
    /// Whether what is known besides rows has changed since it was stored.
    stale: bool,
    /// Whether stored rows are of columns declared in another way, and must all be written anew.
    redeclared: bool,
}

/// Rows of a batch that are looked up at once.
const AHEAD: usize = 32;

/// No image.
const NONE: u32 = u32::MAX;
/// A row of which no image stood before a batch.
pub const NO_IMAGE: u32 = NONE;

/// What a batch does to one row.
struct Pending {
    key: Key,
    partition: u32,
    /// Slot of the image that stood before the batch.
    old: u32,
    /// Number of the image that stands after it.
    new: u32,
    /// Whether the two are not the same: looked at when they are near, not when the batch is shown and settled.
    differs: bool,
    /// Where the last of the changes stands in the upstream's log.
    origin: Option<Origin>,
}

/// One row of a batch that sets a key, or ends it.
struct Change<'a> {
    batch: &'a ChangeBatch,
    row: usize,
    /// Those of its image, in the table's order.
    columns: &'a [DimColumn<'a>],
    /// Whether there is an image.
    there: bool,
}

impl Change<'_> {
    /// The cells of its image, texts as ids.
    fn cells(&self) -> impl Iterator<Item = (i64, u8)> {
        self.columns.iter().map(|column| {
            let (value, state) = (column.cells.values[self.row], column.cells.states[self.row]);
            match column.texts {
                Some(map) if state == cell::VALUE => (map.id(value), state),
                _ => (value, state),
            }
        })
    }
}

/// Keys of rows of a batch, and where these rows are in the table.
struct Ahead {
    /// One after the other; only those of rows that have one.
    keys: Vec<i64>,
    slots: [u32; AHEAD],
    /// Whether all of a row's key fits.
    fits: [bool; AHEAD],
}

impl RowTable {
    pub fn new(source: SourceDecl) -> RowTable {
        RowTable {
            rows: Slab::new(source.primary_key.len() + 1),
            source,
            columns: Vec::new(),
            changed: BTreeMap::new(),
            buckets: Buckets::default(),
            pending: Vec::new(),
            images: Images::default(),
            fresh: FxHashMap::default(),
            truncates: Truncates::default(),
            round: 0,
            rebuild: None,
            began: StoredBegan::default(),
            begins_unknown: false,
            saw_end: false,
            unread: None,
            stale: false,
            redeclared: false,
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
            self.stale = true;
        }
    }

    pub fn is_used(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Takes up what a batch changes: for each row the image before the batch, and the last one in it.
    /// True if there is anything.
    pub fn take(&mut self, batch: &ChangeBatch, texts: &mut Texts) -> bool {
        let kept = self.source.primary_key.iter().chain(&self.columns);
        let maps = self.text_maps(kept, batch, texts);
        let column = |c: &usize| DimColumn { cells: &batch.after[*c], texts: maps[*c].as_ref() };
        let columns: Vec<DimColumn<'_>> = self.columns.iter().map(column).collect();
        let width = self.source.primary_key.len() + 1;
        let mut key = vec![0i64; width];
        let mut ahead = Ahead { keys: vec![0; width * AHEAD], slots: [NONE; AHEAD], fits: [false; AHEAD] };
        for row in 0..batch.len() {
            let at = row % AHEAD;
            if at == 0 {
                self.fetch(batch, row..batch.len().min(row + AHEAD), &maps, &mut ahead);
            }
            let (op, origin) = (batch.ops[row], batch.origins[row]);
            if op == Op::Truncate {
                self.truncate(origin, batch.partitions[row]);
                continue;
            }
            if self.rebuild.is_some() && op.is_read() {
                self.count_read(op);
            }
            if self.truncates.hide(origin.as_ref()) {
                continue;
            }
            let there = batch.after_present[row] != 0;
            let mut change = Change { batch, row, columns: &columns, there: false };
            if op == Op::Update && self.has_moved(batch, row) {
                self.primary_key(&batch.before, row, &maps, &mut key);
                self.set(&key, self.rows.find(&key), &change);
            }
            if ahead.fits[at] {
                change.there = there;
                let slot = ahead.slots[at];
                self.set(&ahead.keys[at * width..][..width], (slot != NONE).then_some(slot), &change);
            }
        }
        !self.pending.is_empty()
    }

    /// Keys of rows and their slots; no batch moves one before it is settled. Looks at the memory that will be
    /// used: each look stands alone, so that the processor waits for many at once; one after the other they
    /// are most of what a row costs.
    fn fetch(&self, batch: &ChangeBatch, rows: Range<usize>, maps: &[Option<TextMap>], ahead: &mut Ahead) {
        let width = self.source.primary_key.len() + 1;
        ahead.slots = [NONE; AHEAD];
        for (at, (row, key)) in rows.zip(ahead.keys.chunks_exact_mut(width)).enumerate() {
            let side = if batch.after_present[row] != 0 { &batch.after } else { &batch.before };
            ahead.fits[at] = self.primary_key(side, row, maps, key);
            if ahead.fits[at] {
                ahead.slots[at] = self.rows.find(key).unwrap_or(NONE);
            }
        }
        let there = ahead.slots.iter().filter(|slot| **slot != NONE);
        std::hint::black_box(there.fold(0, |sum, slot| sum ^ self.rows.peek(*slot)));
    }

    /// Takes up that a key has an image, or none. `slot`: where its row is, if it is in the table.
    fn set(&mut self, key: &[i64], slot: Option<u32>, change: &Change<'_>) {
        let Change { batch, row, there, .. } = *change;
        let (origin, partition) = (batch.origins[row], batch.partitions[row]);
        let seen = match slot {
            Some(slot) => self.rows.meta_ref(slot).pending,
            None => self.fresh.get(key).copied().unwrap_or(0),
        };
        // Most updates change nothing that is remembered: found out without keeping an image.
        if let Some(slot) = slot.filter(|_| seen == 0 && there)
            && self.same(slot, change)
        {
            return self.confirm(key, slot, origin, partition, batch.ops[row] != Op::Update);
        }
        let new = match there {
            true => self.images.push(change.cells()),
            false => NONE,
        };
        match seen {
            0 => self.add_pending(key, slot, new, partition, origin),
            at => self.change_pending(at as usize - 1, new, origin),
        }
    }

    /// A row was set to what it is. Its place is stored if it may have been gone in between (`anew`): no
    /// truncate can lie between an update and the birth of its row.
    fn confirm(&mut self, key: &[i64], slot: u32, origin: Option<Origin>, partition: u32, anew: bool) {
        let unseen = self.rebuild.is_some() && self.rows.meta_ref(slot).round != self.round;
        let round = self.round;
        let meta = self.rows.meta(slot);
        let moved = origin != meta.origin;
        (meta.origin, meta.round) = (origin, round);
        if (unseen || (anew && moved)) && !std::mem::replace(&mut meta.listed, true) {
            let bucket = meta.bucket;
            self.changed.entry(partition).or_default().push(key, bucket);
        }
    }

    fn is_text(&self, column: usize) -> bool {
        self.source.columns[column].ty.value_type() == ValueType::Text
    }

    /// For each declared column how to read its texts, if it is one of these and has some.
    fn text_maps<'a>(
        &self,
        columns: impl Iterator<Item = &'a usize>,
        batch: &ChangeBatch,
        texts: &mut Texts,
    ) -> Vec<Option<TextMap>> {
        let mut maps: Vec<Option<TextMap>> = self.source.columns.iter().map(|_| None).collect();
        for column in columns.filter(|column| self.is_text(**column)) {
            maps[*column].get_or_insert_with(|| TextMap::of(&batch.dictionaries[*column], texts));
        }
        maps
    }

    /// The texts of its rows, and perhaps of some that went. Between epochs it has no others.
    pub fn needs(&self, needed: &mut Needed) {
        let texts = |columns: &[usize]| -> Vec<usize> {
            (0..columns.len()).filter(|at| self.is_text(columns[*at])).collect()
        };
        let (of_key, of_image) = (texts(&self.source.primary_key), texts(&self.columns));
        if of_key.is_empty() && of_image.is_empty() {
            return;
        }
        for slot in self.rows.slots() {
            let (key, image) = (self.rows.key(slot), self.rows.image(slot));
            of_key.iter().for_each(|at| needed.add(key[at + 1]));
            let values = of_image.iter().filter(|at| image.states[**at] == cell::VALUE);
            values.for_each(|at| needed.add(image.values[*at]));
        }
    }

    fn add_pending(
        &mut self,
        key: &[i64],
        slot: Option<u32>,
        new: u32,
        partition: u32,
        origin: Option<Origin>,
    ) {
        let key = Key::from_slice(key);
        let at = self.pending.len() as u32 + 1;
        match slot {
            Some(slot) => self.rows.meta(slot).pending = at,
            None if new == NONE => return,
            None => drop(self.fresh.insert(key.clone(), at)),
        }
        // An image that is the remembered one is no change (see `set`).
        self.pending.push(Pending { key, partition, old: slot.unwrap_or(NONE), new, differs: true, origin });
    }

    /// A row that the batch has changed is changed again.
    fn change_pending(&mut self, at: usize, new: u32, origin: Option<Origin>) {
        let differs = match (self.pending[at].old, new) {
            (NONE, NONE) => false,
            (NONE, _) | (_, NONE) => true,
            (old, new) => self.rows.image(old) != self.image(new),
        };
        let pending = &mut self.pending[at];
        (pending.new, pending.differs, pending.origin) = (new, differs, origin);
    }

    fn truncate(&mut self, truncate: Option<Origin>, partition: u32) {
        if let Some(truncate) = truncate {
            if !self.truncates.add(truncate) {
                return;
            }
            self.stale = true;
        }
        let ends = |set: &Option<Origin>| match (&truncate, set) {
            (Some(truncate), Some(set)) => Truncates::ends(truncate, set),
            _ => true,
        };
        for pending in self.pending.iter_mut().filter(|p| ends(&p.origin)) {
            (pending.new, pending.differs) = (NONE, pending.old != NONE);
        }
        self.end_rows(partition, |meta| ends(&meta.origin));
    }

    /// Ends all rows of which that is true, apart from those that the batch changes.
    fn end_rows(&mut self, partition: u32, is_over: impl Fn(&slab::Meta) -> bool) {
        let over = |slot: &u32| {
            let meta = self.rows.meta_ref(*slot);
            meta.pending == 0 && is_over(meta)
        };
        let mut rows: Vec<(Key, u32)> = self
            .rows
            .iter()
            .filter(|(_, slot)| over(slot))
            .map(|(key, slot)| (Key::from_slice(key), slot))
            .collect();
        rows.sort();
        for (key, slot) in rows {
            let origin = self.rows.meta_ref(slot).origin;
            self.add_pending(&key, Some(slot), NONE, partition, origin);
        }
    }

    /// The images that cease to hold and then those that begin to; for each of the latter the number of its
    /// row's image before the batch, or [`NO_IMAGE`]. A row that is again what it was before the batch is in
    /// neither.
    pub fn images(&self) -> (Vec<RowImage<'_>>, Vec<u32>) {
        let (mut images, mut before) = (Vec::new(), Vec::new());
        let changed = || self.pending.iter().filter(|p| p.differs);
        for pending in changed() {
            let number = if pending.old == NONE { NO_IMAGE } else { images.len() as u32 };
            if pending.old != NONE {
                images.push(self.rows.image(pending.old));
            }
            if pending.new != NONE {
                before.push(number);
            }
        }
        images.extend(changed().filter(|p| p.new != NONE).map(|p| self.image(p.new)));
        (images, before)
    }

    /// All rows that are remembered, by primary key.
    pub fn all(&self) -> Vec<RowImage<'_>> {
        let mut rows: Vec<(&[i64], u32)> = self.rows.iter().collect();
        rows.sort();
        rows.into_iter().map(|(_, slot)| self.rows.image(slot)).collect()
    }

    fn image(&self, at: u32) -> RowImage<'_> {
        self.images.get(at, self.columns.len())
    }

    /// Writes the primary key of one image into `key`; false when a part of it does not fit.
    fn primary_key(&self, side: &[Cells], row: usize, maps: &[Option<TextMap>], key: &mut [i64]) -> bool {
        for (i, column) in self.source.primary_key.iter().enumerate() {
            if side[*column].states[row] != cell::VALUE {
                return false;
            }
            let value = side[*column].values[row];
            key[i + 1] = maps[*column].as_ref().map_or(value, |map| map.id(value));
        }
        true
    }

    /// Whether both images have a primary key, and not the same.
    fn has_moved(&self, batch: &ChangeBatch, row: usize) -> bool {
        let mut moved = false;
        for column in &self.source.primary_key {
            let (before, after) = (&batch.before[*column], &batch.after[*column]);
            if before.states[row] != cell::VALUE || after.states[row] != cell::VALUE {
                return false;
            }
            moved |= before.values[row] != after.values[row];
        }
        moved
    }

    /// Whether the change's image is the remembered one.
    fn same(&self, slot: u32, change: &Change<'_>) -> bool {
        let image = self.rows.image(slot);
        let remembered = image.values.iter().zip(image.states);
        remembered.zip(change.cells()).all(|((value, state), cell)| cell == (*value, *state))
    }

    /// Carries out the batch's changes. `keep` says of each image that began to hold, in their order,
    /// whether it is to be remembered.
    pub fn settle(&mut self, mut keep: impl Iterator<Item = bool>, texts: &Texts) {
        let pending = std::mem::take(&mut self.pending);
        for change in &pending {
            if change.old != NONE {
                self.rows.meta(change.old).pending = 0;
            }
            if !change.differs {
                if change.old != NONE {
                    self.confirm(&change.key, change.old, change.origin, change.partition, true);
                }
                continue;
            }
            let kept = change.new != NONE && keep.next().unwrap_or(false);
            let listed = if kept { self.put(change, texts) } else { self.remove(change) };
            if let Some((bucket, false)) = listed {
                self.changed.entry(change.partition).or_default().push(&change.key, bucket);
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
                let bucket = bucket_of(self.key_parts(&change.key, texts));
                self.rows.insert(&change.key, bucket, image)
            }
            slot => {
                self.rows.set(slot, image);
                slot
            }
        };
        let round = self.round;
        let meta = self.rows.meta(slot);
        (meta.origin, meta.round) = (change.origin, round);
        Some((meta.bucket, std::mem::replace(&mut meta.listed, true)))
    }

    fn remove(&mut self, change: &Pending) -> Option<(u32, bool)> {
        self.rows.remove(&change.key).map(|meta| (meta.bucket, meta.listed))
    }

    /// A key as it is stored.
    fn key_parts<'a>(
        &'a self,
        key: &'a [i64],
        texts: &'a Texts,
    ) -> impl ExactSizeIterator<Item = KeyPart<'a>> + use<'a> {
        self.source.primary_key.iter().zip(&key[1..]).map(|(column, value)| match self.is_text(*column) {
            true => KeyPart::Text(texts.get(*value as u32)),
            false => KeyPart::Value(*value),
        })
    }

    /// Rows remembered.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

fn bucket_of<'a>(key: impl Iterator<Item = KeyPart<'a>>) -> u32 {
    u32::from(crate::keys::key_group(key)) % BUCKETS as u32
}
