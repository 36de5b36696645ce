//! Which part of a stored table an epoch writes anew, and which changes have to be kept beside it.
//!
//! A table is stored as buckets, each a copy of all its rows, and as the changes of each epoch since. An epoch writes
//! one bucket at the most, that which was written longest ago, and only once as many rows have changed as
//! stand in it, or after [`PATIENCE`] epochs. So a bucket costs no more than the changes before it did,
//! however large the table and short the epochs are; and the changes that are kept are no more than the
//! table has rows, or those of [`BUCKETS`] · [`PATIENCE`] epochs if that is more.

use weir_types::ports::WriteSet;

/// Buckets into which a stored table is cut.
pub const BUCKETS: usize = 64;

/// Epochs after which a bucket is written anew although few rows have changed.
const PATIENCE: u32 = 16;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Whether it has changed since it was stored.
    dirty: bool,
    /// What is stored of it holds all changes up to this epoch.
    stored_at: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Buckets {
    buckets: [Bucket; BUCKETS],
    /// Epochs whose changes are stored: (epoch, key).
    deltas: Vec<(u64, Vec<u8>)>,
    /// Rows that have changed, and epochs that have ended, since a bucket was written.
    changed: usize,
    waited: u32,
}

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets { buckets: [Bucket::default(); BUCKETS], deltas: Vec::new(), changed: 0, waited: 0 }
    }
}

impl Buckets {
    /// A row of a bucket has changed in an epoch.
    pub fn change(&mut self, bucket: usize, epoch: u64) {
        let bucket = &mut self.buckets[bucket];
        if !std::mem::replace(&mut bucket.dirty, true) {
            bucket.stored_at = bucket.stored_at.max(epoch.saturating_sub(1));
        }
        self.changed += 1;
    }

    /// An epoch's changes are in its write, under this key.
    pub fn keep(&mut self, epoch: u64, key: Vec<u8>) {
        self.deltas.push((epoch, key));
    }

    /// The bucket that the ending epoch is to write, if any. `rows`: how many rows a bucket has.
    pub fn turn(&mut self, rows: impl Fn(usize) -> usize) -> Option<usize> {
        self.waited += 1;
        let dirty = (0..BUCKETS).filter(|at| self.buckets[*at].dirty);
        let oldest = dirty.min_by_key(|at| self.buckets[*at].stored_at)?;
        if self.changed < rows(oldest) && self.waited < PATIENCE {
            return None;
        }
        (self.changed, self.waited) = (0, 0);
        Some(oldest)
    }

    /// A bucket is in the write of an epoch.
    pub fn stored(&mut self, bucket: usize, epoch: u64) {
        self.buckets[bucket] = Bucket { dirty: false, stored_at: epoch };
    }

    /// Deletes the changes that all buckets hold by now.
    pub fn prune(&mut self, epoch: u64, writes: &mut WriteSet) {
        let kept_from = self.buckets.iter().filter(|b| b.dirty).map(|b| b.stored_at).min().unwrap_or(epoch);
        for (_, key) in self.deltas.extract_if(.., |(e, _)| *e <= kept_from) {
            writes.delete(key);
        }
    }

    /// A stored bucket was read, which holds all changes up to this epoch.
    pub fn restore(&mut self, bucket: usize, stored_at: u64) {
        self.buckets[bucket].stored_at = stored_at;
    }

    /// A change of an epoch was read; whether the stored bucket lacks it.
    pub fn restore_change(&mut self, bucket: usize, epoch: u64) -> bool {
        let bucket = &mut self.buckets[bucket];
        let lacks = epoch > bucket.stored_at;
        bucket.dirty |= lacks;
        lacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs in which one row of each of these buckets changes; gives the bucket that each writes.
    fn run(
        buckets: &mut Buckets,
        epochs: std::ops::RangeInclusive<u64>,
        changed: &[usize],
        rows: usize,
    ) -> Vec<Option<usize>> {
        let one = |epoch: u64| {
            changed.iter().for_each(|bucket| buckets.change(*bucket, epoch));
            buckets.keep(epoch, epoch.to_be_bytes().to_vec());
            let written = buckets.turn(|_| rows);
            written.into_iter().for_each(|bucket| buckets.stored(bucket, epoch));
            written
        };
        epochs.map(one).collect()
    }

    #[test]
    fn a_bucket_is_written_when_as_many_rows_have_changed_as_it_has() {
        let mut buckets = Buckets::default();
        let written = run(&mut buckets, 1..=9, &[4, 5], 6);
        let expected = [None, None, Some(4), None, None, Some(5), None, None, Some(4)];
        assert_eq!(written, expected);
    }

    #[test]
    fn few_changes_are_not_kept_for_ever() {
        let mut buckets = Buckets::default();
        let written = run(&mut buckets, 1..=u64::from(2 * PATIENCE), &[9], 1_000_000);
        assert_eq!(written.iter().flatten().count(), 2);
        let mut writes = WriteSet::default();
        buckets.prune(u64::from(2 * PATIENCE), &mut writes);
        assert_eq!(writes.deletes.len(), 2 * PATIENCE as usize);
        assert_eq!(buckets.turn(|_| 0), None, "nothing has changed since");
    }

    #[test]
    fn changes_are_kept_until_the_buckets_that_they_touched_are_written() {
        let mut buckets = Buckets::default();
        run(&mut buckets, 1..=1, &[1, 2], 1000);
        buckets.stored(1, 1);
        let mut writes = WriteSet::default();
        buckets.prune(1, &mut writes);
        assert!(writes.deletes.is_empty(), "the second bucket lacks the change");
        // A bucket that was clean until now needs no change of before.
        run(&mut buckets, 2..=2, &[1], 1000);
        buckets.stored(2, 2);
        buckets.prune(2, &mut writes);
        assert_eq!(writes.deletes, [1u64.to_be_bytes().to_vec()]);
        assert!(buckets.restore_change(1, 2) && !buckets.restore_change(2, 2));
    }
}
