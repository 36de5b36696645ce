//! Every number, again, from the raw records alone.

use crate::debezium::{Change, Meaning, Op};
use crate::epochs::Epochs;
use crate::journal::{Journal, Partition};
use crate::lateness::{AHEAD, Bounds, Course};
use crate::metrics::{Bag, Metric, Output, Sample, Settings};
use crate::repeats::Mark;
use crate::results::{Key, Late};
use crate::time::{KINDS, MINUTE};
use anyhow::{Result, bail};
use jiff::tz::TimeZone;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// A record as it counts.
#[derive(Clone, Debug)]
pub enum Counted {
    Applied(Box<Change>),
    Skipped,
    Dead,
}

/// Records by partition, with their offsets, in order.
pub type Records = BTreeMap<Partition, Vec<(i64, Counted)>>;

/// Reads every record once; repeats are skipped.
pub fn read(journal: &Journal) -> Records {
    let mut all = Records::new();
    for (partition, records) in journal {
        let mut mark = Mark::default();
        let counted = records.iter().map(|record| {
            let counted = match crate::foreign::read(record) {
                Meaning::Dead => Counted::Dead,
                Meaning::Skipped => Counted::Skipped,
                Meaning::Change(change) if mark.is_repeat(change.origin) => Counted::Skipped,
                Meaning::Change(change) => Counted::Applied(change),
            };
            (record.offset, counted)
        });
        all.insert(partition.clone(), counted.collect());
    }
    all
}

/// What should stand under a key.
pub struct Wanted {
    pub end: i64,
    /// Samples in it; of a metric of current values, rows.
    pub samples: i64,
    pub outputs: Vec<Output>,
}

pub type Expected = BTreeMap<Key, Wanted>;

/// What was recomputed of a period metric.
#[derive(Default)]
pub struct Period {
    pub expected: Expected,
    /// Rows of `late_events` and `dead_letters` that name no sample, or another one than there is, or one
    /// that was not late; and samples that should be there.
    pub strange: Vec<String>,
    pub late: usize,
    /// Samples too far ahead of the clock.
    pub ahead: usize,
}

/// What did not count in its windows.
pub struct Aside<'a> {
    pub late: &'a [Late],
    /// Coordinates of samples that lie too far ahead.
    pub ahead: &'a BTreeSet<(Partition, i64)>,
    /// Against which it is checked.
    pub course: &'a Course<'a>,
    pub bounds: &'a Bounds,
}

/// A period metric's numbers for every subset of its dimensions and every window, without the
/// samples that are listed as late for a window or as too far ahead.
pub fn period(
    metric: &Metric,
    records: &Records,
    aside: &Aside<'_>,
    zone: &TimeZone,
    settings: &Settings,
) -> Result<Period> {
    let mut listed: BTreeMap<(Partition, i64), Vec<&Late>> = BTreeMap::new();
    for event in aside.late {
        listed.entry(((event.topic.clone(), event.partition), event.offset)).or_default().push(event);
    }
    let mut ahead = aside.ahead.clone();
    let mut bags: BTreeMap<Key, (i64, Bag)> = BTreeMap::new();
    let mut result = Period { late: aside.late.len(), ahead: ahead.len(), ..Period::default() };
    for (partition, records) in records {
        for (offset, counted) in records {
            let Counted::Applied(change) = counted else { continue };
            if change.table.name != metric.table.name {
                continue;
            }
            let Some((dims, sample)) = metric.sample(change, settings) else { continue };
            let at = (partition.clone(), *offset);
            let is_ahead = ahead.remove(&at);
            result.strange.extend(aside.wrongly_ahead(&at, sample.time, is_ahead));
            if is_ahead {
                continue;
            }
            let mut missed = BTreeSet::new();
            for event in listed.remove(&at).unwrap_or_default() {
                if is_of(event, &sample, &dims) {
                    result.strange.extend(aside.wrongly_late(&at, event, zone)?);
                    missed.extend(event.windows.iter().map(String::as_str));
                } else {
                    result.strange.push(format!("{event:?} is not the sample {sample:?} {dims:?}"));
                }
            }
            add(metric, &dims, &sample, &missed, zone, &mut bags)?;
        }
    }
    for event in listed.into_values().flatten() {
        result.strange.push(format!("{event:?} names no sample"));
    }
    result.strange.extend(ahead.iter().map(|at| format!("{at:?} is dead for its time, but gives no sample")));
    let wanted = |(key, (end, bag)): (Key, (i64, Bag))| {
        (key, Wanted { end, samples: bag.count, outputs: (metric.outputs)(&bag) })
    };
    result.expected = bags.into_iter().map(wanted).collect();
    Ok(result)
}

impl Aside<'_> {
    /// A late event was late if each window that it missed had ended, and could no longer be corrected,
    /// by the watermark before its epoch.
    fn wrongly_late(&self, at: &(Partition, i64), event: &Late, zone: &TimeZone) -> Result<Option<String>> {
        let Some(epoch) = self.course.epoch_of(&at.0, at.1) else {
            return Ok(Some(format!("{event:?} was taken by no epoch")));
        };
        if epoch != event.epoch {
            return Ok(Some(format!("{event:?} was taken by epoch {epoch}")));
        }
        let watermark = self.course.watermark_in(epoch);
        for kind in KINDS.iter().filter(|kind| event.windows.iter().any(|name| name == kind.name())) {
            let (_, end) = kind.window(event.time, zone)?;
            if end.saturating_add(self.bounds.correct_for(*kind)) > watermark {
                return Ok(Some(format!(
                    "{event:?} was not late for {}: its window ended at {end} and the watermark was \
                     {watermark} at the most",
                    kind.name()
                )));
            }
        }
        let strange = event.windows.iter().find(|name| KINDS.iter().all(|kind| kind.name() != **name));
        Ok(strange.map(|name| format!("{event:?} missed {name}, which is no window")))
    }

    /// A sample more than five minutes ahead of the clock is dead. The clock's moment lies somewhere in the
    /// record's epoch.
    fn wrongly_ahead(&self, at: &(Partition, i64), time: i64, listed: bool) -> Option<String> {
        let epoch = self.course.epoch_of(&at.0, at.1)?;
        let (before, after) = (self.course.clock_before(epoch), self.course.clock_at(epoch));
        if listed && time <= before.saturating_add(AHEAD) {
            return Some(format!("{at:?}: {time} is dead for its time, but was not ahead of {before}"));
        }
        (!listed && time > after.saturating_add(AHEAD))
            .then(|| format!("{at:?}: {time} counts, but is ahead of {after}"))
    }
}

fn is_of(event: &Late, sample: &Sample, dims: &[String]) -> bool {
    event.row == 0
        && event.sample == 0
        && event.weight == 1
        && event.time == sample.time
        && event.dims == dims
}

fn add(
    metric: &Metric,
    dims: &[String],
    sample: &Sample,
    missed: &BTreeSet<&str>,
    zone: &TimeZone,
    bags: &mut BTreeMap<Key, (i64, Bag)>,
) -> Result<()> {
    for kind in KINDS {
        if missed.contains(kind.name()) {
            continue;
        }
        let (start, end) = kind.window(sample.time, zone)?;
        for subset in metric.subsets() {
            let key = Key {
                window: kind.name().into(),
                set: metric.set_name(&subset),
                dims: subset.iter().map(|d| dims[*d].clone()).collect(),
                start,
            };
            let (_, bag) = bags.entry(key).or_insert_with(|| (end, Bag::default()));
            bag.count += 1;
            if !sample.amounts.is_empty() {
                bag.amounts.push(sample.amounts.clone());
            }
        }
    }
    Ok(())
}

/// What was recomputed of a metric of current values.
#[derive(Default)]
pub struct Now {
    /// After all records: what should stand in `metric_latest`; keys have start 0.
    pub latest: Expected,
    /// After the first epoch of each minute of the clock: what should stand in `metric_realtime`.
    pub history: Expected,
}

/// The rows that count, and how many stand under each key of each dimension set.
#[derive(Default)]
struct Table {
    rows: BTreeMap<i64, Vec<String>>,
    counts: BTreeMap<(usize, Vec<String>), i64>,
}

/// A metric of current values: a function of each row's last image.
pub fn now(metric: &Metric, records: &Records, epochs: &Epochs) -> Result<Now> {
    let mut result = Now::default();
    let mut table = Table::default();
    let subsets = metric.subsets();
    let mut read: BTreeMap<&Partition, usize> = BTreeMap::new();
    let mut minute_before = None;
    for epoch in &epochs.list {
        for part in &epoch.partitions {
            let Some((partition, records)) = records.get_key_value(&part.partition) else { continue };
            let at = read.entry(partition).or_default();
            while let Some((offset, counted)) = records.get(*at).filter(|(offset, _)| *offset < part.to) {
                table.apply(metric, &subsets, counted, *offset)?;
                *at += 1;
            }
        }
        let minute = epoch.clock.div_euclid(MINUTE) * MINUTE;
        if minute_before.replace(minute) != Some(minute) {
            table.show(metric, &subsets, "now", minute, &mut result.history);
        }
    }
    for (partition, records) in records {
        for (offset, counted) in &records[read.get(partition).copied().unwrap_or(0)..] {
            table.apply(metric, &subsets, counted, *offset)?;
        }
    }
    table.show(metric, &subsets, "now", 0, &mut result.latest);
    Ok(result)
}

impl Table {
    fn apply(
        &mut self,
        metric: &Metric,
        subsets: &[Vec<usize>],
        counted: &Counted,
        offset: i64,
    ) -> Result<()> {
        let Counted::Applied(change) = counted else { return Ok(()) };
        if change.table.name != metric.table.name {
            return Ok(());
        }
        if change.op == Op::Truncate {
            bail!("offset {offset} truncates {}: the oracle does not know that yet", metric.table.name);
        }
        let id_of = |image: &serde_json::Value| crate::fields::cell(image, &metric.table.columns[0]).int();
        if change.op == Op::Rekey
            && let Some(old) = change.before.as_ref().and_then(id_of)
        {
            let stood = self.rows.remove(&old);
            self.count(subsets, stood, -1);
        }
        let id = change.after.as_ref().or(change.before.as_ref()).and_then(id_of);
        // Without its key a row cannot be told.
        let Some(id) = id else { return Ok(()) };
        let stands = change.after.as_ref().and_then(|row| metric.stands(row));
        let stood = match stands.clone() {
            Some(dims) => self.rows.insert(id, dims),
            None => self.rows.remove(&id),
        };
        self.count(subsets, stood, -1);
        self.count(subsets, stands, 1);
        Ok(())
    }

    fn count(&mut self, subsets: &[Vec<usize>], dims: Option<Vec<String>>, weight: i64) {
        let Some(dims) = dims else { return };
        for (number, subset) in subsets.iter().enumerate() {
            let key = (number, subset.iter().map(|d| dims[*d].clone()).collect());
            match self.counts.entry(key) {
                Entry::Occupied(entry) if entry.get() + weight == 0 => {
                    entry.remove();
                }
                entry => *entry.or_default() += weight,
            }
        }
    }

    fn show(&self, metric: &Metric, subsets: &[Vec<usize>], window: &str, start: i64, into: &mut Expected) {
        for ((subset, dims), count) in &self.counts {
            let set = metric.set_name(&subsets[*subset]);
            let key = Key { window: window.into(), set, dims: dims.clone(), start };
            let bag = Bag { count: *count, amounts: Vec::new() };
            into.insert(key, Wanted { end: start, samples: *count, outputs: (metric.outputs)(&bag) });
        }
    }
}
