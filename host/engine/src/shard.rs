//! One shard: records in, epochs out. Computes only; I/O is in [`crate::protocol`], threads in [`crate::run`].

use crate::catchup::CatchUp;
use crate::hold::Holds;
use crate::metric::{Boundary, Chunks, EpochRows, Metric, MetricError, Running, catalogue_entry};
use crate::plan::{Overrides, Plan};
use crate::rowtable::RowTable;
use crate::shapes::Shapes;
use crate::shared::Shared;
use crate::sources::Sources;
use crate::stored::{Head, Keyspace, Status, StoredMetric, StoredPosition, StoredSource, encode};
use crate::versions::Versions;
use crate::view::View;
use crate::watermark::Watermarks;
use crate::{Options, outbox};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_decode::Decoder;
use weir_types::Micros;
use weir_types::batch::ChangeBatch;
use weir_types::contract::{MetricFactory, MetricInfo};
use weir_types::live::{CatalogueEntry, Condition, EpochUpdate, MetricCost, SourceStatus};
use weir_types::ports::{LostFuture, Monotonic, StateError, StateStore, WriteSet};
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::rows::{EpochRow, Gap, Outbox, PromotedRow, RedrivenRecord};
use weir_types::window::Calendar;

/// Rows of one source that are processed at once: large enough that a call's cost is small against
/// its rows', small enough that columns stay in the cache.
pub(crate) const BATCH_ROWS: usize = 2048;

/// Epochs between two checkpoints of a metric.
const CHECKPOINT_EVERY: u64 = 64;

/// Epochs between two checkpoints of a metric that holds more slots than it may.
const CHECKPOINT_EVERY_FULL: u64 = 16;

/// Delivered epochs whose rows one write deletes: after a sink was away for days, more would make it too
/// large. The others are deleted by the writes that follow.
const NOTED_MOST: u64 = 10_000;

/// Epochs after a checkpoint in which it has surely become durable: the pipeline is two deep.
const COOL_AFTER: u64 = 8;

/// What one epoch asks of the outside, in this order: write, publish, deliver.
pub struct EpochCommit {
    pub writes: WriteSet,
    pub update: EpochUpdate,
    pub outbox: Outbox,
    pub next_offsets: Vec<(TopicPartition, i64)>,
    /// Metrics whose views the sink must have before rows of theirs come.
    pub prepare: Vec<Arc<MetricInfo>>,
    /// What is to be said of the shard's parts, where that has changed.
    pub conditions: Vec<(&'static str, Option<Condition>)>,
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
    pub(crate) suspended: Vec<Suspended>,
    pub(crate) catchups: Vec<CatchUp>,
    pub(crate) tables: Vec<RowTable>,
    pub(crate) shapes: Shapes,
    /// Positions of metrics to be stored with the running epoch; None = it has none of its own any more.
    positions: BTreeMap<String, Option<StoredPosition>>,
    /// One for each source; None where none is wanted.
    pub(crate) versions: Vec<Option<Versions>>,
    pub(crate) head: Head,
    pub(crate) keys: Keyspace,
    /// Where cold slots are read.
    store: Arc<dyn StateStore>,
    /// Epochs up to this one are durable.
    durable: u64,
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
    /// Conditions as they were last told.
    told: BTreeMap<&'static str, Condition>,
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
        store: Arc<dyn StateStore>,
        monotonic: Monotonic,
    ) -> Shard {
        let decls = options.sources.clone();
        Shard {
            shared: Shared::new(Calendar::new(options.time_zone.clone())),
            sources: Sources::new(decls.clone(), &head),
            holds: Holds::new(&decls, stored),
            metrics: Vec::new(),
            resting: Vec::new(),
            suspended: Vec::new(),
            catchups: Vec::new(),
            tables: decls.iter().map(|d| RowTable::new((**d).clone())).collect(),
            shapes: Shapes::new(decls.clone(), options.suspend_after),
            positions: BTreeMap::new(),
            versions: decls.iter().map(|d| Versions::new(d)).collect(),
            keys: Keyspace::new(&options.shard),
            store,
            durable: head.epoch,
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
            told: BTreeMap::new(),
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
                self.catchups.iter_mut().for_each(|c| c.join(&partition));
                self.holds.join(&partition);
                self.sources.join(partition, now);
            }
            SourceEvent::Records(records) => self.read(&records, now),
            SourceEvent::EndOfPartition { index } => {
                if self.holds.end_of_partition(index) {
                    self.sources.end_of_partition(index, now);
                    self.tables.iter_mut().for_each(|table| table.reached_end(index));
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
        if self.batches[source].is_empty() {
            return;
        }
        self.look(source);
        let columns = self.options.sources[source].columns.len();
        let mut batch = std::mem::replace(&mut self.batches[source], ChangeBatch::new(columns));
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
        if self.options.sources[source].keeps_rows() {
            self.tables[source].complete(&mut batch, &mut run.shared.texts);
        }
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
        self.catchups.iter_mut().for_each(|c| c.hold(source, &batch));
        batch.clear();
        self.batches[source] = batch;
    }

    /// Takes failed metrics out of the stream, their position kept at the last epoch.
    fn quarantine(&mut self, mut failed: Vec<(usize, String)>) {
        failed.sort();
        failed.dedup_by_key(|(at, _)| *at);
        for (at, reason) in failed.into_iter().rev() {
            let mut metric = self.metrics.remove(at);
            tracing::error!(metric = %metric.info.name, %reason, "metric quarantined: push a mended version");
            match self.positions.get(&metric.info.name) {
                // It came back in this very epoch: what is stored is where its own reader stood.
                Some(None) => drop(self.positions.remove(&metric.info.name)),
                _ => drop(self.positions.insert(metric.info.name.clone(), Some(self.position_before()))),
            }
            metric.entry.status = Status::Quarantined { epoch: self.head.epoch, reason };
            self.resting.push((metric.entry, Some(metric.info)));
            self.catalogue_changed = true;
            self.must_commit = true;
        }
    }

    /// A metric joins from the running epoch on, which must not have begun.
    pub fn join(&mut self, factory: Arc<dyn MetricFactory>, entry: StoredMetric) -> Result<usize, String> {
        let metric = self.open(factory, entry)?;
        self.prepare.push(metric.info.clone());
        self.metrics.push(metric);
        self.catalogue_changed = true;
        self.must_commit = true;
        self.ask();
        Ok(self.metrics.len() - 1)
    }

    /// Opens a metric; row tables keep what it asks for from now on.
    pub(crate) fn open(
        &mut self,
        factory: Arc<dyn MetricFactory>,
        entry: StoredMetric,
    ) -> Result<Metric, String> {
        let plan = Plan::new(factory.info(), &Overrides { options: &self.options })?;
        let metric = Metric::new(factory, plan, entry, &mut self.shared).map_err(|e| e.to_string())?;
        for input in &metric.plan.inputs {
            let decl = &self.options.sources[input.source];
            if decl.keeps_rows() {
                let row = decl.primary_key.iter().copied().chain([decl.event_time]);
                self.tables[input.source].add_columns(row.chain(metric.plan.columns_of(input.source)));
            } else if metric.plan.is_now {
                self.tables[input.source].add_columns(input.needed.iter().copied());
            }
        }
        Ok(metric)
    }

    /// Tells the decoder which columns the metrics need, those included that are to come back.
    pub(crate) fn ask(&mut self) {
        for source in 0..self.options.sources.len() {
            let mut columns: BTreeSet<usize> = self.tables[source].columns().iter().copied().collect();
            let away =
                self.suspended.iter().map(|s| &s.metric).chain(self.catchups.iter().map(|c| &c.metric));
            columns.extend(self.metrics.iter().chain(away).flat_map(|m| m.plan.columns_of(source)));
            self.decoder.set_asked(source, &columns);
        }
    }

    /// Announces the incarnation of a metric that has just joined for the first time.
    pub fn promote(&mut self, at: usize) {
        let entry = &self.metrics[at].entry;
        self.rows.outbox.promoted.push(promoted(entry, false, self.head.epoch + 1));
    }

    /// A metric leaves for good. After an error it is still there.
    pub fn retire(
        &mut self,
        name: &str,
        store: &dyn StateStore,
    ) -> Result<bool, weir_types::ports::StateError> {
        let named = |e: &StoredMetric| e.name == name && e.status != Status::Retired;
        let running = self.metrics.iter().map(|m| &m.entry);
        let away = self.suspended.iter().map(|s| &s.metric).chain(self.catchups.iter().map(|c| &c.metric));
        let mut all = running.chain(away.map(|m| &m.entry)).chain(self.resting.iter().map(|(e, _)| e));
        let entry = all.find(|e| named(e)).cloned();
        let Some(mut entry) = entry else { return Ok(false) };
        let forgotten = crate::metric::forgotten(&entry, &self.keys, store)?;
        self.extra_writes.deletes.extend(forgotten);
        // Cells of epochs whose writes are on their way.
        let coming = self.durable + 1..=self.head.epoch;
        coming.for_each(|epoch| {
            self.extra_writes.delete(self.keys.cells(name, entry.incarnation, epoch));
        });
        self.rows.outbox.promoted.push(promoted(&entry, true, self.head.epoch + 1));
        entry.status = Status::Retired;
        self.metrics.retain(|m| m.info.name != name);
        self.suspended.retain(|s| s.metric.info.name != name);
        self.catchups.retain(|c| c.metric.info.name != name);
        self.positions.remove(name);
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
        let unseen = || self.metrics.iter().any(Metric::has_unseen);
        let rebuilt = || self.tables.iter().any(|t| t.has_rebuild_due(now));
        if self.must_commit || self.read_any || unseen() || rebuilt() {
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

    pub(crate) fn watermarks_of(&self, metric: &Metric, by_source: &[Watermarks]) -> Watermarks {
        Watermarks::least(metric.plan.inputs.iter().map(|i| by_source[i.source]))
    }

    /// Partitions that are not read to their ends, but for those of sources that hold or have stopped.
    pub(crate) fn behind(&self) -> Vec<TopicPartition> {
        let sources = self.options.sources.iter().enumerate();
        let reading = sources.filter(|(_, source)| self.holds.text(&source.name).is_none());
        let all: BTreeSet<&TopicPartition> = reading.flat_map(|(at, _)| self.sources.behind(at)).collect();
        all.into_iter().cloned().collect()
    }

    /// The watermarks of a metric that has a position of its own.
    pub(crate) fn watermarks_at(&self, metric: &Metric, position: &StoredPosition) -> Watermarks {
        let of = |source: usize| position.watermarks.get(&self.options.sources[source].name);
        Watermarks::least(metric.plan.inputs.iter().map(|i| of(i.source).copied().unwrap_or_default()))
    }

    /// Epochs up to this one are known to be durable.
    pub fn durable(&mut self, epoch: u64) {
        self.durable = self.durable.max(epoch);
    }

    /// Ends the running epoch. Reads cold slots that are needed from the store; after an error the
    /// shard must be dropped.
    pub fn end_epoch(
        &mut self,
        now: Micros,
        flush: bool,
        generation: Option<u64>,
        delivered: u64,
    ) -> Result<EpochCommit, StateError> {
        for source in 0..self.batches.len() {
            self.process(source, now);
            self.end_rebuild(source, now);
        }
        self.mend(now);
        let epoch = self.head.epoch + 1;
        let clock = now.max(self.head.clock);
        let clock_before = (self.head.epoch > 0).then_some(self.head.clock);
        let flush = std::mem::take(&mut self.flush_next) || flush;
        let boundary = Boundary { epoch, clock, clock_before, flush };
        let advanced = self.sources.advanced(clock);
        let mut writes = std::mem::take(&mut self.extra_writes);
        let mut rows = std::mem::take(&mut self.rows);
        let mut failed = Vec::new();
        let share = self.share_of_slots();
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
        self.suspend(epoch);
        let start = (self.monotonic)();
        for table in &mut self.tables {
            table.save(epoch, &self.shared.partitions, &self.keys, &self.shared.texts, &mut writes);
        }
        for versions in self.versions.iter_mut().flatten() {
            versions.save(epoch, &self.keys, &mut writes);
        }
        *self.stages.entry("encode").or_default() += ((self.monotonic)() - start).as_nanos() as u64;
        Ok(self.close_epoch(boundary, rows, writes, generation, delivered))
    }

    /// The share of its slots that each metric may keep so that all together keep to the total.
    fn share_of_slots(&self) -> f64 {
        let hot: u64 = self.opened().map(Metric::hot_slots).sum();
        (self.options.hot_slots_total as f64 / hot.max(1) as f64).min(1.0)
    }

    /// Ends the epoch for one metric. After an error nothing of it is in the writes and the rows.
    fn end_metric(
        &mut self,
        metric: &mut Metric,
        boundary: Boundary,
        watermarks: Watermarks,
        share: f64,
        writes: &mut WriteSet,
        rows: &mut EpochRows,
    ) -> Result<(), MetricError> {
        let before = Lengths::of(writes, rows);
        let ended = self.try_end_metric(metric, boundary, watermarks, share, writes, rows);
        if ended.is_err() {
            before.restore(writes, rows);
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
        rows.outbox.epochs.push(EpochRow {
            epoch: boundary.epoch,
            clock: boundary.clock,
            partitions: self.sources.take_epoch(),
            digests: self.metrics.iter().map(|m| (m.info.name.clone(), m.entry.digest.clone())).collect(),
            gaps: std::mem::take(&mut self.gaps),
            redriven: std::mem::take(&mut self.redriven),
        });
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
        self.head.epoch = boundary.epoch;
        self.head.clock = boundary.clock;
        self.head.generation = generation.or(self.head.generation);
        self.head.delivered = noted;
        self.head.partitions = self.sources.stored();
        self.head.watermarks = self.marks_by_source();
        let resting = self.resting.iter().map(|(e, _)| e.clone());
        self.head.metrics = self.opened().map(|m| m.entry.clone()).chain(resting).collect();
        for (metric, position) in std::mem::take(&mut self.positions) {
            match position {
                Some(position) => writes.put(self.keys.position(&metric), encode(&position)),
                None => writes.delete(self.keys.position(&metric)),
            }
        }
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

    fn marks_by_source(&self) -> BTreeMap<String, Watermarks> {
        let names = self.options.sources.iter().map(|s| s.name.clone());
        names.zip(self.sources.watermarks.iter().copied()).collect()
    }

    /// Metrics that have an instance: those that run, wait for a column, or catch up.
    fn opened(&self) -> impl Iterator<Item = &Metric> {
        let away = self.suspended.iter().map(|s| &s.metric).chain(self.catchups.iter().map(|c| &c.metric));
        self.metrics.iter().chain(away)
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

    fn update(
        &mut self,
        boundary: Boundary,
        live: Vec<weir_types::live::LiveRow>,
        writes: &WriteSet,
    ) -> EpochUpdate {
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
            costs: self.opened().map(|m| (m.info.name.clone(), m.cost_now())).collect(),
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
        self.opened().map(Metric::catalogue_entry).chain(resting).collect()
    }

    /// The rows that live slots give once after a restart are evaluated with the next epoch. After an
    /// import everything that stands is emitted again: ClickHouse may hold what came later.
    pub(crate) fn revive(&mut self, lost: Option<LostFuture>) {
        let epoch = self.head.epoch + 1;
        let again = lost.is_some();
        self.metrics.iter_mut().for_each(|m| m.revive(epoch, again));
        self.catchups.iter_mut().for_each(|c| c.metric.revive(epoch, again));
        if again {
            self.suspended.iter_mut().for_each(|s| s.metric.forget_emitted());
            let running = self.opened().map(|m| &m.entry);
            let known = running.chain(self.resting.iter().map(|(entry, _)| entry));
            let pointer = |entry: &StoredMetric| promoted(entry, entry.status == Status::Retired, epoch);
            let pointers: Vec<PromotedRow> = known.map(pointer).collect();
            self.rows.outbox.promoted.extend(pointers);
            self.flush_next = true;
        }
        self.lost = lost;
        self.must_commit = true;
    }

    /// What the sink must take back before it gets rows.
    pub(crate) fn lost(&self) -> Option<LostFuture> {
        self.lost
    }

    /// All that stands in the sink may be of a later time than this state: every live value, and which
    /// incarnation is shown, is emitted with the running epoch.
    pub(crate) fn emit_anew(&mut self) {
        let epoch = self.head.epoch + 1;
        for metric in &mut self.metrics {
            metric.emit_anew();
            self.rows.outbox.promoted.push(promoted(&metric.entry, false, epoch));
        }
        for (entry, _) in &self.resting {
            let retired = entry.status == Status::Retired;
            self.rows.outbox.promoted.push(promoted(entry, retired, epoch));
        }
        self.must_commit = true;
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

/// How long everything is to which a metric adds at the end of an epoch.
struct Lengths {
    puts: usize,
    deletes: usize,
    live: usize,
    realtime: usize,
    latest: usize,
}

impl Lengths {
    fn of(writes: &WriteSet, rows: &EpochRows) -> Lengths {
        Lengths {
            puts: writes.puts.len(),
            deletes: writes.deletes.len(),
            live: rows.live.len(),
            realtime: rows.outbox.realtime.len(),
            latest: rows.outbox.latest.len(),
        }
    }

    fn restore(&self, writes: &mut WriteSet, rows: &mut EpochRows) {
        writes.puts.truncate(self.puts);
        writes.deletes.truncate(self.deletes);
        rows.live.truncate(self.live);
        rows.outbox.realtime.truncate(self.realtime);
        rows.outbox.latest.truncate(self.latest);
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

mod images;
mod mend;
mod reading;
mod redrive;

pub(crate) use mend::Suspended;
pub(crate) use redrive::Redrive;

#[cfg(test)]
mod cold_tests;
#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod mend_tests;
#[cfg(test)]
mod moved;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod row_tests;
#[cfg(test)]
mod tally;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod watermark_tests;
#[cfg(test)]
mod window_tests;
