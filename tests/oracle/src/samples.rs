//! The samples of a period metric, with the windows that they missed.

use crate::fields::Cell;
use crate::journal::Partition;
use crate::lateness::{AHEAD, Bounds, Course};
use crate::metrics::{Metric, Sample, Values};
use crate::reading::{Counted, Reading, of_table};
use crate::results::Late;
use crate::settings::Settings;
use crate::time::{ALL_KINDS, Kind};
use anyhow::Result;
use chrono_tz::Tz;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What did not count in its windows.
pub struct Aside<'a> {
    pub late: &'a [Late],
    /// Coordinates of samples that lie too far ahead.
    pub ahead: &'a BTreeSet<(Partition, i64)>,
    /// Against which it is checked.
    pub course: &'a Course,
    pub bounds: &'a Bounds,
}

/// A sample, or a part of a span, as it counts.
#[derive(Clone, Debug)]
pub struct Counting {
    /// Index of its dimensions.
    pub dims: u32,
    pub time: i64,
    pub weight: i64,
    pub values: Option<Values>,
    /// A bit for each kind of window that it missed.
    missed: u8,
    /// Whether the row's life is not whole or not by the rules.
    pub irregular: bool,
}

impl Counting {
    pub fn misses(&self, kind: Kind) -> bool {
        self.missed & bit(kind) != 0
    }
}

fn bit(kind: Kind) -> u8 {
    ALL_KINDS.iter().position(|k| *k == kind).map_or(0, |place| 1 << place)
}

/// All samples of a metric.
#[derive(Debug, Default)]
pub struct Samples {
    pub dims: Vec<Vec<Cell>>,
    pub list: Vec<Counting>,
    /// Rows of `late_events` and `dead_letters` that name no sample, or another one than there is, or one
    /// that was not late; and samples that should be there.
    pub strange: Vec<String>,
    pub late: usize,
    /// Samples too far ahead of the clock.
    pub ahead: usize,
    known: HashMap<Vec<Cell>, u32>,
}

/// Late events and samples ahead of the clock, by partition and offset.
#[derive(Default)]
struct Listed<'a> {
    late: HashMap<&'a Partition, HashMap<i64, Vec<&'a Late>>>,
    ahead: HashMap<&'a Partition, HashSet<i64>>,
}

/// The samples of a period metric, but for those too far ahead of the clock, each with the windows that
/// it is listed as late for.
pub fn gather(
    metric: &Metric,
    reading: &Reading,
    aside: &Aside<'_>,
    zone: Tz,
    settings: &Settings,
) -> Result<Samples> {
    let mut samples = Samples { late: aside.late.len(), ahead: aside.ahead.len(), ..Samples::default() };
    let mut listed = Listed::of(aside);
    for (partition, records) in of_table(&reading.records, metric.table) {
        let mut late = listed.late.remove(partition).unwrap_or_default();
        let mut ahead = listed.ahead.remove(partition).unwrap_or_default();
        for (offset, counted) in records {
            let Counted::Applied(change) = counted else { continue };
            let Some((dims, sample)) = metric.sample(change, settings) else { continue };
            let is_ahead = ahead.remove(offset);
            samples.strange.extend(aside.wrongly_ahead(partition, *offset, &sample, is_ahead));
            if is_ahead {
                continue;
            }
            let irregular = change.row_id().is_none_or(|id| reading.irregular.contains(&id));
            let events = late.remove(offset).unwrap_or_default();
            samples.add(metric, &dims, &sample, irregular, (partition, *offset), events, aside, zone)?;
        }
        samples.strange.extend(late.into_values().flatten().map(|e| format!("{e:?} names no sample")));
        let none =
            |offset| format!("{partition:?} offset {offset} is dead for its time, but gives no sample");
        samples.strange.extend(ahead.into_iter().map(none));
    }
    let late = listed.late.into_values().flat_map(HashMap::into_values).flatten();
    samples.strange.extend(late.map(|event| format!("{event:?} names no sample")));
    let ahead = listed.ahead.into_iter().flat_map(|(at, all)| all.into_iter().map(move |o| (at, o)));
    samples.strange.extend(ahead.map(|at| format!("{at:?} is dead for its time, but gives no sample")));
    Ok(samples)
}

impl<'a> Listed<'a> {
    fn of(aside: &Aside<'a>) -> Listed<'a> {
        let mut listed = Listed::default();
        for event in aside.late {
            let of_partition = listed.late.entry(&event.partition).or_default();
            of_partition.entry(event.offset).or_default().push(event);
        }
        for (partition, offset) in aside.ahead {
            listed.ahead.entry(partition).or_default().insert(*offset);
        }
        listed
    }
}

impl Samples {
    fn add(
        &mut self,
        metric: &Metric,
        dims: &[Cell],
        sample: &Sample,
        irregular: bool,
        at: (&Partition, i64),
        mut events: Vec<&Late>,
        aside: &Aside<'_>,
        zone: Tz,
    ) -> Result<()> {
        let number = self.number(dims);
        for (time, values) in parts(sample) {
            let mut missed = 0;
            for event in events.extract_if(.., |event| is_of(event, time, sample, dims)) {
                self.strange.extend(aside.wrongly_late(metric, at, event, zone)?);
                let kinds = event.windows.iter().filter_map(|name| Kind::of_name(name));
                missed |= kinds.map(bit).fold(0, |all, bit| all | bit);
            }
            let weight = sample.weight;
            self.list.push(Counting { dims: number, time, weight, values, missed, irregular });
        }
        let other = |event| format!("{event:?} is not the sample {sample:?} {dims:?}");
        self.strange.extend(events.into_iter().map(other));
        Ok(())
    }

    fn number(&mut self, dims: &[Cell]) -> u32 {
        if let Some(number) = self.known.get(dims) {
            return *number;
        }
        let number = self.dims.len() as u32;
        self.dims.push(dims.to_vec());
        self.known.insert(dims.to_vec(), number);
        number
    }
}

/// A sample's time and values; of a span those of its parts: it is cut at quarters of an hour, which
/// are the shortest windows of a metric with spans, and the borders of all others lie on them.
fn parts(sample: &Sample) -> Vec<(i64, Option<Values>)> {
    let Some(until) = sample.until else { return vec![(sample.time, sample.values)] };
    let mut parts = Vec::new();
    let mut from = sample.time;
    while from < until {
        let end = (from.div_euclid(QUARTER) + 1) * QUARTER;
        let what = sample.values.map_or(0, |values| values[0]);
        parts.push((from, Some([what, end.min(until) - from, 0])));
        from = end;
    }
    parts
}

const QUARTER: i64 = 15 * crate::time::MINUTE;

/// A record has one row, which gives one sample. One that counts by a growth may weigh as much, or carry
/// it as a value.
fn is_of(event: &Late, time: i64, sample: &Sample, dims: &[Cell]) -> bool {
    let canonical = dims.iter().map(|cell| cell.canonical());
    event.row == 0
        && (event.sample == 0 || sample.until.is_some())
        && (event.weight == 1 || event.weight == sample.weight)
        && event.time == time
        && event.dims.iter().copied().eq(canonical)
}

impl Aside<'_> {
    /// A late event was late if each window that it missed had ended, and could no longer be corrected,
    /// by the watermark before its epoch.
    fn wrongly_late(
        &self,
        metric: &Metric,
        at: (&Partition, i64),
        event: &Late,
        zone: Tz,
    ) -> Result<Option<String>> {
        let Some(epoch) = self.course.epoch_of(at.0, at.1) else {
            return Ok(Some(format!("{event:?} was taken by no epoch")));
        };
        if epoch != event.epoch {
            return Ok(Some(format!("{event:?} was taken by epoch {epoch}")));
        }
        let watermark = self.course.watermark_in(epoch);
        for name in &event.windows {
            let Some(kind) = Kind::of_name(name).filter(|kind| metric.windows().contains(kind)) else {
                return Ok(Some(format!("{event:?} missed {name}, which is no window")));
            };
            let (_, end) = kind.window(event.time, zone)?;
            if end.saturating_add(self.bounds.correct_for(kind, metric)) > watermark {
                return Ok(Some(format!(
                    "{event:?} was not late for {name}: its window ended at {end} and the watermark was \
                     {watermark} at the most"
                )));
            }
        }
        Ok(None)
    }

    /// A sample more than five minutes ahead of the clock is dead. The clock's moment lies somewhere in the
    /// record's epoch.
    fn wrongly_ahead(&self, at: &Partition, offset: i64, sample: &Sample, listed: bool) -> Option<String> {
        let time = sample.until.unwrap_or(sample.time);
        let epoch = self.course.epoch_of(at, offset)?;
        let (before, after) = (self.course.clock_before(epoch), self.course.clock_at(epoch));
        if listed && time <= before.saturating_add(AHEAD) {
            return Some(format!(
                "{at:?} offset {offset}: {time} is dead for its time, but was not ahead of {before}"
            ));
        }
        (!listed && time > after.saturating_add(AHEAD))
            .then(|| format!("{at:?} offset {offset}: {time} counts, but is ahead of {after}"))
    }
}
