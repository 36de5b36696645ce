//! Every kind of window against a recomputation with arithmetic of its own.

use super::fakes::options;
use super::harness::*;
use super::oracle::{Cut, Numbers, Point, assert_law, births, count, last, numbers};
use super::tally::{Rule, tally};
use weir_types::rows::RealtimeRow;
use weir_types::window::Window;
use weir_types::{DAY, HOUR, MINUTE, Micros, SECOND};

const BASE: Micros = 1_795_392_000_000_000; // 2026-11-23T00:00:00Z
const SLIDING: Window = Window::Sliding { size: 5 * MINUTE, step: 10 * SECOND };
const SESSION: Window = Window::Session { gap: MINUTE };

fn world(metrics: &[(&str, Rule, &[Window])]) -> World {
    let mut options = options();
    options.time_zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("bundled zone");
    let metrics = metrics.iter().map(|(name, rule, windows)| tally(name, *rule, windows)).collect();
    World { options, metrics, partitions: 1 }
}

/// The same over two partitions.
fn wide(world: World) -> World {
    World { partitions: 2, ..world }
}

/// A seeded stream of births around `from`, told in order but for 4 s, in bursts and pauses.
fn stream(seed: u64, from: Micros, count: i64) -> Vec<Change> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut dice = move |n: i64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as i64
    };
    let mut now = from;
    let birth = |id: i64| {
        now += [SECOND, 3 * SECOND, 20 * SECOND, MINUTE, 61 * SECOND, 3 * MINUTE][dice(6) as usize];
        let time = now - dice(4000) * 1000;
        let status = ["new", "open"][dice(2) as usize];
        Change::birth(dice(2) as u32, id + 1, dice(3), status, time, time)
    };
    (0..count).map(birth).collect()
}

/// Changes read in epochs of so many, the clock with the newest; then two hours of silence.
fn steps(changes: &[Change], per_epoch: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut clock = Micros::MIN;
    for chunk in entries(changes).chunks(per_epoch).zip(changes.chunks(per_epoch)) {
        clock = clock.max(chunk.1.iter().map(|c| c.updated).max().unwrap_or(clock));
        steps.extend([Step::Clock(clock), Step::Read(chunk.0.to_vec()), Step::Epoch(false)]);
    }
    let last = changes.iter().map(|c| c.partition).max().unwrap_or(0);
    for hours in 1..=2 {
        steps.extend((0..=last).map(Step::End));
        steps.extend([Step::Clock(clock + hours * HOUR), Step::Epoch(true)]);
    }
    steps
}

fn assert_final(rows: &[RealtimeRow], closed_until: Micros) {
    let wrong = rows.iter().find(|r| r.is_final != (r.end <= closed_until));
    assert!(wrong.is_none(), "{wrong:?}");
}

#[test]
fn every_kind_of_window_equals_the_recomputation() {
    let windows = [Window::Tumbling(MINUTE), Window::Tumbling(HOUR), Window::Day, SLIDING, SESSION];
    let world = wide(world(&[("t.born", Rule::Born, &windows)]));
    let kinds = [
        ("1m", Cut::Every(MINUTE)),
        ("1h", Cut::Every(HOUR)),
        ("day", Cut::Berlin),
        ("5m/10s", Cut::Sliding(5 * MINUTE, 10 * SECOND)),
        ("session-60s", Cut::Session(MINUTE)),
    ];
    for seed in 1..=2 {
        let changes = stream(seed, BASE, 150);
        let points = births(&changes);
        let end = changes.iter().map(|c| c.updated).max().expect("changes");
        for per_epoch in [3, 20] {
            twice(&world, &steps(&changes, per_epoch), |left, kills| {
                for (window, cut) in kinds {
                    assert_law(left, &points, "t.born", window, cut);
                }
                assert!(left.outbox.late_events.is_empty(), "seed {seed} {kills:?}");
                assert_final(&left.rows, end + 2 * HOUR - 5 * SECOND);
                for shown in left.shown.values().filter(|r| &*r.series.window == "session-60s") {
                    let mine = |r: &&RealtimeRow| {
                        r.series.window == *shown.series.window
                            && r.series.dimension_set == *shown.series.dimension_set
                            && r.dims[..] == shown.dims[..]
                    };
                    let newest = left.rows.iter().filter(mine).map(|r| (r.start, r.end)).max();
                    assert_eq!(newest, Some((shown.start, shown.end)));
                }
            });
        }
    }
}

#[test]
fn sessions_of_a_coarser_key_are_joined_across_its_keys() {
    let world = world(&[("t.born", Rule::Born, &[SESSION])]);
    let at = |id: i64, queue: i64, seconds: i64| {
        let time = BASE + seconds * SECOND;
        Change::birth(0, id, queue, "new", time, time)
    };
    // Queue 1 alone pauses for 100 s; the whole never for more than exactly the gap.
    let changes = [at(1, 1, 0), at(2, 2, 60), at(3, 1, 100), at(4, 2, 161)];
    twice(&world, &steps(&changes, 1), |left, _| {
        let found = numbers(&left.rows, "t.born", "session-60s");
        let of = |set: &str, dims: &[&str]| -> Vec<(Micros, Micros, i64)> {
            let dims: Vec<String> = dims.iter().map(|d| d.to_string()).collect();
            let mine = found.iter().filter(|((s, d, ..), _)| s == set && *d == dims);
            mine.map(|((_, _, start, end), (n, _))| ((start - BASE) / SECOND, (end - BASE) / SECOND, *n))
                .collect()
        };
        assert_eq!(of("", &[]), [(0, 160, 3), (161, 221, 1)]);
        assert_eq!(of("queue_id", &["1"]), [(0, 60, 1), (100, 160, 1)]);
        assert_eq!(of("queue_id", &["2"]), [(60, 120, 1), (161, 221, 1)]);
        assert_law(left, &births(&changes), "t.born", "session-60s", Cut::Session(MINUTE));
    });
}

#[test]
fn late_samples_extend_and_merge_sessions_and_the_old_row_is_deleted() {
    let world = world(&[("t.born", Rule::Born, &[SESSION])]);
    let at = |id: i64, seconds: i64, told: i64| {
        Change::birth(0, id, 1, "new", BASE + seconds * SECOND, BASE + told * SECOND)
    };
    // Two sessions close; then a sample between them comes, then one before them.
    let changes = [at(1, 100, 100), at(2, 210, 210), at(3, 1000, 1000), at(4, 160, 1001), at(5, 50, 1002)];
    let points = births(&changes);
    twice(&world, &steps(&changes, 1), |left, kills| {
        assert_law(left, &points, "t.born", "session-60s", Cut::Session(MINUTE));
        assert!(left.outbox.late_events.is_empty());
        let total = |r: &&RealtimeRow| r.series.dimension_set.is_empty();
        let rows: Vec<_> = left.rows.iter().filter(total).map(|r| (r.start - BASE, r.end - BASE)).collect();
        assert_eq!(rows, [(50 * SECOND, 270 * SECOND), (1000 * SECOND, 1060 * SECOND)]);
        let merged = left.rows.iter().find(total).expect("the merged session");
        assert_eq!((merged.samples, merged.is_final), (4, true));
        assert!(merged.late >= 2, "{kills:?}: {} late", merged.late);
        for start in [100, 210] {
            let mut of_start = left.emitted.iter().filter(total).filter(|r| r.start == BASE + start * SECOND);
            let last = of_start.next_back().expect("it was emitted");
            assert!(last.deleted && of_start.all(|r| r.epoch < last.epoch));
        }
        let shown = left.shown.values().find(|r| r.series.dimension_set.is_empty()).expect("shown");
        assert_eq!(shown.start, BASE + 1000 * SECOND);
    });
}

#[test]
fn the_newest_session_of_a_key_moves_in_the_cache_when_its_start_does() {
    let world = world(&[("t.born", Rule::Born, &[SESSION])]);
    let at = |id: i64, seconds: i64, told: i64| {
        Change::birth(0, id, 1, "new", BASE + seconds * SECOND, BASE + told * SECOND)
    };
    let changes = [at(1, 100, 100), at(2, 60, 101)];
    // With and without a row of the first start in ClickHouse before it moves.
    for stands in [true, false] {
        let mut steps = steps(&changes, 1);
        if stands {
            steps.insert(2, Step::Epoch(true));
        }
        twice(&world, &steps, |left, _| {
            let starts: Vec<Micros> = left.shown.values().map(|r| r.start).collect();
            assert_eq!(starts, [BASE + 60 * SECOND; 4]);
            assert_eq!(left.rows.len(), 4, "one row for each set: {:?}", left.rows);
            assert_law(left, &births(&changes), "t.born", "session-60s", Cut::Session(MINUTE));
        });
    }
}

#[test]
fn a_span_is_one_session_until_a_gap_after_its_end() {
    let world = world(&[("t.lasting", Rule::Lasting, &[SESSION])]);
    // From 0:30 for ten minutes and 5 s; then a point of a span 60 s after that end, and one 61 s later.
    let span = |id: i64, from: i64, until: i64| {
        Change::birth(0, id, 1, "new", BASE + from * SECOND, BASE + until * SECOND)
    };
    let changes = [span(1, 30, 635), span(2, 695, 700), span(3, 761, 770)];
    twice(&world, &steps(&changes, 1), |left, _| {
        let total = left.rows.iter().filter(|r| r.series.dimension_set.is_empty());
        let windows: Vec<_> = total.map(|r| ((r.start - BASE) / SECOND, (r.end - BASE) / SECOND)).collect();
        assert_eq!(windows, [(30, 760), (761, 830)]);
    });
}

#[test]
fn days_of_23_and_25_hours_hold_their_points_and_spans() {
    let windows = [Window::Tumbling(HOUR), Window::Day];
    let mut world = world(&[("t.born", Rule::Born, &windows), ("t.lasting", Rule::Lasting, &windows)]);
    // Spans are told when they end, hours after they began.
    world.options.correct_for.insert("1h".into(), 8 * HOUR);
    // 2026-03-28T20:00Z and 2026-10-24T19:00Z: an evening before the clocks change.
    for (from, hours) in [(1_774_728_000 * SECOND, 23), (1_792_868_400 * SECOND, 25)] {
        let born = (0..60).map(|n| {
            let from = from + n * 47 * MINUTE;
            Change::birth(0, n + 1, n % 2, "new", from, from + (n % 5) * 90 * MINUTE)
        });
        let mut changes: Vec<Change> = born.collect();
        changes.sort_by_key(|c| c.updated);
        let points = births(&changes);
        let days: std::collections::BTreeSet<(Micros, Micros)> =
            count(&points, Cut::Berlin).keys().map(|k| (k.2, k.3)).collect();
        assert!(days.iter().any(|(start, end)| end - start == hours * HOUR));
        twice(&world, &steps(&changes, 7), |left, _| {
            assert_law(left, &points, "t.born", "day", Cut::Berlin);
            assert_eq!(numbers(&left.rows, "t.lasting", "day"), last(&points, Cut::Berlin));
            assert_eq!(numbers(&left.rows, "t.lasting", "1h"), last(&points, Cut::Every(HOUR)));
            assert!(left.outbox.late_events.is_empty());
        });
    }
}

#[test]
fn times_before_1970_fall_into_the_right_windows() {
    let windows = [Window::Tumbling(MINUTE), SLIDING, SESSION];
    let world =
        world(&[("t.born", Rule::Born, &windows), ("t.lasting", Rule::Lasting, &[Window::Tumbling(HOUR)])]);
    let world = wide(world);
    let mut changes = stream(8, -40 * MINUTE, 80);
    changes.iter_mut().for_each(|c| c.updated += 1500 * SECOND);
    changes.sort_by_key(|c| c.updated);
    let points = births(&changes);
    assert!(points.iter().any(|p| p.time < 0) && points.iter().any(|p| p.time > 0));
    twice(&world, &steps(&changes, 9), |left, _| {
        assert_law(left, &points, "t.born", "1m", Cut::Every(MINUTE));
        assert_law(left, &points, "t.born", "5m/10s", Cut::Sliding(5 * MINUTE, 10 * SECOND));
        assert_law(left, &points, "t.born", "session-60s", Cut::Session(MINUTE));
        assert_eq!(numbers(&left.rows, "t.lasting", "1h"), last(&points, Cut::Every(HOUR)));
        assert!(left.outbox.late_events.is_empty());
    });
}

#[test]
fn spans_are_split_where_a_day_begins_even_in_the_middle_of_a_pane() {
    // Until 1893 Berlin was 53 min 28 s ahead of UTC; panes are quarters of an hour.
    let world = world(&[("t.lasting", Rule::Lasting, &[Window::Day])]);
    let midnight = (-2_840_140_800 - 3_208) * SECOND;
    let changes = [Change::birth(0, 1, 1, "new", midnight - 100 * SECOND, midnight + DAY + 7 * SECOND)];
    twice(&world, &steps(&changes, 1), |left, _| {
        let found = numbers(&left.rows, "t.lasting", "day");
        let total: Vec<_> =
            found.iter().filter(|(k, _)| k.0.is_empty()).map(|(k, n)| (k.2 - midnight, n.1)).collect();
        assert_eq!(total, [(-DAY, 100 * SECOND), (0, DAY), (DAY, 7 * SECOND)]);
    });
}

#[test]
fn each_late_part_of_a_span_is_a_late_event_of_its_own() {
    let mut world = world(&[("t.lasting", Rule::Lasting, &[Window::Tumbling(HOUR)])]);
    world.options.correct_for.insert("1h".into(), HOUR);
    let told = BASE + 10 * HOUR;
    let span = |id: i64, from: Micros| Change::birth(0, id, 1, "new", from, told);
    // Ten hours at once, when all but the last two of them can no longer be corrected.
    let changes = [span(1, told), span(2, BASE)];
    twice(&world, &steps(&changes, 1), |left, kills| {
        let late = &left.outbox.late_events;
        let keys: Vec<(i64, u32, u32)> = late.iter().map(|l| (l.offset, l.row, l.sample)).collect();
        assert_eq!(keys, (0..late.len() as u32).map(|n| (1, 0, n)).collect::<Vec<_>>(), "{kills:?}");
        assert!(late.is_sorted_by(|a, b| a.time < b.time) && late[0].time == BASE, "{kills:?}");
        let counted = [Point { time: BASE + 8 * HOUR, ..births(&changes)[1] }];
        assert_eq!(numbers(&left.rows, "t.lasting", "1h"), last(&counted, Cut::Every(HOUR)), "{kills:?}");
        assert!(late.iter().all(|l| l.time < BASE + 8 * HOUR) && late.len() >= 8, "{kills:?}");
    });
}

#[test]
fn a_span_from_the_beginning_of_time_and_a_point_that_no_calendar_has_count_nowhere() {
    let windows = [Window::Tumbling(MINUTE)];
    let world = world(&[("t.lasting", Rule::Lasting, &windows), ("t.born", Rule::Born, &windows)]);
    let far = Micros::MIN / 1000 * 1000;
    let changes = [Change::birth(0, 1, 1, "new", far, BASE), Change::birth(0, 2, 1, "new", BASE, BASE)];
    twice(&world, &steps(&changes, 1), |left, kills| {
        assert!(left.outbox.late_events.is_empty(), "{kills:?}");
        let expected = last(&births(&changes[1..]), Cut::Every(MINUTE));
        assert_eq!(numbers(&left.rows, "t.lasting", "1m"), expected, "{kills:?}");
        assert_eq!(numbers(&left.rows, "t.born", "1m").len(), 4, "{kills:?}");
    });
}

#[test]
fn a_time_varying_value_is_that_of_the_epochs_clock() {
    let world = world(&[("t.aging", Rule::Aging, &[Window::Now])]);
    let rows: Vec<Change> = (0..40)
        .map(|n| {
            let time = BASE + n * 5 * MINUTE;
            Change::birth(0, n + 1, n % 3, "new", time, time)
        })
        .collect();
    let mut steps = Vec::new();
    for (entry, row) in entries(&rows).into_iter().zip(&rows) {
        steps.extend([Step::Clock(row.updated), Step::Read(vec![entry]), Step::Epoch(false)]);
    }
    // Nothing happens but time.
    let clock = BASE + 40 * 5 * MINUTE;
    steps.extend([
        Step::Clock(clock),
        Step::Epoch(false),
        Step::Clock(clock + 20 * MINUTE),
        Step::Epoch(false),
    ]);
    twice(&world, &steps, |left, kills| {
        let old = |queue: Option<i64>, now: Micros| {
            let old = rows.iter().filter(|r| r.created <= now - HOUR && queue.is_none_or(|q| q == r.queue));
            old.count() as i64
        };
        let value = |r: &RealtimeRow| match r.values[1] {
            weir_types::rows::OutputValue::Int(n) => n,
            _ => panic!("an integer"),
        };
        for row in &left.outbox.latest {
            let queue =
                (row.series.dimension_set == "queue_id").then(|| row.dims[0].parse().expect("a queue"));
            if row.series.dimension_set.is_empty() || queue.is_some() {
                assert_eq!(value(row), old(queue, clock + 20 * MINUTE), "{kills:?} {row:?}");
            }
        }
        // Each minute's history row has the value of the clock of its epoch.
        let history: Vec<_> = left.emitted.iter().filter(|r| r.series.dimension_set.is_empty()).collect();
        // A host that is killed at its first epoch begins its first minute without a row.
        let least = if kills == Kills::Every(1) { 41 } else { 42 };
        assert!(history.len() >= least, "{kills:?}: {} rows", history.len());
        let clocks: std::collections::BTreeMap<u64, Micros> =
            left.outbox.epochs.iter().map(|e| (e.epoch, e.clock)).collect();
        for row in history {
            let now = clocks[&row.epoch];
            assert_eq!(row.start, now - now % MINUTE);
            let told = rows.iter().filter(|r| r.updated <= now && r.created <= now - HOUR).count() as i64;
            assert_eq!(value(row), told);
        }
    });
}

#[test]
fn a_time_varying_value_that_came_back_to_what_it_was_at_the_checkpoint_is_given_again() {
    let world = world(&[("t.ripe", Rule::Ripe, &[Window::Now])]);
    let row = Change::birth(0, 1, 1, "new", BASE, BASE);
    let mut steps = vec![Step::Clock(BASE), Step::Read(entries(&[row]))];
    // Long enough for a checkpoint, in which the row counts for nothing yet.
    (0..140).for_each(|n| steps.extend([Step::Clock(BASE + n * SECOND), Step::Epoch(false)]));
    for minutes in [90, 91, 92, 93, 150] {
        steps.extend([Step::Clock(BASE + minutes * MINUTE), Step::Epoch(false)]);
    }
    twice(&world, &steps, |left, kills| {
        let newest =
            left.outbox.latest.iter().filter(|r| r.series.dimension_set.is_empty()).max_by_key(|r| r.epoch);
        let value = &newest.expect("a row").values[1];
        assert_eq!(*value, weir_types::rows::OutputValue::Int(0), "{kills:?}");
        let ripe = left
            .emitted
            .iter()
            .filter(|r| r.start >= BASE + 90 * MINUTE && r.series.dimension_set.is_empty());
        assert_eq!(ripe.count(), 5, "{kills:?}: each minute's row is in the history");
    });
}

/// Points within what the last steps of a late scenario leave.
fn late_world(windows: &[Window]) -> World {
    let mut world = world(&[("t.born", Rule::Born, windows)]);
    world.options.correct_for_default = 10 * MINUTE;
    world.options.correct_for = windows.iter().map(|w| (w.name(), 10 * MINUTE)).collect();
    world.options.correct_for.insert("1h".into(), 2 * HOUR);
    world
}

#[test]
fn a_late_sample_corrects_a_final_row_with_a_higher_version_and_a_later_one_is_a_late_event() {
    let world = late_world(&[Window::Tumbling(MINUTE), Window::Tumbling(HOUR)]);
    let at = |id: i64, seconds: i64, told: i64| {
        Change::birth(0, id, 1, "new", BASE + seconds * SECOND, BASE + told * SECOND)
    };
    let changes = [
        at(1, 5, 5),
        at(2, 200, 200), // the minute closes
        at(3, 6, 201),   // late: it is corrected
        at(4, 1000, 1000),
        at(5, 7, 1001), // too late for the minute, not for the hour
        at(6, 1002, 1002),
    ];
    let points = births(&changes);
    twice(&world, &steps(&changes, 1), |left, kills| {
        assert_law(left, &points, "t.born", "1m", Cut::Every(MINUTE));
        assert_law(left, &points, "t.born", "1h", Cut::Every(HOUR));
        let late: Vec<_> = left.outbox.late_events.iter().map(|l| (l.offset, l.windows.clone())).collect();
        assert_eq!(late, [(4, vec!["1m".to_string()])], "{kills:?}");
        let first =
            left.emitted.iter().filter(|r| r.series.window == "1m" && r.start == BASE && r.dims.is_empty());
        let finals: Vec<_> = first.filter(|r| r.is_final).map(|r| (r.samples, r.late, r.epoch)).collect();
        let (before, after) = (finals.first().expect("final"), finals.last().expect("final again"));
        assert_eq!((before.0, after.0, after.1), (1, 2, 1));
        assert!(after.2 > before.2);
    });
}

#[test]
fn a_sample_late_for_some_windows_of_a_sliding_kind_counts_in_all_of_them_or_in_none() {
    let world = late_world(&[SLIDING]);
    let at = |id: i64, seconds: i64, told: i64| {
        Change::birth(0, id, 1, "new", BASE + seconds * SECOND, BASE + told * SECOND)
    };
    // Records at 1000 s: the mark is 995 s, and windows that end by 395 s are past correction. The
    // first late sample's windows end from 200 to 490 s; all windows of the second are past.
    let changes = [at(1, 190, 190), at(2, 1000, 1000), at(3, 195, 1001), at(4, 80, 1001), at(5, 1100, 1100)];
    let points = births(&changes);
    twice(&world, &steps(&changes, 1), |left, kills| {
        let late: Vec<i64> = left.outbox.late_events.iter().map(|l| l.offset).collect();
        assert_eq!(late, [3], "{kills:?}");
        assert_law(left, &points, "t.born", "5m/10s", Cut::Sliding(5 * MINUTE, 10 * SECOND));
    });
}

#[test]
fn whatever_comes_late_is_in_a_row_or_a_late_event() {
    let windows = [Window::Tumbling(MINUTE), Window::Tumbling(HOUR), SLIDING, SESSION];
    let world = wide(late_world(&windows));
    let kinds = [
        ("1m", Cut::Every(MINUTE)),
        ("1h", Cut::Every(HOUR)),
        ("5m/10s", Cut::Sliding(5 * MINUTE, 10 * SECOND)),
        ("session-60s", Cut::Session(MINUTE)),
    ];
    for seed in 1..=4 {
        // A fifth of the births lie up to half an hour back, some of them beyond all correction.
        let mut changes = stream(seed, BASE, 200);
        for (at, change) in changes.iter_mut().enumerate().filter(|(at, _)| at % 5 == 4) {
            change.created -= (at as i64 * 37 % 1900) * SECOND;
        }
        let points = births(&changes);
        twice(&world, &steps(&changes, 5), |left, kills| {
            for (window, cut) in kinds {
                assert_law(left, &points, "t.born", window, cut);
            }
            let late = left.outbox.late_events.len();
            assert!(late > 5 && late < 60, "seed {seed} {kills:?}: {late} late");
            for event in &left.outbox.late_events {
                for window in &event.windows {
                    assert!(was_late(event.time, window, event.watermark), "{event:?}");
                }
            }
            assert_eq!(deleted_and_live(&left.emitted, &left.rows), Vec::<(Vec<String>, Micros)>::new());
        });
    }
}

/// Whether the last window that a sample alone would be in could no longer be corrected.
fn was_late(time: Micros, window: &str, watermark: Micros) -> bool {
    let end = match window {
        "1m" => time.div_euclid(MINUTE) * MINUTE + MINUTE,
        "1h" => time.div_euclid(HOUR) * HOUR + HOUR,
        "5m/10s" => time.div_euclid(10 * SECOND) * 10 * SECOND + 5 * MINUTE,
        _ => time + MINUTE,
    };
    let correct_for = if window == "1h" { 2 * HOUR } else { 10 * MINUTE };
    end + correct_for <= watermark
}

/// Starts whose last row deletes them although FINAL shows them, or the other way round.
fn deleted_and_live(emitted: &[RealtimeRow], rows: &[RealtimeRow]) -> Vec<(Vec<String>, Micros)> {
    let key = |r: &RealtimeRow| {
        (r.series.window.to_string(), r.series.dimension_set.to_string(), r.dims.to_vec(), r.start)
    };
    let mut last = std::collections::BTreeMap::new();
    last.extend(emitted.iter().map(|r| (key(r), r.deleted)));
    let live: std::collections::BTreeSet<_> = rows.iter().map(key).collect();
    last.into_iter().filter(|(k, deleted)| live.contains(k) == *deleted).map(|(k, _)| (k.2, k.3)).collect()
}

#[test]
fn the_recomputation_itself_tells_windows_apart() {
    let point =
        |time: Micros| Point { partition: 0, offset: 0, time, until: time, queue: 1, status: "new", id: 1 };
    let of = |points: &[Point], cut: Cut| -> Numbers {
        count(points, cut).into_iter().filter(|(key, _)| key.0.is_empty()).collect()
    };
    assert_eq!(of(&[point(0), point(MINUTE)], Cut::Session(MINUTE)).len(), 1);
    assert_eq!(of(&[point(0), point(MINUTE + 1)], Cut::Session(MINUTE)).len(), 2);
    assert_eq!(of(&[point(-1), point(0)], Cut::Every(MINUTE)).len(), 2);
    assert_eq!(of(&[point(0)], Cut::Sliding(5 * MINUTE, 10 * SECOND)).len(), 30);
}
