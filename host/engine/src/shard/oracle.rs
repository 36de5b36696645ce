//! Numbers recomputed from the raw changes, with window arithmetic of its own: nothing here uses the
//! engine's.

use super::harness::{Change, Left};
use std::collections::{BTreeMap, BTreeSet};
use weir_types::rows::{OutputValue, RealtimeRow};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A way to cut time.
#[derive(Clone, Copy)]
pub enum Cut {
    Every(i64),
    Sliding(i64, i64),
    /// Days of Berlin in 2026.
    Berlin,
    Session(i64),
}

/// A birth: when, until when, and what it is counted under.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub partition: u32,
    pub offset: i64,
    pub time: i64,
    pub until: i64,
    pub queue: i64,
    pub status: &'static str,
    pub id: i64,
}

/// By dimension set, dims, start and end: count and sum.
pub type Numbers = BTreeMap<(String, Vec<String>, i64, i64), (i64, i64)>;

/// The births among changes, in the order in which their records stand in the partitions.
pub fn births(changes: &[Change]) -> Vec<Point> {
    let mut offsets: BTreeMap<u32, i64> = BTreeMap::new();
    let mut points = Vec::new();
    for change in changes {
        let offset = offsets.entry(change.partition).or_insert(0);
        *offset += 1;
        if change.op == 'c' {
            points.push(Point {
                partition: change.partition,
                offset: *offset - 1,
                time: change.created,
                until: change.updated,
                queue: change.queue,
                status: change.status,
                id: change.id,
            });
        }
    }
    points
}

/// The keys under which a point counts: set and dims.
fn keys(point: &Point) -> [(String, Vec<String>); 4] {
    let (queue, status) = (point.queue.to_string(), point.status.to_string());
    [
        (String::new(), vec![]),
        ("queue_id".into(), vec![queue.clone()]),
        ("status".into(), vec![status.clone()]),
        ("queue_id,status".into(), vec![queue, status]),
    ]
}

/// Start of the day of this number (1970-01-01 is 0): Berlin is two hours ahead of UTC at the midnights
/// from 2026-03-30 to 2026-10-25, else one.
fn berlin_midnight(day: i64) -> i64 {
    let ahead = if (20_542..=20_751).contains(&day) { 2 } else { 1 };
    day * DAY - ahead * 3600 * SECOND
}

/// The windows that hold a time.
pub fn windows(cut: Cut, time: i64) -> Vec<(i64, i64)> {
    let floor = |length: i64| time - ((time % length) + length) % length;
    match cut {
        Cut::Every(length) => vec![(floor(length), floor(length) + length)],
        Cut::Sliding(size, step) => {
            let mut found = Vec::new();
            let mut start = floor(step);
            while start + size > time {
                found.push((start, start + size));
                start -= step;
            }
            found
        }
        Cut::Berlin => {
            let mut day = (time + DAY).div_euclid(DAY);
            while berlin_midnight(day) > time {
                day -= 1;
            }
            vec![(berlin_midnight(day), berlin_midnight(day + 1))]
        }
        Cut::Session(_) => panic!("sessions are made by their samples"),
    }
}

/// How many points, and the sum of their ids.
pub fn count(points: &[Point], cut: Cut) -> Numbers {
    if let Cut::Session(gap) = cut {
        return count_sessions(points, gap);
    }
    let mut numbers = Numbers::new();
    for point in points {
        for (set, dims) in keys(point) {
            for (start, end) in windows(cut, point.time) {
                let number = numbers.entry((set.clone(), dims.clone(), start, end)).or_default();
                *number = (number.0 + 1, number.1 + point.id);
            }
        }
    }
    numbers
}

fn count_sessions(points: &[Point], gap: i64) -> Numbers {
    let mut by_key: BTreeMap<(String, Vec<String>), Vec<(i64, i64)>> = BTreeMap::new();
    for point in points {
        keys(point).into_iter().for_each(|key| by_key.entry(key).or_default().push((point.time, point.id)));
    }
    let mut numbers = Numbers::new();
    for ((set, dims), mut times) in by_key {
        times.sort_unstable();
        let mut from = 0;
        for at in 1..=times.len() {
            if at == times.len() || times[at].0 > times[at - 1].0 + gap {
                let run = &times[from..at];
                let key = (set.clone(), dims.clone(), run[0].0, run[run.len() - 1].0 + gap);
                numbers.insert(key, (run.len() as i64, run.iter().map(|(_, id)| id).sum()));
                from = at;
            }
        }
    }
    numbers
}

/// How long the spans of the points last within each window: (0, microseconds).
pub fn last(points: &[Point], cut: Cut) -> Numbers {
    let mut numbers = Numbers::new();
    for point in points {
        let mut at = point.time;
        while at < point.until {
            let (start, end) = windows(cut, at)[0];
            let part = end.min(point.until) - at;
            for (set, dims) in keys(point) {
                numbers.entry((set, dims, start, end)).or_default().1 += part;
            }
            at = end;
        }
    }
    numbers
}

/// The numbers of rows that hold anything.
pub fn numbers(rows: &[RealtimeRow], metric: &str, window: &str) -> Numbers {
    let int = |row: &RealtimeRow, at: usize| match row.values[at] {
        OutputValue::Int(value) => value,
        _ => panic!("a tally gives integers"),
    };
    rows.iter()
        .filter(|r| r.series.metric == metric && r.series.window == window)
        .map(|r| {
            ((r.series.dimension_set.to_string(), r.dims.to_vec(), r.start, r.end), (int(r, 0), int(r, 1)))
        })
        .filter(|(_, number)| *number != (0, 0))
        .collect()
}

/// The points that did not go to `late_events` for a window kind.
pub fn in_time(points: &[Point], left: &Left, metric: &str, window: &str) -> Vec<Point> {
    let late: BTreeSet<(i32, i64)> = left
        .outbox
        .late_events
        .iter()
        .filter(|l| l.metric == metric && l.windows.iter().any(|w| w == window))
        .map(|l| (l.partition.partition, l.offset))
        .collect();
    points.iter().filter(|p| !late.contains(&(p.partition as i32, p.offset))).copied().collect()
}

/// The law: rows ⊎ late events = recomputation.
pub fn assert_law(left: &Left, points: &[Point], metric: &str, window: &str, cut: Cut) {
    let counted = in_time(points, left, metric, window);
    let (expected, found) = (count(&counted, cut), numbers(&left.rows, metric, window));
    let missing: Vec<_> = expected.iter().filter(|(k, v)| found.get(k) != Some(v)).take(3).collect();
    let surplus: Vec<_> = found.iter().filter(|(k, v)| expected.get(k) != Some(v)).take(3).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{metric} {window}: expected {missing:?}, found {surplus:?}"
    );
}
