//! The epochs: which records each one read, and whether its counts add up.

use crate::journal::Partition;
use crate::reading::{Counted, Records};
use crate::results::{int, text};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What one epoch took from one partition: offsets [from, to).
#[derive(Clone, Debug)]
pub struct Part {
    pub partition: Partition,
    pub from: i64,
    pub to: i64,
    pub read: i64,
    pub applied: i64,
    pub skipped: i64,
    pub dead: i64,
}

#[derive(Clone, Debug)]
pub struct Epoch {
    pub number: i64,
    pub clock: i64,
    pub partitions: Vec<Part>,
    /// Names of the metrics that were loaded.
    pub metrics: BTreeSet<String>,
}

/// All epochs, ascending.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    pub list: Vec<Epoch>,
}

/// What was counted and what should have been.
#[derive(Clone, Debug, Default)]
pub struct Balance {
    pub compared: usize,
    pub differ: Vec<String>,
}

impl Epochs {
    /// From the rows of `epochs`. Of an epoch with several versions the greatest stands.
    pub fn of_rows(rows: &[Value]) -> Result<Epochs> {
        let mut newest: BTreeMap<i64, (u64, Epoch)> = BTreeMap::new();
        for row in rows {
            let epoch = epoch(row).with_context(|| format!("a row of epochs cannot be read: {row}"))?;
            let version = row["version"].as_u64().unwrap_or(0);
            match newest.get(&epoch.number) {
                Some((held, _)) if *held > version => {}
                _ => {
                    newest.insert(epoch.number, (version, epoch));
                }
            }
        }
        Ok(Epochs { list: newest.into_values().map(|(_, epoch)| epoch).collect() })
    }

    /// The first epoch that knew a metric.
    pub fn first_with(&self, metric: &str) -> Option<&Epoch> {
        self.list.iter().find(|epoch| epoch.metrics.contains(metric))
    }

    /// In every epoch and partition: read = applied + skipped + dead = the journal's records between
    /// the offsets, each kind as read here; and no offset is read twice or left out.
    pub fn balance(&self, records: &Records) -> Balance {
        let mut balance = Balance::default();
        let mut next: BTreeMap<&Partition, i64> = BTreeMap::new();
        balance.numbers(&self.list);
        for epoch in &self.list {
            for part in &epoch.partitions {
                let all = records.get(&part.partition).map_or(&[][..], Vec::as_slice);
                balance.part(epoch, part, all, next.insert(&part.partition, part.to));
            }
        }
        for (partition, all) in records {
            let Some((last, _)) = all.last() else { continue };
            let upto = next.get(partition).copied().unwrap_or(0);
            balance.compared += 1;
            if upto <= *last {
                balance.differ.push(format!(
                    "{} {}: the epochs end before offset {upto}, the journal holds {last}",
                    partition.0, partition.1
                ));
            }
        }
        balance
    }
}

impl Balance {
    /// Epochs are numbered without a gap.
    fn numbers(&mut self, epochs: &[Epoch]) {
        for (place, epoch) in (1..).zip(epochs) {
            self.compared += 1;
            if epoch.number != place {
                self.differ.push(format!("epoch {} stands where epoch {place} should", epoch.number));
                return;
            }
        }
    }

    fn part(&mut self, epoch: &Epoch, part: &Part, all: &[(i64, Counted)], before: Option<i64>) {
        let (mut applied, mut skipped, mut dead) = (0, 0, 0);
        let begin = all.partition_point(|(offset, _)| *offset < part.from);
        for (_, counted) in all[begin..].iter().take_while(|(offset, _)| *offset < part.to) {
            match counted {
                Counted::Applied(_) => applied += 1,
                Counted::Skipped => skipped += 1,
                Counted::Dead => dead += 1,
            }
        }
        // Before the first epoch's first offset nothing may have been lost.
        let expected_from = before.unwrap_or_else(|| all.first().map_or(part.from, |(offset, _)| *offset));
        let gap_is_empty = expected_from <= part.from && {
            let from = all.partition_point(|(offset, _)| *offset < expected_from);
            from == begin
        };
        let starts_early = before.is_none() && part.from <= expected_from;
        let checks = [
            ("from", part.from, if gap_is_empty || starts_early { part.from } else { expected_from }),
            ("read", part.read, applied + skipped + dead),
            ("applied", part.applied, applied),
            ("skipped", part.skipped, skipped),
            ("dead", part.dead, dead),
        ];
        self.compared += checks.len();
        for (name, found, expected) in checks {
            if found != expected {
                self.differ.push(format!(
                    "epoch {} {} {} [{}, {}): {name} {found}, the journal says {expected}",
                    epoch.number, part.partition.0, part.partition.1, part.from, part.to
                ));
            }
        }
    }
}

fn epoch(row: &Value) -> Result<Epoch> {
    let partitions = row["partitions"].as_array().context("no partitions")?;
    let metrics = row["digests"].as_object().map(|d| d.keys().cloned().collect()).unwrap_or_default();
    Ok(Epoch {
        number: int(row, "epoch")?,
        clock: int(row, "clock_us")?,
        partitions: partitions.iter().map(part).collect::<Result<_>>()?,
        metrics,
    })
}

fn part(row: &Value) -> Result<Part> {
    // Skipped records stand by reason.
    let skipped = match &row["skipped"] {
        Value::Object(reasons) => reasons.values().filter_map(Value::as_i64).sum(),
        _ => int(row, "skipped")?,
    };
    Ok(Part {
        partition: (text(row, "topic")?, int(row, "partition")? as i32),
        from: int(row, "from")?,
        to: int(row, "to")?,
        read: int(row, "read")?,
        applied: int(row, "applied")?,
        skipped,
        dead: int(row, "dead")?,
    })
}
