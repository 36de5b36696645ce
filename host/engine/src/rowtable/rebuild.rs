//! Rebuilding a row table from a new snapshot of its source.
//!
//! From the beginning of a rebuild on, each row that anything sets is marked with the rebuild's number. Once
//! the snapshot is over and everything in front of its end was read, rows without the mark are not upstream
//! any more, and they end, all in one epoch. So no metric ever sees a table that is half full, and no row
//! stands twice in memory.

use super::RowTable;
use crate::stored::StoredRebuild;
use std::collections::{BTreeMap, BTreeSet};
use weir_types::batch::Op;
use weir_types::record::TopicPartition;
use weir_types::{Micros, SECOND};

/// Clock time that passes between the end of a snapshot and the look at the partitions' ends: a snapshot's
/// reads for other partitions may come to the broker a little after its last one.
const SETTLE: Micros = 30 * SECOND;

impl RowTable {
    /// Begins a rebuild; one that is under way begins anew. `from`: the next offsets of the source's partitions.
    pub fn begin_rebuild(&mut self, from: BTreeMap<TopicPartition, i64>, now: Micros) {
        self.round += 1;
        self.began.running = from;
        self.rebuild = Some(StoredRebuild { since: now, ..StoredRebuild::default() });
        self.unread = None;
        self.saw_end = false;
        // Reads of the new snapshot count whatever was truncated before.
        self.truncates.clear();
        self.stale = true;
    }

    /// Of a rebuild that an older host has begun it is not known where: by `now` it had.
    pub fn began_by(&mut self, now: impl FnOnce() -> BTreeMap<TopicPartition, i64>) {
        if self.rebuild.is_some() && std::mem::take(&mut self.begins_unknown) {
            self.began.running = now();
            self.stale = true;
        }
    }

    /// Gives a rebuild up: the table stays as it is, mended as far as the snapshot came.
    pub fn cancel_rebuild(&mut self) {
        self.rebuild = None;
        self.began.running.clear();
        self.unread = None;
        self.saw_end = false;
        self.stale = true;
    }

    /// Whether a record was read before the rebuild began that is under way: whether it is older than what the
    /// snapshot says is not known before the end.
    pub fn is_rebuilt_since(&self, partition: &TopicPartition, offset: i64) -> bool {
        self.began.running.get(partition).is_some_and(|from| offset < *from)
    }

    /// Whether a record was read before the newest rebuild began that was finished: the table is newer than it.
    pub fn was_rebuilt_since(&self, partition: &TopicPartition, offset: i64) -> bool {
        self.began.finished.get(partition).is_some_and(|from| offset < *from)
    }

    /// Offsets of a partition begin anew.
    pub fn forget_offsets(&mut self, partition: &TopicPartition) {
        let forgotten = self.began.running.remove(partition).is_some();
        self.stale |= self.began.finished.remove(partition).is_some() || forgotten;
    }

    /// The snapshot of the rebuild is over upstream.
    pub fn end_snapshot(&mut self) {
        self.saw_end = self.rebuild.is_some();
    }

    pub fn rebuild(&self) -> Option<&StoredRebuild> {
        self.rebuild.as_ref()
    }

    pub(super) fn count_read(&mut self, op: Op) {
        let Some(rebuild) = &mut self.rebuild else { return };
        rebuild.reads += 1;
        self.saw_end |= op == Op::LastRead;
        self.stale = true;
    }

    /// A partition was read to its end.
    pub fn reached_end(&mut self, partition: u32) {
        if let Some(unread) = &mut self.unread {
            unread.remove(&partition);
        }
    }

    /// Whether the end of an epoch has to look after the rebuild, though nothing was read.
    pub fn has_rebuild_due(&self, now: Micros) -> bool {
        let over = self.rebuild.and_then(|rebuild| rebuild.over);
        self.saw_end || over.is_some_and(|over| now >= over.saturating_add(SETTLE))
    }

    /// Ends the rows that the snapshot did not bring, if it is over and all partitions were read past its
    /// end. `partitions` are those of the source, with whether each is read to its end. Gives the number of
    /// rows that end; None while the rebuild goes on, or if there is none.
    pub fn try_end_rebuild(&mut self, partitions: &[(u32, bool)], now: Micros) -> Option<usize> {
        let rebuild = self.rebuild.as_mut()?;
        if std::mem::take(&mut self.saw_end) && rebuild.over.is_none() {
            rebuild.over = Some(now);
            self.stale = true;
        }
        let first = partitions.first()?.0;
        if now < rebuild.over?.saturating_add(SETTLE) {
            return None;
        }
        let all = || partitions.iter().map(|(p, _)| *p).collect::<BTreeSet<u32>>();
        let unread = self.unread.get_or_insert_with(all);
        unread.retain(|p| !partitions.contains(&(*p, true)));
        if !unread.is_empty() {
            return None;
        }
        let round = self.round;
        self.end_rows(first, |meta| meta.round != round);
        self.rebuild = None;
        self.began.finished = std::mem::take(&mut self.began.running);
        self.unread = None;
        self.stale = true;
        Some(self.pending.len())
    }
}
