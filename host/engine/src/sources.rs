//! Where the partitions stand: offsets, replay marks, watermarks, counts.

use crate::deadset::{self, DeadSet};
use crate::stored::{Head, Keyspace, ReplayMark, StoredPartition, StoredPlace};
use crate::watermark::{Bounds, FUTURE, Partition, Reached, Times, Watermarks};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::Micros;
use weir_types::batch::{ChangeBatch, Origin, cell};
use weir_types::live::{PartitionStatus, SourceStatus};
use weir_types::ports::{StartAt, WriteSet};
use weir_types::record::{Record, TopicPartition};
use weir_types::rows::{Counts, EpochPartition, Gap};
use weir_types::schema::SourceDecl;

/// One partition.
struct Standing {
    partition: TopicPartition,
    /// Sources that read its topic.
    sources: Vec<usize>,
    at: Place,
    total: Counts,
    /// Its dead letters that may be redriven, and how many were, since the start of the process.
    dead: DeadSet,
    redriven: u64,
    /// Offset of the first record since the last decision, and where the partition stood before it.
    before: Option<Box<(i64, Place)>>,
}

/// What reading a record moves.
#[derive(Clone)]
struct Place {
    next: Option<i64>,
    /// Offset of the first record of the running epoch.
    from: Option<i64>,
    last: Option<(i64, u64)>,
    mark: Option<ReplayMark>,
    times: Times,
    counts: Counts,
}

/// All partitions and the watermarks of all sources.
pub struct Sources {
    decls: Vec<Arc<SourceDecl>>,
    standings: Vec<Standing>,
    /// Partitions that were read before and have not joined yet: what waits in them is not known.
    absent: BTreeMap<TopicPartition, StoredPartition>,
    /// Of partitions that have not joined yet.
    pub stored_dead: BTreeMap<TopicPartition, DeadSet>,
    pub watermarks: Vec<Watermarks>,
    /// By source.
    reached: Vec<Reached>,
    pub trouble: Option<String>,
}

/// Whether a change was taken from its partition before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    New,
    Repeat,
    /// The position went back while the source's time went on: another log.
    NewLineage,
}

/// Decides by the replay mark. Positions of different servers cannot be compared.
#[inline]
pub fn replay(mark: Option<&ReplayMark>, origin: &Origin) -> Replay {
    let is_behind = |mark: &ReplayMark| {
        let (file, pos) = (origin.position.file, origin.position.pos);
        // Nearly all positions are in the mark's file, and further on.
        (file != mark.file || pos <= mark.pos) && origin.position <= mark.position()
    };
    match mark {
        Some(mark) if mark.server == origin.server && is_behind(mark) => {
            if origin.source_time > mark.source_time { Replay::NewLineage } else { Replay::Repeat }
        }
        _ => Replay::New,
    }
}

/// The mark after a change that was no repeat. A statement that ran long carries an old time: the greatest
/// one is what no repeat exceeds.
#[inline]
pub fn moved_mark(mark: Option<ReplayMark>, origin: Origin) -> ReplayMark {
    let before = mark.filter(|m| m.server == origin.server).map(|m| m.source_time);
    let source_time = before.map_or(origin.source_time, |time| time.max(origin.source_time));
    ReplayMark { source_time, ..ReplayMark::from(origin) }
}

/// The greatest event time that counts of the rows from `first` on: snapshot reads and times in the future do not.
#[inline]
pub fn greatest_time(batch: &ChangeBatch, first: usize, now: Micros) -> Option<Micros> {
    let counts = |row: &usize| {
        let is_event = !batch.ops[*row].is_read() && batch.event_times.states[*row] == cell::VALUE;
        is_event && batch.event_times.values[*row] <= now.saturating_add(FUTURE)
    };
    (first..batch.len()).filter(counts).map(|row| batch.event_times.values[row]).max()
}

impl Sources {
    pub fn new(decls: Vec<Arc<SourceDecl>>, head: &Head) -> Sources {
        let marks = decls.iter().map(|d| head.watermarks.get(&d.name).copied().unwrap_or_default());
        Sources {
            watermarks: marks.collect(),
            reached: vec![Reached::default(); decls.len()],
            decls,
            standings: Vec::new(),
            absent: head.partitions.clone(),
            stored_dead: BTreeMap::new(),
            trouble: None,
        }
    }

    /// Where the reader begins, before any partition has joined.
    pub fn start(&self) -> BTreeMap<TopicPartition, StartAt> {
        let at = |s: &StoredPartition| StartAt { next: s.next, last: s.last };
        self.absent.iter().map(|(p, s)| (p.clone(), at(s))).collect()
    }

    /// Whether every partition of these topics that was read before has joined.
    pub fn have_joined(&self, topics: &[String]) -> bool {
        !self.absent.keys().any(|p| topics.contains(&p.topic))
    }

    /// A partition joins, under the index that its records carry.
    pub fn join(&mut self, partition: TopicPartition, now: Micros) {
        let stored = self.absent.remove(&partition);
        let reads = |(i, d): (usize, &Arc<SourceDecl>)| d.topics.contains(&partition.topic).then_some(i);
        let sources: Vec<usize> = self.decls.iter().enumerate().filter_map(reads).collect();
        self.standings.push(Standing {
            at: Place {
                next: stored.as_ref().map(|s| s.next),
                from: None,
                last: stored.as_ref().and_then(|s| s.last),
                mark: stored.as_ref().and_then(|s| s.mark),
                times: Times::new(sources.iter().copied(), stored.and_then(|s| s.greatest), now),
                counts: Counts::default(),
            },
            sources,
            total: Counts::default(),
            dead: self.stored_dead.remove(&partition).unwrap_or_default(),
            redriven: 0,
            before: None,
            partition,
        });
    }

    pub fn partition(&self, partition: u32) -> &TopicPartition {
        &self.standings[partition as usize].partition
    }

    /// A record came; false if its offset was consumed before (a reader that went back).
    #[inline]
    pub fn read(&mut self, record: &Record<'_>) -> bool {
        let standing = &mut self.standings[record.partition as usize];
        if standing.at.next.is_some_and(|next| record.offset < next) {
            return false;
        }
        if standing.before.is_none() {
            standing.before = Some(Box::new((record.offset, standing.at.clone())));
        }
        standing.at.from.get_or_insert(record.offset);
        standing.at.next = Some(record.offset + 1);
        standing.at.times.at_end = None;
        standing.at.counts.read += 1;
        true
    }

    /// Remembers the newest record of a partition in a batch, to know it again after a restart.
    pub fn remember(&mut self, record: &Record<'_>) {
        self.standings[record.partition as usize].at.last = Some((record.offset, record.fingerprint()));
    }

    /// What was read since the last decision is taken.
    pub fn accept(&mut self) {
        for standing in &mut self.standings {
            standing.before = None;
            standing.dead.settle();
        }
    }

    /// As if nothing had been read of a partition since the last decision; what was, as [from, to).
    pub fn undo(&mut self, partition: u32) -> Option<(i64, i64)> {
        let standing = &mut self.standings[partition as usize];
        let (from, before) = *standing.before.take()?;
        let to = standing.at.next.unwrap_or(from);
        standing.at = before;
        standing.dead.undo(from);
        Some((from, to))
    }

    /// Reading goes on at `next`, whatever came before: the gap, if there is one.
    pub fn moved(&mut self, partition: u32, next: i64) -> Option<Gap> {
        let standing = &mut self.standings[partition as usize];
        let from = standing.at.next.replace(next).filter(|from| *from != next)?;
        // There is no record before it to know it by.
        standing.at.last = None;
        if next < from {
            standing.dead.forget();
        }
        Some(Gap { partition: standing.partition.clone(), from, to: next })
    }

    /// The host could not read for a while: what came meanwhile is still on its way, so nobody was quiet.
    pub fn held_up(&mut self, now: Micros) {
        for standing in &mut self.standings {
            standing.at.times.came(None, now);
        }
    }

    /// There is more to read than has come.
    pub fn not_caught_up(&mut self, partition: u32) {
        self.standings[partition as usize].at.times.at_end = None;
    }

    /// Sources that read a partition.
    pub fn sources_of(&self, partition: u32) -> &[usize] {
        &self.standings[partition as usize].sources
    }

    /// Where reading of a partition goes on, if any of it was read before.
    pub fn place_of(&self, partition: u32) -> Option<StartAt> {
        let at = &self.standings[partition as usize].at;
        at.next.map(|next| StartAt { next, last: at.last })
    }

    /// The next offsets of all partitions of these topics of which anything was read.
    pub fn next_of_topics(&self, topics: &[String]) -> BTreeMap<TopicPartition, i64> {
        let ours = self.stored().into_iter().filter(|(p, _)| topics.contains(&p.topic));
        ours.map(|(partition, stored)| (partition, stored.next)).collect()
    }

    /// A partition is at its end; true if it was not known to be.
    pub fn end_of_partition(&mut self, partition: u32, now: Micros) -> bool {
        let Some(standing) = self.standings.get_mut(partition as usize) else { return false };
        standing.at.times.at_end.replace(now).is_none()
    }

    pub fn skipped(&mut self, partition: u32, reason: &str) {
        let skipped = &mut self.standings[partition as usize].at.counts.skipped;
        *skipped.entry(reason.to_string()).or_default() += 1;
    }

    pub fn dead(&mut self, record: &Record<'_>, now: Micros) {
        let standing = &mut self.standings[record.partition as usize];
        standing.at.counts.dead += 1;
        standing.at.times.came(None, now);
        standing.dead.add(record.offset, record.key);
    }

    #[inline]
    pub fn applied(&mut self, record: &Record<'_>, place: impl FnOnce() -> Option<StoredPlace>) {
        let standing = &mut self.standings[record.partition as usize];
        standing.at.counts.applied += 1;
        standing.dead.applied(record.key, place);
    }

    /// Index of a partition that is read.
    pub fn index_of(&self, partition: &TopicPartition) -> Option<u32> {
        self.standings.iter().position(|s| s.partition == *partition).map(|at| at as u32)
    }

    /// Whether a record that was read is a dead letter that may be redriven.
    pub fn is_dead(&self, partition: u32, offset: i64) -> bool {
        self.standings[partition as usize].dead.contains(offset)
    }

    /// What a dead letter may still do.
    pub fn standing_of(&self, partition: u32, offset: i64, place: Option<StoredPlace>) -> deadset::Standing {
        self.standings[partition as usize].dead.standing(offset, place)
    }

    /// A dead letter was taken up. `places`: those of its rows that were applied; None if none was.
    pub fn redriven(&mut self, partition: u32, offset: i64, places: Option<&[StoredPlace]>) {
        let standing = &mut self.standings[partition as usize];
        standing.redriven += 1;
        standing.dead.redriven(offset, places);
    }

    /// A change of a dead letter that was applied moves the replay mark if it is further than all others: should
    /// the upstream send it again, it would be a repeat.
    pub fn advance_mark(&mut self, partition: u32, origin: Origin) {
        let mark = &mut self.standings[partition as usize].at.mark;
        if mark.is_none_or(|m| m.server == origin.server && origin.position > m.position()) {
            *mark = Some(moved_mark(*mark, origin));
        }
    }

    /// Puts the dead letters that came and went into the write.
    pub fn save_dead(&mut self, keys: &Keyspace, writes: &mut WriteSet) {
        for standing in &mut self.standings {
            standing.dead.save(&standing.partition, keys, writes);
        }
    }

    /// The partitions of a source that are not read to their ends.
    pub fn behind(&self, source: usize) -> impl Iterator<Item = &TopicPartition> {
        let ours = self.standings.iter().filter(move |s| s.sources.contains(&source));
        ours.filter(|s| s.at.times.at_end.is_none()).map(|s| &s.partition)
    }

    /// The partitions of a source, and whether each is read to its end.
    pub fn ends_of(&self, source: usize) -> Vec<(u32, bool)> {
        let ours = self.standings.iter().enumerate().filter(|(_, s)| s.sources.contains(&source));
        ours.map(|(index, s)| (index as u32, s.at.times.at_end.is_some())).collect()
    }

    /// A record of a source came, be it a repeat. Others say nothing of whether it is quiet: what of its own is still to
    /// come is told by the end alone.
    #[inline]
    pub fn came(&mut self, partition: u32, source: usize, now: Micros) {
        self.standings[partition as usize].at.times.came(Some(source), now);
    }

    /// Whether the rows of a record, from `first` on, are repeats; moves the mark if not.
    #[inline]
    pub fn replay(&mut self, partition: u32, batch: &ChangeBatch, first: usize) -> Replay {
        let standing = &mut self.standings[partition as usize];
        let Some(Some(origin)) = batch.origins.get(first) else { return Replay::New };
        if batch.ops[first].is_read() {
            return Replay::New;
        }
        let decision = replay(standing.at.mark.as_ref(), origin);
        if decision != Replay::Repeat {
            standing.at.mark = Some(moved_mark(standing.at.mark, *origin));
        }
        decision
    }

    /// Event times of a source's rows from `first` on move the partition's greatest.
    #[inline]
    pub fn advance(
        &mut self,
        partition: u32,
        source: usize,
        (batch, first): (&ChangeBatch, usize),
        now: Micros,
    ) {
        if let Some(time) = greatest_time(batch, first, now) {
            self.standings[partition as usize].at.times.reached(source, time);
        }
    }

    fn bounds(decl: &SourceDecl) -> Bounds {
        Bounds { out_of_orderness: decl.out_of_orderness, idle_after: decl.idle_after }
    }

    fn times_of(&self, source: usize) -> Vec<Partition> {
        let joined =
            self.standings.iter().filter(|s| s.sources.contains(&source)).map(|s| s.at.times.of(source));
        let absent = !self.have_joined(&self.decls[source].topics);
        joined.chain(absent.then_some(Partition::UNKNOWN)).collect()
    }

    /// The watermarks if an epoch ended now.
    pub fn advanced(&self, now: Micros) -> Vec<Watermarks> {
        let one = |(i, d): (usize, &Arc<SourceDecl>)| {
            self.watermarks[i].advance(&self.times_of(i), now, Self::bounds(d), &self.reached[i])
        };
        self.decls.iter().enumerate().map(one).collect()
    }

    /// An epoch has ended, with these watermarks.
    pub fn settle(&mut self, now: Micros, watermarks: Vec<Watermarks>) {
        self.watermarks = watermarks;
        for source in 0..self.decls.len() {
            let times = self.times_of(source);
            if let Some(greatest) = times.iter().filter_map(|t| t.greatest).max() {
                self.reached[source].note(now, greatest);
            }
            let asked = times.iter().map(|t| t.at_end.unwrap_or(Micros::MIN)).min();
            let idle_after = self.decls[source].idle_after;
            self.reached[source].forget(asked.unwrap_or(Micros::MIN).saturating_sub(idle_after));
        }
    }

    /// Whether every partition of every source is idle.
    pub fn all_idle(&self, now: Micros) -> bool {
        let idle = |s: &Standing| {
            let is_idle = |i: &usize| s.at.times.of(*i).is_idle(now, Self::bounds(&self.decls[*i]));
            s.sources.iter().all(is_idle)
        };
        let all_joined = self.decls.iter().all(|decl| self.have_joined(&decl.topics));
        all_joined && !self.standings.is_empty() && self.standings.iter().all(idle)
    }

    /// Greatest event time seen anywhere.
    pub fn greatest(&self) -> Option<Micros> {
        let absent = self.absent.values().filter_map(|s| s.greatest);
        self.standings.iter().filter_map(|s| s.at.times.greatest()).chain(absent).max()
    }

    /// Whether anything was ever read, in this process or before.
    pub fn untouched(&self) -> bool {
        self.absent.is_empty() && self.standings.iter().all(|s| s.at.next.is_none())
    }

    /// What the epoch took; the counts begin anew.
    pub fn take_epoch(&mut self) -> Vec<EpochPartition> {
        let mut taken = Vec::new();
        for standing in &mut self.standings {
            let counts = std::mem::take(&mut standing.at.counts);
            standing.total.add(&counts);
            if let (Some(from), Some(to)) = (standing.at.from.take(), standing.at.next) {
                taken.push(EpochPartition { partition: standing.partition.clone(), from, to, counts });
            }
        }
        taken
    }

    /// Where the partitions stand, for the head; partitions not seen since the start keep their place.
    pub fn stored(&self) -> BTreeMap<TopicPartition, StoredPartition> {
        let mut stored = self.absent.clone();
        for s in &self.standings {
            if let Some(next) = s.at.next {
                let (last, greatest, mark) = (s.at.last, s.at.times.least(), s.at.mark);
                let entry = StoredPartition { next, last, greatest, mark };
                stored.insert(s.partition.clone(), entry);
            }
        }
        stored
    }

    /// Next offsets, for lag monitors.
    pub fn next_offsets(&self) -> Vec<(TopicPartition, i64)> {
        self.standings.iter().filter_map(|s| s.at.next.map(|n| (s.partition.clone(), n))).collect()
    }

    pub fn status(&self, now: Micros) -> Vec<SourceStatus> {
        let partition = |s: &Standing, of: usize, decl: &SourceDecl| PartitionStatus {
            partition: s.partition.clone(),
            next_offset: s.at.next.unwrap_or(0),
            caught_up: s.at.times.at_end.is_some(),
            idle: s.at.times.of(of).is_idle(now, Self::bounds(decl)),
            greatest_event_time: s.at.times.of(of).greatest,
            counts: s.total.clone(),
            redriven: s.redriven,
        };
        let source = |(i, decl): (usize, &Arc<SourceDecl>)| SourceStatus {
            name: decl.name.clone(),
            watermark: (self.watermarks[i].closing != Micros::MIN).then_some(self.watermarks[i].closing),
            trouble: self.trouble.clone(),
            partitions: self
                .standings
                .iter()
                .filter(|s| s.sources.contains(&i))
                .map(|s| partition(s, i, decl))
                .collect(),
        };
        self.decls.iter().enumerate().map(source).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::SECOND;
    use weir_types::batch::{Op, Position};

    fn origin(pos: u64, rank: u8, source_time: Micros) -> Origin {
        Origin { server: 1, position: Position { file: 1, pos, row: 0, rank }, source_time }
    }

    fn mark(pos: u64, source_time: Micros) -> ReplayMark {
        ReplayMark { server: 1, file: 1, pos, row: 0, rank: 1, source_time }
    }

    #[test]
    fn a_change_at_or_below_the_mark_is_a_repeat() {
        assert_eq!(replay(Some(&mark(10, 5)), &origin(10, 1, 5)), Replay::Repeat);
        assert_eq!(replay(Some(&mark(10, 5)), &origin(9, 1, 5)), Replay::Repeat);
        assert_eq!(replay(Some(&mark(10, 5)), &origin(11, 1, 5)), Replay::New);
        assert_eq!(replay(None, &origin(1, 1, 5)), Replay::New);
    }

    #[test]
    fn nobody_was_quiet_while_the_host_could_not_read() {
        let decl = crate::shard::fakes::options().sources[0].clone();
        let mut sources = Sources::new(vec![decl], &Head::default());
        sources.join(TopicPartition { topic: "t".into(), partition: 0 }, 0);
        sources.held_up(600 * SECOND);
        // An end that was found before, and waited as long.
        sources.end_of_partition(0, 600 * SECOND);
        assert!(!sources.all_idle(600 * SECOND) && !sources.all_idle(629 * SECOND));
        assert!(sources.all_idle(630 * SECOND));
    }

    #[test]
    fn a_repeat_is_known_although_the_newest_change_has_an_older_time() {
        let mut sources = Sources::new(Vec::new(), &Head::default());
        sources.join(TopicPartition { topic: "t".into(), partition: 0 }, 0);
        let mut decide = |pos: u64, source_time: Micros| {
            let mut batch = ChangeBatch::new(0);
            batch.ops.push(Op::Insert);
            batch.origins.push(Some(origin(pos, 1, source_time)));
            sources.replay(0, &batch, 0)
        };
        assert_eq!(decide(100, 9), Replay::New);
        assert_eq!(decide(200, 4), Replay::New);
        assert_eq!(decide(100, 9), Replay::Repeat);
    }

    #[test]
    fn the_insert_half_of_a_changed_key_follows_its_delete_half() {
        let delete = ReplayMark { rank: 0, ..mark(10, 5) };
        assert_eq!(replay(Some(&delete), &origin(10, 1, 5)), Replay::New);
    }

    #[test]
    fn a_position_that_goes_back_while_time_goes_on_is_a_new_lineage_and_is_not_dropped() {
        assert_eq!(replay(Some(&mark(10, 5)), &origin(3, 1, 6)), Replay::NewLineage);
        let other_server = Origin { server: 2, ..origin(3, 1, 4) };
        assert_eq!(replay(Some(&mark(10, 5)), &other_server), Replay::New);
    }
}
