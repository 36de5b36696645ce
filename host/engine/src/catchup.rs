//! A metric that was stopped reads by itself what it has missed.
//!
//! It has a position of its own, which is part of each epoch's write as the shard's is. When little is left,
//! the batches that the shard shows to the others are held for it from an epoch's end on; once its reader has
//! come to that end, it takes the held ones and goes on with the others: no gap, and nothing counts twice.

mod readers;

pub use readers::Readers;

use crate::findings::{Chunk, Findings, Unfound, place};
use crate::metric::{Metric, Running};
use crate::shard::BATCH_ROWS;
use crate::shared::Shared;
use crate::sources::{Replay, greatest_time, moved_mark, replay};
use crate::stored::{Keyspace, ReplayMark, StoredMissed, StoredPartition, StoredPosition};
use crate::view::View;
use crate::watermark::{Bounds, Partition, Reached, Times, Watermarks};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_decode::{Decoder, Outcome};
use weir_types::Micros;
use weir_types::batch::{ChangeBatch, Op};
use weir_types::contract::GuestError;
use weir_types::ports::{StartAt, StateError, StateStore};
use weir_types::record::{Record, RecordBatch, TopicPartition};
use weir_types::schema::SourceDecl;

/// Records behind the shard from which on batches are held.
const NEAR: i64 = 65_536;
/// Bytes of columns that are held at the most; beyond, the metric goes on reading by itself.
const HELD_BYTES: usize = 64 << 20;

/// Epochs without a record of its own reader after which that is started anew, if it has not arrived.
const QUIET: u32 = 10;

/// What the shard knows of records that they do not say.
pub struct Known<'a> {
    /// Whether the record at an offset of a partition is a dead letter.
    pub is_dead: &'a dyn Fn(u32, i64) -> bool,
    pub findings: &'a Findings,
    pub keys: &'a Keyspace,
    pub store: &'a dyn StateStore,
}

/// Why it cannot read on.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The shard cannot go on.
    #[error(transparent)]
    State(StateError),
    #[error(transparent)]
    Guest(#[from] GuestError),
    #[error("{0}")]
    Unfound(String),
}

impl From<Unfound> for CatchUpError {
    fn from(error: Unfound) -> CatchUpError {
        match error {
            Unfound::State(error) => CatchUpError::State(error),
            Unfound::Gone => CatchUpError::Unfound(error.to_string()),
        }
    }
}

/// Where it stands in one partition of the shard's list.
struct Cursor {
    partition: TopicPartition,
    /// Topic of the decoder; None if the metric does not read it.
    topic: Option<usize>,
    next: Option<i64>,
    mark: Option<ReplayMark>,
    times: Times,
    /// Whether its reader came to the end since it began.
    ended: bool,
    /// Whether records were passed over since it began, because the shard had not taken them yet.
    overran: bool,
    /// The findings that were used last, by source.
    found: BTreeMap<usize, Arc<Chunk>>,
}

/// The way into the shard.
struct Joining {
    /// Where the shard stood, by partition, when holding began.
    targets: Vec<Option<i64>>,
    held: Vec<(usize, ChangeBatch)>,
    bytes: usize,
    /// Epochs since it last read something.
    quiet: u32,
}

/// See the module.
pub struct CatchUp {
    pub metric: Metric,
    decls: Vec<Arc<SourceDecl>>,
    inputs: BTreeSet<usize>,
    decoder: Decoder,
    batches: Vec<ChangeBatch>,
    cursors: Vec<Cursor>,
    /// Where it was when this process took it up, and which rows it has seen beyond.
    position: StoredPosition,
    shown: BTreeMap<(usize, TopicPartition), (i64, u32)>,
    watermarks: Vec<Watermarks>,
    /// Where the shard stood at the end of the last epoch, by partition: it never reads past that.
    bounds: Vec<Option<i64>>,
    joining: Option<Joining>,
    /// Readers that were started for it so far: a reader of another number is out of date.
    pub reader: u64,
}

impl CatchUp {
    pub fn new(
        metric: Metric,
        decls: &[Arc<SourceDecl>],
        position: StoredPosition,
        shared: &Shared,
    ) -> CatchUp {
        let inputs: BTreeSet<usize> = metric.plan.inputs.iter().map(|i| i.source).collect();
        let mut decoder = Decoder::new(decls);
        for source in &inputs {
            decoder.set_asked(*source, &metric.plan.columns_of(*source));
        }
        let index = |name: &str| decls.iter().position(|d| d.name == name);
        let shown = position.shown.iter();
        let shown = shown.filter_map(|s| Some(((index(&s.source)?, s.partition.clone()), (s.offset, s.row))));
        let mut it = CatchUp {
            watermarks: decls
                .iter()
                .map(|d| position.watermarks.get(&d.name).copied().unwrap_or_default())
                .collect(),
            shown: shown.collect(),
            batches: decls.iter().map(|d| ChangeBatch::new(d.columns.len())).collect(),
            decls: decls.to_vec(),
            metric,
            inputs,
            decoder,
            cursors: Vec::new(),
            position,
            bounds: Vec::new(),
            joining: None,
            reader: 1,
        };
        shared.partitions.iter().for_each(|partition| it.join(partition));
        it
    }

    /// A partition joins the shard's list.
    pub fn join(&mut self, partition: &TopicPartition) {
        let stored = self.position.partitions.get(partition);
        let topic = self.decoder.topics().iter().position(|t| *t == partition.topic);
        let reads = |source: &usize| self.decls[*source].topics.contains(&partition.topic);
        let sources: Vec<usize> = self.inputs.iter().copied().filter(reads).collect();
        self.cursors.push(Cursor {
            topic: topic.filter(|_| !sources.is_empty()),
            next: stored.map(|s| s.next),
            mark: stored.and_then(|s| s.mark),
            times: Times::new(sources.into_iter(), stored.and_then(|s| s.greatest), Micros::MIN),
            ended: false,
            overran: false,
            found: BTreeMap::new(),
            partition: partition.clone(),
        });
    }

    /// Topics that its reader reads.
    pub fn topics(&self) -> Vec<String> {
        let topics: BTreeSet<&String> = self.inputs.iter().flat_map(|s| &self.decls[*s].topics).collect();
        topics.into_iter().cloned().collect()
    }

    /// Where its reader begins.
    pub fn start(&self) -> BTreeMap<TopicPartition, StartAt> {
        let at = |s: StoredPartition| StartAt { next: s.next, last: s.last };
        self.position().partitions.into_iter().map(|(p, s)| (p, at(s))).collect()
    }

    /// Where it stands.
    pub fn position(&self) -> StoredPosition {
        let mut position = self.position.clone();
        for cursor in &self.cursors {
            let Some(next) = cursor.next else { continue };
            let known = position.partitions.get(&cursor.partition);
            let last = known.filter(|k| k.next == next).and_then(|k| k.last);
            let stored = StoredPartition { next, last, greatest: cursor.times.least(), mark: cursor.mark };
            position.partitions.insert(cursor.partition.clone(), stored);
        }
        let marks = self.decls.iter().zip(&self.watermarks).map(|(d, w)| (d.name.clone(), *w));
        position.watermarks = marks.collect();
        position
    }

    /// Records of its own reader. `index_of` translates the reader's partitions into the shard's.
    pub fn read(
        &mut self,
        records: &RecordBatch,
        index_of: &[u32],
        known: &Known<'_>,
        run: &mut Running<'_>,
    ) -> Result<(), CatchUpError> {
        if let Some(joining) = &mut self.joining {
            joining.quiet = 0;
        }
        for record in records.iter() {
            let record = Record { partition: index_of[record.partition as usize], ..record };
            if let Some(source) = self.record(&record, known, run.now)?
                && self.batches[source].len() >= BATCH_ROWS
            {
                self.process(source, run)?;
            }
        }
        Ok(self.process_all(run)?)
    }

    /// Decodes one record; gives the source whose batch it went to. What cannot be read was dead-lettered
    /// when the shard read it.
    fn record(
        &mut self,
        record: &Record<'_>,
        known: &Known<'_>,
        now: Micros,
    ) -> Result<Option<usize>, CatchUpError> {
        let Some(topic) = self.admit(record) else { return Ok(None) };
        // A dead letter counts for all when it is redriven, whoever could read it by now.
        if (known.is_dead)(record.partition, record.offset) {
            return Ok(None);
        }
        let Outcome::Applied { source, rows } = self.decoder.decode(topic, record, &mut self.batches) else {
            return Ok(None);
        };
        let found = self.found(source, record, known)?;
        let (batch, cursor) = (&mut self.batches[source], &mut self.cursors[record.partition as usize]);
        let first = batch.len() - rows as usize;
        if let Some(origin) = batch.origins[first].filter(|_| !batch.ops[first].is_read()) {
            if replay(cursor.mark.as_ref(), &origin) == Replay::Repeat {
                batch.truncate(first);
                return Ok(None);
            }
            cursor.mark = Some(moved_mark(cursor.mark, origin));
        }
        if let Some(found) = &found
            && !found.keep_new(batch, first)
        {
            return Ok(None);
        }
        if let Some(time) = greatest_time(batch, first, now) {
            cursor.times.reached(source, time);
        }
        if let Some(found) = &found {
            found.complete(batch, first);
        }
        if let Some(seen) = self.shown.get(&(source, cursor.partition.clone())) {
            let was_shown = |row: &usize| (record.offset, batch.rows_in_record[*row]) < *seen;
            for row in (first..batch.len()).take_while(was_shown) {
                // As a snapshot's read it is no event.
                batch.ops[row] = Op::Read;
            }
        }
        Ok(Some(source))
    }

    /// Comes to a record; gives the topic that it is to be decoded as, if it is next.
    fn admit(&mut self, record: &Record<'_>) -> Option<usize> {
        let at = record.partition as usize;
        let topic = self.cursors[at].topic?;
        let bounds = self.joining.as_ref().map_or(&self.bounds, |joining| &joining.targets);
        let cursor = &mut self.cursors[at];
        if record.offset >= bounds.get(at).copied().flatten().unwrap_or(0) {
            // The shard will show it to the metric, or a new reader will bring it.
            (cursor.ended, cursor.overran) = (self.joining.is_some(), true);
            return None;
        }
        if cursor.next.is_some_and(|next| record.offset < next) {
            return None;
        }
        cursor.next = Some(record.offset + 1);
        Some(topic)
    }

    /// The findings of a record, if its source has any.
    fn found(
        &mut self,
        source: usize,
        record: &Record<'_>,
        known: &Known<'_>,
    ) -> Result<Option<Arc<Chunk>>, Unfound> {
        if !known.findings.are_of(source) {
            return Ok(None);
        }
        let Cursor { partition, found, .. } = &mut self.cursors[record.partition as usize];
        if let Some(chunk) = found.get(&source).filter(|chunk| chunk.spans(record.offset)) {
            return Ok(Some(chunk.clone()));
        }
        let chunk = known.findings.of(source, partition, record.offset, (known.keys, known.store))?;
        found.insert(source, chunk.clone());
        Ok(Some(chunk))
    }

    /// Shows it the redriven dead letters that it has missed, before its cells of the epoch are saved: it may
    /// arrive at that epoch's end. They move no mark and no time, as they did not when they were redriven.
    pub fn take_missed(&mut self, known: &Known<'_>, run: &mut Running<'_>) -> Result<(), CatchUpError> {
        let (missed, later) = std::mem::take(&mut self.position.missed)
            .into_iter()
            .partition::<Vec<_>, _>(|m| self.cursors.iter().any(|c| c.partition == m.partition));
        self.position.missed = later;
        for missed in missed {
            self.take_one_missed(missed, known)?;
        }
        Ok(self.process_all(run)?)
    }

    fn take_one_missed(&mut self, missed: StoredMissed, known: &Known<'_>) -> Result<(), CatchUpError> {
        let Some(at) = self.cursors.iter().position(|c| c.partition == missed.partition) else {
            return Ok(());
        };
        let Some(topic) = self.cursors[at].topic else { return Ok(()) };
        let (partition, offset) = (missed.partition.clone(), missed.offset);
        let record = missed.record();
        let outcome = self.decoder.decode(topic, &record.at(at as u32, offset), &mut self.batches);
        let Outcome::Applied { source, rows } = outcome else { return Ok(()) };
        if known.findings.are_of(source) {
            let place = (place(&self.position.partitions, &partition), offset);
            let found = known.findings.of_redriven(source, &partition, place, (known.keys, known.store))?;
            let batch = &mut self.batches[source];
            let first = batch.len() - rows as usize;
            found.keep_new(batch, first);
            found.complete(batch, first);
        }
        Ok(())
    }

    fn process(&mut self, source: usize, run: &mut Running<'_>) -> Result<(), GuestError> {
        let mut batch = std::mem::take(&mut self.batches[source]);
        let done = match batch.is_empty() {
            true => Ok(()),
            false => self.metric.observe(source, &mut View::new(&batch), run),
        };
        batch.clear();
        self.batches[source] = batch;
        done
    }

    fn process_all(&mut self, run: &mut Running<'_>) -> Result<(), GuestError> {
        (0..self.batches.len()).try_for_each(|source| self.process(source, run))
    }

    /// Its reader came to the end of a partition.
    pub fn reached_end(&mut self, partition: u32) {
        if let Some(cursor) = self.cursors.get_mut(partition as usize) {
            cursor.ended = true;
        }
    }

    /// Its watermarks at the end of an epoch: those of what it has read. It never counts as idle. They do not pass the
    /// shard's, by source, which it has once it arrives: what it forgets before must be late then. `joined`: whether
    /// all partitions that were read before have joined; until then they stay where they are.
    pub fn advance(&mut self, now: Micros, live: &[Watermarks], joined: bool) -> Watermarks {
        for source in self.inputs.iter().filter(|_| joined) {
            let decl = &self.decls[*source];
            let ours = self.cursors.iter().filter(|c| decl.topics.contains(&c.partition.topic));
            let times: Vec<Partition> = ours.map(|c| c.times.of(*source)).collect();
            let bounds = Bounds { out_of_orderness: decl.out_of_orderness, idle_after: decl.idle_after };
            let own = &mut self.watermarks[*source];
            let read = own.advance(&times, now, bounds, &Reached::default());
            *own = own.greatest(Watermarks::least([read, live[*source]].into_iter()));
        }
        Watermarks::least(self.inputs.iter().map(|s| self.watermarks[*s]))
    }

    /// At the end of an epoch, with the shard's next offsets by partition: begins to hold, if little is left.
    pub fn approach(&mut self, live: &[Option<i64>]) {
        if let Some(joining) = &mut self.joining {
            joining.quiet += 1;
            if joining.quiet > QUIET {
                // The last records in front of it may be gone from the topic: a new reader tells its end anew.
                joining.quiet = 0;
                self.renew_reader();
            }
            return;
        }
        self.bounds = live.to_vec();
        let left = |cursor: &Cursor, live: &Option<i64>| match cursor.topic {
            Some(_) => (live.unwrap_or(0) - cursor.next.unwrap_or(0)).max(0),
            None => 0,
        };
        let both = || self.cursors.iter().zip(live);
        let is_near = both().map(|(cursor, live)| left(cursor, live)).sum::<i64>() <= NEAR;
        if both().any(|(cursor, live)| cursor.overran && left(cursor, live) > 0) {
            self.renew_reader();
        }
        if is_near {
            self.cursors.iter_mut().for_each(|c| c.ended = false);
            self.joining = Some(Joining { targets: live.to_vec(), held: Vec::new(), bytes: 0, quiet: 0 });
        }
    }

    fn renew_reader(&mut self) {
        self.reader += 1;
        self.cursors.iter_mut().for_each(|c| (c.ended, c.overran) = (false, false));
    }

    /// A batch that the shard shows to the others.
    pub fn hold(&mut self, source: usize, batch: &ChangeBatch) {
        let Some(joining) = self.joining.as_mut().filter(|_| self.inputs.contains(&source)) else { return };
        joining.bytes += batch.size_bytes();
        if joining.bytes <= HELD_BYTES {
            return joining.held.push((source, batch.clone()));
        }
        tracing::info!(metric = %self.metric.info.name, "more came than can be held: it goes on reading by itself");
        self.joining = None;
        self.renew_reader();
    }

    /// Whether all that is left to it is held.
    pub fn has_arrived(&self) -> bool {
        let Some(joining) = &self.joining else { return false };
        let there = |(at, cursor): (usize, &Cursor)| {
            // A partition that joined later is held from its beginning.
            let target = joining.targets.get(at).copied().flatten();
            cursor.topic.is_none()
                || cursor.ended
                || target.is_none_or(|t| cursor.next.is_some_and(|n| n >= t))
        };
        self.cursors.iter().enumerate().all(there)
    }

    /// Takes what is held; gives the metric, which then stands where the shard does.
    pub fn arrive(mut self, run: &mut Running<'_>) -> Result<Metric, (Box<Metric>, GuestError)> {
        let held = self.joining.take().map(|j| j.held).unwrap_or_default();
        for (source, batch) in held {
            if let Err(error) = self.metric.observe(source, &mut View::new(&batch), run) {
                return Err((Box::new(self.metric), error));
            }
        }
        Ok(self.metric)
    }
}
