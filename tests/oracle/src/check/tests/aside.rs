//! What does not count, and what is said of what went wrong.

use super::*;
use crate::report::Verdict;

/// Tickets of one partition: one created at ten o'clock, one at `far`, and then one at ten again. The
/// epochs take one record each.
fn with_one_behind(far: i64) -> (Maker, Late) {
    let mut maker = Maker::default();
    maker.insert("ticket", ticket(2, TEN));
    maker.insert("ticket", ticket(4, far));
    let offset = maker.insert("ticket", ticket(6, TEN));
    let late = Late {
        partition: ("svc.service.ticket".into(), 0),
        offset,
        row: 0,
        sample: 0,
        time: TEN,
        weight: 1,
        windows: vec!["1m", "15m"],
        dims: vec!["10", "web", "2"],
        epoch: offset + 1,
    };
    (maker, late)
}

fn late_report(maker: &Maker, late: Vec<Late>) -> Vec<String> {
    let metric = by_name("ticket.created").unwrap();
    let mut epochs = maker.epochs(1, &[]);
    // The clock of the times, not that of the counts.
    epochs.list.iter_mut().for_each(|e| e.clock += DAY);
    let check = Check::new(maker.reading(), epochs, &Bounds::default());
    check.samples(metric, &Found { late, ..Found::default() }, &task(&[])).unwrap().strange
}

#[test]
fn a_sample_listed_as_late_is_taken_out_of_the_windows_it_missed() {
    let (maker, late) = with_one_behind(TEN + 10 * HOUR);
    let expected = recomputed("ticket.created", &maker, std::slice::from_ref(&late));
    assert_eq!(value(&expected, "1m", "", &[], TEN, "count"), Some(Number::Int(1)));
    assert_eq!(value(&expected, "1h", "", &[], TEN, "count"), Some(Number::Int(2)));
}

#[test]
fn a_row_of_late_events_that_names_no_sample_differs() {
    let (maker, late) = with_one_behind(TEN + 10 * HOUR);
    let strange = Late { offset: 77, ..late.clone() };
    let wrong = Late { time: TEN + 1, ..late.clone() };
    let otherwhere = Late { epoch: 2, ..late.clone() };
    assert_eq!(late_report(&maker, vec![late.clone()]), Vec::<String>::new());
    for lie in [strange, wrong, otherwhere] {
        assert_eq!(late_report(&maker, vec![lie.clone()]).len(), 1, "{lie:?}");
    }
}

#[test]
fn a_late_event_must_have_been_late_by_the_watermark_before_its_epoch() {
    // A window of 15 minutes is corrected for six hours after its end.
    let (last, disorder) = (TEN + 15 * MINUTE + 6 * HOUR, 5_000_000);
    let (maker, late) = with_one_behind(last + disorder);
    assert_eq!(late_report(&maker, vec![late.clone()]), Vec::<String>::new());
    let (maker, late) = with_one_behind(last + disorder - 1_000);
    let report = late_report(&maker, vec![late]);
    assert!(report.len() == 1 && report[0].contains("not late for 15m"), "{report:?}");
}

#[test]
fn a_sample_ahead_of_the_clock_must_be_dead_and_no_other_may_be() {
    let mut maker = Maker::default();
    maker.insert("ticket", ticket(2, TEN));
    let far = maker.insert("ticket", ticket(4, TEN + 365 * DAY));
    let metric = by_name("ticket.created").unwrap();
    let strange = |ahead: &[i64]| {
        let mut check = Check::new(maker.reading(), maker.epochs(1, &[]), &Bounds::default());
        let ahead = ahead.iter().map(|offset| (("svc.service.ticket".into(), 0), *offset)).collect();
        check.ahead.insert(metric.name.into(), ahead);
        let samples = check.samples(metric, &Found::default(), &task(&[])).unwrap();
        (samples.strange.len(), samples.list.len())
    };
    assert_eq!(strange(&[far]), (0, 1));
    assert_eq!(strange(&[]).0, 1, "it counts though it is ahead");
    assert_eq!(strange(&[far, 0]).0, 0, "before the first epoch the clock is not known");
    assert_eq!(strange(&[far, 9]).0, 1, "there is no such sample");
}

#[test]
fn lost_double_and_differing_are_told_apart_and_counted_in_samples() {
    let mut maker = Maker::default();
    for id in 1..40 {
        maker.insert("ticket", ticket(id, TEN + id * 20_000_000));
    }
    let right = as_found(&recomputed("ticket.created", &maker, &[]), true);
    let verdict = |change: &dyn Fn(&Key, &mut Row)| {
        let mut realtime = right.clone();
        realtime.iter_mut().for_each(|(key, row)| change(key, row));
        checked("ticket.created", &maker, Found { realtime, ..Found::default() }, &[]).verdict()
    };
    let count = |row: &mut Row, by: i64| {
        row.samples += by;
        set(row, "count", Number::Int(row.samples));
    };
    assert_eq!(verdict(&|_, _| {}), Verdict::default());
    let lost = verdict(&|key, row| count(row, if key.window == "day" { -2 } else { 0 }));
    assert_eq!((lost.lost, lost.double), (2, 0), "one key of all dimensions, {lost:?}");
    let double = verdict(&|key, row| count(row, if key.window == "1h" { 3 } else { 0 }));
    assert_eq!((double.lost, double.double), (0, 3));
    let differing = verdict(&|key, row| {
        if key.window == "15m" && key.set.is_empty() {
            set(row, "count", Number::Int(99));
        }
    });
    assert_eq!((differing.lost, differing.double, differing.differing), (0, 0, 1));
    let only_samples = verdict(&|key, row| row.samples += i64::from(key.window == "day"));
    assert_eq!(only_samples.double, 1);
    let only_a_subset =
        verdict(&|key, row| count(row, i64::from(key.set == "priority" && key.window == "day")));
    assert_eq!(only_a_subset, Verdict { lost: 0, double: 0, differing: 1 });
}

#[test]
fn once_the_host_is_settled_ended_windows_are_final_and_no_others() {
    let mut maker = Maker::default();
    for id in 1..10 {
        maker.insert("ticket", ticket(2 * id, TEN + id * 20_000_000));
    }
    let expected = recomputed("ticket.created", &maker, &[]);
    let mut check = Check::new(maker.reading(), maker.epochs(1, &["ticket.created"]), &Bounds::default());
    let last = check.epochs.list.last().unwrap().clock;
    let mut realtime = as_found(&expected, false);
    realtime.iter_mut().for_each(|(_, row)| row.is_final = row.end <= last - 5_000_000);
    let settled = Task { settled: true, ..task(&[]) };
    let metric = by_name("ticket.created").unwrap();
    check.metric(metric, &Found { realtime: realtime.clone(), ..Found::default() }, &settled).unwrap();
    assert_eq!(check.report.others, Vec::<String>::new());
    let closed = realtime.iter().position(|(_, row)| row.is_final).unwrap();
    let open = realtime.iter().position(|(_, row)| !row.is_final).unwrap();
    realtime[closed].1.is_final = false;
    realtime[open].1.is_final = true;
    check.metric(metric, &Found { realtime, ..Found::default() }, &settled).unwrap();
    assert_eq!(check.report.others.len(), 2, "{:?}", check.report.others);
}

#[test]
fn dead_letters_are_the_unreadable_records_and_no_others() {
    let mut maker = Maker::default();
    maker.insert("ticket", ticket(2, TEN));
    let dead = maker.raw("ticket", 0, json!("{\"id\":2}"), json!("no JSON"), json!([]));
    let letter = |offset, metric: &str, code: &str| Dead {
        partition: ("svc.service.ticket".into(), 0),
        offset,
        metric: metric.into(),
        code: code.into(),
    };
    let report = |letters: &[Dead]| {
        let mut check = Check::new(maker.reading(), maker.epochs(1, &[]), &Bounds::default());
        check.dead_letters(letters);
        (check.report.others.len(), check.ahead.len())
    };
    assert_eq!(report(&[letter(dead, "", "not-json")]), (0, 0));
    assert_eq!(report(&[]), (1, 0));
    assert_eq!(report(&[letter(dead, "", "not-json"), letter(0, "", "not-json")]), (1, 0));
    let ahead = letter(0, "ticket.created", "future-time");
    assert_eq!(report(&[letter(dead, "", "not-json"), ahead]), (0, 1));
}

#[test]
fn a_record_must_meet_the_fate_that_it_was_made_for() {
    let mut maker = Maker::default();
    let fate = |fate: &str| json!([["generator.injected", fate]]);
    let key = json!("{\"id\":2}");
    maker.insert("ticket", ticket(2, TEN));
    let value = maker.lines[0]["value"].clone();
    maker.raw("ticket", 0, key.clone(), json!("no JSON"), fate("dead"));
    maker.raw("ticket", 0, key.clone(), Value::Null, json!([]));
    maker.raw("ticket", 0, key.clone(), value, json!([]));
    maker.change_with("ticket", "c", Value::Null, without(&ticket(8, TEN), "channel"), fate("excluded"));
    maker.change_with("ticket", "c", Value::Null, ticket(10, TEN), fate("good"));
    let compare = |maker: &Maker| maker.reading().injected;
    let all = compare(&maker);
    assert_eq!(all.differ, Vec::<String>::new());
    assert_eq!((all.dead, all.skipped, all.excluded, all.tombstones, all.repeats), (1, 0, 1, 1, 1));
    maker.change_with("ticket", "c", Value::Null, ticket(12, TEN), fate("dead"));
    maker.raw("ticket", 0, key, json!("{}"), json!([]));
    maker.insert("ticket", without(&ticket(14, TEN), "channel"));
    assert_eq!(compare(&maker).differ.len(), 3);
}
