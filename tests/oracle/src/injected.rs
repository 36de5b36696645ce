//! Are exactly those records dead, skipped or left out of a metric that were meant to be? The generator
//! says in a header what must become of a record that it has spoilt; all others must count, but for
//! tombstones and the repeats of a connector that was restarted.

use crate::debezium::{Change, Op};
use crate::journal::{Journal, Partition, Record};
use crate::metrics::{Image, METRICS, Metric};
use crate::recompute::{Counted, Records};
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
}

/// Compares what each record was meant to be with what it is read as.
pub fn compare(journal: &Journal, records: &Records) -> Injected {
    let mut injected = Injected::default();
    for (partition, raw) in journal {
        let Some(counted) = records.get(partition) else { continue };
        let mut seen = HashSet::new();
        for (record, (_, counted)) in raw.iter().zip(counted) {
            let is_copy = !seen.insert(fingerprint(record));
            injected.record(partition, record, counted, is_copy);
        }
    }
    injected
}

impl Injected {
    fn record(&mut self, partition: &Partition, record: &Record, counted: &Counted, is_copy: bool) {
        let header = record.headers.iter().find(|(name, _)| name == HEADER);
        let fate = header.and_then(|(_, value)| value.as_deref());
        let expected = match fate {
            Some(fate) => fate,
            None if record.value.is_none() => "tombstone",
            None if is_copy && !is_read(counted) => "repeat",
            None => "good",
        };
        let found = match counted {
            Counted::Dead => "dead",
            Counted::Skipped => "skipped",
            Counted::Applied(change) if METRICS.iter().any(|m| m.leaves_out(change)) => "excluded",
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
                    partition.0, partition.1, record.offset
                )),
            }
        }
    }
}

fn is_read(counted: &Counted) -> bool {
    matches!(counted, Counted::Applied(change) if change.op == Op::Read)
}

fn fingerprint(record: &Record) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&record.key, &record.value).hash(&mut hasher);
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

impl Metric {
    /// Whether a change of its table cannot be looked at by this metric: a column does not fit.
    fn leaves_out(&self, change: &Change) -> bool {
        let unfit = |row: &serde_json::Value| !Image::new(self.table, row).fits(self);
        let before = change.before.as_ref().filter(|_| !self.is_now() && change.op == Op::Update);
        change.table.name == self.table.name
            && (change.after.as_ref().is_some_and(unfit) || before.is_some_and(unfit))
    }
}
