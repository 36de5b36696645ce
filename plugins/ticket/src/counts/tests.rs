#![allow(clippy::unwrap_used)]
use super::*;
use crate::tests::{STATUSES, monday, ticket};
use proptest::prelude::*;
use weir_metric::harness::Harness;
use weir_metric::metric::Metric;

/// The count in total of the day in which the tests play.
fn day<M: Metric>(harness: &Harness<M>) -> i64 {
    harness.output("day", &[], monday(0)).int("count")
}

/// A harness to which a ticket was shown in one state after the other, the first one as an insert.
fn lived<M: Metric>(states: &[Ticket]) -> Harness<M> {
    let mut harness = Harness::new();
    harness.insert(&states[0]);
    states.windows(2).for_each(|pair| harness.update(&pair[0], &pair[1]));
    harness
}

fn solved_at(hour: i64) -> Ticket<'static> {
    Ticket { status: Text("solved"), solved_at: Some(monday(hour)), ..ticket() }
}

#[test]
fn a_ticket_is_created_once_in_the_window_of_its_creation() {
    let mut harness = Harness::<Created>::new();
    harness.insert(&ticket());
    harness.update(&ticket(), &Ticket { queue_id: 8, status: Text("open"), ..ticket() });
    harness.delete(&ticket());
    assert_eq!(harness.samples().len(), 1);
    for window in ["1m", "15m", "1h", "day"] {
        assert_eq!(harness.output(window, &[], monday(10)).int("count"), 1);
    }
    let key = [("queue_id", "7"), ("channel", "web"), ("priority", "2")];
    assert_eq!(harness.output("1m", &key, monday(10)).int("count"), 1);
    assert_eq!(harness.output("1m", &[("queue_id", "8")], monday(10)).int("count"), 0);
    // Eight subsets of three dimensions, four windows.
    assert_eq!(harness.outputs().len(), 8 * 4);
}

#[test]
fn a_created_at_that_is_corrected_makes_no_second_ticket() {
    let harness = lived::<Created>(&[ticket(), Ticket { created_at: monday(11), ..ticket() }]);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.samples()[0].at, Some(monday(10)));
}

#[test]
fn a_ticket_is_solved_when_its_status_becomes_so_at_solved_at() {
    let solved = Ticket { assignee_id: Some(31), updated_at: monday(14), ..solved_at(12) };
    let moved = Ticket { queue_id: 8, assignee_id: Some(32), ..solved };
    let mut harness = lived::<Solved>(&[ticket(), solved, moved]);
    harness.delete(&moved);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.samples()[0].dims, ["7", "31"]);
    assert_eq!(harness.output("1h", &[("queue_id", "7")], monday(12)).int("count"), 1);
    assert_eq!(harness.output("1h", &[], monday(14)).int("count"), 0);
    assert_eq!(harness.output("1h", &[], monday(10)).int("count"), 0);
}

#[test]
fn a_ticket_that_is_inserted_solved_counts() {
    assert_eq!(day(&lived::<Solved>(&[solved_at(12)])), 1);
    assert_eq!(day(&lived::<OneTouch>(&[solved_at(12)])), 1);
}

#[test]
fn a_ticket_solved_again_after_it_was_reopened_counts_twice() {
    let open = Ticket { status: Text("open"), ..solved_at(12) };
    let harness = lived::<Solved>(&[solved_at(12), open, solved_at(13)]);
    assert_eq!(day(&harness), 2);
    assert_eq!(harness.output("1h", &[("assignee_id", "\\N")], monday(13)).int("count"), 1);
}

#[test]
fn a_ticket_that_became_closed_was_not_solved_by_it() {
    let closed = Ticket { status: Text("closed"), closed_at: Some(monday(15)), ..solved_at(12) };
    let life = [ticket(), solved_at(12), closed, Ticket { queue_id: 9, ..closed }];
    assert_eq!(day(&lived::<Solved>(&life)), 1);
    let harness = lived::<Closed>(&life);
    assert_eq!((day(&harness), harness.samples()[0].at), (1, Some(monday(15))));
    assert_eq!(harness.output("1h", &[("queue_id", "7")], monday(15)).int("count"), 1);
    assert_eq!(harness.output("1h", &[("queue_id", "9")], monday(15)).int("count"), 0);
}

#[test]
fn without_a_time_the_transition_is_skipped_and_not_made_up_for_later() {
    let untimed = Ticket { solved_at: None, ..solved_at(12) };
    let harness = lived::<Solved>(&[ticket(), untimed, solved_at(12)]);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!((harness.samples()[0].at, harness.outputs().len()), (None, 0));
    let closed = Ticket { status: Text("closed"), ..ticket() };
    assert_eq!(lived::<Closed>(&[ticket(), closed]).samples()[0].at, None);
    assert_eq!(lived::<OneTouch>(&[ticket(), untimed]).samples()[0].at, None);
}

#[test]
fn reopening_counts_by_the_growth_at_updated_at() {
    let state = |reopen_count, hour| Ticket { reopen_count, updated_at: monday(hour), ..ticket() };
    let harness = lived::<Reopened>(&[state(0, 10), state(1, 11), state(4, 12), state(2, 13), state(3, 14)]);
    let weights: Vec<(i64, Option<Time>)> = harness.samples().iter().map(|s| (s.weight, s.at)).collect();
    assert_eq!(weights, [(1, Some(monday(11))), (3, Some(monday(12))), (1, Some(monday(14)))]);
    assert_eq!(
        harness.output("1h", &[("queue_id", "7"), ("assignee_id", "\\N")], monday(12)).int("count"),
        3
    );
    assert_eq!(day(&harness), 5);
}

#[test]
fn growth_on_insert_starts_from_zero() {
    let born = Ticket { reopen_count: 2, reply_count: 3, ..ticket() };
    assert_eq!(day(&lived::<Reopened>(&[born])), 2);
    assert_eq!(day(&lived::<Replies>(&[born])), 3);
    assert!(lived::<Replies>(&[ticket()]).samples().is_empty());
    let below = Ticket { reply_count: -2, ..ticket() };
    assert_eq!(day(&lived::<Replies>(&[below, ticket()])), 2);
}

#[test]
fn replies_count_for_the_assignee_that_the_ticket_has_afterwards() {
    let first = Ticket { reply_count: 1, assignee_id: Some(31), updated_at: monday(11), ..ticket() };
    let second = Ticket { reply_count: 3, assignee_id: Some(32), updated_at: monday(11), ..ticket() };
    let mut harness = lived::<Replies>(&[ticket(), first, Ticket { status: Text("open"), ..first }, second]);
    harness.delete(&second);
    let by = |agent| harness.output("15m", &[("assignee_id", agent)], monday(11)).int("count");
    assert_eq!([by("31"), by("32"), by("\\N")], [1, 2, 0]);
}

#[test]
fn a_ticket_is_escalated_when_the_flag_becomes_one() {
    let escalated = Ticket { escalated: true, priority: 4, updated_at: monday(11), ..ticket() };
    let calm = Ticket { escalated: false, updated_at: monday(12), ..escalated };
    let again = Ticket { updated_at: monday(13), ..escalated };
    let touched = Ticket { priority: 1, ..escalated };
    let mut harness = lived::<Escalated>(&[ticket(), escalated, touched, calm, again]);
    harness.delete(&again);
    assert_eq!(day(&harness), 2);
    assert_eq!(harness.output("1h", &[("queue_id", "7"), ("priority", "4")], monday(11)).int("count"), 1);
    assert_eq!(harness.output("day", &[("priority", "1")], monday(11)).int("count"), 0);
    assert_eq!(day(&lived::<Escalated>(&[escalated])), 1);
}

#[test]
fn one_touch_is_at_most_one_reply_when_the_ticket_is_solved() {
    for (replies, due) in [(0, 1), (1, 1), (2, 0)] {
        let solved = Ticket { reply_count: replies, ..solved_at(12) };
        let more = Ticket { reply_count: replies + 1, ..solved };
        assert_eq!(day(&lived::<OneTouch>(&[ticket(), solved, more])), due, "{replies} replies");
    }
    // A count that falls to 1 while the ticket is solved is no transition.
    let two = Ticket { reply_count: 2, ..solved_at(12) };
    assert_eq!(day(&lived::<OneTouch>(&[ticket(), two, Ticket { reply_count: 1, ..two }])), 0);
}

/// States of one ticket, each with any status, counts and flag.
fn lives() -> impl Strategy<Value = Vec<Ticket<'static>>> {
    let state = (0usize..5, 0i64..4, 0i64..4, any::<bool>(), 0i64..14).prop_map(
        |(status, reply_count, reopen_count, escalated, hour)| Ticket {
            status: Text(STATUSES[status]),
            reply_count,
            reopen_count,
            escalated,
            solved_at: Some(monday(hour)),
            closed_at: Some(monday(hour)),
            updated_at: monday(hour),
            ..ticket()
        },
    );
    prop::collection::vec(state, 1..30)
}

proptest! {
    #[test]
    fn each_count_is_that_of_the_transitions(life in lives()) {
        let pairs = || std::iter::once((None, life[0])).chain(life.windows(2).map(|w| (Some(w[0]), w[1])));
        let became = |is: &dyn Fn(&Ticket) -> bool| {
            pairs().filter(|(before, after)| is(after) && !before.as_ref().is_some_and(is)).count() as i64
        };
        let grown = |of: &dyn Fn(&Ticket) -> i64| {
            pairs().map(|(before, after)| (of(&after) - before.as_ref().map_or(0, of)).max(0)).sum::<i64>()
        };
        prop_assert_eq!(day(&lived::<Created>(&life)), 1);
        prop_assert_eq!(day(&lived::<Solved>(&life)), became(&|t| t.status == "solved"));
        prop_assert_eq!(day(&lived::<Closed>(&life)), became(&|t| t.status == "closed"));
        prop_assert_eq!(day(&lived::<Escalated>(&life)), became(&|t| t.escalated));
        prop_assert_eq!(day(&lived::<Replies>(&life)), grown(&|t| t.reply_count));
        prop_assert_eq!(day(&lived::<Reopened>(&life)), grown(&|t| t.reopen_count));
        // A cohort: never more than were solved, in no window.
        let (solved, one_touch) = (lived::<Solved>(&life), lived::<OneTouch>(&life));
        for (key, row) in solved.outputs() {
            if key.dims[1].is_none() {
                let dims: Vec<(&str, &str)> = key.dims[0].as_deref().map(|q| ("queue_id", q)).into_iter().collect();
                let touched = one_touch.output(&key.window, &dims, Time(key.start)).int("count");
                prop_assert!((0..=row.int("count")).contains(&touched));
            }
        }
    }
}
