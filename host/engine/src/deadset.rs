//! The dead letters of a partition that may still be redriven.
//!
//! A record counts once: so it may be redriven only while it stands here, and it leaves in the same
//! write in which it is applied. What came after it decides what it still means. The first later
//! change of the same key is remembered: if it stands before the dead one in the upstream's log, the
//! upstream has sent the dead one again, and it was counted then; if it stands after it, the dead one
//! must not set a current value any more. Where records carry no place in a log but versions, key and
//! version stand for it. A snapshot's reads have no place that tells one from another, and are no repeats.

use crate::stored::{Keyspace, StoredDeadBlock, StoredDeadEntry, StoredLater, StoredPlace, encode};
use crate::versions::Versions;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use weir_types::batch::{ChangeBatch, Origin};
use weir_types::ports::WriteSet;
use weir_types::record::TopicPartition;

/// Most that are kept of one partition; beyond it the oldest can no longer be redriven.
const MOST: usize = 100_000;
/// Offsets of one stored value.
const BLOCK: i64 = 4096;

/// See the module.
#[derive(Debug, Default)]
pub struct DeadSet {
    entries: BTreeMap<i64, Entry>,
    /// Offsets of those after which no change of their key came, by key.
    open: FxHashMap<u64, Vec<i64>>,
    /// Places of changes that were redriven.
    redriven: BTreeSet<StoredPlace>,
    /// Those whose `later` was set by a record read since the last decision; what a redrive has set stays.
    marked: Vec<i64>,
    dirty: BTreeSet<i64>,
    redriven_dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    key: u64,
    later: Option<StoredLater>,
}

/// What a dead letter may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing came after it: it counts, and sets current values.
    Newest,
    /// A later change of its key came: it counts, but sets no current value.
    Superseded,
    /// The upstream has sent it again, and that was counted.
    Repeat,
}

/// Records without a key are followed by whatever comes.
const ANY: u64 = 0;

/// A hash of a record's key (FNV-1a): it is stored, so it must stay what it is.
fn key_hash(key: Option<&[u8]>) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    key.map_or(ANY, |key| key.iter().fold(0xcbf2_9ce4_8422_2325, step) | 1)
}

fn in_log(origin: &Origin) -> StoredPlace {
    let p = origin.position;
    StoredPlace { server: origin.server, file: p.file, pos: p.pos, row: p.row, rank: p.rank }
}

/// By what a change is known again: its place in the log, else its key and version.
pub fn place_of(batch: &ChangeBatch, row: usize, versions: Option<&Versions>) -> Option<StoredPlace> {
    match batch.origins[row] {
        // All reads of a snapshot have the same.
        Some(_) if batch.ops[row].is_read() => None,
        Some(origin) => Some(in_log(&origin)),
        None => versions?.place(batch, row),
    }
}

impl DeadSet {
    /// A record could not be read.
    pub fn add(&mut self, offset: i64, key: Option<&[u8]>) {
        let key = key_hash(key);
        self.entries.insert(offset, Entry { key, later: None });
        self.open.entry(key).or_default().push(offset);
        self.dirty.insert(offset.div_euclid(BLOCK));
        if self.entries.len() > MOST
            && let Some((oldest, _)) = self.entries.first_key_value()
        {
            let oldest = *oldest;
            self.remove(oldest);
        }
    }

    /// A change of that key was applied.
    #[inline]
    pub fn applied(&mut self, key: Option<&[u8]>, place: impl FnOnce() -> Option<StoredPlace>) {
        if !self.open.is_empty() {
            let followed = self.follow(key_hash(key), place(), i64::MAX);
            self.marked.extend(followed);
        }
    }

    /// Those of that key below an offset are followed by a change; gives their offsets.
    fn follow(&mut self, key: u64, place: Option<StoredPlace>, below: i64) -> Vec<i64> {
        let later = place.map_or(StoredLater::Somewhere, StoredLater::At);
        let mut all = Vec::new();
        for key in if key == ANY { vec![ANY] } else { vec![key, ANY] } {
            let Some(offsets) = self.open.get_mut(&key) else { continue };
            let (followed, rest) = offsets.iter().partition::<Vec<i64>, _>(|o| **o < below);
            *offsets = rest;
            if offsets.is_empty() {
                self.open.remove(&key);
            }
            for offset in followed {
                if let Some(entry) = self.entries.get_mut(&offset) {
                    entry.later = Some(later);
                    all.push(offset);
                    self.dirty.insert(offset.div_euclid(BLOCK));
                }
            }
        }
        all
    }

    /// What was read since the last decision is taken.
    pub fn settle(&mut self) {
        self.marked.clear();
    }

    /// As if nothing had been read from an offset on.
    pub fn undo(&mut self, from: i64) {
        for offset in self.entries.range(from..).map(|(o, _)| *o).collect::<Vec<_>>() {
            self.remove(offset);
        }
        for offset in std::mem::take(&mut self.marked) {
            if let Some(entry) = self.entries.get_mut(&offset) {
                entry.later = None;
                self.open.entry(entry.key).or_default().push(offset);
            }
        }
    }

    fn remove(&mut self, offset: i64) {
        let Some(entry) = self.entries.remove(&offset) else { return };
        self.dirty.insert(offset.div_euclid(BLOCK));
        if let Some(offsets) = self.open.get_mut(&entry.key) {
            offsets.retain(|o| *o != offset);
            if offsets.is_empty() {
                self.open.remove(&entry.key);
            }
        }
    }

    pub fn contains(&self, offset: i64) -> bool {
        self.entries.contains_key(&offset)
    }

    /// What a dead letter may do, now that its place is known.
    pub fn standing(&self, offset: i64, place: Option<StoredPlace>) -> Standing {
        let later = self.entries.get(&offset).and_then(|e| e.later);
        let was_sent_again = |place: StoredPlace| match later {
            _ if self.redriven.contains(&place) => true,
            Some(StoredLater::At(later)) => later.server == place.server && later <= place,
            _ => false,
        };
        match later {
            _ if place.is_some_and(was_sent_again) => Standing::Repeat,
            Some(_) => Standing::Superseded,
            None => Standing::Newest,
        }
    }

    /// A dead letter was taken up: it is none any more. `places`: those of its rows that were applied; None if
    /// none was.
    pub fn redriven(&mut self, offset: i64, places: Option<&[StoredPlace]>) {
        let Some(key) = self.entries.get(&offset).map(|e| e.key) else { return };
        self.remove(offset);
        let Some(places) = places else { return };
        self.follow(key, places.first().copied(), offset);
        self.redriven_dirty |= !places.is_empty();
        self.redriven.extend(places);
        while self.redriven.len() > MOST {
            self.redriven.pop_first();
        }
    }

    /// The topic was made anew: its former records are gone.
    pub fn forget(&mut self) {
        self.dirty.extend(self.entries.keys().map(|o| o.div_euclid(BLOCK)));
        self.entries.clear();
        self.open.clear();
        self.marked.clear();
    }

    /// Puts what has changed into the write.
    pub fn save(&mut self, partition: &TopicPartition, keys: &Keyspace, writes: &mut WriteSet) {
        for block in std::mem::take(&mut self.dirty) {
            let range = block * BLOCK..(block + 1) * BLOCK;
            let entry =
                |(offset, e): (&i64, &Entry)| StoredDeadEntry { offset: *offset, key: e.key, later: e.later };
            let entries: Vec<StoredDeadEntry> = self.entries.range(range).map(entry).collect();
            let key = keys.dead_block(partition, block);
            match entries.is_empty() {
                true => writes.delete(key),
                false => writes.put(key, encode(&StoredDeadBlock { entries })),
            }
        }
        if std::mem::take(&mut self.redriven_dirty) {
            let places: Vec<StoredPlace> = self.redriven.iter().copied().collect();
            writes.put(keys.redriven(partition), encode(&places));
        }
    }

    pub fn restore(&mut self, blocks: Vec<StoredDeadBlock>, redriven: Vec<StoredPlace>) {
        for entry in blocks.into_iter().flat_map(|b| b.entries) {
            let StoredDeadEntry { offset, key, later } = entry;
            self.entries.insert(offset, Entry { key, later });
            if later.is_none() {
                self.open.entry(key).or_default().push(offset);
            }
        }
        self.redriven = redriven.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::batch::Position;

    fn at(pos: u64) -> StoredPlace {
        let position = Position { file: 1, pos, row: 0, rank: 1 };
        in_log(&Origin { server: 1, position, source_time: 0 })
    }

    const A: Option<&[u8]> = Some(b"a");
    const B: Option<&[u8]> = Some(b"b");

    #[test]
    fn a_later_change_of_the_same_key_supersedes_and_one_of_another_key_does_not() {
        let mut set = DeadSet::default();
        set.add(5, A);
        set.applied(B, || Some(at(70)));
        assert_eq!(set.standing(5, Some(at(60))), Standing::Newest);
        set.applied(A, || Some(at(80)));
        assert_eq!(set.standing(5, Some(at(60))), Standing::Superseded);
        // Only the first one counts: what comes later says nothing about a repeat.
        set.applied(A, || Some(at(50)));
        assert_eq!(set.standing(5, Some(at(60))), Standing::Superseded);
    }

    #[test]
    fn what_the_upstream_sent_again_and_was_counted_then_is_a_repeat() {
        let mut set = DeadSet::default();
        set.add(5, A);
        set.applied(A, || Some(at(40)));
        assert_eq!(set.standing(5, Some(at(60))), Standing::Repeat, "the run from 40 on has 60 in it");
        set.add(7, B);
        set.add(8, B);
        set.redriven(7, Some(&[at(70)]));
        assert!(!set.contains(7));
        assert_eq!(set.standing(8, Some(at(70))), Standing::Repeat, "the same change, dead twice");
        assert_eq!(set.standing(8, Some(at(71))), Standing::Newest);
    }

    #[test]
    fn a_newer_one_that_is_redriven_first_supersedes_the_older_of_its_key() {
        let mut set = DeadSet::default();
        set.add(5, A);
        set.add(6, A);
        set.redriven(6, Some(&[at(66)]));
        assert_eq!(set.standing(5, Some(at(55))), Standing::Superseded);
        let mut set = DeadSet::default();
        set.add(5, A);
        set.add(6, A);
        set.redriven(5, Some(&[at(55)]));
        assert_eq!(set.standing(6, Some(at(66))), Standing::Newest);
    }

    #[test]
    fn without_a_key_anything_that_follows_supersedes() {
        let mut set = DeadSet::default();
        set.add(5, None);
        set.applied(B, || None);
        assert_eq!(set.standing(5, None), Standing::Superseded);
    }

    #[test]
    fn undoing_a_read_forgets_its_dead_and_what_it_said_of_older_ones() {
        let mut set = DeadSet::default();
        set.add(5, A);
        set.settle();
        set.applied(A, || Some(at(80)));
        set.add(9, A);
        set.undo(8);
        assert_eq!((set.contains(5), set.contains(9)), (true, false));
        assert_eq!(set.standing(5, Some(at(60))), Standing::Newest);
        set.applied(A, || Some(at(80)));
        assert_eq!(set.standing(5, Some(at(60))), Standing::Superseded);
    }

    #[test]
    fn what_a_redrive_said_of_older_ones_stays_when_a_later_read_is_undone() {
        let mut set = DeadSet::default();
        set.add(5, A);
        set.add(6, A);
        set.settle();
        set.redriven(6, Some(&[at(66)]));
        set.add(9, B);
        set.undo(9);
        assert_eq!(set.standing(5, Some(at(55))), Standing::Superseded);
        // Without a place, too.
        set.add(7, A);
        set.redriven(7, Some(&[]));
        set.undo(9);
        assert_eq!(set.standing(5, None), Standing::Superseded);
    }

    #[test]
    fn a_set_is_restored_as_it_was_and_blocks_that_are_empty_go() {
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        let keys = Keyspace::new("0");
        let mut set = DeadSet::default();
        for offset in [5, 6, 9000] {
            set.add(offset, A);
        }
        set.redriven(6, Some(&[at(66)]));
        let mut writes = WriteSet::default();
        set.save(&partition, &keys, &mut writes);
        assert_eq!((writes.puts.len(), writes.deletes.len()), (3, 0));
        let decoded =
            |(_, value): &(Vec<u8>, Vec<u8>)| crate::stored::decode("dead", value).expect("readable");
        let blocks: Vec<StoredDeadBlock> = writes.puts[..2].iter().map(decoded).collect();
        let places = crate::stored::decode("dead", &writes.puts[2].1).expect("readable");
        let mut again = DeadSet::default();
        again.restore(blocks, places);
        assert_eq!(again.entries, set.entries);
        assert_eq!((again.redriven.clone(), again.open), (set.redriven.clone(), set.open.clone()));
        again = set;
        again.redriven(9000, None);
        let mut writes = WriteSet::default();
        again.save(&partition, &keys, &mut writes);
        assert_eq!((writes.puts.len(), writes.deletes), (0, vec![keys.dead_block(&partition, 2)]));
    }
}
