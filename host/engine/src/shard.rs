//! One shard: records in, epochs out. Computes only; threads and I/O are in [`crate::run`].

use crate::hold::Holds;
use crate::metric::{Boundary, EpochRows, ImageBatch, Metric, Running, catalogue_entry};
use crate::plan::{Overrides, Plan};
use crate::rowtable::RowTable;
use crate::shared::Shared;
use crate::sources::Sources;
use crate::stored::{Head, Keyspace, Status, StoredMetric, StoredSource, encode};
use crate::view::View;
use crate::watermark::Watermarks;
use crate::{Options, outbox};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use weir_decode::Decoder;
use weir_types::Micros;
use weir_types::batch::ChangeBatch;
use weir_types::contract::{MetricFactory, MetricInfo};
use weir_types::live::{CatalogueEntry, EpochUpdate, MetricCost, SourceStatus};
use weir_types::ports::{LostFuture, StateStore, WriteSet};
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::rows::{EpochRow, Gap, Outbox, PromotedRow, RedrivenRecord};
use weir_types::window::Calendar;

/// Rows of one source that are processed at once: large enough that a call's cost is small against
/// its rows', small enough that columns stay in the cache.
const BATCH_ROWS: usize = 8192;

/// Epochs between two checkpoints of a metric.
const CHECKPOINT_EVERY: u64 = 64;

/// Monotonic time, for costs.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// What one epoch asks of the outside, in this order: write, publish, deliver.
pub struct EpochCommit {
    pub writes: WriteSet,
    pub update: EpochUpdate,
    pub outbox: Outbox,
    pub next_offsets: Vec<(TopicPartition, i64)>,
    /// Metrics whose views the sink must have before rows of theirs come.
    pub prepare: Vec<Arc<MetricInfo>>,
}

/// See the module.
pub struct Shard {
    pub(crate) options: Options,
    pub(crate) shared: Shared,
    pub(crate) sources: Sources,
    pub(crate) holds: Holds,
    pub(crate) metrics: Vec<Metric>,
    /// Metrics of the table that do not run, with what is known of them.
    pub(crate) resting: Vec<(StoredMetric, Option<Arc<MetricInfo>>)>,
    pub(crate) tables: Vec<RowTable>,
    pub(crate) head: Head,
    pub(crate) keys: Keyspace,
    decoder: Decoder,
    /// Topic of the decoder by partition index; None where no source reads it.
    topics: Vec<Option<usize>>,
    batches: Vec<ChangeBatch>,
    rows: EpochRows,
    gaps: Vec<Gap>,
    redriven: Vec<RedrivenRecord>,
    catalogue_changed: bool,
    prepare: Vec<Arc<MetricInfo>>,
    extra_writes: WriteSet,
    monotonic: Monotonic,
    stages: BTreeMap<&'static str, u64>,
    bytes: usize,
    read_any: bool,
    must_commit: bool,
    /// Every due row is emitted with the next epoch, tick or not.
    flush_next: bool,
    /// Set from an import until its first epoch is delivered.
    lost: Option<LostFuture>,
}

impl Shard {
    /// `stored`: how the sources are read, by name.
    pub(crate) fn new(
        options: Options,
        head: Head,
        stored: &BTreeMap<String, StoredSource>,
        monotonic: Monotonic,
    ) -> Shard {
        let decls = options.sources.clone();
        Shard {
            shared: Shared::new(Calendar::new(options.time_zone.clone())),
            sources: Sources::new(decls.clone(), &head),
            holds: Holds::new(&decls, stored),
            metrics: Vec::new(),
            resting: Vec::new(),
            tables: decls.iter().map(|d| RowTable::new((**d).clone())).collect(),
            keys: Keyspace::new(&options.shard),
            decoder: Decoder::new(&decls),
            topics: Vec::new(),
            batches: decls.iter().map(|d| ChangeBatch::new(d.columns.len())).collect(),
            rows: EpochRows::default(),
            gaps: Vec::new(),
            redriven: Vec::new(),
            catalogue_changed: true,
            prepare: Vec::new(),
            extra_writes: WriteSet::default(),
            monotonic,
            stages: BTreeMap::new(),
            bytes: 0,
            read_any: false,
            must_commit: true,
            flush_next: false,
            lost: None,
            options,
            head,
        }
    }

    /// Takes one event of the reader. Fatal events are the caller's.
    pub fn apply(&mut self, event: SourceEvent, now: Micros) {
        match event {
            SourceEvent::Partition { index, partition } => {
                let topic = self.decoder.topics().iter().position(|t| *t == partition.topic);
                self.topics.resize(self.topics.len().max(index as usize + 1), None);
                self.topics[index as usize] = topic;
                self.shared.partitions.push(partition.clone());
                self.holds.join(&partition);
                self.sources.join(partition, now);
            }
            SourceEvent::Records(records) => self.read(&records, now),
            SourceEvent::EndOfPartition { index } => {
                if self.holds.end_of_partition(index) {
                    self.sources.end_of_partition(index);
                }
                self.take_trials(now);
            }
            SourceEvent::Moved { index, next } => self.moved(index, next, now),
            SourceEvent::Stopped { partition, reason } => self.stop(&partition, reason, now),
            SourceEvent::Trouble(trouble) => self.sources.trouble = trouble,
            SourceEvent::Fatal(_) => {}
        }
    }

    /// Shows a source's batch to all metrics, and empties it.
    fn process(&mut self, source: usize, now: Micros) {
        self.show(source, true, now);
    }

    /// `images`: whether it sets current values.
    fn show(&mut self, source: usize, images: bool, now: Micros) {
        let columns = self.options.sources[source].columns.len();
        let mut batch = std::mem::replace(&mut self.batches[source], ChangeBatch::new(columns));
        if batch.is_empty() {
            return;
        }
        self.bytes += batch.size_bytes();
        let monotonic = self.monotonic.clone();
        let mut run = Running {
            shared: &mut self.shared,
            rows: &mut self.rows,
            epoch: self.head.epoch + 1,
            now,
            monotonic: &*monotonic,
        };
        let mut failed = Vec::new();
        let mut view = View::new(&batch);
        for (at, metric) in self.metrics.iter_mut().enumerate().filter(|(_, m)| !m.plan.is_now) {
            if let Err(error) = metric.observe(source, &mut view, &mut run) {
                failed.push((at, error.to_string()));
            }
        }
        if images && self.tables[source].is_used() {
            failed.extend(self.process_images(source, &batch, now));
        }
        self.quarantine(failed);
        batch.clear();
        self.batches[source] = batch;
    }

    fn process_images(&mut self, source: usize, batch: &ChangeBatch, now: Micros) -> Vec<(usize, String)> {
        let clock = self.monotonic.clone();
        let start = clock();
        let any = self.tables[source].take(batch, &mut self.shared.texts);
        *self.stages.entry("rows").or_default() += (clock() - start).as_nanos() as u64;
        if !any {
            return Vec::new();
        }
        let table = &self.tables[source];
        let (images, olds) = table.images();
        let signs: Vec<i64> = (0..images.len()).map(|at| if at < olds { -1 } else { 1 }).collect();
        let monotonic = self.monotonic.clone();
        let epoch = self.head.epoch + 1;
        let mut run =
            Running { shared: &mut self.shared, rows: &mut self.rows, epoch, now, monotonic: &*monotonic };
        let columns = table.columns().to_vec();
        let shown = ImageBatch { source, columns: &columns, images: &images, signs: &signs };
        let mut failed = Vec::new();
        let mut gave = vec![false; images.len()];
        for (at, metric) in self.metrics.iter_mut().enumerate().filter(|(_, m)| m.plan.is_now) {
            let all = metric.info.rows == weir_types::contract::RowMemory::All;
            match metric.observe_images(&shown, &mut run) {
                Ok(own) => gave.iter_mut().zip(own).for_each(|(g, o)| *g |= o | all),
                Err(error) => failed.push((at, error.to_string())),
            }
        }
        let start = clock();
        self.tables[source].settle(gave.into_iter().skip(olds), &self.shared.texts);
        *self.stages.entry("rows").or_default() += (clock() - start).as_nanos() as u64;
        failed
    }

    /// Takes failed metrics out of the stream, their position kept at the last epoch.
    fn quarantine(&mut self, mut failed: Vec<(usize, String)>) {
        failed.sort();
        failed.dedup_by_key(|(at, _)| *at);
        for (at, reason) in failed.into_iter().rev() {
            let mut metric = self.metrics.remove(at);
            tracing::error!(metric = %metric.info.name, %reason, "metric quarantined: retire it and push a mended one");
            metric.entry.status = Status::Quarantined { epoch: self.head.epoch, reason };
            self.resting.push((metric.entry, Some(metric.info)));
            self.catalogue_changed = true;
            self.must_commit = true;
        }
    }

    /// A metric joins from the running epoch on, which must not have begun.
    pub fn join(&mut self, factory: Arc<dyn MetricFactory>, entry: StoredMetric) -> Result<usize, String> {
        let plan = Plan::new(factory.info(), &Overrides { options: &self.options })?;
        let metric = Metric::new(factory, plan, entry, &mut self.shared).map_err(|e| e.to_string())?;
        if metric.plan.is_now {
            for input in &metric.plan.inputs {
                self.tables[input.source].add_columns(input.needed.iter().copied());
            }
        }
        self.prepare.push(metric.info.clone());
        self.metrics.push(metric);
        self.catalogue_changed = true;
        self.must_commit = true;
        self.ask();
        Ok(self.metrics.len() - 1)
    }

    /// Tells the decoder which columns the metrics need.
    fn ask(&mut self) {
        for source in 0..self.options.sources.len() {
            let mut columns: BTreeSet<usize> = self.tables[source].columns().iter().copied().collect();
            columns.extend(self.metrics.iter().flat_map(|m| m.plan.columns_of(source)));
            self.decoder.set_asked(source, &columns);
        }
    }

    /// Announces the incarnation of a metric that has just joined for the first time.
    pub fn promote(&mut self, at: usize) {
        let entry = &self.metrics[at].entry;
        self.rows.outbox.promoted.push(promoted(entry, false, self.head.epoch + 1));
    }

    /// A metric leaves for good.
    pub fn retire(
        &mut self,
        name: &str,
        store: &dyn StateStore,
    ) -> Result<bool, weir_types::ports::StateError> {
        let mut entry = None;
        if let Some(at) = self.metrics.iter().position(|m| m.info.name == name) {
            self.metrics[at].forget(&self.keys, store, &mut self.extra_writes)?;
            entry = Some(self.metrics.remove(at).entry);
        } else if let Some(at) =
            self.resting.iter().position(|(e, _)| e.name == name && e.status != Status::Retired)
        {
            entry = Some(self.resting.remove(at).0);
        }
        let Some(mut entry) = entry else { return Ok(false) };
        self.rows.outbox.promoted.push(promoted(&entry, true, self.head.epoch + 1));
        entry.status = Status::Retired;
        self.resting.retain(|(e, _)| e.name != name);
        self.resting.push((entry, None));
        self.catalogue_changed = true;
        self.must_commit = true;
        self.ask();
        Ok(true)
    }

    /// Bytes of columns since the last epoch.
    pub fn epoch_bytes(&self) -> usize {
        self.bytes + self.batches.iter().map(ChangeBatch::size_bytes).sum::<usize>()
    }

    /// Whether ending the epoch now would give or keep anything.
    pub fn has_work(&self, now: Micros, flush: bool) -> bool {
        if self.must_commit || self.read_any {
            return true;
        }
        let before = Some(self.head.clock);
        let boundary = Boundary { epoch: 0, clock: now, clock_before: before, flush };
        let advanced = self.sources.advanced(now);
        self.metrics.iter().any(|m| {
            let ticks = || m.plan.kinds.iter().any(|k| crate::emit::kind_ticks(k, &boundary));
            let history =
                m.plan.is_now && m.live_slots() > 0 && crate::emit::ticks(weir_types::MINUTE, before, now);
            (m.has_due() && ticks()) || history || m.closes_by(self.watermarks_of(m, &advanced))
        })
    }

    /// Whether all partitions are idle.
    pub fn all_idle(&self, now: Micros) -> bool {
        self.sources.all_idle(now)
    }

    fn watermarks_of(&self, metric: &Metric, by_source: &[Watermarks]) -> Watermarks {
        Watermarks::least(metric.plan.inputs.iter().map(|i| by_source[i.source]))
    }

    /// Ends the running epoch.
    pub fn end_epoch(
        &mut self,
        now: Micros,
        flush: bool,
        generation: Option<u64>,
        delivered: u64,
    ) -> EpochCommit {
        for source in 0..self.batches.len() {
            self.process(source, now);
        }
        let epoch = self.head.epoch + 1;
        let clock = now.max(self.head.clock);
        let clock_before = (self.head.epoch > 0).then_some(self.head.clock);
        let flush = std::mem::take(&mut self.flush_next) || flush;
        let boundary = Boundary { epoch, clock, clock_before, flush };
        let advanced = self.sources.advanced(clock);
        let mut writes = std::mem::take(&mut self.extra_writes);
        let mut rows = std::mem::take(&mut self.rows);
        let mut failed = Vec::new();
        for at in 0..self.metrics.len() {
            let watermarks = self.watermarks_of(&self.metrics[at], &advanced);
            match self.end_metric(at, boundary, watermarks) {
                Ok((own_writes, own_rows)) => {
                    writes.puts.extend(own_writes.puts);
                    writes.deletes.extend(own_writes.deletes);
                    rows.live.extend(own_rows.live);
                    rows.outbox.realtime.extend(own_rows.outbox.realtime);
                    rows.outbox.latest.extend(own_rows.outbox.latest);
                }
                Err(error) => failed.push((at, error.to_string())),
            }
        }
        self.quarantine(failed);
        self.sources.watermarks = advanced;
        let start = (self.monotonic)();
        for table in &mut self.tables {
            table.save(epoch, &self.shared.partitions, &self.keys, &self.shared.texts, &mut writes);
        }
        *self.stages.entry("encode").or_default() += ((self.monotonic)() - start).as_nanos() as u64;
        self.close_epoch(boundary, rows, writes, generation, delivered)
    }

    fn end_metric(
        &mut self,
        at: usize,
        boundary: Boundary,
        watermarks: Watermarks,
    ) -> Result<(WriteSet, EpochRows), weir_types::contract::GuestError> {
        let (mut writes, mut rows) = (WriteSet::default(), EpochRows::default());
        let metric = &mut self.metrics[at];
        let clock = self.monotonic.clone();
        let mut mark = clock();
        let mut lap = |stages: &mut BTreeMap<&'static str, u64>, stage| {
            let now = clock();
            *stages.entry(stage).or_default() += (now - mark).as_nanos() as u64;
            mark = now;
        };
        metric.save_cells(boundary.epoch, &self.shared, &self.keys, &mut writes)?;
        lap(&mut self.stages, "encode");
        metric.merge_cells(&mut self.shared, boundary.epoch)?;
        lap(&mut self.stages, "merge");
        metric.finish(boundary, watermarks, &self.shared, &mut rows)?;
        lap(&mut self.stages, "evaluate");
        let turn = blake3::hash(metric.info.name.as_bytes()).as_bytes()[0];
        if (boundary.epoch + u64::from(turn)).is_multiple_of(CHECKPOINT_EVERY) {
            metric.checkpoint(boundary.epoch, &self.shared, &self.keys, &mut writes)?;
            lap(&mut self.stages, "encode");
        }
        Ok((writes, rows))
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
        rows.outbox.epochs.push(EpochRow {
            epoch: boundary.epoch,
            clock: boundary.clock,
            partitions: self.sources.take_epoch(),
            digests: self.metrics.iter().map(|m| (m.info.name.clone(), m.entry.digest.clone())).collect(),
            gaps: std::mem::take(&mut self.gaps),
            redriven: std::mem::take(&mut self.redriven),
        });
        outbox::put(&mut rows.outbox, boundary.epoch, &self.keys, &mut writes);
        (self.head.delivered + 1..=delivered).for_each(|e| outbox::delete(e, &self.keys, &mut writes));
        if let Some(lost) = self.lost {
            if delivered > lost.epoch {
                writes.delete(self.keys.imported());
                self.lost = None;
            } else {
                writes.put(self.keys.imported(), encode(&lost));
            }
        }
        self.head.epoch = boundary.epoch;
        self.head.clock = boundary.clock;
        self.head.generation = generation.or(self.head.generation);
        self.head.delivered = self.head.delivered.max(delivered);
        self.head.partitions = self.sources.stored();
        let marks =
            self.options.sources.iter().map(|s| s.name.clone()).zip(self.sources.watermarks.iter().copied());
        self.head.watermarks = marks.collect();
        let running = self.metrics.iter().map(|m| m.entry.clone());
        self.head.metrics = running.chain(self.resting.iter().map(|(e, _)| e.clone())).collect();
        let names = self.options.sources.iter().zip(&self.tables);
        self.head.row_columns = names.map(|(s, t)| (s.name.clone(), t.column_names())).collect();
        self.sources.save_dead(&self.keys, &mut writes);
        for (source, stored) in self.holds.changed() {
            writes.put(self.keys.source(&source), encode(&stored));
        }
        writes.put(self.keys.head(), encode(&self.head));
        *self.stages.entry("encode").or_default() += ((self.monotonic)() - start).as_nanos() as u64;
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
        }
    }

    fn update(
        &mut self,
        boundary: Boundary,
        live: Vec<weir_types::live::LiveRow>,
        writes: &WriteSet,
    ) -> EpochUpdate {
        let mut stages = std::mem::take(&mut self.stages);
        for metric in &mut self.metrics {
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
            costs: self.metrics.iter().map(|m| (m.info.name.clone(), m.cost_now())).collect(),
            sources: self.source_status(boundary.clock),
            stages_ns: stages,
            write_bytes: writes.size_bytes() as u64,
        }
    }

    fn source_status(&self, clock: Micros) -> Vec<SourceStatus> {
        let mut all = self.sources.status(clock);
        for source in &mut all {
            source.trouble = self.holds.text(&source.name).or(source.trouble.take());
        }
        all
    }

    /// All metrics that run or are quarantined.
    pub fn catalogue(&self) -> Vec<CatalogueEntry> {
        let resting = self.resting.iter().filter_map(|(entry, info)| {
            let info = info.clone()?;
            Some(catalogue_entry(info, entry, MetricCost::default()))
        });
        self.metrics.iter().map(Metric::catalogue_entry).chain(resting).collect()
    }

    /// The rows that live slots give once after a restart are evaluated with the next epoch. After an
    /// import everything that stands is emitted again: ClickHouse may hold what came later.
    pub(crate) fn revive(&mut self, lost: Option<LostFuture>) {
        let epoch = self.head.epoch + 1;
        let again = lost.is_some();
        self.metrics.iter_mut().for_each(|m| m.revive(epoch, again));
        if again {
            let running = self.metrics.iter().map(|m| &m.entry);
            let known = running.chain(self.resting.iter().map(|(entry, _)| entry));
            let pointer = |entry: &StoredMetric| promoted(entry, entry.status == Status::Retired, epoch);
            self.rows.outbox.promoted.extend(known.map(pointer));
            self.flush_next = true;
        }
        self.lost = lost;
        self.must_commit = true;
    }

    /// What the sink must take back before it gets rows.
    pub(crate) fn lost(&self) -> Option<LostFuture> {
        self.lost
    }

    /// Live slots of all metrics, and rows in the row tables.
    pub fn sizes(&self) -> (u64, u64) {
        let slots = self.metrics.iter().map(Metric::live_slots).sum();
        (slots, self.tables.iter().map(|t| t.len() as u64).sum())
    }

    /// Samples that all metrics have given so far.
    pub fn samples(&self) -> u64 {
        self.metrics.iter().map(|m| m.cost.samples).sum()
    }
}

fn promoted(entry: &StoredMetric, retired: bool, epoch: u64) -> PromotedRow {
    PromotedRow {
        metric: entry.name.clone(),
        incarnation: entry.incarnation,
        digest: entry.digest.clone(),
        retired,
        epoch,
    }
}

mod reading;
mod redrive;

pub(crate) use redrive::Redrive;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod moved;
#[cfg(test)]
mod tests;
