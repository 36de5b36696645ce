//! Rows of fixed width in flat memory, found by primary key: a look at a row is a look-up and one at
//! memory, and no row is an allocation.

use crate::buckets::BUCKETS;
use crate::chunks::Chunks;
use crate::keytable::KeyTable;
use smallvec::SmallVec;
use weir_types::batch::{Origin, cell};

/// A primary key inside the process: as [`crate::keys::Key`]; one of up to two columns stands in place.
pub type Key = SmallVec<[i64; 3]>;

/// A row image: values and states ([`cell`]), one for each column, texts as ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowImage<'a> {
    pub values: &'a [i64],
    pub states: &'a [u8],
}

/// Images one after the other, by number.
#[derive(Debug, Default)]
pub struct Images {
    values: Vec<i64>,
    states: Vec<u8>,
    count: u32,
}

impl Images {
    pub fn get(&self, at: u32, width: usize) -> RowImage<'_> {
        let range = at as usize * width..(at as usize + 1) * width;
        RowImage { values: &self.values[range.clone()], states: &self.states[range] }
    }
    /// Adds an image; gives its number.
    pub fn push(&mut self, cells: impl Iterator<Item = (i64, u8)>) -> u32 {
        for (value, state) in cells {
            self.values.push(value);
            self.states.push(state);
        }
        self.count += 1;
        self.count - 1
    }
    pub fn clear(&mut self) {
        self.values.clear();
        self.states.clear();
        self.count = 0;
    }
}

/// Bytes that the processor fetches at once.
const LINE: usize = 64;

/// What is known of a row besides its image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta {
    /// The stored bucket that it belongs to, and where it stands in the bucket's list.
    pub bucket: u32,
    place: u32,
    /// Whether it stands in the list of the running epoch's changes.
    pub listed: bool,
    /// Where it stands among the changes of the running batch, plus 1; 0 = it does not.
    pub pending: u32,
    /// The rebuild that it was last set in.
    pub round: u32,
    /// Where the change that set it stands in the upstream's log. An update that changes nothing that is
    /// remembered may be newer than what is stored of this.
    pub origin: Option<Origin>,
}

/// See the module.
#[derive(Debug)]
pub struct Slab {
    keys: KeyTable,
    values: Chunks<i64>,
    states: Chunks<u8>,
    metas: Chunks<Meta>,
    free: Vec<u32>,
    /// Slots by stored bucket, in no order.
    buckets: [Vec<u32>; BUCKETS],
}

impl Slab {
    /// For keys of so many parts, the mask counted.
    pub fn new(key_width: usize) -> Slab {
        Slab {
            keys: KeyTable::for_many(key_width),
            values: Chunks::of_width(0),
            states: Chunks::of_width(0),
            metas: Chunks::of_width(1),
            free: Vec::new(),
            buckets: [const { Vec::new() }; BUCKETS],
        }
    }
    #[inline]
    pub fn find(&self, key: &[i64]) -> Option<u32> {
        self.keys.find(key)
    }
    /// Reads a little of all that a slot has, so that it is near when it is used.
    #[inline]
    pub fn peek(&self, slot: u32) -> i64 {
        let values = self.values.get(slot).iter().step_by(LINE / size_of::<i64>());
        let state = self.states.get(slot).first().copied().unwrap_or(0);
        values.fold(i64::from(self.meta_ref(slot).pending) ^ i64::from(state), |sum, v| sum ^ v)
    }
    pub fn key(&self, slot: u32) -> &[i64] {
        self.keys.get(slot)
    }
    pub fn image(&self, slot: u32) -> RowImage<'_> {
        RowImage { values: self.values.get(slot), states: self.states.get(slot) }
    }
    pub fn meta(&mut self, slot: u32) -> &mut Meta {
        &mut self.metas.get_mut(slot)[0]
    }
    pub fn meta_ref(&self, slot: u32) -> &Meta {
        &self.metas.get(slot)[0]
    }
    pub fn set(&mut self, slot: u32, image: RowImage<'_>) {
        self.values.get_mut(slot).copy_from_slice(image.values);
        self.states.get_mut(slot).copy_from_slice(image.states);
    }
    pub fn insert(&mut self, key: &[i64], bucket: u32, image: RowImage<'_>) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.values.push();
            self.states.push();
            self.metas.push()
        });
        self.set(slot, image);
        let place = self.buckets[bucket as usize].len() as u32;
        *self.meta(slot) = Meta { bucket, place, ..Meta::default() };
        self.buckets[bucket as usize].push(slot);
        self.keys.insert(key, slot);
        slot
    }
    /// Forgets a row; gives what was known of it.
    pub fn remove(&mut self, key: &[i64]) -> Option<Meta> {
        let slot = self.keys.remove(key)?;
        self.free.push(slot);
        let meta = *self.meta_ref(slot);
        let ours = &mut self.buckets[meta.bucket as usize];
        ours.swap_remove(meta.place as usize);
        if let Some(moved) = ours.get(meta.place as usize).copied() {
            self.meta(moved).place = meta.place;
        }
        Some(meta)
    }
    /// Keys and slots, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], u32)> {
        self.keys.iter()
    }
    /// All slots that were ever used, in the order of memory. Those of rows that went still hold what was in them.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        0..self.metas.len()
    }
    /// Slots of a stored bucket, in no order.
    pub fn in_bucket(&self, bucket: usize) -> &[u32] {
        &self.buckets[bucket]
    }
    pub fn len(&self) -> usize {
        self.keys.len()
    }
    /// Gives every row one column more, which does not fit.
    pub fn widen(&mut self) {
        self.values.widen(0);
        self.states.widen(cell::UNFIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_and_rows_keep_their_cells_when_a_column_is_added() {
        let mut slab = Slab::new(2);
        slab.widen();
        let image = |v: &'static [i64], s: &'static [u8]| RowImage { values: v, states: s };
        let first = slab.insert(&[0, 1], 7, image(&[10], &[cell::VALUE]));
        slab.insert(&[0, 2], 8, image(&[20], &[cell::VALUE]));
        assert_eq!(slab.remove(&[0, 1]).map(|m| m.bucket), Some(7));
        assert_eq!(slab.insert(&[0, 3], 9, image(&[30], &[cell::NULL])), first);
        slab.widen();
        let found = slab.find(&[0, 3]).expect("it is there");
        assert_eq!(slab.image(found), image(&[30, 0], &[cell::NULL, cell::UNFIT]));
        assert_eq!((slab.len(), slab.find(&[0, 1])), (2, None));
    }

    #[test]
    fn a_bucket_lists_its_rows_whichever_go() {
        let mut slab = Slab::new(2);
        slab.widen();
        let image = RowImage { values: &[1], states: &[cell::VALUE] };
        for id in 0..30 {
            slab.insert(&[0, id], (id % 3) as u32, image);
        }
        for gone in [0, 27, 9, 1, 12] {
            slab.remove(&[0, gone]);
        }
        slab.insert(&[0, 40], 0, image);
        let ids = |bucket: usize| {
            let mut ids: Vec<i64> = slab.in_bucket(bucket).iter().map(|slot| slab.key(*slot)[1]).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(0), [3, 6, 15, 18, 21, 24, 40]);
        assert_eq!(ids(1), [4, 7, 10, 13, 16, 19, 22, 25, 28]);
        assert_eq!(ids(2).len(), 10);
    }
}
