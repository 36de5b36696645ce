//! Metrics of current values: a function of each row's last image.

use crate::debezium::{Change, Op};
use crate::epochs::Epochs;
use crate::fields::{Cell, Row, Word, word};
use crate::journal::Partition;
use crate::metrics::{Facts, Form, Metric, Standing};
use crate::reading::{Counted, Reading};
use crate::recompute::{Expected, Wanted};
use crate::results::Key;
use crate::settings::Settings;
use crate::time::MINUTE;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, HashMap};

/// What was recomputed of a metric of current values.
#[derive(Default)]
pub struct Now {
    /// After all records: what should stand in `metric_latest`; keys have start 0. What changes with time
    /// is as the last epoch's clock has it: a row is written in each epoch that changes it.
    pub latest: Expected,
    /// After the first epoch of each minute of the clock, and by its clock: what should stand in
    /// `metric_realtime`.
    pub history: Expected,
}

/// The rows that count, and what stands under each key of each dimension set.
struct Table<'a> {
    metric: &'a Metric,
    settings: &'a Settings,
    subsets: Vec<Vec<usize>>,
    rows: HashMap<i64, (Vec<Cell>, Facts)>,
    keys: Vec<HashMap<Vec<Cell>, Standing>>,
}

pub fn now(metric: &Metric, reading: &Reading, epochs: &Epochs, settings: &Settings) -> Result<Now> {
    let mut result = Now::default();
    let mut table = Table::new(metric, settings);
    let mut read: BTreeMap<&Partition, usize> = BTreeMap::new();
    let mut minute_before = None;
    let is_of = |partition: &Partition| partition.0.rsplit('.').next() == Some(metric.table.name);
    for epoch in &epochs.list {
        for part in epoch.partitions.iter().filter(|part| is_of(&part.partition)) {
            let Some((partition, records)) = reading.records.get_key_value(&part.partition) else { continue };
            let at = read.entry(partition).or_default();
            while let Some((offset, counted)) = records.get(*at).filter(|(offset, _)| *offset < part.to) {
                table.apply(counted, *offset)?;
                *at += 1;
            }
        }
        let minute = epoch.clock.div_euclid(MINUTE) * MINUTE;
        if minute_before.replace(minute) != Some(minute) {
            table.show(epoch.clock, minute, &mut result.history);
        }
    }
    for (partition, records) in reading.records.iter().filter(|(partition, _)| is_of(partition)) {
        for (offset, counted) in &records[read.get(partition).copied().unwrap_or(0)..] {
            table.apply(counted, *offset)?;
        }
    }
    table.show(epochs.list.last().map_or(0, |epoch| epoch.clock), 0, &mut result.latest);
    Ok(result)
}

impl<'a> Table<'a> {
    fn new(metric: &'a Metric, settings: &'a Settings) -> Table<'a> {
        let subsets = metric.subsets();
        let keys = subsets.iter().map(|_| HashMap::new()).collect();
        Table { metric, settings, subsets, rows: HashMap::new(), keys }
    }

    fn apply(&mut self, counted: &Counted, offset: i64) -> Result<()> {
        let Counted::Applied(change) = counted else { return Ok(()) };
        if change.op == Op::Truncate {
            bail!("offset {offset} truncates {}: the oracle does not know that yet", self.metric.table.name);
        }
        let id_of = |row: &Row| row[0].int();
        if change.op == Op::Rekey
            && let Some(old) = change.before.as_ref().and_then(id_of)
        {
            let stood = self.rows.remove(&old);
            self.count(stood, -1);
        }
        // Without its key a row cannot be told.
        let Some(id) = key_of(change) else { return Ok(()) };
        let stands = change.after.as_ref().and_then(|row| self.metric.stands(row, self.settings));
        let stood = match stands.clone() {
            Some(row) => self.rows.insert(id, row),
            None => self.rows.remove(&id),
        };
        if stood != stands {
            self.count(stood, -1);
            self.count(stands, 1);
        }
        Ok(())
    }

    fn count(&mut self, row: Option<(Vec<Cell>, Facts)>, weight: i64) {
        let Some((dims, facts)) = row else { return };
        for (subset, keys) in self.subsets.iter().zip(&mut self.keys) {
            let key: Vec<Cell> = subset.iter().map(|d| dims[*d]).collect();
            let standing = keys.entry(key.clone()).or_default();
            standing.count += weight;
            let of_facts = standing.facts.entry(facts).or_default();
            *of_facts += weight;
            if *of_facts == 0 {
                standing.facts.remove(&facts);
            }
            if standing.count == 0 {
                keys.remove(&key);
            }
        }
    }

    fn show(&mut self, clock: i64, start: i64, into: &mut Expected) {
        let Form::Now { outputs, .. } = self.metric.form else { return };
        for (subset, keys) in self.subsets.iter().zip(&mut self.keys) {
            let set = word(&self.metric.set_name(subset));
            for (cells, standing) in keys {
                standing.clock = clock;
                let dims: Vec<Word> = cells.iter().map(|cell| cell.canonical()).collect();
                let (end, samples) = (start, Some(standing.count));
                let wanted = Wanted { end, samples, outputs: outputs(standing) };
                into.insert(Key { window: "now", set, dims, start }, wanted);
            }
        }
    }
}

fn key_of(change: &Change) -> Option<i64> {
    change.row_id().map(|(_, id)| id)
}
