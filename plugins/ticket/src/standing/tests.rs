#![allow(clippy::unwrap_used)]
use super::*;
use crate::tests::{STATUSES, monday, ticket};
use proptest::prelude::*;
use weir_metric::harness::{Harness, Row};
use weir_metric::metric::Metric;

/// The outputs of a key now.
fn now<M: Metric>(harness: &Harness<M>, dims: &[(&str, &str)]) -> Row {
    harness.output("now", dims, Time(0))
}

fn count<M: Metric>(harness: &Harness<M>, dims: &[(&str, &str)]) -> i64 {
    now(harness, dims).int("count")
}

/// What a metric counts of one ticket as it stands.
fn counts_one<M: Metric>(row: &Ticket) -> i64 {
    let mut harness = Harness::<M>::new();
    harness.insert(row);
    count(&harness, &[])
}

#[test]
fn the_backlog_follows_status_queue_and_delete() {
    let mut harness = Harness::<Backlog>::new();
    let mut row = ticket();
    harness.insert(&row);
    for (status, due) in [("open", 1), ("pending", 1), ("solved", 0), ("open", 1), ("closed", 0), ("new", 1)]
    {
        let next = Ticket { status: Text(status), ..row };
        harness.update(&row, &next);
        row = next;
        assert_eq!(count(&harness, &[]), due, "{status}");
    }
    let moved = Ticket { queue_id: 8, priority: 1, ..row };
    harness.update(&row, &moved);
    assert_eq!(count(&harness, &[("queue_id", "7")]), 0);
    assert_eq!(count(&harness, &[("queue_id", "8"), ("priority", "1")]), 1);
    harness.delete(&moved);
    assert_eq!(count(&harness, &[]), 0);
}

#[test]
fn a_status_that_only_looks_like_the_backlogs_does_not_count() {
    let mut harness = Harness::<Backlog>::new();
    for status in ["New", "news", "ope", "pendinG", "", "solved", "closed"] {
        harness.insert(&Ticket { status: Text(status), ..ticket() });
    }
    assert!(harness.samples().is_empty());
}

#[test]
fn a_ticket_is_unassigned_until_it_has_an_assignee_or_leaves_the_backlog() {
    let mut harness = Harness::<Unassigned>::new();
    let assigned = Ticket { assignee_id: Some(31), status: Text("open"), ..ticket() };
    harness.insert(&ticket());
    harness.insert(&Ticket { queue_id: 8, ..ticket() });
    assert_eq!((count(&harness, &[]), count(&harness, &[("queue_id", "7")])), (2, 1));
    harness.update(&ticket(), &assigned);
    assert_eq!((count(&harness, &[]), count(&harness, &[("queue_id", "7")])), (1, 0));
    harness.update(&assigned, &Ticket { assignee_id: None, ..assigned });
    assert_eq!(count(&harness, &[("queue_id", "7")]), 1);
    for status in ["solved", "closed"] {
        assert_eq!(counts_one::<Unassigned>(&Ticket { status: Text(status), ..ticket() }), 0);
    }
}

#[test]
fn only_a_pending_ticket_is_pending() {
    let counts = STATUSES.map(|status| counts_one::<Pending>(&Ticket { status: Text(status), ..ticket() }));
    assert_eq!(counts, [0, 0, 1, 0, 0]);
    let mut harness = Harness::<Pending>::new();
    let pending = Ticket { status: Text("pending"), ..ticket() };
    harness.insert(&pending);
    assert_eq!(count(&harness, &[("queue_id", "7")]), 1);
    harness.update(&pending, &ticket());
    assert_eq!(count(&harness, &[]), 0);
}

#[test]
fn the_load_moves_with_the_assignee() {
    let mut harness = Harness::<AssignedLoad>::new();
    let by = |h: &Harness<AssignedLoad>, agent| count(h, &[("assignee_id", agent)]);
    let (one, other) =
        (Ticket { assignee_id: Some(1), ..ticket() }, Ticket { assignee_id: Some(2), ..ticket() });
    harness.insert(&ticket());
    harness.insert(&one);
    assert_eq!([by(&harness, "\\N"), by(&harness, "1"), count(&harness, &[])], [1, 1, 2]);
    harness.update(&one, &other);
    assert_eq!([by(&harness, "1"), by(&harness, "2"), count(&harness, &[])], [0, 1, 2]);
    harness.update(&other, &Ticket { status: Text("solved"), ..other });
    assert_eq!([by(&harness, "2"), count(&harness, &[])], [0, 1]);
}

#[test]
fn the_oldest_is_the_least_created_at_of_those_that_still_stand() {
    let mut harness = Harness::<OldestOpen>::new();
    let (old, young) = (Ticket { created_at: monday(3), ..ticket() }, Ticket { queue_id: 8, ..ticket() });
    assert_eq!(now(&harness, &[]).time("oldest_at"), None);
    harness.insert(&young);
    harness.insert(&old);
    harness.insert(&old);
    assert_eq!(now(&harness, &[]).time("oldest_at"), Some(monday(3)));
    assert_eq!(now(&harness, &[("queue_id", "8")]).time("oldest_at"), Some(monday(10)));
    harness.update(&old, &Ticket { status: Text("solved"), ..old });
    assert_eq!(now(&harness, &[]).time("oldest_at"), Some(monday(3)), "another one of that time stands");
    harness.delete(&old);
    assert_eq!(now(&harness, &[]).time("oldest_at"), Some(monday(10)));
    assert_eq!(now(&harness, &[("queue_id", "7")]).time("oldest_at"), None);
}

const BUCKETS: [&str; 5] = ["under_1h", "from_1h_to_8h", "from_8h_to_24h", "from_1d_to_3d", "over_3d"];

fn ages(harness: &Harness<AgeBuckets>, dims: &[(&str, &str)]) -> [i64; 5] {
    let row = now(harness, dims);
    BUCKETS.map(|bucket| row.int(bucket))
}

#[test]
fn a_ticket_grows_older_without_any_event() {
    let mut harness = Harness::<AgeBuckets>::new();
    harness.insert(&ticket());
    let hours = [(-5, 0), (0, 0), (1, 1), (7, 1), (8, 2), (23, 2), (24, 3), (71, 3), (72, 4), (5_000, 4)];
    for (hours, bucket) in hours {
        let mut due = [0; 5];
        due[bucket] = 1;
        harness.set_time(monday(10 + hours));
        assert_eq!(ages(&harness, &[("queue_id", "7")]), due, "{hours} hours");
        // One microsecond before a border it is still in the bucket before.
        let borders = [1, 8, 24, 72];
        if borders.contains(&hours) {
            harness.set_time(monday(10 + hours) - Span(1));
            assert_eq!(ages(&harness, &[])[bucket - 1], 1, "just under {hours} hours");
        }
    }
    harness.delete(&ticket());
    assert_eq!(ages(&harness, &[]), [0; 5]);
}

fn due_at(at: Time) -> Ticket<'static> {
    Ticket { resolve_due_at: Some(at), ..ticket() }
}

/// What of one ticket is at risk and overdue at a moment.
fn deadline(row: &Ticket, config: &[(&str, &str)], at: Time) -> (i64, i64) {
    let (mut near, mut past) = (Harness::<SlaAtRisk>::with_config(config), Harness::<SlaOverdue>::new());
    near.insert(row);
    past.insert(row);
    near.set_time(at);
    past.set_time(at);
    let key = [("queue_id", "7"), ("priority", "2")];
    (count(&near, &key), count(&past, &key))
}

#[test]
fn a_ticket_is_at_risk_before_its_deadline_and_overdue_after_it() {
    let (row, half_hour) = (due_at(monday(12)), Span::minutes(30));
    let at = |at| deadline(&row, &[], at);
    assert_eq!(at(monday(12) - half_hour - Span(1)), (0, 0));
    // resolve_due_at < now + at_risk_s: not yet at exactly half an hour.
    assert_eq!(at(monday(12) - half_hour), (0, 0));
    assert_eq!(at(monday(12) - half_hour + Span(1)), (1, 0));
    assert_eq!(at(monday(12)), (1, 0));
    assert_eq!(at(monday(12) + Span(1)), (0, 1));
    assert_eq!(at(monday(400)), (0, 1));
}

#[test]
fn only_the_backlog_has_deadlines_and_only_where_one_is_set() {
    for (status, due) in STATUSES.into_iter().zip([1, 1, 1, 0, 0]) {
        let row = Ticket { status: Text(status), ..due_at(monday(12)) };
        assert_eq!(deadline(&row, &[], monday(12)), (due, 0), "{status}");
        assert_eq!(deadline(&row, &[], monday(13)), (0, due), "{status}");
    }
    assert_eq!(deadline(&ticket(), &[], monday(12)), (0, 0));
}

#[test]
fn what_is_at_risk_is_the_operators_by_queue_if_wanted() {
    let at = monday(12) - Span::minutes(45);
    let near = |config: &[(&str, &str)]| deadline(&due_at(monday(12)), config, at).0;
    assert_eq!(near(&[]), 0);
    assert_eq!(near(&[("at_risk_s", "3600")]), 1);
    assert_eq!(near(&[("at_risk_s.7", "3600")]), 1);
    assert_eq!(near(&[("at_risk_s.8", "3600")]), 0);
    assert_eq!(near(&[("at_risk_s", "3600"), ("at_risk_s.7", "60")]), 0);
    let wrong = [("at_risk_s.7".to_owned(), "-1".to_owned())];
    let error = crate::plugin().open("ticket.sla_at_risk", &wrong).err().unwrap();
    assert!(error.contains("ticket.sla_at_risk") && error.contains("at_risk_s.7"), "{error}");
}

#[test]
fn a_queue_with_a_threshold_of_its_own_keeps_it_in_the_total() {
    let mut harness = Harness::<SlaAtRisk>::with_config(&[("at_risk_s.8", "7200")]);
    harness.insert(&due_at(monday(12)));
    harness.insert(&Ticket { queue_id: 8, ..due_at(monday(12)) });
    for (before, due) in [(120, 0), (119, 1), (30, 1), (29, 2), (0, 2)] {
        harness.set_time(monday(12) - Span::minutes(before));
        assert_eq!(count(&harness, &[]), due, "{before} minutes before");
    }
}

#[test]
fn a_deadline_that_is_moved_counts_where_it_is_now() {
    let mut harness = Harness::<SlaOverdue>::new();
    harness.set_time(monday(13));
    harness.insert(&due_at(monday(12)));
    assert_eq!(count(&harness, &[]), 1);
    harness.update(&due_at(monday(12)), &due_at(monday(14)));
    assert_eq!(count(&harness, &[]), 0);
    harness.update(&due_at(monday(14)), &Ticket { priority: 1, ..due_at(monday(11)) });
    assert_eq!(count(&harness, &[("priority", "2")]), 0);
    assert_eq!(count(&harness, &[("priority", "1")]), 1);
}

#[test]
fn nothing_is_zero() {
    assert_eq!(ages(&Harness::new(), &[]), [0; 5]);
    assert_eq!(count(&Harness::<Backlog>::new(), &[]), 0);
    assert_eq!(count(&Harness::<SlaAtRisk>::new(), &[]), 0);
    assert_eq!(count(&Harness::<SlaOverdue>::new(), &[]), 0);
}

/// One ticket of a table: what it became, step by step, and whether it was deleted in the end.
fn rows() -> impl Strategy<Value = (Vec<Ticket<'static>>, bool)> {
    let state = (0usize..5, 0i64..3, prop::option::of(0i64..3), prop::option::of(0i64..40), 0i64..40)
        .prop_map(|(status, queue_id, assignee_id, due, created)| Ticket {
            status: Text(STATUSES[status]),
            queue_id,
            assignee_id,
            resolve_due_at: due.map(|half| monday(0) + Span::minutes(30 * half)),
            created_at: monday(0) + Span::minutes(30 * created),
            ..ticket()
        });
    (prop::collection::vec(state, 1..8), any::<bool>())
}

/// A harness after the lives of all tickets.
fn table<M: Metric>(lives: &[(Vec<Ticket>, bool)]) -> Harness<M> {
    let mut harness = Harness::new();
    for (states, deleted) in lives {
        harness.insert(&states[0]);
        states.windows(2).for_each(|pair| harness.update(&pair[0], &pair[1]));
        if let Some(last) = states.last().filter(|_| *deleted) {
            harness.delete(last);
        }
    }
    harness
}

proptest! {
    #[test]
    fn what_counts_is_what_stands_in_the_table(lives in prop::collection::vec(rows(), 1..12), half in 0i64..90) {
        let clock = monday(0) + Span::minutes(30 * half);
        let standing = lives.iter().filter(|(_, deleted)| !deleted).filter_map(|(states, _)| states.last());
        let backlog: Vec<&Ticket> = standing.filter(|t| is_open(t.status)).collect();
        let many = |holds: &dyn Fn(&Ticket) -> bool| backlog.iter().filter(|t| holds(t)).count() as i64;

        for queue in 0..3 {
            let (text, of) = (queue.to_string(), |t: &Ticket| t.queue_id == queue);
            let key = [("queue_id", text.as_str())];
            prop_assert_eq!(count(&table::<Backlog>(&lives), &key), many(&of));
            let oldest = backlog.iter().filter(|t| of(t)).map(|t| t.created_at).min();
            prop_assert_eq!(now(&table::<OldestOpen>(&lives), &key).time("oldest_at"), oldest);
        }
        prop_assert_eq!(count(&table::<Unassigned>(&lives), &[]), many(&|t| t.assignee_id.is_none()));
        prop_assert_eq!(count(&table::<Pending>(&lives), &[]), many(&|t| t.status == "pending"));
        prop_assert_eq!(count(&table::<AssignedLoad>(&lives), &[("assignee_id", "1")]), many(&|t| t.assignee_id == Some(1)));

        let mut buckets = table::<AgeBuckets>(&lives);
        buckets.set_time(clock);
        let aged = |from: i64, to: i64| many(&|t| (from..to).contains(&(clock - t.created_at).0));
        let hour = Span::hours(1).0;
        let due = [
            aged(i64::MIN, hour), aged(hour, 8 * hour), aged(8 * hour, 24 * hour), aged(24 * hour, 72 * hour),
            aged(72 * hour, i64::MAX),
        ];
        prop_assert_eq!(ages(&buckets, &[]), due);

        let (mut near, mut past) = (table::<SlaAtRisk>(&lives), table::<SlaOverdue>(&lives));
        near.set_time(clock);
        past.set_time(clock);
        let is_near = |due: Time| clock <= due && due < clock + Span::minutes(30);
        prop_assert_eq!(count(&near, &[]), many(&|t| t.resolve_due_at.is_some_and(is_near)));
        prop_assert_eq!(count(&past, &[]), many(&|t| t.resolve_due_at.is_some_and(|due| due < clock)));
    }
}
