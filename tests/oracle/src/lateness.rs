//! Whether a late event was late. Nothing but the raw records and the epochs' offsets and clocks is
//! looked at: how far the watermark that ends corrections can have come at the most.

use crate::debezium::Op;
use crate::epochs::Epochs;
use crate::fields::Table;
use crate::journal::Partition;
use crate::metrics::Metric;
use crate::reading::{Counted, Records};
use crate::time::{ALL_KINDS, HOUR, Kind, MINUTE, SECOND};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// A time further ahead of the clock than this is an error of somebody's clock.
pub const AHEAD: i64 = 5 * MINUTE;

/// Of sliding windows and sessions, if nothing is set.
const SHORT_CORRECTION: i64 = 2 * HOUR;

/// What the operator has set, in microseconds.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub out_of_orderness: i64,
    pub idle_after: i64,
    pub correct_for: BTreeMap<&'static str, i64>,
}

impl Bounds {
    /// How long windows of a kind are corrected; a metric may need more.
    pub fn correct_for(&self, kind: Kind, metric: &Metric) -> i64 {
        let of_kind = self.correct_for.get(kind.name()).copied();
        of_kind.unwrap_or(SHORT_CORRECTION).max(metric.correct_for)
    }
}

impl Default for Bounds {
    /// Those of examples/service.
    fn default() -> Bounds {
        let correct_for = [("1m", 2 * HOUR), ("15m", 6 * HOUR), ("1h", 48 * HOUR), ("day", 8 * 24 * HOUR)];
        Bounds { out_of_orderness: 5 * SECOND, idle_after: 30 * SECOND, correct_for: correct_for.into() }
    }
}

/// `1m=2h,day=8d`.
pub fn correct_for(text: &str) -> Result<BTreeMap<&'static str, i64>> {
    let mut times = BTreeMap::new();
    for part in text.split(',') {
        let (name, time) = part.split_once('=').with_context(|| format!("{part}: write 1m=2h"))?;
        let known = || ALL_KINDS.map(Kind::name).join(", ");
        let kind = Kind::of_name(name);
        let kind = kind.with_context(|| format!("{name} is no kind of window: {}", known()))?;
        times.insert(kind.name(), span(time)?);
    }
    Ok(times)
}

/// `5s`, `10m`, `48h`, `8d`.
pub fn span(text: &str) -> Result<i64> {
    let units = [('s', SECOND), ('m', MINUTE), ('h', HOUR), ('d', 24 * HOUR)];
    for (unit, length) in units {
        if let Some(number) = text.strip_suffix(unit).and_then(|number| number.parse::<i64>().ok()) {
            return Ok(number * length);
        }
    }
    bail!("{text} is no time: write 30s, 10m, 48h or 8d")
}

/// The epochs as one table's metrics see them.
pub struct Course {
    /// Number and clock of each epoch, ascending.
    clocks: Vec<(i64, i64)>,
    /// By partition: up to which offset each epoch read, ascending.
    taken: BTreeMap<Partition, Vec<(i64, i64)>>,
    /// By epoch number: where the watermark stood at its end, at the most.
    watermark: BTreeMap<i64, i64>,
}

/// One partition on the way.
struct Standing {
    greatest: i64,
    /// The clock was at least here when its last record came.
    last_record: i64,
    read: usize,
}

impl Course {
    /// A partition's watermark is its greatest event time less the disorder; a source's is the least of
    /// its partitions that are not idle. Which are idle is not known here, but one that got a record less
    /// than `idle_after` ago is not: the least over those is the most that the watermark can be.
    pub fn new(table: &'static Table, records: &Records, epochs: &Epochs, bounds: &Bounds) -> Course {
        let mut standings: BTreeMap<&Partition, Standing> = BTreeMap::new();
        let mut taken: BTreeMap<Partition, Vec<(i64, i64)>> = BTreeMap::new();
        let mut watermark = BTreeMap::new();
        let (mut most, mut clock_before) = (i64::MIN, i64::MIN);
        for epoch in &epochs.list {
            for part in epoch.partitions.iter().filter(|p| is_of(table, &p.partition)) {
                let standing = standings.entry(&part.partition).or_insert(Standing {
                    greatest: i64::MIN,
                    last_record: i64::MIN,
                    read: 0,
                });
                if part.from < part.to {
                    standing.last_record = clock_before;
                    taken.entry(part.partition.clone()).or_default().push((part.to, epoch.number));
                }
                let all = records.get(&part.partition).map_or(&[][..], Vec::as_slice);
                standing.take(table, all, part.to, epoch.clock);
            }
            let busy = standings
                .values()
                .filter(|s| epoch.clock.saturating_sub(s.last_record) < bounds.idle_after)
                .map(|s| s.greatest)
                .min();
            let furthest = standings.values().map(|s| s.greatest).max();
            if let Some(time) = busy.or(furthest) {
                most = most.max(time.saturating_sub(bounds.out_of_orderness));
            }
            watermark.insert(epoch.number, most);
            clock_before = epoch.clock;
        }
        let clocks = epochs.list.iter().map(|epoch| (epoch.number, epoch.clock)).collect();
        Course { clocks, taken, watermark }
    }

    /// The number of the epoch that took a record.
    pub fn epoch_of(&self, partition: &Partition, offset: i64) -> Option<i64> {
        let taken = self.taken.get(partition)?;
        taken.get(taken.partition_point(|(to, _)| *to <= offset)).map(|(_, epoch)| *epoch)
    }

    /// What the clock showed at the end of an epoch.
    pub fn clock_at(&self, epoch: i64) -> i64 {
        let at = self.clocks.partition_point(|(number, _)| *number < epoch);
        self.clocks.get(at).map_or(i64::MAX, |(_, clock)| *clock)
    }

    /// The most that the watermark can have been while an epoch was running: lateness is decided with
    /// that of the epoch before.
    pub fn watermark_in(&self, epoch: i64) -> i64 {
        self.watermark.range(..epoch).next_back().map_or(i64::MIN, |(_, time)| *time)
    }

    /// What the clock showed at the end of the epoch before.
    pub fn clock_before(&self, epoch: i64) -> i64 {
        let at = self.clocks.partition_point(|(number, _)| *number < epoch);
        at.checked_sub(1).map_or(i64::MIN, |at| self.clocks[at].1)
    }
}

fn is_of(table: &Table, partition: &Partition) -> bool {
    partition.0.rsplit('.').next() == Some(table.name)
}

impl Standing {
    /// Reads up to an offset. Snapshot reads and times far ahead of the clock move nothing.
    fn take(&mut self, table: &Table, all: &[(i64, Counted)], to: i64, clock: i64) {
        let updated_at = table.place("updated_at");
        while let Some((_, counted)) = all.get(self.read).filter(|(offset, _)| *offset < to) {
            self.read += 1;
            let Counted::Applied(change) = counted else { continue };
            let image = change.after.as_ref().or(change.before.as_ref());
            let time = image.and_then(|row| row[updated_at].int());
            if let Some(time) = time.filter(|t| change.op != Op::Read && *t <= clock.saturating_add(AHEAD)) {
                self.greatest = self.greatest.max(time);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::debezium::Change;
    use crate::epochs::{Epoch, Part};
    use crate::fields::{TICKET, row};
    use serde_json::json;

    fn partition(number: i32) -> Partition {
        ("svc.service.ticket".into(), number)
    }

    fn change(op: Op, updated_at: i64) -> Counted {
        let after = Some(row(&json!({ "updated_at": updated_at / 1_000 }), &TICKET));
        Counted::Applied(Box::new(Change { table: &TICKET, op, before: None, after, origin: None }))
    }

    fn epoch(number: i64, clock: i64, parts: &[(i32, i64, i64)]) -> Epoch {
        let part = |(p, from, to): &(i32, i64, i64)| Part {
            partition: partition(*p),
            from: *from,
            to: *to,
            read: to - from,
            applied: to - from,
            skipped: 0,
            dead: 0,
        };
        Epoch { number, clock, partitions: parts.iter().map(part).collect(), metrics: Default::default() }
    }

    fn course(records: &Records, epochs: &Epochs) -> Vec<i64> {
        let bounds = Bounds { idle_after: 10 * MINUTE, ..Bounds::default() };
        let course = Course::new(&TICKET, records, epochs, &bounds);
        epochs.list.iter().map(|e| course.watermark_in(e.number + 1)).collect()
    }

    #[test]
    fn the_slowest_busy_partition_holds_the_watermark_and_an_idle_one_does_not() {
        let at = |minutes: i64| minutes * MINUTE;
        let records = Records::from([
            (partition(0), vec![(0, change(Op::Insert, at(10))), (1, change(Op::Insert, at(30)))]),
            (partition(1), vec![(0, change(Op::Insert, at(20)))]),
        ]);
        let epochs = Epochs {
            list: vec![
                epoch(1, at(19), &[]),
                epoch(2, at(20), &[(0, 0, 1)]),
                epoch(3, at(21), &[(1, 0, 1)]),
                epoch(4, at(31), &[(0, 1, 2)]),
                epoch(5, at(40), &[]),
            ],
        };
        // Until the fourth epoch partition 1 may have been quiet for ten minutes, but not until the third.
        let expected = [10, 10, 30, 30].map(|m| at(m) - 5 * SECOND);
        assert_eq!(course(&records, &epochs)[1..], expected);
    }

    #[test]
    fn snapshot_reads_and_times_of_another_century_move_nothing() {
        let records = Records::from([(
            partition(0),
            vec![
                (0, change(Op::Read, 50 * MINUTE)),
                (1, change(Op::Insert, 7 * MINUTE)),
                (2, change(Op::Insert, 100 * 365 * 24 * HOUR)),
            ],
        )]);
        let epochs = Epochs { list: vec![epoch(1, HOUR, &[(0, 0, 3)])] };
        assert_eq!(course(&records, &epochs), [7 * MINUTE - 5 * SECOND]);
    }

    #[test]
    fn times_are_read_as_the_configuration_has_them() {
        assert_eq!(correct_for("1m=2h,day=8d").unwrap(), [("1m", 2 * HOUR), ("day", 192 * HOUR)].into());
        assert!(correct_for("2m=2h").is_err() && correct_for("1m").is_err() && span("5 s").is_err());
    }
}
