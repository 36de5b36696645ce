//! ClickHouse's tables as ReplacingMergeTree keeps them: of the rows of one key the greatest version stands.

use crate::world::{Breach, Mutation};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use weir_types::ports::LostFuture;
use weir_types::record::TopicPartition;
use weir_types::rows::{DeadLetterRow, EpochRow, LateEventRow, Outbox, PromotedRow, RealtimeRow, version};

/// A row and its version.
#[derive(Clone, Debug)]
pub struct Held<T> {
    pub version: u64,
    pub row: T,
    /// Whether it stands in place of a row that was taken back.
    mark: bool,
}

/// metric, incarnation, window, dimension set, dims, start
pub type RowKey = (String, i64, String, String, Vec<String>, i64);
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
}

fn put<K: Ord, T: PartialEq>(
    table: &mut BTreeMap<K, Held<T>>,
    key: K,
    version: u64,
    row: T,
    mutation: Mutation,
) -> Result<(), Breach> {
    match table.entry(key) {
        Entry::Vacant(free) => drop(free.insert(Held { version, row, mark: false })),
        Entry::Occupied(mut held) => {
            let held = held.get_mut();
            if version == held.version && row != held.row && !held.mark {
                return Err(Breach(format!("two different rows of one key have version {version}")));
            }
            if version >= held.version || mutation == Mutation::VersionIgnored {
                *held = Held { version, row, mark: false };
            }
        }
    }
    Ok(())
}

fn key(row: &RealtimeRow, start: i64) -> RowKey {
    let (metric, window, set) = (row.metric.clone(), row.window.clone(), row.dimension_set.clone());
    (metric, row.incarnation, window, set, row.dims.clone(), start)
}

/// The statements of one delivery, in the sink's order: epochs first, the pointer of the views last; one
/// statement is one partition.
pub fn statements(outbox: &Outbox) -> Vec<Outbox> {
    let mut days: BTreeMap<i32, Vec<RealtimeRow>> = BTreeMap::new();
    for row in &outbox.realtime {
        days.entry(row.day).or_default().push(row.clone());
    }
    let mut parts = vec![Outbox { epochs: outbox.epochs.clone(), ..Outbox::default() }];
    parts.extend(days.into_values().map(|realtime| Outbox { realtime, ..Outbox::default() }));
    parts.push(Outbox { latest: outbox.latest.clone(), ..Outbox::default() });
    parts.push(Outbox { late_events: outbox.late_events.clone(), ..Outbox::default() });
    parts.push(Outbox { dead_letters: outbox.dead_letters.clone(), ..Outbox::default() });
    parts.push(Outbox { promoted: outbox.promoted.clone(), ..Outbox::default() });
    parts.retain(|part| !part.is_empty());
    parts
}

impl Tables {
    pub fn insert(&mut self, generation: u64, rows: &Outbox, mutation: Mutation) -> Result<(), Breach> {
        for row in &rows.epochs {
            put(&mut self.epochs, row.epoch, version(generation, row.epoch), row.clone(), mutation)?;
        }
        for row in &rows.realtime {
            let of = version(generation, row.epoch);
            put(&mut self.realtime, key(row, row.start), of, row.clone(), mutation)?;
        }
        for row in &rows.latest {
            put(&mut self.latest, key(row, 0), version(generation, row.epoch), row.clone(), mutation)?;
        }
        for row in &rows.late_events {
            let partition = row.partition.clone();
            let key = (row.metric.clone(), row.incarnation, partition, row.offset, row.row, row.sample);
            put(&mut self.late, key, version(generation, row.epoch), row.clone(), mutation)?;
        }
        for row in &rows.dead_letters {
            let key = (row.partition.clone(), row.offset, row.metric.clone());
            put(&mut self.dead, key, version(generation, row.epoch), row.clone(), mutation)?;
        }
        for row in &rows.promoted {
            let of = version(generation, row.epoch);
            put(&mut self.promoted, row.metric.clone(), of, row.clone(), mutation)?;
        }
        Ok(())
    }

    /// As the sink does it: values get a deleted row between the lost rows and those to come; what has no such
    /// mark is removed.
    pub fn take_back(&mut self, lost: LostFuture, generation: u64) {
        let meant = |epoch: u64, held: u64| {
            epoch > lost.epoch && held >= lost.generation << 40 && held < generation << 40
        };
        let of = (generation << 40) + lost.epoch;
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

    /// As the sink reads it: from the rows of `epochs`.
    pub fn greatest_generation(&self) -> u64 {
        self.epochs.values().map(|held| held.version >> 40).max().unwrap_or(0)
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
