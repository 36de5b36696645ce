//! The shard against an oracle that recomputes everything from the raw changes.

mod feed;
mod holds;
mod redrive;

use super::fakes::*;
use super::harness::{Change, Entry, Kills, Step, World, both, entries, run, twice};
use std::collections::{BTreeMap, HashMap};
use weir_types::record::TopicPartition;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::{HOUR, MINUTE, Micros, SECOND};

pub(super) const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z

/// One raw change: (id, op, queue, status, created, updated), times in seconds after BASE.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    pub(super) id: i64,
    pub(super) op: char,
    pub(super) queue: i64,
    pub(super) status: &'static str,
    pub(super) before: Option<(i64, &'static str)>,
    pub(super) created: i64,
    pub(super) updated: i64,
}

impl Raw {
    fn change(&self) -> Change {
        let at = |seconds: i64| BASE + seconds * SECOND;
        let Raw { id, op, queue, status, before, created, updated } = *self;
        let (created, updated) = (at(created), at(updated));
        Change { partition: 0, id, op, queue, status, before, created, updated }
    }
}

/// A seeded life of tickets, mostly in order.
pub(super) fn life(seed: u64, count: usize) -> Vec<Raw> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut dice = move |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut rows: BTreeMap<i64, Raw> = BTreeMap::new();
    let mut raws = Vec::new();
    for step in 0..count as i64 {
        let now = step * 7;
        let updated = now - dice(4) as i64;
        let pick = rows.keys().nth(dice(rows.len().max(1) as u64) as usize).copied();
        let raw = match (pick, dice(10)) {
            (Some(id), 0..=4) => {
                let held = rows[&id];
                let status = ["new", "open", "solved"][dice(3) as usize];
                Raw { op: 'u', before: Some((held.queue, held.status)), status, updated, ..held }
            }
            (Some(id), 5) => {
                let held = rows[&id];
                Raw { op: 'd', before: Some((held.queue, held.status)), updated, ..held }
            }
            _ => Raw {
                id: step,
                op: 'c',
                queue: dice(3) as i64,
                status: "open",
                before: None,
                // Some births are old by their own time: late, but still to be corrected.
                created: if dice(20) == 0 { updated - 1800 } else { updated },
                updated,
            },
        };
        if raw.op == 'd' {
            rows.remove(&raw.id)
        } else {
            rows.insert(raw.id, raw)
        };
        raws.push(raw);
    }
    raws
}

pub(super) fn world() -> World {
    World { options: options(), metrics: metrics(), partitions: 1 }
}

/// Records in epochs of `per_epoch`, each of which takes so many seconds a record, and then an idle hour.
pub(super) fn in_epochs(records: &[Entry], per_epoch: usize, seconds: i64) -> Vec<Step> {
    let mut clock = BASE;
    let mut steps = Vec::new();
    for chunk in records.chunks(per_epoch) {
        clock += seconds * SECOND * per_epoch as i64;
        steps.extend([Step::Clock(clock), Step::Read(chunk.to_vec()), Step::Epoch(false)]);
    }
    steps.extend([Step::End(0), Step::Clock(clock + HOUR), Step::Epoch(true)]);
    steps
}

pub(super) fn records(raws: &[Raw]) -> Vec<Entry> {
    let changes: Vec<Change> = raws.iter().map(Raw::change).collect();
    entries(&changes)
}

fn count(row: &RealtimeRow) -> i64 {
    match row.values[0] {
        OutputValue::Int(n) => n,
        _ => panic!("a count is an integer"),
    }
}

pub(super) type Numbers = BTreeMap<(String, String, Vec<String>, Micros), i64>;

/// `t.created` by window, dimension set, dims and start, straight from the raw changes.
pub(super) fn created(raws: &[Raw]) -> Numbers {
    let mut numbers = Numbers::new();
    for raw in raws.iter().filter(|r| r.op == 'c') {
        let time = BASE + raw.created * SECOND;
        for (window, length) in [("1m", 60), ("1h", 3600), ("day", 86400)] {
            let start = time.div_euclid(length * SECOND) * length * SECOND;
            for (set, dims) in [("", vec![]), ("queue_id", vec![raw.queue.to_string()])] {
                *numbers.entry((window.into(), set.into(), dims, start)).or_default() += 1;
            }
        }
    }
    numbers
}

pub(super) fn emitted(rows: &[RealtimeRow]) -> Numbers {
    let created = rows.iter().filter(|r| r.series.metric == "t.created");
    let key = |r: &RealtimeRow| {
        (r.series.window.to_string(), r.series.dimension_set.to_string(), r.dims.to_vec(), r.start)
    };
    created.map(|r| (key(r), count(r))).collect()
}

/// `t.open` by set and dims from the last image of each row.
pub(super) fn open(raws: &[Raw]) -> BTreeMap<(String, Vec<String>), i64> {
    let mut rows: HashMap<i64, Raw> = HashMap::new();
    for raw in raws {
        if raw.op == 'd' {
            rows.remove(&raw.id)
        } else {
            rows.insert(raw.id, *raw)
        };
    }
    let mut numbers = BTreeMap::new();
    for raw in rows.values().filter(|r| r.status == "open") {
        for key in [("".to_string(), vec![]), ("queue_id".to_string(), vec![raw.queue.to_string()])] {
            *numbers.entry(key).or_default() += 1;
        }
    }
    numbers
}

pub(super) fn shown(latest: &[RealtimeRow]) -> BTreeMap<(String, Vec<String>), i64> {
    let rows = latest.iter().map(|r| ((r.series.dimension_set.to_string(), r.dims.to_vec()), count(r)));
    rows.filter(|(_, n)| *n != 0).collect()
}

#[test]
fn every_number_equals_the_recomputation() {
    for seed in 1..=6 {
        let raws = life(seed, 900);
        for per_epoch in [40, 7] {
            twice(&world(), &in_epochs(&records(&raws), per_epoch, 7), |left, _| {
                let case = format!("seed {seed} epochs of {per_epoch}");
                assert_eq!(emitted(&left.rows), created(&raws), "{case}");
                assert_eq!(shown(&left.outbox.latest), open(&raws), "{case}");
                assert!(left.outbox.late_events.is_empty(), "{case}");
            });
        }
    }
}

#[test]
fn windows_that_the_watermark_passed_are_final_and_later_ones_are_not() {
    let raws = life(3, 300);
    twice(&world(), &in_epochs(&records(&raws), 20, 7), |left, _| {
        let minutes: Vec<&RealtimeRow> = left.rows.iter().filter(|r| r.series.window == "1m").collect();
        assert!(!minutes.is_empty() && minutes.iter().all(|r| r.is_final));
        // The day before has births that came late; the running day is still open.
        let days = left.rows.iter().filter(|r| r.series.window == "day");
        assert!(days.clone().count() > 0 && days.clone().all(|r| r.is_final == (r.start < BASE)));
        assert!(left.rows.iter().all(|r| r.complete));
    });
}

#[test]
fn a_repeated_run_of_changes_counts_once() {
    let raws = life(5, 400);
    let mut repeated = records(&raws);
    let later = |entry: &Entry| Entry { offset: entry.offset + 150, ..entry.clone() };
    let again: Vec<Entry> = repeated[100..250].iter().map(later).collect();
    let tail: Vec<Entry> = repeated.split_off(250).iter().map(later).collect();
    repeated.extend(again);
    repeated.extend(tail);
    twice(&world(), &in_epochs(&repeated, 30, 7), |left, _| {
        assert_eq!(emitted(&left.rows), created(&raws));
        assert_eq!(shown(&left.outbox.latest), open(&raws));
        let partitions = left.outbox.epochs.iter().flat_map(|e| &e.partitions);
        let repeats: u64 = partitions.filter_map(|p| p.counts.skipped.get("repeat")).sum();
        assert_eq!(repeats, 150);
    });
}

#[test]
fn what_cannot_be_read_is_dead_lettered_with_coordinates_and_the_stream_goes_on() {
    let raws = life(7, 60);
    let mut read = records(&raws);
    let key = Some(r#"{"id":1}"#.to_string());
    let entry = |offset, value| Entry { partition: 0, offset, key: key.clone(), value: Some(value) };
    read.push(entry(60, "no json at all".into()));
    read.push(entry(61, r#"{"id":1,"x":2}"#.into()));
    let last = Raw { id: 999, op: 'c', queue: 1, status: "open", before: None, created: 421, updated: 421 };
    read.push(entry(62, last.change().json(9_999)));
    let raws: Vec<Raw> = raws.into_iter().chain([last]).collect();
    twice(&world(), &in_epochs(&read, 10, 7), |left, _| {
        assert_eq!(emitted(&left.rows), created(&raws));
        let dead: Vec<i64> = left.outbox.dead_letters.iter().map(|d| d.offset).collect();
        assert_eq!(dead, [60, 61]);
        assert!(left.outbox.dead_letters.iter().all(|d| !d.reason.is_empty() && d.whole));
    });
}

#[test]
fn a_sample_too_late_for_a_window_kind_is_kept_as_a_late_event_and_counts_elsewhere() {
    let mut raws = life(9, 60);
    // Hours later, each in an epoch of its own: a birth of three hours ago is too late for 1m and 1h, in
    // time for the day.
    let early =
        Raw { id: 5_000, op: 'c', queue: 1, status: "new", before: None, created: 12_000, updated: 12_000 };
    let late = Raw { id: 5_001, created: 30, updated: 12_001, ..early };
    raws.extend([early, Raw { id: 5_002, ..early }, late]);
    let read = records(&raws);
    let mut steps = Vec::new();
    for (nth, chunk) in [&read[..60], &read[60..61], &read[61..62], &read[62..]].into_iter().enumerate() {
        let clock = BASE + if nth == 0 { 500 } else { 12_000 + nth as i64 } * SECOND;
        steps.extend([Step::Clock(clock), Step::Read(chunk.to_vec()), Step::Epoch(nth == 3)]);
    }
    twice(&world(), &steps, |left, _| {
        let late = left.outbox.late_events.iter();
        let missed: Vec<(i64, Vec<String>)> = late.map(|l| (l.offset, l.windows.clone())).collect();
        assert_eq!(missed, [(62, vec!["1m".to_string(), "1h".to_string()])]);
        let mut expected = created(&raws);
        for (set, dims) in [("", vec![]), ("queue_id", vec!["1".to_string()])] {
            for (window, start) in [("1m", BASE), ("1h", BASE)] {
                let key = (window.to_string(), set.to_string(), dims.clone(), start);
                *expected.get_mut(&key).expect("the late birth was recomputed there") -= 1;
            }
        }
        expected.retain(|_, n| *n != 0);
        assert_eq!(emitted(&left.rows), expected);
    });
}

#[test]
fn a_time_far_in_the_future_moves_no_watermark_and_is_dead_lettered() {
    let mut raws = life(11, 100);
    let far = 2_000_000_000;
    let far = Raw { id: 7_000, op: 'c', queue: 0, status: "new", before: None, created: far, updated: far };
    raws.insert(50, far);
    twice(&world(), &in_epochs(&records(&raws), 10, 7), |left, _| {
        let mut counted = raws.clone();
        counted.remove(50);
        assert_eq!(emitted(&left.rows), created(&counted));
        let dead = left.outbox.dead_letters.iter();
        assert_eq!(dead.map(|d| (d.offset, d.metric.as_str())).collect::<Vec<_>>(), [(50, "t.created")]);
        assert!(left.outbox.late_events.is_empty());
    });
}

#[test]
fn the_store_does_not_grow_with_the_number_of_epochs() {
    let keys = |count: i64, kills: Kills| {
        let raw = |nth| Raw {
            id: nth % 5,
            op: 'c',
            queue: 1,
            status: "open",
            before: None,
            created: 10,
            updated: 10,
        };
        let raws: Vec<Raw> = (0..count).map(raw).collect();
        let mut steps = vec![Step::Clock(BASE + MINUTE)];
        for entry in records(&raws) {
            steps.extend([Step::Read(vec![entry]), Step::Epoch(false)]);
        }
        run(&world(), &steps, kills).store.data.lock().expect("lock").len()
    };
    both(&[Kills::Every(3)], |kills| {
        let (few, many) = (keys(200, kills), keys(600, kills));
        assert!(many <= few + 80, "{few} keys after 200 epochs, {many} after 600");
    });
}

#[test]
fn a_restart_begins_at_the_next_offset_with_the_last_record_remembered() {
    twice(&world(), &in_epochs(&records(&life(2, 50)), 10, 7), |left, _| {
        let partition = &left.head.partitions[&TopicPartition { topic: "t".into(), partition: 0 }];
        assert_eq!(partition.next, 50);
        assert_eq!(partition.last.map(|(offset, _)| offset), Some(49));
    });
}
