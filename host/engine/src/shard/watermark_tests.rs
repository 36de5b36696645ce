//! Watermarks in the life of a host: stopped hosts, stopped upstreams, silent partitions, wrong clocks.

use super::fakes::options;
use super::harness::*;
use super::oracle::{Cut, assert_law, births, count, numbers};
use super::tally::{Rule, Tally, tally};
use std::sync::Arc;
use weir_types::contract::Input;
use weir_types::schema::SourceDecl;
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z

/// Minutes are corrected for two hours, and two partitions.
fn world() -> World {
    let windows = [Window::Tumbling(MINUTE), Window::Session { gap: MINUTE }];
    World { options: options(), metrics: vec![tally("t.born", Rule::Born, &windows)], partitions: 2 }
}

/// A birth every 20 s in each partition, from one minute until another.
fn births_between(from: i64, until: i64) -> Vec<Change> {
    let birth = |n: i64| {
        let time = BASE + from * MINUTE + n * 10 * SECOND;
        Change::birth((n % 2) as u32, from * 1000 + n, n % 3, "new", time, time)
    };
    (0..(until - from) * 6).map(birth).collect()
}

/// Splits records by partition.
fn of_partition(records: &[Entry], partition: u32) -> Vec<Entry> {
    records.iter().filter(|r| r.partition == partition).cloned().collect()
}

/// Records in order, an epoch and both ends each minute.
fn minutes(records: &[Entry], from: i64) -> Vec<Step> {
    let mut steps = Vec::new();
    for (minute, records) in (from + 1..).zip(records.chunks(6)) {
        steps.extend([Step::Clock(BASE + minute * MINUTE), Step::Read(records.to_vec())]);
        steps.extend([Step::End(0), Step::End(1), Step::Epoch(false)]);
    }
    steps
}

/// Nothing comes; both ends are told each minute.
fn silence(from: i64, until: i64) -> Vec<Step> {
    let minute = |m: i64| [Step::Clock(BASE + m * MINUTE), Step::End(0), Step::End(1), Step::Epoch(false)];
    (from + 1..=until).flat_map(minute).collect()
}

fn assert_nothing_late(left: &Left, changes: &[Change], kills: Kills) {
    assert!(left.outbox.late_events.is_empty(), "{kills:?}: {:?}", left.outbox.late_events[0]);
    assert_law(left, &births(changes), "t.born", "1m", Cut::Every(MINUTE));
    assert_law(left, &births(changes), "t.born", "session-60s", Cut::Session(MINUTE));
}

#[test]
fn a_host_that_was_stopped_for_hours_makes_nothing_late() {
    let changes: Vec<Change> = [births_between(0, 10), births_between(10, 200)].concat();
    let records = entries(&changes);
    let (before, missed) = records.split_at(60);
    let mut steps = minutes(before, 0);
    steps.extend([Step::Clock(BASE + 200 * MINUTE), Step::Restart]);
    // What it missed comes by partition: all of one, then all of the other.
    for partition in [1, 0] {
        for part in of_partition(missed, partition).chunks(200) {
            steps.extend([Step::Read(part.to_vec()), Step::Epoch(false)]);
        }
    }
    steps.extend(silence(200, 203));
    twice(&world(), &steps, |left, kills| assert_nothing_late(left, &changes, kills));
}

#[test]
fn a_partition_that_is_found_again_later_than_another_is_not_late() {
    let changes: Vec<Change> = [births_between(0, 10), births_between(10, 200)].concat();
    let records = entries(&changes);
    let (before, missed) = records.split_at(60);
    let mut steps = minutes(before, 0);
    steps.extend([Step::Clock(BASE + 200 * MINUTE), Step::FindsOnly(1), Step::Restart]);
    for part in of_partition(missed, 0).chunks(200) {
        steps.extend([Step::Read(part.to_vec()), Step::Epoch(false)]);
    }
    // It is at its end for longer than it takes to be idle, and the only one.
    for minute in 201..203 {
        steps.extend([Step::Clock(BASE + minute * MINUTE), Step::End(0), Step::Epoch(false)]);
    }
    steps.push(Step::FindsAll);
    for part in of_partition(missed, 1).chunks(200) {
        steps.extend([Step::Read(part.to_vec()), Step::Epoch(false)]);
    }
    steps.extend(silence(203, 206));
    twice(&world(), &steps, |left, kills| assert_nothing_late(left, &changes, kills));
}

#[test]
fn an_upstream_that_was_stopped_for_hours_loses_nothing_even_if_one_partition_comes_first() {
    let (first, gap) = (births_between(0, 10), births_between(10, 190));
    let after = births_between(190, 200);
    let changes: Vec<Change> = [first, gap, after].concat();
    let records = entries(&changes);
    let (before, rest) = records.split_at(60);
    let (backlog, after) = rest.split_at(180 * 6);
    for order in [[0, 1], [1, 0]] {
        let mut steps = minutes(before, 0);
        steps.extend(silence(10, 190));
        // The backlog of one partition is there an epoch before that of the other.
        for partition in order {
            steps.extend([Step::Read(of_partition(backlog, partition)), Step::Epoch(false)]);
        }
        steps.extend(minutes(after, 190));
        steps.extend(silence(200, 205));
        twice(&world(), &steps, |left, kills| assert_nothing_late(left, &changes, kills));
    }
}

#[test]
fn a_backlog_that_waits_in_the_broker_is_not_late_while_its_partition_cannot_be_asked() {
    let changes: Vec<Change> = [births_between(0, 10), births_between(10, 190)].concat();
    let records = entries(&changes);
    let (before, backlog) = records.split_at(60);
    let mut steps = minutes(before, 0);
    // Partition 1 was at its end once, and its broker has not answered since.
    steps.push(Step::Away(1));
    for (minute, part) in (11..).zip(of_partition(backlog, 0).chunks(3)) {
        steps.extend([Step::Clock(BASE + minute * MINUTE), Step::Read(part.to_vec())]);
        steps.extend([Step::End(0), Step::Epoch(false)]);
    }
    for part in of_partition(backlog, 1).chunks(100) {
        steps.extend([Step::Read(part.to_vec()), Step::Epoch(false)]);
    }
    steps.extend(silence(190, 195));
    twice(&world(), &steps, |left, kills| assert_nothing_late(left, &changes, kills));
}

#[test]
fn a_partition_that_never_gets_a_record_does_not_keep_state_for_ever() {
    let mut changes = births_between(0, 360);
    changes.iter_mut().for_each(|c| c.partition = 0);
    let steps = [minutes(&entries(&changes), 0), silence(360, 365)].concat();
    twice(&world(), &steps, |left, kills| {
        assert_nothing_late(left, &changes, kills);
        let records = left.head.watermarks["ticket"].records;
        // A host that is killed each minute never lives long enough to know that a partition is idle.
        if kills != Kills::Every(1) {
            assert!(records >= BASE + 359 * MINUTE, "{kills:?}: {}", (records - BASE) / MINUTE);
            // 8 keys, each in the minutes of two hours and a bit, and in one session.
            assert!(left.slots < 8 * 130, "{kills:?}: {} slots", left.slots);
        }
    });
}

#[test]
fn one_row_from_the_year_2099_closes_nothing() {
    let mut changes = births_between(0, 5);
    let far = 4_070_908_800 * SECOND; // 2099-01-01
    changes.push(Change::birth(0, 77, 1, "new", far, far));
    let told = births_between(5, 10);
    changes.extend(told);
    let mut steps = Vec::new();
    for records in entries(&changes).chunks(7) {
        let read = records.iter().map(|r| r.offset * 20 * SECOND).max().unwrap_or(0);
        steps.extend([Step::Clock(BASE + read), Step::Read(records.to_vec()), Step::Epoch(false)]);
    }
    twice(&world(), &steps, |left, kills| {
        let counted: Vec<Change> = changes.iter().filter(|c| c.id != 77).copied().collect();
        let mut points = births(&changes);
        points.retain(|p| p.id != 77);
        assert_eq!(points.len(), counted.len());
        assert!(left.outbox.late_events.is_empty(), "{kills:?}");
        assert!(left.rows.iter().all(|r| r.end < BASE + HOUR));
        let marks = left.head.watermarks["ticket"];
        assert!(marks.closing < BASE + 10 * MINUTE && marks.records < BASE + 10 * MINUTE);
        let dead: Vec<&str> = left.outbox.dead_letters.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(dead, ["future-time"]);
        let open = left.rows.iter().filter(|r| r.series.window == "1m" && r.end > marks.closing);
        assert!(open.clone().count() > 0 && open.clone().all(|r| !r.is_final), "{kills:?}");
    });
}

/// Births of two sources in one metric: the ticket's are partition 0, those of `other` partition 1.
fn of_two_sources() -> World {
    let mut options = options();
    let other = SourceDecl {
        name: "other".into(),
        table: "other".into(),
        topics: vec!["o".into()],
        ..(*options.sources[0]).clone()
    };
    options.sources.push(Arc::new(other));
    let windows = [Window::Tumbling(MINUTE), Window::Tumbling(HOUR), Window::Session { gap: MINUTE }];
    let mut info = tally("t.born", Rule::Born, &windows).info().clone();
    info.inputs.push(Input { source: "other".into(), ..info.inputs[0].clone() });
    World { options, metrics: vec![Arc::new(Tally { info, rule: Rule::Born })], partitions: 1 }
}

#[test]
fn the_slower_of_two_sources_decides_when_a_window_closes_whichever_it_is() {
    let changes = births_between(0, 300);
    let mut records = entries(&changes);
    for record in records.iter_mut().filter(|r| r.partition == 1) {
        record.value = record.value.take().map(|value| value.replace("\"ticket\"", "\"other\""));
    }
    // More than a window can be corrected for: an early end would lose samples, not only correct them.
    for slower in [0, 1] {
        let mut steps = Vec::new();
        for (minute, part) in (1..).zip(of_partition(&records, 1 - slower).chunks(3)) {
            steps.extend([Step::Clock(BASE + minute * MINUTE), Step::Read(part.to_vec())]);
            steps.extend([Step::End(1 - slower), Step::Epoch(false)]);
        }
        let ahead = steps.iter().filter(|step| matches!(step, Step::Epoch(_))).count();
        for part in of_partition(&records, slower).chunks(50) {
            steps.extend([Step::Read(part.to_vec()), Step::Epoch(true)]);
        }
        steps.extend(silence(300, 304));
        twice(&of_two_sources(), &steps, |left, kills| {
            assert_nothing_late(left, &changes, kills);
            let first_final = left.emitted.iter().filter(|r| r.is_final).map(|r| r.epoch).min();
            assert!(
                first_final.expect("windows close") > ahead as u64,
                "{kills:?}: before the slower one came"
            );
            let corrected = left.emitted.iter().find(|r| r.late > 0);
            assert!(corrected.is_none(), "{kills:?}: {corrected:?}");
            assert!(left.rows.iter().any(|r| r.is_final && r.series.window == "1h"), "{kills:?}");
        });
    }
}

#[test]
fn a_table_that_nobody_declared_keeps_no_window_open_however_busy_its_partition_is() {
    let changes: Vec<Change> =
        births_between(0, 30).into_iter().map(|change| Change { partition: 0, ..change }).collect();
    let records = entries(&changes);
    let mut steps = Vec::new();
    for minute in 1..=34 {
        let mut part: Vec<Entry> = records.iter().skip((minute as usize - 1) * 6).take(6).cloned().collect();
        let mut other = Entry { partition: 1, offset: minute, ..records[0].clone() };
        other.value = other.value.map(|value| value.replace("\"ticket\"", "\"audit_log\""));
        part.push(other);
        steps.extend([Step::Clock(BASE + minute * MINUTE), Step::Read(part)]);
        steps.extend([Step::End(0), Step::End(1), Step::Epoch(false)]);
    }
    twice(&world(), &steps, |left, kills| {
        assert_nothing_late(left, &changes, kills);
        let is_final = |r: &&weir_types::rows::RealtimeRow| r.is_final && r.series.window == "1m";
        let last = left.rows.iter().filter(is_final).map(|r| r.end).max();
        assert!(last >= Some(BASE + 28 * MINUTE), "{kills:?}: {last:?}");
    });
}

#[test]
fn what_a_table_brings_hours_later_is_not_late_because_another_of_its_topic_is_further() {
    let mut world = world();
    let other =
        SourceDecl { name: "other".into(), table: "other".into(), ..(*world.options.sources[0]).clone() };
    world.options.sources.push(Arc::new(other));
    let mut info = world.metrics[0].info().clone();
    info.inputs[0].source = "other".into();
    world.metrics = vec![Arc::new(Tally { info, rule: Rule::Born })];
    world.partitions = 1;
    // Each ticket of this moment is followed by a row of twelve hours ago.
    let mut all = Vec::new();
    for change in births_between(0, 60).into_iter().map(|change| Change { partition: 0, ..change }) {
        let (created, updated) = (change.created - 12 * HOUR, change.updated - 12 * HOUR);
        all.extend([change, Change { id: change.id + 1_000_000, created, updated, ..change }]);
    }
    let mut records = entries(&all);
    for record in records.iter_mut().skip(1).step_by(2) {
        record.value = record.value.take().map(|value| value.replace("\"ticket\"", "\"other\""));
    }
    let mut steps = Vec::new();
    for (minute, part) in (1..).zip(records.chunks(12)) {
        steps.extend([Step::Clock(BASE + minute * MINUTE), Step::Read(part.to_vec())]);
        steps.extend([Step::End(0), Step::Epoch(false)]);
    }
    steps.extend(silence(60, 64).into_iter().filter(|step| !matches!(step, Step::End(1))));
    let ours: Vec<Change> = all.into_iter().skip(1).step_by(2).collect();
    twice(&world, &steps, |left, kills| {
        assert!(left.outbox.late_events.is_empty(), "{kills:?}: {:?}", left.outbox.late_events[0]);
        let expected = count(&births(&ours), Cut::Every(MINUTE));
        assert_eq!(numbers(&left.rows, "t.born", "1m"), expected, "{kills:?}");
    });
}
