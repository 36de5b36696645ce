//! Sources that hold.
//!
//! When more than a set share of a batch cannot be read, it is likelier that the declaration or the
//! connector is wrong than so many records are. So nothing of the batch is taken, and its source
//! stands still, told to everybody, until somebody has looked. It tries the same batch again at every
//! start and when it is asked to, or takes it as it is, dead letters and all, on an operator's word.
//!
//! A source also stops, all of it, when one of its partitions cannot be read on without a gap: its next
//! offsets were deleted, or the topic is another one. An operator decides whether the gap is accepted.
//!
//! Sources that share a topic hold and stop together: a partition has one offset for all of them.

use crate::stored::{StoredDead, StoredHold, StoredSource};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_types::Micros;
use weir_types::ports::{Seek, StartAt};
use weir_types::record::{Record, RecordBatch, TopicPartition};
use weir_types::schema::SourceDecl;

/// The share is not looked at before so many records came, however many reads that takes: one bad
/// record of one is no reason to stop.
const LEAST: u64 = 100;
/// Records that could not be read and are told one by one.
const TOLD: usize = 3;

/// What the reader is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    Hold(Vec<TopicPartition>),
    Seek(Vec<(TopicPartition, Seek)>),
}

/// What becomes of a partition's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// They are passed over: the reader will bring them again.
    Shut,
    /// They are collected until the batch that failed is together again.
    Trial,
}

struct Partition {
    name: TopicPartition,
    group: usize,
    gate: Gate,
}

/// Sources that share topics.
struct Group {
    names: Vec<String>,
    topics: Vec<String>,
    max_dead_share: f64,
    stored: StoredSource,
    /// As it stands in the store.
    written: StoredSource,
    trial: Option<Trial>,
    /// Partitions that cannot be read on, and why. The reader tells it anew at every start.
    stopped: BTreeMap<TopicPartition, String>,
}

/// The batch that failed, being brought together to be tried again.
struct Trial {
    records: RecordBatch,
    /// Parts of it that have not come yet: offsets [from, to).
    missing: BTreeMap<TopicPartition, (i64, i64)>,
}

/// What was read of one group at once.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub read: u64,
    pub dead: u64,
    /// The first of the dead.
    pub first: Vec<StoredDead>,
}

impl Tally {
    /// Adds one record, and why it is dead if it is.
    #[inline]
    pub fn add(&mut self, dead: Option<StoredDead>) {
        self.read += 1;
        if let Some(dead) = dead {
            self.dead += 1;
            if self.first.len() < TOLD {
                self.first.push(dead);
            }
        }
    }
}

/// Why a source was not let go on.
#[derive(Debug, PartialEq, Eq)]
pub enum ResumeError {
    Unknown,
    DoesNotHold,
    IsNotStopped,
}

/// All groups of sources, and the gates of their partitions.
pub struct Holds {
    groups: Vec<Group>,
    /// By index of the partition.
    partitions: Vec<Partition>,
    asks: Vec<Ask>,
}

impl Holds {
    /// `stored`: by source. A source that held tries its batch again.
    pub fn new(decls: &[Arc<SourceDecl>], stored: &BTreeMap<String, StoredSource>) -> Holds {
        let mut groups: Vec<Group> = Vec::new();
        for decl in decls {
            let mut group = Group::new(decl, stored.get(&decl.name));
            let (touching, rest) = groups.into_iter().partition(|g| g.shares_topics(&group));
            groups = rest;
            Vec::into_iter(touching).for_each(|other| group.join(other));
            groups.push(group);
        }
        groups.iter_mut().for_each(Group::retry);
        Holds { groups, partitions: Vec::new(), asks: Vec::new() }
    }

    /// A partition joins under the next index.
    pub fn join(&mut self, name: &TopicPartition) {
        let Some(group) = self.groups.iter().position(|g| g.topics.contains(&name.topic)) else {
            // The reader brings declared topics only; a stray one has nobody to hold it.
            self.partitions.push(Partition { name: name.clone(), group: usize::MAX, gate: Gate::Open });
            return;
        };
        let gate = match &self.groups[group].trial {
            Some(trial) if trial.missing.contains_key(name) => Gate::Trial,
            _ if self.groups[group].stands() => Gate::Shut,
            _ => Gate::Open,
        };
        if gate == Gate::Shut {
            self.asks.push(Ask::Hold(vec![name.clone()]));
        }
        self.partitions.push(Partition { name: name.clone(), group, gate });
    }

    /// Whether a record is to be taken now; one of a batch that is tried again is collected.
    #[inline]
    pub fn admits(&mut self, record: &Record<'_>) -> bool {
        match self.partitions[record.partition as usize].gate {
            Gate::Open => true,
            Gate::Shut => false,
            Gate::Trial => {
                self.collect(record);
                false
            }
        }
    }

    fn collect(&mut self, record: &Record<'_>) {
        let at = record.partition as usize;
        let Partition { name, group, .. } = &self.partitions[at];
        let Some(trial) = &mut self.groups[*group].trial else { return };
        let Some((from, to)) = trial.missing.get(name).copied() else { return };
        if (from..to).contains(&record.offset) {
            trial.records.push(*record);
        }
        if record.offset + 1 >= to {
            self.complete(at);
        }
    }

    /// A part of a batch on trial is together.
    fn complete(&mut self, at: usize) {
        let Partition { name, group, gate } = &mut self.partitions[at];
        *gate = Gate::Shut;
        if let Some(trial) = &mut self.groups[*group].trial {
            trial.missing.remove(name);
        }
        self.asks.push(Ask::Hold(vec![name.clone()]));
    }

    /// Whether the end of a partition means that all of it was taken.
    pub fn end_of_partition(&mut self, index: u32) -> bool {
        match self.partitions.get(index as usize).map(|p| p.gate) {
            Some(Gate::Trial) => {
                // Compaction or retention left less than there was.
                self.complete(index as usize);
                false
            }
            gate => gate == Some(Gate::Open),
        }
    }

    /// The reader has moved a partition: what comes now is what was asked for. False: nobody waits for
    /// that any more.
    pub fn moved(&mut self, index: u32) -> bool {
        let Some(partition) = self.partitions.get_mut(index as usize) else { return false };
        let Some(group) = self.groups.get(partition.group) else { return false };
        if partition.gate == Gate::Open || !group.stopped.is_empty() {
            return false;
        }
        match (&group.stored.hold, &group.trial) {
            (None, _) => partition.gate = Gate::Open,
            (Some(_), Some(trial)) if trial.missing.contains_key(&partition.name) => {
                partition.gate = Gate::Trial;
            }
            // It holds again since.
            _ => return false,
        }
        true
    }

    /// A batch on trial that has come together.
    pub fn ready(&mut self) -> Option<(usize, RecordBatch)> {
        let is_ready = |g: &Group| g.trial.as_ref().is_some_and(|t| t.missing.is_empty());
        let group = self.groups.iter().position(is_ready)?;
        let trial = self.groups[group].trial.take()?;
        Some((group, trial.records))
    }

    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The group of a partition.
    #[inline]
    pub fn group_of(&self, partition: u32) -> usize {
        self.partitions[partition as usize].group
    }

    /// Partitions of a group.
    pub fn partitions_of(&self, group: usize) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.partitions).filter(move |(_, p)| p.group == group).map(|(index, _)| index)
    }

    /// Decides whether what was read at once is to be taken; false: the group holds from here on.
    ///
    /// | | |
    /// |---|---|
    /// | fewer than [`LEAST`] records since the last decision | taken, and counted on |
    /// | the share of the dead among those is within the bound | taken, counting begins anew |
    /// | the share of what was read now is within the bound | taken: the dead came before |
    /// | dead letters are accepted | taken |
    /// | else | holds |
    pub fn judge(&mut self, group: usize, tally: &Tally) -> bool {
        let group = &mut self.groups[group];
        let over = |read: u64, dead: u64| dead as f64 > group.max_dead_share * read as f64;
        let (read, dead) = (group.stored.read + tally.read, group.stored.dead + tally.dead);
        let (counts, bad) = (read >= LEAST, over(read, dead));
        if counts && bad && !group.stored.accepting && over(tally.read, tally.dead) {
            return false;
        }
        let anew = counts && (!bad || group.stored.accepting);
        group.stored.accepting &= bad || !counts;
        (group.stored.read, group.stored.dead) = if anew { (0, 0) } else { (read, dead) };
        true
    }

    /// Whether a batch on trial may be taken, which was judged by itself before.
    pub fn judge_trial(&self, group: usize, tally: &Tally) -> bool {
        tally.dead as f64 <= self.groups[group].max_dead_share * tally.read as f64
    }

    /// The group holds before this batch. Gives the names of its sources.
    pub fn hold(
        &mut self,
        group: usize,
        tally: Tally,
        batch: BTreeMap<TopicPartition, (i64, i64)>,
        now: Micros,
    ) -> Vec<String> {
        let since = self.groups[group].stored.hold.as_ref().map_or(now, |h| h.since);
        let hold = StoredHold { since, batch, read: tally.read, dead: tally.dead, first: tally.first };
        self.groups[group].stored.hold = Some(hold);
        let source = self.groups[group].names.join(", ");
        let reason = self.groups[group].text().unwrap_or_default();
        tracing::error!(%source, %reason, "source holds");
        self.shut(group);
        self.groups[group].names.clone()
    }

    fn shut(&mut self, group: usize) {
        let mut shut = Vec::new();
        for partition in self.partitions.iter_mut().filter(|p| p.group == group) {
            if partition.gate != Gate::Shut {
                shut.push(partition.name.clone());
            }
            partition.gate = Gate::Shut;
        }
        if !shut.is_empty() {
            self.asks.push(Ask::Hold(shut));
        }
    }

    /// A partition cannot be read on: its group stops. Gives the group's partitions.
    pub fn stop(&mut self, partition: &TopicPartition, reason: String) -> Vec<u32> {
        let Some(group) = self.groups.iter().position(|g| g.topics.contains(&partition.topic)) else {
            return Vec::new();
        };
        let stopped = &mut self.groups[group];
        tracing::error!(source = %stopped.names.join(", "), %reason, "source stopped");
        stopped.stopped.insert(partition.clone(), reason);
        // What came together of a batch on trial would come a second time.
        stopped.trial = None;
        self.shut(group);
        self.partitions_of(group).collect()
    }

    /// An operator lets a stopped source go on: its stopped partitions with what the broker still
    /// holds of them, the others where they stand. A batch that it held back is read as new.
    pub fn restart(
        &mut self,
        source: &str,
        place: impl Fn(u32) -> Option<StartAt>,
    ) -> Result<(), ResumeError> {
        let known = |g: &Group| g.names.iter().any(|n| n == source);
        let group = self.groups.iter().position(known).ok_or(ResumeError::Unknown)?;
        let stopped = std::mem::take(&mut self.groups[group].stopped);
        if stopped.is_empty() {
            return Err(ResumeError::IsNotStopped);
        }
        let where_to = |index: u32, name: &TopicPartition| match stopped.contains_key(name) {
            true => None,
            false => place(index),
        };
        let at: BTreeMap<u32, Option<StartAt>> =
            self.partitions_of(group).map(|i| (i, where_to(i, &self.partitions[i as usize].name))).collect();
        self.release(group, |index| at.get(&index).copied().flatten());
        Ok(())
    }

    /// The group goes on, each partition from the place that `place` gives for its index.
    pub fn release(&mut self, group: usize, place: impl Fn(u32) -> Option<StartAt>) {
        let Group { names, stored, trial, .. } = &mut self.groups[group];
        (stored.hold, stored.read, stored.dead, *trial) = (None, 0, 0, None);
        tracing::info!(source = %names.join(", "), accepting = stored.accepting, "source goes on");
        let mut seeks = Vec::new();
        for (index, partition) in (0u32..).zip(&mut self.partitions).filter(|(_, p)| p.group == group) {
            partition.gate = Gate::Shut;
            let to = place(index).map_or(Seek::Earliest, Seek::At);
            seeks.push((partition.name.clone(), to));
        }
        if !seeks.is_empty() {
            self.asks.push(Ask::Seek(seeks));
        }
    }

    /// An operator lets a source go on. Gives its group if it is to be released at once.
    pub fn resume(
        &mut self,
        source: &str,
        accept_dead: bool,
        place: impl Fn(u32) -> Option<StartAt>,
    ) -> Result<Option<usize>, ResumeError> {
        let known = |g: &Group| g.names.iter().any(|n| n == source);
        let group = self.groups.iter().position(known).ok_or(ResumeError::Unknown)?;
        if self.groups[group].stored.hold.is_none() || !self.groups[group].stopped.is_empty() {
            return Err(ResumeError::DoesNotHold);
        }
        self.groups[group].stored.accepting = accept_dead;
        if accept_dead {
            return Ok(Some(group));
        }
        self.groups[group].retry();
        let missing = self.groups[group].trial.as_ref().map(|t| t.missing.clone()).unwrap_or_default();
        let mut seeks = Vec::new();
        for (index, partition) in (0u32..).zip(&mut self.partitions).filter(|(_, p)| p.group == group) {
            if let Some((from, _)) = missing.get(&partition.name) {
                partition.gate = Gate::Shut;
                let to = place(index).unwrap_or(StartAt { next: *from, last: None });
                seeks.push((partition.name.clone(), Seek::At(to)));
            }
        }
        self.asks.push(Ask::Seek(seeks));
        Ok(None)
    }

    /// Why a source stands still, if it does.
    pub fn text(&self, source: &str) -> Option<String> {
        let group = self.groups.iter().find(|g| g.names.iter().any(|n| n == source))?;
        group.stopped_text().or_else(|| group.text())
    }

    /// Why sources hold; None when none does.
    pub fn held(&self) -> Option<String> {
        self.all(Group::text)
    }

    /// Why sources have stopped; None when none has.
    pub fn stopped(&self) -> Option<String> {
        self.all(Group::stopped_text)
    }

    fn all(&self, text: impl Fn(&Group) -> Option<String>) -> Option<String> {
        let texts: Vec<String> = self.groups.iter().filter_map(text).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    pub fn take_asks(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.asks)
    }

    /// What has changed since it was last asked for, by source.
    pub fn changed(&mut self) -> Vec<(String, StoredSource)> {
        let mut changed = Vec::new();
        for group in self.groups.iter_mut().filter(|g| g.stored != g.written) {
            group.written = group.stored.clone();
            changed.extend(group.names.iter().map(|name| (name.clone(), group.stored.clone())));
        }
        changed
    }
}

impl Group {
    fn new(decl: &SourceDecl, stored: Option<&StoredSource>) -> Group {
        let stored = stored.cloned().unwrap_or_default();
        Group {
            names: vec![decl.name.clone()],
            topics: decl.topics.clone(),
            max_dead_share: decl.max_dead_share,
            written: stored.clone(),
            stored,
            trial: None,
            stopped: BTreeMap::new(),
        }
    }

    fn shares_topics(&self, other: &Group) -> bool {
        self.topics.iter().any(|t| other.topics.contains(t))
    }

    /// Becomes one with another group; the stricter bound holds for both.
    fn join(&mut self, other: Group) {
        self.names.splice(0..0, other.names);
        self.topics.extend(other.topics);
        self.max_dead_share = self.max_dead_share.min(other.max_dead_share);
        self.stored.hold = self.stored.hold.take().or(other.stored.hold);
    }

    /// Brings the batch that failed together once more, if the group holds.
    fn retry(&mut self) {
        let Some(hold) = &self.stored.hold else { return };
        let read = |(name, _): &(&TopicPartition, &(i64, i64))| self.topics.contains(&name.topic);
        let missing: BTreeMap<_, _> = hold.batch.iter().filter(read).map(|(n, r)| (n.clone(), *r)).collect();
        if missing.is_empty() {
            // Its topic was taken out of the configuration.
            self.stored.hold = None;
            return;
        }
        self.trial = Some(Trial { records: RecordBatch::default(), missing });
    }

    /// Whether it holds or has stopped.
    fn stands(&self) -> bool {
        self.stored.hold.is_some() || !self.stopped.is_empty()
    }

    fn stopped_text(&self) -> Option<String> {
        let reasons: Vec<&str> = self.stopped.values().map(String::as_str).collect();
        (!reasons.is_empty()).then(|| {
            format!(
                "source {} has stopped: {}; bring back what is missing and start again, or accept the gap: `weir source \
                 restart {} --from earliest` goes on with what the broker holds and notes the gap",
                self.names.join(", "),
                reasons.join("; "),
                self.names[0],
            )
        })
    }

    fn text(&self) -> Option<String> {
        let hold = self.stored.hold.as_ref()?;
        let first = |d: &StoredDead| {
            format!(
                "{} {} @ {} ({}): {}",
                d.partition.topic, d.partition.partition, d.offset, d.code, d.reason
            )
        };
        let first: Vec<String> = hold.first.iter().map(first).collect();
        Some(format!(
            "source {} holds: {} of {} records of a batch ({} %) cannot be read, more than `max_dead_share` {} %; \
             first {}; nothing of the batch is taken, and its offsets stay: mend the source's declaration and start \
             again, or `weir source resume {} --accept-dead` to make them dead letters",
            self.names.join(", "),
            hold.dead,
            hold.read,
            hold.dead * 100 / hold.read.max(1),
            self.max_dead_share * 100.0,
            first.join("; "),
            self.names[0],
        ))
    }
}
