//! What ClickHouse holds at the end, against a recomputation from the raw records. Shares nothing with the
//! engine: the windows are cut here.

use crate::metrics::{CORRECT_FOR, MADE, MEAN, OF_EVENTS, OF_ROWS, OPEN, OUT_OF_ORDERNESS, REST, WIDE};
use crate::tables::Held;
use crate::topic::{Change, Entry, PARTITIONS, Row, Truth, partition};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use weir_types::Micros;
use weir_types::rows::{DeadOutcome, OutputValue, RealtimeRow};

const MINUTE: Micros = 60_000_000;

/// A way to cut time.
#[derive(Clone, Copy)]
enum Cut {
    Every(Micros),
    /// So long, and one each minute.
    Sliding(Micros),
    Session(Micros),
}

const WINDOWS: [(&str, Cut); 5] = [
    ("1m", Cut::Every(MINUTE)),
    ("1h", Cut::Every(60 * MINUTE)),
    ("day", Cut::Every(24 * 60 * MINUTE)),
    ("5m/1m", Cut::Sliding(5 * MINUTE)),
    ("session-60s", Cut::Session(MINUTE)),
];

/// Which of them a metric has.
fn windows_of(metric: &str) -> std::ops::Range<usize> {
    if metric == WIDE { 2..5 } else { 0..2 }
}

fn floor(time: Micros, length: Micros) -> Micros {
    time - time.rem_euclid(length)
}

impl Cut {
    /// Start and end of the windows that a time lies in; of a session the one that it makes alone.
    fn windows(self, time: Micros) -> Vec<(Micros, Micros)> {
        match self {
            Cut::Every(length) => vec![(floor(time, length), floor(time, length) + length)],
            Cut::Sliding(size) => {
                let starts = (0..size / MINUTE).map(|back| floor(time, MINUTE) - back * MINUTE);
                starts.map(|start| (start, start + size)).collect()
            }
            Cut::Session(gap) => vec![(time, time + gap)],
        }
    }
}

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
/// What stands in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sum {
    number: i64,
    sum: i64,
    end: Micros,
}

type Sums = BTreeMap<Key, Sum>;
/// By (metric, partition, offset): the windows that a sample missed.
type Late = BTreeMap<(String, usize, i64), BTreeSet<String>>;

struct Auditor<'w> {
    world: &'w World,
    /// Where the epochs begin, by number from 1 on.
    begins: Vec<[i64; PARTITIONS]>,
    found: Vec<String>,
    audit: Audit,
    /// The epoch in which a garbled change was taken up, by partition and offset.
    redriven: BTreeMap<(usize, i64), u64>,
}

/// Adds what it finds to the world's breaches.
pub fn audit(world: &mut World, now: Micros) -> Audit {
    let mut auditor = Auditor {
        world,
        begins: Vec::new(),
        found: Vec::new(),
        audit: Audit::default(),
        redriven: BTreeMap::new(),
    };
    auditor.audit.inputs = auditor.changes().count() as u64;
    auditor.epochs();
    auditor.pointers();
    auditor.leftovers();
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

/// Sessions of samples in order of queue and time.
fn sessions(window: usize, gap: Micros, samples: &[(Option<i64>, Micros, i64)], sums: &mut Sums) {
    let mut open: Option<(Option<i64>, Micros, Sum)> = None;
    for (queue, time, amount) in samples.iter().copied() {
        let begins = open.is_none_or(|(of, _, held)| of != queue || time > held.end);
        let (start, held) = match open {
            Some((_, start, held)) if !begins => (start, held),
            _ => (time, Sum::default()),
        };
        let held = Sum { number: held.number + 1, sum: held.sum + amount, end: time + gap };
        sums.insert((window, queue, start), held);
        open = Some((queue, start, held));
    }
}

impl Auditor<'_> {
    fn wrong(&mut self, text: String) {
        self.found.push(text);
    }

    /// Changes that count, each once, with partition and record.
    fn changes(&self) -> impl Iterator<Item = (usize, &Entry, &Change)> {
        let all = self.world.topic.partitions.iter().enumerate();
        all.flat_map(|(at, log)| {
            log.iter().filter_map(move |entry| match &entry.truth {
                Truth::Change(change) | Truth::Garbled(change) => Some((at, entry, change)),
                _ => None,
            })
        })
    }

    /// The incarnation that is shown.
    fn incarnation(&self, metric: &str) -> Option<i64> {
        self.world.tables.promoted.get(metric).map(|held| held.row.incarnation)
    }

    /// The epoch in which a metric joined: it counts what was read in it, or taken up. None if it is not there.
    fn joined(&self, metric: &str) -> Option<u64> {
        let listed = self.world.disk.metrics.get(metric)?;
        self.world.disk.joined.get(&(metric.to_string(), listed.incarnation)).copied()
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

    /// Nothing stays in the state of a metric that is gone.
    fn leftovers(&mut self) {
        let disk = &self.world.disk;
        let is_there = |name: &str, incarnation: &str| {
            disk.metrics.get(name).is_some_and(|metric| metric.incarnation.to_string() == incarnation)
        };
        let mut found = Vec::new();
        for key in disk.keys().map(|key| String::from_utf8_lossy(key).into_owned()) {
            if let [_, "cells" | "chunk" | "kinds", name, incarnation, ..] =
                key.split('/').collect::<Vec<_>>()[..]
                && !is_there(name, incarnation)
            {
                found.push(format!("{key} is left of a metric that is gone"));
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
                        Truth::Garbage | Truth::Garbled(_) => 5,
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
            for one in held.row.redriven.iter().filter(|one| one.outcome == DeadOutcome::Applied) {
                let place = (one.partition.partition as usize, one.offset);
                if let Some(before) = self.redriven.insert(place, epoch) {
                    self.found.push(format!("{place:?} is taken up in epoch {before} and again in {epoch}"));
                }
            }
        }
        for (at, log) in self.world.topic.partitions.iter().enumerate() {
            let left = log.iter().filter(|e| e.offset >= next[at]).count();
            if left > 0 {
                self.found.push(format!("{left} records of partition {at} are in no epoch"));
            }
        }
    }

    /// Late events, and whether each was late: no watermark can have been greater than what upstream had told
    /// before it, however far behind a host was. What was taken up again came whenever that was done.
    fn late(&mut self) -> Late {
        let mut late = Late::new();
        let mut found = Vec::new();
        for ((metric, incarnation, of, offset, _, _), held) in &self.world.tables.late {
            // Of a state before a wipe.
            if self.incarnation(metric) != Some(*incarnation) {
                continue;
            }
            let topic = &self.world.topic;
            let told = match topic.entry(of.partition as usize, *offset) {
                Some(Entry { truth: Truth::Garbled(_), .. }) | None => topic.told,
                Some(entry) => entry.told_before,
            };
            for window in &held.row.windows {
                let cut = WINDOWS.iter().find(|(name, _)| name == window).map(|(_, cut)| *cut);
                let end =
                    cut.and_then(|cut| cut.windows(held.row.time).into_iter().map(|(_, end)| end).min());
                let correct_for = CORRECT_FOR.iter().find(|(name, _)| name == window).map(|(_, time)| *time);
                let over = end.zip(correct_for).map(|(end, correct_for)| end + correct_for);
                if over.is_none_or(|over| over > told.saturating_sub(OUT_OF_ORDERNESS)) {
                    let held = &held.row;
                    found.push(format!(
                        "{metric} {of:?} {offset}: not late for {window}, yet a late event: {} in epoch {} at {}, told {told}",
                        held.time, held.epoch, held.watermark
                    ));
                }
            }
            let windows = held.row.windows.iter().cloned().collect();
            late.insert((metric.clone(), of.partition as usize, *offset), windows);
        }
        self.found.extend(found);
        self.audit.late += late.len() as u64;
        late
    }

    /// The births that a metric counts: partition, offset, time and row.
    fn births(&self, metric: &str) -> Vec<(usize, i64, Micros, Row)> {
        let Some(joined) = self.joined(metric) else { return Vec::new() };
        let begins = self.begins[joined as usize - 1];
        let counts = |at: usize, entry: &Entry| match entry.truth {
            Truth::Garbled(_) => self.redriven.get(&(at, entry.offset)).is_some_and(|epoch| *epoch >= joined),
            _ => entry.offset >= begins[at],
        };
        let births =
            self.changes().filter(|(at, entry, change)| change.before.is_none() && counts(*at, entry));
        // Stored in milliseconds.
        let birth = |(at, entry, change): (usize, &Entry, &Change)| {
            change.after.map(|row| (at, entry.offset, floor(row.created, 1000), row))
        };
        births.filter_map(birth).collect()
    }

    fn expected(&self, metric: &str, late: &Late) -> Sums {
        let mut sums = Sums::new();
        let births = self.births(metric);
        for window in windows_of(metric) {
            let (name, cut) = WINDOWS[window];
            let missed = |at: usize, offset: i64| {
                late.get(&(metric.to_string(), at, offset)).is_some_and(|missed| missed.contains(name))
            };
            let in_time = births.iter().filter(|(at, offset, _, _)| !missed(*at, *offset));
            let both =
                in_time.flat_map(|(_, _, time, row)| [None, Some(row.queue)].map(|q| (q, *time, row.amount)));
            let mut samples: Vec<(Option<i64>, Micros, i64)> = both.collect();
            samples.sort_unstable();
            match cut {
                Cut::Session(gap) => sessions(window, gap, &samples, &mut sums),
                _ => {
                    for (queue, time, amount) in samples {
                        for (start, end) in cut.windows(time) {
                            let sum = sums.entry((window, queue, start)).or_default();
                            *sum = Sum { number: sum.number + 1, sum: sum.sum + amount, end };
                        }
                    }
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
            let should = expected.get(key).map(|Sum { number, sum, end }| match metric {
                MEAN => (vec![sum / number], *end),
                _ => (vec![*number, *sum], *end),
            });
            let is = (numbers(&held.row), held.row.end);
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
        let mut expected = BTreeMap::new();
        for (at, log) in self.world.topic.partitions.iter().enumerate() {
            for entry in log {
                let outcome = match entry.truth {
                    Truth::Garbage => DeadOutcome::Dead,
                    Truth::Garbled(_) => DeadOutcome::Applied,
                    _ => continue,
                };
                expected.insert((partition(at), entry.offset, String::new()), outcome);
            }
        }
        let dead = self.world.tables.dead.iter();
        let held: BTreeMap<_, _> = dead.map(|(key, held)| (key.clone(), held.row.outcome)).collect();
        if held != expected {
            self.wrong(format!("dead letters {held:?} instead of {expected:?}"));
        }
    }
}
