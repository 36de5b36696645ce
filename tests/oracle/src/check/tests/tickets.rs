//! Tickets, by hand: 1 and 15 are among the first tests.

use super::*;

/// A ticket of agent 7 that is replied to, solved with one reply, closed, reopened and solved again, and
/// escalated on the way.
fn life() -> Maker {
    let mut maker = Maker::default();
    let row = with(&ticket(2, TEN), &[("first_reply_due_at", s(60)), ("customer_id", json!(77))]);
    maker.insert("ticket", row.clone());
    let steps: [&[(&str, Value)]; 7] = [
        &[("assignee_id", json!(7)), ("assigned_at", s(30)), ("status", json!("open"))],
        &[("first_reply_at", s(60)), ("reply_count", json!(1)), ("updated_at", s(61))],
        &[("status", json!("solved")), ("solved_at", s(600)), ("updated_at", s(600))],
        &[("status", json!("closed")), ("closed_at", s(900)), ("updated_at", s(900))],
        &[("status", json!("open")), ("reopen_count", json!(1)), ("updated_at", s(1_000))],
        &[("escalated", json!(1)), ("reply_count", json!(4)), ("updated_at", s(1_100))],
        &[("status", json!("solved")), ("solved_at", s(1_200)), ("updated_at", s(1_200))],
    ];
    let mut before = row;
    for step in steps {
        let after = with(&before, step);
        maker.update("ticket", &before, &after);
        before = after;
    }
    // Nothing of this is a transition.
    maker.update("ticket", &before, &with(&before, &[("updated_at", s(1_300))]));
    maker.change("ticket", "r", Value::Null, with(&before, &[("id", json!(4))]));
    maker
}

#[test]
fn counts_of_transitions() {
    let maker = life();
    let of = |name: &str, set: &str, dims: &[&str]| hour(&recomputed(name, &maker, &[]), set, dims);
    assert_eq!(of("ticket.solved", "queue_id,assignee_id", &["10", "7"]), "count 2");
    assert_eq!(of("ticket.closed", "queue_id", &["10"]), "count 1");
    assert_eq!(of("ticket.reopened", "assignee_id", &["7"]), "count 1");
    assert_eq!(of("ticket.escalated", "queue_id,priority", &["10", "2"]), "count 1");
    assert_eq!(of("ticket.replies", "", &[]), "count 4");
    assert_eq!(of("ticket.one_touch", "queue_id", &["10"]), "count 1");
    assert_eq!(of("ticket.customers", "channel", &["web"]), "count 1");
    let solved = recomputed("ticket.solved", &maker, &[]);
    assert_eq!(outputs(&solved, "1m", "", &[], TEN + 10 * MINUTE), "count 1");
    assert_eq!(outputs(&solved, "1m", "", &[], TEN + 20 * MINUTE), "count 1");
    let replies = recomputed("ticket.replies", &maker, &[]);
    assert_eq!(outputs(&replies, "1m", "", &[], TEN + 18 * MINUTE), "count 3");
}

#[test]
fn times_and_targets() {
    let maker = life();
    let of = |name: &str| hour(&recomputed(name, &maker, &[]), "queue_id", &["10"]);
    let resolved = "mean 900.0, p50 600.0, p90 1200.0, max 1200.0, count 2, mean_business 900.0";
    assert_eq!(of("ticket.resolution_time"), resolved);
    assert_eq!(of("ticket.assignment_time"), "mean 30.0, p90 30.0, count 1");
    assert_eq!(of("ticket.sla_first_reply_met"), "met 1, total 1");
    let mut maker = Maker::default();
    let row = with(&ticket(2, TEN), &[("first_reply_due_at", s(59))]);
    maker.update("ticket", &row, &with(&row, &[("first_reply_at", s(60))]));
    maker.update("ticket", &ticket(4, TEN), &with(&ticket(4, TEN), &[("first_reply_at", s(60))]));
    let met = recomputed("ticket.sla_first_reply_met", &maker, &[]);
    assert_eq!(hour(&met, "priority", &["2"]), "met 0, total 1");
}

#[test]
fn a_number_that_is_inserted_has_grown_from_zero_and_one_that_shrinks_has_not() {
    let mut maker = Maker::default();
    let row = with(&ticket(2, TEN), &[("reply_count", json!(3)), ("reopen_count", json!(2))]);
    maker.insert("ticket", row.clone());
    maker.update("ticket", &row, &with(&row, &[("reply_count", json!(1)), ("reopen_count", json!(0))]));
    assert_eq!(hour(&recomputed("ticket.replies", &maker, &[]), "", &[]), "count 3");
    assert_eq!(hour(&recomputed("ticket.reopened", &maker, &[]), "", &[]), "count 2");
}

#[test]
fn what_stands_in_the_table() {
    let mut maker = Maker::default();
    let of = |id, changes: &[(&str, Value)]| with(&ticket(id, TEN), changes);
    maker.insert("ticket", of(2, &[("assignee_id", json!(7)), ("created_at", s(-100))]));
    maker.insert("ticket", of(4, &[("status", json!("pending")), ("created_at", s(-200))]));
    maker.insert("ticket", of(6, &[("status", json!("pending")), ("assignee_id", json!(7))]));
    maker.insert("ticket", of(8, &[("status", json!("solved")), ("created_at", s(-300))]));
    let latest =
        |name: &str, set: &str, dims: &[&str]| outputs(&standing(name, &maker).latest, "now", set, dims, 0);
    assert_eq!(latest("ticket.unassigned", "queue_id", &["10"]), "count 1");
    assert_eq!(latest("ticket.pending", "", &[]), "count 2");
    assert_eq!(latest("ticket.assigned_load", "assignee_id", &["7"]), "count 2");
    assert_eq!(latest("ticket.assigned_load", "assignee_id", &["\\N"]), "count 1");
    let oldest = format!("oldest_at {}", TEN - 200_000_000);
    assert_eq!(latest("ticket.oldest_open", "queue_id", &["10"]), oldest);
    assert_eq!(latest("ticket.oldest_open", "queue_id", &["11"]), "no row");
}

#[test]
fn what_changes_with_time_is_as_the_epochs_clock_has_it() {
    let mut maker = Maker::default();
    let due = |id, created: i64, due: i64| {
        with(&ticket(id, TEN), &[("created_at", s(created)), ("resolve_due_at", s(due))])
    };
    // Two epochs, at 10:00:00 and, in the same minute, at 10:00:40; and one at 10:01:20.
    maker.insert("ticket", due(2, 70 - 3_600, 30));
    maker.insert("ticket", due(4, 100, 81 + 1_800));
    maker.insert("ticket", due(6, -8 * 3_600, 80 + 1_800));
    let rows = |name: &str, start: i64| {
        let now = standing(name, &maker);
        let rows = if start == 0 { now.latest } else { now.history };
        outputs(&rows, "now", "queue_id", &["10"], start)
    };
    let buckets = |young: i64, hour: i64, eight: i64| {
        format!("under_1h {young}, from_1h_to_8h {hour}, from_8h_to_24h {eight}, from_1d_to_3d 0, over_3d 0")
    };
    assert_eq!(rows("ticket.age_buckets", TEN), buckets(1, 0, 0));
    // The first is 1 h and 10 s old, the second is not born yet.
    assert_eq!(rows("ticket.age_buckets", TEN + MINUTE), buckets(1, 1, 1));
    assert_eq!(rows("ticket.age_buckets", 0), buckets(1, 1, 1));
    assert_eq!(rows("ticket.sla_overdue", TEN), "count 0");
    assert_eq!(rows("ticket.sla_overdue", 0), "count 1");
    // At 10:01:20 half an hour reaches to before 10:31:20.
    assert_eq!(rows("ticket.sla_at_risk", TEN), "count 1");
    assert_eq!(rows("ticket.sla_at_risk", 0), "count 0");
}
