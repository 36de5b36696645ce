use super::*;
use crate::tests::*;
use weir_metric::harness::Harness;

fn session(queue_id: i64, queued: Option<i64>) -> Session {
    Session { queue_id, queued_at: queued.map(at) }
}

/// Start, count and length of each run, in total.
fn runs(harness: &Harness<SessionBursts>, queue: Option<&str>) -> Vec<(i64, i64, f64)> {
    let start = |start: i64| (Time(start) - at(0)).0 / 1_000_000;
    let all = harness.outputs();
    let of_queue = all.iter().filter(|(key, _)| key.dims[0].as_deref() == queue);
    of_queue.map(|(key, row)| (start(key.start), row.int("count"), row.float("length"))).collect()
}

#[test]
fn sessions_at_most_60_seconds_apart_are_one_burst() {
    let mut harness = Harness::<SessionBursts>::new();
    for second in [0, 60, 30, 121, 400] {
        harness.update(&session(3, None), &session(3, Some(second)));
    }
    // 121 comes 61 s after 60.
    assert_eq!(runs(&harness, None), [(0, 3, 60.0), (121, 1, 0.0), (400, 1, 0.0)]);
    harness.insert(&session(3, Some(90)));
    assert_eq!(runs(&harness, Some("3")), [(0, 5, 121.0), (400, 1, 0.0)]);
}

#[test]
fn each_queue_has_bursts_of_its_own() {
    let mut harness = Harness::<SessionBursts>::new();
    harness.insert(&session(3, Some(0)));
    harness.insert(&session(4, Some(50)));
    harness.insert(&session(3, Some(100)));
    assert_eq!(runs(&harness, None), [(0, 3, 100.0)]);
    assert_eq!(runs(&harness, Some("3")), [(0, 1, 0.0), (100, 1, 0.0)]);
    assert_eq!(runs(&harness, Some("4")), [(50, 1, 0.0)]);
}

#[test]
fn a_session_counts_once_when_it_is_queued_and_not_before() {
    let mut harness = Harness::<SessionBursts>::new();
    harness.insert(&session(3, None));
    harness.update(&session(3, Some(5)), &session(3, Some(9)));
    harness.delete(&session(3, Some(9)));
    assert!(harness.samples().is_empty());
    let nothing = harness.output("session-60s", &[], at(0));
    assert_eq!((nothing.int("count"), nothing.float("length")), (0, 0.0));
}

fn call(direction: &'static str, queued: Option<i64>) -> Call<'static> {
    Call { queue_id: 3, direction: Text(direction), queued_at: queued.map(at) }
}

#[test]
fn an_offered_call_counts_in_the_thirty_windows_that_hold_it() {
    let mut harness = Harness::<OfferedRate>::new();
    harness.update(&call("inbound", None), &call("inbound", Some(305)));
    harness.update(&call("inbound", Some(305)), &call("inbound", Some(306)));
    let of_queue: Vec<_> = harness.outputs().into_iter().filter(|(key, _)| key.dims[0].is_some()).collect();
    assert_eq!(of_queue.len(), 30);
    for (key, row) in &of_queue {
        assert_eq!((row.int("count"), row.float("per_minute")), (1, 0.2));
        assert_eq!(key.end - key.start, 300_000_000);
        assert!(key.start <= at(305).0 && at(305).0 < key.end);
    }
}

#[test]
fn the_rate_is_what_was_offered_over_five_minutes() {
    let mut harness = Harness::<OfferedRate>::new();
    for second in [0, 1, 150, 299, 300, 600] {
        harness.insert(&call("inbound", Some(second)));
    }
    // The last window that holds 0 began then.
    let out = harness.output("5m/10s", &[("queue_id", "3")], at(0));
    assert_eq!((out.int("count"), out.float("per_minute")), (4, 0.8));
    let nothing = harness.output("5m/10s", &[], at(5_000));
    assert_eq!((nothing.int("count"), nothing.float("per_minute")), (0, 0.0));
}

#[test]
fn only_inbound_calls_are_offered() {
    let mut harness = Harness::<OfferedRate>::new();
    for direction in ["outbound", "callback", "Inbound", ""] {
        harness.insert(&call(direction, Some(0)));
    }
    harness.insert(&call("inbound", None));
    assert!(harness.samples().is_empty());
}
