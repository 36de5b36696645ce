//! Metrics over current values: batches go through the row tables.

use super::Shard;
use crate::metric::{ImageBatch, Running};
use weir_types::Micros;
use weir_types::batch::ChangeBatch;
use weir_types::contract::RowMemory;
use weir_types::control::{ControlError, Resnapshot};
use weir_types::live::Condition;

impl Shard {
    /// Lets a batch change its source's row table, and shows what has changed to the metrics.
    pub(super) fn process_images(
        &mut self,
        source: usize,
        batch: &ChangeBatch,
        now: Micros,
    ) -> Vec<(usize, String)> {
        let start = (self.monotonic)();
        let any = self.tables[source].take(batch, &mut self.shared.texts);
        *self.stages.entry("rows").or_default() += ((self.monotonic)() - start).as_nanos() as u64;
        if any { self.show_images(source, now) } else { Vec::new() }
    }

    /// Shows what the row table has taken up to the metrics, and settles it.
    fn show_images(&mut self, source: usize, now: Micros) -> Vec<(usize, String)> {
        let keeps_all = self.keeps_all(source);
        let table = &self.tables[source];
        let (images, before) = table.images();
        let olds = images.len() - before.len();
        let signs: Vec<i64> = (0..images.len()).map(|at| if at < olds { -1 } else { 1 }).collect();
        let monotonic = self.monotonic.clone();
        let epoch = self.head.epoch + 1;
        let mut run =
            Running { shared: &mut self.shared, rows: &mut self.rows, epoch, now, monotonic: &*monotonic };
        let columns = table.columns().to_vec();
        let mut shown = ImageBatch::new(source, &columns, &images, (&signs, &before));
        let mut failed = Vec::new();
        let mut gave = vec![keeps_all || self.options.sources[source].keeps_rows(); images.len()];
        for (at, metric) in self.metrics.iter_mut().enumerate().filter(|(_, m)| m.plan.is_now) {
            let reads = metric.plan.inputs.iter().any(|i| i.source == source);
            let all = reads && metric.info.rows == RowMemory::All;
            if all {
                gave.fill(true);
            }
            if let Err(error) = metric.observe_images(&mut shown, &mut gave, &mut run) {
                failed.push((at, error.to_string()));
            }
        }
        // A metric that fails looks at the whole table when it is mended.
        if !failed.is_empty() {
            gave.fill(true);
        }
        let start = monotonic();
        self.tables[source].settle(gave.into_iter().skip(olds), &self.shared.texts);
        *self.stages.entry("rows").or_default() += (monotonic() - start).as_nanos() as u64;
        failed
    }

    /// Begins, finishes or gives up the rebuild of a source's row table.
    pub fn resnapshot(&mut self, source: &str, step: Resnapshot, now: Micros) -> Result<(), ControlError> {
        let at = self.options.sources.iter().position(|s| s.name == source);
        let at = at.ok_or_else(|| ControlError::Refused(format!("no source is called {source}")))?;
        let table = &mut self.tables[at];
        match step {
            Resnapshot::Begin if !table.is_used() => {
                return Err(ControlError::Refused(format!(
                    "source {source} has no row table: no metric over current values reads it"
                )));
            }
            Resnapshot::Begin if self.versions[at].is_some() => {
                return Err(ControlError::Refused(format!(
                    "source {source} tells repeats by its version_column, and would take a snapshot's rows for some: start \
                     the host without version_column for the rebuild"
                )));
            }
            Resnapshot::Begin => {
                table.begin_rebuild(self.sources.next_of_topics(&self.options.sources[at].topics), now)
            }
            Resnapshot::Finish | Resnapshot::Cancel if table.rebuild().is_none() => {
                return Err(ControlError::Refused(format!(
                    "the row table of source {source} is not being rebuilt"
                )));
            }
            Resnapshot::Finish => table.end_snapshot(),
            Resnapshot::Cancel => table.cancel_rebuild(),
        }
        self.must_commit = true;
        tracing::info!(%source, ?step, "rebuild of the row table");
        Ok(())
    }

    /// Which row tables are being rebuilt, for the status.
    pub(super) fn rebuild_condition(&self) -> Option<Condition> {
        let tables = self.options.sources.iter().zip(&self.tables);
        let texts: Vec<String> = tables
            .filter_map(|(source, table)| {
                let rebuild = table.rebuild()?;
                let waits = match rebuild.over {
                    None => "it waits for the snapshot's end",
                    Some(_) => "the snapshot is over, and what was sent before its end is still being read",
                };
                let (name, reads) = (&source.name, rebuild.reads);
                Some(format!(
                    "the row table of source {name} is being rebuilt ({reads} rows read so far): {waits}"
                ))
            })
            .collect();
        let reason = texts.join("; ");
        (!texts.is_empty()).then_some(Condition { part: "resnapshot", blocking: false, reason })
    }

    /// Ends the rebuild of a source's row table, if it is time to.
    pub(super) fn end_rebuild(&mut self, source: usize, now: Micros) {
        let Some(rebuild) = self.tables[source].rebuild().copied() else { return };
        // Part of the snapshot may wait in a partition that the reader has not found again yet: of no partitions
        // its end is noted, and nothing is ended.
        let partitions = match self.sources.have_joined(&self.options.sources[source].topics) {
            true => self.sources.ends_of(source),
            false => Vec::new(),
        };
        let Some(ended) = self.tables[source].try_end_rebuild(&partitions, now) else { return };
        let failed = self.show_images(source, now);
        self.quarantine(failed);
        self.must_commit = true;
        tracing::info!(
            source = %self.options.sources[source].name,
            since = rebuild.since,
            reads = rebuild.reads,
            removed = ended,
            "the row table is rebuilt: rows that the snapshot did not bring are removed"
        );
    }
}
