//! Rows of fixed width in flat memory, found by primary key: a look at a row is a look-up and one at
//! memory, and no row is an allocation.

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
    fn set(&mut self, at: u32, image: RowImage<'_>) {
        let (from, width) = (at as usize * image.values.len(), image.values.len());
        self.values[from..from + width].copy_from_slice(image.values);
        self.states[from..from + width].copy_from_slice(image.states);
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
    /// The stored bucket that it belongs to.
    pub bucket: u32,
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
    width: usize,
    keys: KeyTable,
    images: Images,
    metas: Vec<Meta>,
    free: Vec<u32>,
}

impl Slab {
    /// For keys of so many parts, the mask counted.
    pub fn new(key_width: usize) -> Slab {
        Slab {
            width: 0,
            keys: KeyTable::new(key_width),
            images: Images::default(),
            metas: Vec::new(),
            free: Vec::new(),
        }
    }
    #[inline]
    pub fn find(&self, key: &[i64]) -> Option<u32> {
        self.keys.find(key)
    }
    /// Reads a little of all that a slot has, so that it is near when it is used.
    #[inline]
    pub fn peek(&self, slot: u32) -> i64 {
        let range = slot as usize * self.width..(slot as usize + 1) * self.width;
        let values = self.images.values[range.clone()].iter().step_by(LINE / size_of::<i64>());
        let state = self.images.states.get(range.start).copied().unwrap_or(0);
        values.fold(i64::from(self.metas[slot as usize].pending) ^ i64::from(state), |sum, v| sum ^ v)
    }
    pub fn image(&self, slot: u32) -> RowImage<'_> {
        self.images.get(slot, self.width)
    }
    pub fn meta(&mut self, slot: u32) -> &mut Meta {
        &mut self.metas[slot as usize]
    }
    pub fn meta_ref(&self, slot: u32) -> &Meta {
        &self.metas[slot as usize]
    }
    pub fn set(&mut self, slot: u32, image: RowImage<'_>) {
        self.images.set(slot, image);
    }
    pub fn insert(&mut self, key: &[i64], bucket: u32, image: RowImage<'_>) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.images.push((0..self.width).map(|_| (0, cell::NULL)));
                self.metas.push(Meta::default());
                self.metas.len() as u32 - 1
            }
        };
        self.images.set(slot, image);
        self.metas[slot as usize] = Meta { bucket, ..Meta::default() };
        self.keys.insert(key, slot);
        slot
    }
    /// Forgets a row; gives what was known of it.
    pub fn remove(&mut self, key: &[i64]) -> Option<Meta> {
        let slot = self.keys.remove(key)?;
        self.free.push(slot);
        Some(self.metas[slot as usize])
    }
    /// Keys and slots, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], u32)> {
        self.keys.iter()
    }
    pub fn len(&self) -> usize {
        self.keys.len()
    }
    /// Gives every row one column more, which does not fit.
    pub fn widen(&mut self) {
        let mut wider = Images::default();
        for slot in 0..self.metas.len() as u32 {
            let image = self.image(slot);
            let cells = image.values.iter().copied().zip(image.states.iter().copied());
            wider.push(cells.chain([(0, cell::UNFIT)]));
        }
        self.images = wider;
        self.width += 1;
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
}
