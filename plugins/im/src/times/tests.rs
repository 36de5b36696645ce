use super::*;
use crate::tests::{active, closed, lived, monday, queued, session};
use proptest::prelude::*;
use weir_metric::harness::Harness;

/// Agent 31 of queue 5.
const KEY: [(&str, &str); 2] = [("queue_id", "5"), ("agent_id", "31")];

fn near(value: f64, due: f64) -> bool {
    (value - due).abs() <= due * 0.01
}

#[test]
fn a_first_reply_counts_from_the_queue_when_it_becomes_set() {
    let replied = Session { first_reply_at: Some(monday(150)), ..active() };
    let other_agent = Session { agent_id: Some(32), ..replied };
    let mut harness = lived::<FirstReplyTime>(&[session(), queued(), active(), replied, other_agent]);
    harness.delete(&other_agent);
    assert_eq!(harness.samples().len(), 1);
    let out = harness.output("1m", &KEY, monday(150));
    assert_eq!((out.float("mean"), out.int("count")), (90.0, 1));
    assert!(near(out.float("p50"), 90.0) && near(out.float("p90"), 90.0));
    assert_eq!(harness.output("1m", &[], monday(60)).int("count"), 0);
    let again = lived::<FirstReplyTime>(&[replied, active(), replied]);
    assert_eq!(again.output("day", &[], monday(0)).int("count"), 2);
}

#[test]
fn a_first_reply_outside_of_the_queue_has_no_wait() {
    let replied = Session { first_reply_at: Some(monday(150)), ..session() };
    let queued_later = Session { queued_at: Some(monday(160)), ..replied };
    assert!(lived::<FirstReplyTime>(&[session(), replied, queued_later]).samples().is_empty());
}

#[test]
fn a_session_lasts_from_its_assignment_to_its_close() {
    let touched = Session { closed_at: Some(monday(9_000)), ..closed() };
    let mut harness = lived::<Duration>(&[session(), queued(), active(), closed(), touched]);
    harness.delete(&touched);
    assert_eq!(harness.samples().len(), 1);
    let out = harness.output("1h", &KEY, monday(5_400));
    assert_eq!((out.float("mean"), out.int("count")), (5_280.0, 1));
    assert!(near(out.float("p90"), 5_280.0));
    assert_eq!(harness.output("1h", &[], monday(120)).int("count"), 0);
    let again = lived::<Duration>(&[closed(), active(), closed()]);
    assert_eq!(again.output("day", &[], monday(0)).int("count"), 2);
}

#[test]
fn a_session_that_no_agent_had_has_no_duration() {
    let contained = Session { assigned_at: None, ..closed() };
    assert!(lived::<Duration>(&[session(), contained, closed()]).samples().is_empty());
    let missed = Session { status: Text("missed"), ..closed() };
    assert!(lived::<Duration>(&[queued(), missed]).samples().is_empty());
}

#[test]
fn what_was_closed_without_a_time_is_skipped() {
    let untimed = Session { closed_at: None, ..closed() };
    let durations = lived::<Duration>(&[active(), untimed, closed()]);
    let waits = lived::<ReplyWait>(&[active(), untimed, closed()]);
    for (samples, outputs) in
        [(durations.samples(), durations.outputs().len()), (waits.samples(), waits.outputs().len())]
    {
        assert_eq!((samples.len(), samples[0].at, outputs), (1, None, 0));
    }
}

fn talked(reply_wait_seconds: i64, agent_messages: i64) -> Session<'static> {
    Session { reply_wait_seconds, agent_messages, ..closed() }
}

#[test]
fn the_wait_for_a_reply_weighs_each_message_alike() {
    let mut harness = lived::<ReplyWait>(&[active(), talked(30, 1)]);
    harness.update(&active(), &talked(10, 3));
    harness.update(&talked(10, 3), &talked(1_000, 1));
    harness.delete(&talked(1_000, 1));
    let out = harness.output("1h", &KEY, monday(5_400));
    // Not the mean of 30 and 3.33.
    assert_eq!((out.float("mean"), out.int("count")), (10.0, 2));
}

#[test]
fn sessions_without_a_message_count_and_have_no_mean() {
    let harness = lived::<ReplyWait>(&[active(), talked(0, 0)]);
    let out = harness.output("day", &[], monday(0));
    assert!(out.is_null("mean"));
    assert_eq!(out.int("count"), 1);
}

#[test]
fn nothing_is_a_count_of_zero_and_nulls() {
    let replies = Harness::<FirstReplyTime>::new().output("1m", &[], Time(0));
    let durations = Harness::<Duration>::new().output("1m", &[], Time(0));
    let waits = Harness::<ReplyWait>::new().output("1m", &[], Time(0));
    for (out, names) in
        [(replies, &["mean", "p50", "p90"][..]), (durations, &["mean", "p90"]), (waits, &["mean"])]
    {
        assert_eq!(out.int("count"), 0);
        assert!(names.iter().all(|name| out.is_null(name)));
    }
}

proptest! {
    #[test]
    fn waits_and_durations_are_sums_over_the_closed_sessions(
        sessions in prop::collection::vec((0i64..500, 0i64..9, 0i64..9_000), 1..20),
    ) {
        let (mut waits, mut durations) = (Harness::<ReplyWait>::new(), Harness::<Duration>::new());
        let (mut seconds, mut messages, mut lasted) = (0, 0, 0);
        for (wait, said, end) in &sessions {
            let row = Session { closed_at: Some(monday(120 + end)), ..talked(*wait, *said) };
            waits.update(&active(), &row);
            durations.update(&active(), &row);
            seconds += wait;
            messages += said;
            lasted += end;
        }
        let out = waits.output("day", &[], monday(0));
        prop_assert_eq!(out.int("count"), sessions.len() as i64);
        if messages > 0 {
            prop_assert_eq!(out.float("mean"), seconds as f64 / messages as f64);
        } else {
            prop_assert!(out.is_null("mean"));
        }
        let mean = durations.output("day", &[], monday(0)).float("mean");
        prop_assert!((mean - lasted as f64 / sessions.len() as f64).abs() <= mean * 1e-12);
    }
}
