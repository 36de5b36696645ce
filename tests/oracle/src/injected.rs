//! Are exactly those records dead, skipped or left out of a metric that were meant to be? The generator
//! says in a header what must become of a record that it has spoilt; all others must count, but for
//! tombstones and the repeats of a connector that was restarted.

use crate::debezium::{Change, Op};
use crate::fields::Cell;
use crate::journal::{Partition, Record};
use crate::metrics;
use crate::reading::{Counted, Records};
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

const HEADER: &str = "generator.injected";

/// Differences kept as text.
const EXAMPLES: usize = 20;

/// How many records met which fate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    pub dead: usize,
    pub skipped: usize,
    pub excluded: usize,
    pub tombstones: usize,
    pub repeats: usize,
    pub differ: Vec<String>,
    /// Differences beyond those kept.
    pub more: usize,
    seen: HashSet<u64>,
}

impl Injected {
    /// Compares what a record was meant to be with what it is read as.
    pub fn record(&mut self, record: &Record, counted: &Counted) {
        let header = record.headers.iter().find(|(name, _)| name == HEADER);
        let fate = header.and_then(|(_, value)| value.as_deref());
        let is_copy = !self.seen.insert(fingerprint(record));
        let expected = match fate {
            Some(fate) => fate,
            None if record.value.is_none() => "tombstone",
            None if is_copy && !is_read(counted) => "repeat",
            None => "good",
        };
        let found = match counted {
            Counted::Dead => "dead",
            Counted::Skipped => "skipped",
            Counted::Applied(change) if is_excluded(change) => "excluded",
            Counted::Applied(_) => "good",
        };
        let count = match expected {
            "dead" => &mut self.dead,
            "skipped" => &mut self.skipped,
            "excluded" => &mut self.excluded,
            "tombstone" => &mut self.tombstones,
            "repeat" => &mut self.repeats,
            _ => &mut 0,
        };
        *count += 1;
        let as_found = if matches!(expected, "tombstone" | "repeat") { "skipped" } else { expected };
        if as_found != found {
            match self.differ.len() {
                EXAMPLES => self.more += 1,
                _ => self.differ.push(format!(
                    "{} {} offset {} was made to be {expected} and is {found}",
                    record.topic, record.partition, record.offset
                )),
            }
        }
    }
}

/// Whether some metric must leave it out.
fn is_excluded(change: &Change) -> bool {
    let images = change.after.iter().chain(&change.before);
    let some_unfit = images.flat_map(|row| row.iter()).any(|cell| *cell == Cell::Unfit);
    some_unfit && metrics::all().any(|metric| metric.leaves_out(change))
}

fn is_read(counted: &Counted) -> bool {
    matches!(counted, Counted::Applied(change) if change.op == Op::Read)
}

fn fingerprint(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&record.topic, record.partition, &record.key, &record.value).hash(&mut hasher);
    hasher.finish()
}

/// Coordinates of the records that are dead.
pub fn dead(records: &Records) -> BTreeSet<(Partition, i64)> {
    let of = |(partition, all): (&Partition, &Vec<(i64, Counted)>)| {
        let dead = all.iter().filter(|(_, counted)| matches!(counted, Counted::Dead));
        dead.map(|(offset, _)| (partition.clone(), *offset)).collect::<Vec<_>>()
    };
    records.iter().flat_map(of).collect()
}
