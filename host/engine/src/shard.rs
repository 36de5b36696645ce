//! One shard: records in, epochs out. Computes only; I/O is in [`crate::protocol`], threads in [`crate::run`].

use crate::Options;
use crate::catchup::CatchUp;
use crate::derived::Derived;
use crate::findings::Findings;
use crate::hold::Holds;
use crate::metric::{Boundary, EpochRows, Metric, Running, catalogue_entry};
use crate::plan::{Overrides, Plan};
use crate::rowtable::RowTable;
use crate::shapes::Shapes;
use crate::shared::Shared;
use crate::sources::Sources;
use crate::stored::{Head, Keyspace, Status, StoredMetric, StoredMissed, StoredPosition, StoredSource};
use crate::versions::Versions;
use crate::view::View;
use crate::watermark::Watermarks;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_decode::Decoder;
use weir_types::Micros;
use weir_types::batch::ChangeBatch;
use weir_types::contract::{MetricFactory, MetricInfo};
use weir_types::live::{CatalogueEntry, Condition, EpochUpdate, MetricCost};
use weir_types::ports::{LostFuture, Monotonic, StateError, StateStore, WriteSet};
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::rows::{Gap, Outbox, PromotedRow, RedrivenRecord};
use weir_types::window::Calendar;

/// Rows of one source that are processed at once: large enough that a call's cost is small against
/// its rows', small enough that columns stay in the cache.
pub(crate) const BATCH_ROWS: usize = 2048;

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
    /// Computed from `metrics`, when those have ended their epoch.
    pub(crate) derived: Vec<Derived>,
    /// Metrics of the table that do not run, with what is known of them.
    pub(crate) resting: Vec<(StoredMetric, Option<Arc<MetricInfo>>)>,
    pub(crate) suspended: Vec<Suspended>,
    pub(crate) catchups: Vec<CatchUp>,
    pub(crate) tables: Vec<RowTable>,
    pub(crate) shapes: Shapes,
    /// Positions of metrics to be stored with the running epoch; None = it has none of its own any more.
    positions: BTreeMap<String, Option<StoredPosition>>,
    /// Positions as the last epoch left them.
    pub(crate) stood: BTreeMap<String, StoredPosition>,
    /// What was found out about changes that somebody may have to read again.
    pub(crate) findings: Findings,
    /// How far derived metrics that have failed were computed.
    derived_to: BTreeMap<String, Watermarks>,
    /// One for each source; None where none is wanted.
    pub(crate) versions: Vec<Option<Versions>>,
    pub(crate) head: Head,
    pub(crate) keys: Keyspace,
    /// Where cold slots are read.
    store: Arc<dyn StateStore>,
    /// Epochs up to this one are durable.
    durable: u64,
    /// Of metrics that rest: chunks of epochs up to the one named, which are not.
    coming: BTreeMap<String, (u64, Vec<Vec<u8>>)>,
    decoder: Decoder,
    /// Topic of the decoder by partition index; None where no source reads it.
    topics: Vec<Option<usize>>,
    batches: Vec<ChangeBatch>,
    rows: EpochRows,
    gaps: Vec<Gap>,
    redriven: Vec<RedrivenRecord>,
    /// Dead letters that were applied in the running epoch: a metric whose work of it is lost has missed them.
    taken_up: Vec<StoredMissed>,
    catalogue_changed: bool,
    prepare: Vec<Arc<MetricInfo>>,
    pub(crate) extra_writes: WriteSet,
    monotonic: Monotonic,
    /// Conditions as they were last told.
    told: BTreeMap<&'static str, Condition>,
    stages: BTreeMap<&'static str, u64>,
    bytes: usize,
    /// Whether anything was read, or was found to be all, since the last epoch.
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
            derived: Vec::new(),
            resting: Vec::new(),
            suspended: Vec::new(),
            catchups: Vec::new(),
            tables: decls.iter().map(|d| RowTable::new((**d).clone())).collect(),
            shapes: Shapes::new(decls.clone(), options.suspend_after),
            positions: BTreeMap::new(),
            stood: BTreeMap::new(),
            findings: Findings::new(&decls, options.missed_bytes),
            derived_to: BTreeMap::new(),
            versions: decls.iter().map(|d| Versions::new(d)).collect(),
            keys: Keyspace::new(&options.shard),
            store,
            durable: head.epoch,
            coming: BTreeMap::new(),
            decoder: Decoder::new(&decls),
            topics: Vec::new(),
            batches: decls.iter().map(|d| ChangeBatch::new(d.columns.len())).collect(),
            rows: EpochRows::default(),
            gaps: Vec::new(),
            redriven: Vec::new(),
            taken_up: Vec::new(),
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
        let now = self.clock(now);
        match event {
            SourceEvent::Partitions(found) => found.into_iter().for_each(|p| self.join_partition(p, now)),
            SourceEvent::Records(records) => self.read(&records, now),
            SourceEvent::EndOfPartition { index } => {
                if self.holds.end_of_partition(index) {
                    // The status says so with an epoch, though nothing else has come.
                    self.read_any |= self.sources.end_of_partition(index, now);
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

    fn join_partition(&mut self, partition: TopicPartition, now: Micros) {
        self.topics.push(self.decoder.topics().iter().position(|t| *t == partition.topic));
        self.shared.partitions.push(partition.clone());
        self.catchups.iter_mut().for_each(|c| c.join(&partition));
        self.holds.join(&partition);
        self.sources.join(partition, now);
    }

    /// Nothing was read for a while, because the host was busy or blocked. Without this, partitions would count as
    /// idle of which the reader holds records.
    pub fn held_up(&mut self, now: Micros) {
        let now = self.clock(now);
        self.sources.held_up(now);
    }

    /// The clock as epochs have it: it never goes back, whatever the machine's does.
    fn clock(&self, now: Micros) -> Micros {
        now.max(self.head.clock)
    }

    /// Shows a source's batch to all metrics, and empties it.
    fn process(&mut self, source: usize, now: Micros) {
        if self.batches[source].is_empty() {
            // Texts of repeats may be in it.
            return self.batches[source].clear();
        }
        self.look(source);
        self.show(source, true, now);
    }

    /// The same for a batch that is not empty. `images`: whether it sets current values.
    fn show(&mut self, source: usize, images: bool, now: Micros) {
        let mut batch = std::mem::take(&mut self.batches[source]);
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
        self.batches[source] = self.findings.shown(source, batch);
    }

    /// Takes failed metrics out of the stream, their position kept at the last epoch.
    fn quarantine(&mut self, mut failed: Vec<(usize, String)>) {
        failed.sort();
        failed.dedup_by_key(|(at, _)| *at);
        for (at, reason) in failed.into_iter().rev() {
            let metric = self.metrics.remove(at);
            match self.positions.get(&metric.info.name) {
                // It came back in this very epoch: what is stored is where its own reader stood.
                Some(None) => drop(self.positions.remove(&metric.info.name)),
                _ => drop(self.positions.insert(metric.info.name.clone(), Some(self.position_before()))),
            }
            self.rest(metric, reason);
        }
    }

    /// A metric has failed, and rests where it last stood.
    fn rest(&mut self, metric: Metric, reason: String) {
        self.rest_since(self.head.epoch, metric, reason);
        self.must_commit = true;
    }

    /// From an epoch on a metric is no more than what is stored of it.
    fn rest_since(&mut self, epoch: u64, mut metric: Metric, reason: String) {
        tracing::error!(metric = %metric.info.name, %reason, "metric quarantined: push a mended version");
        let coming = metric.chunks_coming(self.durable, &self.keys);
        self.coming.insert(metric.info.name.clone(), (self.head.epoch + 1, coming));
        metric.entry.status = Status::Quarantined { epoch, reason };
        self.resting.push((metric.entry, Some(metric.info)));
        self.catalogue_changed = true;
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

    /// The same for the derived metric that joined last.
    pub(crate) fn promote_derived(&mut self) {
        let row = self.derived.last().map(|d| promoted(&d.entry, false, self.head.epoch + 1));
        self.rows.outbox.promoted.extend(row);
    }

    /// A metric leaves for good. After an error it is still there.
    pub fn retire(&mut self, name: &str, store: &dyn StateStore) -> Result<bool, StateError> {
        let named = |e: &StoredMetric| e.name == name && e.status != Status::Retired;
        let running = self.opened().map(|m| &m.entry).chain(self.derived.iter().map(|d| &d.entry));
        let entry = running.chain(self.resting.iter().map(|(e, _)| e)).find(|e| named(e)).cloned();
        let Some(mut entry) = entry else { return Ok(false) };
        let forgotten = crate::metric::forgotten(&entry, &self.keys, store)?;
        self.extra_writes.deletes.extend(forgotten);
        // What epochs hold whose writes are on their way.
        let (durable, keys) = (self.durable, &self.keys);
        let cells = (durable + 1..=self.head.epoch).map(|epoch| keys.cells(name, entry.incarnation, epoch));
        let opened = self.opened().filter(|metric| metric.info.name == name);
        let chunks = opened.flat_map(|metric| metric.chunks_coming(durable, keys));
        let coming: Vec<Vec<u8>> = cells.chain(chunks).collect();
        self.extra_writes.deletes.extend(coming);
        self.extra_writes.deletes.extend(self.coming.remove(name).into_iter().flat_map(|(_, chunks)| chunks));
        self.rows.outbox.promoted.push(promoted(&entry, true, self.head.epoch + 1));
        entry.status = Status::Retired;
        self.metrics.retain(|m| m.info.name != name);
        self.derived.retain(|d| d.info.name != name);
        self.suspended.retain(|s| s.metric.info.name != name);
        self.catchups.retain(|c| c.metric.info.name != name);
        self.positions.remove(name);
        self.stood.remove(name);
        self.derived_to.remove(name);
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
        let derived = || self.derived_has_work(&boundary, &advanced);
        let due = self.metrics.iter().any(|m| {
            let ticks = || m.plan.kinds.iter().any(|k| crate::emit::kind_ticks(k, &boundary));
            let history =
                m.plan.is_now && m.live_slots() > 0 && crate::emit::ticks(weir_types::MINUTE, before, now);
            (m.has_due() && ticks()) || history || m.closes_by(self.watermarks_of(m, &advanced))
        });
        due || derived()
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
        let durable = self.durable;
        self.coming.retain(|_, (until, _)| *until > durable);
    }

    /// Metrics that have an instance: those that run, wait for a column, or catch up.
    fn opened(&self) -> impl Iterator<Item = &Metric> {
        let away = self.suspended.iter().map(|s| &s.metric).chain(self.catchups.iter().map(|c| &c.metric));
        self.metrics.iter().chain(away)
    }

    /// All metrics that run or are quarantined.
    pub fn catalogue(&self) -> Vec<CatalogueEntry> {
        let resting = self.resting.iter().filter_map(|(entry, info)| {
            let info = info.clone()?;
            Some(catalogue_entry(info, entry, MetricCost::default()))
        });
        let derived = self.derived.iter().map(Derived::catalogue_entry);
        self.opened().map(Metric::catalogue_entry).chain(derived).chain(resting).collect()
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
            self.derived.iter_mut().for_each(Derived::emit_anew);
            self.point_anew();
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
        self.metrics.iter_mut().for_each(Metric::emit_anew);
        self.catchups.iter_mut().for_each(|c| c.metric.emit_anew());
        self.suspended.iter_mut().for_each(|s| s.metric.forget_emitted());
        self.derived.iter_mut().for_each(Derived::emit_anew);
        self.point_anew();
        self.must_commit = true;
    }

    /// Says of every metric which incarnation is shown, whether it runs or not.
    fn point_anew(&mut self) {
        let epoch = self.head.epoch + 1;
        let running = self.opened().map(|m| &m.entry).chain(self.derived.iter().map(|d| &d.entry));
        let known = running.chain(self.resting.iter().map(|(entry, _)| entry));
        let pointer = |entry: &StoredMetric| promoted(entry, entry.status == Status::Retired, epoch);
        let pointers: Vec<PromotedRow> = known.map(pointer).collect();
        self.rows.outbox.promoted.extend(pointers);
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

mod away;
mod deriving;
mod ending;
mod images;
mod mend;
mod reading;
mod redrive;

pub(crate) use mend::Suspended;
pub use redrive::Redrive;

#[cfg(test)]
mod away_tests;
#[cfg(test)]
mod cold_tests;
#[cfg(test)]
mod derived_tests;
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
mod restart_tests;
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
