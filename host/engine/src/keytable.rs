//! Keys of one width in flat memory, each with a number, found by hash. A look-up is one at the index and one
//! at the key, and no key is an allocation.

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// See the module.
#[derive(Debug)]
pub struct KeyTable {
    width: usize,
    /// Key n is at n · width.
    keys: Vec<i64>,
    /// A part of each key's hash, and its number: growing the index does not look at keys.
    index: HashTable<(u32, u32)>,
}

/// Bits of a key's last part that are kept as they are. Keys of rows mostly count up, and those that change
/// together were born together: neighbours stand next to each other in the index.
const NEAR: u32 = 4;

/// The hash of a key without the [`NEAR`] bits, which follow it as its lowest.
#[inline]
fn short_hash(key: &[i64]) -> u32 {
    let mut hasher = FxHasher::default();
    let (last, first) = key.split_last().unwrap_or((&0, &[]));
    first.iter().for_each(|part| part.hash(&mut hasher));
    (last >> NEAR).hash(&mut hasher);
    let hash = hasher.finish();
    let near = *last as u32 & ((1 << NEAR) - 1);
    (((hash ^ (hash >> 32)) as u32) << NEAR) | near
}

/// The index takes its place from the lowest bits and tells entries of one place apart by the highest ones.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) ^ (u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15) & (u64::MAX << 57))
}

/// Whether both keys are the same; shorter than a call that compares bytes.
#[inline]
fn same(a: &[i64], b: &[i64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a == b)
}

impl KeyTable {
    /// For keys of so many parts, the null mask counted.
    pub fn new(width: usize) -> KeyTable {
        KeyTable { width, keys: Vec::new(), index: HashTable::new() }
    }

    pub fn get(&self, number: u32) -> &[i64] {
        let first = number as usize * self.width;
        &self.keys[first..first + self.width]
    }

    #[inline(always)]
    pub fn find(&self, key: &[i64]) -> Option<u32> {
        let hash = short_hash(key);
        let found = self.index.find(spread(hash), |(h, number)| *h == hash && same(self.get(*number), key));
        found.map(|(_, number)| *number)
    }

    /// Adds a key that is not there, under a number that no other key has.
    pub fn insert(&mut self, key: &[i64], number: u32) {
        let first = number as usize * self.width;
        if self.keys.len() < first + self.width {
            self.keys.resize(first + self.width, 0);
        }
        self.keys[first..first + self.width].copy_from_slice(key);
        let hash = short_hash(key);
        self.index.insert_unique(spread(hash), (hash, number), |(hash, _)| spread(*hash));
    }

    /// Forgets a key; its number is free.
    pub fn remove(&mut self, key: &[i64]) -> Option<u32> {
        let hash = short_hash(key);
        let (width, keys) = (self.width, &self.keys);
        let key_of = |number: u32| &keys[number as usize * width..][..width];
        let entry = self.index.find_entry(spread(hash), |(h, n)| *h == hash && same(key_of(*n), key)).ok()?;
        let ((_, number), _) = entry.remove();
        Some(number)
    }

    /// Keys and numbers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], u32)> {
        self.index.iter().map(|(_, number)| (self.get(*number), *number))
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(steps in prop::collection::vec((any::<bool>(), 0i64..40, 0i64..3), 0..300)) {
            let (mut table, mut map) = (KeyTable::new(2), BTreeMap::new());
            let mut free: Vec<u32> = (0..120).collect();
            for (adds, a, b) in steps {
                let key = [a, b];
                match (adds, map.get(&key)) {
                    (true, None) => {
                        let number = free.remove((a as usize * 7) % free.len());
                        table.insert(&key, number);
                        map.insert(key, number);
                    }
                    (false, _) => {
                        let gone = map.remove(&key);
                        prop_assert_eq!(table.remove(&key), gone);
                        free.extend(gone);
                    }
                    _ => {}
                }
                prop_assert_eq!(table.find(&key), map.get(&key).copied());
            }
            let found: BTreeMap<[i64; 2], u32> = table.iter().map(|(k, n)| ([k[0], k[1]], n)).collect();
            prop_assert_eq!(table.len(), map.len());
            prop_assert_eq!(found, map);
        }
    }
}
