//! What metrics over events have missed while they are away, beyond the records themselves: kept as long as
//! one may read again.

use super::Shard;
use crate::findings::{EpochEnd, Places, place};
use crate::plan::Plan;
use crate::stored::{Status, StoredPosition};
use std::collections::BTreeMap;
use weir_types::contract::MetricInfo;
use weir_types::ports::{StateError, StateStore, WriteSet};
use weir_types::record::TopicPartition;

impl Shard {
    /// Puts what was found out in the epoch into its write, as far as somebody has to read the epoch again. All
    /// positions must be those of its end.
    pub(super) fn keep_findings(&mut self, epoch: u64, after: &Places, writes: &mut WriteSet) {
        for source in self.findings.sources() {
            let floors = self.floors(source, after);
            let end = EpochEnd {
                epoch,
                durable: self.durable,
                partitions: &self.shared.partitions,
                before: &self.head.partitions,
                after,
                keys: &self.keys,
            };
            self.findings.save(source, &floors, self.tables[source].columns(), &end, writes);
        }
    }

    /// From where on a source's partitions may be read again, for those of which one may be.
    fn floors(&self, source: usize, after: &Places) -> BTreeMap<TopicPartition, i64> {
        let live = &self.head.partitions;
        let topics = &self.options.sources[source].topics;
        let covered = |position: &&StoredPosition| self.findings.cover(source, position, live);
        let away: Vec<&StoredPosition> = self.away_from(source).filter(covered).collect();
        let floor = |partition: &TopicPartition| {
            let theirs = away.iter().map(|position| place(&position.partitions, partition));
            let begun =
                self.shapes.begun(source, partition).map(|s| s.before.as_ref().map_or(i64::MIN, |b| b.next));
            let begun = begun.filter(|place| self.findings.reach(source, partition, *place, live));
            theirs.chain(begun).min()
        };
        let ours = after.keys().filter(|partition| topics.contains(&partition.topic));
        ours.filter_map(|partition| Some((partition.clone(), floor(partition)?))).collect()
    }

    /// Where the metrics over events of a source stand that are away.
    fn away_from(&self, source: usize) -> impl Iterator<Item = &StoredPosition> {
        let name = &self.options.sources[source].name;
        let reads = move |info: &MetricInfo| {
            !info.is_now() && !info.is_derived() && info.inputs.iter().any(|input| input.source == *name)
        };
        let opened = self.suspended.iter().map(|s| &s.metric).chain(self.catchups.iter().map(|c| &c.metric));
        let resting = self.resting.iter().filter(|(entry, _)| entry.status != Status::Retired);
        let resting = resting.filter_map(|(_, info)| info.as_ref());
        let away = opened.map(|metric| &metric.info).chain(resting).filter(move |info| reads(info));
        away.filter_map(|info| self.stood.get(&info.name))
    }

    /// Why a metric over events cannot read again what it has missed.
    pub(super) fn cannot_catch_up(&self, plan: &Plan, position: &StoredPosition) -> Option<String> {
        let mut inputs = plan.inputs.iter().map(|input| input.source);
        let source = inputs.find(|s| !self.findings.cover(*s, position, &self.head.partitions))?;
        Some(format!(
            "what it missed cannot be read again: what source {} was when it stopped is no longer kept ([limits] missed); retire \
             it and push it anew",
            self.options.sources[source].name
        ))
    }

    /// Takes up where the metrics stand that do not run.
    pub(crate) fn restore_away(&mut self, store: &dyn StateStore) -> Result<(), StateError> {
        self.findings.restore(&self.keys, &self.head.partitions, store)?;
        let live = |status: &Status| matches!(status, Status::Live | Status::Retired);
        let away: Vec<String> =
            self.head.metrics.iter().filter(|m| !live(&m.status)).map(|m| m.name.clone()).collect();
        for name in away {
            let position = self.stored_position(&name, store)?;
            self.stood.insert(name, position);
        }
        Ok(())
    }
}
