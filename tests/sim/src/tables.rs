//! ClickHouse's tables as ReplacingMergeTree keeps them: of the rows of one key the greatest version stands.

use crate::world::{Breach, Mutation};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_types::Name;
use weir_types::ports::LostFuture;
use weir_types::record::TopicPartition;
use weir_types::rows::{
    DeadLetterRow, DeadOutcome, EpochRow, LateEventRow, Outbox, PromotedRow, RealtimeRow, version,
};

/// A row and its version.
#[derive(Clone, Debug)]
pub struct Held<T> {
    pub version: u64,
    pub row: T,
    /// Whether it stands in place of a row that was taken back.
    mark: bool,
}

/// metric, incarnation, window, dimension set, dims, start
pub type RowKey = (Name, i64, Name, Name, Arc<[String]>, i64);
/// metric, incarnation, partition, offset, row, sample
pub type LateKey = (String, i64, TopicPartition, i64, u32, u32);

/// See the module.
#[derive(Default)]
pub struct Tables {
    pub epochs: BTreeMap<u64, Held<EpochRow>>,
    pub realtime: BTreeMap<RowKey, Held<RealtimeRow>>,
    pub latest: BTreeMap<RowKey, Held<RealtimeRow>>,
    pub late: BTreeMap<LateKey, Held<LateEventRow>>,
    pub dead: BTreeMap<(TopicPartition, i64, String), Held<DeadLetterRow>>,
    pub promoted: BTreeMap<String, Held<PromotedRow>>,
    /// The greatest generation that the audit says to have taken something back.
    taken_back: u64,
}

fn put<K: Ord, T: PartialEq + Clone>(
    table: &mut BTreeMap<K, Held<T>>,
    key: K,
    version: u64,
    row: &T,
    mutation: Mutation,
) -> Result<(), Breach> {
    match table.entry(key) {
        Entry::Vacant(free) => drop(free.insert(Held { version, row: row.clone(), mark: false })),
        Entry::Occupied(mut held) => {
            let held = held.get_mut();
            if version == held.version && *row != held.row && !held.mark {
                return Err(Breach(format!("two different rows of one key have version {version}")));
            }
            let is_newer = version > held.version || (version == held.version && held.mark);
            if is_newer || mutation == Mutation::VersionIgnored {
                *held = Held { version, row: row.clone(), mark: false };
            }
        }
    }
    Ok(())
}

fn all<'r, T: 'r>(
    rows: impl IntoIterator<Item = &'r T>,
    put: impl FnMut(&'r T) -> Result<(), Breach>,
) -> Result<(), Breach> {
    rows.into_iter().try_for_each(put)
}

fn key(row: &RealtimeRow, start: i64) -> RowKey {
    let (metric, window, set) =
        (row.series.metric.clone(), row.series.window.clone(), row.series.dimension_set.clone());
    (metric, row.series.incarnation, window, set, row.dims.clone(), start)
}

/// One statement of a delivery.
#[derive(Clone, Copy, Debug)]
pub enum Statement {
    Epochs,
    /// Values of one day, which is one partition.
    Day(i32),
    Latest,
    Late,
    Dead,
    Promoted,
}

/// The statements of one delivery, in the sink's order: epochs first, the pointer of the views last.
pub fn statements(outbox: &Outbox) -> Vec<Statement> {
    let days: BTreeSet<i32> = outbox.realtime.iter().map(|row| row.day).collect();
    let mut all = vec![Statement::Epochs];
    all.extend(days.into_iter().map(Statement::Day));
    all.extend([Statement::Latest, Statement::Late, Statement::Dead, Statement::Promoted]);
    all
}

impl Tables {
    /// Carries out one statement.
    pub fn insert(
        &mut self,
        generation: u64,
        rows: &Outbox,
        statement: Statement,
        mutation: Mutation,
    ) -> Result<(), Breach> {
        let of = |epoch: u64| version(generation, epoch);
        match statement {
            Statement::Epochs => {
                all(&rows.epochs, |row| put(&mut self.epochs, row.epoch, of(row.epoch), row, mutation))
            }
            Statement::Day(day) => all(rows.realtime.iter().filter(|row| row.day == day), |row| {
                put(&mut self.realtime, key(row, row.start), of(row.epoch), row, mutation)
            }),
            Statement::Latest => {
                all(&rows.latest, |row| put(&mut self.latest, key(row, 0), of(row.epoch), row, mutation))
            }
            Statement::Late => all(&rows.late_events, |row| {
                let partition = row.partition.clone();
                let key = (row.metric.clone(), row.incarnation, partition, row.offset, row.row, row.sample);
                put(&mut self.late, key, of(row.epoch), row, mutation)
            }),
            Statement::Dead => all(&rows.dead_letters, |row| {
                let key = (row.partition.clone(), row.offset, row.metric.clone());
                put(&mut self.dead, key, of(row.epoch), row, mutation)
            }),
            Statement::Promoted => all(&rows.promoted, |row| {
                let stays = mutation == Mutation::PointerStays && self.promoted.contains_key(&row.metric);
                match stays {
                    true => Ok(()),
                    false => put(&mut self.promoted, row.metric.clone(), of(row.epoch), row, mutation),
                }
            }),
        }
    }

    /// All statements of a delivery.
    pub fn insert_all(&mut self, generation: u64, rows: &Outbox, mutation: Mutation) -> Result<(), Breach> {
        statements(rows).into_iter().try_for_each(|part| self.insert(generation, rows, part, mutation))
    }

    /// As the sink does it: values get a deleted row between the lost rows and those to come; what has no such
    /// mark is removed.
    pub fn take_back(&mut self, lost: LostFuture, generation: u64) {
        let meant = |epoch: u64, held: u64| {
            epoch > lost.epoch && held >= lost.generation << 40 && held < generation << 40
        };
        let of = (generation << 40) + lost.epoch;
        self.taken_back = self.taken_back.max(generation);
        let stands = self.epochs.range(..=lost.epoch).flat_map(|(_, held)| &held.row.partitions);
        let mut read: BTreeMap<&TopicPartition, i64> = BTreeMap::new();
        stands.for_each(|taken| *read.entry(&taken.partition).or_default() = taken.to);
        self.dead.retain(|(partition, offset, _), held| {
            !meant(held.row.epoch, held.version) || read.get(partition).is_some_and(|upto| offset < upto)
        });
        for held in self.dead.values_mut().filter(|held| meant(held.row.epoch, held.version)) {
            held.row.outcome = DeadOutcome::Dead;
            (held.version, held.mark) = (of, true);
        }
        for held in self.realtime.values_mut().chain(self.latest.values_mut()) {
            if meant(held.row.epoch, held.version) {
                held.row.deleted = true;
                (held.version, held.mark) = (of, true);
            }
        }
        for held in self.promoted.values_mut().filter(|held| meant(held.row.epoch, held.version)) {
            held.row.retired = true;
            (held.version, held.mark) = (of, true);
        }
        self.late.retain(|_, held| !meant(held.row.epoch, held.version));
        self.epochs.retain(|_, held| !meant(held.row.epoch, held.version));
    }

    /// As the sink reads it: from the rows of `epochs`, and from what was taken back.
    pub fn greatest_generation(&self) -> u64 {
        let epochs = self.epochs.values().map(|held| held.version >> 40);
        epochs.max().unwrap_or(0).max(self.taken_back)
    }
}

/// Epochs whose rows stand in a delivery.
pub fn greatest_epoch(outbox: &Outbox) -> u64 {
    let realtime = outbox.realtime.iter().chain(&outbox.latest).map(|row| row.epoch);
    let rest = outbox.epochs.iter().map(|row| row.epoch);
    let late = outbox.late_events.iter().map(|row| row.epoch);
    let dead = outbox.dead_letters.iter().map(|row| row.epoch);
    let promoted = outbox.promoted.iter().map(|row| row.epoch);
    realtime.chain(rest).chain(late).chain(dead).chain(promoted).max().unwrap_or(0)
}
