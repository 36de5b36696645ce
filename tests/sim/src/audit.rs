//! What ClickHouse holds at the end, against a recomputation from the raw records. Shares nothing with the
//! engine: the windows are cut here.

use crate::metrics::{CORRECT_FOR, MADE, MEAN, OPEN, OUT_OF_ORDERNESS};
use crate::tables::Held;
use crate::topic::{Change, PARTITIONS, Row, Truth, partition};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use weir_types::Micros;
use weir_types::rows::{OutputValue, RealtimeRow};

const WINDOWS: [(&str, Micros); 2] = [("1m", 60_000_000), ("1h", 3_600_000_000)];

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audit {
    pub inputs: u64,
    pub windows: u64,
    pub late: u64,
    pub current: u64,
    pub epochs: u64,
}

/// window, dimension set, dims, start
type Key = (String, String, Vec<String>, Micros);
/// Number and sum.
type Sums = BTreeMap<Key, (i64, i64)>;
/// By (metric, partition, offset): the windows that a sample missed.
type Late = BTreeMap<(String, usize, i64), BTreeSet<String>>;

struct Auditor<'w> {
    world: &'w World,
    found: Vec<String>,
    audit: Audit,
}

/// Adds what it finds to the world's breaches.
pub fn audit(world: &mut World, now: Micros) -> Audit {
    let mut auditor = Auditor { world, found: Vec::new(), audit: Audit::default() };
    auditor.epochs();
    let late = auditor.late();
    auditor.windows(&late, now);
    auditor.current();
    auditor.dead();
    let Auditor { found, audit, .. } = auditor;
    world.breaches.extend(found);
    audit
}

fn numbers(row: &RealtimeRow) -> Vec<i64> {
    let number = |value: &OutputValue| match value {
        OutputValue::Int(n) => *n,
        _ => i64::MIN,
    };
    row.outputs.iter().map(|(_, value)| number(value)).collect()
}

/// The key sets that a row of a queue counts in.
fn sets(queue: i64) -> [(String, Vec<String>); 2] {
    [(String::new(), vec![]), ("queue_id".into(), vec![queue.to_string()])]
}

impl Auditor<'_> {
    fn wrong(&mut self, text: String) {
        self.found.push(text);
    }

    /// Changes that count, each once, with partition and offset.
    fn changes(&self) -> impl Iterator<Item = (usize, i64, &Change)> {
        let all = self.world.topic.partitions.iter().enumerate();
        all.flat_map(|(at, log)| {
            log.iter().filter_map(move |entry| match &entry.truth {
                Truth::Change(change) => Some((at, entry.offset, change)),
                _ => None,
            })
        })
    }

    fn incarnation(&self, metric: &str) -> Option<i64> {
        self.world.tables.promoted.get(metric).map(|held| held.row.incarnation)
    }

    /// Epochs follow each other; the intervals of each partition tile the log; counts are those of the records.
    fn epochs(&mut self) {
        let mut next = [0i64; PARTITIONS];
        for epoch in 1..=self.world.disk.epoch {
            let Some(held) = self.world.tables.epochs.get(&epoch) else {
                self.wrong(format!("epoch {epoch} of {} is missing", self.world.disk.epoch));
                continue;
            };
            self.audit.epochs += 1;
            for taken in &held.row.partitions {
                let at = taken.partition.partition as usize;
                let log = &self.world.topic.partitions[at];
                let between =
                    |from: i64, to: i64| log.iter().filter(move |e| from <= e.offset && e.offset < to);
                let counts = &taken.counts;
                let is = |name: &str| counts.skipped.get(name).copied().unwrap_or(0);
                let told = [
                    counts.read,
                    counts.applied,
                    is("repeat"),
                    is("tombstone"),
                    is("unknown_table"),
                    counts.dead,
                    counts.applied + counts.skipped_total() + counts.dead,
                ];
                let mut truth = [0u64; 7];
                for entry in between(taken.from, taken.to) {
                    let of = match entry.truth {
                        Truth::Change(_) => 1,
                        Truth::Repeat => 2,
                        Truth::Tombstone => 3,
                        Truth::OtherTable => 4,
                        Truth::Garbage => 5,
                    };
                    truth[0] += 1;
                    truth[of] += 1;
                    truth[6] += 1;
                }
                let skipped = between(next[at], taken.from).count();
                if told != truth || skipped > 0 || taken.from < next[at] {
                    self.found.push(format!(
                        "epoch {epoch}, partition {at}, offsets {}..{} after {}: told {told:?}, are {truth:?}, left out {skipped}",
                        taken.from, taken.to, next[at]
                    ));
                }
                next[at] = taken.to;
            }
        }
        for (at, log) in self.world.topic.partitions.iter().enumerate() {
            let left = log.iter().filter(|e| e.offset >= next[at]).count();
            if left > 0 {
                self.found.push(format!("{left} records of partition {at} are in no epoch"));
            }
        }
    }

    /// Late events, and whether each was late.
    fn late(&mut self) -> Late {
        let newest = |at: usize| {
            let changes = self.changes().filter(|(p, _, change)| *p == at && change.after.is_some());
            changes
                .map(|(_, _, change)| change.after.map_or(0, |row| row.updated))
                .max()
                .unwrap_or(Micros::MIN)
        };
        // No watermark is greater, whichever partitions were idle.
        let watermark =
            (0..PARTITIONS).map(newest).max().unwrap_or(Micros::MIN).saturating_sub(OUT_OF_ORDERNESS);
        let mut late = Late::new();
        let mut found = Vec::new();
        for ((metric, incarnation, of, offset, _, _), held) in &self.world.tables.late {
            // Of a state before a wipe.
            if self.incarnation(metric) != Some(*incarnation) {
                continue;
            }
            for window in &held.row.windows {
                let length = WINDOWS.iter().find(|(name, _)| name == window).map_or(0, |(_, length)| *length);
                let correct_for =
                    CORRECT_FOR.iter().find(|(name, _)| name == window).map_or(0, |(_, time)| *time);
                let end = held.row.time - held.row.time.rem_euclid(length.max(1)) + length;
                if end + correct_for > watermark {
                    found.push(format!("{metric} {of:?} {offset}: not late for {window}, yet a late event"));
                }
            }
            let windows = held.row.windows.iter().cloned().collect();
            late.insert((metric.clone(), of.partition as usize, *offset), windows);
        }
        self.found.extend(found);
        self.audit.late += late.len() as u64;
        late
    }

    fn expected(&self, metric: &str, late: &Late) -> Sums {
        let mut sums = Sums::new();
        for (at, offset, change) in self.changes() {
            let (None, Some(row)) = (change.before, change.after) else { continue };
            let missed = late.get(&(metric.to_string(), at, offset));
            for (window, length) in WINDOWS.iter().filter(|(w, _)| missed.is_none_or(|m| !m.contains(*w))) {
                // Stored in milliseconds.
                let time = row.created - row.created.rem_euclid(1000);
                for (set, dims) in sets(row.queue) {
                    let key = (window.to_string(), set, dims, time - time.rem_euclid(*length));
                    let sum = sums.entry(key).or_default();
                    *sum = (sum.0 + 1, sum.1 + row.amount);
                }
            }
        }
        sums
    }

    fn windows(&mut self, late: &Late, now: Micros) {
        self.audit.inputs += self.changes().count() as u64;
        for metric in [MADE, MEAN] {
            let expected = self.expected(metric, late);
            let incarnation = self.incarnation(metric);
            let table = &self.world.tables.realtime;
            let of_metric = |h: &&Held<RealtimeRow>| {
                h.row.metric == metric && Some(h.row.incarnation) == incarnation && !h.row.deleted
            };
            let rows = table.values().filter(of_metric);
            let key = |row: &RealtimeRow| {
                (row.window.clone(), row.dimension_set.clone(), row.dims.clone(), row.start)
            };
            let held: BTreeMap<Key, &Held<RealtimeRow>> = rows.map(|h| (key(&h.row), h)).collect();
            let mut found = Vec::new();
            for key in expected.keys().chain(held.keys()).collect::<BTreeSet<_>>() {
                self.audit.windows += 1;
                let should = expected.get(key).map(|(number, sum)| match metric {
                    MEAN => vec![sum / number],
                    _ => vec![*number, *sum],
                });
                let is = held.get(key).map(|h| numbers(&h.row));
                if should != is {
                    let version = held.get(key).map(|h| (h.version >> 40, h.row.epoch));
                    found.push(format!("{metric} {key:?}: {is:?} instead of {should:?} ({version:?})"));
                }
                if let Some(open) =
                    held.get(key).filter(|h| h.row.end < now - OUT_OF_ORDERNESS && !h.row.is_final)
                {
                    found.push(format!("{metric} {key:?}: closed, but not final ({})", open.row.epoch));
                }
            }
            self.found.extend(found);
        }
    }

    fn current(&mut self) {
        let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
        for (_, _, change) in self.changes() {
            match change.after {
                Some(row) => drop(rows.insert(change.id, row)),
                None => drop(rows.remove(&change.id)),
            }
        }
        let mut expected: BTreeMap<(String, Vec<String>), Vec<i64>> = BTreeMap::new();
        for row in rows.values().filter(|row| row.open) {
            for key in sets(row.queue) {
                let sum = expected.entry(key).or_insert_with(|| vec![0, 0]);
                sum[0] += 1;
                sum[1] += row.amount;
            }
        }
        let incarnation = self.incarnation(OPEN);
        let latest = self.world.tables.latest.values().filter(|h| Some(h.row.incarnation) == incarnation);
        let held = latest
            .filter(|h| !h.row.deleted)
            .map(|h| ((h.row.dimension_set.clone(), h.row.dims.clone()), numbers(&h.row)));
        let held: BTreeMap<_, _> = held.filter(|(_, numbers)| numbers[0] != 0).collect();
        self.audit.current += expected.len() as u64;
        if held != expected {
            self.wrong(format!("{OPEN}: {held:?} instead of {expected:?}"));
        }
    }

    fn dead(&mut self) {
        let mut expected = BTreeSet::new();
        for (at, log) in self.world.topic.partitions.iter().enumerate() {
            let garbage = log.iter().filter(|e| matches!(e.truth, Truth::Garbage));
            expected.extend(garbage.map(|e| (partition(at), e.offset, String::new())));
        }
        let held: BTreeSet<_> = self.world.tables.dead.keys().cloned().collect();
        if held != expected {
            self.wrong(format!("dead letters {held:?} instead of {expected:?}"));
        }
    }
}
