#![allow(clippy::unwrap_used)]
use super::*;
use crate::tests::{STATUSES, monday, ticket};
use proptest::prelude::*;
use weir_metric::harness::Harness;
use weir_metric::laws;
use weir_metric::metric::Metric;

#[test]
fn a_first_reply_counts_once_with_the_after_images_dimensions() {
    let mut harness = Harness::<FirstReplyTime>::new();
    let replied = Ticket { assignee_id: Some(31), first_reply_at: Some(monday(19)), ..ticket() };
    harness.insert(&ticket());
    harness.update(&ticket(), &replied);
    harness.update(&replied, &Ticket { assignee_id: Some(32), ..replied });
    harness.delete(&replied);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.samples()[0].dims, ["7", "31"]);
    let out = harness.output("1h", &[("queue_id", "7"), ("assignee_id", "31")], monday(19));
    // 10:00 to 19:00, of which 8 hours are business hours.
    assert_eq!((out.float("mean"), out.float("max"), out.int("count")), (32_400.0, 32_400.0, 1));
    assert_eq!(out.float("mean_business"), 28_800.0);
    assert!((out.float("p50") / 32_400.0 - 1.0).abs() < 0.01);
    assert!((out.float("p90") / 32_400.0 - 1.0).abs() < 0.01);
    // Not in the window of its creation.
    assert_eq!(harness.output("1h", &[], monday(10)).int("count"), 0);
}

#[test]
fn a_reply_that_is_taken_back_and_given_again_counts_twice() {
    let mut harness = Harness::<FirstReplyTime>::new();
    let replied = Ticket { first_reply_at: Some(monday(11)), ..ticket() };
    harness.insert(&replied);
    harness.update(&replied, &ticket());
    harness.update(&ticket(), &replied);
    let out = harness.output("day", &[("assignee_id", "\\N")], monday(11));
    assert_eq!(out.int("count"), 2);
}

#[test]
fn nothing_is_a_count_of_zero_and_nulls() {
    let times = ["mean", "p50", "p90", "max", "mean_business"];
    let replies = Harness::<FirstReplyTime>::new().output("1m", &[], Time(0));
    let solutions = Harness::<ResolutionTime>::new().output("1m", &[], Time(0));
    let assignments = Harness::<AssignmentTime>::new().output("1m", &[], Time(0));
    for (out, names) in [(replies, &times[..]), (solutions, &times), (assignments, &["mean", "p90"])] {
        assert_eq!(out.int("count"), 0);
        assert!(names.iter().all(|name| out.is_null(name)));
    }
    let met = Harness::<SlaFirstReplyMet>::new().output("1m", &[], Time(0));
    assert_eq!((met.int("met"), met.int("total")), (0, 0));
}

#[test]
fn business_hours_are_the_operators() {
    let weekend = [("business_hours", "Sat-Sun 00:00-24:00 UTC")];
    let mut replies = Harness::<FirstReplyTime>::with_config(&weekend);
    replies.insert(&Ticket { first_reply_at: Some(monday(12)), ..ticket() });
    assert_eq!(replies.output("day", &[], monday(12)).float("mean_business"), 0.0);
    let mut solutions = Harness::<ResolutionTime>::with_config(&weekend);
    solutions.insert(&Ticket { status: Text("solved"), solved_at: Some(monday(12)), ..ticket() });
    assert_eq!(solutions.output("day", &[], monday(12)).float("mean_business"), 0.0);
    let wrong = [("business_hours".to_owned(), "always".to_owned())];
    let error = crate::plugin().open("ticket.first_reply_time", &wrong).err().unwrap();
    assert!(error.contains("business_hours") && error.contains("always"), "{error}");
}

#[test]
fn a_resolution_counts_when_the_status_becomes_solved_at_solved_at() {
    let mut harness = Harness::<ResolutionTime>::new();
    let solved = Ticket {
        status: Text("solved"),
        solved_at: Some(monday(34)),
        assignee_id: Some(31),
        updated_at: monday(35),
        ..ticket()
    };
    harness.insert(&ticket());
    harness.update(&ticket(), &solved);
    harness.update(&solved, &Ticket { solved_at: Some(monday(36)), ..solved });
    harness.update(&solved, &Ticket { status: Text("closed"), ..solved });
    harness.delete(&solved);
    assert_eq!(harness.samples().len(), 1);
    let out = harness.output("1h", &[("queue_id", "7"), ("assignee_id", "31")], monday(34));
    // From Monday 10:00 to Tuesday 10:00: eight hours on Monday, one on Tuesday.
    assert_eq!((out.float("mean"), out.float("max"), out.int("count")), (86_400.0, 86_400.0, 1));
    assert_eq!(out.float("mean_business"), 32_400.0);
    assert_eq!(harness.output("1h", &[], monday(35)).int("count"), 0);
}

#[test]
fn a_resolution_without_solved_at_is_skipped() {
    let mut harness = Harness::<ResolutionTime>::new();
    let untimed = Ticket { status: Text("solved"), ..ticket() };
    harness.update(&ticket(), &untimed);
    harness.update(&untimed, &Ticket { solved_at: Some(monday(12)), ..untimed });
    assert_eq!(harness.samples().len(), 1);
    assert_eq!((harness.samples()[0].at, harness.outputs().len()), (None, 0));
}

#[test]
fn a_ticket_solved_again_counts_with_its_whole_time() {
    let mut harness = Harness::<ResolutionTime>::new();
    let solved = |hour| Ticket { status: Text("solved"), solved_at: Some(monday(hour)), ..ticket() };
    harness.update(&ticket(), &solved(11));
    harness.update(&solved(11), &Ticket { status: Text("open"), ..solved(11) });
    harness.update(&Ticket { status: Text("open"), ..solved(11) }, &solved(13));
    let out = harness.output("day", &[("queue_id", "7")], monday(11));
    assert_eq!((out.int("count"), out.float("mean"), out.float("max")), (2, 7_200.0, 10_800.0));
}

#[test]
fn an_assignment_counts_when_it_is_made() {
    let mut harness = Harness::<AssignmentTime>::new();
    let assigned = Ticket { assigned_at: Some(monday(10) + Span::minutes(5)), ..ticket() };
    harness.insert(&ticket());
    harness.update(&ticket(), &Ticket { assignee_id: Some(31), ..ticket() });
    assert!(harness.samples().is_empty(), "an assignee without assigned_at is none");
    harness.update(&ticket(), &assigned);
    harness.update(&assigned, &Ticket { assigned_at: Some(monday(12)), ..assigned });
    harness.insert(&Ticket { queue_id: 8, assigned_at: Some(monday(10)), ..ticket() });
    let out = harness.output("1m", &[("queue_id", "7")], monday(10) + Span::minutes(5));
    assert_eq!((out.float("mean"), out.int("count")), (300.0, 1));
    assert!((out.float("p90") / 300.0 - 1.0).abs() < 0.01);
    let all = harness.output("1h", &[], monday(10));
    assert_eq!((all.float("mean"), all.int("count")), (150.0, 2));
}

#[test]
fn a_first_reply_at_its_deadline_is_in_time_and_one_after_it_is_not() {
    let late = Span(1);
    for (reply, met) in [(monday(12) - late, 1), (monday(12), 1), (monday(12) + late, 0)] {
        let mut harness = Harness::<SlaFirstReplyMet>::new();
        let waiting = Ticket { first_reply_due_at: Some(monday(12)), ..ticket() };
        harness.insert(&waiting);
        harness.update(&waiting, &Ticket { first_reply_at: Some(reply), ..waiting });
        let out = harness.output("day", &[("queue_id", "7"), ("priority", "2")], reply);
        assert_eq!((out.int("met"), out.int("total")), (met, 1));
    }
}

#[test]
fn a_first_reply_without_a_deadline_does_not_count_even_if_it_gets_one() {
    let mut harness = Harness::<SlaFirstReplyMet>::new();
    let replied = Ticket { first_reply_at: Some(monday(11)), ..ticket() };
    harness.update(&ticket(), &replied);
    harness.update(&replied, &Ticket { first_reply_due_at: Some(monday(12)), ..replied });
    harness.delete(&replied);
    assert!(harness.samples().is_empty());
}

#[test]
fn what_the_times_accumulate_keeps_the_laws() {
    let values: Vec<Took> = (-3..60).map(|n| (Span(n * n * n * 1_234_567), Span(n * 1_000))).collect();
    laws::check(FirstReplyTime::accumulator, &values).unwrap();
    laws::check(SlaFirstReplyMet::accumulator, &[true, false, true]).unwrap();
}

/// States of one ticket: minutes after creation at which it was replied to and solved, its agent, its
/// status.
type State = (Option<i64>, Option<i64>, i64, usize);

fn lives() -> impl Strategy<Value = Vec<State>> {
    let minute = || prop::option::of(0i64..800);
    prop::collection::vec((minute(), minute(), 0i64..3, 0usize..5), 1..30)
}

fn state((reply, solved, agent, status): State) -> Ticket<'static> {
    let at = |minute: Option<i64>| minute.map(|minute| ticket().created_at + Span::minutes(minute));
    Ticket {
        first_reply_at: at(reply),
        solved_at: at(solved),
        assignee_id: Some(agent),
        status: Text(STATUSES[status]),
        first_reply_due_at: Some(monday(14)),
        ..ticket()
    }
}

fn day<M: Metric>(states: &[Ticket]) -> weir_metric::harness::Row {
    let mut harness = Harness::<M>::new();
    states.windows(2).for_each(|pair| harness.update(&pair[0], &pair[1]));
    harness.output("day", &[], monday(0))
}

/// Mean and greatest in seconds.
fn of_waits(waits: &[i64]) -> (f64, f64) {
    let mean = waits.iter().sum::<i64>() as f64 / waits.len() as f64 / 1e6;
    (mean, waits.iter().max().map_or(0.0, |greatest| *greatest as f64 / 1e6))
}

proptest! {
    #[test]
    fn times_are_those_of_the_transitions(life in lives()) {
        let states: Vec<Ticket> = std::iter::once(ticket()).chain(life.into_iter().map(state)).collect();
        let (mut replies, mut solutions, mut met) = (Vec::new(), Vec::new(), 0);
        for pair in states.windows(2) {
            if let (None, Some(at)) = (pair[0].first_reply_at, pair[1].first_reply_at) {
                replies.push((at - pair[1].created_at).0);
                met += i64::from(at <= monday(14));
            }
            if let (true, Some(at)) = (pair[0].status != "solved" && pair[1].status == "solved", pair[1].solved_at) {
                solutions.push((at - pair[1].created_at).0);
            }
        }
        for (out, waits) in [(day::<FirstReplyTime>(&states), &replies), (day::<ResolutionTime>(&states), &solutions)] {
            prop_assert_eq!(out.int("count"), waits.len() as i64);
            if !waits.is_empty() {
                let (mean, max) = of_waits(waits);
                prop_assert!((out.float("mean") - mean).abs() <= mean * 1e-12);
                prop_assert_eq!(out.float("max"), max);
                prop_assert!(out.float("mean_business") <= out.float("mean"));
            }
        }
        let sla = day::<SlaFirstReplyMet>(&states);
        prop_assert_eq!((sla.int("met"), sla.int("total")), (met, replies.len() as i64));
    }
}
