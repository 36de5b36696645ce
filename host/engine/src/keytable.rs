//! Keys of one width in flat memory, each with a number, found by hash. A look-up is one at the index and one
//! at the key, and no key is an allocation.
//!
//! The index of many keys is in parts: one that doubles moves all its entries at once, a quarter of a second
//! for a million of them on a busy machine. The parts have unequal shares of the keys, a 32nd of an octave from
//! one to the next, so that each doubles at another time.

use crate::chunks::Chunks;
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};

/// See the module.
#[derive(Debug)]
pub struct KeyTable {
    /// By number.
    keys: Chunks<i64>,
    /// A part of each key's hash, and its number: growing the index does not look at keys.
    index: Vec<HashTable<(u32, u32)>>,
    count: usize,
}

/// Parts of an index of many keys.
const PARTS: usize = 32;

/// Bits of a hash, its highest ones, by which its part is told.
const TOLD_BY: u32 = 10;

/// The part of each value of those bits.
static PART_OF: [u8; 1 << TOLD_BY] = parts();

const fn parts() -> [u8; 1 << TOLD_BY] {
    // 2^(1/32): an octave in equal steps.
    const STEP: f64 = 1.021_897_148_654_116_6;
    let (mut share, mut sum, mut part) = (1.0, 0.0, 0);
    while part < PARTS {
        sum += share;
        share *= STEP;
        part += 1;
    }
    let mut table = [0; 1 << TOLD_BY];
    let (mut at, mut end, mut part) = (0, 0.0, 0);
    share = 1.0;
    while part < PARTS {
        end += share * (1 << TOLD_BY) as f64 / sum;
        while at < 1 << TOLD_BY && (at as f64) < end - 0.5 {
            table[at] = part as u8;
            at += 1;
        }
        share *= STEP;
        part += 1;
    }
    table
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
    /// For keys of so many values, the null mask counted.
    pub fn new(width: usize) -> KeyTable {
        KeyTable { keys: Chunks::of_width(width), index: vec![HashTable::new()], count: 0 }
    }

    /// The same for so many keys that nobody can wait while all of them move.
    pub fn for_many(width: usize) -> KeyTable {
        KeyTable { index: vec![HashTable::new(); PARTS], ..KeyTable::new(width) }
    }

    /// The part of a hash.
    #[inline(always)]
    fn part(&self, hash: u32) -> usize {
        usize::from(PART_OF[(hash >> (u32::BITS - TOLD_BY)) as usize]) & (self.index.len() - 1)
    }

    pub fn get(&self, number: u32) -> &[i64] {
        self.keys.get(number)
    }

    #[inline(always)]
    pub fn find(&self, key: &[i64]) -> Option<u32> {
        let hash = short_hash(key);
        let part = &self.index[self.part(hash)];
        let found = part.find(spread(hash), |(h, number)| *h == hash && same(self.get(*number), key));
        found.map(|(_, number)| *number)
    }

    /// Adds a key that is not there, under a number that no other key has.
    pub fn insert(&mut self, key: &[i64], number: u32) {
        while self.keys.len() <= number {
            self.keys.push();
        }
        self.keys.get_mut(number).copy_from_slice(key);
        let hash = short_hash(key);
        let part = self.part(hash);
        self.index[part].insert_unique(spread(hash), (hash, number), |(hash, _)| spread(*hash));
        self.count += 1;
    }

    /// Forgets a key; its number is free.
    pub fn remove(&mut self, key: &[i64]) -> Option<u32> {
        let hash = short_hash(key);
        let (keys, part) = (&self.keys, self.part(hash));
        let is_key = |(h, n): &(u32, u32)| *h == hash && same(keys.get(*n), key);
        let ((_, number), _) = self.index[part].find_entry(spread(hash), is_key).ok()?.remove();
        self.count -= 1;
        Some(number)
    }

    /// Keys and numbers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[i64], u32)> {
        self.index.iter().flatten().map(|(_, number)| (self.get(*number), *number))
    }

    pub fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_finds_what_a_map_finds(
            steps in prop::collection::vec((any::<bool>(), 0i64..40, 0i64..3), 0..300),
            is_many in any::<bool>(),
        ) {
            let mut table = if is_many { KeyTable::for_many(2) } else { KeyTable::new(2) };
            let mut map = BTreeMap::new();
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
    #[test]
    fn parts_of_many_keys_grow_one_after_the_other() {
        let mut table = KeyTable::for_many(2);
        let (mut grown, mut most) = (0, 0);
        let capacities = |table: &KeyTable| table.index.iter().map(HashTable::capacity).collect::<Vec<_>>();
        let mut before = capacities(&table);
        for id in 0..400_000 {
            table.insert(&[0, id], id as u32);
            // An epoch brings some thousands.
            if id % 2000 == 1999 && id > 100_000 {
                let now = capacities(&table);
                let moved = now.iter().zip(&before).filter(|(now, before)| now > before).count();
                (grown, most) = (grown + moved, most.max(moved));
                before = now;
            } else if id % 2000 == 1999 {
                before = capacities(&table);
            }
        }
        assert!(grown >= 2 * PARTS - 4, "{grown} parts have doubled between a quarter and all of the keys");
        assert!(most <= 6, "{most} at once");
    }
}
