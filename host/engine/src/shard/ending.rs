//! The end of an epoch: metrics end it one by one, then everything is put into one commit.

use super::{EpochCommit, Shard};
use crate::metric::{Boundary, Chunks, EpochRows, Metric, MetricError};
use crate::outbox;
use crate::stored::{encode, encode_position};
use crate::watermark::Watermarks;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::Micros;
use weir_types::live::{Condition, EpochUpdate, LiveRow, MetricCost, SourceStatus};
use weir_types::ports::{StateError, WriteSet};
use weir_types::rows::{DeadLetterRow, EpochRow};

/// Epochs between two checkpoints of a metric.
const CHECKPOINT_EVERY: u64 = 64;

/// Epochs between two checkpoints of a metric that holds more slots than it may.
const CHECKPOINT_EVERY_FULL: u64 = 16;

/// Delivered epochs whose rows one write deletes: after a sink was away for days, more would make it too
/// large. The others are deleted by the writes that follow.
const NOTED_MOST: u64 = 10_000;

/// Epochs after a checkpoint in which it has surely become durable: the pipeline is two deep.
const COOL_AFTER: u64 = 8;

impl Shard {
    /// Ends the running epoch. Reads cold slots that are needed from the store; after an error the
    /// shard must be dropped.
    pub fn end_epoch(
        &mut self,
        now: Micros,
        flush: bool,
        generation: Option<u64>,
        delivered: u64,
    ) -> Result<EpochCommit, StateError> {
        let clock = self.clock(now);
        for source in 0..self.batches.len() {
            self.process(source, clock);
            self.end_rebuild(source, clock);
        }
        self.mend(clock);
        let epoch = self.head.epoch + 1;
        let clock_before = (self.head.epoch > 0).then_some(self.head.clock);
        let flush = std::mem::take(&mut self.flush_next) || flush;
        let boundary = Boundary { epoch, clock, clock_before, flush };
        let advanced = self.sources.advanced(clock);
        let mut writes = std::mem::take(&mut self.extra_writes);
        let mut rows = std::mem::take(&mut self.rows);
        let mut failed = Vec::new();
        let share = self.share_of_slots();
        self.prepare_bases();
        let mut metrics = std::mem::take(&mut self.metrics);
        for (at, metric) in metrics.iter_mut().enumerate() {
            let watermarks = self.watermarks_of(metric, &advanced);
            match self.end_metric(metric, boundary, watermarks, share, &mut writes, &mut rows) {
                Ok(()) => {}
                Err(MetricError::Guest(error)) => failed.push((at, error.to_string())),
                Err(MetricError::State(error)) => return Err(error),
            }
        }
        self.metrics = metrics;
        self.quarantine(failed);
        self.sources.settle(clock, advanced);
        self.end_catchups(boundary, share, &mut writes, &mut rows)?;
        self.end_derived(boundary, &mut writes, &mut rows)?;
        self.forget_runs();
        self.suspend(epoch);
        let start = (self.monotonic)();
        for table in &mut self.tables {
            table.save(epoch, &self.shared.partitions, &self.keys, &self.shared.texts, &mut writes);
        }
        for versions in self.versions.iter_mut().flatten() {
            versions.save(epoch, &self.keys, &mut writes);
        }
        self.forget_texts();
        *self.stages.entry("encode").or_default() += ((self.monotonic)() - start).as_nanos() as u64;
        Ok(self.close_epoch(boundary, rows, writes, generation, delivered))
    }

    /// Forgets texts that stand in no key and no row any more, each time that they have doubled: texts like those
    /// of primary keys come without end. Here no batch is in work that holds others.
    fn forget_texts(&mut self) {
        let texts = &self.shared.texts;
        if texts.len() < self.options.texts_before_sweep || !texts.have_doubled() {
            return;
        }
        let mut needed = texts.none_needed();
        self.shared.spaces.iter().for_each(|space| space.needs(&mut needed));
        self.opened().for_each(|metric| metric.needs(&mut needed));
        self.derived.iter().for_each(|derived| derived.needs(&mut needed));
        self.tables.iter().for_each(|table| table.needs(&mut needed));
        self.shared.texts.keep(&needed);
    }

    /// The share of its slots that each metric may keep so that all together keep to the total.
    fn share_of_slots(&self) -> f64 {
        let hot: u64 = self.opened().map(Metric::hot_slots).sum();
        (self.options.hot_slots_total as f64 / hot.max(1) as f64).min(1.0)
    }

    /// Ends the epoch for one metric. After an error nothing of it is in the writes and the rows.
    pub(super) fn end_metric(
        &mut self,
        metric: &mut Metric,
        boundary: Boundary,
        watermarks: Watermarks,
        share: f64,
        writes: &mut WriteSet,
        rows: &mut EpochRows,
    ) -> Result<(), MetricError> {
        let before = Lengths::of(writes, rows);
        let (checkpoint, state_version) = (metric.entry.checkpoint, metric.entry.state_version);
        let ended = self.try_end_metric(metric, boundary, watermarks, share, writes, rows);
        match ended {
            Ok(()) => metric.kinds_saved(),
            Err(_) => {
                before.restore(writes, rows);
                // What a checkpoint of this epoch was to cover lies in the store as before.
                (metric.entry.checkpoint, metric.entry.state_version) = (checkpoint, state_version);
            }
        }
        ended
    }

    fn try_end_metric(
        &mut self,
        metric: &mut Metric,
        boundary: Boundary,
        watermarks: Watermarks,
        share: f64,
        writes: &mut WriteSet,
        rows: &mut EpochRows,
    ) -> Result<(), MetricError> {
        let clock = self.monotonic.clone();
        let mut mark = clock();
        let mut lap = |stages: &mut BTreeMap<&'static str, u64>, stage| {
            let now = clock();
            *stages.entry(stage).or_default() += (now - mark).as_nanos() as u64;
            mark = now;
        };
        let chunks = Chunks { store: &*self.store, keys: &self.keys };
        metric.note_peak();
        metric.save_kinds(&self.keys, &self.shared.calendar, writes);
        metric.save_cells(boundary.epoch, &self.shared, &self.keys, writes)?;
        lap(&mut self.stages, "encode");
        metric.merge_cells(&mut self.shared, boundary.epoch, &chunks)?;
        lap(&mut self.stages, "merge");
        let allowed = match share < 1.0 {
            true => self.options.hot_slots.min((metric.hot_slots() as f64 * share) as u64),
            false => self.options.hot_slots,
        };
        let seen = metric.warm_for_end(watermarks, boundary.epoch, allowed, &mut self.shared, &chunks)?;
        metric.finish(boundary, watermarks, &self.shared, rows)?;
        metric.cool_seen(seen, allowed)?;
        lap(&mut self.stages, "evaluate");
        let turn = blake3::hash(metric.info.name.as_bytes()).as_bytes()[0];
        let phase = boundary.epoch + u64::from(turn);
        let every = match metric.hot_slots() > allowed {
            true => CHECKPOINT_EVERY_FULL,
            false => CHECKPOINT_EVERY,
        };
        if metric.take_whole() || phase.is_multiple_of(every) {
            metric.checkpoint(boundary.epoch, &self.shared, &self.keys, writes)?;
        }
        if phase % every == COOL_AFTER {
            metric.cool(allowed, self.durable)?;
        }
        if phase.is_multiple_of(CHECKPOINT_EVERY) {
            metric.renew_bloated()?;
        }
        lap(&mut self.stages, "encode");
        Ok(())
    }

    fn close_epoch(
        &mut self,
        boundary: Boundary,
        mut rows: EpochRows,
        mut writes: WriteSet,
        generation: Option<u64>,
        delivered: u64,
    ) -> EpochCommit {
        let start = (self.monotonic)();
        keep_newest(&mut rows.outbox.dead_letters);
        rows.outbox.epochs.push(EpochRow {
            epoch: boundary.epoch,
            clock: boundary.clock,
            partitions: self.sources.take_epoch(),
            digests: self.digests(),
            gaps: std::mem::take(&mut self.gaps),
            redriven: std::mem::take(&mut self.redriven),
        });
        self.taken_up.clear();
        outbox::put(&mut rows.outbox, boundary.epoch, &self.keys, &mut writes);
        let noted = delivered.clamp(self.head.delivered, self.head.delivered + NOTED_MOST);
        (self.head.delivered + 1..=noted).for_each(|e| outbox::delete(e, &self.keys, &mut writes));
        if let Some(lost) = self.lost {
            if delivered > lost.epoch {
                writes.delete(self.keys.imported());
                self.lost = None;
            } else {
                writes.put(self.keys.imported(), encode(&lost));
            }
        }
        for (metric, position) in std::mem::take(&mut self.positions) {
            match position {
                Some(position) => {
                    writes.put(self.keys.position(&metric), encode_position(&position));
                    self.stood.insert(metric, position);
                }
                None => {
                    writes.delete(self.keys.position(&metric));
                    self.stood.remove(&metric);
                }
            }
        }
        let partitions = self.sources.stored();
        self.keep_findings(boundary.epoch, &partitions, &mut writes);
        self.head.epoch = boundary.epoch;
        self.head.clock = boundary.clock;
        self.head.generation = generation.or(self.head.generation);
        self.head.delivered = noted;
        self.head.partitions = partitions;
        self.head.watermarks = self.marks_by_source();
        let resting = self.resting.iter().map(|(e, _)| e.clone());
        let derived = self.derived.iter().map(|d| d.entry.clone());
        self.head.metrics = self.opened().map(|m| m.entry.clone()).chain(derived).chain(resting).collect();
        if let Some(runs) = self.shapes.changed() {
            writes.put(self.keys.runs(), encode(&runs));
        }
        let names = self.options.sources.iter().zip(&self.tables);
        self.head.row_columns = names.map(|(s, t)| (s.name.clone(), t.column_names())).collect();
        self.sources.save_dead(&self.keys, &mut writes);
        for (source, stored) in self.holds.changed() {
            writes.put(self.keys.source(&source), encode(&stored));
        }
        writes.put(self.keys.head(), encode(&self.head));
        *self.stages.entry("encode").or_default() += ((self.monotonic)() - start).as_nanos() as u64;
        self.rows.make_room_as_in(&rows);
        let update = self.update(boundary, std::mem::take(&mut rows.live), &writes);
        self.bytes = 0;
        self.read_any = false;
        self.must_commit = false;
        EpochCommit {
            writes,
            update,
            outbox: rows.outbox,
            next_offsets: self.sources.next_offsets(),
            prepare: std::mem::take(&mut self.prepare),
            conditions: self.changed_conditions(),
        }
    }

    /// The components of all metrics that run.
    fn digests(&self) -> BTreeMap<String, String> {
        let entries = self.metrics.iter().map(|m| &m.entry).chain(self.derived.iter().map(|d| &d.entry));
        entries.map(|entry| (entry.name.clone(), entry.digest.clone())).collect()
    }

    pub(super) fn marks_by_source(&self) -> BTreeMap<String, Watermarks> {
        let names = self.options.sources.iter().map(|s| s.name.clone());
        names.zip(self.sources.watermarks.iter().copied()).collect()
    }

    fn changed_conditions(&mut self) -> Vec<(&'static str, Option<Condition>)> {
        let now = [("resnapshot", self.rebuild_condition()), ("suspended", self.suspended_condition())];
        let told = &mut self.told;
        let news = now.into_iter().filter(|(part, condition)| told.get(part) != condition.as_ref());
        let news: Vec<(&'static str, Option<Condition>)> = news.collect();
        for (part, condition) in &news {
            match condition {
                Some(condition) => drop(told.insert(part, condition.clone())),
                None => drop(told.remove(part)),
            }
        }
        news
    }

    fn update(&mut self, boundary: Boundary, live: Vec<LiveRow>, writes: &WriteSet) -> EpochUpdate {
        let mut stages = std::mem::take(&mut self.stages);
        let catching_up = self.catchups.iter_mut().map(|c| &mut c.metric);
        for metric in self.metrics.iter_mut().chain(catching_up) {
            for (stage, ns) in std::mem::take(&mut metric.stages) {
                *stages.entry(stage).or_default() += ns;
            }
        }
        let changed = std::mem::take(&mut self.catalogue_changed);
        EpochUpdate {
            epoch: boundary.epoch,
            clock: boundary.clock,
            generation: self.head.generation,
            rows: live,
            catalogue: changed.then(|| Arc::new(self.catalogue())),
            costs: self.costs(),
            sources: self.source_status(boundary.clock),
            stages_ns: stages,
            write_bytes: writes.size_bytes() as u64,
        }
    }

    fn costs(&self) -> BTreeMap<String, MetricCost> {
        let metrics = self.opened().map(|m| (m.info.name.clone(), m.cost_now()));
        metrics.chain(self.derived.iter().map(|d| (d.info.name.clone(), d.cost_now()))).collect()
    }

    pub(super) fn source_status(&self, clock: Micros) -> Vec<SourceStatus> {
        let mut all = self.sources.status(clock);
        for source in &mut all {
            source.trouble = self.holds.text(&source.name).or(source.trouble.take());
        }
        all
    }
}

/// One that was redriven twice, or of which a metric could not use two rows, has one row: of two of one key and
/// version it would be left to chance which stands.
fn keep_newest(letters: &mut Vec<DeadLetterRow>) {
    if letters.len() < 2 {
        return;
    }
    let mut seen = BTreeSet::new();
    letters.reverse();
    letters.retain(|l| seen.insert((l.partition.clone(), l.offset, l.metric.clone())));
    letters.reverse();
}

/// How long everything is to which a metric adds at the end of an epoch.
pub(super) struct Lengths {
    puts: usize,
    deletes: usize,
    live: usize,
    realtime: usize,
    latest: usize,
}

impl Lengths {
    pub(super) fn of(writes: &WriteSet, rows: &EpochRows) -> Lengths {
        Lengths {
            puts: writes.puts.len(),
            deletes: writes.deletes.len(),
            live: rows.live.len(),
            realtime: rows.outbox.realtime.len(),
            latest: rows.outbox.latest.len(),
        }
    }

    pub(super) fn restore(&self, writes: &mut WriteSet, rows: &mut EpochRows) {
        writes.puts.truncate(self.puts);
        writes.deletes.truncate(self.deletes);
        rows.live.truncate(self.live);
        rows.outbox.realtime.truncate(self.realtime);
        rows.outbox.latest.truncate(self.latest);
    }
}
