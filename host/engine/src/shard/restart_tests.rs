//! What a restart, another configuration, or a part that lay in the store alone must not change.

use super::Monotonic;
use super::fakes::{head, options};
use super::harness::*;
use super::oracle::{Cut, births, count, numbers};
use super::tally::{Rule, tally};
use crate::recover::recover;
use crate::stored::Keyspace;
use std::sync::Arc;
use std::time::Duration;
use weir_types::rows::{OutputValue, RealtimeRow};
use weir_types::schema::{ColumnType, SourceDecl, TimeUnit};
use weir_types::window::Window;
use weir_types::{HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
const SESSION: Window = Window::Session { gap: MINUTE };

fn world(metrics: &[(&str, Rule, &[Window])]) -> World {
    let metrics = metrics.iter().map(|(name, rule, windows)| tally(name, *rule, windows)).collect();
    World { options: options(), metrics, partitions: 1 }
}

fn birth(id: i64, created: Micros, told: Micros) -> Change {
    Change::birth(0, id, 1, "new", created, told)
}

/// Epochs in which nothing happens and no tick falls: a checkpoint is among them, and the leaving to the store.
fn quiet(epochs: usize) -> Vec<Step> {
    vec![Step::Epoch(false); epochs]
}

/// Each change read with the clock at its time.
fn told(changes: &[Change]) -> Vec<[Step; 2]> {
    let step = |(entry, change): (Entry, &Change)| [Step::Clock(change.updated), Step::Read(vec![entry])];
    entries(changes).into_iter().zip(changes).map(step).collect()
}

/// A run that ends, and another host over what it left, which was not delivered.
fn then(before: &World, steps: &[Step], after: &World, later: &[Step]) -> Left {
    let store = run_undelivered(before, steps);
    let waiting = undelivered(&*store, &Keyspace::new("0"), head(&store).epoch);
    resume(after, store, waiting, later, Kills::None)
}

fn total(row: &&RealtimeRow) -> bool {
    row.series.dimension_set.is_empty()
}

#[test]
fn a_value_that_returns_before_its_tick_is_emitted_by_the_host_that_comes_after_a_kill() {
    let world = world(&[("t.balance", Rule::Balance, &[Window::Tumbling(HOUR)])]);
    let changes = [birth(5, BASE, BASE), birth(3, BASE, BASE), birth(-3, BASE, BASE)];
    let [first, second, third] = told(&changes).try_into().expect("three");
    let mut steps = first.to_vec();
    steps.push(Step::Epoch(true));
    steps.extend(quiet(140));
    steps.extend(second);
    steps.push(Step::Epoch(true));
    steps.extend(third);
    // It waits for its tick: the checkpoint knows of 5 alone.
    steps.extend([Step::Epoch(false), Step::Restart, Step::Epoch(true)]);
    twice(&world, &steps, |left, _| {
        let row = left.rows.iter().find(total).expect("the hour");
        assert_eq!((row.samples, &row.values[1]), (3, &OutputValue::Int(5)));
    });
}

#[test]
fn a_value_that_returns_while_its_part_lay_in_the_store_is_emitted() {
    let mut world = world(&[("t.balance", Rule::Balance, &[Window::Tumbling(HOUR)])]);
    world.options.hot_slots = 1;
    let changes = [birth(5, BASE, BASE), birth(3, BASE, BASE), birth(-3, BASE, BASE)];
    let [first, second, third] = told(&changes).try_into().expect("three");
    let mut steps = first.to_vec();
    steps.push(Step::Epoch(true));
    steps.extend(second);
    // It waits while it is stored as 8 with 5 emitted, is then emitted, and is left to the store.
    steps.extend(quiet(80));
    steps.push(Step::Epoch(true));
    steps.extend(quiet(80));
    steps.extend(third);
    steps.extend([Step::Epoch(false), Step::Epoch(true)]);
    twice(&world, &steps, |left, kills| {
        let row = left.rows.iter().find(total).expect("the hour");
        assert_eq!((row.samples, &row.values[1]), (3, &OutputValue::Int(5)));
        assert!(kills != Kills::None || left.loads > 0, "it was never left to the store");
    });
}

#[test]
fn a_window_is_kept_for_its_own_time_whichever_sessions_had_its_number_before() {
    let world = world(&[("t.born", Rule::Born, &[Window::Tumbling(MINUTE), SESSION])]);
    // A restart while sessions are kept together that begin within an hour; the last of them just before its end, so
    // that it is looked at twice whether they are. Then more windows come than go, and take the numbers of those.
    let at = |n: i64| BASE + if n < 56 { 3 * n } else { 112 + n } * MINUTE;
    // Every other birth comes late, and corrects a window that has been closed for long.
    let late = |n: i64| if n > 100 && n % 2 == 1 { 99 * MINUTE } else { 0 };
    let mut changes: Vec<Change> = (0..240).map(|n| birth(n, at(n) - late(n), at(n))).collect();
    changes.insert(20, birth(1000, BASE + HOUR - 2 * SECOND, BASE + HOUR - 2 * SECOND));
    let mut steps: Vec<Step> =
        told(&changes).into_iter().flat_map(|told| [told.to_vec(), quiet(1)].concat()).collect();
    // After a checkpoint.
    steps.splice(3 * 15..3 * 15, [quiet(70), vec![Step::Restart]].concat());
    steps.push(Step::Epoch(true));
    twice(&world, &steps, |left, kills| {
        assert!(left.outbox.late_events.is_empty());
        let points = births(&changes);
        assert_eq!(numbers(&left.rows, "t.born", "1m"), count(&points, Cut::Every(MINUTE)), "{kills:?}");
        assert_eq!(numbers(&left.rows, "t.born", "session-60s"), count(&points, Cut::Session(MINUTE)));
        let marks = left.head.watermarks["ticket"];
        let open = left.rows.iter().filter(|row| !row.is_final && row.end <= marks.closing);
        assert_eq!(open.count(), 0, "{kills:?}: closed, but not final");
    });
}

/// As options have it, but minutes are corrected for so long.
fn corrected_for(time: Micros) -> World {
    let mut world = world(&[("t.born", Rule::Born, &[Window::Tumbling(MINUTE)])]);
    world.options.correct_for.insert("1m".into(), time);
    world
}

#[test]
fn windows_that_were_forgotten_stay_so_when_they_are_corrected_for_longer() {
    let mut changes = vec![birth(1, BASE, BASE), birth(2, BASE, BASE)];
    changes.push(birth(3, BASE + 3 * HOUR, BASE + 3 * HOUR));
    // Late for two hours, not for six; and one that is late for neither.
    changes.push(birth(4, BASE, BASE + 3 * HOUR));
    changes.push(birth(5, BASE + 90 * MINUTE, BASE + 3 * HOUR));
    let steps: Vec<Vec<Step>> =
        told(&changes).into_iter().map(|told| [told.to_vec(), quiet(1)].concat()).collect();
    let mut before = steps[..3].concat();
    before.extend(quiet(2));
    let mut later = quiet(1);
    later.extend(steps[3..].concat());
    later.extend([Step::Restart, Step::Epoch(true)]);
    let left = then(&corrected_for(2 * HOUR), &before, &corrected_for(6 * HOUR), &later);
    let late: Vec<i64> = left.outbox.late_events.iter().map(|l| l.offset).collect();
    assert_eq!(late, [3]);
    let points = births(&changes);
    let counted: Vec<_> = points.iter().filter(|p| p.id != 4).copied().collect();
    assert_eq!(numbers(&left.rows, "t.born", "1m"), count(&counted, Cut::Every(MINUTE)));
}

#[test]
fn what_was_counted_stays_counted_over_a_second_restart_when_windows_are_corrected_for_longer() {
    let changes = [birth(1, BASE, BASE), birth(2, BASE, BASE), birth(3, BASE + 3 * HOUR, BASE + 3 * HOUR)];
    let [first, second, third] = told(&changes).try_into().expect("three");
    // The checkpoint has the window open, with one sample; the other is in the cells alone.
    let mut before = [first.to_vec(), quiet(140)].concat();
    before.extend([second.to_vec(), quiet(1), third.to_vec(), quiet(2)].concat());
    let later = [Step::Epoch(true), Step::Restart, Step::Epoch(true)];
    let left = then(&corrected_for(2 * HOUR), &before, &corrected_for(6 * HOUR), &later);
    assert!(left.outbox.late_events.is_empty());
    assert_eq!(numbers(&left.rows, "t.born", "1m"), count(&births(&changes), Cut::Every(MINUTE)));
}

#[test]
fn what_was_counted_stays_counted_when_windows_are_corrected_for_less() {
    let changes =
        [birth(1, BASE, BASE), birth(2, BASE + 3 * HOUR, BASE + 3 * HOUR), birth(3, BASE, BASE + 3 * HOUR)];
    let mut before: Vec<Step> =
        told(&changes[..2]).into_iter().flat_map(|told| [told.to_vec(), quiet(1)].concat()).collect();
    // What comes late is in the cells alone: the checkpoint was before.
    before.extend(quiet(140));
    before.extend(told(&changes).remove(2));
    before.extend(quiet(1));
    let later = [Step::Epoch(true), Step::Restart, Step::Epoch(true)];
    let left = then(&corrected_for(6 * HOUR), &before, &corrected_for(HOUR), &later);
    assert!(left.outbox.late_events.is_empty());
    assert_eq!(numbers(&left.rows, "t.born", "1m"), count(&births(&changes), Cut::Every(MINUTE)));
}

/// What a host says that finds the state of another.
fn refusal(before: &World, after: &World) -> String {
    let changes = [birth(1, BASE, BASE)];
    let store = run_undelivered(before, &[told(&changes).remove(0).to_vec(), quiet(70)].concat());
    let monotonic: Monotonic = Arc::new(|| Duration::ZERO);
    let loader = Metrics(after.metrics.clone());
    match recover(after.options.clone(), store, &loader, monotonic) {
        Ok(_) => "it starts".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_state_of_other_windows_or_of_another_time_zone_is_refused() {
    let plain = || world(&[("t.born", Rule::Born, &[Window::Tumbling(MINUTE), Window::Day])]);
    assert_eq!(refusal(&plain(), &plain()), "it starts");
    let mut other = plain();
    let windows = vec![Window::Tumbling(5 * MINUTE), Window::Day];
    other.options.windows_metric.insert("t.born".into(), windows);
    let text = refusal(&plain(), &other);
    assert!(text.contains("windows 1m, day in UTC") && text.contains("5m, day in UTC"), "{text}");
    let mut other = plain();
    other.options.time_zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("bundled zone");
    let text = refusal(&plain(), &other);
    assert!(text.contains("1m, day in Europe/Berlin"), "{text}");
}

/// Rows of the source are kept, for current values.
fn with_source(change: impl FnOnce(&mut SourceDecl)) -> World {
    let mut world = world(&[("t.aging", Rule::Aging, &[Window::Now])]);
    let mut source = (*world.options.sources[0]).clone();
    change(&mut source);
    world.options.sources = vec![Arc::new(source)];
    world
}

#[test]
fn a_state_whose_rows_had_another_primary_key_or_other_versions_is_refused() {
    let plain = || with_source(|_| {});
    assert_eq!(refusal(&plain(), &with_source(|s| s.columns[2].ty = ColumnType::Json)), "it starts");
    let text = refusal(&plain(), &with_source(|s| s.columns[0].ty = ColumnType::UnsignedText));
    assert!(
        text.contains("primary_key was declared as id Int, and is declared as id UnsignedText"),
        "{text}"
    );
    let text = refusal(&plain(), &with_source(|s| s.primary_key = vec![1, 0]));
    assert!(text.contains("queue_id Int, id Int"), "{text}");
    let versioned = |ty: ColumnType, zone: &str| {
        with_source(|s| {
            s.columns[4].ty = ty;
            s.reading.time_zone = jiff::tz::TimeZone::get(zone).expect("bundled zone");
            s.reading.version_column = Some(4);
        })
    };
    let text_of = ColumnType::DateTime(TimeUnit::Ms);
    assert_eq!(refusal(&versioned(text_of, "UTC"), &versioned(text_of, "UTC")), "it starts");
    let text = refusal(&versioned(text_of, "UTC"), &versioned(text_of, "Asia/Shanghai"));
    assert!(text.contains("version_column was declared as") && text.contains("in Asia/Shanghai"), "{text}");
    // Without a version column in between, its versions are still there.
    assert_eq!(refusal(&versioned(text_of, "UTC"), &plain()), "it starts");
}

#[test]
fn a_session_that_may_have_begun_before_its_metric_is_not_complete() {
    let before = world(&[("t.older", Rule::Born, &[SESSION])]);
    let after = world(&[("t.older", Rule::Born, &[SESSION]), ("t.newer", Rule::Born, &[SESSION])]);
    let at = |id: i64, seconds: i64| birth(id, BASE + seconds * SECOND, BASE + seconds * SECOND);
    let changes = [at(1, 0), at(2, 50), at(3, 400), at(4, 900)];
    let steps: Vec<Vec<Step>> =
        told(&changes).into_iter().map(|told| [told.to_vec(), quiet(1)].concat()).collect();
    let left = then(&before, &steps[0], &after, &[steps[1..].concat(), vec![Step::Restart]].concat());
    let mut found: Vec<_> = left
        .rows
        .iter()
        .filter(|r| &*r.series.metric == "t.newer" && r.series.dimension_set.is_empty())
        .map(|r| ((r.start - BASE) / SECOND, r.complete))
        .collect();
    found.sort_unstable();
    assert_eq!(found, [(50, false), (400, true)]);
}

#[test]
fn a_closed_window_of_a_value_that_varies_with_time_keeps_it_over_a_restart() {
    // Ids are times: what is an hour old when its window closes counts, and nothing after.
    let world = world(&[("t.aging", Rule::Aging, &[Window::Tumbling(HOUR)])]);
    let changes = [
        birth(BASE + 50 * MINUTE, BASE + 50 * MINUTE, BASE + 50 * MINUTE),
        birth(7, BASE + 61 * MINUTE, BASE + 61 * MINUTE),
    ];
    let mut steps: Vec<Step> =
        told(&changes).into_iter().flat_map(|told| [told.to_vec(), quiet(1)].concat()).collect();
    steps.extend(quiet(140));
    steps.extend([Step::Clock(BASE + 3 * HOUR), Step::Restart, Step::Epoch(true), Step::Epoch(true)]);
    let left = run(&world, &steps, Kills::None);
    let of_first = |r: &&RealtimeRow| total(r) && r.start == BASE && r.is_final;
    let finals: Vec<_> = left.emitted.iter().filter(of_first).map(|r| r.values[1].clone()).collect();
    assert_eq!(finals, [OutputValue::Int(0)]);
}

#[test]
fn a_clock_that_was_set_back_makes_no_sample_one_of_the_future() {
    let world = world(&[("t.born", Rule::Born, &[Window::Tumbling(MINUTE)])]);
    let late = BASE + HOUR;
    let changes = [birth(1, late, late), birth(2, late, late)];
    let [first, second] = told(&changes).try_into().expect("two");
    let mut steps = [first.to_vec(), quiet(1)].concat();
    steps.push(second[1].clone());
    // The machine's clock is 20 minutes behind what it was.
    steps.insert(3, Step::Clock(late - 20 * MINUTE));
    steps.extend(quiet(1));
    twice(&world, &steps, |left, _| {
        assert!(left.outbox.dead_letters.is_empty(), "{:?}", left.outbox.dead_letters);
        assert_eq!(numbers(&left.rows, "t.born", "1m"), count(&births(&changes), Cut::Every(MINUTE)));
    });
}

/// Texts of the queues in place of their numbers.
fn quoted(steps: &[[Step; 2]], queues: std::ops::Range<i64>) -> Vec<[Step; 2]> {
    let mut steps = steps.to_vec();
    for entry in steps
        .iter_mut()
        .flatten()
        .filter_map(|step| if let Step::Read(all) = step { Some(all) } else { None })
        .flatten()
    {
        for queue in queues.clone() {
            let (number, text) = (format!("\"queue_id\":{queue},"), format!("\"queue_id\":\"{queue}\","));
            entry.value = entry.value.take().map(|value| value.replace(&number, &text));
        }
    }
    steps
}

#[test]
fn counts_of_a_dimension_that_became_a_text_or_a_number_go_on_under_the_keys_that_they_had() {
    let windows = [Window::Tumbling(HOUR), Window::Session { gap: MINUTE }];
    let world_of = |queue: ColumnType, hot_slots| {
        let mut world = world(&[("t.born", Rule::Born, &windows)]);
        let mut source = (*world.options.sources[0]).clone();
        source.columns[1].ty = queue;
        world.options.sources = vec![Arc::new(source)];
        world.options.hot_slots = hot_slots;
        world
    };
    let birth =
        |n: i64| Change::birth(0, n + 1, n % 7 - 2, "new", BASE + n * 50 * SECOND, BASE + n * 50 * SECOND);
    let changes: Vec<Change> = (0..60).map(birth).collect();
    let (numbers_told, texts_told) = (told(&changes), quoted(&told(&changes), -2..5));
    let told_as = |ty| if ty == ColumnType::Int { &numbers_told } else { &texts_told };
    for (then_type, type_now) in [(ColumnType::Int, ColumnType::Text), (ColumnType::Text, ColumnType::Int)] {
        for (hot_slots, cells) in [(u64::MAX, 0), (u64::MAX, 20), (5, 0), (5, 20)] {
            // What is in a checkpoint, and what is in cells since.
            let mut before: Vec<Step> = told_as(then_type)[..30 - cells].concat();
            before.extend(quiet(140));
            before.extend(told_as(then_type)[30 - cells..30].concat());
            before.extend(quiet(1));
            let mut later: Vec<Step> = told_as(type_now)[30..].concat();
            later.extend([Step::Epoch(true), Step::Restart]);
            later.extend(quiet(140));
            later.extend([Step::Restart, Step::Epoch(true)]);
            let left = then(&world_of(then_type, hot_slots), &before, &world_of(type_now, hot_slots), &later);
            assert!(left.outbox.late_events.is_empty());
            for (window, cut) in [("1h", Cut::Every(HOUR)), ("session-60s", Cut::Session(MINUTE))] {
                let expected = count(&births(&changes), cut);
                assert_eq!(
                    numbers(&left.rows, "t.born", window),
                    expected,
                    "{then_type:?}, {hot_slots}, {window}"
                );
            }
        }
    }
    let text = refusal(&world_of(ColumnType::Int, 5), &world_of(ColumnType::Time(TimeUnit::Ms), 5));
    assert!(
        text.contains("dimensions queue_id Int, status Text") && text.contains("queue_id Time"),
        "{text}"
    );
}

#[test]
fn a_key_that_is_no_number_is_not_left_out_where_its_dimension_is_one_today() {
    let text_world = |queue: ColumnType| with_source(|source| source.columns[1].ty = queue);
    let mut told = told(&[birth(1, BASE, BASE)]);
    if let Step::Read(entries) = &mut told[0][1] {
        entries[0].value =
            entries[0].value.take().map(|value| value.replace("\"queue_id\":1", "\"queue_id\":\"web\""));
    }
    let store = run_undelivered(&text_world(ColumnType::Text), &[told.concat(), quiet(70)].concat());
    let after = text_world(ColumnType::Int);
    let refused =
        recover(after.options.clone(), store, &Metrics(after.metrics.clone()), Arc::new(|| Duration::ZERO));
    let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("web") && text.contains("none of its dimensions"), "{text}");
}
