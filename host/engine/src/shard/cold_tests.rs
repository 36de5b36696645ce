//! Slots that lie in the store alone: the same numbers with room for a few slots as with room for all,
//! and memory that does not grow with the number of windows.

use super::fakes::options;
use super::harness::Kills::Every;
use super::harness::*;
use super::oracle::{Cut, assert_law, births};
use super::tally::{Rule, SLOT_BYTES, tally};
use weir_types::rows::RealtimeRow;
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
const SESSION: Window = Window::Session { gap: MINUTE };

fn world(windows: &[Window], hot_slots: u64) -> World {
    let mut options = options();
    (options.hot_slots, options.hot_slots_total) = (hot_slots, hot_slots);
    World { options, metrics: vec![tally("t.born", Rule::Born, windows)], partitions: 1 }
}

/// A birth each half minute from a number of queues, told at once; each twentieth up to 100 min late.
fn births_of(minutes: i64, queues: i64) -> Vec<Change> {
    let birth = |n: i64| {
        let told = BASE + n * 30 * SECOND;
        let late = if n % 20 == 19 { (n * 7 % 100) * MINUTE } else { 0 };
        Change::birth(0, n + 1, n * 5 % queues, ["new", "open"][(n % 3 / 2) as usize], told - late, told)
    };
    (0..2 * minutes).map(birth).collect()
}

/// An epoch for each minute, and an idle end.
fn steps(changes: &[Change]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (minute, records) in (1..).zip(entries(changes).chunks(2)) {
        let clock = BASE + minute * MINUTE;
        steps.extend([Step::Clock(clock), Step::Read(records.to_vec()), Step::Epoch(false)]);
    }
    let end = BASE + changes.len() as i64 * 30 * SECOND;
    for hour in 1..=2 {
        steps.extend([Step::End(0), Step::Clock(end + hour * HOUR), Step::Epoch(true)]);
    }
    steps
}

/// Without what tells when a row was emitted.
fn timeless(rows: &[RealtimeRow]) -> Vec<RealtimeRow> {
    rows.iter().map(|row| RealtimeRow { epoch: 0, watermark: 0, ..row.clone() }).collect()
}

#[test]
fn numbers_are_the_same_with_room_for_a_few_slots_and_for_all() {
    let windows = [Window::Tumbling(MINUTE), Window::Tumbling(HOUR), Window::Day, SESSION];
    let changes = births_of(300, 7);
    let (points, steps) = (births(&changes), steps(&changes));
    both(&[Every(7), Every(50)], |kills| {
        let ample = run(&world(&windows, u64::MAX), &steps, kills);
        let tight = run(&world(&windows, 10), &steps, kills);
        assert_eq!(timeless(&tight.rows), timeless(&ample.rows), "{kills:?}");
        assert_eq!(timeless_late(&tight), timeless_late(&ample), "{kills:?}");
        for left in [&ample, &tight] {
            assert!(left.outbox.late_events.is_empty());
            assert_law(left, &points, "t.born", "1m", Cut::Every(MINUTE));
            assert_law(left, &points, "t.born", "1h", Cut::Every(HOUR));
            assert_law(left, &points, "t.born", "day", Cut::Every(24 * HOUR));
            assert_law(left, &points, "t.born", "session-60s", Cut::Session(MINUTE));
        }
        assert!(tight.loads > 20, "{kills:?}: the tight run loaded {} parts", tight.loads);
    });
}

fn timeless_late(left: &Left) -> Vec<(i64, Vec<String>)> {
    left.outbox.late_events.iter().map(|l| (l.offset, l.windows.clone())).collect()
}

#[test]
fn a_late_sample_reaches_a_window_that_lies_in_the_store_alone() {
    for window in [Window::Tumbling(MINUTE), SESSION] {
        let at = |id: i64, seconds: i64, told: i64| {
            Change::birth(0, id, id % 2, "new", BASE + seconds * SECOND, BASE + told * SECOND)
        };
        let mut changes = vec![at(1, 10, 10), at(2, 11, 11)];
        // In another hour: sessions that go on are stored together with none of the first.
        changes.extend((3..200).map(|n| at(n, 3700 + n * 15, 3700 + n * 15)));
        changes.push(at(201, 5, 6_701));
        changes.extend((202..220).map(|n| at(n, 3700 + n * 15, 3700 + n * 15)));
        let points = births(&changes);
        let mut steps = Vec::new();
        for (change, entry) in changes.iter().zip(entries(&changes)) {
            steps.extend([Step::Clock(change.updated), Step::Read(vec![entry]), Step::Epoch(false)]);
        }
        let end = BASE + 2 * HOUR;
        for hour in 1..=2 {
            steps.extend([Step::End(0), Step::Clock(end + hour * HOUR), Step::Epoch(true)]);
        }
        let name = window.name();
        let cut = if window == SESSION { Cut::Session(MINUTE) } else { Cut::Every(MINUTE) };
        both(&[Every(9)], |kills| {
            let left = run(&world(&[window], u64::MAX), &steps, kills);
            assert!(left.loads > 0, "{name} {kills:?}: nothing was loaded");
            let first = |r: &&RealtimeRow| r.end <= BASE + 100 * SECOND && r.dims.is_empty();
            let row = left.rows.iter().find(first).expect("the corrected window");
            assert_eq!((row.samples, row.late, row.is_final), (3, 1, true), "{name} {kills:?}");
            assert!(left.outbox.late_events.is_empty());
            assert_law(&left, &points, "t.born", &name, cut);
        });
    }
}

#[test]
fn guest_memory_does_not_grow_with_the_number_of_windows() {
    let windows = [Window::Tumbling(MINUTE), SESSION];
    let run_for = |minutes: i64, kills: Kills| {
        let changes = births_of(minutes, 5);
        let mut world = world(&windows, u64::MAX);
        // All windows are kept to the end.
        world.options.correct_for_default = 24 * HOUR;
        world.options.correct_for.insert("1m".into(), 24 * HOUR);
        let left = run(&world, &steps(&changes), kills);
        assert_law(&left, &births(&changes), "t.born", "1m", Cut::Every(MINUTE));
        left
    };
    both(&[Every(50)], |kills| {
        let (few, many) = (run_for(200, kills), run_for(600, kills));
        assert!(many.slots > 2 * few.slots, "{} slots, then {}", few.slots, many.slots);
        assert!(many.memory < few.memory * 3 / 2, "{} bytes, then {}", few.memory, many.memory);
    });
}

#[test]
fn a_bound_holds_for_open_windows_too() {
    // All keys of one day stay open to the end; each queue comes up once in a long while.
    let changes: Vec<Change> = (0..1200)
        .map(|n| {
            let time = BASE + n * 20 * SECOND;
            Change::birth(0, n + 1, n / 2 % 500, "new", time, time)
        })
        .collect();
    let steps = steps(&changes);
    let points = births(&changes);
    both(&[Every(40)], |kills| {
        let ample = run(&world(&[Window::Day], u64::MAX), &steps, kills);
        let tight = run(&world(&[Window::Day], 130), &steps, kills);
        assert_law(&tight, &points, "t.born", "day", Cut::Every(24 * HOUR));
        assert_eq!(timeless(&tight.rows), timeless(&ample.rows));
        assert_eq!((tight.slots, ample.slots), (1002, 1002));
        assert!(tight.memory * 3 / 2 < ample.memory, "{kills:?}: {} of {}", tight.memory, ample.memory);
    });
}

#[test]
fn a_restart_leaves_closed_windows_in_the_store() {
    let changes = births_of(300, 5);
    let mut world = world(&[Window::Tumbling(MINUTE)], u64::MAX);
    world.options.correct_for.insert("1m".into(), 24 * HOUR);
    let mut steps = steps(&changes);
    steps.extend([Step::Restart, Step::Epoch(false)]);
    both(&[Every(50)], |kills| {
        let left = run(&world, &steps, kills);
        assert!(left.slots > 1500, "{} slots", left.slots);
        // What was not yet in a checkpoint is merged again, the rest is not loaded.
        assert!(left.memory_last < 600 * SLOT_BYTES as u64, "{} bytes", left.memory_last);
        assert_law(&left, &births(&changes), "t.born", "1m", Cut::Every(MINUTE));
    });
}

#[test]
fn a_guest_that_once_held_far_more_is_made_anew_and_gives_the_same_numbers() {
    // 300 queues in one minute, and then hours of one.
    let mut changes: Vec<Change> =
        (0..300).map(|n| Change::birth(0, n + 1, n, "new", BASE + n * 100_000, BASE + n * 100_000)).collect();
    changes.extend((0..900).map(|n| {
        let time = BASE + MINUTE + n * 20 * SECOND;
        Change::birth(0, 1_000 + n, 1, "new", time, time)
    }));
    let records = entries(&changes);
    let mut steps = vec![Step::Clock(BASE + MINUTE), Step::Read(records[..300].to_vec()), Step::Epoch(false)];
    for (record, change) in records[300..].iter().zip(&changes[300..]) {
        steps.extend([Step::Clock(change.updated), Step::Read(vec![record.clone()]), Step::Epoch(false)]);
    }
    for hour in 1..=2 {
        let clock = changes[changes.len() - 1].updated + hour * HOUR;
        steps.extend([Step::End(0), Step::Clock(clock), Step::Epoch(true)]);
    }
    let points = births(&changes);
    twice(&world(&[Window::Tumbling(MINUTE), SESSION], u64::MAX), &steps, |left, kills| {
        assert_law(left, &points, "t.born", "1m", Cut::Every(MINUTE));
        assert_law(left, &points, "t.born", "session-60s", Cut::Session(MINUTE));
        assert!(left.memory > 600 * SLOT_BYTES as u64);
        if kills == Kills::None {
            assert!(left.memory_last < left.memory / 3, "{} of {}", left.memory_last, left.memory);
        }
    });
}
