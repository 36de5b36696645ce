//! Metrics that stop and come back: suspended when a column that they need is gone, quarantined when they
//! fail; back when the column is, or when a mended version is pushed.

use super::Shard;
use crate::catchup::{CatchUp, CatchUpError, Known};
use crate::metric::{Boundary, Chunks, EpochRows, ImageBatch, Metric, MetricError, Running};
use crate::shapes::Column;
use crate::stored::{
    Status, StoredMetric, StoredMissed, StoredPartition, StoredPosition, StoredShown, decode_position,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::Micros;
use weir_types::contract::{GuestError, Input, MetricFactory, MetricInfo};
use weir_types::live::Condition;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::record::{RecordBatch, TopicPartition};

/// Rows that are shown to a metric at once when it looks at a whole row table.
const TABLE_ROWS: usize = 8192;

/// A metric that waits for a column, and where it stands.
pub(crate) struct Suspended {
    pub metric: Metric,
    pub position: StoredPosition,
}

fn columns(metric: &Metric) -> Vec<Column> {
    let inputs = metric.plan.inputs.iter();
    inputs.flat_map(|i| i.needed.iter().chain(&i.watches).map(|c| (i.source, *c))).collect()
}

/// Whether a metric asks for a column of a source, by their names.
fn asks(info: &MetricInfo, source: &str, column: &str) -> bool {
    let reads = |input: &Input| {
        let fields = input.fields.iter().map(|field| &field.name);
        let mut all = fields.chain(&input.watches).chain(&info.dimensions);
        input.source == source && all.any(|name| name == column)
    };
    info.inputs.iter().any(reads)
}

impl Shard {
    /// Looks for columns that cease to fit in a batch.
    pub(super) fn look(&mut self, source: usize) {
        let batch = &self.batches[source];
        let columns = self.opened().flat_map(|m| m.plan.columns_of(source)).collect();
        let before = |p: &TopicPartition| self.head.partitions.get(p).cloned();
        self.shapes.look(source, batch, &columns, &self.shared.partitions, before);
    }

    /// Forgets the runs of columns that no metric needs, be it one that rests.
    pub(super) fn forget_runs(&mut self) {
        if self.shapes.is_empty() {
            return;
        }
        let ours: BTreeSet<Column> = self.opened().flat_map(columns).collect();
        let resting = self.resting.iter().filter(|(entry, _)| entry.status != Status::Retired);
        let resting: Vec<&Arc<MetricInfo>> = resting.filter_map(|(_, info)| info.as_ref()).collect();
        let sources = &self.options.sources;
        self.shapes.keep(|column| {
            let (decl, name) = (&sources[column.0], &sources[column.0].columns[column.1].name);
            ours.contains(&column) || resting.iter().any(|info| asks(info, &decl.name, name))
        });
    }

    /// Suspends the metrics that need a column which is gone. Everything that they were shown is in the write
    /// of the epoch that ends.
    pub(super) fn suspend(&mut self, epoch: u64) {
        let gone: Vec<(Column, String)> =
            self.shapes.gone().map(|(column, run)| (column, self.shapes.reason(column, run))).collect();
        for (column, reason) in gone {
            let needs = |m: &Metric| columns(m).contains(&column);
            while let Some(at) = self.metrics.iter().position(needs) {
                let mut metric = self.metrics.remove(at);
                let position = self.position_of(&metric);
                tracing::error!(metric = %metric.info.name, %reason, "metric suspended: its position is kept");
                metric.entry.status = Status::Suspended { epoch, reason: reason.clone() };
                self.positions.insert(metric.info.name.clone(), Some(position.clone()));
                self.suspended.push(Suspended { metric, position });
                self.catalogue_changed = true;
            }
        }
    }

    /// Where a metric stands that has seen everything but the rows that lack one of its columns.
    pub(super) fn position_of(&self, metric: &Metric) -> StoredPosition {
        let live = self.sources.stored();
        let mut position = StoredPosition {
            partitions: live.clone(),
            shown: Vec::new(),
            watermarks: self.marks_by_source(),
            missed: Vec::new(),
        };
        let starts = self.shapes.starts(columns(metric).into_iter());
        for ((source, partition), start) in &starts {
            let earlier = |known: &StoredPartition| start.before.as_ref().is_none_or(|b| b.next < known.next);
            if position.partitions.get(partition).is_some_and(earlier) {
                match &start.before {
                    Some(before) => drop(position.partitions.insert(partition.clone(), before.clone())),
                    None => drop(position.partitions.remove(partition)),
                }
            }
            let name = self.options.sources[*source].name.clone();
            position.shown.push(StoredShown {
                source: name,
                partition: partition.clone(),
                offset: start.offset,
                row: start.row,
            });
        }
        // Other sources of these partitions were shown up to now.
        for input in &metric.plan.inputs {
            for (_, partition) in starts.keys() {
                let decl = &self.options.sources[input.source];
                let is_ours = decl.topics.contains(&partition.topic);
                if is_ours && !starts.contains_key(&(input.source, partition.clone())) {
                    position.shown.push(StoredShown {
                        source: decl.name.clone(),
                        partition: partition.clone(),
                        offset: live.get(partition).map_or(0, |s| s.next),
                        row: 0,
                    });
                }
            }
        }
        position
    }

    /// Where a metric stands whose work of the running epoch is lost: where the shard stood before it.
    pub(super) fn position_before(&self) -> StoredPosition {
        let is_past = |m: &&StoredMissed| {
            self.head.partitions.get(&m.partition).is_some_and(|stands| m.offset < stands.next)
        };
        StoredPosition {
            partitions: self.head.partitions.clone(),
            shown: Vec::new(),
            watermarks: self.head.watermarks.clone(),
            missed: self.taken_up.iter().filter(is_past).cloned().collect(),
        }
    }

    /// Lets metrics come back whose columns are there again. Batches of the epoch must have been processed.
    pub(super) fn mend(&mut self, now: Micros) {
        let is_mended = |s: &Suspended| columns(&s.metric).iter().all(|c| !self.shapes.is_unfit(*c));
        let (mended, suspended): (Vec<Suspended>, Vec<Suspended>) =
            std::mem::take(&mut self.suspended).into_iter().partition(is_mended);
        self.suspended = suspended;
        for Suspended { mut metric, position } in mended {
            self.catalogue_changed = true;
            if metric.plan.is_now {
                match self.observe_tables(&mut metric, now) {
                    Ok(()) => self.rejoin(metric),
                    Err(error) => self.rest(metric, error.to_string()),
                }
                continue;
            }
            if let Some(reason) = self.cannot_catch_up(&metric.plan, &position) {
                self.rest(metric, reason);
                continue;
            }
            tracing::info!(metric = %metric.info.name, "what the metric missed is read again");
            metric.entry.status = Status::CatchingUp;
            self.catchups.push(CatchUp::new(metric, &self.options.sources, position, &self.shared));
        }
    }

    fn rejoin(&mut self, mut metric: Metric) {
        tracing::info!(metric = %metric.info.name, "metric is live again");
        metric.entry.status = Status::Live;
        self.positions.insert(metric.info.name.clone(), None);
        self.metrics.push(metric);
        self.catalogue_changed = true;
        self.must_commit = true;
    }

    /// Fills a metric over current values anew from the row tables.
    fn observe_tables(&mut self, metric: &mut Metric, now: Micros) -> Result<(), GuestError> {
        metric.empty_slots()?;
        let mut sources: Vec<usize> = metric.plan.inputs.iter().map(|i| i.source).collect();
        sources.sort_unstable();
        sources.dedup();
        let monotonic = self.monotonic.clone();
        let epoch = self.head.epoch + 1;
        for source in sources {
            let table = &self.tables[source];
            let columns = table.columns().to_vec();
            let rows = table.all();
            for images in rows.chunks(TABLE_ROWS) {
                let signs = vec![1; images.len()];
                let mut gave = vec![false; images.len()];
                let mut batch = ImageBatch::new(source, &columns, images, (&signs, &[]));
                let (shared, rows) = (&mut self.shared, &mut self.rows);
                let mut run = Running { shared, rows, epoch, now, monotonic: &*monotonic };
                metric.observe_images(&mut batch, &mut gave, &mut run)?;
            }
        }
        Ok(())
    }

    /// A metric over current values that joins begins with the rows that are known.
    pub(crate) fn fill(&mut self, at: usize, now: Micros) {
        let mut inputs = self.metrics[at].plan.inputs.iter();
        if !self.metrics[at].plan.is_now || inputs.all(|i| self.tables[i.source].len() == 0) {
            return;
        }
        let mut metric = self.metrics.remove(at);
        let outcome = self.observe_tables(&mut metric, now);
        self.metrics.insert(at, metric);
        if let Err(error) = outcome {
            self.quarantine(vec![(at, error.to_string())]);
        }
    }

    /// Whether all rows of a source's table are kept, for a metric that will look at them when it is back.
    pub(super) fn keeps_all(&self, source: usize) -> bool {
        let name = &self.options.sources[source].name;
        let reads = |info: &MetricInfo| info.is_now() && info.inputs.iter().any(|i| i.source == *name);
        self.suspended.iter().any(|s| reads(&s.metric.info))
            || self
                .resting
                .iter()
                .any(|(e, info)| e.status != Status::Retired && info.as_ref().is_some_and(|i| reads(i)))
    }

    /// Records of a catching-up metric's own reader. After an error the shard must be dropped.
    pub fn catch_up(
        &mut self,
        metric: &str,
        records: &RecordBatch,
        index_of: &[u32],
        now: Micros,
    ) -> Result<(), StateError> {
        let Some(at) = self.catchups.iter().position(|c| c.metric.info.name == metric) else { return Ok(()) };
        let monotonic = self.monotonic.clone();
        let epoch = self.head.epoch + 1;
        let (shared, rows) = (&mut self.shared, &mut self.rows);
        let mut run = Running { shared, rows, epoch, now, monotonic: &*monotonic };
        let is_dead = |partition, offset| self.sources.is_dead(partition, offset);
        let known =
            Known { is_dead: &is_dead, findings: &self.findings, keys: &self.keys, store: &*self.store };
        let done = self.catchups[at].read(records, index_of, &known, &mut run);
        self.read_any = true;
        match done {
            Ok(()) => self.try_arrive(at, now),
            Err(CatchUpError::State(error)) => return Err(error),
            Err(error) => {
                let metric = self.catchups.remove(at).metric;
                self.rest(metric, error.to_string());
            }
        }
        Ok(())
    }

    /// A catching-up metric's own reader came to the end of a partition.
    pub fn catch_up_reached_end(&mut self, metric: &str, partition: u32, now: Micros) {
        if let Some(at) = self.catchups.iter().position(|c| c.metric.info.name == metric) {
            self.catchups[at].reached_end(partition);
            self.try_arrive(at, now);
        }
    }

    /// A catching-up metric's own reader cannot go on for good.
    pub fn give_up_catch_up(&mut self, metric: &str, reason: &str) {
        if let Some(at) = self.catchups.iter().position(|c| c.metric.info.name == metric) {
            let metric = self.catchups.remove(at).metric;
            let reason = format!("what it missed cannot be read: {reason}; retire it and push it anew");
            self.rest(metric, reason);
        }
    }

    fn try_arrive(&mut self, at: usize, now: Micros) {
        if !self.catchups[at].has_arrived() {
            return;
        }
        let catchup = self.catchups.remove(at);
        let monotonic = self.monotonic.clone();
        let epoch = self.head.epoch + 1;
        let (shared, rows) = (&mut self.shared, &mut self.rows);
        let mut run = Running { shared, rows, epoch, now, monotonic: &*monotonic };
        match catchup.arrive(&mut run) {
            Ok(metric) => self.rejoin(metric),
            Err((metric, error)) => self.rest(*metric, error.to_string()),
        }
    }

    /// The end of the epoch for metrics that catch up: their own watermarks, their own positions.
    pub(super) fn end_catchups(
        &mut self,
        boundary: Boundary,
        share: f64,
        writes: &mut WriteSet,
        rows: &mut EpochRows,
    ) -> Result<(), StateError> {
        let live = self.next_by_index();
        let mut going = Vec::new();
        for mut catchup in std::mem::take(&mut self.catchups) {
            let monotonic = self.monotonic.clone();
            let Boundary { epoch, clock: now, .. } = boundary;
            let mut run = Running { shared: &mut self.shared, rows, epoch, now, monotonic: &*monotonic };
            let is_dead = |partition, offset| self.sources.is_dead(partition, offset);
            let known =
                Known { is_dead: &is_dead, findings: &self.findings, keys: &self.keys, store: &*self.store };
            match catchup.take_missed(&known, &mut run) {
                Ok(()) => {}
                Err(CatchUpError::State(error)) => return Err(error),
                Err(error) => {
                    self.rest(catchup.metric, error.to_string());
                    continue;
                }
            }
            let joined = self.sources.have_joined(&catchup.topics());
            let watermarks = catchup.advance(boundary.clock, &self.sources.watermarks, joined);
            match self.end_metric(&mut catchup.metric, boundary, watermarks, share, writes, rows) {
                Ok(()) => {
                    if joined {
                        catchup.approach(&live);
                    }
                    self.positions.insert(catchup.metric.info.name.clone(), Some(catchup.position()));
                    going.push(catchup);
                }
                Err(MetricError::Guest(error)) => self.rest(catchup.metric, error.to_string()),
                Err(MetricError::State(error)) => return Err(error),
            }
        }
        self.catchups = going;
        // What is near may have nothing left to read.
        for at in (0..self.catchups.len()).rev() {
            self.try_arrive(at, boundary.clock);
        }
        Ok(())
    }

    /// The next offset of each partition, by index.
    fn next_by_index(&self) -> Vec<Option<i64>> {
        let next: BTreeMap<TopicPartition, i64> = self.sources.next_offsets().into_iter().collect();
        self.shared.partitions.iter().map(|p| next.get(p).copied()).collect()
    }

    /// A mended version of a stopped metric, with the state of the old one and where that stopped, which must
    /// be durable.
    pub(crate) fn take_over(
        &mut self,
        factory: Arc<dyn MetricFactory>,
        origin: &str,
        store: &dyn StateStore,
    ) -> Result<(Metric, StoredPosition), String> {
        let new = factory.info().clone();
        let stopped = self.stopped(&new.name);
        let (old_entry, old) = stopped.ok_or_else(|| format!("metric {} is not stopped", new.name))?;
        let same = old.meaning_version == new.meaning_version
            && new.state_versions_read.contains(&old_entry.state_version)
            && old.dimensions == new.dimensions
            && old.dimension_sets == new.dimension_sets
            && old.windows == new.windows;
        if !same {
            return Err(format!(
                "metric {}: this version cannot take up the state of the one that was stopped (it must read state \
                 version {} and have meaning version {} and the same dimensions and windows): retire the metric, and \
                 push again to begin anew",
                new.name, old_entry.state_version, old.meaning_version
            ));
        }
        let entry = StoredMetric {
            origin: origin.to_string(),
            digest: factory.digest().to_string(),
            status: Status::CatchingUp,
            ..old_entry
        };
        let mut metric = self.open(factory, entry)?;
        let position = self.stored_position(&new.name, store).map_err(|e| e.to_string())?;
        if let Some(reason) = self.cannot_catch_up(&metric.plan, &position).filter(|_| !metric.plan.is_now) {
            return Err(format!("metric {}: {reason}", new.name));
        }
        metric.watermarks = self.watermarks_at(&metric, &position);
        let chunks = Chunks { store, keys: &self.keys };
        // All of it: the whole is stored anew.
        let restored = metric.restore(None, &mut self.shared, &chunks);
        restored.map_err(|e| format!("metric {} cannot take up the stored state: {e}", new.name))?;
        // What is stored of the last rows may be older than they were: all are given again.
        metric.revive(self.head.epoch + 1, true);
        // Recovery never merges cells of two components.
        metric.store_whole();
        Ok((metric, position))
    }

    /// Puts a mended metric in the place of the one that was stopped.
    pub(crate) fn replace_stopped(&mut self, metric: Metric, position: StoredPosition) {
        let name = &metric.info.name;
        self.suspended.retain(|s| s.metric.info.name != *name);
        self.resting.retain(|(e, _)| e.name != *name);
        self.prepare.push(metric.info.clone());
        self.add_stopped(metric, position);
        self.must_commit = true;
        self.catalogue_changed = true;
        self.ask();
    }

    /// A stopped metric over events that reads a topic: it would miss what is redriven now, if it is past it.
    pub(super) fn stopped_reader_of(&self, topic: &str) -> Option<&str> {
        let reads = |info: &MetricInfo| {
            let mut sources = self.options.sources.iter();
            // Current values come from the row table, and a derived metric has nothing of its own to miss.
            !(info.is_now() || info.is_derived())
                && sources.any(|s| {
                    s.topics.iter().any(|t| t == topic) && info.inputs.iter().any(|i| i.source == s.name)
                })
        };
        self.all_stopped().find(|(_, info)| info.is_none_or(|i| reads(i))).map(|(e, _)| e.name.as_str())
    }

    pub(crate) fn is_stopped(&self, name: &str) -> bool {
        self.stopped(name).is_some()
    }

    /// The entry and description of a metric that is stopped and could be mended.
    fn stopped(&self, name: &str) -> Option<(StoredMetric, Arc<MetricInfo>)> {
        let found = self.all_stopped().find(|(e, _)| e.name == name);
        found.and_then(|(e, info)| Some((e.clone(), info?.clone())))
    }

    /// Metrics that are stopped, and what they are where that is known.
    fn all_stopped(&self) -> impl Iterator<Item = (&StoredMetric, Option<&Arc<MetricInfo>>)> {
        let suspended = self.suspended.iter().map(|s| (&s.metric.entry, Some(&s.metric.info)));
        let resting = self.resting.iter().map(|(e, info)| (e, info.as_ref()));
        suspended.chain(resting).filter(|(e, _)| e.status != Status::Retired)
    }

    pub(crate) fn stored_position(
        &self,
        name: &str,
        store: &dyn StateStore,
    ) -> Result<StoredPosition, StateError> {
        match store.get(&self.keys.position(name))? {
            Some(bytes) => decode_position(&bytes),
            // Stopped by a host that kept none: where the shard stands.
            None => Ok(self.position_before()),
        }
    }

    /// Puts a metric that was stopped where it belongs: it comes back with the next epoch if its columns fit.
    pub(crate) fn add_stopped(&mut self, metric: Metric, position: StoredPosition) {
        match metric.entry.status {
            Status::CatchingUp if !metric.plan.is_now => {
                self.catchups.push(CatchUp::new(metric, &self.options.sources, position, &self.shared));
            }
            _ => self.suspended.push(Suspended { metric, position }),
        }
    }

    /// What is wrong with metrics, for `/readyz` and the status.
    pub(super) fn suspended_condition(&self) -> Option<Condition> {
        let entries =
            self.suspended.iter().map(|s| &s.metric.entry).chain(self.resting.iter().map(|(e, _)| e));
        let texts: Vec<String> = entries
            .filter_map(|e| match &e.status {
                Status::Suspended { reason, .. } => Some(format!("metric {} is suspended: {reason}", e.name)),
                _ => None,
            })
            .collect();
        let reason = texts.join("; ");
        (!texts.is_empty()).then_some(Condition { part: "suspended", blocking: false, reason })
    }
}
