//! What ClickHouse holds at the end, against a recomputation from the raw records. Shares nothing with the
//! engine: the windows are cut here.

use crate::metrics::{CORRECT_FOR, MADE, MEAN, OF_EVENTS, OF_ROWS, OPEN, OUT_OF_ORDERNESS, REST};
use crate::tables::Held;
use crate::topic::{Change, PARTITIONS, Truth, partition};
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
    pub derived: u64,
    pub epochs: u64,
}

impl Audit {
    pub fn add(&mut self, other: Audit) {
        self.inputs += other.inputs;
        self.windows += other.windows;
        self.late += other.late;
        self.current += other.current;
        self.derived += other.derived;
        self.epochs += other.epochs;
    }
}

/// Window, queue (None = all), start
type Key = (usize, Option<i64>, Micros);
/// Number and sum.
type Sums = BTreeMap<Key, (i64, i64)>;
/// By (metric, partition, offset): the windows that a sample missed.
type Late = BTreeMap<(String, usize, i64), BTreeSet<String>>;

struct Auditor<'w> {
    world: &'w World,
    /// Where the epochs begin, by number from 1 on.
    begins: Vec<[i64; PARTITIONS]>,
    found: Vec<String>,
    audit: Audit,
}

/// Adds what it finds to the world's breaches.
pub fn audit(world: &mut World, now: Micros) -> Audit {
    let mut auditor = Auditor { world, begins: Vec::new(), found: Vec::new(), audit: Audit::default() };
    auditor.audit.inputs = auditor.changes().count() as u64;
    auditor.epochs();
    auditor.pointers();
    let late = auditor.late();
    OF_EVENTS.into_iter().for_each(|metric| auditor.windows(metric, &late, now));
    OF_ROWS.into_iter().for_each(|metric| auditor.current(metric));
    auditor.derived();
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
    row.values.iter().map(number).collect()
}

/// The queue of a row's dimensions.
fn queue(row: &RealtimeRow) -> Option<i64> {
    row.dims.first().map(|text| text.parse().unwrap_or(i64::MIN))
}

fn key(row: &RealtimeRow) -> Key {
    (
        WINDOWS.iter().position(|(name, _)| row.series.window == *name).unwrap_or(WINDOWS.len()),
        queue(row),
        row.start,
    )
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

    /// The incarnation that is shown.
    fn incarnation(&self, metric: &str) -> Option<i64> {
        self.world.tables.promoted.get(metric).map(|held| held.row.incarnation)
    }

    /// Where a metric begins to count: with the first record of the epoch in which it joined. None if it is
    /// not there.
    fn begins(&self, metric: &str) -> Option<[i64; PARTITIONS]> {
        let listed = self.world.disk.metrics.get(metric)?;
        let epoch = self.world.disk.joined.get(&(metric.to_string(), listed.incarnation))?;
        self.begins.get(*epoch as usize - 1).copied()
    }

    /// Every metric runs in the end, and its own incarnation is shown; of one that was retired none is.
    fn pointers(&mut self) {
        let mut found = Vec::new();
        let disk = &self.world.disk;
        let last = self.world.tables.epochs.get(&disk.epoch).map(|held| &held.row.digests);
        for (name, metric) in disk.metrics.iter() {
            let pointer = self.world.tables.promoted.get(name).map(|held| &held.row);
            if metric.status != "live" {
                found.push(format!("metric {name} is {} in the end", metric.status));
            }
            if pointer.is_none_or(|p| p.retired || p.incarnation != metric.incarnation) {
                found.push(format!("metric {name}: {metric:?} is shown as {pointer:?}"));
            }
            if last.and_then(|digests| digests.get(name)) != Some(&metric.digest) {
                found.push(format!("metric {name}: the last epoch has {last:?} instead of {metric:?}"));
            }
        }
        for (name, _) in disk.joined.keys().filter(|(name, _)| !disk.metrics.contains_key(name)) {
            if self.world.tables.promoted.get(name).is_none_or(|held| !held.row.retired) {
                found.push(format!("metric {name} is retired, and still shown"));
            }
        }
        self.found.extend(found);
    }

    /// Epochs follow each other; the intervals of each partition tile the log; counts are those of the records.
    fn epochs(&mut self) {
        let mut next = [0i64; PARTITIONS];
        for epoch in 1..=self.world.disk.epoch {
            let Some(held) = self.world.tables.epochs.get(&epoch) else {
                self.begins.push(next);
                self.wrong(format!("epoch {epoch} of {} is missing", self.world.disk.epoch));
                continue;
            };
            self.audit.epochs += 1;
            self.begins.push(next);
            for taken in &held.row.partitions {
                let at = taken.partition.partition as usize;
                let topic = &self.world.topic;
                let between = |from, to| {
                    &topic.partitions[at]
                        [topic.index(at, from)..topic.index(at, to).max(topic.index(at, from))]
                };
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
                        Truth::Change(_) | Truth::Read => 1,
                        Truth::Repeat => 2,
                        Truth::Tombstone => 3,
                        Truth::OtherTable => 4,
                        Truth::Garbage => 5,
                    };
                    truth[0] += 1;
                    truth[of] += 1;
                    truth[6] += 1;
                }
                let skipped = between(next[at], taken.from).len();
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
        let Some(begins) = self.begins(metric) else { return sums };
        let has_late = late.keys().any(|(of, _, _)| of == metric);
        for (at, offset, change) in self.changes().filter(|(at, offset, _)| *offset >= begins[*at]) {
            let (None, Some(row)) = (change.before, change.after) else { continue };
            let missed = has_late.then(|| late.get(&(metric.to_string(), at, offset))).flatten();
            for (window, (name, length)) in WINDOWS.into_iter().enumerate() {
                if missed.is_some_and(|missed| missed.contains(name)) {
                    continue;
                }
                // Stored in milliseconds.
                let time = row.created - row.created.rem_euclid(1000);
                for queue in [None, Some(row.queue)] {
                    let sum = sums.entry((window, queue, time - time.rem_euclid(length))).or_default();
                    *sum = (sum.0 + 1, sum.1 + row.amount);
                }
            }
        }
        sums
    }

    fn windows(&mut self, metric: &str, late: &Late, now: Micros) {
        let expected = self.expected(metric, late);
        let held = self.rows(metric);
        let mut found = Vec::new();
        let missing = expected.keys().filter(|key| !held.contains_key(*key));
        for key in missing {
            found.push(format!("{metric} {key:?}: nothing instead of {:?}", expected[key]));
        }
        let compared = held.len() as u64;
        for (key, held) in &held {
            let should = expected.get(key).map(|(number, sum)| match metric {
                MEAN => vec![sum / number],
                _ => vec![*number, *sum],
            });
            let is = numbers(&held.row);
            if should.as_ref() != Some(&is) {
                let version = (held.version >> 40, held.row.epoch);
                found.push(format!("{metric} {key:?}: {is:?} instead of {should:?} ({version:?})"));
            }
            if held.row.end < now - OUT_OF_ORDERNESS && !held.row.is_final {
                found.push(format!("{metric} {key:?}: closed, but not final ({})", held.row.epoch));
            }
        }
        self.audit.windows += compared;
        self.found.extend(found);
    }

    /// The rows of a metric's windows, by key.
    fn rows(&self, metric: &str) -> BTreeMap<Key, &Held<RealtimeRow>> {
        let Some(listed) = self.world.disk.metrics.get(metric) else { return BTreeMap::new() };
        let ours = self.world.tables.realtime.values().filter(|h| {
            h.row.series.metric == metric && h.row.series.incarnation == listed.incarnation && !h.row.deleted
        });
        ours.map(|held| (key(&held.row), held)).collect()
    }

    /// Derived values against the rows of their bases, which were compared with the records.
    fn derived(&mut self) {
        let Some(listed) = self.world.disk.metrics.get(REST) else { return };
        let joined = self.world.disk.joined.get(&(REST.to_string(), listed.incarnation)).copied();
        let (held, made, mean) = (self.rows(REST), self.rows(MADE), self.rows(MEAN));
        let of = |rows: &BTreeMap<Key, &Held<RealtimeRow>>, key| rows.get(key).map(|held| numbers(&held.row));
        let keys: BTreeSet<&Key> = held.keys().chain(made.keys()).chain(mean.keys()).collect();
        let (mut found, mut compared) = (Vec::new(), 0);
        for key in keys {
            let made_is = of(&made, key).unwrap_or(vec![0, 0]);
            let mean_is = of(&mean, key).unwrap_or(vec![0]);
            let should = vec![made_is[1] - made_is[0] * mean_is[0]];
            let bases = [&made, &mean].map(|rows| rows.get(key).map(|held| &held.row));
            let Some(row) = held.get(key).map(|held| &held.row) else {
                // A window that is closed and not shown when it joins is left alone.
                let since = |row: &RealtimeRow| joined.is_none_or(|epoch| row.epoch_first >= epoch);
                if bases.into_iter().flatten().any(since) {
                    found.push(format!("{REST} {key:?}: nothing instead of {should:?}"));
                }
                continue;
            };
            compared += 1;
            if numbers(row) != should {
                found.push(format!(
                    "{REST} {key:?}: {:?} instead of {should:?} ({})",
                    numbers(row),
                    row.epoch
                ));
            }
            if !row.is_final && bases.into_iter().all(|base| base.is_some_and(|row| row.is_final)) {
                found.push(format!("{REST} {key:?}: final for its bases, but not final ({})", row.epoch));
            }
        }
        self.audit.derived += compared;
        self.found.extend(found);
    }

    /// Current values against the table upstream.
    fn current(&mut self, metric: &str) {
        let Some(listed) = self.world.disk.metrics.get(metric) else { return };
        let mut expected: BTreeMap<Option<i64>, Vec<i64>> = BTreeMap::new();
        for row in self.world.topic.rows.values().filter(|row| row.open == (metric == OPEN)) {
            for queue in [None, Some(row.queue)] {
                let sum = expected.entry(queue).or_insert_with(|| vec![0, 0]);
                sum[0] += 1;
                sum[1] += row.amount;
            }
        }
        let latest = self.world.tables.latest.values();
        let ours = latest
            .filter(|h| h.row.series.metric == metric && h.row.series.incarnation == listed.incarnation);
        let held = ours.filter(|h| !h.row.deleted).map(|h| (queue(&h.row), numbers(&h.row)));
        let held: BTreeMap<_, _> = held.filter(|(_, numbers)| *numbers != [0, 0]).collect();
        self.audit.current += expected.len() as u64;
        if held != expected {
            self.wrong(format!("{metric}: {held:?} instead of {expected:?}"));
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
